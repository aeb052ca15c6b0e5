package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	readyWithin = 30 * time.Second // time in which a started program must answer
	stopsWithin = 20 * time.Second // time in which a program must exit after a signal
)

// program is a program that a test has started.
type program struct {
	name           string
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{} // closed when the program has ended
}

// start starts a program with additional environment variables. If the program
// still runs at the end of the test, start stops it, and it must exit cleanly.
func start(t *testing.T, command *exec.Cmd) *program {
	t.Helper()
	p := &program{name: command.Args[0], cmd: command, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// A separate process group, so that the test can also end the program's
	// children.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = stopsWithin
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%v; see the top of main_test.go for what these tests need", err)
	}
	go func() {
		_ = p.cmd.Wait() // p.cmd.ProcessState has the result
		close(p.ended)
	}()
	t.Cleanup(func() {
		if p.running() {
			p.stop(t)
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // remaining processes of the group
		if t.Failed() {
			t.Logf("%s wrote to standard output:\n%s\nand to standard error:\n%s", p.name, tail(p.stdout.String(), 40), tail(p.stderr.String(), 40))
		}
	})
	return p
}

func (p *program) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// terminate sends SIGTERM to the program, as a service manager does.
func (p *program) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// interrupt does what Ctrl-C does in a terminal: it signals the program and its
// children.
func (p *program) interrupt(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// wait waits until the program has ended and returns its exit code, or -1 if a
// signal ended it.
func (p *program) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(stopsWithin):
		_ = p.cmd.Process.Kill()
		t.Fatalf("%s did not end within %s", p.name, stopsWithin)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop terminates the program, which must exit with code 0.
func (p *program) stop(t *testing.T) {
	t.Helper()
	begin := time.Now()
	p.terminate(t)
	code := p.wait(t)
	expect(t, code == 0, p.name+" exits with code 0 after SIGTERM", fmt.Sprintf("code %d after %s", code, since(begin)))
}

// waitReady waits until the program answers url with status 200.
func (p *program) waitReady(t *testing.T, url string) {
	t.Helper()
	p.waitFor(t, "an answer of "+url, readyWithin, func() bool {
		response, err := httpClient.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// waitFor waits until a condition holds while the program runs.
func (p *program) waitFor(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if !p.running() {
			t.Fatalf("waiting for %s: %s has ended: %s", what, p.name, p.cmd.ProcessState)
		}
		if time.Since(begin) > within {
			t.Fatalf("waiting for %s: not within %s", what, within)
		}
	}
}

// output is the output of a program so far.
type output struct {
	mu      sync.Mutex
	written bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.written.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.written.String()
}

// tail returns the last lines of a text.
func tail(text string, most int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

func since(begin time.Time) time.Duration { return time.Since(begin).Round(time.Millisecond) }

// freePort returns an unused port of the loopback interface. Another process
// could take the port before the program does, but that is rare enough.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		// The port is below the ephemeral port range. Otherwise, a simulated site
		// could take the port before the program does.
		port := strconv.Itoa(10_000 + int(nextPort.Add(1)%20_000))
		if listener, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:" + freePort(t)
}

// nextPort is the next port that freePort tries.
var nextPort = func() *atomic.Uint32 {
	at := new(atomic.Uint32)
	at.Store(rand.Uint32N(20_000)) // other test processes may run at the same time
	return at
}()

// httpClient sends requests to the programs, with a timeout.
var httpClient = &http.Client{Timeout: 20 * time.Second}

// get sends a request to a program and returns the response, which must have
// status 200.
func get(url string, header http.Header) (body string, answered http.Header, err error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", nil, err
	}
	request.Header = header
	response, err := httpClient.Do(request)
	if err != nil {
		return "", nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(content), response.Header, err
}

// exists reports whether a file or folder exists.
func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
