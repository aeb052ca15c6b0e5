package desk

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestPlans checks that a plan is carried out once, by its operator, within a minute, by the
// process that made it.
func TestPlans(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	p := newPlans(clock)
	add := func(operator string) string {
		signed, expires := p.add(promise{Operator: operator, User: `LAB\anna`}, new(ending.Plan))
		if !expires.Equal(now.Add(time.Minute)) {
			t.Errorf("expires %s", expires)
		}
		return signed
	}
	take := func(about string, from *plans, signed, operator string, want reason) {
		t.Helper()
		taken, err := from.take(signed, operator)
		switch {
		case want == "" && (err != nil || taken.User != `LAB\anna`), want != "" && (err == nil || err.reason != want || err.status != 403):
			t.Errorf("%s: %v, want %q", about, err, want)
		}
	}
	signed := add("user:kim")
	take("another operator", p, signed, "user:lee", planOfAnother)
	take("another kind of operator", p, signed, "cert:kim", planOfAnother)
	take("another process", newPlans(clock), signed, "user:kim", planInvalid)
	take("a byte more", p, signed+"A", "user:kim", planInvalid)
	take("nothing", p, "", "user:kim", planInvalid)
	take("a point", p, ".", "user:kim", planInvalid)
	now = now.Add(time.Minute - 1)
	take("just in time", p, signed, "user:kim", "")
	take("again", p, signed, "user:kim", planUsed)
	late := add("user:kim")
	now = now.Add(time.Minute)
	take("at its end", p, late, "user:kim", planExpired)
	take("at its end, of another", p, late, "user:lee", planOfAnother)
	if other := newPlans(clock); other.key == p.key {
		t.Error("two processes have the same key")
	}
	first := add("user:kim")
	for range maxPlans {
		add("user:lee")
	}
	if len(p.known) != maxPlans || len(p.order) != maxPlans {
		t.Errorf("%d plans are kept, %d in order", len(p.known), len(p.order))
	}
	take("one of too many", p, first, "user:kim", planUsed)
	now = now.Add(time.Minute)
	add("user:kim")
	if len(p.known) != 1 || len(p.order) != 1 {
		t.Errorf("%d expired plans are kept, %d in order", len(p.known)-1, len(p.order)-1)
	}
}

// FuzzTake checks that no text but that of a plan is taken.
func FuzzTake(f *testing.F) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	p := newPlans(func() time.Time { return now })
	signed, _ := p.add(promise{Operator: "user:kim"}, new(ending.Plan))
	for _, seed := range []string{signed, signed[1:], "", ".", "e30.", fmt.Sprint(signed, "."), signed + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := p.take(text, "user:lee"); err == nil || err.reason == planOfAnother && text != signed {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// TestPlansAreForgotten checks that a plan keeps no session id for longer than it can be
// carried out, and only those of the sessions that end.
func TestPlansAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlans(time.Now)
		session := func(id string, stays ending.Reason) ending.PlannedSession {
			return ending.PlannedSession{UserSession: sessions.UserSession{Session: qlik.Session{ID: qlik.SessionID(id)}}, Stays: stays}
		}
		p.add(promise{}, &ending.Plan{Sessions: []ending.PlannedSession{session("a", ""), session("b", ending.StaysRecent)}})
		waiting := func() []*ending.Plan {
			p.mu.Lock()
			defer p.mu.Unlock()
			var plans []*ending.Plan
			for _, known := range p.known {
				plans = append(plans, known.plan)
			}
			if len(p.order) != len(plans) {
				t.Errorf("%d plans, %d in order", len(plans), len(p.order))
			}
			return plans
		}
		if plans := waiting(); len(plans) != 1 || len(plans[0].Sessions) != 1 || plans[0].Sessions[0].ID != "a" {
			t.Errorf("%+v are kept", plans)
		}
		time.Sleep(planTime - time.Second)
		synctest.Wait()
		if len(waiting()) != 1 {
			t.Error("the plan was forgotten too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(waiting()) != 0 {
			t.Error("the plan is still known")
		}
	})
}

// TestNothingBegins checks that a plan is not used up by an execution that could not begin,
// and what an operator reads about one that ended nothing.
func TestNothingBegins(t *testing.T) {
	t.Parallel()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	d := &Desk{config: Config{Logger: log.NewNopLogger()}, plans: newPlans(time.Now), closing: stopped} // without room in busy
	plan, _ := d.plans.add(promise{Operator: "user:kim"}, new(ending.Plan))
	if _, err := d.free(t.Context(), operator{"user:kim", helpdesk}, plan, "", ""); err == nil || err.reason != notReady {
		t.Errorf("without room: %v", err)
	}
	if _, err := d.plans.take(plan, "user:kim"); err != nil {
		t.Errorf("the plan cannot be carried out later: %v", err)
	}
	for _, test := range []struct {
		err  error
		want reason
	}{
		{ending.ErrUnknown, incomplete},
		{fmt.Errorf("reading: %w", context.Canceled), notReady},
		{errors.New("no space left on device"), notRecorded},
		{tooBusy(), notReady},
		{missingNode(), incomplete},
	} {
		if why := d.refuseFree(test.err); why.reason != test.want {
			t.Errorf("%v: %s, want %s", test.err, why.reason, test.want)
		}
	}
}
