package headroom

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func TestLicenseOf(t *testing.T) {
	analyzer, capacity := lab("analyzer"), lab("capacity")
	certain := &qlik.Licenses{Certain: true, Holders: map[qlik.User]qlik.LicenseSet{
		analyzer: qlik.NewLicenseSet(qlik.LicenseAnalyzer),
		capacity: qlik.NewLicenseSet(qlik.LicenseAnalyzerCapacity),
	}}
	uncertain := &qlik.Licenses{Holders: certain.Holders}
	for _, test := range []struct {
		name     string
		licenses *qlik.Licenses
		user     qlik.User
		rows     string // license in the user's rows
		isNew    bool
		want     string
	}{
		{"nothing is read", nil, analyzer, "", false, ""},
		{"the lists are not read", nil, lab("anna"), qlik.LicenseLogin, true, qlik.LicenseLogin},
		{"in a list", certain, analyzer, "", false, qlik.LicenseAnalyzer},
		{"a list counts more than rows", certain, analyzer, qlik.LicenseLogin, false, qlik.LicenseAnalyzer},
		{"in a list, and new", certain, capacity, "", true, qlik.LicenseAnalyzerCapacity},
		{"in no list", certain, lab("anna"), "", false, qlik.LicenseNone},
		{"in no list, with a row", certain, lab("anna"), qlik.LicenseLogin, false, qlik.LicenseLogin},
		{"in no list, with a row, and new", certain, lab("anna"), qlik.LicenseProfessional, true, qlik.LicenseProfessional},
		{"in no list, and new", certain, lab("anna"), "", true, qlik.LicenseUnknown},
		{"anybody may have one", uncertain, lab("anna"), "", false, qlik.LicenseUnknown},
		{"anybody may have one, and the rows show which", uncertain, lab("anna"), qlik.LicenseAnalyzerCapacity, false, qlik.LicenseAnalyzerCapacity},
		{"anonymous", certain, qlik.AnonymousUser, "", false, qlik.LicenseUnknown},
	} {
		user := UserStatus{User: test.user, License: test.rows}
		if got := licenseOf(&user, test.licenses, test.isNew); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestNewUsersLicense checks users who appear after the lists were read: their license is
// unknown. The lists must be read again if such a user is near the limit.
func TestNewUsersLicense(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers()
	expect := func(what, user, license string, stale bool) {
		t.Helper()
		s.expect(what+": license", s.user(user).License, license)
		s.expect(what+": lists are stale", s.snapshot.LicensesStale, stale)
	}
	s.login("n1/", "early1")
	s.scrape(time.Minute)
	expect("a user of the first round is not new", "early", qlik.LicenseNone, false)
	s.login("n1/", "late1", "late2", "late3")
	s.scrape(time.Minute)
	expect("new, with two slots", "late", qlik.LicenseUnknown, false)
	s.login("n1/", "late4")
	s.scrape(time.Minute)
	expect("new, with one slot", "late", qlik.LicenseUnknown, true)
	s.analyzers()
	s.scrape(0)
	expect("read since", "late", qlik.LicenseNone, false)
	s.scrape(time.Minute)
	expect("later", "late", qlik.LicenseNone, false)

	// A user can be near the limit by sessions or by rows.
	s = newScenario(t, "n1/")
	s.analyzers("anna")
	s.login("n1/", "late1")
	round := s.round()
	round.Links = nil
	_, s.state = s.state.Observe(round) // a first round without users
	s.now = s.now.Add(time.Minute)
	s.rows("late5", "late6", "late7", "late8")
	for i := range s.usage.rows {
		s.usage.rows[i].License = "" // the rows do not name the license
	}
	s.observe()
	expect("new, with one slot by the rows", "late", qlik.LicenseUnknown, true)
	s.login("n1/", "late2", "late3", "late4")
	s.rows()
	s.observe()
	s.expect("effective headroom", s.user("late").EffectiveHeadroom, 5)
	expect("new, with one slot by the sessions", "late", qlik.LicenseUnknown, true)

	// It does not help to read the lists again if the license is known, or if the user had
	// sessions when they were read.
	s.logout("n1/", "late1", "late2", "late3", "late4")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(time.Minute)
	expect("new, and the lists say which", "anna", qlik.LicenseAnalyzer, false)
	s.licenses = &qlik.Licenses{ReadAt: s.now}
	s.scrape(time.Minute)
	expect("there before, and anybody may have one", "anna", qlik.LicenseUnknown, false)

	// A new user who was refused waits for an answer.
	s = newScenario(t, "n1/")
	s.analyzers("anna")
	s.scrape(time.Minute)
	s.login("n1/", "late1")
	s.scrape(time.Minute)
	expect("new, and not refused", "late", qlik.LicenseUnknown, false)
	round = s.round()
	round.Refusals = qlik.Refusals{lab("late"): {{At: s.now, Reason: qlik.RefusedNoLicense}}}
	s.snapshot, s.state = s.state.Observe(round)
	expect("new, and refused", "late", qlik.LicenseUnknown, true)
}

// TestLicenseTakenFromRow checks that a row of a session that Qlik granted before it took
// the license is no license.
func TestLicenseTakenFromRow(t *testing.T) {
	for _, test := range []struct {
		name    string
		license string
		started time.Duration // before the lists were read
		certain bool
		want    string
	}{
		{"taken", qlik.LicenseAnalyzer, 6 * time.Minute, true, qlik.LicenseNone},
		{"given since", qlik.LicenseAnalyzer, -time.Second, true, qlik.LicenseAnalyzer},
		{"given since, as far as clocks tell", qlik.LicenseAnalyzer, 4 * time.Minute, true, qlik.LicenseAnalyzer},
		{"login access, which is for everybody", qlik.LicenseLogin, 6 * time.Minute, true, qlik.LicenseLogin},
		{"a list was not read", qlik.LicenseAnalyzer, 6 * time.Minute, false, qlik.LicenseAnalyzer},
	} {
		s := newScenario(t, "n1/")
		s.licenses = &qlik.Licenses{ReadAt: s.now, Certain: test.certain, Holders: map[qlik.User]qlik.LicenseSet{}}
		s.login("n1/", "anna1")
		granted := row("anna1", "anna", test.license, s.now)
		granted.Started = s.now.Add(-test.started)
		s.usage = NewUsage([]qlik.UsageRow{granted}, s.now, s.now)
		s.scrape(0)
		s.expect(test.name, s.user("anna").License, test.want)
	}
}
