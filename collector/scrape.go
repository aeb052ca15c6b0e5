package collector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var (
	scrapeSuccessDesc = gaugeDesc("qlik_scrape_collector_success",
		"1 if the collector succeeded, 0 if it failed as a whole. Partial failures show in other metrics.",
		"collector")
	scrapeDurationDesc = gaugeDesc("qlik_scrape_collector_duration_seconds",
		"Time that the collector took to produce its metrics, excluding the requests to Qlik that all collectors share.",
		"collector")
)

// Scrape holds the metrics of one scrape.
type Scrape struct {
	heard  time.Time
	gather func() ([]*dto.MetricFamily, error)
}

var _ prometheus.Gatherer = (*Scrape)(nil)

// Scrape queries the links of the site and returns the result. Links that have
// not responded when ctx ends are reported as unknown.
func (e *Exporter) Scrape(ctx context.Context) *Scrape {
	v := &view{snapshot: e.site.Snapshot(ctx)}
	v.status = e.site.Status()
	return &Scrape{
		heard:  v.snapshot.Heard,
		gather: sync.OnceValues(func() ([]*dto.MetricFamily, error) { return e.gather(v) }),
	}
}

// Heard returns the time when the last response of Qlik arrived, or when the
// exporter stopped waiting for it.
func (s *Scrape) Heard() time.Time { return s.heard }

// Gather implements prometheus.Gatherer. The first call runs the collectors.
// Later calls return the same result.
func (s *Scrape) Gather() ([]*dto.MetricFamily, error) { return s.gather() }

// gather runs the collectors.
func (e *Exporter) gather(v *view) ([]*dto.MetricFamily, error) {
	v.users, v.dropped = e.users.rows(v.snapshot.Users)
	w := newWriter()
	if err := update(siteCollector{}, v, w); err != nil {
		w.failed.Append(err)
	}
	for i, c := range e.collectors {
		start := time.Now()
		err := update(c, v, w)
		e.ran(e.names[i], err)
		w.write(scrapeSuccessDesc, boolean(err == nil), e.names[i])
		w.write(scrapeDurationDesc, time.Since(start).Seconds(), e.names[i])
	}
	return w.gather()
}

// update runs one collector. A panic in it is a defect, but must not affect the
// metrics of other collectors. Everything that it wrote before the panic is
// discarded, because some of the users would look like all of them.
func update(c Collector, v *view, w *writer) (err error) {
	before := slices.Clone(w.families)
	defer func() {
		if r := recover(); r != nil {
			w.families = before
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return c.Update(v, w)
}
