//go:build slow

package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var growthFor = flag.Duration("growth.for", 5*time.Minute, "how long TestGrowth measures")

// Limits that docs/scaling.md promises per user with sessions.
const (
	seriesPerUser   = 5.5 // scraped
	recordedPerUser = 1.1 // recorded by the rules
)

const growthConfig = `
global: {scrape_interval: 15s, evaluation_interval: 15s}
rule_files: ['%s']
scrape_configs:
  - job_name: qlik
    static_configs: [{targets: ['%s'], labels: {site: company}}]
  - job_name: prometheus
    static_configs: [{targets: ['%s']}]
`

// TestGrowth measures the cost of a company for its exporter and its Prometheus,
// at the usual interval of 15 seconds and with the shipped rules. The results are
// the figures in docs/scaling.md.
func TestGrowth(t *testing.T) {
	t.Parallel()
	for _, users := range []int{1_000, 10_000} {
		t.Run(fmt.Sprint(users, " users"), func(t *testing.T) {
			t.Parallel()
			measureGrowth(t, users)
		})
	}
}

func measureGrowth(t *testing.T, users int) {
	t.Helper()
	s := startCompany(t, users)
	for _, more := range []string{"", "--collector.sessions.min-sessions=2", "--collector.sessions.min-sessions=3", "--collector.sessions.min-sessions=4", "--user-labels=none"} {
		logSeries(t, s, more)
	}

	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	kept := startPrometheus(t, func(string) string { return "" })
	remote, err := yaml.Marshal(example(t, "remote_write:", map[string]string{"http://mimir.example/api/v1/push": "http://" + kept.address + "/api/v1/write"}))
	if err != nil {
		t.Fatal(err)
	}
	p := startPrometheus(t, func(address string) string {
		return fmt.Sprintf(growthConfig, rules, s.address, address) + string(remote)
	})
	h := &history{prometheus: p, begin: time.Now().Add(time.Minute)} // when all series exist
	select {
	case <-time.After(time.Minute + *growthFor):
	case <-p.ended:
		t.Fatal("Prometheus has ended by itself")
	case <-s.ended:
		t.Fatal("the exporter has ended by itself")
	}
	h.end = time.Now()

	h.log(t, "users with sessions", `site:qlik_users:sum`)
	h.log(t, "sessions", `max(qlik_sessions)`)
	h.log(t, "series scraped", `count({job="qlik", __name__!~".+:.+|ALERTS.*"})`)
	h.log(t, "series scraped, of users", `count({job="qlik", user_id!="", __name__!~".+:.+|ALERTS.*"})`)
	h.log(t, "series recorded", `count({__name__=~".+:.+"})`)
	h.log(t, "series recorded, of users", `count({__name__=~".+:.+", user_id!=""})`)
	h.log(t, "series of alerts", `count({__name__=~"ALERTS.*"})`)
	h.log(t, "series of users, by name", `count by (__name__) ({job="qlik", user_id!=""})`)
	h.log(t, "series recorded, without users, by name", `count by (__name__) ({__name__=~".+:.+", user_id=""})`)
	h.log(t, "slowest scrape, in seconds", `max_over_time(scrape_duration_seconds{job="qlik"}[RUN])`)
	h.log(t, "rules, in seconds, half of the time", `quantile_over_time(0.5, prometheus_rule_group_last_duration_seconds[RUN])`)
	h.log(t, "CPU, in seconds for each second", `rate(process_cpu_seconds_total[RUN])`)
	h.log(t, "resident memory, in MiB", `max_over_time(process_resident_memory_bytes[RUN]) / 2^20`)
	h.log(t, "series in the head", `prometheus_tsdb_head_series`)
	h.log(t, "samples a second", `rate(prometheus_tsdb_head_samples_appended_total[RUN])`)

	with := h.number(t, `site:qlik_users:sum`)
	scraped := h.number(t, `count({job="qlik", user_id!="", __name__!~".+:.+|ALERTS.*"})`) / with
	recorded := h.number(t, `count({__name__=~".+:.+", user_id!=""})`) / with
	expect(t, with > float64(users)/2, "most users have sessions", with)
	expect(t, scraped <= seriesPerUser, fmt.Sprintf("at most %g series scraped for a user", seriesPerUser), scraped)
	expect(t, recorded <= recordedPerUser, fmt.Sprintf("at most %g series recorded for a user", recordedPerUser), recorded)
	slowest := h.number(t, `max(max_over_time(prometheus_rule_group_last_duration_seconds[RUN]))`)
	expect(t, slowest < 15, "the rules are done before they are evaluated again", slowest)
	missed := h.number(t, `sum(increase(prometheus_rule_group_iterations_missed_total[RUN]))`)
	expect(t, missed == 0, "no evaluation of them is missed", missed)
	measureBlocks(t, "everything", p)
	measureBlocks(t, "what is kept for long", kept)
}

// logSeries prints the number of series that a second exporter of the site has
// with one additional argument.
func logSeries(t *testing.T, s *site, more string) {
	t.Helper()
	e := s.another(t, strings.Fields(more)...)
	defer e.stop(t)
	var m metrics
	e.waitFor(t, "the licenses", readyWithin, func() bool {
		m = e.scrape(t)
		return m.value(`qlik_scrape_collector_success{collector="licenses"}`) == "1"
	})
	t.Logf("with %q: %d series in %d kB, %d of users", more, m.count(`\w+`), len(m)/1000, m.count(`\w+\{[^}]*user_id=[^}]*\}`))
}

// startCompany starts a company's site in the middle of a workday, and an
// exporter.
func startCompany(t *testing.T, users int) *site {
	t.Helper()
	now := time.Now()
	clock := qliktest.NewClock(now.Add(-4 * time.Hour))
	config := qliktest.Company(users)
	config.Now = clock.Now
	s := startSite(t, "company", config)
	people := qliktest.NewPeople(s.Site, 1)
	people.WarmUp(clock, now)
	clock.Follow()

	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			people.RunUntil(time.Now())
			time.Sleep(100 * time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-stopped
	})
	return s
}

// log prints the results of a query at the end of the history.
func (h *history) log(t *testing.T, what, query string) {
	t.Helper()
	for _, sample := range h.vector(t, query) {
		delete(sample.Metric, "instance")
		t.Logf("%s%s: %.4g", what, model.LabelSet(sample.Metric), float64(sample.Value))
	}
}

// measureBlocks writes the database as blocks and measures their size.
func measureBlocks(t *testing.T, what string, p *server) {
	t.Helper()
	snapshot, err := p.api.Snapshot(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	blocks := filepath.Join(p.data, "snapshots", snapshot.Name)
	metas, err := filepath.Glob(filepath.Join(blocks, "*", "meta.json"))
	if err != nil || len(metas) == 0 {
		t.Fatalf("no block in %s: %v", blocks, err)
	}
	var samples, series float64
	for _, name := range metas {
		var meta struct {
			Stats struct{ NumSamples, NumSeries float64 }
		}
		if err := json.Unmarshal(readFile(t, name), &meta); err != nil {
			t.Fatal(err)
		}
		samples += meta.Stats.NumSamples
		series += meta.Stats.NumSeries
	}
	var chunks, index float64
	if err := filepath.WalkDir(blocks, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.Name() == "index" {
			index += float64(info.Size())
		} else if filepath.Base(filepath.Dir(name)) == "chunks" {
			chunks += float64(info.Size())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %.3g samples of %.0f series; chunks %.2f bytes a sample, index %.0f bytes a series", what, samples, series, chunks/samples, index/series)
	if samples/series >= 100 { // nearly full chunks
		expect(t, chunks/samples < 2, "a sample of "+what+" takes less than two bytes", chunks/samples)
	}
}
