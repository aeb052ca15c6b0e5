package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
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
}

// runSteps runs steps in order and returns their results.
func runSteps[T explainer](ctx context.Context, steps []step[T], of T) []Result {
	var results []Result
	for _, s := range steps {
		if s.when != nil && !s.when(of) {
			continue
		}
		target := "-"
		if s.target != nil {
			target = s.target(of)
		}
		for _, r := range s.try(ctx, of) {
			r.Step, r.Target = cmp.Or(r.Step, s.name), cmp.Or(r.Target, target)
			results = append(results, r)
		}
	}
	return results
}

// try runs the step if its needs are met.
func (s *step[T]) try(ctx context.Context, of T) []Result {
	if missing := s.needs.missing(of); missing != "" {
		return []Result{{Mark: Skipped, Text: missing}}
	}
	results, err := s.run(of, ctx)
	if err != nil {
		return []Result{{Mark: Failed, Text: of.explain(s.name, err)}}
	}
	return results
}

// tryServers runs the steps of several servers concurrently. It returns the results
// in the order of the servers.
func tryServers(ctx context.Context, servers []*server) []Result {
	results := make([][]Result, len(servers))
	var running sync.WaitGroup
	for i, s := range servers {
		running.Go(func() {
			defer s.closeConnection()
			results[i] = runSteps(ctx, serverSteps, s)
		})
	}
	running.Wait()
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
