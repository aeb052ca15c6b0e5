package report

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"
)

const (
	// atOnce is how many queries run at the same time. Prometheus runs 20 by default, and
	// dashboards need some of them.
	atOnce = 4
	// maxSpan is the time that a query is about. Servers limit the days and the points of a
	// query. A query that a server still refuses is split.
	maxSpan = 28 * oneDay
)

// source answers range queries.
type source interface {
	query(ctx context.Context, query string, first, last time.Time, step time.Duration) (model.Matrix, []string, error)
}

// series are the values of a time series at the times of a question. NaN means that there is
// none.
type series struct {
	labels model.Metric
	values []float64
}

// period is the time of a report: whole days.
type period struct {
	from time.Time // begin of the weeks before
	days int
	// reported is the number of days at the end that are reported.
	reported int
}

func (p period) to() time.Time { return p.from.Add(time.Duration(p.days) * oneDay) }

// reportedFrom returns the time at which the reported time begins.
func (p period) reportedFrom() time.Time { return p.to().Add(-time.Duration(p.reported) * oneDay) }

// times returns the first time of a question, the step to the next, and the number of times.
func (p period) times(at when) (first time.Time, step time.Duration, n int) {
	switch at {
	case everyDay:
		return p.from.Add(oneDay), oneDay, p.days
	case everyHour:
		return p.reportedFrom().Add(time.Hour), time.Hour, p.reported * 24
	default:
		return p.to(), oneDay, 1
	}
}

// asker asks questions about a period.
type asker struct {
	source   source
	period   period
	progress func(done, all int)

	mu       sync.Mutex // guards the fields below
	done     int
	all      int
	answers  map[string][]series
	warnings map[string]bool
}

// ask asks questions, several at once, and waits for all answers. It returns the first error.
func (a *asker) ask(ctx context.Context, questions []question) error {
	answers := make(map[string]*answer)
	var parts []func(context.Context) error
	for _, q := range questions {
		first, step, n := a.period.times(q.at)
		answers[q.name] = &answer{size: n, series: make(map[model.Fingerprint]*series)}
		size := int(maxSpan / step)
		for from := 0; from < n; from += size {
			parts = append(parts, func(ctx context.Context) error {
				return a.askPart(ctx, q.query, answers[q.name], first, step, from, min(size, n-from))
			})
		}
	}
	a.all += len(parts)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, part := range parts {
		group.Go(func() error {
			if err := part(ctx); err != nil {
				return err
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.done++
			a.progress(a.done, a.all)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for name, answer := range answers {
		a.answers[name] = answer.sorted()
	}
	return nil
}

// askPart asks a question at n of its times, in two halves if the server refuses it because of
// a limit.
func (a *asker) askPart(ctx context.Context, query string, answer *answer, first time.Time, step time.Duration, from, n int) error {
	at := func(i int) time.Time { return first.Add(time.Duration(i) * step) }
	matrix, warnings, err := a.source.query(ctx, query, at(from), at(from+n-1), step)
	if _, tooMuch := errors.AsType[limitError](err); tooMuch && n > 1 {
		if err := a.askPart(ctx, query, answer, first, step, from, n/2); err != nil {
			return err
		}
		return a.askPart(ctx, query, answer, first, step, from+n/2, n-n/2)
	}
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, warning := range warnings {
		a.warnings[shorten(warning)] = true
	}
	answer.add(matrix, first, step)
	return nil
}

// answer are the series that answer a question.
type answer struct {
	size   int // number of times
	series map[model.Fingerprint]*series
}

// add adds the answer for some of the times.
func (a *answer) add(matrix model.Matrix, first time.Time, step time.Duration) {
	for _, stream := range matrix {
		key := stream.Metric.Fingerprint()
		s := a.series[key]
		if s == nil {
			s = &series{labels: stream.Metric, values: slices.Repeat([]float64{math.NaN()}, a.size)}
			a.series[key] = s
		}
		for _, sample := range stream.Values {
			i := int(math.Round(float64(sample.Timestamp.Time().Sub(first)) / float64(step)))
			if i >= 0 && i < a.size {
				s.values[i] = float64(sample.Value)
			}
		}
	}
}

// sorted returns the series ordered by their labels.
func (a *answer) sorted() []series {
	all := make([]series, 0, len(a.series))
	for s := range maps.Values(a.series) {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b series) int {
		if a.labels.Before(b.labels) {
			return -1
		}
		return 1
	})
	return all
}
