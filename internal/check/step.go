package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
)

// step is one thing that is tried with a T, which is a site or one of its servers.
type step[T explainer] struct {
	name   string
	target func(T) string // against what; nil for nothing in particular
	when   func(T) bool   // nil for always; otherwise there is no line
	needs  needs[T]

	// run returns what it found. An error is a failure, which the causes explain.
	run func(T, context.Context) ([]Result, error)
}

// needs are the conditions of a step. Each returns why the step is skipped, or "".
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
	// explain turns an error of a step into its cause and remedy.
	explain(step string, err error) string
}

// runSteps runs steps in order and returns what they found.
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

// try runs the step if it can.
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

// tryServers runs the steps of several servers at once, and returns what they found
// server by server.
func tryServers(ctx context.Context, servers []*server) []Result {
	results := make([][]Result, len(servers))
	var running sync.WaitGroup
	for i, s := range servers {
		running.Go(func() {
			defer s.hangUp()
			results[i] = runSteps(ctx, serverSteps, s)
		})
	}
	running.Wait()
	return slices.Concat(results...)
}

// passed is the result of a step that found nothing wrong.
func passed(format string, args ...any) []Result {
	return []Result{{Mark: OK, Text: fmt.Sprintf(format, args...)}}
}

// warned is the result of a step that found what does not keep the exporter from
// its work.
func warned(format string, args ...any) []Result {
	return []Result{{Mark: Warning, Text: fmt.Sprintf(format, args...)}}
}
