package headroom

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func TestTakenByRows(t *testing.T) {
	for _, test := range []struct {
		name    string
		license string
		rows    int
		since   int
		want    int
	}{
		{"rows alone", qlik.LicenseAnalyzer, 3, 0, 3},
		{"a session that has begun since takes a slot", qlik.LicenseAnalyzer, 3, 1, 4},
		{"as many as there are", qlik.LicenseAnalyzer, 4, 3, 5},
		{"none where there is none", qlik.LicenseAnalyzer, 5, 1, 5},
		{"leftover rows exceed the limit", qlik.LicenseAnalyzer, 7, 1, 7},
		{"leftover rows alone", qlik.LicenseAnalyzer, 7, 0, 7},
		{"without license a session takes none", qlik.LicenseNone, 0, 3, 0},
		{"where the license is unknown neither", qlik.LicenseUnknown, 1, 3, 1},
		{"where licenses are not read it does", "", 1, 3, 4},
	} {
		user := UserStatus{License: test.license, LicensedSessions: test.rows}
		if got := takenByRows(&user, test.since, 5); got != test.want {
			t.Errorf("%s: %d slots are taken, want %d", test.name, got, test.want)
		}
	}
}

func TestBegunSince(t *testing.T) {
	after, before := morning.Add(1), morning.Add(-1)
	o := observation{after: &State{sessions: make(map[qlik.SessionKey]trackedSession)}}
	for id, session := range map[qlik.SessionID]trackedSession{
		"begun":           {user: 1, firstSeen: &after, startSeen: true},
		"begun too":       {user: 1, firstSeen: &after, startSeen: true},
		"of another user": {user: 2, firstSeen: &after, startSeen: true},
		"has a row":       {user: 3, firstSeen: &after, startSeen: true},
		"begun before":    {user: 4, firstSeen: &before, startSeen: true},
		"begun just then": {user: 5, firstSeen: &morning, startSeen: true},
		"start not seen":  {user: 6, firstSeen: &after},
	} {
		o.after.sessions[id.Key()] = session
	}
	rows := []qlik.UsageRow{row("has a row", "", "", morning), row("gone", "", "", morning)}
	compare(t, "sessions by user", o.startedSince(NewUsage(rows, morning, morning)), map[int32]int{1: 2, 2: 1})
	// The response took a while: its rows may be from any time after the request.
	compare(t, "sessions by user, of a slow answer", o.startedSince(NewUsage(rows, morning, morning.Add(2*time.Second))), map[int32]int{1: 2, 2: 1})
	if got := o.startedSince(NewUsage(nil, after, after)); len(got) != 0 {
		t.Errorf("after the last start %d users began sessions", len(got))
	}
}

func TestTimeout(t *testing.T) {
	link := &trackedLink{timeout: 30 * time.Minute}
	for _, test := range []struct {
		name     string
		activity time.Time
		link     *trackedLink
		want     time.Time
	}{
		{"after the timeout and the cooling", morning, link, morning.Add(35 * time.Minute)},
		{"the session is gone", morning, nil, time.Time{}},
		{"the row does not say when it was active", time.Time{}, link, time.Time{}},
		{"the timeout is unknown", morning, &trackedLink{}, time.Time{}},
	} {
		row := row("1", "anna", qlik.LicenseAnalyzer, test.activity)
		if got := timeout(&row, test.link, 5*time.Minute); !got.Equal(test.want) {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestNextSlot(t *testing.T) {
	for _, test := range []struct {
		name     string
		slots    []time.Time
		headroom int
		want     time.Time
	}{
		{"the soonest", minutes(3, 1, 2), 0, minutes(1)[0]},
		{"one beyond the limit waits for two", minutes(3, 1, 2), -1, minutes(2)[0]},
		{"the last", minutes(3, 1, 2), -2, minutes(3)[0]},
		{"too few", minutes(3, 1, 2), -3, time.Time{}},
		{"none", nil, 0, time.Time{}},
	} {
		if got := nextSlot(test.slots, test.headroom); !got.Equal(test.want) {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestEffectiveHeadroomBySessions checks that sessions and cooling slots count if there
// are no usage rows.
func TestEffectiveHeadroomBySessions(t *testing.T) {
	s := newScenario(t, "n1/")
	s.link("n1/").InactivityTimeout = 30 * time.Minute
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5", "anna6")
	expect := func(what string, headroom, effective int, next time.Time) {
		t.Helper()
		anna := s.user("anna")
		s.expect(what+": headroom", []int{anna.Headroom, anna.EffectiveHeadroom}, []int{headroom, effective})
		s.expect(what+": next slot", anna.NextSlot, next)
	}
	s.scrape(0)
	expect("beyond the limit", -1, -1, time.Time{})
	s.logout("n1/", "anna1", "anna2")
	s.scrape(time.Minute)
	first := s.now.Add(DefaultCoolingTime)
	expect("one session ended that held no slot, or both did", 1, 0, first)
	s.logout("n1/", "anna3")
	s.scrape(time.Minute)
	expect("the next slot is the one that is free first", 2, 0, first)
	s.scrape(4 * time.Minute)
	expect("cooled", 2, 1, time.Time{})
}

// TestNextSlotByRows checks that the next slot is the first one to time out or to cool.
func TestNextSlotByRows(t *testing.T) {
	s := newScenario(t, "n1/", "n1/sales")
	s.analyzers("anna", "bert")
	s.link("n1/").InactivityTimeout = 30 * time.Minute
	s.link("n1/sales").InactivityTimeout = 10 * time.Minute
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "bert1")
	s.login("n1/sales", "anna5")
	s.rows("anna1", "anna2", "anna3", "anna4", "anna5", "bert1")
	s.scrape(0)
	s.expect("the shortest timeout, and cooling", s.user("anna").NextSlot, s.now.Add(15*time.Minute))
	s.expect("with slots there is no next one", s.user("bert").NextSlot, time.Time{})

	s.usage.Rows[1].LastActivity = s.now.Add(-29 * time.Minute)
	s.scrape(0)
	s.expect("the longest without activity", s.user("anna").NextSlot, s.now.Add(6*time.Minute))
	s.usage.Rows[1].LastActivity = s.now.Add(-35 * time.Minute)
	s.scrape(0)
	s.expect("one whose time has passed must be active", s.user("anna").NextSlot, s.now.Add(15*time.Minute))

	s.logout("n1/", "anna3")
	s.now = s.now.Add(time.Minute)
	s.rows("anna1", "anna2", "anna3", "anna4", "anna5")
	s.observe()
	s.expect("a cooling slot", s.user("anna").NextSlot, s.now.Add(5*time.Minute))
}

// TestSessionsAfterTheRows checks that sessions are compared with the time when the usage
// rows were read. A session that started later takes a slot. A session that started
// earlier and has no row takes none.
func TestSessionsAfterTheRows(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	expect := func(what string, want int) {
		t.Helper()
		s.expect(what, s.user("anna").EffectiveHeadroom, want)
	}
	s.login("n1/", "anna1", "anna2", "anna3")
	s.scrape(0)
	s.now = s.now.Add(time.Minute)
	s.rows("anna1", "anna2")
	s.observe()
	expect("anna3 had begun and has no row", 3)
	s.login("n1/", "anna4")
	s.scrape(5 * time.Second)
	expect("anna4 has begun since", 2)
	s.rows("anna1", "anna2")
	s.observe()
	expect("newer rows say that anna4 has none", 3)
	s.login("n1/", "anna5", "anna6", "anna7", "anna8")
	s.scrape(15 * time.Second)
	expect("four have begun since, and there are three slots", 0)
	s.scrape(1)
	expect("the rows are too old: eight sessions", -3)
	s.expect("rows are known", s.snapshot.UsageKnown, false)

	s.rows("anna1", "anna2", "left1", "left2", "left3", "left4", "left5")
	for i := range s.usage.Rows {
		s.usage.Rows[i].User = lab("anna")
	}
	s.login("n1/", "anna9")
	s.scrape(time.Second)
	expect("leftover rows exceed the limit; a new session adds nothing", -2)
	s.usage = nil
	s.scrape(time.Second)
	expect("rows that could not be read are unknown at once: nine sessions", -4)
}

// TestRowsReadAfterTheLinksWereAsked checks rows that are read in parallel with the links.
// A session that is new in the same round may have started after they were read.
func TestRowsReadAfterTheLinksWereAsked(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	s.scrape(0)
	s.login("n1/", "anna1", "anna2")
	s.now = s.now.Add(time.Minute)
	round := s.round()
	round.Usage = NewUsage([]qlik.UsageRow{row("anna1", "anna", qlik.LicenseAnalyzer, s.now)}, s.now, s.now.Add(time.Second))
	round.Heard = s.now.Add(2 * time.Second)
	s.snapshot, s.state = s.state.Observe(round)
	s.expect("rows are known", s.snapshot.UsageKnown, true)
	s.expect("time", []time.Time{s.snapshot.Time, s.snapshot.Heard}, []time.Time{round.Asked, round.Heard})
	s.expect("effective headroom", s.user("anna").EffectiveHeadroom, 3)
	s.expect("first seen", s.user("anna").FirstSeen, round.Heard)

	round.Asked = round.Usage.ReadAt.Add(UsageValidity)
	round.Heard = round.Asked.Add(10 * time.Second)
	s.snapshot, s.state = s.state.Observe(round)
	s.expect("rows are known that were fresh enough when the links were asked", s.snapshot.UsageKnown, true)
}

// TestNextSlotLeavesTheStateAlone checks that the state does not change, because a preview
// may read it at the same time.
func TestNextSlotLeavesTheStateAlone(t *testing.T) {
	s := newScenario(t, "n1/")
	s.link("n1/").InactivityTimeout = time.Minute
	s.login("n1/", "anna1", "anna2", "anna3", "anna4")
	s.scrape(0)
	cooling := append(make([]time.Time, 0, 10), minutes(20)...)
	s.state.remembered[lab("anna")] = trackedUser{cooling: cooling}
	s.now = s.now.Add(time.Minute)
	s.rows("anna1", "anna2", "anna3", "anna4", "anna5")
	s.observe()
	s.expect("next slot", s.user("anna").NextSlot, s.now.Add(6*time.Minute))
	s.expect("cooling slots before, and the memory behind them", cooling[:2], append(minutes(20), time.Time{}))
}

// TestUnlimitedUsersHaveNoHeadroom checks unlimited and anonymous users.
func TestUnlimitedUsersHaveNoHeadroom(t *testing.T) {
	s := newScenario(t, "n1/")
	s.login("n1/", "robot1", "robot2", "robot3", "robot4", "robot5")
	link := s.link("n1/")
	for i := range 5 {
		link.Sessions = append(link.Sessions, session(string(rune('a'+i)), "NONE", "anonymous"+string(rune('a'+i)), &link.Link))
	}
	s.scrape(0)
	for _, user := range s.snapshot.Users {
		user.VirtualProxies = nil
		s.expect(user.User.ID, user, UserStatus{User: user.User, Sessions: 5, FirstSeen: s.now})
	}
	s.expect("remembered", len(s.state.remembered), 0)
}
