package qlik

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// trackedSite is a site whose answers a test writes down: what links list, and
// who has how many cooling slots.
type trackedSite struct {
	*tracker

	t     *testing.T
	now   time.Time
	links map[string]*LinkResult
	lives []time.Duration
}

func track(t *testing.T, links ...string) *trackedSite {
	t.Helper()
	s := &trackedSite{t: t, now: time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC), links: make(map[string]*LinkResult)}
	s.tracker = newTracker(5, 5*time.Minute, map[User]bool{NewUser("LAB", "robot"): true})
	s.ended = func(life time.Duration) { s.lives = append(s.lives, life) }
	for _, link := range links {
		node, virtualProxy, _ := strings.Cut(link, "/")
		s.links[link] = &LinkResult{Link: Link{Node: node, VirtualProxy: "/" + virtualProxy}}
	}
	return s
}

// login adds sessions "user1" of user "user" to a link.
func (s *trackedSite) login(link string, ids ...string) {
	l := s.links[link]
	for _, id := range ids {
		l.Sessions = append(slices.Clip(l.Sessions), session(id, "LAB", strings.TrimRight(id, "0123456789"), &l.Link))
	}
}

func (s *trackedSite) logout(link string, ids ...string) {
	l := s.links[link]
	l.Sessions = slices.DeleteFunc(slices.Clone(l.Sessions), func(session Session) bool { return slices.Contains(ids, string(session.ID)) })
}

// scrape observes all links after a time.
func (s *trackedSite) scrape(after time.Duration) {
	s.now = s.now.Add(after)
	var results []LinkResult
	for _, link := range s.links {
		result := *link
		if result.Err != nil {
			result.Sessions = nil
		}
		results = append(results, result)
	}
	s.observe(results, s.now)
}

func (s *trackedSite) expect(what string, got, want any) {
	s.t.Helper()
	if !reflect.DeepEqual(got, want) {
		s.t.Errorf("%s: %s: got %v, want %v", s.now.Format(time.TimeOnly), what, got, want)
	}
}

func (s *trackedSite) cooling(user string) int {
	return len(s.coolingEnds(NewUser("LAB", user), s.now))
}

func (s *trackedSite) counted() string {
	return fmt.Sprint(s.totals.Started["/"], " started, ", s.totals.Ended["/"], " ended, ", s.totals.Restarts["n1"], " restarts")
}

func TestTrackingStartsAndEnds(t *testing.T) {
	s := track(t, "n1/")
	s.login("n1/", "anna1", "bert1")
	s.scrape(0)
	s.expect("at first", s.counted(), "0 started, 0 ended, 0 restarts")
	s.login("n1/", "anna2")
	s.scrape(30 * time.Second)
	s.expect("login", s.counted(), "1 started, 0 ended, 0 restarts")
	s.scrape(time.Second) // another Prometheus
	s.expect("another scrape", s.counted(), "1 started, 0 ended, 0 restarts")
	s.logout("n1/", "anna1", "anna2")
	s.scrape(time.Minute)
	s.expect("logout", s.counted(), "1 started, 2 ended, 0 restarts")
	s.expect("lives of sessions whose start was seen", s.lives, []time.Duration{61 * time.Second})
	s.expect("sessions kept", len(s.sessions), 1)
	s.expect("users kept", len(s.users), 1)
}

func TestFailedLinkEndsNothing(t *testing.T) {
	s := track(t, "n1/", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.login("n2/", "bert1")
	s.scrape(0)
	s.links["n1/"].Err = errors.New("down")
	for range 100 {
		s.scrape(30 * time.Second)
	}
	s.expect("during the outage", s.counted(), "0 started, 0 ended, 0 restarts")
	s.expect("nobody reached the limit", s.users[NewUser("LAB", "anna")].reached, uint64(0))
	s.links["n1/"].Err = nil
	s.logout("n1/", "anna1")
	s.login("n1/", "carla1")
	s.scrape(30 * time.Second)
	s.expect("after it", s.counted(), "1 started, 1 ended, 0 restarts")
	s.expect("its slot cools from now on", s.cooling("anna"), 1)
	s.logout("n1/", "carla1")
	s.scrape(30 * time.Second)
	s.expect("a start during an outage is not a start that was seen", len(s.lives), 0)
}

func TestStoppedProxyLosesItsSessions(t *testing.T) {
	s := track(t, "n1/", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(0)
	s.links["n1/"].Err = errors.New("down")
	s.scrape(4 * time.Minute)
	s.expect("not yet", s.counted(), "0 started, 0 ended, 0 restarts")
	s.links["n1/"].Stopped = true
	s.scrape(2 * time.Minute)
	s.expect("gone", s.counted(), "0 started, 5 ended, 1 restarts")
	s.expect("they have cooled meanwhile", s.cooling("anna"), 0)
	s.links["n1/"].Err, s.links["n1/"].Stopped, s.links["n1/"].Sessions = nil, false, nil
	s.login("n1/", "anna6")
	s.scrape(2 * time.Minute)
	s.expect("back", s.counted(), "1 started, 5 ended, 1 restarts")
}

func TestRemovedLink(t *testing.T) {
	s := track(t, "n1/", "n2/")
	s.login("n1/", "anna1")
	s.scrape(0)
	link := s.links["n1/"]
	delete(s.links, "n1/")
	s.scrape(time.Minute)
	s.expect("removed", s.counted(), "0 started, 1 ended, 0 restarts")
	s.links["n1/"] = link
	s.scrape(time.Minute)
	s.expect("what its first answer lists did not just begin", s.counted(), "0 started, 1 ended, 0 restarts")
}

func TestRestartIsToldFromLogouts(t *testing.T) {
	six := []string{"a1", "b1", "c1", "d1", "e1", "f1"}
	for _, test := range []struct {
		name   string
		logout []string
		want   string
	}{
		{"all of six", six, "0 started, 6 ended, 1 restarts"},
		{"five of six", six[:5], "0 started, 5 ended, 0 restarts"},
		{"one", six[:1], "0 started, 1 ended, 0 restarts"},
	} {
		s := track(t, "n1/", "n2/")
		s.login("n1/", six...)
		s.login("n2/", "g1")
		s.scrape(0)
		s.logout("n1/", test.logout...)
		s.scrape(time.Minute)
		s.expect(test.name, s.counted(), test.want)
	}
	s := track(t, "n1/")
	s.login("n1/", six[:4]...)
	s.scrape(0)
	s.logout("n1/", six...)
	s.scrape(time.Minute)
	s.expect("four are too few to tell", s.counted(), "0 started, 4 ended, 0 restarts")
}

func TestCoolingSlots(t *testing.T) {
	five := []string{"anna1", "anna2", "anna3", "anna4", "anna5"}
	s := track(t, "n1/", "n2/sales")
	s.login("n1/", five[:4]...)
	s.scrape(0)
	s.logout("n1/", "anna1")
	s.scrape(time.Minute)
	s.expect("below the limit nothing cools", s.cooling("anna"), 0)

	s.login("n1/", "anna1")
	s.login("n2/sales", "anna5")
	s.scrape(time.Minute)
	s.logout("n2/sales", "anna5")
	s.scrape(time.Minute)
	s.expect("at the limit", s.cooling("anna"), 1)
	s.logout("n1/", "anna4")
	s.scrape(time.Minute)
	s.expect("four sessions and a cooling slot are at the limit, too", s.cooling("anna"), 2)
	s.login("n1/", "anna6", "anna7")
	s.scrape(time.Minute)
	s.expect("sessions and cooling slots never exceed the limit", s.cooling("anna"), 0)
	s.logout("n1/", "anna6", "anna7") // these held no slot, but that cannot be told
	s.scrape(time.Minute)
	s.expect("again", s.cooling("anna"), 2)
	s.scrape(4*time.Minute + 59*time.Second)
	s.expect("just before", s.cooling("anna"), 2)
	s.scrape(time.Second)
	s.expect("cooled", s.cooling("anna"), 0)

	s = track(t, "n1/")
	s.login("n1/", "robot1", "robot2", "robot3", "robot4", "robot5", "robot6")
	s.scrape(0)
	s.logout("n1/", "robot1")
	s.scrape(time.Minute)
	s.expect("of an unlimited user nothing cools", s.cooling("robot"), 0)

	s = track(t, "n1/")
	s.login("n1/", five[:4]...)
	s.scrape(0)
	s.login("n1/", "anna5")
	s.logout("n1/", "anna1") // before or after? if after, its slot cools
	s.scrape(time.Minute)
	s.expect("in doubt it cools", s.cooling("anna"), 1)
}

func TestReachingTheLimit(t *testing.T) {
	anna := NewUser("LAB", "anna")
	s := track(t, "n1/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(0)
	s.expect("was there before", s.users[anna].reached, uint64(0))
	s.login("n1/", "anna6")
	s.scrape(time.Minute)
	s.expect("further beyond", s.users[anna].reached, uint64(0))
	s.logout("n1/", "anna5", "anna6")
	s.scrape(time.Minute)
	s.login("n1/", "anna7")
	s.scrape(time.Minute)
	s.expect("back before the slot has cooled", s.users[anna].reached, uint64(0))
	s.logout("n1/", "anna4", "anna7")
	s.scrape(time.Minute)
	s.scrape(10 * time.Minute)
	s.login("n1/", "anna8", "anna9")
	s.scrape(time.Minute)
	s.expect("reached", s.users[anna].reached, uint64(1))
	reached := s.now
	s.expect("when", s.users[anna].lastReached, reached)

	s.links["n1/"].Sessions = nil
	s.scrape(time.Minute)
	left := s.now
	s.scrape(23 * time.Hour)
	var status UserStatus
	status.User = anna
	s.describe(&status, s.now)
	s.expect("remembered", status, UserStatus{User: anna, LimitReached: 1, LastLimitReached: reached})
	s.scrape(left.Add(rememberReached).Sub(s.now))
	s.expect("forgotten", len(s.users), 0)
}

// TestMemoryIsBounded: users who reached the limit and left are remembered up to
// a number, the latest.
func TestMemoryIsBounded(t *testing.T) {
	s := track(t, "n1/")
	s.scrape(0)
	const batch, batches = 5000, 5
	for n := range batches {
		s.links["n1/"].Sessions = nil
		for i := range batch {
			user := NewUser("LAB", fmt.Sprint("user", n, "-", i))
			for j := range 5 {
				s.links["n1/"].Sessions = append(s.links["n1/"].Sessions, Session{ID: SessionID(fmt.Sprint(n, i, j)), User: user, Link: &s.links["n1/"].Link})
			}
		}
		s.scrape(time.Minute)
		s.links["n1/"].Sessions = nil
		s.scrape(time.Minute)
		s.scrape(10 * time.Minute)
	}
	s.expect("sessions", len(s.sessions), 0)
	s.expect("users", len(s.users), maxRemembered)
	if s.users[NewUser("LAB", "user0-1")] != nil || s.users[NewUser("LAB", "user4-1")] == nil {
		t.Error("not the latest are remembered")
	}
}

func TestFirstSeen(t *testing.T) {
	s := track(t, "n1/")
	s.login("n1/", "anna1")
	s.scrape(0)
	first := s.now
	s.login("n1/", "anna2")
	s.scrape(time.Minute)
	second := s.now
	firstSeen := func() time.Time {
		status := UserStatus{User: NewUser("LAB", "anna"), Sessions: 1}
		s.describe(&status, s.now)
		return status.FirstSeen
	}
	s.expect("oldest", firstSeen(), first)
	s.logout("n1/", "anna1")
	s.scrape(time.Minute)
	s.expect("oldest of those left", firstSeen(), second)
}
