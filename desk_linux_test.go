package main

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// room sets how many bytes the journal can still grow. To the exporter, the end of them is
// like a full disk.
func (d *deskOf) room(more uint64) {
	d.Helper()
	info, err := os.Stat(d.journal)
	if err != nil {
		d.Fatal(err)
	}
	limit := unix.Rlimit{Cur: more, Max: math.MaxUint64}
	if more < math.MaxUint64 {
		limit.Cur += uint64(info.Size())
	}
	if err := unix.Prlimit(d.pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		d.Skip("cannot limit the size of files:", err)
	}
}

// ask sends a request of ada to the desk.
func (d *deskOf) ask(path, body string) (status int, text string) {
	d.Helper()
	status, text, err := d.send(http.MethodPost, d.desk+path, "ada", body)
	if err != nil {
		d.Fatal(err)
	}
	return status, text
}

// works waits until the desk accepts requests again.
func (d *deskOf) works() {
	d.Helper()
	for range 300 {
		if status, _ := d.ask("/api/plan", `{}`); status == http.StatusBadRequest {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.Fatal("the desk does not work again")
}

// TestDeskOnFullDisk checks that nothing ends that cannot be recorded, that metrics and pages
// of the exporter go on, that a result without room is written as soon as there is, and that
// the desk works again by itself.
func TestDeskOnFullDisk(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	d := startDesk(t, f)

	body := fmt.Sprintf(`{"plan":%q}`, d.plan("anna"))
	d.room(100) // for a part of the intent
	for range 2 {
		if status, text := d.ask("/api/free", body); status != http.StatusServiceUnavailable {
			t.Errorf("without room for the intent: %d %s", status, text)
		}
	}
	if deletes := f.Requests().Deletes; deletes > 0 || len(f.Sessions()) != 3 {
		t.Errorf("%d requests to end a session", deletes)
	}
	for path, want := range map[string]string{"/metrics": `qlik_desk_refused_total{reason="not_recorded"} 1`, "/sessions": "anna"} {
		if status, text, err := d.send(http.MethodGet, d.exporter+path, "", ""); err != nil || status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s of the exporter: %d %v", path, status, err)
		}
	}
	d.room(math.MaxUint64)
	d.works()

	for _, node := range []string{"qlik1", "qlik2"} {
		f.SetProxyLatency(node, 500*time.Millisecond)
	}
	body = fmt.Sprintf(`{"plan":%q}`, d.plan("anna"))
	answered := make(chan int, 1)
	go func() {
		status, _, _ := d.send(http.MethodPost, d.desk+"/api/free", "ada", body)
		answered <- status
	}()
	d.awaitIntent()
	d.room(0) // for the result
	if status := <-answered; status != http.StatusOK || len(f.Sessions()) > 0 {
		t.Errorf("without room for the result: %d, %d sessions are left", status, len(f.Sessions()))
	}
	if status, text := d.ask("/api/plan", `{}`); status != http.StatusServiceUnavailable {
		t.Errorf("while a result is not recorded: %d %s", status, text)
	}
	if report := d.verify(); len(report.Open) != 1 {
		t.Errorf("before the result is recorded: %+v", report)
	}
	d.room(math.MaxUint64)
	d.works()
	d.signal(syscall.SIGTERM)
	if err := d.wait(); err != nil {
		t.Error(err)
	}
	if report := d.verify(); report.Entries != 3 || len(report.Open) > 0 || report.Torn > 0 {
		t.Errorf("%+v", report)
	}
}
