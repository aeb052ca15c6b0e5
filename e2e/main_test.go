// Package e2e tests qlik_exporter from the outside: it builds and starts the
// program like a user, sends requests over HTTP and signals, and uses the real
// programs that work with it. It imports the simulated site, qlik/qliktest, and for
// the page of a user, whose states take an hour to appear, the page itself.
//
// The tests need a Unix system with go, git, sh, curl, prometheus, promtool,
// chromium, nginx, node and npm in the PATH; on Debian: apt-get install git curl
// prometheus chromium nginx npm. With its package prometheus-alertmanager, they also
// test the example for Alertmanager 0.25. The tests build Alertmanager from the module
// in tools/alertmanager, which takes minutes the first time. Every program listens on a
// free port of the loopback interface, and its test stops it.
//
//	go test -v ./...
//
// takes five minutes. During two of them, Prometheus scrapes the demo.
// E2E_SCRAPE_FOR=20s shortens that and skips what takes two minutes to appear. To
// run only the tests of the alerts, use go test -v -run TestAlerts .
package e2e

import (
	"flag"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// repository is the root of the exporter's repository.
const repository = ".."

// exporter is the path of the exporter, built by TestMain. Its directory is in
// the PATH, so that the documented command lines work unchanged.
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
	// Parallel tests spend most of their time waiting, regardless of the number
	// of processors.
	if err := flag.Set("test.parallel", "20"); err != nil {
		log.Fatal(err)
	}
	m.Run()
	if err := os.RemoveAll(dir); err != nil {
		log.Print(err)
	}
}

// expect fails the test unless ok. It always prints the observed value, so that
// the output of a passing run is informative as well.
func expect(t *testing.T, ok bool, expected string, seen any) {
	t.Helper()
	if ok {
		t.Logf("ok: %s: %v", expected, seen)
	} else {
		t.Errorf("expected: %s; seen: %v", expected, seen)
	}
}
