package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// A size that takes less than a minute. .ci/slow uses the full size.
var (
	hangSessions = flag.Int("hang.sessions", 9_000, "sessions of each site of TestHangingNode")
	hangTimeout  = flag.Duration("hang.timeout", 3*time.Second, "scrape timeout and interval of TestHangingNode")
	hangBusy     = flag.Bool("hang.busy", true, "give the processors something else to do meanwhile")
)

// slowerThanHealthy is the maximum time by which a scrape with a hanging node may
// exceed a healthy scrape, from the second scrape on.
const slowerThanHealthy = 1200 * time.Millisecond

// TestHangingNode checks a site in which one of three proxies accepts requests and
// never answers. A real Prometheus loses no scrape, although the processors are
// busy, and only the first scrape takes long.
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
		e := s.another(t)
		run := scrapeFor(t, e, 3)
		healthy := slices.Sorted(slices.Values(e.scrapeTimes(t, 3)))[1]
		run = run.goOn(t, 0)
		s.SetProxyFault("qlik3", qliktest.Hanging)
		run = run.goOn(t, 1)
		run.expectHanging(t, sessions)
		later := e.scrapeTimes(t, 5)
		run = run.goOn(t, 2)
		run.expectHanging(t, sessions)
		t.Logf("healthy scrapes take %s; beside a node that hangs, later ones %s", healthy, later)
		slowest := slices.Max(later)
		expect(t, slowest <= healthy+slowerThanHealthy, "only the first scrape waits for the node", slowest)
		s.SetProxyFault("qlik3", qliktest.NoFault)
		// Requests continue up to --qlik.timeout, and a link that has become
		// slower times out once more.
		again := run.end
		run.prometheus.waitFor(t, "all is known again", readyWithin+5**hangTimeout, func() bool {
			run.end = time.Now()
			return run.number(t, `last_over_time(qlik_sessions_complete[1m])`) == 1
		})
		t.Logf("all is known again after %s", run.end.Sub(again).Round(time.Second))
	})
}

// TestHangingEngine checks that the collector engine costs a scrape nothing while one of
// twelve engines hangs, except the first one.
func TestHangingEngine(t *testing.T) {
	t.Parallel()
	config := qliktest.Config{Users: people("anna")}
	for i := range 12 {
		config.Nodes = append(config.Nodes, qliktest.Node{Name: fmt.Sprint("qlik", i+1)})
	}
	s := startSite(t, "twelve", config)
	for _, node := range config.Nodes {
		s.SetProxyLatency(node.Name, 200*time.Millisecond)
		s.SetEngineLatency(node.Name, 20*time.Millisecond)
	}
	median := func(times []time.Duration) time.Duration { return slices.Sorted(slices.Values(times))[len(times)/2] }
	s.scrapeTimes(t, 1)
	without := s.scrapeTimes(t, 5)
	with := s.another(t, "--collector.engine")
	with.scrapeTimes(t, 1)
	healthy := with.scrapeTimes(t, 5)
	s.SetEngineFault("qlik7", qliktest.Hanging)
	first := with.scrapeTimes(t, 1)
	hanging := with.scrapeTimes(t, 5)
	t.Logf("without the collector %s, with it %s; while an engine hangs first %s, then %s", without, healthy, first, hanging)
	expect(t, first[0] <= *hangTimeout, "the first scrape is in time", first)
	for what, times := range map[string][]time.Duration{"healthy engines": healthy, "an engine that hangs": hanging} {
		expect(t, median(times) <= median(without)+slowerThanHealthy/4, what+" costs nothing", times)
	}
	m := with.scrape(t)
	expect(t, m.count("qlik_engine_up") == 12 && m.value(`qlik_engine_up{qlik_node="qlik7"}`) == "0" && m.count("qlik_engine_cpu_ratio") == 11, "one engine is down", m.value(`qlik_engine_up{qlik_node="qlik7"}`))
	expect(t, m.value("qlik_sessions_complete") == "1", "the sessions are complete", m.value("qlik_sessions_complete"))
}

// startThreeProxies starts a site and returns the number of sessions of each
// node.
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

// keepBusy keeps all processors busy until the test ends.
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

// scrapes is the data that a Prometheus has scraped from an exporter.
type scrapes struct{ history }

// scrapeFor starts a Prometheus and waits until it has scraped this number of
// times.
func scrapeFor(t *testing.T, e *instance, times int) *scrapes {
	t.Helper()
	began := time.Now()
	p := startPrometheus(t, func(string) string {
		return fmt.Sprintf("global: {scrape_interval: %[1]s, scrape_timeout: %[1]s}\nscrape_configs:\n  - job_name: qlik\n    static_configs: [{targets: ['%[2]s']}]\n",
			*hangTimeout, e.address)
	})
	return (&scrapes{history{prometheus: p, end: began}}).goOn(t, times)
}

// goOn waits for this number of further scrapes and returns them.
func (s *scrapes) goOn(t *testing.T, times int) *scrapes {
	t.Helper()
	next := &scrapes{history{prometheus: s.prometheus, begin: s.end}}
	next.prometheus.waitFor(t, "scrapes", readyWithin+time.Duration(times+1)**hangTimeout, func() bool {
		next.end = time.Now()
		return len(next.of(t, "up")) >= times
	})
	return next
}

// of returns the samples of a metric that has one series, one sample per scrape.
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

// scrapeTimes scrapes an exporter like Prometheus, this number of times with
// pauses. It returns the time of each scrape up to the last byte. The duration
// that Prometheus itself reports includes storing the samples.
func (e *instance) scrapeTimes(t *testing.T, times int) []time.Duration {
	t.Helper()
	var all []time.Duration
	for range times {
		begin := time.Now()
		_, _, err := get(e.url("/metrics"), http.Header{
			"X-Prometheus-Scrape-Timeout-Seconds": {fmt.Sprint(hangTimeout.Seconds())}, "Accept-Encoding": {"gzip"},
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, time.Since(begin).Round(time.Millisecond))
		time.Sleep(*hangTimeout / 3)
	}
	return all
}

// expectHanging checks that no scrape was lost, that the hanging links are
// unknown, and that the data of the other links is correct.
func (s *scrapes) expectHanging(t *testing.T, sessions map[string]int) {
	t.Helper()
	all := func(what, selector string, want float64) {
		t.Helper()
		samples := s.of(t, selector)
		right := len(samples) > 0 && !slices.ContainsFunc(samples, func(sample model.SamplePair) bool { return float64(sample.Value) != want })
		expect(t, right, what, samples)
	}
	all("no scrape is lost", "up", 1)
	t.Logf("scrapes took, with storing, %s", s.durations(t))
	all("counts are said to be incomplete", "qlik_sessions_complete", 0)
	all("all sessions of the other nodes are there", "qlik_sessions", float64(sessions["qlik1"]+sessions["qlik2"]))
	for node, up := range map[string]float64{"qlik1": 1, "qlik2": 1, "qlik3": 0} {
		all("the links of "+node, `qlik_virtual_proxy_up{qlik_node="`+node+`",virtual_proxy="/sales"}`, up)
	}
	hanging := s.of(t, `qlik_virtual_proxy_sessions{qlik_node="qlik3",virtual_proxy="/"}`)
	expect(t, len(hanging) == 0, "nothing is said of the sessions on the node that hangs", hanging)
}
