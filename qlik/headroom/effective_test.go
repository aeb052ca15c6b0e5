package headroom

import (
	"fmt"
	"slices"
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
		ended   int // of the sessions since then
		want    int
	}{
		{"rows alone", qlik.LicenseAnalyzer, 3, 0, 0, 3},
		{"a session that has begun since takes a slot", qlik.LicenseAnalyzer, 3, 1, 0, 4},
		{"as many as there are", qlik.LicenseAnalyzer, 4, 3, 0, 5},
		{"none where there is none", qlik.LicenseAnalyzer, 5, 1, 0, 5},
		{"leftover rows exceed the limit", qlik.LicenseAnalyzer, 7, 1, 0, 7},
		{"leftover rows alone", qlik.LicenseAnalyzer, 7, 0, 0, 7},
		{"without license a session takes none", qlik.LicenseNone, 0, 3, 0, 0},
		{"where the license is unknown neither", qlik.LicenseUnknown, 1, 3, 0, 1},
		{"where licenses are not read it does", "", 1, 3, 0, 4},
		{"one that has ended below the limit is free", qlik.LicenseAnalyzer, 3, 1, 1, 3},
		{"one that has ended at the limit cools", qlik.LicenseAnalyzer, 4, 1, 1, 5},
		{"two that ended, and were the last two slots", qlik.LicenseAnalyzer, 3, 2, 2, 5},
		{"one that ended beside the last slot", qlik.LicenseAnalyzer, 3, 2, 1, 5},
		{"more ended than there were slots", qlik.LicenseAnalyzer, 3, 6, 6, 5},
		{"without license none cools", qlik.LicenseNone, 4, 2, 2, 4},
	} {
		o := observation{limits: &limits{limit: 5, coolingTime: 5 * time.Minute}}
		var sessions *since
		if test.since > 0 {
			sessions = new(since)
			for range test.since - test.ended {
				sessions.started = append(sessions.started, morning)
			}
			for range test.ended {
				sessions.ended = append(sessions.ended, endedSession{started: morning, at: morning.Add(time.Second)})
			}
		}
		user := UserStatus{License: test.license, LicensedSessions: test.rows}
		got, free := o.takenByRows(&user, sessions)
		if got != test.want {
			t.Errorf("%s: %d slots are taken, want %d", test.name, got, test.want)
		}
		for _, at := range free {
			if want := morning.Add(5*time.Minute + time.Second); !at.Equal(want) {
				t.Errorf("%s: a slot is free at %s, want %s", test.name, at, want)
			}
		}
	}
}

// TestCoolingSince: what counts for a session that ended are the sessions that had begun.
func TestCoolingSince(t *testing.T) {
	early := endedSession{started: minutes(1)[0], at: minutes(2)[0]}
	late := endedSession{started: minutes(3)[0], at: minutes(4)[0]}
	for _, test := range []struct {
		name    string
		started []time.Time
		ended   []endedSession
		rows    int
		want    []endedSession
	}{
		{"below the limit", nil, []endedSession{early}, 3, nil},
		{"at the limit", nil, []endedSession{early}, 4, []endedSession{early}},
		{"another one began later", minutes(3), []endedSession{early}, 3, nil},
		{"another one may have begun before", minutes(2), []endedSession{early}, 3, []endedSession{early}},
		{"the second may find the first cooling", nil, []endedSession{early, late}, 3, []endedSession{late}},
	} {
		since := since{started: test.started, ended: test.ended}
		if got := since.cooling(test.rows, 5); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestStartedSince(t *testing.T) {
	after, before := morning.Add(1), morning.Add(-1)
	o := observation{
		limits: &limits{limit: 5, coolingTime: 5 * time.Minute}, now: morning.Add(5 * time.Minute), number: make(map[qlik.User]int32),
		after: &State{sessions: make(map[qlik.SessionKey]trackedSession), ended: make(map[qlik.SessionKey]endedSession)},
	}
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
	o.number[lab("anna")] = 1
	o.number[lab("bert")] = 7
	for id, ended := range map[qlik.SessionID]endedSession{
		"ended":              {user: lab("anna"), started: after, at: after.Add(time.Second)},
		"ended too":          {user: lab("bert"), started: after, at: after.Add(time.Second)},
		"ended, has a row":   {user: lab("anna"), started: after, at: after.Add(time.Second)},
		"has cooled":         {user: lab("anna"), started: after, at: morning},
		"ended, seen before": {user: lab("anna"), started: before, at: after},
		"start was not seen": {user: lab("anna"), at: after},
		"of an unknown user": {user: lab("carla"), started: after, at: after},
	} {
		o.after.ended[id.Key()] = ended
	}
	rows := []qlik.UsageRow{row("has a row", "", "", morning), row("ended, has a row", "", "", morning), row("gone", "", "", morning)}
	ended := func(user string) []endedSession {
		return []endedSession{{user: lab(user), started: after, at: after.Add(time.Second)}}
	}
	want := map[int32]*since{1: {[]time.Time{after, after}, ended("anna")}, 2: {[]time.Time{after}, nil}, 7: {nil, ended("bert")}}
	compare(t, "sessions by user", o.startedSince(NewUsage(rows, morning, morning)), want)
	// The response took a while: its rows may be from any time after the request.
	compare(t, "sessions by user, of a slow answer", o.startedSince(NewUsage(rows, morning, morning.Add(2*time.Second))), want)
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
		{"the row does not say when it was active", time.Time{}, link, time.Time{}},
		{"the timeout is unknown", morning, &trackedLink{}, time.Time{}},
	} {
		if got := timeout(test.activity, test.link, 5*time.Minute); !got.Equal(test.want) {
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
		{"a full second", []time.Time{morning.Add(1)}, 0, morning.Add(time.Second)},
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

	s.usage.rows[1].LastActivity = s.now.Add(-29 * time.Minute)
	s.scrape(0)
	s.expect("the longest without activity", s.user("anna").NextSlot, s.now.Add(6*time.Minute))
	s.usage.rows[1].LastActivity = s.now.Add(-35 * time.Minute)
	s.scrape(0)
	s.expect("one whose time has passed must be active", s.user("anna").NextSlot, s.now.Add(15*time.Minute))
	for i := range s.usage.rows {
		s.usage.rows[i].LastActivity = s.now.Add(time.Hour)
	}
	s.scrape(0)
	s.expect("no activity is later than now", s.user("anna").NextSlot, s.now.Add(15*time.Minute))

	s.logout("n1/", "anna3")
	s.now = s.now.Add(time.Minute)
	s.rows("anna1", "anna2", "anna3", "anna4", "anna5")
	s.observe()
	s.expect("a cooling slot", s.user("anna").NextSlot, s.now.Add(5*time.Minute))
}

// TestWait checks that a session ended at the limit frees a slot only after the cooling
// time.
func TestWait(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna", "bert")
	s.link("n1/").InactivityTimeout = 30 * time.Minute
	s.login("n1/", "anna1", "anna2", "anna3", "bert1", "bert2", "bert3", "bert4", "bert5", "carla1", "robot1")
	s.rows("anna1", "anna2", "anna3", "anna4", "anna5", "bert1", "bert2", "bert3", "bert4", "bert5")
	s.scrape(0)
	wait := func(what, id string, want time.Time) {
		t.Helper()
		user := s.user(id)
		s.expect(what, s.snapshot.Wait(&user), want)
	}
	wait("two slots cool", "anna", s.now.Add(DefaultCoolingTime))
	wait("five sessions are there", "bert", time.Time{})
	wait("slots are free", "carla", time.Time{})
	wait("unlimited", "robot", time.Time{})
	s.usage.rows[5].LastActivity = s.now.Add(-30 * time.Minute)
	s.scrape(time.Second)
	wait("a session has just timed out", "bert", s.now.Add(DefaultCoolingTime-time.Second))
	s.usage.rows[5].LastActivity = s.now.Add(-29 * time.Minute)
	s.scrape(0)
	wait("ending one is faster", "bert", time.Time{})
}

// TestTwoRowsOfOneSession checks that two rows are two slots until shown otherwise. Both
// become free when the session times out.
func TestTwoRowsOfOneSession(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	s.link("n1/").InactivityTimeout = 30 * time.Minute
	s.login("n1/", "anna1", "anna2", "anna3", "anna4")
	s.rows("anna1", "anna1", "anna2", "anna3", "anna4")
	s.usage.rows[1].LastActivity = s.now.Add(-20 * time.Minute)
	s.scrape(0)
	anna := s.user("anna")
	s.expect("slots", []int{anna.Headroom, anna.EffectiveHeadroom, anna.LicensedSessions}, []int{1, 0, 5})
	s.expect("next slot", anna.NextSlot, s.now.Add(35*time.Minute))
	s.expect("usage", s.snapshot.Usage()["anna1"], SessionUsage{Slots: 2, LastActivity: s.now})
	s.expect("usage of another", s.snapshot.Usage()["anna2"], SessionUsage{Slots: 1, LastActivity: s.now})
	s.logout("n1/", "anna1")
	s.now = s.now.Add(time.Minute)
	s.rows("anna1", "anna1", "anna2", "anna3", "anna4")
	s.observe()
	anna = s.user("anna")
	s.expect("both cool", []any{anna.EffectiveHeadroom, anna.NextSlot}, []any{0, s.now.Add(5 * time.Minute)})
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
	for i := range s.usage.rows {
		s.usage.rows[i].User = lab("anna")
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

	round.Asked = round.Usage.readAt.Add(UsageValidity)
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
	s.scrape(time.Minute)
	s.expect("next slot", s.user("anna").NextSlot, cooling[0])
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

// TestNextSlotBesideRefusedSessions: all five sessions of anna have ended, and the user
// keeps trying. The refused sessions hold no slot, so the next slot is the one that cooled
// first.
func TestNextSlotBesideRefusedSessions(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	s.link("n1/").InactivityTimeout = 30 * time.Minute
	five := []string{"anna1", "anna2", "anna3", "anna4", "anna5"}
	s.login("n1/", five...)
	s.rows(five...)
	s.scrape(0)
	s.logout("n1/", five...)
	s.now = s.now.Add(time.Minute)
	s.rows(five...)
	s.observe()
	free := s.now.Add(DefaultCoolingTime)
	s.expect("all five ended", s.user("anna").NextSlot, free)

	for _, refused := range []string{"anna6", "anna7", "anna8", "anna9", "anna10"} {
		s.login("n1/", refused)
		s.now = s.now.Add(24 * time.Second)
		s.rows(five...)
		s.observe()
	}
	anna := s.user("anna")
	s.expect("in three minutes", []any{anna.NextSlot, anna.NextSlot.Sub(s.now)}, []any{free, 3 * time.Minute})
	s.expect("sessions and slots", []int{anna.Sessions, anna.EffectiveHeadroom}, []int{5, 0})

	s.usage = nil
	s.scrape(6 * time.Minute)
	s.now = s.now.Add(time.Minute)
	s.rows(five...)
	s.observe()
	s.expect("rows that are still there are left over", s.user("anna").NextSlot, time.Time{})
}

// TestNextSlotOfUnseenEnds: a row whose session this exporter did not see ended at the
// latest when the row was first seen without it.
func TestNextSlotOfUnseenEnds(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.analyzers("anna")
	s.login("n1/", "anna1", "anna2", "anna3")
	s.rows("anna1", "anna2", "anna3", "gone1", "gone2")
	for i := range s.usage.rows {
		s.usage.rows[i].User = lab("anna")
	}
	rows := s.usage.rows
	read := func(after time.Duration) {
		s.now = s.now.Add(after)
		s.usage = NewUsage(rows, s.now, s.now)
		s.observe()
	}
	next := func(what string, want time.Time) {
		t.Helper()
		s.expect(what, s.user("anna").NextSlot, want)
	}
	s.link("n2/").Err = errDown
	read(0)
	next("the sessions may be on the other node", time.Time{})
	s.link("n2/").Err = nil
	read(time.Minute)
	free := s.now.Add(DefaultCoolingTime)
	next("they are not", free)
	s.link("n2/").Err = errDown
	read(time.Minute)
	next("and were not", free)
	s.usage = nil
	s.scrape(time.Minute)
	read(time.Minute)
	next("also while the rows were unknown", free)
	read(2 * time.Minute)
	next("left over", time.Time{})
	read(time.Hour)
	next("for long", time.Time{})

	s.link("n2/").Err = nil
	rows[3].LastActivity, rows[3].Session = s.now.Add(time.Minute+time.Second), qlik.SessionID("new").Key()
	s.now = s.now.Add(time.Minute)
	s.usage = NewUsage(rows, s.now, s.now.Add(2*time.Second))
	s.observe()
	next("a session that began after its link was asked", time.Time{})
}

// TestRowOfAnEndedSessionWithoutUser: a row that does not name its user belongs to the
// user of its session, also after that has ended.
func TestRowOfAnEndedSessionWithoutUser(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	five := []string{"anna1", "anna2", "anna3", "anna4", "anna5"}
	read := func() {
		s.rows(five...)
		for i := range s.usage.rows {
			s.usage.rows[i].User = qlik.User{}
		}
	}
	s.login("n1/", five...)
	read()
	s.scrape(0)
	s.logout("n1/", "anna1", "anna2")
	s.now = s.now.Add(time.Minute)
	read()
	s.observe()
	anna := s.user("anna")
	s.expect("slots", []int{anna.EffectiveHeadroom, anna.LicensedSessions}, []int{0, 5})
	s.expect("next slot", anna.NextSlot, s.now.Add(DefaultCoolingTime))
}

// TestSessionsBetweenTwoReadings: a session that began and ended at the limit since the
// rows were read holds a slot that no row shows.
func TestSessionsBetweenTwoReadings(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	s.login("n1/", "anna1", "anna2", "anna3")
	s.rows("anna1", "anna2", "anna3")
	s.scrape(0)
	expect := func(what string, want int, next time.Time) {
		t.Helper()
		s.expect(what, s.user("anna").EffectiveHeadroom, want)
		s.expect(what+": next slot", s.user("anna").NextSlot, next)
	}
	s.login("n1/", "anna4")
	s.scrape(2 * time.Second)
	expect("one has begun", 1, time.Time{})
	s.logout("n1/", "anna4")
	s.scrape(2 * time.Second)
	expect("it ended below the limit", 2, time.Time{})
	s.login("n1/", "anna5", "anna6")
	s.scrape(2 * time.Second)
	expect("two have begun", 0, time.Time{})
	s.logout("n1/", "anna5", "anna6")
	s.scrape(2 * time.Second)
	expect("both ended at the limit", 0, s.now.Add(DefaultCoolingTime))
	s.now = s.now.Add(2 * time.Second)
	s.rows("anna1", "anna2", "anna3", "anna6")
	s.observe()
	expect("newer rows decide", 1, time.Time{})
}

// TestSessionsWithoutSlots: a root administrator without license who has six sessions
// while capacity is enabled, so that nobody is certainly without license.
func TestSessionsWithoutSlots(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	s.licenses.Certain = false
	s.login("n1/", "anna1")
	s.rows("anna1")
	s.scrape(0)
	read := func(after time.Duration, ids ...string) {
		s.now = s.now.Add(after)
		s.rows(ids...)
		s.observe()
	}
	six := []string{"root1", "root2", "root3", "root4", "root5", "root6"}
	for _, id := range six {
		s.login("n1/", id)
		read(20*time.Second, "anna1")
	}
	root := s.user("root")
	s.expect("license", root.License, qlik.LicenseUnknown)
	s.expect("slots", []int{root.Headroom, root.EffectiveHeadroom, root.LicensedSessions}, []int{-1, 5, 0})
	s.expect("the limit was not reached", []any{root.LimitReached, root.NextSlot}, []any{uint64(0), time.Time{}})

	read(20*time.Second, append(six[:5:5], "anna1")...)
	s.expect("were granted after all", s.user("root").EffectiveHeadroom, 0)
	s.expect("nobody knows when", s.user("root").LimitReached, uint64(0))
	read(time.Minute, "anna1")
	s.login("n1/", "root7")
	s.scrape(time.Second)
	s.expect("no row yet", s.user("root").EffectiveHeadroom, 5)
	read(14*time.Second, "root1", "root2", "root3", "root4", "root7", "anna1")
	s.expect("reached with a session of a moment ago", s.user("root").LimitReached, uint64(1))
}

// TestLeftoverRowsAreOld: a row whose session must have timed out long ago is left over,
// also to an exporter that has just started.
func TestLeftoverRowsAreOld(t *testing.T) {
	for _, test := range []struct {
		name     string
		activity time.Duration // before the round
		timeout  time.Duration // of the second link
		want     bool          // a slot becomes free by itself
	}{
		{"may have timed out just now", 40 * time.Minute, 40 * time.Minute, true},
		{"a moment before it has cooled", 45*time.Minute - 1, 40 * time.Minute, true},
		{"has cooled", 45 * time.Minute, 40 * time.Minute, false},
		{"long ago", 30 * 24 * time.Hour, 40 * time.Minute, false},
		{"a timeout is unknown", 30 * 24 * time.Hour, 0, true},
	} {
		s := newScenario(t, "n1/", "n1/sales")
		s.analyzers("anna")
		s.link("n1/").InactivityTimeout = 30 * time.Minute
		s.link("n1/sales").InactivityTimeout = test.timeout
		var rows []qlik.UsageRow
		for i := range 5 {
			rows = append(rows, row(fmt.Sprint("gone", i), "anna", qlik.LicenseAnalyzer, s.now.Add(-test.activity)))
		}
		s.usage = NewUsage(rows, s.now, s.now)
		s.scrape(0)
		want := time.Time{}
		if test.want {
			want = s.now.Add(DefaultCoolingTime)
		}
		s.expect(test.name, s.user("anna").NextSlot, want)
	}
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	s.usage = NewUsage(slices.Repeat([]qlik.UsageRow{row("gone", "anna", qlik.LicenseAnalyzer, time.Time{})}, 5), s.now, s.now)
	s.scrape(0)
	s.expect("a row without activity may be of any time", s.user("anna").NextSlot, s.now.Add(DefaultCoolingTime))
}

// TestCoolingByRows checks that the usage rows say how many slots cool, if they are known:
// a slot that was freed below the limit has no row, and a row whose session was never
// listed may be left over.
func TestCoolingByRows(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.rows("anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(0)
	s.logout("n1/", "anna1", "anna2", "anna3")
	s.now = s.now.Add(time.Minute)
	s.rows("anna2", "anna4", "anna5")
	s.scrape(0)
	s.expect("one of three has a row", s.user("anna").CoolingSlots, 1)
	s.expect("free slots", s.user("anna").EffectiveHeadroom, 2)
	s.now = s.now.Add(time.Minute)
	s.rows("anna2", "anna4", "anna5", "anna6", "anna7")
	s.scrape(0)
	s.expect("rows of sessions that were never listed", s.user("anna").CoolingSlots, 1)
	s.expect("no free slot", s.user("anna").EffectiveHeadroom, 0)
	s.expect("the one that cools would be enough", s.user("anna").Judgment.Cause, CauseCooling)
	s.usage = nil
	s.scrape(time.Minute)
	s.expect("without rows the sessions decide", s.user("anna").CoolingSlots, 3)
}

// TestCauseOfUnseenEnds checks that nothing is guessed of rows whose sessions were never
// listed, as after a start of the exporter: they cool, or they are left over.
func TestCauseOfUnseenEnds(t *testing.T) {
	s := newScenario(t, "n1/")
	s.analyzers("anna")
	s.login("n1/", "anna1")
	s.rows("anna1", "gone1", "gone2", "gone3", "gone4")
	for i := range s.usage.rows {
		s.usage.rows[i].User = lab("anna")
	}
	s.scrape(0)
	s.expect("free slots", s.user("anna").EffectiveHeadroom, 0)
	s.expect("cooling slots", s.user("anna").CoolingSlots, 0)
	s.expect("cause", s.user("anna").Judgment.Cause, CauseUnknown)
}
