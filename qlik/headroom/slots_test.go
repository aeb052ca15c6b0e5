package headroom

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// minutes returns the times at numbers of minutes after morning.
func minutes(numbers ...float64) []time.Time {
	var times []time.Time
	for _, n := range numbers {
		times = append(times, morning.Add(time.Duration(n*float64(time.Minute))))
	}
	return times
}

func TestCool(t *testing.T) {
	limits := &limits{limit: 5, coolingTime: 5 * time.Minute}
	for _, test := range []struct {
		name     string
		cooling  []time.Time
		sessions int // including the ended sessions
		ends     []time.Time
		last     float64 // minute of the link's previous request
		want     []time.Time
	}{
		{"below the limit nothing cools", nil, 4, minutes(1), 0, nil},
		{"nor do several", nil, 4, minutes(1, 1, 1, 1), 0, nil},
		{"at the limit a slot cools", nil, 5, minutes(1), 0, minutes(6)},
		{"beyond it, too", nil, 6, minutes(1), 0, minutes(6)},
		{"of two that end at the limit, the second finds the first cooling", nil, 5, minutes(1, 1), 0, minutes(6, 6)},
		{"four sessions and a cooling slot are at the limit", minutes(3), 4, minutes(2), 1, minutes(3, 7)},
		{"three sessions and a cooling slot are not", minutes(3), 3, minutes(2), 1, minutes(3)},
		{"a slot that had cooled at the earlier answer does not count", minutes(1), 4, minutes(2), 1, nil},
		{"one that cooled between the answers may have been taken at the end", minutes(2), 4, minutes(3), 1, minutes(2, 8)},
		{"no more slots cool than there are, and those stay that cool longest", minutes(3), 7, minutes(2, 2, 2, 2, 2, 2), 1, minutes(7, 7, 7, 7, 7)},
		{"the soonest comes first", minutes(6, 7), 3, minutes(3, 1.5), 1, minutes(6, 6.5, 7, 8)},
		{"without an end nothing changes", minutes(3, 4), 5, nil, 2, minutes(3, 4)},
	} {
		got := cool(test.cooling, test.sessions, test.ends, minutes(test.last)[0], limits)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.name, clocks(got), clocks(test.want))
		}
	}
}

// clocks formats times as minutes and seconds.
func clocks(times []time.Time) []string {
	var all []string
	for _, t := range times {
		all = append(all, t.Format("04:05"))
	}
	return all
}

// TestCoolLeavesItsArgumentAlone checks that the argument does not change, because it
// belongs to the previous state.
func TestCoolLeavesItsArgumentAlone(t *testing.T) {
	before := append(make([]time.Time, 0, 10), minutes(3, 4)...)
	cool(before, 5, minutes(1, 2), morning, &limits{limit: 5, coolingTime: time.Minute})
	if whole := before[:3]; !slices.Equal(before, minutes(3, 4)) || !whole[2].IsZero() {
		t.Errorf("the cooling slots before became %s", clocks(whole))
	}
}

func TestCooled(t *testing.T) {
	for at, want := range map[float64]int{1: 0, 2: 1, 2.9: 1, 3: 3, 9: 4} {
		if got := cooled(minutes(2, 3, 3, 4), minutes(at)[0]); got != want {
			t.Errorf("%v minutes: %d slots have cooled, want %d", at, got, want)
		}
	}
}

func TestTaken(t *testing.T) {
	for _, test := range []struct {
		sessions int
		want     []time.Time
	}{
		{0, minutes(1, 2, 3)},
		{2, minutes(1, 2, 3)},
		{3, minutes(2, 3)}, // the slots that cool longest
		{4, minutes(3)},
		{5, nil},
		{7, nil},
	} {
		user := trackedUser{cooling: minutes(1, 2, 3)}
		if got := user.taken(test.sessions, 5, morning); !slices.Equal(got, test.want) {
			t.Errorf("beside %d sessions: got %s, want %s", test.sessions, clocks(got), clocks(test.want))
		}
	}
}

func TestWorthRemembering(t *testing.T) {
	day := morning.Add(24 * time.Hour)
	for _, test := range []struct {
		name     string
		user     trackedUser
		sessions int
		now      time.Time
		want     bool
	}{
		{"nothing to remember", trackedUser{lastSession: morning}, 3, morning, false},
		{"at the limit", trackedUser{atLimit: true}, 5, morning, true},
		{"a cooling slot", trackedUser{cooling: minutes(1)}, 0, morning, true},
		{"reached the limit, and is there", trackedUser{reached: 1, lastSession: morning}, 1, day.Add(time.Hour), true},
		{"reached it, and left less than a day ago", trackedUser{reached: 1, lastSession: morning}, 0, day.Add(-1), true},
		{"reached it, and left a day ago", trackedUser{reached: 1, lastSession: morning}, 0, day, false},
	} {
		if got := test.user.worthRemembering(test.sessions, test.now); got != test.want {
			t.Errorf("%s: worth remembering %t", test.name, got)
		}
	}
}

func TestForgetLongAgo(t *testing.T) {
	state := &State{remembered: make(map[qlik.User]trackedUser)}
	add := func(id string, user trackedUser) { state.remembered[lab(id)] = user }
	for i := range maxRemembered - 1 {
		add(fmt.Sprint("left", i), trackedUser{reached: 1, lastSession: morning.Add(-time.Hour)})
	}
	add("newest", trackedUser{reached: 1, lastSession: morning.Add(-time.Second)})
	add("present", trackedUser{reached: 1, lastSession: morning})
	add("cools", trackedUser{reached: 1, lastSession: morning.AddDate(0, 0, -1), cooling: minutes(1)})
	state.pruneRemembered(morning)
	if got, want := len(state.remembered), maxRemembered+2; got != want {
		t.Fatalf("%d users are remembered, want %d: as many may be", got, want)
	}
	add("a", trackedUser{reached: 1, lastSession: morning.Add(-3 * time.Hour)})
	add("b", trackedUser{reached: 1, lastSession: morning.Add(-2 * time.Hour)})
	add("z", trackedUser{reached: 1, lastSession: morning.Add(-time.Hour)}) // as of the others: then the first by name goes
	state.pruneRemembered(morning)
	if got, want := len(state.remembered), maxRemembered+2; got != want {
		t.Errorf("%d users are remembered, want %d", got, want)
	}
	for id, want := range map[string]bool{"a": false, "b": false, "left0": false, "left1": true, "z": true, "newest": true, "present": true, "cools": true} {
		if _, got := state.remembered[lab(id)]; got != want {
			t.Errorf("%s is remembered: %t", id, got)
		}
	}
}

func TestCoolingSlots(t *testing.T) {
	five := []string{"anna1", "anna2", "anna3", "anna4", "anna5"}
	s := newScenario(t, "n1/", "n2/sales")
	cooling := func(what string, want int) {
		t.Helper()
		s.expect(what, s.user("anna").CoolingSlots, want)
	}
	s.login("n1/", five[:4]...)
	s.scrape(0)
	s.logout("n1/", "anna1")
	s.scrape(time.Minute)
	cooling("below the limit nothing cools", 0)

	s.login("n1/", "anna1")
	s.login("n2/sales", "anna5")
	s.scrape(time.Minute)
	s.logout("n2/sales", "anna5")
	s.scrape(time.Minute)
	cooling("at the limit", 1)
	s.logout("n1/", "anna4")
	s.scrape(time.Minute)
	cooling("four sessions and a cooling slot are at the limit, too", 2)
	s.login("n1/", "anna6", "anna7")
	s.scrape(time.Minute)
	cooling("sessions and cooling slots never exceed the limit", 0)
	s.logout("n1/", "anna6", "anna7") // these held no slot, but the lists do not show it
	s.scrape(time.Minute)
	cooling("again", 2)
	s.scrape(4*time.Minute + 59*time.Second)
	cooling("just before", 2)
	s.scrape(time.Second)
	cooling("cooled", 0)

	s = newScenario(t, "n1/")
	s.login("n1/", "robot1", "robot2", "robot3", "robot4", "robot5", "robot6")
	s.scrape(0)
	s.logout("n1/", "robot1")
	s.scrape(time.Minute)
	s.expect("of an unlimited user nothing cools", s.user("robot").CoolingSlots, 0)
	s.expect("nor is anything remembered", len(s.state.remembered), 0)

	s = newScenario(t, "n1/")
	s.login("n1/", five[:4]...)
	s.scrape(0)
	s.login("n1/", "anna5")
	s.logout("n1/", "anna1") // before or after the login? if after, its slot cools
	s.scrape(time.Minute)
	cooling("in doubt it cools", 1)
}

// TestSlotThatCooledBetweenAnswers checks a session that may have ended before a cooling
// slot became free. In that case, its own slot cools.
func TestSlotThatCooledBetweenAnswers(t *testing.T) {
	s := newScenario(t, "n1/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(0)
	s.logout("n1/", "anna1")
	s.scrape(time.Minute)
	s.scrape(4 * time.Minute)
	s.logout("n1/", "anna2")
	s.scrape(2 * time.Minute)
	anna := s.user("anna")
	s.expect("cooling slots", anna.CoolingSlots, 1)
	s.expect("effective headroom", anna.EffectiveHeadroom, 1)
}

// TestSlotThatCoolsWhileALinkIsAsked checks a session that may have ended after the
// response of its link, but before a slot that became free during the round.
func TestSlotThatCoolsWhileALinkIsAsked(t *testing.T) {
	s := newScenario(t, "n1/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(0)
	s.logout("n1/", "anna1")
	s.scrape(time.Minute)
	round := s.round()
	round.Asked, round.Heard = s.now.Add(5*time.Minute-5*time.Second), s.now.Add(5*time.Minute+5*time.Second)
	s.snapshot, s.state = s.state.Observe(round)
	s.expect("cooled when the answers were in", s.user("anna").CoolingSlots, 0)
	s.expect("effective headroom", s.user("anna").EffectiveHeadroom, 1)
	s.logout("n1/", "anna2")
	s.scrape(6 * time.Minute)
	s.expect("in doubt the next one cools", s.user("anna").CoolingSlots, 1)
}

// outageScenario returns a site on which anna was at the limit. Two of the three
// sessions on n1 have ended, so that their slots cool until 08:06. The session on n3 is
// there. The one on n2 is unknown, because n2 has failed since the request at 08:01.
func outageScenario(t *testing.T) *scenario {
	t.Helper()
	s := newScenario(t, "n1/", "n2/", "n3/")
	s.login("n1/", "anna1", "anna2", "anna3")
	s.login("n2/", "anna4")
	s.login("n3/", "anna5")
	s.scrape(0)
	s.logout("n1/", "anna1", "anna2")
	s.scrape(time.Minute)
	s.link("n2/").Err = errDown
	s.scrape(time.Minute)
	s.expect("cooling slots", s.user("anna").CoolingSlots, 2)
	return s
}

// TestSlotThatCoolsDuringAnOutage checks a session that may have ended at any time since
// the last response of its link. A slot that cooled during that time counts as taken.
func TestSlotThatCoolsDuringAnOutage(t *testing.T) {
	s := outageScenario(t)
	s.scrape(5 * time.Minute)
	s.expect("cooled", s.user("anna").CoolingSlots, 0)
	s.expect("at the limit", s.state.remembered[lab("anna")].atLimit, false)
	s.login("n1/", "anna6")
	s.scrape(time.Minute)
	s.expect("four sessions do not reach the limit", s.user("anna").LimitReached, uint64(0))
	s.logout("n1/", "anna6")
	s.link("n2/").Err = nil
	s.logout("n2/", "anna4")
	s.scrape(time.Minute)
	s.expect("in doubt the two that ended cool", s.user("anna").CoolingSlots, 2)
	s.scrape(5 * time.Minute)
	s.expect("cooled again", len(s.state.remembered), 0)
}

// TestOutageThatIsOver checks a slot that cooled before the last response of a link. It does
// not count for the sessions of that link, even if it counted for a link that had failed.
func TestOutageThatIsOver(t *testing.T) {
	s := outageScenario(t)
	s.scrape(5 * time.Minute)
	s.link("n3/").Err = errDown
	s.scrape(time.Minute)
	s.link("n2/").Err = nil // its session still exists
	s.scrape(time.Minute)
	s.link("n3/").Err = nil
	s.logout("n3/", "anna5")
	s.scrape(time.Minute)
	s.expect("cooling slots", s.user("anna").CoolingSlots, 0)
}

// TestTwoOutages checks that the link with the longest outage decides.
func TestTwoOutages(t *testing.T) {
	s := outageScenario(t)
	s.scrape(5 * time.Minute)
	s.link("n3/").Err = errDown
	s.scrape(time.Minute)
	s.link("n2/").Err = nil
	s.logout("n2/", "anna4")
	s.login("n1/", "anna6")
	s.scrape(time.Minute)
	s.expect("in doubt the session of the longer one cools", s.user("anna").CoolingSlots, 1)
}

func TestReachingTheLimit(t *testing.T) {
	s := newScenario(t, "n1/")
	reached := func(what string, want uint64) {
		t.Helper()
		s.expect(what, s.user("anna").LimitReached, want)
	}
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(0)
	reached("was there before", 0)
	s.login("n1/", "anna6")
	s.scrape(time.Minute)
	reached("further beyond", 0)
	s.logout("n1/", "anna5", "anna6")
	s.scrape(time.Minute)
	s.login("n1/", "anna7")
	s.scrape(time.Minute)
	reached("back before the slot has cooled", 0)
	s.logout("n1/", "anna4", "anna7")
	s.scrape(time.Minute)
	s.scrape(10 * time.Minute)
	s.login("n1/", "anna8", "anna9")
	s.scrape(time.Minute)
	reached("reached", 1)
	when := s.now
	s.expect("when", s.user("anna").LastLimitReached, when)

	s.logout("n1/", "anna1", "anna2", "anna3", "anna8", "anna9")
	s.scrape(time.Minute)
	left := s.now.Add(-time.Minute) // the last response with a session
	s.scrape(22 * time.Hour)
	s.expect("remembered", s.user("anna"), UserStatus{
		User: lab("anna"), Limited: true, Headroom: 5, EffectiveHeadroom: 5, LimitReached: 1, LastLimitReached: when,
	})
	s.scrape(left.Add(24*time.Hour).Sub(s.now) - 1)
	s.expect("a moment before", len(s.state.remembered), 1)
	s.scrape(1)
	s.expect("forgotten", len(s.state.remembered), 0)
	s.expect("not shown", len(s.snapshot.Users), 0)
}

// TestReachingTheLimitIsRememberedDuringAnOutage checks that a user is remembered while the
// sessions are unknown.
func TestReachingTheLimitIsRememberedDuringAnOutage(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4")
	s.scrape(0)
	s.login("n1/", "anna5")
	s.scrape(time.Minute)
	s.link("n1/").Err = errDown
	s.scrape(time.Minute)
	s.scrape(30 * time.Hour)
	s.expect("during the outage", s.user("anna").LimitReached, uint64(1))
	s.link("n1/").Err = nil
	s.logout("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(time.Minute)
	s.scrape(23 * time.Hour)
	s.expect("a day after it", s.user("anna").LimitReached, uint64(1))
}

// TestReachingTheLimitNeedsALogin checks a user who is at the limit only because a link
// responds again. The user did not reach the limit at that time.
func TestReachingTheLimitNeedsALogin(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4")
	s.login("n2/", "anna5")
	s.link("n2/").Err = errDown
	s.scrape(0)
	s.link("n2/").Err = nil
	s.scrape(time.Minute)
	s.expect("sessions", s.user("anna").Sessions, 5)
	s.expect("reached", s.user("anna").LimitReached, uint64(0))
}

// TestMemoryIsBounded checks that only the latest users who reached the limit and left are
// remembered.
func TestMemoryIsBounded(t *testing.T) {
	s := newScenario(t, "n1/")
	s.state = New(Config{Limit: 1, CoolingTime: DefaultCoolingTime}) // one session reaches the limit
	s.scrape(0)
	const batch, batches = 5000, 5
	link := s.link("n1/")
	for n := range batches {
		for i := range batch {
			user := fmt.Sprint("user", n, "-", i)
			link.Sessions = append(link.Sessions, session(user, "LAB", user, &link.Link))
		}
		s.scrape(time.Minute)
		link.Sessions = nil
		s.scrape(time.Minute)
		s.scrape(10 * time.Minute)
	}
	s.expect("sessions", len(s.state.sessions), 0)
	s.expect("users", len(s.state.remembered), maxRemembered)
	s.expect("users who are shown", len(s.snapshot.Users), maxRemembered)
	for user, want := range map[string]bool{"user0-1": false, "user1-1": true, "user4-1": true} {
		_, got := s.state.remembered[lab(user)]
		s.expect(user+" is remembered", got, want)
	}
}
