package headroom

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestActivityInterval measures simulated sites that record activity in all ways, with people
// who act every one to six minutes.
func TestActivityInterval(t *testing.T) {
	t.Parallel()
	const idle = 10 * time.Minute
	for _, test := range []struct {
		kind        qliktest.Activity
		dashboard   bool // one person leaves a dashboard open
		least, most time.Duration
		known       bool // idle times of ten minutes tell
	}{
		{qliktest.ActivityAtOnce, false, time.Minute, 150 * time.Second, true},
		{qliktest.ActivityEvery5Minutes, false, 300 * time.Second, 420 * time.Second, false},
		{qliktest.ActivityEvery10Minutes, false, 600 * time.Second, 780 * time.Second, false},
		{qliktest.ActivityInBatches, false, 500 * time.Second, 600 * time.Second, false},
		{qliktest.ActivityAtStart, false, time.Hour, 3 * time.Hour, false},
		{qliktest.ActivityAtOnce, true, time.Hour, 3 * time.Hour, false},
	} {
		t.Run(fmt.Sprint(test.kind, ", open dashboard ", test.dashboard), func(t *testing.T) {
			t.Parallel()
			w := newOffice(t, test.kind)
			id := ""
			if test.dashboard {
				session, err := w.site.Login(qliktest.CompanyDirectory, w.watcher, "wall", "", "")
				if err != nil {
					t.Fatal(err)
				}
				id = session.ID
			}
			for range 2 * 60 * 4 {
				w.scrape(15 * time.Second)
				if !test.known && w.snapshot.ActivityInterval > 0 && !test.dashboard && w.snapshot.IdleKnown(idle) {
					t.Fatalf("after %s, the interval was %s", w.clock.Now().Sub(morning), w.snapshot.ActivityInterval)
				}
				if id == "" {
					continue
				}
				if !w.site.KeepAlive(id) {
					t.Fatal("the session of the open dashboard has ended")
				}
				w.checkOpenDashboard(id)
			}
			if got := w.snapshot.ActivityInterval; got < test.least || got > test.most {
				t.Errorf("the interval is %s, want between %s and %s", got, test.least, test.most)
			}
			if got := w.snapshot.IdleKnown(idle); got != test.known {
				t.Errorf("idle times of %s tell: %t", idle, got)
			}
		})
	}
}

// office is a company whose site is observed.
type office struct {
	*scenario

	clock   *qliktest.Clock
	site    *qliktest.Site
	people  *qliktest.People
	watcher string // user who only watches a dashboard
	opened  time.Time

	recorded func(at time.Time) time.Time // by the clock of the repository
	down     bool                         // the repository does not answer
}

func newOffice(t *testing.T, kind qliktest.Activity) *office {
	t.Helper()
	w := &office{scenario: newScenario(t), clock: qliktest.NewClock(morning), watcher: "watcher", opened: morning, recorded: rightly}
	config := qliktest.Company(60)
	config.Users = append(config.Users, qliktest.User{Directory: qliktest.CompanyDirectory, ID: w.watcher, License: qliktest.Analyzer, Away: true})
	config.InMemory, config.Now, config.Activity = true, w.clock.Now, kind
	var err error
	if w.site, err = qliktest.Start(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.site.Close)
	w.people = qliktest.NewPeople(w.site, 1)
	for _, v := range w.site.VirtualProxies() {
		for _, node := range config.Nodes {
			link := newLink(node.Name + "/" + v.Prefix)
			link.InactivityTimeout = v.InactivityTimeout
			w.links = append(w.links, link)
		}
	}
	return w
}

// scrape lets people act, and observes the site.
func (w *office) scrape(after time.Duration) {
	w.now = w.now.Add(after)
	w.people.WarmUp(w.clock, w.now)
	for _, link := range w.links {
		link.Sessions = nil
	}
	for _, each := range w.site.Sessions() {
		link := w.link(each.Node + "/" + each.VirtualProxy)
		link.Sessions = append(link.Sessions, session(each.ID, each.Directory, each.UserID, &link.Link))
	}
	kept := w.site.AllUsageRows()
	rows := make([]qlik.UsageRow, len(kept))
	for i, each := range kept {
		rows[i] = qlik.UsageRow{
			Session: qlik.SessionID(each.SessionID).Key(), User: qlik.NewUser(each.Directory, each.UserID),
			License: licenseNames[each.License], LastActivity: w.recorded(each.LatestActivity),
		}
	}
	w.usage = NewUsage(rows, w.now, w.now)
	w.forget(w.down)
	w.observe()
}

// The clocks of the repository.
func rightly(at time.Time) time.Time { return at }

func off(by time.Duration) func(time.Time) time.Time {
	return func(at time.Time) time.Time { return at.Add(by) }
}

// setBack is a clock that was right, or ahead by an hour, until it was set back by an hour.
func setBack(when time.Time, ahead time.Duration) func(time.Time) time.Time {
	return func(at time.Time) time.Time {
		if !at.Before(when) {
			at = at.Add(-time.Hour)
		}
		return at.Add(ahead)
	}
}

// TestIdleIsNotInUse observes a working day in which idle times are wrong for different
// reasons. Whenever the snapshot says that idle times of ten minutes tell, no session that
// looks idle for ten minutes was used in the last five.
func TestIdleIsNotInUse(t *testing.T) {
	t.Parallel()
	const idle = 10 * time.Minute
	day := 8 * time.Hour
	if raceDetector {
		day /= 4
	}
	noon := day / 2 // after the morning
	never := func(*office, time.Duration) {}
	restart := func(w *office, now time.Duration) {
		if now == noon {
			w.state = newScenario(t).state
		}
	}
	outage := func(w *office, now time.Duration) { w.down = now >= noon && now < noon+20*time.Minute }
	for _, test := range []struct {
		name        string
		kind        qliktest.Activity
		clock       func(time.Time) time.Time
		happens     func(w *office, now time.Duration)
		least, most time.Duration // of the interval in the end
		lag         bool          // activity is recorded late in the end
	}{
		{"at once", qliktest.ActivityAtOnce, rightly, never, time.Minute, 150 * time.Second, false},
		{"in batches", qliktest.ActivityInBatches, rightly, never, 9 * time.Minute, 10 * time.Minute, true},
		{"in batches, after a restart of the exporter", qliktest.ActivityInBatches, rightly, restart, 8 * time.Minute, 10 * time.Minute, true},
		{"after a restart of the exporter", qliktest.ActivityAtOnce, rightly, restart, time.Minute, 150 * time.Second, false},
		{"after an outage", qliktest.ActivityAtOnce, rightly, outage, time.Minute, 150 * time.Second, false},
		{"in batches, after an outage", qliktest.ActivityInBatches, rightly, outage, 9 * time.Minute, 10 * time.Minute, true},
		{"behind", qliktest.ActivityAtOnce, off(-3 * time.Minute), never, 4 * time.Minute, 330 * time.Second, true},
		{"ahead", qliktest.ActivityAtOnce, off(time.Hour), never, time.Minute, 150 * time.Second, false},
		{"in batches, ahead", qliktest.ActivityInBatches, off(time.Hour), never, 5 * time.Minute, 5 * time.Minute, false},
		{"set back", qliktest.ActivityAtOnce, setBack(morning.Add(noon), 0), never, time.Hour, 65 * time.Minute, true},
		{"in batches, set back", qliktest.ActivityInBatches, setBack(morning.Add(noon), 0), never, time.Hour, 75 * time.Minute, true},
		{"set right", qliktest.ActivityAtOnce, setBack(morning.Add(noon), time.Hour), never, time.Minute, 150 * time.Second, false},
		{"set back, and a restart of the exporter", qliktest.ActivityAtOnce, setBack(morning.Add(noon), 0), restart, time.Hour, 65 * time.Minute, true},
		{"set back in an outage", qliktest.ActivityAtOnce, setBack(morning.Add(noon+10*time.Minute), 0), outage, time.Hour, 90 * time.Minute, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newOffice(t, test.kind)
			w.recorded = test.clock
			for now := time.Duration(0); now < day; now += 15 * time.Second {
				test.happens(w, now)
				w.scrape(15 * time.Second)
				if w.snapshot.IdleKnown(idle) {
					w.checkIdle(idle)
				}
			}
			if got := w.snapshot.ActivityInterval; got < test.least || got > test.most {
				t.Errorf("the interval is %s, want between %s and %s", got, test.least, test.most)
			}
			if got := longest(w.state.activity.lag); (got > 0) != test.lag {
				t.Errorf("activity is recorded late by %s", got)
			}
		})
	}
}

// checkIdle checks that no session that looks idle for a time was used in the last five
// minutes.
func (w *office) checkIdle(idle time.Duration) {
	w.t.Helper()
	usage := w.snapshot.Usage()
	for _, each := range w.site.Sessions() {
		used := w.now.Sub(each.LastActivity)
		shown, known := usage[qlik.SessionID(each.ID)]
		if !known || shown.LastActivity.IsZero() || used > 5*time.Minute || each.UserID == qliktest.CompanyServiceAccount {
			continue
		}
		if looks := w.now.Sub(shown.LastActivity); looks >= idle {
			w.t.Fatalf("%s: a session of %s looks idle for %s, and was used %s ago; the interval is %s",
				w.now.Format(time.TimeOnly), each.UserID, looks, used, w.snapshot.ActivityInterval)
		}
	}
}

// checkOpenDashboard checks that the session of an open dashboard is not idle from when it
// has outlived its timeout.
func (w *office) checkOpenDashboard(id string) {
	w.t.Helper()
	outlived := w.now.Sub(w.opened) > 30*time.Minute+timeoutSlack
	slot := w.snapshot.Facts(qlik.NewUser(qliktest.CompanyDirectory, w.watcher)).Slots[0]
	want := Slot{
		Session: qlik.SessionID(id).Key(), VirtualProxy: slot.VirtualProxy, Node: slot.Node, FirstSeen: slot.FirstSeen, Granted: slot.Granted, Started: slot.Started,
		LastActive: w.opened, State: SlotActive, UsedLater: outlived, FreesAt: slot.FreesAt,
	}
	if !outlived && w.now.Sub(w.opened) >= IdleTime {
		want.State = SlotIdle
	}
	compare(w.t, w.now.Format(time.TimeOnly)+": slot", slot, want)
	if outlived != slot.FreesAt.IsZero() {
		w.t.Errorf("%s: the slot becomes free by %s", w.now.Format(time.TimeOnly), slot.FreesAt)
	}
	if got := w.snapshot.Usage()[qlik.SessionID(id)].UsedLater; got != outlived {
		w.t.Errorf("%s: used later: %t", w.now.Format(time.TimeOnly), got)
	}
	if late := w.now.Sub(w.opened) - 30*time.Minute; late > IdleTime/2 && w.snapshot.IdleKnown(IdleTime) {
		w.t.Errorf("%s: the interval is %s", w.now.Format(time.TimeOnly), w.snapshot.ActivityInterval)
	}
}

// TestPace measures the steps of one session.
func TestPace(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return morning.Add(time.Duration(seconds) * time.Second) }
	type read struct{ at, activity int }
	for _, test := range []struct {
		name  string
		reads []read
		want  uint32 // 0 for none
	}{
		{"never advances", []read{{15, 10}, {30, 10}}, 0},
		{"advances once after its start", []read{{15, 10}, {30, 29}}, 0},
		{"the shortest of several", []read{{15, 10}, {30, 20}, {90, 80}, {120, 115}}, 35},
		{"is not shorter than between the reads", []read{{15, 10}, {300, 250}, {600, 310}}, 300},
		{"the activity of another row", []read{{15, 10}, {15, 14}, {30, 20}, {30, 29}, {90, 80}, {90, 85}}, 60},
		{"an activity in the past", []read{{15, 10}, {30, 20}, {45, 12}, {90, 80}}, 60},
		{"no activity", []read{{15, -1}, {30, -1}}, 0},
	} {
		var p pace
		for _, r := range test.reads {
			activity := at(r.activity)
			if r.activity < 0 {
				activity = time.Time{}
			}
			p.note(activity, at(r.at))
		}
		got := p.step
		if !p.measured() {
			got = 0
		}
		if got != test.want {
			t.Errorf("%s: %d s, want %d s", test.name, got, test.want)
		}
	}
}

// TestLateness checks which sessions show that activity is recorded late: eleven users act
// every minute, and LAB\late has a session on n2 without recorded activity.
func TestLateness(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	for _, test := range []struct {
		name   string
		last   time.Duration                        // of the session, before the morning
		user   string                               // of the session
		before func(s *scenario, now time.Duration) // each minute
		after  time.Duration                        // since the morning
		want   time.Duration
	}{
		{"within its timeout", 0, "late", nil, 29 * minute, minute},
		{"within the slack", 0, "late", nil, 32 * minute, minute},
		{"beyond the slack", 0, "late", nil, 33 * minute, 3 * minute},
		{"an hour", 0, "late", nil, 90 * minute, 60 * minute},
		{"older than the exporter", 40 * minute, "late", nil, 2 * minute, 12 * minute},
		{"a user without a limit", 0, "robot", nil, 90 * minute, minute},
		{"a service account", 0, "service", nil, 90 * minute, minute},
		{"a timeout that is unknown", 0, "late", func(s *scenario, _ time.Duration) { s.link("n2/").InactivityTimeout = 0 }, 90 * minute, minute},
		{"without a row", 0, "late", func(s *scenario, _ time.Duration) { s.rows() }, 90 * minute, 0},
		{"its node does not answer", 0, "late", func(s *scenario, now time.Duration) { s.fail(now > 20*minute) }, 90 * minute, minute},
		{"after an outage of its node", 0, "late", func(s *scenario, now time.Duration) { s.fail(now > 10*minute && now < 40*minute) }, 69 * minute, minute},
		{"long after an outage of its node", 0, "late", func(s *scenario, now time.Duration) { s.fail(now > 10*minute && now < 40*minute) }, 90 * minute, 20 * minute},
		{"after an outage of the repository", 0, "late", func(s *scenario, now time.Duration) { s.forget(now > 10*minute && now < 40*minute) }, 69 * minute, minute},
		{"long after an outage of the repository", 0, "late", func(s *scenario, now time.Duration) { s.forget(now > 10*minute && now < 40*minute) }, 90 * minute, 20 * minute},
		{"after a shorter timeout", 0, "late", func(s *scenario, now time.Duration) { s.shorten(now >= 25*minute) }, 35 * minute, minute},
		{"long after a shorter timeout", 0, "late", func(s *scenario, now time.Duration) { s.shorten(now >= 25*minute) }, 70 * minute, 5 * minute},
		{"after its activity went back", 0, "late", func(s *scenario, now time.Duration) { s.useLate(now < 10*minute) }, 45 * minute, 15 * minute},
		{"a day later", 0, "late", func(s *scenario, now time.Duration) { s.leave(now == 60*minute) }, 24*time.Hour + 30*minute, 29 * minute},
		{"two days later", 0, "late", func(s *scenario, now time.Duration) { s.leave(now == 60*minute) }, 26 * time.Hour, minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScenario(t, "n1/", "n2/")
			s.state.limits.serviceAccounts[lab("service")] = true
			var busy []string
			for i := range measuredSessions + 1 {
				busy = append(busy, fmt.Sprint(strings.Repeat("a", i+1), 1))
			}
			s.login("n1/", busy...)
			s.login("n2/", test.user+"1")
			s.observe()
			for now := minute; now <= test.after; now += minute {
				for _, link := range s.links {
					link.InactivityTimeout = 30 * minute
				}
				s.now = morning.Add(now)
				s.rows(busy...)
				s.usage = NewUsage(append(s.usage.rows, row(test.user+"1", test.user, qlik.LicenseAnalyzer, morning.Add(-test.last))), s.now, s.now)
				if test.before != nil {
					test.before(s, now)
				}
				s.observe()
			}
			s.expect("interval", s.snapshot.ActivityInterval, test.want)
		})
	}
}

// TestDoubts checks which rows show that activity is recorded late, or went back: eleven
// users act every minute, and a session on n2 has other rows.
func TestDoubts(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	type rows []qlik.UsageRow
	at := func(d time.Duration) qlik.UsageRow { return row("late1", "", qlik.LicenseAnalyzer, morning.Add(d)) }
	granted := func(row qlik.UsageRow, d time.Duration) qlik.UsageRow {
		row.Started = morning.Add(d)
		return row
	}
	licensed := func(row qlik.UsageRow) qlik.UsageRow {
		row.License = qlik.LicenseLogin
		return row
	}
	// then returns other rows from the tenth minute.
	then := func(first, after rows) func(time.Duration) rows {
		return func(now time.Duration) rows {
			if now < 10*minute {
				return first
			}
			return after
		}
	}
	unknown := func(of func(now time.Duration) bool) func(*scenario, time.Duration) {
		return func(s *scenario, now time.Duration) { s.forget(of(now)) }
	}
	failing := func(of func(now time.Duration) bool) func(*scenario, time.Duration) {
		return func(s *scenario, now time.Duration) { s.fail(of(now)) }
	}
	between := func(first, last int) func(time.Duration) bool { // in minutes
		return func(now time.Duration) bool { return int(now/minute) >= first && int(now/minute) <= last }
	}
	for _, test := range []struct {
		name      string
		rows      func(now time.Duration) rows
		happens   func(s *scenario, now time.Duration)
		after     time.Duration // since the morning
		lag, back time.Duration
	}{
		{"at once", func(now time.Duration) rows { return rows{at(now)} }, nil, 12 * minute, 0, 0},
		{"ahead", func(now time.Duration) rows { return rows{at(now + time.Hour)} }, nil, 12 * minute, 0, 0},
		{"within the slack", func(now time.Duration) rows { return rows{at(now - minute - lagSlack)} }, nil, 12 * minute, 0, 0},
		{"beyond the slack", func(now time.Duration) rows { return rows{at(now - minute - lagSlack - time.Second)} }, nil, 12 * minute, lagSlack + time.Second, 0},
		{"in batches", func(now time.Duration) rows { return rows{at(now.Truncate(5*minute) - 4*minute)} }, nil, 12 * minute, 3 * minute, 0},
		{"the longest", func(now time.Duration) rows { return rows{at(now/2 - time.Hour)} }, nil, 30 * minute, 74 * minute, 0},
		{"does not advance", then(rows{at(0)}, rows{at(0)}), nil, 12 * minute, 0, 0},

		{"the first row is old", then(nil, rows{at(-20 * minute)}), nil, 12 * minute, 0, 0},
		{"another row is older", then(rows{at(2 * minute)}, rows{at(2 * minute), licensed(at(1 * minute))}), nil, 12 * minute, 0, 0},
		{"another row of the same kind is later", then(rows{at(2 * minute)}, rows{at(2 * minute), at(4 * minute)}), nil, 12 * minute, 0, 0},
		{"a row of another license is later", then(rows{at(2 * minute)}, rows{at(2 * minute), licensed(at(4 * minute))}), nil, 12 * minute, 0, 0},
		{"a row granted later is later", then(rows{granted(at(2*minute), 0)}, rows{granted(at(4*minute), minute)}), nil, 12 * minute, 0, 0},
		{"the first activity of a row", then(rows{{Session: at(0).Session}}, rows{at(4 * minute)}), nil, 12 * minute, 0, 0},
		{
			"the row is older than the session", then(nil, rows{at(-20 * minute)}),
			func(s *scenario, now time.Duration) { s.open(now >= 9*minute) }, 12 * minute, 28 * minute, 0,
		},
		{
			"the row is a little older than the session", then(nil, rows{at(7*minute + 30*time.Second)}),
			func(s *scenario, now time.Duration) { s.open(now >= 9*minute) }, 12 * minute, 0, 0,
		},
		{
			"the session was not listed for a moment", then(rows{at(2 * minute)}, rows{at(2 * minute)}),
			func(s *scenario, now time.Duration) { s.open(now != 8*minute) }, 12 * minute, 0, 0,
		},

		{"in a round without rows", then(rows{at(2 * minute)}, rows{at(4 * minute)}), unknown(between(10, 10)), 12 * minute, 0, 0},
		{"a technical user", then(rows{at(2 * minute)}, rows{at(4 * minute)}), func(s *scenario, _ time.Duration) { s.own("robot") }, 12 * minute, 0, 0},
		{"a service account", then(rows{at(2 * minute)}, rows{at(4 * minute)}), func(s *scenario, _ time.Duration) { s.own("service") }, 12 * minute, 0, 0},
		{"when the node answers again", then(rows{at(2 * minute)}, rows{at(4 * minute)}), failing(between(9, 9)), 12 * minute, 0, 0},
		{"while the node does not answer", then(rows{at(2 * minute)}, rows{at(4 * minute)}), failing(between(10, 12)), 12 * minute, 0, 0},
		{"after an outage of the node", then(rows{at(0)}, rows{at(4 * minute)}), failing(between(2, 8)), 12 * minute, 0, 0},
		{"after an outage of the repository", then(rows{at(0)}, rows{at(4 * minute)}), unknown(between(2, 8)), 12 * minute, 0, 0},
		{"long after an outage of the repository", then(rows{at(0)}, rows{at(6 * minute)}), unknown(between(2, 5)), 12 * minute, 3 * minute, 0},
		{"a day later", then(rows{at(2 * minute)}, rows{at(4 * minute)}), nil, 24 * time.Hour, 5 * minute, 0},
		{"a shorter one later", func(now time.Duration) rows {
			switch {
			case now < 10*minute:
				return rows{at(0)}
			case now < 70*minute:
				return rows{at(minute)}
			default:
				return rows{at(64 * minute)}
			}
		}, nil, 24*time.Hour + 11*minute, 5 * minute, 0},
		{"more than a day later", then(rows{at(2 * minute)}, rows{at(4 * minute)}), nil, 24*time.Hour + 11*minute, 0, 0},

		{"goes back", then(rows{at(8 * minute)}, rows{at(2 * minute)}), nil, 12 * minute, 0, 8 * minute},
		{"goes back, and is recorded late", func(now time.Duration) rows {
			if now < 10*minute {
				return rows{at(now)}
			}
			return rows{at(now - 20*minute)}
		}, nil, 12 * minute, 19 * minute, 20 * minute},
		{"goes back into the future", then(rows{at(2 * time.Hour)}, rows{at(time.Hour)}), nil, 12 * minute, 0, 0},
		{"of a technical user goes back", then(rows{at(8 * minute)}, rows{at(2 * minute)}), func(s *scenario, _ time.Duration) { s.own("robot") }, 12 * minute, 0, 8 * minute},
		{"both rows go back", then(rows{at(7 * minute), licensed(at(8 * minute))}, rows{at(2 * minute), licensed(at(3 * minute))}), nil, 12 * minute, 0, 7 * minute},
		{"the older row goes back", then(rows{at(7 * minute), licensed(at(8 * minute))}, rows{at(2 * minute), licensed(at(8 * minute))}), nil, 12 * minute, 0, 0},
		{"goes back in an outage", then(rows{at(8 * minute)}, rows{at(2 * minute)}), unknown(between(9, 20)), 22 * minute, 0, 19 * minute},
		{"a row of another license disappears", then(rows{at(8 * minute), licensed(at(2 * minute))}, rows{licensed(at(2 * minute))}), nil, 12 * minute, 0, 0},
		{"a row of another license comes instead", then(rows{at(8 * minute)}, rows{licensed(at(2 * minute))}), nil, 12 * minute, 0, 0},
		{"a row granted later disappears", then(rows{granted(at(8*minute), 3*minute), granted(at(2*minute), 0)}, rows{granted(at(2*minute), 0)}), nil, 12 * minute, 0, 0},
		{"a row of the same kind disappears", then(rows{at(8 * minute), at(2 * minute)}, rows{at(2 * minute)}), nil, 12 * minute, 0, 0},
		{"the activity disappears", then(rows{at(8 * minute)}, rows{{Session: at(0).Session, License: qlik.LicenseAnalyzer}}), nil, 12 * minute, 0, 0},
		{"a day after it went back", then(rows{at(8 * minute)}, rows{at(2 * minute)}), nil, 24*time.Hour + 11*minute, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScenario(t, "n1/", "n2/")
			s.state.limits.serviceAccounts[lab("service")] = true
			var busy []string
			for i := range measuredSessions + 1 {
				busy = append(busy, fmt.Sprint(strings.Repeat("a", i+1), 1))
			}
			s.login("n1/", busy...)
			s.own("late")
			for now := time.Duration(0); now <= test.after; now += minute {
				s.now = morning.Add(now)
				s.rows(busy...)
				s.usage = NewUsage(append(s.usage.rows, test.rows(now)...), s.now, s.now)
				if test.happens != nil {
					test.happens(s, now)
				}
				s.observe()
			}
			s.expect("lag", longest(s.state.activity.lag), test.lag)
			s.expect("lateness", longest(s.state.activity.late), test.back)
			s.expect("interval", s.snapshot.ActivityInterval, max(test.back, minute+test.lag))
		})
	}
}

// own gives the session late1 on n2 to a user.
func (s *scenario) own(user string) {
	link := s.link("n2/")
	link.Sessions = []qlik.Session{session("late1", "LAB", user, &link.Link)}
}

// open lists the session late1, or does not.
func (s *scenario) open(is bool) {
	s.own("late")
	if !is {
		s.link("n2/").Sessions = nil
	}
}

// fail sets whether n2 is down.
func (s *scenario) fail(down bool) {
	s.link("n2/").Err = nil
	if down {
		s.link("n2/").Err = errDown
	}
}

// forget leaves the usage rows unknown.
func (s *scenario) forget(down bool) {
	if down {
		s.usage = nil
	}
}

// shorten shortens the timeout from 40 to 30 minutes.
func (s *scenario) shorten(short bool) {
	if !short {
		s.link("n2/").InactivityTimeout += 10 * time.Minute
	}
}

// useLate lets the last row show an activity five minutes after the morning.
func (s *scenario) useLate(shown bool) {
	if shown {
		s.usage.rows[len(s.usage.rows)-1].LastActivity = morning.Add(5 * time.Minute)
	}
}

func (s *scenario) leave(now bool) {
	if now {
		s.logout("n2/", "late1")
	}
}

// TestActivityOfFewSessions checks that ended sessions count, and that few sessions measure
// nothing.
func TestActivityOfFewSessions(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "n1/")
	use := func(id string) {
		s.login("n1/", id)
		for range 3 {
			s.now = s.now.Add(time.Minute)
			s.rows(id)
			s.observe()
		}
		s.logout("n1/", id)
		s.rows()
		s.scrape(time.Minute)
	}
	for i := range 2 * maxEndedSteps {
		use(fmt.Sprint("anna", i))
		want := time.Duration(0)
		if i+1 >= measuredSessions {
			want = time.Minute
		}
		s.expect(fmt.Sprint("interval after ", i+1, " sessions"), s.snapshot.ActivityInterval, want)
	}
	s.expect("steps kept", len(s.state.activity.ended), maxEndedSteps)
	s.usage = nil
	s.scrape(time.Minute)
	s.expect("interval while rows are unknown", s.snapshot.ActivityInterval, time.Minute)
	s.now = s.now.Add(measuredFor + time.Hour)
	s.rows()
	s.observe()
	s.expect("interval a day later", s.snapshot.ActivityInterval, time.Duration(0))
}

// TestIdleKnown compares idle times with the interval.
func TestIdleKnown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		interval, idle time.Duration
		want           bool
	}{
		{0, time.Hour, false},
		{time.Minute, 10 * time.Minute, true},
		{5 * time.Minute, 10 * time.Minute, true},
		{5*time.Minute + time.Second, 10 * time.Minute, false},
		{time.Minute, time.Minute, false},
	} {
		if got := (&Snapshot{ActivityInterval: test.interval}).IdleKnown(test.idle); got != test.want {
			t.Errorf("an interval of %s, idle for %s: %t", test.interval, test.idle, got)
		}
	}
}

// TestUsedLaterIsNotForgotten checks that a user whose sessions have outlived their timeout
// has no forgotten windows, and no predicted slot.
func TestUsedLaterIsNotForgotten(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "n1/")
	s.links[0].InactivityTimeout = 30 * time.Minute
	s.analyzers("anna")
	ids := []string{"anna1", "anna2", "anna3", "anna4", "anna5"}
	s.login("n1/", ids...)
	s.observe()
	rows := func() {
		s.rows(ids...)
		for i := range s.usage.rows {
			s.usage.rows[i].LastActivity = morning
		}
	}
	for _, test := range []struct {
		after time.Duration
		cause Cause
		slot  time.Time
	}{
		{20 * time.Minute, CauseForgottenWindows, morning.Add(35 * time.Minute)},
		{33 * time.Minute, CauseUnknown, time.Time{}},
	} {
		s.now = morning.Add(test.after)
		rows()
		s.observe()
		s.expect("cause", s.user("anna").Judgment.Cause, test.cause)
		s.expect("next slot", s.user("anna").NextSlot, test.slot)
		idle := slices.ContainsFunc(s.snapshot.Facts(lab("anna")).Slots, func(slot Slot) bool { return slot.State == SlotIdle })
		s.expect("idle", idle, test.cause == CauseForgottenWindows)
	}
}
