package collector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
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
	held   *held
	close  func()
	gather func() ([]*dto.MetricFamily, error)
}

var _ prometheus.Gatherer = (*Scrape)(nil)

// Scrape queries the links of the site and returns the result. Links that have
// not responded when ctx ends are reported as unknown. The caller must Close the
// result or gather it.
func (e *Exporter) Scrape(ctx context.Context) *Scrape {
	return e.ScrapeOnly(ctx, func(string) bool { return true })
}

// ScrapeOnly is a Scrape that runs only the wanted collectors, by name.
func (e *Exporter) ScrapeOnly(ctx context.Context, wanted func(collector string) bool) *Scrape {
	snapshot := e.site.Snapshot(ctx)
	held := e.waiting.enter(snapshot)
	s := &Scrape{heard: snapshot.Heard, held: held, close: sync.OnceFunc(func() { e.waiting.leave(held) })}
	s.gather = sync.OnceValues(func() ([]*dto.MetricFamily, error) {
		v := &view{snapshot: e.waiting.best(held), status: e.site.Status()}
		s.Close()
		return e.gather(v, wanted)
	})
	return s
}

// Heard returns the time when the last response of Qlik arrived, or when the
// exporter stopped waiting for it.
func (s *Scrape) Heard() time.Time { return s.heard }

// Close releases the memory of a scrape that is not gathered.
func (s *Scrape) Close() { s.close() }

// Gather implements prometheus.Gatherer. The first call runs the collectors.
// Later calls return the same result.
func (s *Scrape) Gather() ([]*dto.MetricFamily, error) { return s.gather() }

// waiting holds the snapshots of the scrapes that are not gathered yet. If many wait
// for their turn, they use newer snapshots of others, so that they do not keep one each.
type waiting struct {
	mu   sync.Mutex
	held []*held
}

// held is a snapshot that scrapes wait with. It may be replaced by one that is as new
// and in which as many links answered, but not by a worse one of a client with a short
// timeout.
type held struct {
	snapshot *headroom.Snapshot
	answered int // links
	scrapes  int
}

func (w *waiting) enter(snapshot *headroom.Snapshot) *held {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, other := range w.held {
		if other.snapshot == snapshot {
			other.scrapes++
			return other
		}
	}
	mine := &held{snapshot: snapshot, scrapes: 1}
	for i := range snapshot.Links {
		if snapshot.Links[i].Err == nil {
			mine.answered++
		}
	}
	for _, other := range w.held {
		if other.answered <= mine.answered && !other.snapshot.Heard.After(snapshot.Heard) {
			other.snapshot, other.answered = snapshot, mine.answered
		}
	}
	w.held = append(w.held, mine)
	return mine
}

func (w *waiting) best(mine *held) *headroom.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return mine.snapshot
}

func (w *waiting) leave(mine *held) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if mine.scrapes--; mine.scrapes == 0 {
		w.held = slices.DeleteFunc(w.held, func(other *held) bool { return other == mine })
	}
}

// gather runs the wanted collectors.
func (e *Exporter) gather(v *view, wanted func(collector string) bool) ([]*dto.MetricFamily, error) {
	v.users = sync.OnceValues(func() ([]userRow, int) { return e.users.rows(v.snapshot.Users) })
	w := newWriter()
	for _, c := range e.always {
		if err := update(c, v, w); err != nil {
			w.failed.Append(err)
		}
	}
	for i, c := range e.collectors {
		if !wanted(e.names[i]) {
			continue
		}
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
