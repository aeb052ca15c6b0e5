package guard

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
)

// TestLimitReached checks which endings count.
func TestLimitReached(t *testing.T) {
	t.Parallel()
	next := journal.Intent{By: By, Site: "emea", User: `LAB\anna`, Sessions: 1}
	dryRun := next
	dryRun.By = ByDryRun
	of := func(n int, by, site, user string) []journal.Recent {
		var recent []journal.Recent
		for i := range n {
			name := user
			if user == "" {
				name = fmt.Sprint(`LAB\user`, i)
			}
			recent = append(recent, journal.Recent{By: by, Site: site, User: name, Sessions: 1})
		}
		return recent
	}
	for _, test := range []struct {
		name   string
		recent []journal.Recent
		next   journal.Intent
		users  int // with sessions
		want   Reason
	}{
		{"nothing", nil, next, 100, ""},
		{"nine of the user", of(9, By, "emea", next.User), next, 100, ""},
		{"ten of the user", of(10, By, "emea", next.User), next, 100, UserLimit},
		{"ten of the user at another site", of(10, By, "apac", next.User), next, 100, ""},
		{"ten of the user by the desk", of(10, "desk", "emea", next.User), next, 100, ""},
		{"ten of the user by the dry run", of(10, ByDryRun, "emea", next.User), next, 100, ""},
		{"the dry run after ten of the user", of(10, By, "emea", next.User), dryRun, 100, ""},
		{"the dry run after ten of its own", of(10, ByDryRun, "emea", next.User), dryRun, 100, UserLimit},
		{"59 of 100 users", of(59, By, "emea", ""), next, 100, ""},
		{"60 of 100 users", of(60, By, "emea", ""), next, 100, SiteLimit},
		{"60 of 100 users at another site", of(60, By, "apac", ""), next, 100, ""},
		{"60 of 100 users by the desk", of(60, "desk", "emea", ""), next, 100, ""},
		{"499 of 1000 users", of(499, By, "emea", ""), next, 1000, ""},
		{"500 of 1000 users", of(500, By, "emea", ""), next, 1000, SiteLimit},
	} {
		if got := limitReached(test.recent, &test.next, test.users); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestLimitOfUser checks that at most ten sessions of a user end within an hour, also over
// restarts. Anna opens a window every four minutes.
func TestLimitOfUser(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	var record *journal.Journal
	w := newWorld(t, nil)
	restart := func() {
		if record != nil {
			if err := record.Close(); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if record, err = journal.Open(journal.Config{Path: path, Now: w.now, Logger: log.NewNopLogger()}); err != nil {
			t.Fatal(err)
		}
		w.guard.config.Journal = record
		restarted := New(w.guard.config)
		restarted.site, restarted.watched = w, w.guard.watched
		w.guard = restarted
	}
	restart()
	t.Cleanup(func() { _ = record.Close() })
	w.pass(40*time.Minute, nil)
	n := 0
	w.pass(4*time.Hour, func() {
		if n++; n%8 == 0 && len(w.of("anna")) < 5 {
			w.login("anna")
		}
		if n%50 == 0 {
			restart()
		}
	})
	most := 0
	for i, last := range w.ended {
		within := 0
		for _, each := range w.ended[:i+1] {
			if last.at-each.at < time.Hour {
				within++
			}
		}
		most = max(most, within)
	}
	if most != maxOfUser {
		t.Errorf("%d of %d sessions ended within an hour", most, len(w.ended))
	}
}

// TestLimitOfSite checks that at most sixty sessions end within an hour, in looks of fifty.
func TestLimitOfSite(t *testing.T) {
	t.Parallel()
	for _, dryRun := range []bool{false, true} {
		w := newWorld(t, func(c *Config) { c.DryRun = dryRun })
		w.crowd(85)
		w.pass(15*time.Minute, nil)
		counts := w.guard.Counts()
		if counts.Ended != maxOfSite || counts.HeldBack[string(SiteLimit)] != 25 {
			t.Errorf("dry run %t: %d sessions ended, held back: %v", dryRun, counts.Ended, counts.HeldBack)
		}
		if really := len(w.ended); dryRun != (really == 0) {
			t.Errorf("dry run %t: %d sessions ended really", dryRun, really)
		}
	}
}

// crowd watches a site, and then opens windows of a number of users.
func (w *world) crowd(users int) {
	w.pass(40*time.Minute, nil)
	w.crowdNow(users)
}

// crowdNow opens four windows of each of a number of users.
func (w *world) crowdNow(users int) {
	for window := range 4 {
		for i := range users {
			w.login(fmt.Sprint("user", i))
		}
		if window < 3 {
			w.pass(30*time.Second, nil)
		}
	}
}
