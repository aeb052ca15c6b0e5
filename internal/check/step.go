package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// step is one test of a T, which is a site or one of its servers.
type step[T explainer] struct {
	name   string
	target func(T) string // the target in the report; nil shows "-"
	when   func(T) bool   // if false, the step has no line in the report; nil is always true
	needs  needs[T]

	// run returns the results. An error is a failure, which the table of causes
	// explains.
	run func(T, context.Context) ([]Result, error)

	// ofServers means that run runs the steps of servers and reports their results as they
	// become known.
	ofServers bool
}

// needs are the conditions of a step. A condition that is not met returns the
// reason to skip the step; otherwise it returns "".
type needs[T any] []func(T) (missing string)

func (n needs[T]) missing(of T) string {
	for _, need := range n {
		if missing := need(of); missing != "" {
			return missing
		}
	}
	return ""
}

type explainer interface {
	// explain returns the cause and the remedy for an error of a step.
	explain(step string, err error) string
	// begin records that a step runs. The caller calls end after the step.
	begin(step, target string) (end func())
}

// runSteps runs steps in order and returns their results. It reports the results of each
// step as soon as they are known. If ctx ends, it stops: the results of a canceled step
// would look like failures of the site.
func runSteps[T explainer](ctx context.Context, steps []step[T], of T, report func(...Result)) []Result {
	var results []Result
	for _, s := range steps {
		if s.when != nil && !s.when(of) {
			continue
		}
		target := "-"
		if s.target != nil {
			target = s.target(of)
		}
		found, reported := s.try(ctx, of, target)
		if ctx.Err() != nil {
			break
		}
		for i := range found {
			r := &found[i]
			r.Step, r.Target = cmp.Or(r.Step, s.name), cmp.Or(r.Target, target)
		}
		if !reported {
			report(found...)
		}
		results = append(results, found...)
	}
	return results
}

// try runs the step if its needs are met.
func (s *step[T]) try(ctx context.Context, of T, target string) (results []Result, reported bool) {
	if missing := s.needs.missing(of); missing != "" {
		return []Result{{Mark: Skipped, Text: missing}}, false
	}
	if !s.ofServers {
		defer of.begin(s.name, target)()
	}
	results, err := s.run(of, ctx)
	if err != nil {
		return []Result{{Mark: Failed, Text: of.explain(s.name, err)}}, false
	}
	return results, s.ofServers
}

// tryServers runs the steps of several servers concurrently. It returns the results
// in the order of the servers. It reports those of a server together, in the same order.
// When Config.Patience is over, no server waits for its turn.
func (s *site) tryServers(ctx context.Context, servers []*server) []Result {
	if len(servers) == 1 { // nothing else is reported meanwhile
		defer servers[0].closeConnection()
		return runSteps(ctx, serverSteps, servers[0], s.report)
	}
	results := make([][]Result, len(servers))
	ended := make(chan int, len(servers))
	for i, server := range servers {
		go func() {
			defer func() { ended <- i }()
			defer server.closeConnection()
			results[i] = runSteps(ctx, serverSteps, server, func(...Result) {})
		}()
	}
	var patience <-chan time.Time
	if s.Patience > 0 {
		timer := time.NewTimer(s.Patience)
		defer timer.Stop()
		patience = timer.C
	}
	known, reported, inTurn := make([]bool, len(servers)), make([]bool, len(servers)), true
	for slices.Contains(reported, false) {
		select {
		case i := <-ended:
			known[i] = true
		case <-patience:
			inTurn = false
		}
		for i := range servers {
			if known[i] && !reported[i] {
				s.report(results[i]...)
				reported[i] = true
			}
			if !reported[i] && inTurn {
				break
			}
		}
	}
	return slices.Concat(results...)
}

// passed returns the result of a step that found no problem.
func passed(format string, args ...any) []Result {
	return []Result{{Mark: OK, Text: fmt.Sprintf(format, args...)}}
}

// warned returns the result of a step that found a problem that does not stop the
// exporter from working.
func warned(format string, args ...any) []Result {
	return []Result{{Mark: Warning, Text: fmt.Sprintf(format, args...)}}
}
