package desk

import (
	"context"
	"maps"
	"sync"
	"time"
)

// shownAgain is how long the page about an execution can be loaded again.
const shownAgain = 10 * time.Minute

// executions remembers what executions of plans did. Somebody who taps twice, or who loads
// the page again, must not read that nothing was ended.
type executions struct {
	now func() time.Time

	mu    sync.Mutex // guards the fields below
	known map[string]*execution
}

// execution is an execution of a plan.
type execution struct {
	ended chan struct{} // closed when view and why are final
	at    time.Time     // when that was; zero before
	view  *freedView
	why   *refusal
}

func newExecutions(now func() time.Time) *executions {
	return &executions{now: now, known: make(map[string]*execution)}
}

// once runs an execution, unless one with this key is running or has run. Then it returns the
// result of that one, and again is true. What was refused may run again.
func (e *executions) once(ctx context.Context, key string, run func(context.Context) (*freedView, *refusal)) (_ *freedView, again bool, _ *refusal) {
	x := &execution{ended: make(chan struct{}), why: tooBusy()}
	if before := e.add(key, x); before != nil {
		select {
		case <-before.ended:
			return before.view, true, before.why
		case <-ctx.Done():
			return nil, true, tooBusy()
		}
	}
	defer close(x.ended)
	x.view, x.why = run(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.at = e.now(); x.why != nil {
		delete(e.known, key)
	}
	return x.view, false, x.why
}

// add adds an execution, or returns the one with this key.
func (e *executions) add(key string, x *execution) *execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.known, func(_ string, known *execution) bool { return !known.at.IsZero() && e.now().Sub(known.at) > shownAgain })
	if before := e.known[key]; before != nil {
		return before
	}
	e.known[key] = x
	return nil
}
