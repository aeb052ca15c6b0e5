package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// happensWithin is the time that the demo needs to show every effect of the
// limit.
const happensWithin = 2 * time.Minute

// Two jobs scrape the exporter, like two Prometheus servers.
const prometheusConfig = `
global:
  scrape_interval: 1s
  scrape_timeout: 900ms
scrape_configs:
  - job_name: qlik
    static_configs:
      - targets: ['%[1]s']
        labels: {site: demo}
  - job_name: qlik_again
    scrape_interval: 2s
    static_configs:
      - targets: ['%[1]s']
        labels: {site: demo}
  - job_name: prometheus
    static_configs:
      - targets: ['%[2]s']
`

// A real Prometheus scrapes the demo until the demo has shown everything, and
// reports no problems.
func TestPrometheusScrapesDemo(t *testing.T) {
	scrapeFor := happensWithin
	if value := os.Getenv("E2E_SCRAPE_FOR"); value != "" {
		var err error
		if scrapeFor, err = time.ParseDuration(value); err != nil {
			t.Fatalf("E2E_SCRAPE_FOR: %v", err)
		}
	}
	d := startDemo(t)
	checkFormats(t, d.instance)
	p := startPrometheus(t, func(address string) string { return fmt.Sprintf(prometheusConfig, d.address, address) })
	run := &history{prometheus: p, end: time.Now()}
	p.waitFor(t, "scrapes", readyWithin, func() bool {
		run.end = time.Now()
		return len(run.vector(t, `up{job=~"qlik.*"}`)) == 2
	})
	run.begin = run.end
	t.Logf("scraping for %s", scrapeFor)
	for time.Since(run.begin) < scrapeFor {
		if !d.running() || !p.running() {
			t.Fatal("a program has ended by itself")
		}
		time.Sleep(100 * time.Millisecond)
	}
	run.end = time.Now()

	t.Run("every scrape succeeded", func(t *testing.T) {
		up := run.number(t, `min(min_over_time(up{job=~"qlik.*"}[RUN]))`)
		expect(t, up == 1, "up was 1", up)
		for job, interval := range map[string]time.Duration{"qlik": time.Second, "qlik_again": 2 * time.Second} {
			scrapes := run.number(t, `count_over_time(up{job="`+job+`"}[RUN])`)
			expect(t, scrapes >= 0.9*float64(scrapeFor/interval), "Prometheus scraped every "+interval.String(), scrapes)
		}
		qlikUp := run.number(t, `min(min_over_time(qlik_up[RUN]))`)
		expect(t, qlikUp == 1, "qlik_up was 1", qlikUp)
		// A proxy that restarts may interrupt the one scrape that it is
		// answering.
		incomplete := run.number(t, `sum(count_over_time(qlik_sessions_complete[RUN]) - sum_over_time(qlik_sessions_complete[RUN]))`)
		expect(t, incomplete <= 2, "qlik_sessions_complete was 1, but for a proxy that restarts", fmt.Sprintf("%g incomplete", incomplete))
		samples := run.number(t, `min(min_over_time(scrape_samples_post_metric_relabeling{job=~"qlik.*"}[RUN]))`)
		expect(t, samples > 400, "several hundred samples in each scrape", samples)
		slowest := run.number(t, `max(max_over_time(scrape_duration_seconds{job=~"qlik.*"}[RUN]))`)
		expect(t, slowest < 0.9, "every scrape took less than its timeout of 0.9 seconds", slowest)
	})
	t.Run("Prometheus rejected nothing", func(t *testing.T) {
		counters := run.vector(t, `{job="prometheus", __name__=~"prometheus_target_(scrapes_(sample_.+|exceeded_.+)|scrape_pool.*_failed)_total"}`)
		expect(t, len(counters) >= 6, "Prometheus counts what it rejects", fmt.Sprintf("%d counters", len(counters)))
		for _, counter := range counters {
			expect(t, counter.Value == 0, string(counter.Metric[model.MetricNameLabel])+" is 0", counter.Value)
		}
		complaints := regexp.MustCompile(`(?m)^.*(level=error|caller=scrape\.go.*(level=warn|err=)).*$`).FindAllString(p.stderr.String(), -1)
		expect(t, len(complaints) == 0, "no complaint in the log of Prometheus", strings.Join(complaints, "\n"))
		exported := run.vector(t, `count({__name__=~"qlik_.+", exported_job!=""} or {__name__=~"qlik_.+", exported_instance!=""} or {__name__=~"qlik_.+", exported_site!=""})`)
		expect(t, len(exported) == 0, "no label of ours is one of the targets'", exported)
	})
	t.Run("the exporter is at ease", func(t *testing.T) {
		errors := run.number(t, `max(max_over_time(promhttp_metric_handler_errors_total[RUN]))`)
		expect(t, errors == 0, "promhttp_metric_handler_errors_total is 0", errors)
		failed := run.number(t, `min(min_over_time(qlik_scrape_collector_success[RUN]))`)
		expect(t, failed == 1, "every collector succeeded", failed)
		// The simulated site runs in the same process, so each connection uses
		// two files.
		files := run.numbers(t, `process_open_fds{job="qlik"}`)
		before, after := slices.Max(files[:len(files)/2]), slices.Max(files[len(files)/2:])
		expect(t, after <= before+10, "open files, hence connections, do not become more", fmt.Sprintf("at most %g, then at most %g", before, after))
		scrapes := run.number(t, `sum(count_over_time(up{job=~"qlik.*"}[RUN]))`)
		requests := run.number(t, `max(last_over_time(qlik_requests_total{api="qps"}[RUN])) - min(min_over_time(qlik_requests_total{api="qps"}[RUN]))`)
		links := run.number(t, `count(qlik_virtual_proxy_up{job="qlik"})`)
		expect(t, requests <= scrapes*links, "at most one request to a link in each scrape", fmt.Sprintf("%g requests to %g links in %g scrapes, %g of which shared the questions of another",
			requests, links, scrapes, run.number(t, `max(qlik_exporter_shared_snapshots_total)`)))
		t.Logf("resident memory with the simulated site: %.1f MiB", run.number(t, `max(max_over_time(process_resident_memory_bytes{job="qlik"}[RUN]))`)/(1<<20))
	})
	t.Run("the numbers of a scrape agree", func(t *testing.T) {
		compared := run.numbers(t, `sum by (job) (qlik_users{job="qlik"})`)
		differ := run.numbers(t, `count by (job) (qlik_session_limit_headroom and on (job, user_directory, user_id) qlik_user_sessions) != sum by (job) (qlik_users)`)
		expect(t, len(differ) == 0, "one qlik_session_limit_headroom for each user with sessions in qlik_users",
			fmt.Sprintf("%g to %g users, %d differences at %d moments", slices.Min(compared), slices.Max(compared), len(differ), len(compared)))
		differ = run.numbers(t, `sum by (job) (qlik_user_sessions) != sum by (job) (qlik_sessions)`)
		expect(t, len(differ) == 0, "qlik_user_sessions add up to qlik_sessions", fmt.Sprintf("%d differences", len(differ)))
		differ = run.numbers(t, `qlik_session_limit_headroom != on (job, user_directory, user_id) scalar(max(qlik_session_limit)) - sum by (job, user_directory, user_id) (qlik_user_sessions)`)
		expect(t, len(differ) == 0, "headroom is the limit minus the user's sessions", fmt.Sprintf("%d differences", len(differ)))
	})
	if scrapeFor >= happensWithin {
		checkEvents(t, run)
	} else {
		t.Logf("what needs %s to be seen is left out", happensWithin)
	}
	// These checks come last, so that the last lines of the programs do not count
	// as problems.
	p.stop(t)
	d.stop(t)
	expect(t, !exists(d.folder), "the certificate folder is gone", d.folder)
}

// checkEvents checks that all events of the demo occurred.
func checkEvents(t *testing.T, run *history) {
	t.Helper()
	t.Run("people reach the limit", func(t *testing.T) {
		for _, headroom := range []string{"1", "0", "over"} {
			query := `qlik_users{job="qlik", headroom="` + headroom + `"}`
			if headroom == "over" {
				query += " - 1" // an administrator without a license is always over the limit and never refused
			}
			users := run.matrix(t, query+" > 0")
			if len(users) == 0 {
				t.Errorf("nobody was seen with headroom %s", headroom)
				continue
			}
			values := users[0].Values
			most := 0.0
			for _, v := range values {
				most = max(most, float64(v.Value))
			}
			expect(t, most > 0, "users with headroom "+headroom, fmt.Sprintf("first after %s, at most %g, at %d moments",
				values[0].Timestamp.Time().Sub(run.begin).Round(time.Second), most, len(values)))
		}
		lowest := run.number(t, `min(min_over_time(qlik_session_limit_headroom[RUN]))`)
		expect(t, lowest < 0, "the lowest headroom is negative", lowest)
	})
	t.Run("a proxy restarts", func(t *testing.T) {
		var node model.LabelValue
		var at time.Duration
		var before, after float64
		for _, series := range run.matrix(t, `sum by (qlik_node) (qlik_virtual_proxy_sessions{job="qlik"})`) {
			for i := 1; i < len(series.Values); i++ {
				if one, next := float64(series.Values[i-1].Value), float64(series.Values[i].Value); one-next > before-after {
					node, before, after = series.Metric["qlik_node"], one, next
					at = series.Values[i].Timestamp.Time().Sub(run.begin).Round(time.Second)
				}
			}
		}
		expect(t, before >= 20 && after <= before/4, "the sessions of one node drop sharply",
			fmt.Sprintf("%s from %g to %g after %s", node, before, after, at))
	})
}

// checkFormats checks both exposition formats that Prometheus accepts.
func checkFormats(t *testing.T, e *instance) {
	t.Helper()
	complaints := shell(t, "curl -s "+e.url("/metrics")+" | promtool check metrics 2>&1")
	expect(t, complaints == "", "promtool check metrics is silent", complaints)
	text, header, err := get(e.url("/metrics"), http.Header{"Accept": {"application/openmetrics-text; version=1.0.0"}})
	expect(t, err == nil && strings.HasPrefix(header.Get("Content-Type"), "application/openmetrics-text") && strings.HasSuffix(text, "\n# EOF\n"),
		"OpenMetrics for those who ask, as Prometheus does", fmt.Sprintf("%s, %d bytes", header.Get("Content-Type"), len(text)))
}

// server is a running Prometheus.
type server struct {
	*program
	api     prometheusv1.API
	address string // host:port
	data    string // database folder
}

// startPrometheus starts a Prometheus on a free port. config returns the
// configuration for its address.
func startPrometheus(t *testing.T, config func(address string) string) *server {
	t.Helper()
	dir := t.TempDir()
	address := "127.0.0.1:" + freePort(t)
	configFile := filepath.Join(dir, "prometheus.yml")
	writeFile(t, configFile, []byte(config(address)))
	shell(t, "promtool check config --syntax-only "+configFile)
	data := filepath.Join(dir, "data")
	p := start(t, exec.Command("prometheus",
		"--config.file="+configFile,
		"--storage.tsdb.path="+data,
		"--web.listen-address="+address,
		"--web.enable-admin-api", // for snapshots of the database
		"--web.enable-remote-write-receiver",
		"--log.level=debug", // logs failed scrapes
	))
	p.waitReady(t, "http://"+address+"/-/ready")
	return &server{p, queryAPI(t, address), address, data}
}

// queryAPI returns the query API of a Prometheus, or of a compatible server.
func queryAPI(t *testing.T, address string) prometheusv1.API {
	t.Helper()
	client, err := api.NewClient(api.Config{Address: "http://" + address, Client: httpClient})
	if err != nil {
		t.Fatal(err)
	}
	return prometheusv1.NewAPI(client)
}

// history is the data of a Prometheus in a time range.
type history struct {
	prometheus *server
	begin, end time.Time
}

// vector returns the result of a query at the end of the history. RUN in the
// query stands for the duration of the history.
func (h *history) vector(t *testing.T, query string) model.Vector {
	t.Helper()
	query = strings.ReplaceAll(query, "RUN", fmt.Sprintf("%dms", h.end.Sub(h.begin).Milliseconds()))
	value, warnings, _, err := h.prometheus.api.Query(t.Context(), query, h.end)
	vector, ok := value.(model.Vector)
	if err != nil || len(warnings) > 0 || !ok {
		t.Fatalf("%s: %T, %v, %v", query, value, warnings, err)
	}
	return vector
}

// number returns the single value of a query at the end of the history.
func (h *history) number(t *testing.T, query string) float64 {
	t.Helper()
	vector := h.vector(t, query)
	if len(vector) != 1 {
		t.Fatalf("%s: %d results", query, len(vector))
	}
	return float64(vector[0].Value)
}

// matrix returns the result of a query over the whole history.
func (h *history) matrix(t *testing.T, query string) model.Matrix {
	t.Helper()
	value, warnings, _, err := h.prometheus.api.QueryRange(t.Context(), query, prometheusv1.Range{Start: h.begin, End: h.end, Step: time.Second})
	matrix, ok := value.(model.Matrix)
	if err != nil || len(warnings) > 0 || !ok {
		t.Fatalf("%s: %T, %v, %v", query, value, warnings, err)
	}
	return matrix
}

// numbers returns the values of a query over the whole history.
func (h *history) numbers(t *testing.T, query string) []float64 {
	t.Helper()
	var numbers []float64
	for _, series := range h.matrix(t, query) {
		for _, v := range series.Values {
			numbers = append(numbers, float64(v.Value))
		}
	}
	return numbers
}
