package headroom

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// deny adds a refusal of LAB\id to the audit log, some time before now.
func (s *scenario) deny(id string, reason qlik.RefusalReason, ago time.Duration) {
	all := qlik.Refusals{}
	maps.Copy(all, s.refusals)
	refusals := append(slices.Clone(all[lab(id)]), qlik.Refusal{At: s.now.Add(-ago), Reason: reason})
	slices.SortFunc(refusals, func(a, b qlik.Refusal) int { return b.At.Compare(a.At) })
	all[lab(id)] = refusals
	s.refusals = all
}

// granted makes the rows those of the first five sessions of anna.
func (s *scenario) granted() { s.rows("anna1", "anna2", "anna3", "anna4", "anna5") }

// atLimit logs anna in five times, with or without usage rows.
func (s *scenario) atLimit(rows bool) {
	s.analyzers("anna", "ben")
	s.scrape(15 * time.Second)
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	if rows {
		s.granted()
	}
	s.scrape(15 * time.Second)
}

// tick scrapes again. The rows, if any, are read again and have not changed.
func (s *scenario) tick() {
	s.now = s.now.Add(15 * time.Second)
	if s.usage != nil {
		s.usage = NewUsage(s.usage.rows, s.now, s.now)
	}
	s.observe()
}

// TestRefusedLogins checks that each refused login counts once, whichever way it is seen.
func TestRefusedLogins(t *testing.T) {
	const (
		limit = qlik.RefusedSessionLimit
		none  = qlik.RefusedNoLicense
	)
	tick := (*scenario).tick
	for _, test := range []struct {
		name string
		rows bool
		do   func(s *scenario)
		want string // by session limit, for want of a license
	}{
		{"nobody is refused", true, tick, "0 0"},
		{"a session without a slot", true, func(s *scenario) { s.login("n1/", "anna6"); tick(s); tick(s); tick(s) }, "1 0"},
		{"two sessions without a slot", true, func(s *scenario) { s.login("n1/", "anna6", "anna7"); tick(s); tick(s) }, "2 0"},
		{"one after the other", true, func(s *scenario) {
			s.login("n1/", "anna6")
			tick(s)
			tick(s)
			s.login("n1/", "anna7")
			tick(s)
			tick(s)
		}, "2 0"},
		{"a session whose row comes in the next round", true, func(s *scenario) {
			s.logout("n1/", "anna5")
			s.rows("anna1", "anna2", "anna3", "anna4")
			tick(s)
			s.login("n1/", "anna6")
			s.scrape(5 * time.Second)
			s.rows("anna1", "anna2", "anna3", "anna4", "anna6")
			tick(s)
		}, "0 0"},
		{"a session whose row ends", true, func(s *scenario) {
			s.login("n1/", "anna6")
			s.rows("anna1", "anna2", "anna3", "anna4", "anna6")
			tick(s)
			s.granted()
			tick(s)
		}, "0 0"},
		{"a session of somebody without a license", true, func(s *scenario) {
			s.login("n1/", "eve1", "eve2", "eve3", "eve4", "eve5", "eve6")
			tick(s)
			tick(s)
		}, "0 0"},
		{"a user without a limit", true, func(s *scenario) {
			s.login("n1/", "robot1", "robot2", "robot3", "robot4", "robot5", "robot6")
			tick(s)
			tick(s)
		}, "0 0"},

		{"a session beyond the limit", false, func(s *scenario) { s.login("n1/", "anna6"); tick(s); tick(s) }, "1 0"},
		{"three sessions beyond the limit", false, func(s *scenario) { s.login("n1/", "anna6", "anna7", "anna8"); tick(s); tick(s) }, "3 0"},
		{"up to the limit and beyond", false, func(s *scenario) {
			s.login("n1/", "ben1", "ben2", "ben3", "ben4", "ben5", "ben6")
			tick(s)
		}, "1 0"},
		{"sessions beyond the limit of somebody without a license", false, func(s *scenario) {
			s.login("n1/", "eve1", "eve2", "eve3", "eve4", "eve5", "eve6")
			tick(s)
		}, "0 0"},
		{"one ends and one begins beyond the limit", false, func(s *scenario) {
			s.login("n1/", "anna6")
			tick(s)
			s.logout("n1/", "anna1")
			s.login("n1/", "anna7")
			tick(s)
		}, "2 0"},
		{"beyond the limit only by a session whose start was not seen", false, func(s *scenario) {
			s.links = append(s.links, newLink("n2/"))
			s.login("n2/", "anna6")
			tick(s)
			tick(s)
		}, "0 0"},

		{"a denial", true, func(s *scenario) { s.deny("anna", limit, time.Second); tick(s); tick(s) }, "1 0"},
		{"a denial for want of a license", true, func(s *scenario) { s.deny("eve", none, time.Second); tick(s); tick(s) }, "0 1"},
		{"of both reasons", true, func(s *scenario) { s.deny("eve", none, time.Second); s.deny("eve", limit, time.Second); tick(s) }, "1 1"},
		{"of two users", true, func(s *scenario) { s.deny("eve", none, time.Second); s.deny("ben", none, time.Second); tick(s) }, "0 2"},
		{"several denials of one attempt", true, func(s *scenario) {
			s.deny("anna", limit, 3*time.Second)
			s.deny("anna", limit, 2*time.Second)
			tick(s)
			s.deny("anna", limit, time.Second)
			tick(s)
		}, "1 0"},
		{"denials further apart", true, func(s *scenario) {
			s.deny("eve", none, time.Second)
			tick(s)
			s.scrape(sameLogin)
			s.deny("eve", none, time.Second)
			tick(s)
		}, "0 2"},
		{"a log that arrives late and out of order", true, func(s *scenario) {
			s.scrape(20 * time.Minute)
			s.deny("eve", none, time.Second)
			tick(s)
			s.deny("eve", none, 10*time.Minute)
			s.deny("eve", none, 10*time.Minute+time.Second)
			tick(s)
		}, "0 2"},
		{"a denial from before the exporter", true, func(s *scenario) { s.deny("anna", limit, time.Hour); tick(s) }, "0 0"},

		{"a session, then its denial", true, func(s *scenario) {
			s.login("n1/", "anna6")
			tick(s)
			tick(s)
			s.deny("anna", limit, 20*time.Second)
			tick(s)
		}, "1 0"},
		{"a denial, then its session", true, func(s *scenario) {
			s.deny("anna", limit, time.Second)
			tick(s)
			s.login("n1/", "anna6")
			tick(s)
			tick(s)
		}, "1 0"},
		{"both at once", false, func(s *scenario) { s.login("n1/", "anna6"); s.deny("anna", limit, time.Second); tick(s); tick(s) }, "1 0"},
		{"one denial, two sessions", false, func(s *scenario) {
			s.deny("anna", limit, time.Second)
			tick(s)
			s.login("n1/", "anna6", "anna7")
			tick(s)
		}, "2 0"},
		{"a session and a denial with the other text", false, func(s *scenario) {
			s.login("n1/", "anna6")
			tick(s)
			s.deny("anna", none, time.Second)
			tick(s)
		}, "1 0"},
		{"one denial with the other text, two sessions", false, func(s *scenario) {
			s.deny("anna", none, time.Second)
			tick(s)
			s.login("n1/", "anna6", "anna7")
			tick(s)
		}, "1 1"},
		{"tried again in the same window after a while", true, func(s *scenario) {
			s.login("n1/", "anna6")
			tick(s)
			tick(s)
			for range 5 {
				s.scrape(4 * time.Minute)
				tick(s)
				s.deny("anna", limit, time.Second)
				tick(s)
			}
		}, "1 0"},
		{"tried again in the same window, which is closed then", true, func(s *scenario) {
			s.login("n1/", "anna6")
			tick(s)
			tick(s)
			s.scrape(4 * time.Minute)
			tick(s)
			s.deny("anna", limit, time.Second)
			tick(s)
			s.logout("n1/", "anna6")
			tick(s)
			tick(s)
		}, "1 0"},
		{"the window is closed, and another one tried", true, func(s *scenario) {
			s.login("n1/", "anna6")
			tick(s)
			tick(s)
			s.logout("n1/", "anna6")
			tick(s)
			s.scrape(sameLogin)
			s.deny("anna", limit, time.Second) // of a session that no list showed
			tick(s)
		}, "2 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScenario(t, "n1/")
			s.atLimit(test.rows)
			test.do(s)
			refused := s.snapshot.Tracking.Refused
			if got := fmt.Sprint(refused[string(limit)], refused[string(none)]); got != test.want || len(refused) != 2 {
				t.Errorf("got %s, want %s: %v", got, test.want, refused)
			}
			last := slices.Collect(s.snapshot.RefusedLogins.Last(s.now))
			for _, reason := range qlik.RefusalReasons() {
				if shown := slices.ContainsFunc(last, func(l LastRefused) bool { return l.Reason == reason }); shown != (refused[string(reason)] > 0) {
					t.Errorf("%s: %v for %d refused logins", reason, last, refused[string(reason)])
				}
			}
			before, lastBefore := s.state.tracking(), len(last)
			s.login("n1/", "ben1", "ben2", "ben3", "ben4", "ben5", "ben6", "ben7")
			preview := s.state.Preview(s.round())
			compare(t, "counters in a preview", preview.Tracking, before)
			compare(t, "last refused logins in a preview", len(slices.Collect(preview.RefusedLogins.Last(s.now))), lastBefore)
		})
	}
}

// checkRefused checks that the snapshot counts each refused login by a reason and a cause.
func checkRefused(t *testing.T, s *Snapshot) {
	t.Helper()
	reasons, causes := uint64(0), uint64(0)
	for _, n := range s.Tracking.Refused {
		reasons += n
	}
	for _, cause := range Causes() {
		n, counted := s.Tracking.RefusedCauses[cause]
		if !counted {
			t.Errorf("%s: no counter of the cause %s", s.Time.Format(time.TimeOnly), cause)
		}
		causes += n
	}
	if reasons != causes || len(s.Tracking.RefusedCauses) != len(Causes()) {
		t.Errorf("%s: %d refused logins, %d by cause: %v", s.Time.Format(time.TimeOnly), reasons, causes, s.Tracking.RefusedCauses)
	}
}

// TestCausesOfRefusedLogins checks by which cause a refused login counts.
func TestCausesOfRefusedLogins(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(s *scenario)
		want map[Cause]uint64
	}{
		{"nobody is refused", func(*scenario) {}, nil},
		{"sessions start without end", func(s *scenario) {
			s.login("n1/", "anna6")
			s.tick()
			s.tick()
		}, map[Cause]uint64{CauseRunaway: 1}},
		{"one more session after a page", func(s *scenario) {
			s.scrape(3 * time.Minute)
			s.login("n1/", "anna6")
			s.tick()
			s.tick()
		}, map[Cause]uint64{CauseEmbeddedPage: 1}},
		{"two users", func(s *scenario) {
			s.login("n1/", "anna6")
			s.tick()
			s.deny("eve", qlik.RefusedNoLicense, time.Second)
			s.tick()
		}, map[Cause]uint64{CauseRunaway: 1, CauseNoLicense: 1}},
		{"of somebody who holds a license", func(s *scenario) {
			s.deny("ben", qlik.RefusedNoLicense, time.Second)
			s.refusals[lab("ben")][0].License = qlik.LicenseAnalyzer
			s.tick()
		}, map[Cause]uint64{CauseLicenseService: 1}},
		{"a log that is read late", func(s *scenario) {
			s.scrape(RecentRefusal)
			s.deny("eve", qlik.RefusedNoLicense, RecentRefusal)
			s.tick()
		}, map[Cause]uint64{CauseNoLicense: 1}},
		{"a log of somebody with a license that is read late", func(s *scenario) {
			s.scrape(RecentRefusal)
			s.deny("ben", qlik.RefusedNoLicense, RecentRefusal)
			s.refusals[lab("ben")][0].License = qlik.LicenseAnalyzer
			s.tick()
		}, map[Cause]uint64{CauseUnknown: 1}},
		{"at the limit, and the log is read late", func(s *scenario) {
			s.scrape(RecentRefusal)
			s.deny("ben", qlik.RefusedSessionLimit, RecentRefusal)
			s.tick()
		}, map[Cause]uint64{CauseUnknown: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScenario(t, "n1/")
			s.atLimit(true)
			test.do(s)
			counted := maps.Clone(s.snapshot.Tracking.RefusedCauses)
			maps.DeleteFunc(counted, func(_ Cause, n uint64) bool { return n == 0 })
			if !maps.Equal(counted, test.want) {
				t.Errorf("got %v, want %v", counted, test.want)
			}
		})
	}
}

// TestLastRefused checks when a user was last refused for each reason, whichever way that was
// seen, and that it is known for a day.
func TestLastRefused(t *testing.T) {
	const limit, none = qlik.RefusedSessionLimit, qlik.RefusedNoLicense
	s := newScenario(t, "n1/")
	s.atLimit(true)
	last := func() map[string]string {
		all := make(map[string]string)
		for l := range s.snapshot.RefusedLogins.Last(s.now) {
			all[l.User.ID+" "+string(l.Reason)] = l.At.Sub(morning).String()
		}
		return all
	}
	s.expect("nobody", last(), map[string]string{})

	s.login("n1/", "anna6")
	s.tick()
	s.tick()
	s.deny("ben", none, 5*time.Second)
	s.tick()
	s.expect("a session and a line", last(), map[string]string{"anna session_limit": "45s", "ben no_license": "55s"})

	s.scrape(3 * time.Minute)
	s.deny("anna", limit, 0) // in the same window
	s.deny("ben", limit, 0)
	s.deny("eve", none, time.Hour) // from before the exporter
	s.tick()
	s.expect("again", last(), map[string]string{"anna session_limit": "4m15s", "ben no_license": "55s", "ben session_limit": "4m15s"})

	s.now = morning.Add(24 * time.Hour)
	s.scrape(4*time.Minute + 14*time.Second)
	s.expect("after a day", last(), map[string]string{"anna session_limit": "4m15s", "ben session_limit": "4m15s"})
	s.scrape(time.Second)
	s.expect("after more than a day", last(), map[string]string{})
}

// TestRefusedLoginsSeldomScraped checks that rare rounds do not count a login twice.
func TestRefusedLoginsSeldomScraped(t *testing.T) {
	s := newScenario(t, "n1/")
	s.atLimit(false)
	s.login("n1/", "anna6")
	s.scrape(10 * time.Minute)
	s.deny("anna", qlik.RefusedSessionLimit, 9*time.Minute)
	s.logout("n1/", "anna6")
	s.scrape(10 * time.Minute)
	s.expect("refused logins", s.snapshot.Tracking.Refused[string(qlik.RefusedSessionLimit)], uint64(1))
}

// TestRefusedLoginsAreLimited checks that refused users do not make the state grow without
// limit, and that forgotten refusals do not count again.
func TestRefusedLoginsAreLimited(t *testing.T) {
	s := newScenario(t, "n1/")
	s.observe()
	refusals := qlik.Refusals{}
	const extra = 100
	s.now = s.now.Add(24 * time.Hour)
	for i := range maxRefusedUsers + extra {
		refusals[lab(fmt.Sprint(i))] = []qlik.Refusal{{At: s.now.Add(-time.Duration(i) * time.Second), Reason: qlik.RefusedNoLicense}}
	}
	s.refusals = refusals
	s.observe()
	count := func() uint64 { return s.snapshot.Tracking.Refused[string(qlik.RefusedNoLicense)] }
	s.expect("counted", count(), uint64(maxRefusedUsers+extra))
	if n := len(s.state.refused.of); n > maxRefusedUsers {
		t.Errorf("%d users are kept", n)
	}
	s.scrape(15 * time.Second)
	s.expect("not again", count(), uint64(maxRefusedUsers+extra))
	for i := range maxRefusedLogins + extra {
		s.now = s.now.Add(3 * time.Minute)
		s.refusals = qlik.Refusals{lab("1"): {{At: s.now, Reason: qlik.RefusedNoLicense}}}
		s.observe()
		s.expect(fmt.Sprint(i), count(), uint64(maxRefusedUsers+extra+i+1))
	}
	if n := len(s.state.refused.of[lab("1")]); n > maxRefusedLogins {
		t.Errorf("%d logins of a user are kept", n)
	}
	s.now = s.now.Add(rememberRefused + time.Minute)
	s.refusals = qlik.Refusals{lab("2"): {{At: s.now, Reason: qlik.RefusedNoLicense}}}
	s.observe()
	if n := len(s.state.refused.of); n != 1 {
		t.Errorf("%d users are kept after a day", n)
	}
}
