package desk

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOnce checks that who asks twice for an execution gets the same result, and that a
// refusal and an old result are forgotten.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, runs := newExecutions(time.Now), 0
		var why *refusal
		carryOut := func(context.Context) (*freedView, *refusal) {
			runs++
			time.Sleep(time.Second)
			return &freedView{Verdict: "1 session ended."}, why
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if view, _, err := all.once(t.Context(), "plan", carryOut); err != nil || view.Verdict != "1 session ended." {
					t.Errorf("got %v and the error %v", view, err)
				}
			})
		}
		both.Wait()
		if runs != 1 {
			t.Errorf("it ran %d times", runs)
		}
		if _, again, _ := all.once(t.Context(), "plan", carryOut); runs != 1 || !again {
			t.Error("it ran again when the page was loaded again")
		}
		time.Sleep(shownAgain + time.Second)
		if _, again, _ := all.once(t.Context(), "plan", carryOut); again || runs != 2 || len(all.known) != 1 {
			t.Errorf("an old result is still known: %d runs", runs)
		}
		why = &refusal{http.StatusForbidden, planExpired, "The plan has expired. Make a new one."}
		_, _, err := all.once(t.Context(), "refused", carryOut)
		if err == nil || err.reason != planExpired || len(all.known) != 1 {
			t.Errorf("got the error %v, and %d known results", err, len(all.known))
		}
	})
}
