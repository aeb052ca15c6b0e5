package headroom

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// causes returns the cause of LAB\id in the snapshot.
func (s *scenario) cause(id string) Cause { return s.user(id).Judgment.Cause }

// scrapes observes the site every 15 seconds for some time. The rows say that each session
// is used all the time, except those that are not.
func (s *scenario) scrapes(duration time.Duration, unused ...string) {
	for end := s.now.Add(duration); s.now.Before(end); {
		s.now = s.now.Add(15 * time.Second)
		s.use(unused...)
		s.observe()
	}
}

// use writes a usage row for each session. All are used now, except those that are not,
// which keep their last activity.
func (s *scenario) use(unused ...string) {
	before := make(map[qlik.SessionKey]time.Time)
	if s.usage != nil {
		for _, row := range s.usage.rows {
			before[row.Session] = row.LastActivity
		}
	}
	var rows []qlik.UsageRow
	for _, link := range s.links {
		for i := range link.Sessions {
			row := qlik.UsageRow{Session: link.Sessions[i].ID.Key(), User: link.Sessions[i].User, License: qlik.LicenseAnalyzer, LastActivity: s.now}
			for _, id := range unused {
				if last, known := before[row.Session]; known && qlik.SessionID(id).Key() == row.Session {
					row.LastActivity = last
				}
			}
			rows = append(rows, row)
		}
	}
	s.usage = NewUsage(rows, s.now, s.now)
}

// TestCauseOfStarts checks that the starts of sessions tell a cause only if they were seen.
func TestCauseOfStarts(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "early1", "early2", "early3", "early4", "early5")
	s.scrapes(time.Minute)
	s.expect("there before the exporter", s.cause("early"), CauseUnknown)

	s.login("n1/", "page1", "page2", "page3", "page4", "page5")
	s.scrapes(time.Minute)
	s.expect("five at once", s.cause("page"), CauseEmbeddedPage)
	s.scrapes(30 * time.Minute)
	s.expect("half an hour later", s.cause("page"), CauseEmbeddedPage)
	s.expect("still there", s.cause("early"), CauseUnknown)

	for i := range 5 {
		s.login("n2/", fmt.Sprint("person", i))
		s.scrapes(5 * time.Minute)
	}
	s.expect("one after the other", s.cause("person"), CauseSeveralWindows)

	s.login("n2/", "late1", "late2", "late3", "late4", "late5")
	s.now = s.now.Add(3 * time.Minute) // a gap between two scrapes
	s.scrapes(15 * time.Second)
	s.expect("during a gap", s.cause("late"), CauseUnknown)
}

// TestCauseAfterARestart checks that the crowd that comes back after a restart of a proxy
// is no embedded page, and that the cooling slots are those of the restart.
func TestCauseAfterARestart(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.analyzers("anna", "bert", "carl")
	s.scrapes(time.Minute)
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5", "bert1")
	s.scrapes(15 * time.Second)
	s.logout("n1/", "anna1", "anna2", "anna3", "anna4", "anna5", "bert1")
	s.now = s.now.Add(15 * time.Second)
	s.observe() // the rows are still there
	s.expect("restart", s.snapshot.Tracking.Restarts["n1"], uint64(1))
	s.expect("all slots cool", s.user("anna").Judgment, Judgment{CauseProxyRestart, Certain, s.now})
	s.scrapes(5 * time.Minute)
	s.login("n1/", "anna6", "anna7", "anna8", "anna9", "anna10")
	s.scrapes(time.Minute)
	s.expect("back at once", s.cause("anna"), CauseUnknown)
	s.login("n2/", "carl1", "carl2", "carl3", "carl4", "carl5")
	s.scrapes(time.Minute)
	s.expect("on another node", s.cause("carl"), CauseEmbeddedPage)
}

// TestCauseProgram checks that sessions that end and start again are a program if they were
// not used after their start, also those that have ended.
func TestCauseProgram(t *testing.T) {
	for _, used := range []bool{false, true} {
		s := newScenario(t, "n1/")
		s.scrapes(time.Minute)
		var unused []string
		for i := range 11 {
			id := fmt.Sprint("script", i)
			s.login("n1/", id)
			if !used {
				unused = append(unused, id)
			}
			s.scrapes(5*time.Minute, unused...)
			if i >= 4 && i < 10 { // of at most five at a time, the oldest ends
				s.logout("n1/", fmt.Sprint("script", i-4))
			}
		}
		if got := s.cause("script"); used == (got == CauseProgram) {
			t.Errorf("used %t: the cause is %s", used, got)
		}
	}
}

// TestCauseShared checks that the time above three times the limit counts from when it
// began, without a break.
func TestCauseShared(t *testing.T) {
	s := newScenario(t, "n1/")
	s.scrapes(time.Minute)
	ids := make([]string, 16)
	for i := range ids {
		ids[i] = fmt.Sprint("wall", i)
		s.login("n1/", ids[i])
		s.scrapes(150 * time.Second)
	}
	began := s.now.Add(-135 * time.Second)
	s.scrapes(14 * time.Minute)
	s.expect("sixteen", s.user("wall").Judgment, Judgment{CauseSharedAccount, Likely, began})
	s.logout("n1/", ids[0])
	s.scrapes(15 * time.Second)
	s.login("n1/", "wall99")
	s.scrapes(14 * time.Minute)
	if got := s.cause("wall"); got == CauseSharedAccount {
		t.Errorf("14 minutes after a break: %s", got)
	}
}

// TestLeftoverRows checks when a usage row without session is left over.
func TestLeftoverRows(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.link("n1/").InactivityTimeout = 30 * time.Minute
	s.link("n2/").InactivityTimeout = 30 * time.Minute
	s.analyzers("anna")
	s.scrapes(15 * time.Second)
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrapes(30 * time.Second)
	s.logout("n1/", "anna1")
	stays := s.usage.rows
	step := func(after time.Duration) {
		s.now = s.now.Add(after)
		rows := stays
		for i := 1; i < len(rows); i++ { // the other four are used
			rows[i].LastActivity = s.now
		}
		s.usage = NewUsage(rows, s.now, s.now)
		s.observe()
	}
	count := func() int {
		if s.snapshot.LeftoverRows == nil {
			return -1
		}
		return *s.snapshot.LeftoverRows
	}
	step(15 * time.Second)
	s.expect("it cools", []any{s.cause("anna"), count()}, []any{CauseCooling, 0})
	step(10 * time.Minute)
	s.expect("neither cooling nor left over", []any{s.cause("anna"), count()}, []any{CauseEmbeddedPage, 0})
	step(30 * time.Minute)
	s.expect("left over", []any{s.cause("anna"), count()}, []any{CauseLeftoverRows, 1})
	s.link("n2/").Err = errDown
	step(15 * time.Second)
	s.expect("the session may be on the other node", count(), -1)
}

// TestRefusedUsersAreShown checks that a user who was refused has a cause also without any
// session, for fifteen minutes.
func TestRefusedUsersAreShown(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	at := s.now
	refused := func(roles map[qlik.User]bool) UserStatus {
		round := s.round()
		round.Administrators = roles
		round.Refusals = qlik.Refusals{lab("eve"): {{At: at, Reason: qlik.RefusedNoLicense}}}
		s.snapshot, s.state = s.state.Observe(round)
		return s.user("eve")
	}
	eve := refused(map[qlik.User]bool{lab("eve"): false})
	s.expect("without license", []any{eve.Judgment, eve.Present()}, []any{Judgment{CauseNoLicense, Certain, at}, false})
	s.expect("roles are unknown", refused(nil).Judgment, Judgment{CauseNoLicense, Likely, at})
	s.expect("an administrator", refused(map[qlik.User]bool{lab("eve"): true}).Judgment, unknownCause)
	s.now = s.now.Add(15*time.Minute + time.Second)
	s.expect("later", refused(nil), UserStatus{User: lab("eve")})
}

// TestHistoryIsLimited checks that invented users do not make the history grow without limit.
func TestHistoryIsLimited(t *testing.T) {
	h := history{starts: make(map[qlik.User][]start)}
	for i := range maxStarts + 10 {
		h.starts[lab(fmt.Sprint(i))] = []start{{at: morning.Add(-time.Duration(i) * time.Millisecond)}}
	}
	h.starts[lab("old")] = []start{{at: morning.Add(-50 * time.Minute)}}
	h.prune(morning)
	if n := len(h.starts); n > maxStarts {
		t.Errorf("%d starts are kept", n)
	}
	few := history{starts: map[qlik.User][]start{lab("old"): {{at: morning.Add(-50 * time.Minute)}}}}
	if few.prune(morning); len(few.starts) != 1 {
		t.Error("a few starts are not kept")
	}
}

// TestRolesDecide checks that roles are wanted only of users who were just refused for want
// of a license and certainly hold none.
func TestRolesDecide(t *testing.T) {
	at := func(minutes int, reason qlik.RefusalReason) qlik.Refusal {
		return qlik.Refusal{At: morning.Add(-time.Duration(minutes) * time.Minute), Reason: reason}
	}
	refusals := qlik.Refusals{
		lab("early"):       {at(9, qlik.RefusedNoLicense)},
		lab("late"):        {at(1, qlik.RefusedNoLicense), at(2, qlik.RefusedSessionLimit)},
		lab("limit"):       {at(1, qlik.RefusedSessionLimit), at(2, qlik.RefusedNoLicense)},
		lab("licensed"):    {at(1, qlik.RefusedNoLicense)},
		lab("long ago"):    {at(16, qlik.RefusedNoLicense)},
		qlik.AnonymousUser: {at(1, qlik.RefusedNoLicense)},
	}
	licenses := &qlik.Licenses{Certain: true, Holders: map[qlik.User]qlik.LicenseSet{lab("licensed"): qlik.NewLicenseSet(qlik.LicenseAnalyzer)}}
	if got, want := RolesDecide(refusals, licenses, morning), []qlik.User{lab("late"), lab("early")}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	uncertain := *licenses
	uncertain.Certain = false
	for _, l := range []*qlik.Licenses{nil, &uncertain} {
		if got := RolesDecide(refusals, l, morning); len(got) != 0 {
			t.Errorf("licenses %v: got %v", l, got)
		}
	}
}
