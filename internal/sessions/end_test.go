package sessions

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestIdleForIncludesItsEdge: with --idle-for a session is chosen from that much
// idle time on.
func TestIdleForIncludesItsEdge(t *testing.T) {
	const idleFor = 15 * time.Minute
	for idle, want := range map[time.Duration]bool{
		0:            false,
		idleFor - 1:  false,
		idleFor:      true,
		idleFor + 1:  true,
		2 * idleFor:  true,
		-time.Second: false, // the repository's clock is ahead
	} {
		sessions := []held{{
			Session:      qlik.Session{Link: &qlik.Link{Node: "qlik1", VirtualProxy: "/"}},
			lastActivity: noon.Add(-idle),
		}}
		if err := choose(sessions, &EndOptions{IdleFor: idleFor}, noon); err != nil || sessions[0].chosen != want {
			t.Errorf("idle for %s: chosen %t, want %t; error %v", idle, sessions[0].chosen, want, err)
		}
	}
}

// TestJournalIsSynced: a line counts as recorded only once it is on the disk.
func TestJournalIsSynced(t *testing.T) {
	// The null device takes every line, and is no disk.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	if null.Sync() == nil {
		t.Skip("this system syncs its null device")
	}
	c := Commands{Logger: log.NewNopLogger()}
	j, err := c.openJournal(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.record(qlik.NewUser("LAB", "anna"), nil); err == nil || !strings.Contains(err.Error(), "--audit-log-file: ") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
	if err := j.file.Close(); err == nil {
		t.Error("the file is still open")
	}
}
