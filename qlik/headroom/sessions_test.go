package headroom

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func TestSessionsStartAndEnd(t *testing.T) {
	s := newScenario(t, "n1/")
	s.login("n1/", "anna1", "bert1")
	s.scrape(0)
	s.expect("at first", s.counted(), "0 started, 0 ended, 0 restarts")
	s.expect("since", s.snapshot.Tracking.Since, s.now)
	s.login("n1/", "anna2")
	s.scrape(30 * time.Second)
	s.expect("login", s.counted(), "1 started, 0 ended, 0 restarts")
	s.scrape(time.Second) // by another Prometheus
	s.expect("another scrape", s.counted(), "1 started, 0 ended, 0 restarts")
	s.logout("n1/", "anna1", "anna2")
	s.scrape(time.Minute)
	s.expect("logout", s.counted(), "1 started, 2 ended, 0 restarts")
	s.expect("lives of sessions whose start was seen", s.lives, []time.Duration{61 * time.Second})
	s.expect("since", s.snapshot.Tracking.Since, morning)
	s.expect("sessions kept", len(s.state.sessions), 1)
	s.expect("users kept", len(s.state.remembered), 0)
}

// TestCountersExistBeforeTheFirstEvent checks that counters start at zero. Without that,
// increase() would miss the first event.
func TestCountersExistBeforeTheFirstEvent(t *testing.T) {
	s := newScenario(t, "n1/", "n2/sales")
	s.link("n2/sales").Err = errDown
	s.scrape(0)
	causes := make(map[Cause]uint64)
	for _, cause := range Causes() {
		causes[cause] = 0
	}
	s.expect("counters", s.snapshot.Tracking.Totals, Totals{
		Started:  map[string]uint64{"/": 0, "/sales": 0},
		Ended:    map[string]uint64{"/": 0, "/sales": 0},
		Restarts: map[string]uint64{"n1": 0, "n2": 0},
		Refused:  map[string]uint64{"no_license": 0, "session_limit": 0},

		RefusedCauses: causes,
	})
}

func TestFailedLinkEndsNothing(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.login("n2/", "bert1")
	s.scrape(0)
	s.link("n1/").Err = errDown
	for range 100 {
		s.scrape(30 * time.Second)
	}
	s.expect("during the outage", s.counted(), "0 started, 0 ended, 0 restarts")
	s.expect("complete", s.snapshot.Complete(), false)
	s.expect("anna is not among the users", s.user("anna"), UserStatus{User: lab("anna")})
	s.expect("nobody reached the limit", s.state.remembered[lab("anna")].reached, uint64(0))
	s.link("n1/").Err = nil
	s.logout("n1/", "anna1")
	s.login("n1/", "carla1")
	s.scrape(30 * time.Second)
	s.expect("after it", s.counted(), "1 started, 1 ended, 0 restarts")
	s.expect("its slot cools from now on", s.user("anna").CoolingSlots, 1)
	s.expect("first seen", s.user("anna").FirstSeen, morning)
	s.logout("n1/", "carla1")
	s.scrape(30 * time.Second)
	s.expect("a start during an outage is not a start that was seen", len(s.lives), 0)
}

// TestUnknownSessionsHoldTheirSlots checks that sessions of a failed link still count
// toward the limit.
func TestUnknownSessionsHoldTheirSlots(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4")
	s.scrape(0)
	s.link("n1/").Err = errDown
	s.login("n2/", "anna5")
	s.scrape(time.Minute)
	s.expect("sessions that are listed", s.user("anna").Sessions, 1)
	s.expect("reached", s.user("anna").LimitReached, uint64(1))
	s.logout("n2/", "anna5")
	s.scrape(time.Minute)
	s.expect("at the limit its slot cools", s.user("anna").CoolingSlots, 1)
	s.expect("nothing else ended", s.counted(), "1 started, 1 ended, 0 restarts")
}

// TestSessionMovesToTheLinkThatListsIt checks a session that two links list: if one link
// fails, the other one shows the end of the session.
func TestSessionMovesToTheLinkThatListsIt(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.scrape(0)
	s.login("n1/", "anna1")
	s.login("n2/", "anna1")
	s.scrape(time.Minute)
	s.link("n1/").Err = errDown
	s.scrape(time.Minute)
	s.expect("still there", s.counted(), "1 started, 0 ended, 0 restarts")
	s.logout("n2/", "anna1")
	s.scrape(time.Minute)
	s.expect("gone", s.counted(), "1 started, 1 ended, 0 restarts")
	s.expect("its life", s.lives, []time.Duration{2 * time.Minute})
}

func TestRemovedLink(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1")
	s.scrape(0)
	both := s.links
	s.links = both[1:]
	s.scrape(time.Minute)
	s.expect("removed", s.counted(), "0 started, 1 ended, 0 restarts")
	s.links = both
	s.scrape(time.Minute)
	s.expect("what its first answer lists did not just begin", s.counted(), "0 started, 1 ended, 0 restarts")
}

func TestRestartIsToldFromLogouts(t *testing.T) {
	six := []string{"a1", "b1", "c1", "d1", "e1", "f1"}
	for _, test := range []struct {
		name   string
		login  []string
		logout []string
		want   string
	}{
		{"all of six", six, six, "0 started, 6 ended, 1 restarts"},
		{"five of six", six, six[:5], "0 started, 5 ended, 0 restarts"},
		{"one", six, six[:1], "0 started, 1 ended, 0 restarts"},
		{"all of five", six[:5], six, "0 started, 5 ended, 1 restarts"},
		{"four are too few to tell", six[:4], six, "0 started, 4 ended, 0 restarts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScenario(t, "n1/", "n2/")
			s.login("n1/", test.login...)
			s.login("n2/", "g1")
			s.scrape(0)
			s.logout("n1/", test.logout...)
			s.scrape(time.Minute)
			s.expect("counted", s.counted(), test.want)
		})
	}

	s := newScenario(t, "n1/")
	s.login("n1/", six...)
	s.scrape(0)
	s.logout("n1/", six...)
	s.login("n1/", "g1")
	s.scrape(time.Minute)
	s.expect("a login right after the restart does not hide it", s.counted(), "1 started, 6 ended, 1 restarts")

	s = newScenario(t, "n1/", "n1/sales")
	s.login("n1/", six[:3]...)
	s.login("n1/sales", six[3:]...)
	s.scrape(0)
	s.logout("n1/", six...)
	s.logout("n1/sales", six[:5]...)
	s.scrape(time.Minute)
	s.expect("a node restarts, not a virtual proxy", s.counted(), "0 started, 3 ended, 0 restarts")
}

// TestSameSessionOnTwoLinksIsOne checks a session that two links list. It belongs to the
// first link, and both links count its user.
func TestSameSessionOnTwoLinksIsOne(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1")
	s.login("n2/", "anna1", "bert1")
	s.scrape(0)
	nodes := make(map[qlik.SessionID]string)
	for _, session := range s.snapshot.Sessions {
		nodes[session.ID] += session.Link.Node
	}
	s.expect("sessions", nodes, map[qlik.SessionID]string{"anna1": "n1", "bert1": "n2"})
	s.expect("sessions of anna", s.user("anna").Sessions, 1)
	s.expect("users of n1", s.snapshot.Links[0].Users, 1)
	s.expect("users of n2", s.snapshot.Links[1].Users, 2)

	s.logout("n1/", "anna1")
	s.scrape(time.Minute)
	s.expect("one list is enough", s.counted(), "0 started, 0 ended, 0 restarts")
	s.logout("n2/", "anna1")
	s.scrape(time.Minute)
	s.expect("it ends once", s.counted(), "0 started, 1 ended, 0 restarts")
}

func TestLinkCountsItsUsers(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	for i, user := range []struct{ directory, id string }{
		{"NONE", "anonymous0815"}, {"NONE", "anonymous4711"}, {"LAB", "anna"}, {"LAB", "bert"}, {"LAB", "Anna"},
	} {
		link := s.links[0]
		link.Sessions = append(link.Sessions, session(string(rune('1'+i)), user.directory, user.id, &link.Link))
	}
	s.login("n2/", "bert1", "anna1")
	s.scrape(0)
	s.expect("anonymous browsers count each, users once", s.snapshot.Links[0].Users, 4)
	s.expect("another link counts the same users again", s.snapshot.Links[1].Users, 2)
}

// TestObserveLeavesTheRoundAlone checks that the round does not change, because others may
// read it at the same time.
func TestObserveLeavesTheRoundAlone(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1")
	s.link("n2/").Err = errDown
	s.report("n2", "NoCommunication")
	s.now = s.now.Add(stoppedAfter)
	s.report("n2", "NoCommunication")
	round := s.round()
	snapshot, _ := s.state.Observe(round)
	s.expect("users of n1", snapshot.Links[0].Users, 1)
	s.expect("n2 has stopped", snapshot.Links[1].Stopped, true)
	s.expect("in the round", []any{round.Links[0].Users, round.Links[1].Stopped}, []any{0, false})
}
