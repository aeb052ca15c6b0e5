package ending_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// unknown is the idle time of a session without a usage row.
const unknown time.Duration = math.MaxInt64

// anna is the user of most plans.
var anna = qlik.NewUser("LAB", "anna")

// listed is a session of anna in a snapshot.
type listed struct {
	virtualProxy, node string
	idle               time.Duration
}

// snapshotWith returns a snapshot of sessions. The id of a session is its index.
func snapshotWith(all []listed) *headroom.Snapshot { return snapshotWithTimeout(0, all) }

func snapshotWithTimeout(timeout time.Duration, all []listed) *headroom.Snapshot {
	round := headroom.Round{Asked: sessionstest.Noon, Heard: sessionstest.Noon}
	var rows []qlik.UsageRow
	for i, s := range all {
		link := qlik.Link{VirtualProxy: s.virtualProxy, Node: s.node, InactivityTimeout: timeout}
		at := slices.IndexFunc(round.Links, func(l headroom.LinkResult) bool { return l.VirtualProxy == link.VirtualProxy && l.Node == link.Node })
		if at < 0 {
			at = len(round.Links)
			round.Links = append(round.Links, headroom.LinkResult{Link: link})
		}
		id := qlik.SessionID(strconv.Itoa(i))
		round.Links[at].Sessions = append(round.Links[at].Sessions, qlik.Session{ID: id, User: anna, Link: &link})
		if s.idle != unknown {
			rows = append(rows, qlik.UsageRow{Session: id.Key(), User: anna, License: qlik.LicenseAnalyzer, LastActivity: sessionstest.Noon.Add(-s.idle)})
		}
	}
	round.Usage = headroom.NewUsage(rows, sessionstest.Noon, sessionstest.Noon)
	snapshot, _ := headroom.New(headroom.Config{Limit: headroom.DefaultLimit}).Observe(round)
	return snapshot
}

func TestPlan(t *testing.T) {
	const (
		ends        = ending.Reason("")
		undecided   = ending.StaysUndecided
		elsewhere   = ending.StaysElsewhere
		active      = ending.StaysActive
		idleUnknown = ending.StaysIdleUnknown
		recent      = ending.StaysRecent

		idleFor = 15 * time.Minute
	)
	at := func(virtualProxies ...string) sessions.PlaceFilter {
		return sessions.PlaceFilter{VirtualProxies: virtualProxies}
	}
	three := []listed{{"/", "qlik1", 3 * time.Minute}, {"/sales", "qlik2", time.Minute}, {"/", "qlik2", 20 * time.Minute}}
	partly := []listed{{"/", "qlik1", unknown}, {"/sales", "qlik2", time.Hour}, {"/", "qlik2", unknown}}
	unused := []listed{{"/", "qlik1", unknown}, {"/sales", "qlik2", unknown}, {"/", "qlik2", unknown}}
	for _, test := range []struct {
		name      string
		sessions  []listed
		selection ending.Selection
		err       error
		want      []ending.Reason // by the index of the session
	}{
		{"all", three, ending.Selection{Rule: ending.Chosen}, nil, []ending.Reason{ends, ends, ends}},
		{"keep one", three, ending.Selection{Rule: ending.Chosen, Keep: 1}, nil, []ending.Reason{ends, recent, ends}},
		{"keep two", three, ending.Selection{Rule: ending.Chosen, Keep: 2}, nil, []ending.Reason{recent, recent, ends}},
		{"keep more than there are", three, ending.Selection{Rule: ending.Chosen, Keep: 9}, nil, []ending.Reason{recent, recent, recent}},
		{"none there", nil, ending.Selection{Rule: ending.Chosen, Keep: 1}, nil, nil},

		{"virtual proxy", three, ending.Selection{Rule: ending.Chosen, PlaceFilter: at("/")}, nil, []ending.Reason{ends, elsewhere, ends}},
		{"virtual proxy without slash", three, ending.Selection{Rule: ending.Chosen, PlaceFilter: at("sales")}, nil, []ending.Reason{elsewhere, ends, elsewhere}},
		{"several virtual proxies", three, ending.Selection{Rule: ending.Chosen, PlaceFilter: at("/", "/sales")}, nil, []ending.Reason{ends, ends, ends}},
		{"node", three, ending.Selection{Rule: ending.Chosen, PlaceFilter: sessions.PlaceFilter{Nodes: []string{"QLIK2"}}}, nil, []ending.Reason{elsewhere, ends, ends}},
		{
			"virtual proxy on a node", three,
			ending.Selection{Rule: ending.Chosen, PlaceFilter: sessions.PlaceFilter{VirtualProxies: []string{"/"}, Nodes: []string{"qlik2"}}},
			nil,
			[]ending.Reason{elsewhere, elsewhere, ends},
		},
		{"the one to keep is elsewhere", three, ending.Selection{Rule: ending.Chosen, PlaceFilter: at("/"), Keep: 1}, nil, []ending.Reason{ends, elsewhere, ends}},
		{"the one to keep is there", three, ending.Selection{Rule: ending.Chosen, PlaceFilter: at("/sales"), Keep: 1}, nil, []ending.Reason{elsewhere, recent, elsewhere}},

		{"idle", three, ending.Selection{Rule: ending.Chosen, IdleFor: idleFor}, nil, []ending.Reason{active, active, ends}},
		{"idle, keep one", three, ending.Selection{Rule: ending.Chosen, IdleFor: 2 * time.Minute, Keep: 2}, nil, []ending.Reason{recent, active, ends}},
		{
			"the edge of idle",
			[]listed{
				{"/", "qlik1", 0},
				{"/", "qlik1", idleFor - 1},
				{"/", "qlik1", idleFor},
				{"/", "qlik1", idleFor + 1},
				{"/", "qlik1", 2 * idleFor},
				{"/", "qlik1", -time.Second}, // the repository's clock is ahead
			},
			ending.Selection{Rule: ending.Chosen, IdleFor: idleFor},
			nil,
			[]ending.Reason{active, active, ends, ends, ends, active},
		},

		{"partly known, keep one", partly, ending.Selection{Rule: ending.Chosen, Keep: 1}, nil, []ending.Reason{ends, recent, ends}},
		{"partly known, keep two", partly, ending.Selection{Rule: ending.Chosen, Keep: 2}, ending.ErrRecentUnknown, []ending.Reason{undecided, undecided, undecided}},
		{"partly known, idle", partly, ending.Selection{Rule: ending.Chosen, IdleFor: idleFor}, nil, []ending.Reason{idleUnknown, ends, idleUnknown}},
		{"partly known, enough are elsewhere", partly, ending.Selection{Rule: ending.Chosen, PlaceFilter: at("/sales"), Keep: 2}, nil, []ending.Reason{elsewhere, recent, elsewhere}},
		{"unknown, all", unused, ending.Selection{Rule: ending.Chosen}, nil, []ending.Reason{ends, ends, ends}},
		{"unknown, keep one", unused, ending.Selection{Rule: ending.Chosen, Keep: 1}, ending.ErrRecentUnknown, []ending.Reason{undecided, undecided, undecided}},
		{"unknown, keep all", unused, ending.Selection{Rule: ending.Chosen, Keep: 3}, nil, []ending.Reason{recent, recent, recent}},
		{"unknown, enough are elsewhere", unused, ending.Selection{Rule: ending.Chosen, PlaceFilter: at("/"), Keep: 1}, nil, []ending.Reason{ends, elsewhere, ends}},
		{"unknown, too few are elsewhere", unused, ending.Selection{Rule: ending.Chosen, PlaceFilter: at("/"), Keep: 2}, ending.ErrRecentUnknown, []ending.Reason{undecided, undecided, undecided}},
		{"unknown, idle", unused, ending.Selection{Rule: ending.Chosen, IdleFor: idleFor}, ending.ErrIdleUnknown, []ending.Reason{undecided, undecided, undecided}},
	} {
		t.Run(test.name, func(t *testing.T) {
			row := sessions.Row{UserStatus: headroom.UserStatus{User: anna, Limited: true}}
			plan := ending.NewPlan(&row, snapshotWith(test.sessions), test.selection, nil)
			got, ends := make([]ending.Reason, len(test.sessions)), 0
			for i := range plan.Sessions {
				s := &plan.Sessions[i]
				number, _ := strconv.Atoi(string(s.ID))
				if got[number] = s.Stays; s.Ends() {
					ends++
				}
				if i > 0 && s.LastActivity.After(plan.Sessions[i-1].LastActivity) {
					t.Error("the sessions are not in order of their last activity")
				}
				if s.HoldsSlot != (test.sessions[number].idle != unknown) {
					t.Errorf("session %d: holds a slot %t", number, s.HoldsSlot)
				}
			}
			if !slices.Equal(got, test.want) || len(plan.Sessions) != len(test.want) || !errors.Is(plan.Undecided, test.err) {
				t.Errorf("got %q, %v; want %q, %v", got, plan.Undecided, test.want, test.err)
			}
			if len(plan.Ending()) != ends || len(plan.Staying()) != len(plan.Sessions)-ends || plan.NeverEnded != "" {
				t.Errorf("%d sessions end, want %d; never ended: %q", len(plan.Ending()), ends, plan.NeverEnded)
			}
		})
	}
}

// TestNeverEnded checks that sessions of some users never end, whatever the selection.
func TestNeverEnded(t *testing.T) {
	serviceAccounts := []qlik.User{qlik.NewUser("LAB", "reload")}
	for name, want := range map[string]string{
		`LAB\anna`:              "",
		`LAB\reload`:            "a service account",
		`INTERNAL\sa_scheduler`: "a service account",
		`LAB\robot`:             "an unlimited user",
		`NONE\anonymous1`:       "all anonymous users",
	} {
		snapshot := sessionstest.Snapshot(map[string]int{name: 2})
		if name == `LAB\robot` {
			snapshot.Users[0].Limited = false
		}
		row := &sessions.Rows(snapshot)[0]
		if got := sessions.NeverEnded(row, serviceAccounts); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		plan, stays := ending.NewPlan(row, snapshot, ending.Selection{Rule: ending.Chosen}, serviceAccounts), ending.StaysNeverEnded
		if want == "" {
			stays = ""
		}
		if plan.NeverEnded != want || len(plan.Sessions) != 2 || plan.Sessions[0].Stays != stays || plan.Sessions[1].Stays != stays {
			t.Errorf("%s: got %+v, want %q and both sessions %q", name, plan, want, stays)
		}
	}
}

// TestUnlicensed checks that nothing ends of a user whom Qlik refuses for want of a license,
// unless the operator chose it.
func TestUnlicensed(t *testing.T) {
	snapshot := sessionstest.Snapshot(map[string]int{`LAB\anna`: 2})
	row := sessions.RowOf(anna, snapshot)
	row.Unlicensed = sessions.NoLicense
	for rule, ends := range map[ending.Rule]int{ending.Gentle: 0, ending.Careful: 0, ending.Chosen: 2} {
		plan := ending.NewPlan(row, snapshot, ending.Selection{Rule: rule}, nil)
		if len(plan.Ending()) != ends || (plan.Unlicensed != "") != (ends == 0) {
			t.Errorf("rule %d: %d sessions end, %q", rule, len(plan.Ending()), plan.Unlicensed)
		}
	}
}

// TestUsedLater checks that a session that outlived its timeout, and so was used later than
// recorded, only ends if all sessions of a place end.
func TestUsedLater(t *testing.T) {
	snapshot := snapshotWithTimeout(30*time.Minute, []listed{{"/", "qlik1", time.Minute}, {"/", "qlik1", 20 * time.Minute}, {"/", "qlik1", time.Hour}})
	row := sessions.RowOf(anna, snapshot)
	for _, test := range []struct {
		selection ending.Selection
		ends      string
	}{
		{ending.Selection{}, "[1]"},
		{ending.Selection{Rule: ending.Careful}, "[]"}, // it is unknown how often activity is recorded
		{ending.Selection{Rule: ending.Chosen, Keep: 1}, "[1]"},
		{ending.Selection{Rule: ending.Chosen, IdleFor: 10 * time.Minute}, "[1]"},
		{ending.Selection{Rule: ending.Chosen}, "[0 1 2]"},
	} {
		ends := []string{}
		for _, session := range ending.NewPlan(row, snapshot, test.selection, nil).Ending() {
			ends = append(ends, string(session.ID))
		}
		if got := fmt.Sprint(ends); got != test.ends {
			t.Errorf("%+v: ends %s, want %s", test.selection, got, test.ends)
		}
	}
}
