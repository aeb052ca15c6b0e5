//go:build slow

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestGuard lets the guard of a real exporter end a window, in real time. Anna opens four
// windows, and uses only the last one.
func TestGuard(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	journal := filepath.Join(folder, "journal.jsonl")
	users := people("anna")
	for i := range 10 {
		users = append(users, people(fmt.Sprint("busy", i))...)
	}
	s := startSite(t, "emea", qliktest.Config{
		Nodes:          []qliktest.Node{{Name: "qlik1"}},
		VirtualProxies: []qliktest.VirtualProxy{{InactivityTimeout: 6 * time.Minute}},
		Users:          users,
	}, "--guard=on", "--guard.idle=5m", "--guard.virtual-proxy=/", "--desk.journal-file="+journal, "--log.format=json")
	used := make([]qliktest.Session, 0, len(users))
	for i := range 10 {
		used = append(used, s.login(t, fmt.Sprint("busy", i), 1))
	}
	began := time.Now()
	pass := func(until time.Duration) metrics {
		var last metrics
		for time.Since(began) < until {
			for _, session := range used {
				s.Touch(session.ID)
			}
			last = s.scrape(t)
			time.Sleep(15 * time.Second) // the guard looks as often; its shortest idle time is five real minutes
		}
		return last
	}
	pass(4 * time.Minute)
	windows := s.logins(t, 4)
	used = append(used, windows[3])
	last := pass(9 * time.Minute)
	if got := last.value(`qlik_guard_ended_sessions_total{mode="on"}`); got != "0" {
		t.Errorf("the guard has ended %s sessions before one was idle for five minutes", got)
	}
	if got := last.value(`qlik_guard_held_back_total{reason="activity_unknown"}`); got != "1" {
		t.Errorf("held back because the site was not watched long enough: %s users", got)
	}
	last = pass(9*time.Minute + 45*time.Second)
	if got := last.value(`qlik_guard_ended_sessions_total{mode="on"}`); got != "1" {
		t.Errorf("the guard has ended %s sessions, want 1:\n%s", got, s.stderr.String())
	}
	for i, window := range windows {
		if alive := s.Touch(window.ID); alive != (i > 0) {
			t.Errorf("window %d: alive %t", i, alive)
		}
	}
	for browser := range 2 {
		if session := s.login(t, "anna", 10+browser); !session.Granted {
			t.Errorf("new window %d was refused", browser)
		}
	}

	s.stop(t)
	content, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(content), `"by":"guard"`); n != 1 || strings.Count(string(content), `"ended":1`) != 1 {
		t.Errorf("the journal:\n%s", content)
	}
	if strings.Contains(string(content), windows[0].ID) || strings.Contains(s.stderr.String(), windows[0].ID) {
		t.Error("the journal or the log contains the id of a session")
	}
	if output, err := exec.Command(exporter, "desk", "verify", journal).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
