package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These tests are about faults on the exporter's side. docs/reliability.md lists
// them.

// TestCertificatesHalfReplaced checks that the last valid pair stays in use during a
// rotation, and the new pair is used after it.
func TestCertificatesHalfReplaced(t *testing.T) {
	f := newFaulty(t)
	address := freeAddress(t)
	exporter := command(t, append(f.flags, "--web.listen-address="+address)...)
	metrics := start(t, address, exporter)
	f.expect("before", f.scrape(metrics), well)
	dir := strings.TrimPrefix(f.flags[0], "--qlik.cert-dir=")
	for _, name := range []string{"client.pem", "client_key.pem", "root.pem"} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, half := range [][]byte{whole[:len(whole)/2], nil} {
			if err := os.WriteFile(path, half, 0o600); err != nil {
				t.Fatal(err)
			}
			f.expect(fmt.Sprintf("%d bytes of %s", len(half), name), f.scrape(metrics), well)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		f.expect("without "+name, f.scrape(metrics), well)
		f.expect("still without "+name, f.scrape(metrics), well)
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		f.expect("with all of "+name, f.scrape(metrics), well)
	}
	const line = "Certificates changed and cannot be used; the last good ones stay in use"
	if lines := strings.Count(stopped(t, exporter), line); lines != 9 {
		t.Errorf("%d lines in the log for nine breakages", lines)
	}
}

// stopped stops an exporter and returns its log.
func stopped(t *testing.T, exporter *exec.Cmd) (log string) {
	t.Helper()
	if err := errors.Join(exporter.Process.Signal(syscall.SIGTERM), exporter.Wait()); err != nil {
		t.Errorf("exit: %v", err)
	}
	return fmt.Sprint(exporter.Stderr)
}

// TestThousandScrapes checks that many concurrent scrapes cause only a few rounds of
// requests to Qlik, and that each scrape gets a response.
func TestThousandScrapes(t *testing.T) {
	const scrapes = 1000
	f := newFaulty(t)
	f.SetProxyLatency("qlik1", 200*time.Millisecond)
	f.SetProxyLatency("qlik2", 200*time.Millisecond)
	metrics := startExporter(t, append(f.flags, fmt.Sprint("--web.max-connections=", scrapes+100))...)
	f.expect("before", f.scrape(metrics), well)
	before := f.Requests().SessionLists
	var asking sync.WaitGroup
	failed := make(chan string, scrapes)
	// It takes seconds, but minutes under the race detector on a busy machine.
	crowd := http.Client{Timeout: 3 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: scrapes}}
	defer crowd.CloseIdleConnections()
	for range scrapes {
		asking.Go(func() {
			response, err := crowd.Get(metrics)
			if err != nil {
				failed <- err.Error()
				return
			}
			defer response.Body.Close()
			if text, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(text), "\nqlik_sessions 3\n") {
				failed <- fmt.Sprintf("%s, %v, %d bytes", response.Status, err, len(text))
			}
		})
	}
	asking.Wait()
	close(failed)
	for what := range failed {
		t.Errorf("a scrape failed: %s", what)
	}
	// With few CPUs, the last scrape may arrive seconds after the first.
	if rounds := (f.Requests().SessionLists - before) / 4; rounds > scrapes/10 {
		t.Errorf("%d rounds of questions for %d scrapes", rounds, scrapes)
	}
	last := f.scrape(metrics)
	f.expect("after", last, well)
	t.Logf("%d rounds of questions, %s bytes resident", (f.Requests().SessionLists-before)/4, last.sum("process_resident_memory_bytes"))
}

// TestClientsThatNeverRead checks that clients that do not read the response do not
// delay others and are disconnected.
func TestClientsThatNeverRead(t *testing.T) {
	const timeout = time.Second
	f := newFaulty(t)
	metrics := startExporter(t, f.flags...)
	address := strings.TrimSuffix(strings.TrimPrefix(metrics, "http://"), "/metrics")
	var connection net.Conn
	for range 100 {
		var err error
		if connection, err = net.Dial("tcp", address); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		if _, err := io.WriteString(connection, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	f.expect("meanwhile", f.scrape(metrics), well)

	// One response fits into the buffers on its way, hundreds do not.
	request := fmt.Sprintf("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: %v\r\n\r\n", timeout.Seconds())
	if err := connection.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		_, err = io.WriteString(connection, request)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("not hung up on: %v", err)
	}
	f.expect("after", f.scrape(metrics), well)
}

// TestIdleConnectionsDoNotLockOut checks that a scrape gets in while more idle
// connections are open than the exporter can have files.
func TestIdleConnectionsDoNotLockOut(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("has no limit of open files")
	}
	f := newFaulty(t)
	address := freeAddress(t)
	exporter := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -n 512; exec "$0" "$@"`, os.Args[0]},
		append(f.flags, "--web.listen-address="+address)...)...)
	exporter.Env = append(os.Environ(), asExporter+"=1")
	metrics := start(t, address, exporter)
	f.expect("before", f.scrape(metrics), well)
	for i := range 600 {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		if i%2 == 0 { // every other one has had a response
			if _, err := io.WriteString(connection, "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 3 {
		client.CloseIdleConnections() // so that each scrape needs a new connection
		f.expect("meanwhile", f.scrape(metrics), well)
	}
	if log := stopped(t, exporter); strings.Contains(log, "too many open files") {
		t.Errorf("the files ran out:\n%s", log)
	}
}

// TestOversizedHeader checks that a request with an oversized header is rejected and
// has no other effect.
func TestOversizedHeader(t *testing.T) {
	f := newFaulty(t)
	metrics := startExporter(t, f.flags...)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, metrics, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strings.Repeat("1", 2<<20))
	// The exporter may disconnect before it has read all of the header.
	switch response, err := client.Do(request); {
	case err == nil:
		response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %s", response.Status)
		}
	case os.IsTimeout(err):
		t.Errorf("neither answered nor hung up on: %v", err)
	}
	f.expect("after", f.scrape(metrics), well)
}

// TestHangupStorm checks that many SIGHUPs during scrapes lose nothing, not even the
// value of a counter.
func TestHangupStorm(t *testing.T) {
	f := newFaulty(t)
	path := writeSites(t, map[string][]string{"emea": f.flags})
	address := freeAddress(t)
	exporter := command(t, "--config.file="+path, "--web.listen-address="+address)
	probe := strings.TrimSuffix(start(t, address, exporter), "/metrics") + "/probe?target=emea"
	f.expect("before", f.scrape(probe), well)
	if _, err := f.Login("ACME", "anna", "laptop", "sales", "qlik2"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		for range 20 {
			if err := exporter.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		f.expect("meanwhile", f.scrape(probe), map[string]string{
			"qlik_up": "1", "qlik_sessions": "4", "qlik_sessions_started_total": "1", "qlik_sessions_ended_total": "0",
		})
	}
}

// TestBrokenFileAtHangup checks that the last valid file stays in use, and that the
// log contains the cause.
func TestBrokenFileAtHangup(t *testing.T) {
	f := newFaulty(t)
	path := writeSites(t, map[string][]string{"emea": f.flags})
	address := freeAddress(t)
	exporter := command(t, "--config.file="+path, "--web.listen-address="+address)
	metrics := start(t, address, exporter)
	if err := os.WriteFile(path, []byte("sites:\n  emea:\n    hots: [qlik1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := exporter.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if f.scrape(metrics).sum("qlik_exporter_config_last_reload_successful") == "0" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.expect("after", f.scrape(metrics), map[string]string{"qlik_exporter_config_last_reload_successful": "0"})
	f.expect("after", f.scrape(strings.TrimSuffix(metrics, "/metrics")+"/probe?target=emea"), well)
	if log := stopped(t, exporter); !strings.Contains(log, path+":3: sites.emea.hots: unknown key") {
		t.Errorf("the log does not say what is wrong:\n%s", log)
	}
}

// TestStopInTheMiddle checks that a scrape in progress at SIGTERM gets a complete
// response.
func TestStopInTheMiddle(t *testing.T) {
	f := newFaulty(t)
	address := freeAddress(t)
	exporter := command(t, append(f.flags, "--web.listen-address="+address)...)
	metrics := start(t, address, exporter)
	f.expect("before", f.scrape(metrics), well)
	f.SetProxyLatency("qlik2", 500*time.Millisecond)
	before := f.Requests().SessionLists
	var stopping sync.WaitGroup
	stopping.Go(func() {
		for f.Requests().SessionLists == before {
			time.Sleep(time.Millisecond) // until it is in progress
		}
		if err := exporter.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	f.expect("at SIGTERM", f.scrape(metrics), well)
	stopping.Wait()
	if err := exporter.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

// writeSites writes a configuration file for sites described by flags.
func writeSites(t *testing.T, sites map[string][]string) (path string) {
	t.Helper()
	var file strings.Builder
	file.WriteString("sites:\n")
	for _, name := range slices.Sorted(maps.Keys(sites)) {
		fmt.Fprintf(&file, "  %s:\n", name)
		settings := make(map[string][]string)
		for _, flag := range sites[name] {
			key, value, _ := strings.Cut(strings.TrimPrefix(flag, "--qlik."), "=")
			key = strings.ReplaceAll(key, "-", "_")
			settings[key] = append(settings[key], strconv.Quote(value))
		}
		for _, key := range slices.Sorted(maps.Keys(settings)) {
			value := "[" + strings.Join(settings[key], ", ") + "]"
			if key == "cert_dir" || key == "timeout" {
				value = settings[key][0]
			}
			fmt.Fprintf(&file, "    %s: %s\n", key, value)
		}
	}
	path = filepath.Join(t.TempDir(), "sites.yml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
