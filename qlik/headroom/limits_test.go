package headroom

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestHostileNode checks that a node whose links answer by turns, each time with other
// sessions of other users, does not make the state grow without limit.
func TestHostileNode(t *testing.T) {
	if testing.Short() {
		t.Skip("has millions of sessions")
	}
	const (
		links    = 4
		sessions = qlik.MaxSessions / 2
	)
	state := New(Config{Limit: DefaultLimit, CoolingTime: DefaultCoolingTime})
	long := strings.Repeat("x", 300)
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for round := range 2 * links {
		at = at.Add(10 * time.Second)
		all := make([]LinkResult, links)
		for i := range all {
			all[i].Link = qlik.Link{Node: "qlik1", Address: "qlik1:4243", VirtualProxy: fmt.Sprintf("/%d", i)}
			all[i].Err = errDown
		}
		answers := &all[round%links]
		answers.Err = nil
		for i := range sessions {
			user := qlik.NewUser("LAB", fmt.Sprint(long, round, i/DefaultLimit))
			answers.Sessions = append(answers.Sessions, qlik.Session{ID: qlik.SessionID(fmt.Sprint(round, i)), User: user, Link: &answers.Link})
		}
		_, state = state.Observe(Round{Asked: at, Heard: at, Links: all})
		names := 0
		for user := range state.remembered {
			names += len(user.ID)
		}
		if n := len(state.sessions); n > qlik.MaxSessions {
			t.Errorf("round %d: %d sessions", round, n)
		}
		if n := len(state.remembered); n > maxCooling+2*sessions/DefaultLimit || names > maxCoolingNames+2*sessions/DefaultLimit*310 {
			t.Errorf("round %d: %d users with %d bytes of names are remembered", round, n, names)
		}
	}
}

// TestEndedSessionsAreLimited checks that sessions that ended last stay remembered when
// there are too many, or too many names of their users.
func TestEndedSessionsAreLimited(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for name, id := range map[string]string{"many": "x", "long names": strings.Repeat("x", 400)} {
		state := New(Config{})
		state.ended = make(map[qlik.SessionKey]endedSession)
		const ended = maxEnded + 1000
		for i := range ended {
			state.ended[qlik.SessionKey(i)] = endedSession{at: at.Add(time.Duration(i)), user: qlik.NewUser("LAB", id)}
		}
		state.pruneEnded()
		if n := len(state.ended); n > maxEnded || n < maxEnded/2 || name == "many" && n != maxEnded {
			t.Errorf("%s: %d of %d are remembered", name, n, ended)
		}
		if _, kept := state.ended[ended-1]; !kept {
			t.Errorf("%s: the last one is forgotten", name)
		}
	}
}

// TestChangingTopology checks that a repository that names other links in each round
// does not make the state grow without limit, and that a usual change keeps counters.
func TestChangingTopology(t *testing.T) {
	state := New(Config{Limit: DefaultLimit, CoolingTime: DefaultCoolingTime})
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for round := range 20 {
		at = at.Add(time.Minute)
		links := make([]LinkResult, 2000)
		for i := range links {
			links[i].Link = qlik.Link{Node: fmt.Sprint("qlik", i), VirtualProxy: fmt.Sprintf("/%d/%d", round, i)}
		}
		_, state = state.Observe(Round{Asked: at, Heard: at, Links: links})
		if n := len(state.totals.Started) + len(state.totals.Restarts); n > maxCounters+2*len(links) {
			t.Fatalf("round %d: %d counters", round, n)
		}
		if _, kept := state.totals.Started[fmt.Sprintf("/%d/0", round)]; !kept {
			t.Fatalf("round %d: a link has no counter", round)
		}
	}
	_, state = state.Observe(Round{Asked: at, Heard: at, Links: []LinkResult{{Link: qlik.Link{Node: "qlik1", VirtualProxy: "/"}}}})
	before := len(state.totals.Started)
	_, state = state.Observe(Round{Asked: at, Heard: at, Links: []LinkResult{{Link: qlik.Link{Node: "qlik1", VirtualProxy: "/new"}}}})
	if after := len(state.totals.Started); after != before+1 {
		t.Errorf("%d counters became %d", before, after)
	}
}
