package headroom

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// churn generates random rounds of a site: sessions begin and end, links fail, a proxy
// stops, and usage rows are sometimes read.
type churn struct {
	*scenario

	random *rand.Rand
	denied *rand.Rand // of the refusals in audit logs
	login  int        // number of the next session
}

func newChurn(t *testing.T, seed uint64) *churn {
	t.Helper()
	c := &churn{scenario: newScenario(t, "n1/", "n1/sales", "n2/", "n2/sales"), random: rand.New(rand.NewPCG(seed, seed)), denied: rand.New(rand.NewPCG(seed, 1))}
	for _, link := range c.links {
		link.InactivityTimeout = 10 * time.Minute
	}
	c.analyzers("user1", "user2", "user3", "user4")
	return c
}

// next performs random actions, and returns the responses of the site.
func (c *churn) next() Round {
	c.now = c.now.Add(time.Duration(5+c.random.IntN(60)) * time.Second)
	for range c.random.IntN(6) {
		link := c.links[c.random.IntN(len(c.links))]
		switch n := len(link.Sessions); {
		case n == 0 || c.random.IntN(9) < 5 && n < 12:
			c.login++
			each := session(strconv.Itoa(c.login), "LAB", fmt.Sprint("user", c.random.IntN(6)), &link.Link)
			link.Sessions = append(slices.Clip(link.Sessions), each)
			if c.random.IntN(20) == 0 { // another link lists it too
				other := c.links[c.random.IntN(len(c.links))]
				other.Sessions = append(slices.Clip(other.Sessions), qlik.Session{ID: each.ID, User: each.User, Link: &other.Link})
			}
		default:
			i := c.random.IntN(n)
			link.Sessions = slices.Delete(slices.Clone(link.Sessions), i, i+1)
		}
	}
	for _, link := range c.links {
		switch c.random.IntN(30) {
		case 0:
			link.Err = errDown
		case 1, 2, 3:
			link.Err = nil
		case 4:
			if c.random.IntN(3) == 0 {
				link.Sessions = nil // restarted
			}
		}
	}
	switch c.random.IntN(3) {
	case 0:
		c.usage = nil
	case 1:
		var rows []qlik.UsageRow
		for _, link := range c.links {
			for _, each := range link.Sessions {
				if c.random.IntN(4) > 0 {
					rows = append(rows, qlik.UsageRow{Session: each.ID.Key(), User: each.User, License: qlik.LicenseAnalyzer, LastActivity: c.now})
				}
			}
		}
		c.usage = NewUsage(rows, c.now, c.now)
	}
	if c.denied.IntN(8) == 0 { // the log may be read late
		reason := qlik.RefusalReasons()[c.denied.IntN(2)]
		c.deny(fmt.Sprint("user", c.denied.IntN(6)), reason, time.Duration(c.denied.IntN(20))*time.Minute)
	}
	state := qlik.StateRunning
	if c.links[2].Err != nil && c.links[3].Err != nil {
		state = noCommunication
	}
	c.report("n2", state)
	return c.round()
}

// rounds returns the next n rounds.
func (c *churn) rounds(n int) []Round {
	all := make([]Round, n)
	for i := range all {
		all[i] = c.next()
	}
	return all
}

// TestSameRoundsGiveTheSameSnapshots checks that a snapshot depends only on the rounds, not
// on the iteration order of maps.
func TestSameRoundsGiveTheSameSnapshots(t *testing.T) {
	for seed := range uint64(3) {
		c := newChurn(t, seed)
		one, other := c.state, New(Config{Limit: DefaultLimit, CoolingTime: DefaultCoolingTime, Unlimited: []qlik.User{lab("robot")}})
		for i, round := range c.rounds(400) {
			var got, want *Snapshot
			got, one = one.Observe(round)
			checkRefused(t, got)
			want, other = other.Observe(round)
			compare(t, fmt.Sprintf("seed %d, round %d", seed, i), got, want)
			if t.Failed() {
				return
			}
		}
		totals := one.totals
		if totals.Started["/"] == 0 || totals.Ended["/sales"] == 0 || totals.Restarts["n1"]+totals.Restarts["n2"] == 0 || len(one.remembered) == 0 {
			t.Errorf("seed %d: too little happens: %+v, %d users are remembered", seed, totals, len(one.remembered))
		}
	}
}

// TestObserveLeavesTheStateAlone checks that the same round and the same state always give
// the same snapshot, even after other rounds were observed.
func TestObserveLeavesTheStateAlone(t *testing.T) {
	c := newChurn(t, 7)
	rounds := c.rounds(200)
	states := []*State{c.state}
	var snapshots []*Snapshot
	for _, round := range rounds {
		snapshot, state := states[len(states)-1].Observe(round)
		snapshots, states = append(snapshots, snapshot), append(states, state)
	}
	for _, i := range c.random.Perm(len(rounds)) {
		got, state := states[i].Observe(rounds[i])
		compare(t, fmt.Sprintf("round %d again", i), got, snapshots[i])
		// A difference in the state may become visible only in the next round.
		if i+1 < len(rounds) {
			got, _ = state.Observe(rounds[i+1])
			compare(t, fmt.Sprintf("round %d after round %d again", i+1, i), got, snapshots[i+1])
		}
		if t.Failed() {
			return
		}
	}
}

// TestPreview checks that a preview shows the counters of the state and does not change it.
func TestPreview(t *testing.T) {
	c := newChurn(t, 11)
	state, unseen := c.state, c.state // unseen never creates a preview
	reached := make(map[qlik.User]uint64)
	later := 0
	for i, round := range c.rounds(400) {
		early := round
		early.Links = slices.Clone(round.Links)
		for j := range early.Links {
			if c.random.IntN(2) == 0 { // has not responded yet
				early.Links[j].Err, early.Links[j].Sessions = errDown, nil
			}
		}
		for what, preview := range map[string]*Snapshot{"of a part": state.Preview(early), "of the whole": state.Preview(round)} {
			compare(t, fmt.Sprintf("round %d: counters in a preview %s", i, what), preview.Tracking, state.tracking())
			compare(t, fmt.Sprintf("round %d: lives in a preview %s", i, what), len(preview.Ended), 0)
			compare(t, fmt.Sprintf("round %d: refused logins in a preview %s", i, what), preview.RefusedLogins, state.refused)
			for _, user := range preview.Users {
				if user.LimitReached != reached[user.User] {
					t.Errorf("round %d: in a preview %s, %s reached the limit %d times, want %d", i, what, user.User, user.LimitReached, reached[user.User])
				}
				if before := state.remembered[user.User].lastReached; !user.LastLimitReached.Equal(before) {
					t.Errorf("round %d: in a preview %s, %s reached it at %s, want %s", i, what, user.User, user.LastLimitReached, before)
				}
			}
		}
		whole := state.Preview(round)
		var got, want *Snapshot
		got, state = state.Observe(round)
		want, unseen = unseen.Observe(round)
		compare(t, fmt.Sprintf("round %d after previews", i), got, want)
		// Except for the counters and the last events, a preview of the whole round equals
		// the snapshot.
		whole.Tracking, whole.Ended, whole.RefusedLogins = got.Tracking, got.Ended, got.RefusedLogins
		for j := range whole.Users {
			if whole.Users[j].LimitReached != got.Users[j].LimitReached {
				later++
			}
			whole.Users[j].LimitReached, whole.Users[j].LastLimitReached = got.Users[j].LimitReached, got.Users[j].LastLimitReached
		}
		compare(t, fmt.Sprintf("round %d: a preview of the whole round", i), whole, got)
		for user, tracked := range state.remembered {
			reached[user] = tracked.reached
		}
		if t.Failed() {
			return
		}
	}
	if later == 0 {
		t.Error("nobody reached the limit in a round of which there was a preview")
	}
}

// TestPreviewBeforeTheFirstRound checks that a preview does not start the counters.
func TestPreviewBeforeTheFirstRound(t *testing.T) {
	s := newScenario(t, "n1/")
	s.login("n1/", "anna1")
	preview := s.state.Preview(s.round())
	s.expect("since", preview.Tracking.Since, time.Time{})
	s.expect("users", len(preview.Users), 1)
	if preview.Tracking.Started == nil || preview.Tracking.Ended == nil || preview.Tracking.Restarts == nil {
		t.Error("counters are nil")
	}
	s.scrape(time.Minute)
	s.expect("a session of the preview was there before", s.counted(), "0 started, 0 ended, 0 restarts")
	s.expect("since", s.snapshot.Tracking.Since, s.now)
}

// TestStateStaysSmall checks that a state does not grow with the number of rounds.
func TestStateStaysSmall(t *testing.T) {
	c := newChurn(t, 13)
	for i := range 1000 {
		round := c.next()
		_, c.state = c.state.Observe(round)
		listed := make(map[qlik.SessionID]bool)
		for _, link := range c.links { // a link that fails keeps its last sessions
			for _, each := range link.Sessions {
				listed[each.ID] = true
			}
		}
		// The last list of a failed link may have up to 13 other sessions.
		failed := 0
		for i := range round.Links {
			if round.Links[i].Err != nil {
				failed++
			}
		}
		if got, most := len(c.state.sessions), len(listed)+13*failed; got > most {
			t.Fatalf("round %d: %d sessions are kept, want at most %d", i, got, most)
		}
		if got := len(c.state.users); got > 12 {
			t.Fatalf("round %d: %d users are kept, of six", i, got)
		}
		if got := len(c.state.remembered); got > 6 {
			t.Fatalf("round %d: %d users are remembered, of six", i, got)
		}
		for user, tracked := range c.state.remembered {
			if len(tracked.cooling) > DefaultLimit || cap(tracked.cooling) > 4*DefaultLimit {
				t.Fatalf("round %d: %s has room for %d cooling slots", i, user, cap(tracked.cooling))
			}
		}
		if got := len(c.state.links); got != 4 {
			t.Fatalf("round %d: %d links are kept, of four", i, got)
		}
	}
}

// TestStateForgetsLinksAndUsers checks that nothing remains of a link that is no longer in
// the rounds.
func TestStateForgetsLinksAndUsers(t *testing.T) {
	s := newScenario(t)
	for i := range 100 {
		name := fmt.Sprint("n", i, "/")
		s.links = []*LinkResult{newLink(name)}
		s.login(name, fmt.Sprint("user", i, "-1"))
		s.scrape(time.Minute)
	}
	s.expect("links, sessions and remembered users", []int{len(s.state.links), len(s.state.sessions), len(s.state.remembered)}, []int{1, 1, 0})
	if got := len(s.state.users); got > 2 {
		t.Errorf("%d users are kept: that of the session, and that of the one which just ended", got)
	}
}

// TestStateKeepsNothingAlive checks that a state has no references to earlier states and
// rounds, even if the sessions and users stay the same.
func TestStateKeepsNothingAlive(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(0)
	s.login("n1/", "anna6")
	s.login("n2/", "bert1")
	s.scrape(time.Minute)
	s.link("n2/").Err = errDown
	s.logout("n1/", "anna1")
	s.rows("anna2")
	s.scrape(time.Minute)

	round := s.round()
	before, snapshot, usage := s.state, s.snapshot, s.usage
	gone := map[string]func() bool{
		"the state":              isGone(before),
		"its sessions' link":     isGone(before.sessions[qlik.SessionID("anna2").Key()].link),
		"its unknown link":       isGone(before.sessions[qlik.SessionID("bert1").Key()].link),
		"its users":              isGone(unsafe.SliceData(before.users)),
		"the snapshot":           isGone(snapshot),
		"the snapshot's users":   isGone(unsafe.SliceData(snapshot.Users)),
		"the snapshot's links":   isGone(unsafe.SliceData(snapshot.Links)),
		"the sessions of a list": isGone(unsafe.SliceData(snapshot.Links[0].Sessions)),
		"the rows":               isGone(usage),
	}
	_, state := before.Observe(round)
	s.state, s.snapshot, s.usage = nil, nil, nil
	s.links = nil
	runtime.GC()
	for what, isGone := range gone {
		if !isGone() {
			t.Errorf("the next state keeps %s alive", what)
		}
	}
	runtime.KeepAlive(state)
}

// isGone returns a function that reports whether p has been garbage-collected.
func isGone[T any](p *T) func() bool {
	pointer := weak.Make(p)
	return func() bool { return pointer.Value() == nil }
}

// TestTotalsAreCopies checks that the counters of a snapshot never change.
func TestTotalsAreCopies(t *testing.T) {
	s := newScenario(t, "n1/")
	s.scrape(0)
	first := s.snapshot
	s.login("n1/", "anna1")
	s.scrape(time.Minute)
	s.expect("started, in the snapshot before", first.Tracking.Started, map[string]uint64{"/": 0})
	for _, m := range []map[string]uint64{s.state.totals.Started, first.Tracking.Started} {
		if reflect.ValueOf(m).Pointer() == reflect.ValueOf(s.snapshot.Tracking.Started).Pointer() {
			t.Error("two share a map")
		}
	}
}
