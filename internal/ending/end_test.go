package ending_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// meanwhile is a site on which something happens before it is read.
type meanwhile struct {
	*site.Site

	happens  func()
	failing  qlik.SessionID // cannot be ended
	doubtful bool           // how often activity is recorded is no longer known
}

func (m *meanwhile) ReadNow(ctx context.Context) *headroom.Snapshot {
	if m.happens != nil {
		m.happens()
		m.happens = nil
	}
	snapshot := m.Site.ReadNow(ctx)
	if m.doubtful {
		snapshot.ActivityInterval = 0
	}
	return snapshot
}

func (m *meanwhile) EndSession(ctx context.Context, snapshot *headroom.Snapshot, id qlik.SessionID) (bool, error) {
	if id == m.failing {
		return false, errors.New("it fails")
	}
	return m.Site.EndSession(ctx, snapshot, id)
}

// TestEnd checks that what changed between plan and execution is left alone. Anna has five
// sessions with a slot, on devices 0 to 4, last used 9, 8, 7, 6, and 0 minutes ago, and a
// sixth one that was refused.
func TestEnd(t *testing.T) {
	t.Parallel()
	choose := func(keep int) ending.Selection { return ending.Selection{Rule: ending.Chosen, Keep: keep, Whole: true} }
	careful := ending.Selection{Rule: ending.Careful, Whole: true}
	gentle := ending.Selection{}
	for _, test := range []struct {
		name      string
		selection ending.Selection
		happens   func(server *qliktest.Site, id func(device int) string)
		want      string // fates by device
	}{
		{"careful", careful, nil, "0 ended, 5 ended"},
		{"gentle", gentle, nil, "0 ended, 1 ended, 2 ended, 3 ended, 5 ended"},
		{"keep", choose(4), nil, "0 ended, 5 ended"},
		{"used meanwhile", careful, func(s *qliktest.Site, id func(int) string) { s.Touch(id(0)) }, "0 left: it was used in the meantime, 5 ended"},
		{"used meanwhile, keep", choose(4), func(s *qliktest.Site, id func(int) string) { s.Touch(id(0)) }, "0 left: it was used in the meantime, 5 ended"},
		{"used meanwhile, all", choose(0), func(s *qliktest.Site, id func(int) string) { s.Touch(id(0)) }, "0 ended, 1 ended, 2 ended, 3 ended, 4 ended, 5 ended"},
		{"gone", careful, func(s *qliktest.Site, id func(int) string) { s.Logout(id(0)) }, "0 gone, 5 ended"},
		{
			"all but one gone", careful,
			func(s *qliktest.Site, id func(int) string) {
				for device := 1; device < 5; device++ {
					s.Logout(id(device))
				}
			},
			"0 left: it is one of the most recently active sessions, 5 ended",
		},
		{
			"granted meanwhile", careful,
			func(s *qliktest.Site, id func(int) string) {
				s.Logout(id(1))
				time.Sleep(5 * time.Minute)
				s.Touch(id(5))
			},
			"0 ended, 5 left: Qlik granted it a slot in the meantime",
		},
		{
			"another node fails", careful,
			func(s *qliktest.Site, _ func(int) string) { s.SetProxyFault("qlik3", qliktest.ServerError) },
			"0 left: a node does not answer, 5 ended",
		},
		{
			"rows unknown", careful,
			func(s *qliktest.Site, _ func(int) string) { s.SetRepositoryFault("qlik1", qliktest.ServerError) },
			"0 left: its last activity is unknown, 5 left: the data is not sufficient for a decision",
		},
		{
			"kept ones gone", choose(4),
			func(s *qliktest.Site, id func(int) string) { s.Logout(id(2)) },
			"0 left: it is one of the most recently active sessions, 5 ended",
		},
		{
			"its node fails", careful,
			func(s *qliktest.Site, _ func(int) string) { s.SetProxyFault("qlik1", qliktest.ServerError) },
			"0 left: a node does not answer, 5 left: a node does not answer",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server, opened := sessionstest.Start(t, nil)
				devices := make(map[qlik.SessionID]int)
				id := func(device int) string {
					for id, of := range devices {
						if of == device {
							return string(id)
						}
					}
					return ""
				}
				for device := range 6 {
					session := sessionstest.Login(t, server, "anna", fmt.Sprint(device), "", "qlik1")
					devices[qlik.SessionID(session.ID)] = device
					time.Sleep(time.Minute)
				}
				other := sessionstest.Login(t, server, "bert", "laptop", "", "qlik2")
				at := &meanwhile{Site: opened}
				sessionstest.Work(t, server, func() { at.ReadNow(t.Context()) })
				server.Touch(id(4))
				snapshot := at.ReadNow(t.Context())
				plan := ending.NewPlan(sessions.RowOf(anna, snapshot), snapshot, test.selection, nil)
				if test.happens != nil {
					at.happens = func() { test.happens(server, id) }
				}
				begun := 0
				outcome, err := ending.End(t.Context(), at, plan, nil, func(planned []ending.PlannedSession) error {
					begun = len(planned)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				left := make(map[string]bool)
				for _, session := range server.Sessions() {
					left[session.ID] = true
				}
				for _, r := range outcome.Results {
					fate := map[ending.Fate]string{ending.Ended: "ended", ending.AlreadyGone: "gone", ending.LeftAlone: "left: " + string(r.Left), ending.Failed: "failed"}[r.Fate]
					got = append(got, fmt.Sprint(devices[r.ID], " ", fate))
					if gone := r.Fate == ending.Ended || r.Fate == ending.AlreadyGone; left[string(r.ID)] == gone {
						t.Errorf("device %d: %s, but the site lists it: %t", devices[r.ID], fate, left[string(r.ID)])
					}
				}
				slices.Sort(got)
				if got := strings.Join(got, ", "); got != test.want {
					t.Errorf("got %s; want %s", got, test.want)
				}
				if begun != len(outcome.Of(ending.Ended)) {
					t.Errorf("%d sessions began to end, %d ended", begun, len(outcome.Of(ending.Ended)))
				}
				if !left[other.ID] {
					t.Error("a session of another user ended")
				}
			})
		})
	}
}

// TestDoubtfulMeanwhile checks that a careful plan leaves alone what looks idle if it is no
// longer known how often the site records activity, and that a gentle one does not.
func TestDoubtfulMeanwhile(t *testing.T) {
	t.Parallel()
	for rule, want := range map[ending.Rule]ending.Reason{ending.Careful: ending.StaysIdleDoubtful, ending.Gentle: ""} {
		synctest.Test(t, func(t *testing.T) {
			server, opened := sessionstest.Start(t, nil)
			at := &meanwhile{Site: opened}
			for device := range 5 {
				sessionstest.Login(t, server, "anna", fmt.Sprint(device), "", "qlik1")
				time.Sleep(2 * time.Minute)
			}
			sessionstest.Work(t, server, func() { at.ReadNow(t.Context()) })
			snapshot := at.ReadNow(t.Context())
			plan := ending.NewPlan(sessions.RowOf(anna, snapshot), snapshot, ending.Selection{Rule: rule}, nil)
			at.doubtful = true
			outcome, err := ending.End(t.Context(), at, plan, nil, func([]ending.PlannedSession) error { return nil })
			if err != nil || len(outcome.Results) == 0 {
				t.Fatalf("%+v, %v", outcome, err)
			}
			for _, r := range outcome.Results {
				if r.Left != want {
					t.Errorf("rule %d: %q, want %q", rule, r.Left, want)
				}
			}
		})
	}
}

// TestEndFails checks that nothing ends if it cannot be recorded or if the site is unknown,
// and that one failure does not hide the other results.
func TestEndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, opened := sessionstest.Start(t, nil)
		first := sessionstest.Login(t, server, "anna", "0", "", "qlik1")
		sessionstest.Login(t, server, "anna", "1", "", "qlik1")
		snapshot := opened.ReadNow(t.Context())
		plan := ending.NewPlan(sessions.RowOf(anna, snapshot), snapshot, ending.Selection{Rule: ending.Chosen}, nil)
		at := &meanwhile{Site: opened, failing: qlik.SessionID(first.ID)}
		begin := func([]ending.PlannedSession) error { return nil }

		full := errors.New("no space left on device")
		if _, err := ending.End(t.Context(), at, plan, nil, func([]ending.PlannedSession) error { return full }); !errors.Is(err, full) || len(server.Sessions()) != 2 {
			t.Errorf("%v, %d sessions left", err, len(server.Sessions()))
		}
		for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
			server.SetProxyFault(node, qliktest.ServerError)
		}
		if _, err := ending.End(t.Context(), at, plan, nil, begin); !errors.Is(err, ending.ErrUnknown) {
			t.Errorf("got %v", err)
		}
		for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
			server.SetProxyFault(node, qliktest.NoFault)
		}
		reload := func([]ending.PlannedSession) error { t.Error("begins"); return nil }
		if outcome, err := ending.End(t.Context(), at, plan, []qlik.User{anna}, reload); err != nil || len(outcome.Of(ending.LeftAlone)) != 2 {
			t.Errorf("a user who became a service account: %+v, %v", outcome, err)
		}
		outcome, err := ending.End(t.Context(), at, plan, nil, begin)
		if err != nil || len(outcome.Of(ending.Failed)) != 1 || len(outcome.Of(ending.Ended)) != 1 || len(server.Sessions()) != 1 {
			t.Errorf("%+v, %v, %d sessions left", outcome, err, len(server.Sessions()))
		}
		if works := outcome.WorksAt(); !works.Equal(outcome.After.Time) {
			t.Errorf("a new window works at %s, want now", works)
		}
	})
}

// TestWorksAt checks that a plan and its outcome promise the same time, at which Qlik really
// lets the user in.
func TestWorksAt(t *testing.T) {
	for number := 2; number <= 6; number++ {
		synctest.Test(t, func(t *testing.T) {
			server, opened := sessionstest.Start(t, nil)
			for device := range number {
				sessionstest.Login(t, server, "anna", fmt.Sprint(device), "", "qlik1")
				time.Sleep(time.Minute)
			}
			time.Sleep(5 * time.Minute)
			snapshot := opened.ReadNow(t.Context())
			plan := ending.NewPlan(sessions.RowOf(anna, snapshot), snapshot, ending.Selection{}, nil)
			outcome, err := ending.End(t.Context(), opened, plan, nil, func([]ending.PlannedSession) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if !plan.WorksAt.Equal(outcome.WorksAt()) {
				t.Errorf("%d sessions: the plan says %s, the outcome %s", number, plan.WorksAt, outcome.WorksAt())
			}
			if wait := time.Until(plan.WorksAt); wait > 0 {
				time.Sleep(wait - time.Second)
				if server.CanOpen("LAB", "anna") {
					t.Errorf("%d sessions: works before %s", number, plan.WorksAt)
				}
				time.Sleep(time.Second)
			}
			if !server.CanOpen("LAB", "anna") {
				t.Errorf("%d sessions: does not work at %s", number, plan.WorksAt)
			}
		})
	}
}
