package desk

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestPlansAreForgotten checks that a plan keeps no session id for longer than it can be
// carried out, and only those of the sessions that end.
func TestPlansAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlans(time.Now)
		session := func(id string, stays ending.Reason) ending.PlannedSession {
			return ending.PlannedSession{UserSession: sessions.UserSession{Session: qlik.Session{ID: qlik.SessionID(id)}}, Stays: stays}
		}
		p.add(promise{}, &ending.Plan{Sessions: []ending.PlannedSession{session("a", ""), session("b", ending.StaysRecent)}})
		for _, known := range p.known {
			if len(known.plan.Sessions) != 1 || known.plan.Sessions[0].ID != "a" {
				t.Errorf("%d sessions are kept", len(known.plan.Sessions))
			}
		}
		time.Sleep(planTime - time.Second)
		synctest.Wait()
		if len(p.known) != 1 {
			t.Error("the plan was forgotten too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(p.known) != 0 || len(p.order) != 0 {
			t.Error("the plan is still known")
		}
	})
}
