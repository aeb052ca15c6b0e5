package guard

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/simulated"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var (
	weekSeeds  = flag.Int("week.seeds", 1, "number of simulated weeks of each test of weeks")
	weekDays   = flag.Int("week.days", 1, "number of days of a simulated week")
	weekPeople = flag.Int("week.people", 160, "number of people of a simulated week")
)

// week is a simulated week of an office.
type week struct {
	*simulated.Site

	t       *testing.T
	guard   *Guard // nil for none
	office  *qliktest.Office
	journal *memoryJournal
	idle    time.Duration

	mu           sync.Mutex             // guards the fields below
	ids          map[qlik.SessionID]int // how often each session ended
	ended, inUse int                    // sessions that the guard ended, and those of them that had been in use
}

// memoryJournal is a journal without a file.
type memoryJournal struct {
	now func() time.Time

	mu      sync.Mutex // guards the fields below
	recent  []journal.Recent
	largest int // number of sessions within an hour
}

func (j *memoryJournal) Recent() []journal.Recent {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.within()
}

func (j *memoryJournal) within() []journal.Recent {
	for len(j.recent) > 0 && j.now().Sub(j.recent[0].At) > time.Hour {
		j.recent = j.recent[1:]
	}
	return j.recent
}

func (j *memoryJournal) Begin(intent journal.Intent, allow func([]journal.Recent) error) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if allow != nil {
		if err := allow(j.within()); err != nil {
			return "", err
		}
	}
	j.recent = append(j.recent, journal.Recent{At: j.now(), By: intent.By, Site: intent.Site, User: intent.User, Sessions: intent.Sessions})
	j.largest = max(j.largest, len(j.recent))
	return fmt.Sprint(len(j.recent)), nil
}

func (j *memoryJournal) Check() error { return nil }

func (j *memoryJournal) Finish(string, journal.Result) error { return nil }

// ServiceAccounts implements Site.
func (w *week) ServiceAccounts() []qlik.User { return nil }

// EndSession implements Site. It checks that nobody has used the session.
func (w *week) EndSession(ctx context.Context, s *headroom.Snapshot, id qlik.SessionID) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, session := range w.Site.Site.Sessions() {
		if session.ID == string(id) && w.Clock.Now().Sub(session.LastActivity) < w.idle {
			w.inUse++
		}
	}
	ended, err := w.Site.EndSession(ctx, s, id)
	if ended {
		w.ended++
		w.ids[id]++
	}
	return ended, err
}

// weekConfig are the parts of a week that tests vary.
type weekConfig struct {
	seed     int
	mode     string // "off", "on", or "dry-run"
	activity qliktest.Activity
	tail     qliktest.Tail
	idle     time.Duration // 0 for ten minutes
}

// newWeek starts a week.
func newWeek(t *testing.T, c weekConfig) *week {
	t.Helper()
	config := qliktest.Company(*weekPeople)
	config.Activity, config.Tail, config.Seed = c.activity, c.tail, uint64(c.seed)
	w := &week{t: t, Site: simulated.Start(t, config, headroom.Config{}), idle: cmp.Or(c.idle, 10*time.Minute)}
	w.office = qliktest.NewOffice(w.Site.Site, uint64(c.seed))
	if c.mode != "off" {
		w.startGuard(c.mode == "dry-run")
	}
	return w
}

func (w *week) startGuard(dryRun bool) {
	w.ids, w.journal = make(map[qlik.SessionID]int), &memoryJournal{now: w.Clock.Now}
	w.guard = New(Config{
		DryRun: dryRun, Idle: w.idle, CoolingTime: headroom.DefaultCoolingTime, Logger: log.NewNopLogger(), Now: w.Clock.Now,
		Uptime: func() time.Duration { return w.Clock.Now().Sub(simulated.Monday) },
	})
	w.guard.site = w
	if !dryRun {
		w.guard.config.Journal = w.journal
	}
}

// run simulates the week. The guards look at each snapshot at the same time.
func (w *week) run(guards ...*Guard) {
	w.Watch(w.office, simulated.Monday.AddDate(0, 0, *weekDays), 30*time.Second, func(s *headroom.Snapshot) {
		var looks sync.WaitGroup
		for _, g := range guards {
			looks.Go(func() { g.look(w.t.Context(), s) })
		}
		looks.Wait()
	})
}

// runWeek simulates a week.
func runWeek(t *testing.T, c weekConfig) *week {
	t.Helper()
	w := newWeek(t, c)
	if w.guard == nil {
		w.run()
	} else {
		w.run(w.guard)
	}
	return w
}

// results are sums over all seeds.
type results struct {
	without, with int // refused logins
	ended         int
	wouldEnd      int // in the dry run
	prevented     [readings]int
}

// TestWeeks compares simulated weeks with the guard with the same weeks without it, and with
// what a dry run predicts. The bounds are for the sum of all seeds.
func TestWeeks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("simulates days")
	}
	for _, test := range []struct {
		name    string
		tail    qliktest.Tail
		reading int
		share   float64 // of the refused logins that are left at most
	}{
		{"a slot freed below the limit is free at once", qliktest.TailAtLimit, tailAtLimit, 0.15},
		{"each slot cools", qliktest.TailAlways, tailAlways, 0.3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sum results
			for seed := 1; seed <= *weekSeeds; seed++ {
				c := weekConfig{seed: seed, mode: "off", tail: test.tail}
				without := runWeek(t, c)
				c.mode = "on"
				with := runWeek(t, c)
				c.mode = "dry-run"
				dry := runWeek(t, c)
				predicted := dry.guard.Counts()
				prevented := predicted.DryRun.Prevented
				t.Logf("seed %d: of %d logins %d were refused, with the guard %d; it ended %d (at most %d in an hour); the dry run would have ended %d, prevented %v, %d were used again; held back %v",
					seed, without.office.Logins(), without.office.Refused(), with.office.Refused(), with.ended, with.journal.largest,
					predicted.Ended, prevented, predicted.DryRun.Returned, with.heldBack())
				if with.inUse > 0 {
					t.Errorf("seed %d: %d of %d ended sessions had been in use", seed, with.inUse, with.ended)
				}
				if dry.ended > 0 || dry.office.Refused() != without.office.Refused() {
					t.Errorf("seed %d: the dry run has ended %d sessions", seed, dry.ended)
				}
				if most := max(maxOfSite, *weekPeople/2); with.journal.largest > most {
					t.Errorf("seed %d: %d sessions ended within an hour, more than %d", seed, with.journal.largest, most)
				}
				sum.without += without.office.Refused()
				sum.with += with.office.Refused()
				sum.ended += with.ended
				sum.wouldEnd += int(predicted.Ended)
				for reading, name := range readingNames {
					sum.prevented[reading] += int(prevented[name])
				}
			}
			truth, prevented := sum.without-sum.with, sum.prevented[test.reading]
			t.Logf("refused %d, with the guard %d; ended %d; dry run: ended %d, prevented %d of %d", sum.without, sum.with, sum.ended, sum.wouldEnd, prevented, truth)
			if float64(sum.with) > test.share*float64(sum.without) {
				t.Errorf("%d of %d refused logins are left", sum.with, sum.without)
			}
			most := truth
			if *weekSeeds < 10 {
				most += truth / 10 // a single week may differ a little
			}
			if prevented > most || 3*prevented < 2*truth {
				t.Errorf("the dry run says that the guard prevents %d refused logins, but it prevents %d", prevented, truth)
			}
			if 3*sum.wouldEnd < 2*sum.ended || 3*sum.wouldEnd > 4*sum.ended {
				t.Errorf("the dry run says that the guard ends %d sessions, but it ends %d", sum.wouldEnd, sum.ended)
			}
		})
	}
}

// heldBack returns the reasons that were counted.
func (w *week) heldBack() map[string]uint64 {
	counts := w.guard.Counts().HeldBack
	maps.DeleteFunc(counts, func(_ string, n uint64) bool { return n == 0 })
	return counts
}

// TestCoarseWeeks checks that the guard does nothing, and says why, on sites that record
// activity so rarely or so late that a session in use may look idle.
func TestCoarseWeeks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("simulates days")
	}
	for _, test := range []weekConfig{
		{activity: qliktest.ActivityEvery5Minutes},
		{activity: qliktest.ActivityEvery10Minutes},
		{activity: qliktest.ActivityAtStart},
		{activity: qliktest.ActivityInBatches},
		{activity: qliktest.ActivityInBatches, idle: 25 * time.Minute}, // no idle time is long enough
	} {
		t.Run(fmt.Sprint(test.activity, " ", test.idle), func(t *testing.T) {
			t.Parallel()
			for seed := 1; seed <= min(*weekSeeds, 3); seed++ {
				for _, mode := range []string{"on", "dry-run"} {
					test.seed, test.mode = seed, mode
					w := runWeek(t, test)
					why := w.heldBack()
					t.Logf("seed %d, %s: ended %d, held back %v", seed, mode, w.guard.Counts().Ended, why)
					if w.ended > 0 || w.guard.Counts().Ended > 0 {
						t.Errorf("seed %d, %s: %d sessions ended, %d of them in use", seed, mode, w.guard.Counts().Ended, w.inUse)
					}
					if why[string(ActivityRare)]+why[string(ActivityUnknown)] == 0 {
						t.Errorf("seed %d, %s: held back: %v", seed, mode, why)
					}
				}
			}
		})
	}
}

// TestTwoGuards checks two exporters with a guard each for one site, which the documentation
// forbids: no session in use ends, no session ends twice, and each guard keeps its limits.
func TestTwoGuards(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("simulates a day")
	}
	first := newWeek(t, weekConfig{seed: 1, mode: "on"})
	second := &week{t: t, Site: first.Site, idle: first.idle}
	second.startGuard(false)
	first.run(first.guard, second.guard)
	for _, w := range []*week{first, second} {
		if w.inUse > 0 || w.journal.largest > max(maxOfSite, *weekPeople/2) {
			t.Errorf("%d sessions in use ended, at most %d in an hour", w.inUse, w.journal.largest)
		}
	}
	for id, times := range first.ids {
		if times += second.ids[id]; times > 1 {
			t.Errorf("the session %s ended %d times", id, times)
		}
	}
	t.Logf("ended %d and %d", first.ended, second.ended)
	if first.ended == 0 {
		t.Error("nothing ended")
	}
}
