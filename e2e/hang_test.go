package e2e

import (
	"flag"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// A size that takes less than a minute; .ci/slow has the full one.
var (
	hangSessions = flag.Int("hang.sessions", 9_000, "sessions of each site of TestHangingNode")
	hangTimeout  = flag.Duration("hang.timeout", 4*time.Second, "scrape timeout and interval of TestHangingNode")
	hangBusy     = flag.Bool("hang.busy", true, "give the processors something else to do meanwhile")
)

// slowerThanHealthy is how much longer than a healthy scrape one may take beside a
// node that hangs, from the second on.
const slowerThanHealthy = 1200 * time.Millisecond

// TestHangingNode: one of three proxies takes requests and never answers. A real
// Prometheus loses no scrape, though the processors are busy with something else,
// and only the first takes long.
func TestHangingNode(t *testing.T) { //nolint:tparallel // the busy processors would disturb other tests
	if *hangBusy {
		keepBusy(t)
	}
	t.Run("from the first scrape on", func(t *testing.T) {
		t.Parallel()
		s, sessions := startThreeProxies(t, *hangSessions)
		s.SetProxyFault("qlik3", qliktest.Hanging)
		run := scrapeFor(t, s.another(t), 4)
		run.expectHanging(t, sessions)
	})
	t.Run("after better days", func(t *testing.T) {
		t.Parallel()
		s, sessions := startThreeProxies(t, *hangSessions)
		run := scrapeFor(t, s.another(t), 4)
		healthy := run.median(t)
		s.SetProxyFault("qlik3", qliktest.Hanging)
		run = run.goOn(t, 4)
		run.expectHanging(t, sessions)
		t.Logf("healthy scrapes take %s", healthy)
		for _, took := range run.durations(t)[1:] {
			expect(t, took <= healthy+slowerThanHealthy, "only the first scrape waits for the node", took)
		}
		s.SetProxyFault("qlik3", qliktest.NoFault)
		time.Sleep(10 * time.Second) // for requests that run on, --qlik.timeout at most
		run = run.goOn(t, 2)
		complete := run.number(t, `last_over_time(qlik_sessions_complete[RUN])`)
		expect(t, complete == 1, "all is known again", complete)
	})
}

// startThreeProxies starts a site and returns how many sessions each node has.
func startThreeProxies(t *testing.T, sessions int) (*site, map[string]int) {
	t.Helper()
	nodes := []qliktest.Node{{Name: "qlik1"}, {Name: "qlik2"}, {Name: "qlik3"}}
	users := sessions * 3 / 4
	ids := make([]string, users)
	for i := range ids {
		ids[i] = fmt.Sprintf("user%06d", i)
	}
	s := startSite(t, "three", qliktest.Config{
		Nodes: nodes, Users: people(ids...),
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}, {Prefix: "hr"}},
	})
	on := make(map[string]int)
	for i := range sessions {
		node := nodes[i%len(nodes)].Name
		if _, err := s.Login(directory, ids[i%users], strconv.Itoa(i/users), []string{"", "sales", "hr"}[i/len(nodes)%3], node); err != nil {
			t.Fatal(err)
		}
		on[node]++
	}
	return s, on
}

// keepBusy gives every processor something else to do until the test ends.
func keepBusy(t *testing.T) {
	t.Helper()
	for range runtime.NumCPU() {
		loop := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
		if err := loop.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = loop.Wait() }) // killed by the end of the context
	}
}

// scrapes is what a Prometheus has of an exporter.
type scrapes struct{ history }

// scrapeFor starts a Prometheus and waits until it has scraped so often.
func scrapeFor(t *testing.T, e *instance, times int) *scrapes {
	t.Helper()
	began := time.Now()
	p := startPrometheus(t, func(string) string {
		return fmt.Sprintf("global: {scrape_interval: %[1]s, scrape_timeout: %[1]s}\nscrape_configs:\n  - job_name: qlik\n    static_configs: [{targets: ['%[2]s']}]\n",
			*hangTimeout, e.address)
	})
	return (&scrapes{history{prometheus: p, end: began}}).goOn(t, times)
}

// goOn waits for so many more scrapes, and returns those.
func (s *scrapes) goOn(t *testing.T, times int) *scrapes {
	t.Helper()
	next := &scrapes{history{prometheus: s.prometheus, begin: s.end}}
	next.prometheus.waitFor(t, "scrapes", readyWithin+time.Duration(times+1)**hangTimeout, func() bool {
		next.end = time.Now()
		return len(next.of(t, "up")) >= times
	})
	return next
}

// of are the samples of a series with a single one at each scrape.
func (s *scrapes) of(t *testing.T, selector string) []model.SamplePair {
	t.Helper()
	query := fmt.Sprintf("%s[%dms]", selector, s.end.Sub(s.begin).Milliseconds())
	value, _, _, err := s.prometheus.api.Query(t.Context(), query, s.end)
	matrix, ok := value.(model.Matrix)
	if err != nil || !ok {
		t.Fatalf("%s: %T, %v", query, value, err)
	}
	if len(matrix) == 0 {
		return nil
	}
	return matrix[0].Values
}

func (s *scrapes) durations(t *testing.T) []time.Duration {
	t.Helper()
	var durations []time.Duration
	for _, sample := range s.of(t, "scrape_duration_seconds") {
		durations = append(durations, time.Duration(float64(sample.Value)*float64(time.Second)).Round(time.Millisecond))
	}
	return durations
}

func (s *scrapes) median(t *testing.T) time.Duration {
	t.Helper()
	durations := slices.Sorted(slices.Values(s.durations(t)[1:])) // the first is the exporter's first
	return durations[len(durations)/2]
}

// expectHanging: no scrape was lost, the hanging links are unknown, and what is
// said of the others is right.
func (s *scrapes) expectHanging(t *testing.T, sessions map[string]int) {
	t.Helper()
	all := func(what, selector string, want float64) {
		t.Helper()
		samples := s.of(t, selector)
		right := len(samples) > 0 && !slices.ContainsFunc(samples, func(sample model.SamplePair) bool { return float64(sample.Value) != want })
		expect(t, right, what, samples)
	}
	all("no scrape is lost", "up", 1)
	t.Logf("scrapes took %s", s.durations(t))
	all("counts are said to be incomplete", "qlik_sessions_complete", 0)
	all("all sessions of the other nodes are there", "qlik_sessions", float64(sessions["qlik1"]+sessions["qlik2"]))
	for node, up := range map[string]float64{"qlik1": 1, "qlik2": 1, "qlik3": 0} {
		all("the links of "+node, `qlik_virtual_proxy_up{node="`+node+`",virtual_proxy="/sales"}`, up)
	}
	hanging := s.of(t, `qlik_virtual_proxy_sessions{node="qlik3",virtual_proxy="/"}`)
	expect(t, len(hanging) == 0, "nothing is said of the sessions on the node that hangs", hanging)
}
