package headroom

import (
	"slices"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// judged holds the fields of a user that judge reads.
type judged struct {
	license              string
	sessions, rows, live int // live is the number of rows of existing sessions
	since                time.Time
}

// judgeAt judges rows that were read in the morning.
func judgeAt(trusted trust, now time.Time, users ...judged) trust {
	var statuses []UserStatus
	var live []int
	for _, u := range users {
		statuses = append(statuses, UserStatus{License: u.license, Sessions: u.sessions, LicensedSessions: u.rows, FirstSeen: u.since})
		live = append(live, u.live)
	}
	return trusted.judge(NewUsage(nil, morning, morning), statuses, live, 5, now)
}

func TestRowsAreJudged(t *testing.T) {
	const (
		none         = qlik.LicenseNone
		unknown      = qlik.LicenseUnknown
		user         = qlik.LicenseUser
		analyzer     = qlik.LicenseAnalyzer
		professional = qlik.LicenseProfessional
	)
	long, short := morning.Add(-time.Hour), morning.Add(-time.Second)
	with, without := judged{analyzer, 1, 1, 1, long}, judged{analyzer, 1, 0, 0, long}
	for _, test := range []struct {
		name  string
		users []judged
		want  bool
	}{
		{"nobody", nil, true},
		{"a session with its row", []judged{with}, true},
		{"one with, one without", []judged{with, without}, true},
		{"a few without", []judged{with, without, {user, 1, 0, 0, long}}, true},
		{"most without", append(slices.Repeat([]judged{without}, 9), with), false},
		{"a new session may not have its row yet", []judged{{analyzer, 1, 0, 0, short}}, true},
		{"nor one of less than two minutes", []judged{{analyzer, 1, 0, 0, morning.Add(-2*time.Minute + 1)}}, true},
		{"one of two minutes should", []judged{{analyzer, 1, 0, 0, morning.Add(-2 * time.Minute)}}, false},
		{"an old one should", []judged{without}, false},
		{"one of a professional, too", []judged{{professional, 1, 0, 0, long}}, false},
		{"and one of a user with token", []judged{{user, 1, 0, 0, long}}, false},
		{"so should one of five new ones", []judged{{professional, 3, 0, 0, short}, {analyzer, 2, 0, 0, short}}, false},
		{"four are too few", []judged{{professional, 2, 0, 0, short}, {analyzer, 2, 0, 0, short}}, true},
		{"a row that was left over speaks for nothing", []judged{{professional, 5, 1, 0, long}, {analyzer, 5, 0, 0, long}}, false},
		{"leftover rows in all slots explain why sessions have none", []judged{{professional, 2, 5, 0, long}}, true},
		{"users without license have no rows", []judged{{none, 9, 0, 0, long}, {unknown, 9, 0, 0, long}}, true},
		{"nor do a few of unknown license", slices.Repeat([]judged{{unknown, 9, 0, 0, long}}, 4), true},
		{"five of unknown license should have some", slices.Repeat([]judged{{unknown, 1, 0, 0, long}}, 5), false},
		{"not if they are new", slices.Repeat([]judged{{unknown, 1, 0, 0, short}}, 5), true},
		{"nor if somebody has one", append(slices.Repeat([]judged{{unknown, 1, 0, 0, long}}, 5), judged{qlik.LicenseAnalyzerCapacity, 1, 1, 1, long}), true},
		{"nor do users without license speak for them", []judged{{none, 1, 1, 1, long}, {"", 1, 1, 1, long}, without}, false},
		{"sessions that began after the rows were read", []judged{{professional, 9, 0, 0, morning.Add(time.Second)}}, true},
		{"nobody knows since when", []judged{{analyzer, 1, 0, 0, time.Time{}}}, true},
		{"rows without a session", []judged{{analyzer, 0, 1, 0, long}}, true},
	} {
		if got := !judgeAt(trust{}, morning, test.users...).lost; got != test.want {
			t.Errorf("%s: plausible %t", test.name, got)
		}
	}
}

// TestTrustInRowsLasts checks that a judgment stays valid until there is evidence to the
// contrary.
func TestTrustInRowsLasts(t *testing.T) {
	long := morning.Add(-time.Hour)
	with, without := judged{qlik.LicenseAnalyzer, 1, 1, 1, long}, judged{qlik.LicenseAnalyzer, 1, 0, 0, long}
	var rows trust
	judge := func(what string, after time.Duration, want bool, users ...judged) {
		t.Helper()
		rows = judgeAt(rows, morning.Add(after), users...)
		if rows.lost == want {
			t.Errorf("%s: plausible %t", what, !want)
		}
	}
	judge("a row is missing", 0, false, without)
	judge("nobody is there", 0, false)
	judge("a row fits", 0, true, with)
	judge("four users are too few against rows that were right a moment ago", 0, true, slices.Repeat([]judged{without}, 4)...)
	judge("five are enough", 0, false, slices.Repeat([]judged{without}, 5)...)
	judge("one that fits is too little against two", 0, false, with, without, without)
	judge("as many for as against", 0, true, with, with, without, without)
	judge("rows were right less than a day ago", 24*time.Hour-1, true, without)
	judge("rows were right a day ago", 24*time.Hour, false, without)
}

// TestRowsThatWereWrittenLatelyAreTrusted checks rows that were written recently. A missing
// row then proves little, because a refused session has none.
func TestRowsThatWereWrittenLatelyAreTrusted(t *testing.T) {
	without := []UserStatus{{License: qlik.LicenseAnalyzer, Sessions: 1, FirstSeen: morning.Add(-time.Hour)}}
	for _, test := range []struct {
		name   string
		latest time.Time
		want   bool
	}{
		{"an hour ago", morning.Add(-time.Hour), true},
		{"left behind by a release that still wrote them", morning.AddDate(-4, 0, 0), false},
		{"in an hour", morning.Add(time.Hour), false},
	} {
		usage := NewUsage([]qlik.UsageRow{{LastActivity: test.latest}}, morning, morning)
		rows := trust{}.judge(usage, without, []int{0}, 5, morning)
		if got := !rows.lost; got != test.want {
			t.Errorf("the latest row is of %s: plausible %t", test.name, got)
		}
		later := rows.judge(NewUsage(nil, morning.Add(time.Minute), morning.Add(time.Minute)), without, []int{0}, 5, morning.Add(time.Minute))
		if got := !later.lost; got != test.want {
			t.Errorf("%s: a minute later: plausible %t", test.name, got)
		}
	}
}

// TestRowsThatAreNotPlausible checks that usage rows that do not reflect sessions are not
// used, and that the state remembers the judgment.
func TestRowsThatAreNotPlausible(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4")
	expect := func(what string, known, plausible bool, headroom int) {
		t.Helper()
		s.expect(what+": rows are known and plausible", []bool{s.snapshot.UsageKnown, s.snapshot.UsagePlausible}, []bool{known, plausible})
		s.expect(what+": effective headroom", s.user("anna").EffectiveHeadroom, headroom)
	}
	s.scrape(0)
	expect("no rows", false, true, 1)
	s.rows()
	s.scrape(0)
	expect("empty, and it is too soon to tell", true, true, 5)
	s.now = s.now.Add(2 * time.Minute)
	s.rows()
	s.observe()
	expect("empty, and should not be", true, false, 1)
	s.scrape(time.Minute)
	expect("not read", false, true, 1)
	s.logout("n1/", "anna1", "anna2", "anna3", "anna4")
	s.rows()
	s.scrape(0)
	expect("anna is gone", true, false, 0)
	s.login("n1/", "anna5")
	s.rows("anna5")
	s.scrape(0)
	expect("a row fits", true, true, 4)
}

// TestRowsBelongToTheirUsers checks that a row belongs to the user of its session or, if
// the session is gone, to the user that the row names.
func TestRowsBelongToTheirUsers(t *testing.T) {
	s := newScenario(t, "n1/")
	link := s.link("n1/")
	link.Sessions = []qlik.Session{
		session("s1", "LAB", "anna", &link.Link), session("s2", "LAB", "carla", &link.Link), session("s5", "LAB", "bert", &link.Link),
		session("s6", "NONE", "anonymous1", &link.Link),
	}
	s.usage = NewUsage([]qlik.UsageRow{
		row("s1", "anna", qlik.LicenseProfessional, s.now.Add(-time.Minute)),
		{Session: qlik.SessionID("s2").Key(), License: qlik.LicenseProfessional}, // a service wrote it
		row("gone", "anna", qlik.LicenseAnalyzer, time.Time{}),
		row("s3", "bert", qlik.LicenseLogin, s.now.Add(-2*time.Minute)),
		row("s4", "bert", qlik.LicenseLogin, time.Time{}),
		{Session: qlik.SessionID("nobody").Key(), License: qlik.LicenseAnalyzer},
		row("s6", "dora", qlik.LicenseAnalyzerCapacity, s.now),
	}, s.now, s.now)
	s.scrape(0)
	got := make(map[string]int)
	licenses := make(map[string]string)
	for _, user := range s.snapshot.Users {
		got[user.User.ID], licenses[user.User.ID] = user.LicensedSessions, user.License
	}
	s.expect("rows", got, map[string]int{"anna": 2, "carla": 1, "bert": 2, "anonymous": 1})
	s.expect("licenses by the first row", licenses, map[string]string{
		"anna": qlik.LicenseProfessional, "carla": qlik.LicenseProfessional, "bert": qlik.LicenseLogin, "anonymous": qlik.LicenseAnalyzerCapacity,
	})
	s.expect("slots of sessions", s.snapshot.Usage(), map[qlik.SessionID]SessionUsage{
		"s1": {Slots: 1, LastActivity: s.now.Add(-time.Minute)}, "s2": {Slots: 1}, "s6": {Slots: 1, LastActivity: s.now},
	})
}

// TestLeftoverRowsProveNothing checks that only the row of an existing session proves that
// the site writes rows.
func TestLeftoverRowsProveNothing(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna", "bert")
	s.login("n1/", "anna1", "bert1")
	s.scrape(0)
	s.now = s.now.Add(time.Hour)
	old := morning.AddDate(-1, 0, 0)
	s.usage = NewUsage([]qlik.UsageRow{row("bert7", "bert", qlik.LicenseAnalyzer, old)}, s.now, s.now)
	s.observe()
	s.expect("a leftover row: plausible", s.snapshot.UsagePlausible, false)
	s.expect("rows that are offered", len(s.snapshot.Usage()), 0)
	s.usage = NewUsage([]qlik.UsageRow{row("bert1", "bert", qlik.LicenseAnalyzer, old)}, s.now, s.now)
	s.observe()
	s.expect("the row of a session: plausible", s.snapshot.UsagePlausible, true)
	s.expect("rows that are offered", len(s.snapshot.Usage()), 1)
}

// TestRowsOfASlowAnswer checks that users who were first seen during the request are no
// evidence against its rows, which may be older.
func TestRowsOfASlowAnswer(t *testing.T) {
	usage := NewUsage(nil, morning, morning.Add(2*time.Second))
	users := []UserStatus{{License: qlik.LicenseAnalyzer, Sessions: rowsExpectedFrom, FirstSeen: morning.Add(time.Second)}}
	if rows := (trust{}).judge(usage, users, []int{0}, 5, morning.Add(3*time.Second)); rows.lost {
		t.Error("they are not plausible")
	}
}
