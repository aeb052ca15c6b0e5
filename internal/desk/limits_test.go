package desk

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
)

// TestLimits checks how many sessions may end: at the border of each limit, an hour later,
// and after a restart. Only what the desk ended counts, with what may have ended.
func TestLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "journal")
	open := func() *journal.Journal {
		t.Helper()
		j, err := journal.Open(journal.Config{Path: path, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	defer func() { _ = j.Close() }()
	end := func(by, operator, site, user string, result journal.Result) {
		t.Helper()
		id, err := j.Begin(journal.Intent{By: by, Operator: operator, Site: site, User: user, Sessions: result.Ended + result.AlreadyGone + result.Failed}, nil)
		if err == nil {
			err = j.Finish(id, result)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(about string, n int, limit, operator, site, user string) {
		t.Helper()
		if got, of := left(j.Recent(), operator, site, user); got != n || !strings.Contains(of, limit) {
			t.Errorf("%s: %d may end, because of %q; want %d, %q", about, got, of, n, limit)
		}
	}
	want("nothing ended", 3, "user", "user:kim", "a", "anna")
	end(By, "user:kim", "a", "anna", journal.Result{Ended: 2, AlreadyGone: 5, LeftAlone: 3})
	want("two ended", 1, "user", "user:kim", "a", "anna")
	want("another operator", 1, "user", "user:lee", "a", "anna")
	want("another user", 3, "user", "user:kim", "a", "bert")
	want("another site", 3, "user", "user:kim", "b", "anna")
	end("guard", "", "a", "anna", journal.Result{Ended: 3})
	want("the guard", 1, "user", "user:kim", "a", "anna")
	end(By, "user:lee", "a", "anna", journal.Result{Failed: 1})
	want("a failed request may have ended it", 0, "user", "user:kim", "a", "anna")
	end(By, "user:lee", "a", "anna", journal.Result{Ended: 1})
	want("more than the limit", 0, "user", "user:kim", "a", "anna")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open()
	want("after a restart", 0, "user", "user:kim", "a", "anna")

	for i := range 26 {
		end(By, "user:kim", "b", fmt.Sprint("user", i), journal.Result{Ended: 1})
	}
	want("28 by the operator", 2, "operator", "user:kim", "b", "new")
	end(By, "user:kim", "c", "other", journal.Result{Ended: 2})
	want("30 by the operator, over all sites", 0, "operator", "user:kim", "d", "new")
	want("not by another operator", 3, "user", "user:lee", "b", "new")
	want("certificates are others", 3, "user", "cert:kim", "b", "new")
	for i := range 29 {
		end(By, fmt.Sprint("user:", i), "b", fmt.Sprint("user", 100+i), journal.Result{Ended: 1})
	}
	want("55 on the site", 3, "user", "user:lee", "b", "new")
	end(By, "user:zoe", "b", "zoe", journal.Result{Ended: 3})
	want("58 on the site", 2, "site", "user:lee", "b", "new")
	end(By, "user:zoe", "b", "zac", journal.Result{Ended: 2})
	want("60 on the site", 0, "site", "user:lee", "b", "new")
	now = now.Add(time.Hour)
	want("exactly an hour later", 0, "site", "user:lee", "b", "new")
	now = now.Add(time.Millisecond)
	want("later", 3, "user", "user:kim", "b", "zoe")

	// What an intent without a result ended is unknown, so it counts as a whole.
	if _, err := j.Begin(journal.Intent{By: By, Operator: "user:kim", Site: "a", User: "anna", Sessions: 3}, nil); err != nil {
		t.Fatal(err)
	}
	want("in progress", 0, "user", "user:lee", "a", "anna")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open()
	want("unknown after a restart", 0, "user", "user:lee", "a", "anna")
}

// TestStopFile checks that the desk stops unless the file certainly does not exist.
func TestStopFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for path, stops := range map[string]bool{
		"": false, filepath.Join(folder, "none"): false, filepath.Join(folder, "none", "none"): false,
		folder: true, write(t, "stop", ""): true, write(t, "file", "") + "/stop": true, folder + "/" + strings.Repeat("x", 5000): true,
	} {
		d := &Desk{config: Config{StopFile: path}}
		if got := d.stopped(); (got != nil) != stops {
			t.Errorf("%.80s: %v", path, got)
		}
	}
}

// TestStopFileAtLast checks that nothing begins to end if the stop file appears while an
// execution reads the site.
func TestStopFileAtLast(t *testing.T) {
	t.Parallel()
	j, err := journal.Open(journal.Config{Path: filepath.Join(t.TempDir(), "journal")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	d := &Desk{config: Config{StopFile: write(t, "stop", ""), Journal: j}}
	before := j.Entries()
	_, err = d.record(operator{"user:kim", helpdesk}, "", new(waiting), nil)
	if why, ok := errors.AsType[*refusal](err); !ok || why.reason != stopFile || j.Entries() != before {
		t.Errorf("%v, %d lines were written", err, j.Entries()-before)
	}
}
