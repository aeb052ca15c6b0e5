// Package e2e tests qlik_exporter from outside: the program as users build and
// start it, asked over HTTP and stopped with signals, with the real programs
// that work with it. Nothing here imports the exporter's code but the simulated
// site, qlik/qliktest.
//
// The tests need a Unix and, in the PATH, go, git, sh, curl, prometheus,
// promtool, chromium and npm; on Debian: apt-get install git curl prometheus
// chromium npm. Alertmanager is built from the module in tools/alertmanager,
// which takes minutes the first time.
// Every program listens on a free port of the loopback interface and is ended by
// its test.
//
//	go test -v ./...
//
// takes five minutes, two of which Prometheus spends scraping;
// E2E_SCRAPE_FOR=20s makes that shorter and leaves out what takes two minutes
// to be seen. go test -v -run TestAlerts . is about alerts alone.
package e2e

import (
	"flag"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// repository is the root of the exporter's source.
const repository = ".."

// exporter is the path of the exporter, built by TestMain. Its directory is in
// the PATH, so that command lines meant for people work as they stand.
var exporter string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "qlik_exporter-e2e-")
	if err != nil {
		log.Fatal(err)
	}
	exporter = filepath.Join(dir, "qlik_exporter")
	build := exec.Command("go", "build", "-o", exporter, ".")
	build.Dir = repository
	if output, err := build.CombinedOutput(); err != nil {
		log.Fatalf("building the exporter: %v\n%s", err, output)
	}
	if err := os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		log.Fatal(err)
	}
	// Parallel tests wait most of the time, however many processors there are.
	if err := flag.Set("test.parallel", "20"); err != nil {
		log.Fatal(err)
	}
	m.Run()
	if err := os.RemoveAll(dir); err != nil {
		log.Print(err)
	}
}

// expect fails the test unless ok. Either way it prints what was seen, so that a
// passing run tells something, too.
func expect(t *testing.T, ok bool, expected string, seen any) {
	t.Helper()
	if ok {
		t.Logf("ok: %s: %v", expected, seen)
	} else {
		t.Errorf("expected: %s; seen: %v", expected, seen)
	}
}
