package report

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// WeeksBefore is the number of weeks with which a report compares.
const WeeksBefore = 12

const daysOfWeek = 7

// Options selects what is reported.
type Options struct {
	To    time.Time // the reported time ends; its location is that of all times
	Weeks int       // number of weeks until then
	Jobs  []string  // only these values of the label job; none means all
	Sites []string  // only these values of the label site; none means all
	Names bool      // also the names of people
	Now   time.Time
	// Progress is called after each answer. Nil for nothing.
	Progress func(done, all int)
}

// Make asks a Prometheus and returns the report.
func Make(ctx context.Context, prometheus *Prometheus, o *Options) (*Report, error) {
	r, err := makeFrom(ctx, prometheus, o)
	if err != nil {
		return nil, err
	}
	r.Prometheus = prometheus.String()
	return r, nil
}

// makeFrom makes the report from the answers of a source.
func makeFrom(ctx context.Context, from source, o *Options) (*Report, error) {
	to := o.To.Truncate(time.Minute)
	days := daysOfWeek * (o.Weeks + WeeksBefore)
	a := &asker{
		source: from, progress: o.Progress, answers: make(map[string][]series), warnings: make(map[string]bool),
		period: period{from: to.Add(-time.Duration(days) * oneDay), days: days, reported: daysOfWeek * o.Weeks},
	}
	if a.progress == nil {
		a.progress = func(int, int) {}
	}
	all := questions(selector(o.Jobs, o.Sites))
	// Whether there are any data is asked first, so that a wrong address is reported at once.
	if err := a.ask(ctx, all[:1]); err != nil {
		return nil, err
	}
	// A server may answer with series without a sensible number.
	a.answers[askKnown] = slices.DeleteFunc(a.answers[askKnown], func(s series) bool { return !(maximum(s.values) > 0) })
	if err := a.checkSites(ctx, o); err != nil {
		return nil, err
	}
	if err := a.ask(ctx, all[1:]); err != nil {
		return nil, err
	}
	r := &Report{
		Created: o.Now, From: a.period.reportedFrom(), To: a.period.to(), Weeks: o.Weeks, WeeksBefore: WeeksBefore,
		Warnings: append([]string{}, slices.Sorted(maps.Keys(a.warnings))...),
	}
	for _, q := range all {
		first, step, n := a.period.times(q.at)
		r.Queries = append(r.Queries, Query{
			Name: q.name, Query: q.query, First: first, Last: first.Add(time.Duration(n-1) * step), Step: model.Duration(step).String(),
		})
	}
	for _, known := range a.answers[askKnown] {
		r.Sites = append(r.Sites, newSite(a, known.labels, o.Names))
	}
	nameSites(r.Sites)
	return r, nil
}

// checkSites returns an error if there is no data of a site that was asked for.
func (a *asker) checkSites(ctx context.Context, o *Options) error {
	found := a.answers[askKnown]
	known := func(label model.LabelName, value string) bool {
		return slices.ContainsFunc(found, func(s series) bool { return string(s.labels[label]) == value })
	}
	for _, wanted := range []struct {
		flag   string
		label  model.LabelName
		values []string
	}{{"job", "job", o.Jobs}, {"site", "site", o.Sites}} {
		for _, value := range wanted.values {
			if known(wanted.label, value) {
				continue
			}
			others, err := a.others(ctx, wanted.label)
			if err != nil {
				return err
			}
			if len(others) > 0 {
				return fmt.Errorf("--%s=%s: Prometheus has no data of it since %s, but has data of %s", wanted.flag, text.Visible(value), a.period.from.Format(time.DateOnly), strings.Join(others, ", "))
			}
		}
	}
	if len(found) > 0 {
		return nil
	}
	return fmt.Errorf("this Prometheus has no data of qlik_exporter since %s: there is no metric qlik_sessions; check --prometheus.url, and on its page Targets that it scrapes the exporter", a.period.from.Format(time.DateOnly))
}

// others returns the values of a label of all sites.
func (a *asker) others(ctx context.Context, label model.LabelName) ([]string, error) {
	all := &asker{source: a.source, period: a.period, progress: func(int, int) {}, answers: make(map[string][]series), warnings: a.warnings}
	if err := all.ask(ctx, questions("")[:1]); err != nil {
		return nil, err
	}
	var values []string
	for _, s := range all.answers[askKnown] {
		if value := string(s.labels[label]); value != "" {
			values = append(values, text.Visible(value))
		}
	}
	slices.Sort(values)
	return slices.Compact(values), nil
}

// nameSites sets the titles of sites: the label site, or the job of a site without one. If
// that is the title of several sites, the job is added.
func nameSites(sites []Site) {
	count := make(map[string]int)
	for i := range sites {
		s := &sites[i]
		if s.Title = s.Site; s.Title == "" {
			s.Title = s.Job
		}
		count[s.Title]++
	}
	for i := range sites {
		if s := &sites[i]; count[s.Title] > 1 && s.Title != s.Job {
			s.Title += " (" + s.Job + ")"
		}
	}
	slices.SortStableFunc(sites, func(a, b Site) int { return strings.Compare(a.Title, b.Title) })
}
