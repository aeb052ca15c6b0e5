package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// typist runs a command on a terminal of 100 columns and 24 rows.
type typist struct {
	*testing.T

	console *os.File // the other end of the terminal
	running *exec.Cmd

	mu     sync.Mutex
	output string
	read   chan struct{} // closed when the terminal is
}

// onTerminal starts a command with its three streams on a terminal.
func onTerminal(t *testing.T, args ...string) *typist {
	t.Helper()
	console, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal can be had here:", err)
	}
	t.Cleanup(func() { _ = console.Close() })
	fd := int(console.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100})
	}
	if err != nil {
		t.Skip("no terminal can be had here:", err)
	}
	terminal, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminal can be had here:", err)
	}
	d := &typist{T: t, console: console, running: command(t, args...), read: make(chan struct{})}
	d.running.Stdin, d.running.Stdout, d.running.Stderr = terminal, terminal, terminal
	d.running.Env = append(d.running.Env, "TERM=xterm", "NO_COLOR=", "QLIK_EXPORTER_DIRECT=true")
	d.running.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that Ctrl-C interrupts it
	if err := d.running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.running.Process.Kill() }) // if it still runs
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.read)
		buffer := make([]byte, 4096)
		for {
			n, err := console.Read(buffer)
			d.mu.Lock()
			d.output += string(buffer[:n])
			d.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return d
}

// seen returns everything that was on the terminal.
func (d *typist) seen() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.output
}

// await waits until a text is on the terminal.
func (d *typist) await(text string) {
	d.Helper()
	for range 3000 {
		if strings.Contains(d.seen(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.Fatalf("no %q in\n%s", text, d.seen())
}

func (d *typist) write(keys string) {
	d.Helper()
	if _, err := d.console.WriteString(keys); err != nil {
		d.Fatal(err)
	}
}

// end waits for the end of the command and returns its exit status and what was on the
// terminal.
func (d *typist) end() (status int, seen string) {
	d.Helper()
	_ = d.running.Wait() // the status tells
	<-d.read
	if line := regexp.MustCompile(`(?m)^.*\b(level|caller)=.*$`).FindString(d.seen()); line != "" {
		d.Errorf("a person reads a line of a log: %s", line)
	}
	return d.running.ProcessState.ExitCode(), d.seen()
}

const ctrlC = "\x03"

// TestOnTerminal checks what a person at a terminal sees of a site with a node that fails: no
// log, and what is known at once.
func TestOnTerminal(t *testing.T) {
	site, flags := startSite(t, qliktest.Config{
		Nodes:          []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}, {Name: "qlik3"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}},
		Users:          []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Analyzer}},
	})
	login := func(device string) {
		t.Helper()
		if _, err := site.Login("LAB", "anna", device, "", "qlik1"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		login(fmt.Sprint("device", i))
	}

	t.Run("watch", func(t *testing.T) {
		d := onTerminal(t, append(flags, "sessions", "--watch", "--interval=5s")...)
		d.await(`LAB\anna  3`)
		login("phone")
		d.await(`+1      1     LAB\anna  4`)
		d.write(ctrlC)
		status, seen := d.end()
		_, after, restored := strings.Cut(seen, "\x1b[?25h\x1b[?1049l")
		if status != 0 || !restored || !strings.Contains(after, `LAB\anna  4`) || !strings.Contains(seen, "Ctrl-C ends.") {
			t.Errorf("status %d, on the terminal\n%q", status, seen)
		}
	})
	t.Run("end", func(t *testing.T) {
		site.SetProxyFault("qlik2", qliktest.Refused)
		d := onTerminal(t, append(flags, "sessions", "end", "--user=anna", "--all")...)
		d.await("End 4 sessions of LAB\\anna? [y/N] ")
		d.write("y\n")
		status, seen := d.end()
		if status != 2 || !strings.Contains(seen, "Incomplete: 4 of 6 links") || !strings.Contains(seen, "Ended 4 sessions of LAB\\anna.") {
			t.Errorf("status %d, on the terminal\n%s", status, seen)
		}
	})
	t.Run("check", func(t *testing.T) {
		site.SetProxyFault("qlik2", qliktest.Hanging)
		d := onTerminal(t, append(flags, "check", "--qlik.timeout=1h")...)
		d.await("Waiting for qlik2:4243: request")
		d.await("qlik3 /sales")
		d.write(ctrlC)
		status, seen := d.end()
		if status != 1 || !strings.Contains(seen, "error: interrupted") || strings.Contains(seen, "FAIL") {
			t.Errorf("status %d, on the terminal\n%s", status, seen)
		}
		_, cleared, _ := strings.Cut(seen, "Waiting for")
		if !strings.Contains(cleared, "\r\x1b[K") {
			t.Error("the line about what is waited for stays")
		}
	})
}

// TestInPipe checks that a program that reads a pipe gets the results of check as soon as they
// are known.
func TestInPipe(t *testing.T) {
	site, flags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}}})
	site.SetProxyFault("qlik2", qliktest.Hanging)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	checking := command(t, append(flags, "check", "--qlik.timeout=1h")...)
	pipe, err := checking.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := checking.Start(); err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { _ = checking.Process.Kill() })
	var output strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(output.String(), "link                qlik1 /") {
		n, err := pipe.Read(buffer)
		if err != nil {
			t.Fatalf("%v after\n%s", err, &output)
		}
		output.Write(buffer[:n])
	}
	stop()
	_ = checking.Wait() // it was killed
	if strings.Contains(output.String(), "\x1b") {
		t.Errorf("escape sequences in a pipe: %q", &output)
	}
}
