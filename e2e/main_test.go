// Package e2e tests qlik_exporter from outside: the program as users build and
// start it, asked over HTTP and stopped with signals, with the real programs
// that work with it. Nothing here imports the exporter's code.
//
// The tests need a Unix and, in the PATH, go, git, sh, curl, prometheus and
// promtool; on Debian: apt-get install git curl prometheus. Every program
// listens on a free port of the loopback interface and is ended by its test.
//
//	go test -v ./...
//
// takes two and a half minutes, two of which Prometheus spends scraping;
// E2E_SCRAPE_FOR=20s makes that shorter and leaves out what takes two minutes
// to be seen.
package e2e

import (
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
