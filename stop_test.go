//go:build !windows

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// stopWithin is the maximum time from SIGTERM to the end of the process.
const stopWithin = 5 * time.Second

// fifo replaces a file with a FIFO. Opening it never returns, like opening a file of a
// network share that does not respond.
func fifo(t *testing.T, path string) {
	t.Helper()
	_ = os.Remove(path) // may not exist
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestStopsInTime checks that the exporter ends within five seconds of SIGTERM,
// whatever blocks, and without an error if it served.
func TestStopsInTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		command string
		before  func(t *testing.T, f *faulty, dir string) (flags []string)
		during  func(t *testing.T, f *faulty, dir, address string)
		fails   bool
	}{
		"nothing": {},
		"a FIFO as audit log": {before: func(t *testing.T, _ *faulty, dir string) []string {
			t.Helper()
			fifo(t, filepath.Join(dir, "audit.txt"))
			return []string{"--qlik.audit-log=qlik1=" + filepath.Join(dir, "audit.txt")}
		}},
		"a certificate folder that does not respond": {during: func(t *testing.T, f *faulty, dir, address string) {
			t.Helper()
			fifo(t, filepath.Join(dir, "client.pem"))
			f.expect("meanwhile", f.scrape("http://"+address+"/metrics"), well)
		}},
		"a certificate folder that does not respond from the start": {fails: true, before: func(t *testing.T, _ *faulty, dir string) []string {
			t.Helper()
			fifo(t, filepath.Join(dir, "client.pem"))
			return nil
		}},
		"a certificate folder that does not respond to check": {command: "check", fails: true, before: func(t *testing.T, _ *faulty, dir string) []string {
			t.Helper()
			fifo(t, filepath.Join(dir, "client.pem"))
			return nil
		}},
		"a client that does not read": {during: func(t *testing.T, _ *faulty, _, address string) {
			t.Helper()
			connection, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = connection.Close() })
			if err := connection.SetWriteDeadline(time.Now().Add(2 * time.Second)); err != nil {
				t.Fatal(err)
			}
			for err == nil { // until no more fits into the buffers on the way
				_, err = io.WriteString(connection, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
			}
		}},
		"a client that does not send": {during: func(t *testing.T, _ *faulty, _, address string) {
			t.Helper()
			connection, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = connection.Close() })
			if _, err := io.WriteString(connection, "POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}},
		"a node that hangs": {during: func(t *testing.T, f *faulty, _, address string) {
			t.Helper()
			f.SetProxyFault("qlik2", qliktest.Hanging)
			f.SetRepositoryFault("qlik1", qliktest.Hanging)
			for _, path := range []string{"/metrics", "/sessions"} {
				connection, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = connection.Close() })
				if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t)
			dir := strings.TrimPrefix(f.flags[0], "--qlik.cert-dir=")
			address := freeAddress(t)
			arguments := slices.Concat(f.flags, []string{"--web.listen-address=" + address})
			if test.command != "" {
				arguments = append([]string{test.command}, arguments...)
			}
			if test.before != nil {
				arguments = append(arguments, test.before(t, f, dir)...)
			}
			exporter := command(t, arguments...)
			var log bytes.Buffer
			exporter.Stdout, exporter.Stderr = io.Discard, &log
			if err := exporter.Start(); err != nil {
				t.Fatal(err)
			}
			if test.fails {
				time.Sleep(time.Second) // until it blocks, which nobody can observe
			} else {
				awaitListener(t, address)
				f.scrape("http://" + address + "/metrics")
			}
			if test.during != nil {
				test.during(t, f, dir, address)
			}
			client.CloseIdleConnections()
			begin := time.Now()
			if err := exporter.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(3*stopWithin, func() { _ = exporter.Process.Kill() }).Stop()
			err := exporter.Wait()
			if took := time.Since(begin); took > stopWithin || (err != nil) != test.fails {
				t.Errorf("ended %s after SIGTERM with %v\n%s", took, err, &log)
			}
		})
	}
}

// TestPortIsNamedAlone checks that the error about a port in use names only the flag,
// and the environment variable, that gives the port.
func TestPortIsNamedAlone(t *testing.T) {
	f := newFaulty(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address := listener.Addr().String()
	want := "error: --web.listen-address: another program listens on " + address + "\n"
	if out, err := command(t, append(f.flags, "--web.listen-address="+address)...).CombinedOutput(); err == nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("%v, want %q in %s", err, want, out)
	}
	t.Setenv("QLIK_EXPORTER_WEB_LISTEN_ADDRESS", address)
	want = "error: --web.listen-address (QLIK_EXPORTER_WEB_LISTEN_ADDRESS): another program listens on "
	if out, err := command(t, f.flags...).CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v, want %q in %s", err, want, out)
	}
}
