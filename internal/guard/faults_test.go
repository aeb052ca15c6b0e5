package guard

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestStopFileInBatch checks that nothing more begins to end after the stop file was created.
func TestStopFileInBatch(t *testing.T) {
	t.Parallel()
	stop := filepath.Join(t.TempDir(), "stop")
	w := newWorld(t, func(c *Config) { c.StopFile = stop })
	w.ending = func() {
		if err := os.WriteFile(stop, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	w.crowd(40)
	w.pass(15*time.Minute, nil)
	counts := w.guard.Counts()
	if len(w.ended) == 0 || len(w.ended) > maxAtOnce {
		t.Errorf("%d sessions have ended, want at most the %d requests in progress", len(w.ended), maxAtOnce)
	}
	if held := counts.HeldBack[string(StopFile)]; int(held)+len(w.ended) != 40 {
		t.Errorf("%d have ended, %d were held back", len(w.ended), held)
	}
}

// faultyJournal is a journal that cannot be written.
type faultyJournal struct {
	*memoryJournal

	begin, finish error
}

func (j *faultyJournal) Begin(intent journal.Intent, allow func([]journal.Recent) error) (string, error) {
	if j.begin != nil {
		return "", j.begin
	}
	return j.memoryJournal.Begin(intent, allow)
}

func (j *faultyJournal) Finish(id string, result journal.Result) error {
	return errors.Join(j.finish, j.memoryJournal.Finish(id, result))
}

// TestFullDisk checks that nothing ends that cannot be recorded, and that the guard goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		begin, finish error
		ended         int
		heldBack      uint64 // not_recorded
	}{
		{"no intent can be written", syscall.ENOSPC, nil, 0, 3},
		{"no result can be written", nil, syscall.ENOSPC, 3, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.guard.config.Journal = &faultyJournal{&memoryJournal{now: w.now}, test.begin, test.finish}
			w.crowd(3)
			w.pass(15*time.Minute, nil)
			if held := w.guard.Counts().HeldBack[string(NotRecorded)]; len(w.ended) != test.ended || held != test.heldBack {
				t.Errorf("%d sessions have ended, %d were held back", len(w.ended), held)
			}
		})
	}
}

// blockedJournal blocks in Begin until it is released, like a journal in which the desk
// writes to a slow disk.
type blockedJournal struct {
	Journal

	blocked, release chan struct{}
}

func (j *blockedJournal) Begin(intent journal.Intent, allow func([]journal.Recent) error) (string, error) {
	j.blocked <- struct{}{}
	<-j.release
	return j.Journal.Begin(intent, allow)
}

// TestStop checks that the guard stops at once, and leaves a whole journal without an open
// intent.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		fault   func(g *guarded, during chan struct{})
		results string // in the journal
	}{
		{"while it waits", func(_ *guarded, during chan struct{}) { go func() { during <- struct{}{} }() }, ""},
		{"during the second read", func(g *guarded, during chan struct{}) {
			g.between = func(int) {
				g.server.SetProxyFault("qlik1", qliktest.Hanging)
				go func() { time.Sleep(time.Second); during <- struct{}{} }()
			}
		}, ""},
		{"during the request that ends a session", func(g *guarded, during chan struct{}) {
			g.ending = func(int) {
				g.server.SetProxyFault("qlik1", qliktest.Hanging)
				go func() { time.Sleep(time.Second); during <- struct{}{} }()
			}
		}, "0001"},
		{"before the journal is written", func(g *guarded, during chan struct{}) {
			blocked := &blockedJournal{g.journal, make(chan struct{}), make(chan struct{})}
			g.guard.config.Journal = blocked
			go func() {
				<-blocked.blocked
				during <- struct{}{}
				time.Sleep(time.Second)
				close(blocked.release)
			}()
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := start(t, nil, nil)
				var windows []string
				for i := range 4 {
					windows = append(windows, g.login("anna", fmt.Sprint(i), ""))
					g.pass(time.Minute, windows[i])
				}
				g.pass(5*time.Minute, windows[3])
				during := make(chan struct{})
				test.fault(g, during)
				passing := make(chan struct{})
				go func() {
					defer close(passing)
					for range 10 {
						time.Sleep(30 * time.Second)
						for _, id := range append(g.busy, windows[3]) {
							g.server.Touch(id)
						}
						g.guard.Saw(g.Snapshot(t.Context()))
					}
				}()
				<-during
				begun := time.Now()
				g.stopRun()
				if took := time.Since(begun); took > time.Second {
					t.Errorf("the guard stopped after %s", took)
				}
				if left := g.exist(windows); left != "0 1 2 3" {
					t.Errorf("the windows %s are left", left)
				}
				if results := g.results(); results != test.results {
					t.Errorf("the journal has the results %s, want %s", results, test.results)
				}
				if err := g.journal.Close(); err != nil {
					t.Error(err)
				}
				report := verify(t, filepath.Join(filepath.Dir(g.stopFile), "journal.jsonl"))
				if len(report.Open) > 0 {
					t.Errorf("the journal has open intents: %v", report.Open)
				}
				<-passing
			})
		})
	}
}

// verify verifies a journal that may have open intents.
func verify(t *testing.T, path string) journal.Report {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	report, err := journal.Verify(f)
	if err != nil || len(report.Problems) > 0 || report.Torn > 0 {
		t.Errorf("the journal is not whole: %+v, %v", report.Problems, err)
	}
	return report
}

// TestDryRun checks that the dry run sends no request, and counts the same without a journal
// and with one that cannot be written.
func TestDryRun(t *testing.T) {
	t.Parallel()
	run := func(change func(*Config)) (counts collector.GuardCounts, requests qliktest.Requests) {
		synctest.Test(t, func(t *testing.T) {
			g := start(t, change, nil)
			var windows []string
			for i := range 6 {
				windows = append(windows, g.login("anna", fmt.Sprint(i%4), []string{"", "sales"}[i/4]))
				g.pass(4*time.Minute, windows[i])
			}
			g.pass(15*time.Minute, windows[5])
			for _, id := range windows { // also those that would have ended
				g.server.Touch(id)
			}
			g.pass(time.Minute)
			counts, requests = g.guard.Counts(), g.server.Requests()
			requests.ProxyConnections, requests.RepositoryConnections = 0, 0 // they depend on chance
			if g.reads.Load() > 0 || len(g.endings) > 0 {
				t.Errorf("%d second reads, %d endings", g.reads.Load(), len(g.endings))
			}
		})
		return counts, requests
	}
	counts, requests := run(func(c *Config) { c.DryRun = true })
	if counts.Ended == 0 || counts.DryRun.Returned == 0 {
		t.Errorf("the counts are %+v", counts)
	}
	for name, change := range map[string]func(*Config){
		"without a journal":     func(c *Config) { c.DryRun, c.Journal = true, nil },
		"with a faulty journal": func(c *Config) { c.DryRun, c.Journal = true, &faultyJournal{begin: syscall.ENOSPC} },
	} {
		others, same := run(change)
		if others.Ended != counts.Ended || !maps.Equal(others.HeldBack, counts.HeldBack) || others.DryRun.Returned != counts.DryRun.Returned {
			t.Errorf("%s: the counts are %+v, want %+v", name, others, counts)
		}
		if fmt.Sprint(same) != fmt.Sprint(requests) {
			t.Errorf("%s: the requests are %v, want %v", name, same, requests)
		}
	}
	// A guard that is off sees no snapshots.
	_, off := run(func(c *Config) { c.DryRun, c.Idle = true, 24*time.Hour })
	if fmt.Sprint(off) != fmt.Sprint(requests) || requests.Deletes > 0 {
		t.Errorf("the requests are %v, without a guard %v", requests, off)
	}
}

// TestReadsNothingInVain checks that the guard does not read the site again while the journal
// cannot be written.
func TestReadsNothingInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := start(t, nil, nil)
		_ = g.journal.Close()
		var windows []string
		for i := range 4 {
			windows = append(windows, g.login("anna", fmt.Sprint(i), ""))
			g.pass(time.Minute, windows[i])
		}
		g.pass(10*time.Minute, windows[3])
		if why := g.heldBack(); g.reads.Load() > 0 || !strings.Contains(why, "not_recorded 1") {
			t.Errorf("%d reads, held back: %s", g.reads.Load(), why)
		}
	})
}

// TestStorm checks that the guard looks at most every 15 seconds, however many scrapes there
// are.
func TestStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Each look reads the site again, but ends nothing.
		g := start(t, func(c *Config) { c.Journal = &faultyJournal{&memoryJournal{now: time.Now}, syscall.ENOSPC, nil} }, nil)
		var windows []string
		for i := range 4 {
			windows = append(windows, g.login("anna", fmt.Sprint(i), ""))
			g.pass(time.Minute, windows[i])
		}
		g.pass(10*time.Minute, windows[3])
		if g.reads.Load() == 0 {
			t.Fatal("the guard has not read the site")
		}
		snapshot, before := g.Snapshot(t.Context()), g.reads.Load()
		var scrapes sync.WaitGroup
		for range 100 {
			scrapes.Go(func() {
				for range 100 {
					g.guard.Saw(snapshot)
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		scrapes.Wait()
		synctest.Wait()
		if reads := g.reads.Load() - before; reads > 1 {
			t.Errorf("%d looks within a second", reads)
		}
		before = g.reads.Load()
		for range 600 {
			g.guard.Saw(snapshot)
			time.Sleep(100 * time.Millisecond)
		}
		if reads := g.reads.Load() - before; reads < 3 || reads > 5 {
			t.Errorf("%d looks within a minute", reads)
		}
	})
}

// TestDashboards checks that the guard learns that a site does not record the activity of open
// dashboards before it ends one.
func TestDashboards(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{15 * time.Minute, 30 * time.Minute, 50 * time.Minute} {
		t.Run(timeout.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.timeout = timeout
			open := func(user string) {
				each := w.login(user)
				each.open = true
			}
			open("display")
			w.pass(2*time.Minute, nil)
			for range 3 {
				open("anna")
			}
			w.login("anna")
			w.pass(2*time.Hour, func() {
				for _, each := range w.of("anna") {
					if !each.open {
						w.use(each)
					}
				}
			})
			if held := w.guard.Counts().HeldBack[string(ActivityRare)]; len(w.ended) > 0 || held == 0 {
				t.Errorf("%d dashboards have ended, held back %d times", len(w.ended), held)
			}
		})
	}
}

// TestWatch checks from when the guard acts.
func TestWatch(t *testing.T) {
	t.Parallel()
	minutes := func(n ...int) []headroom.LinkResult {
		links := make([]headroom.LinkResult, len(n))
		for i := range n {
			links[i].InactivityTimeout = time.Duration(n[i]) * time.Minute
		}
		return links
	}
	for _, test := range []struct {
		links []headroom.LinkResult
		want  time.Duration
	}{
		{nil, 5 * time.Minute},
		{minutes(30, 20), 35 * time.Minute},
		{minutes(60), time.Hour},
		{minutes(24 * 60), time.Hour},
		{minutes(0), time.Hour},
		{minutes(30, 0), time.Hour},
	} {
		rules := &rules{idle: 10 * time.Minute}
		if got := rules.watch(&headroom.Snapshot{Links: test.links}); got != test.want {
			t.Errorf("%v: got %s, want %s", test.links, got, test.want)
		}
	}
}

// TestLateRows checks that the guard watches a site only while there are usage rows: it does
// nothing at first if the repository answers an hour after the start.
func TestLateRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.noRows = true
	w.pass(70*time.Minute, nil)
	w.noRows = false
	w.crowdNow(1)
	w.pass(15*time.Minute, nil)
	if len(w.ended) > 0 {
		t.Errorf("%d sessions have ended within a quarter of an hour", len(w.ended))
	}
	w.pass(25*time.Minute, nil)
	w.crowdNow(1)
	w.pass(15*time.Minute, nil)
	if len(w.ended) == 0 {
		t.Error("no session has ended")
	}
}

// TestImplausible checks that nothing ends while the usage rows do not reflect the sessions.
func TestImplausible(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := start(t, nil, func(c *qliktest.Config, _ *site.Config) { c.NoUsageRows = true })
		var windows []string
		for i := range 4 {
			windows = append(windows, g.login("anna", fmt.Sprint(i), ""))
			g.pass(time.Minute, windows[i])
		}
		g.pass(15*time.Minute, windows[3])
		if left, why := g.exist(windows), g.heldBack(); left != "0 1 2 3" || why != "rows_implausible 1" {
			t.Errorf("the windows %s are left; held back: %s", left, why)
		}
	})
}

// TestEndedRow checks that a slot that cools does not look used again if Qlik writes a later
// activity into its row, so that no other session ends for it.
func TestEndedRow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		dryRun bool
		state  headroom.SlotState
		left   int
	}{
		{"cooling", false, headroom.SlotCooling, 2},
		{"still listed", false, headroom.SlotActive, 1},
		{"in the dry run, it ended by itself", true, headroom.SlotCooling, 1},
	} {
		user := qlik.NewUser("LAB", "anna")
		s := shadows{cooling: headroom.DefaultCoolingTime, dryRun: test.dryRun, users: make(map[qlik.User]*shadow)}
		s.add(&choice{user: user, session: qlik.Session{ID: "1"}, last: noon.Add(-time.Hour)}, noon, false)
		facts := &headroom.Facts{Now: noon.Add(time.Minute), EffectiveHeadroom: 1, Slots: []headroom.Slot{
			{Session: qlik.SessionID("1").Key(), State: test.state, LastActive: noon},
		}}
		s.update(map[qlik.User]*headroom.Facts{user: facts})
		if left := s.left(user, facts); left != test.left {
			t.Errorf("%s: %d slots are left, want %d", test.name, left, test.left)
		}
	}
}
