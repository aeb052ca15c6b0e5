//go:build slow

package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// thanosProgram builds Thanos from the module in tools/thanos, like its authors
// do: it does not work without the build tag.
var thanosProgram = sync.OnceValues(func() (string, error) {
	name := filepath.Join(filepath.Dir(exporter), "thanos")
	build := exec.Command("go", "build", "-tags", "slicelabels", "-o", name, "tool")
	build.Dir = filepath.Join(repository, "tools", "thanos")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Thanos: %w\n%s", err, output)
	}
	return name, nil
})

// startThanos starts a component of Thanos. It serves its store at the address
// under that name.
func startThanos(t *testing.T, component, httpAddress, storeAddress string, arguments ...string) *program {
	t.Helper()
	name, err := thanosProgram()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, exec.Command(name, append([]string{component, "--http-address=" + httpAddress, "--grpc-address=" + storeAddress}, arguments...)...))
	p.waitReady(t, "http://"+httpAddress+"/-/ready")
	return p
}

// TestThanos runs the pair in docs/scaling.md without rules, each server with a
// sidecar. Thanos queries both and evaluates the shipped rules. The expected
// results come from a separate Prometheus with a single exporter.
func TestThanos(t *testing.T) {
	s := startSite(t, "emea", qliktest.Config{
		Nodes:          []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}},
		VirtualProxies: []qliktest.VirtualProxy{{Prefix: ""}, {Prefix: "sales"}},
		Users:          people("anna", "ben", "carl"),
	})
	in := startInbox(t)
	am := startEcho(t, in)
	rules := filepath.Join(t.TempDir(), "rules.yml")
	pace{interval: time.Second, faster: 60}.writeRules(t, rules)
	single := startPrometheus(t, func(string) string {
		return fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}
rule_files: ['%s']
scrape_configs:
  - {job_name: qlik, static_configs: [{targets: ['%s'], labels: {site: emea}}]}
`, rules, s.address)
	})
	p := startPair(t, s, func(_ string, config document) {
		delete(config, "rule_files")
		delete(config, "alerting")
	})
	var sidecars []*program
	stores := []string{freeAddress(t)} // address of the ruler's store
	for _, each := range p.servers {
		store := freeAddress(t)
		sidecars = append(sidecars, startThanos(t, "sidecar", freeAddress(t), store, "--prometheus.url=http://"+each.address, "--tsdb.path="+each.data))
		stores = append(stores, store)
	}
	queryAddress, rulerAddress := freeAddress(t), freeAddress(t)
	arguments := []string{"--query.replica-label=replica"}
	for _, store := range stores {
		arguments = append(arguments, "--endpoint="+store)
	}
	query := &server{program: startThanos(t, "query", queryAddress, freeAddress(t), arguments...), api: queryAPI(t, queryAddress), address: queryAddress}
	startThanos(t, "rule", rulerAddress, stores[0],
		"--data-dir="+t.TempDir(),
		"--rule-file="+rules,
		"--eval-interval=1s",
		"--query=http://"+queryAddress,
		"--alertmanagers.url=http://"+am.address,
		`--label=replica="ruler"`,
		"--alert.label-drop=replica",
	)

	s.began = time.Now()
	s.logins(t, 5)
	s.login(t, "carl", 1)
	in.wait(t, s, firing, reached)
	settled := time.Now()
	time.Sleep(20 * time.Second) // time for unexpected notifications
	now := &history{begin: settled.Add(5 * time.Second), end: time.Now()}

	t.Run("one alert", func(t *testing.T) {
		in.log(t, s)
		expect(t, in.sent(s, firing, reached) == 1, "the ruler's alert was sent once", in.sent(s, firing, reached))
		expect(t, am.state(t, s, reached) == "active", "Alertmanager has it once", am.state(t, s, reached))
		text, _, err := get("http://"+rulerAddress+"/api/v1/alerts", nil)
		expect(t, err == nil && strings.Count(text, `"alertname":"`+reached+`"`) == 1, "the ruler has it once", strings.Count(text, reached))
	})
	t.Run("results without replicas are those of a single Prometheus", func(t *testing.T) {
		all, without := query.exporters(t, false), query.exporters(t, true)
		expect(t, all == 4 && without == 2, "two exporters in two Prometheus servers are four series, two without replicas", []int{all, without})
		for _, each := range []string{
			"max without (instance) (qlik_sessions)",
			"max without (instance) (qlik_user_sessions)",
			"min without (instance) (qlik_session_limit_headroom)",
			"min without (instance) (qlik_user_effective_headroom)",
			"user:qlik_user_effective_headroom:min",
			`max_over_time(site:qlik_users_limit_reached:count[3s])`,
			"site:qlik_users:sum",
			"virtual_proxy:qlik_virtual_proxy_sessions:sum",
			"license:qlik_license_seats_available:min",
			`count by (alertname, severity, scope, user_id) (ALERTS{alertstate="firing"})`,
		} {
			now.prometheus = single
			one := values(now.matrix(t, each))
			now.prometheus = query
			two := values(now.matrix(t, each))
			same := len(one) > 0 && slices.Equal(one, two)
			expect(t, same, each, strings.Join(one, "; "))
			if !same {
				t.Logf("Thanos says %s", strings.Join(two, "; "))
			}
		}
	})
	t.Run("the dashboard", func(t *testing.T) {
		l := &look{prometheus: single, dashboard: "qlik-capacity", begin: now.begin, end: now.end, interval: time.Second, variables: map[string]string{"job": "qlik", "site": s.name}}
		one := l.ask(t)
		l.prometheus = query
		compared := 0
		for i, two := range l.ask(t) {
			ratio := two.total / one[i].total
			// The number of evaluations is the same except around the start.
			if two.found != one[i].found || one[i].total != 0 && (ratio < 0.8 || ratio > 1.25) {
				t.Errorf("%s: %v, %g from Thanos; %v, %g from a single Prometheus", two.query, two.found, two.total, one[i].found, one[i].total)
			}
			if two.found {
				compared++
			}
		}
		expect(t, compared > 20, "its queries have the same results", compared)
	})
	t.Run("one exporter and one Prometheus die", func(t *testing.T) {
		killed := time.Now()
		for _, each := range []*program{p.servers[0].program, sidecars[0], p.exporter.program} {
			each.kill(t)
		}
		for browser := range 5 {
			s.login(t, "ben", browser)
		}
		s.waitFor(t, "the ruler's alert about ben", time.Minute, func() bool { return in.sent(s, firing, reached) >= 2 })
		t.Logf("sent %s after the kill", since(killed))
		time.Sleep(10 * time.Second)
		in.log(t, s)
		expect(t, in.sent(s, firing, reached) == 2, "it was sent once, too", in.sent(s, firing, reached))
		expect(t, in.sent(s, resolved, "") == 0, "no alert is taken for resolved", in.sent(s, resolved, ""))

		all := &history{prometheus: query, begin: now.begin, end: time.Now()}
		sessions := all.matrix(t, "max without (instance) (qlik_sessions)")
		if len(sessions) != 1 {
			t.Fatalf("not one series: %v", sessions)
		}
		seconds := int(all.end.Sub(all.begin)/time.Second) + 1
		expect(t, len(sessions[0].Values) == seconds, fmt.Sprintf("a value in each of %d seconds", seconds), len(sessions[0].Values))
		for _, v := range sessions[0].Values {
			if v.Value < 6 || v.Value > 11 || v.Timestamp.Time().Before(killed) && v.Value != 6 {
				t.Errorf("%g sessions at %s", float64(v.Value), v.Timestamp.Time())
			}
		}
		// A query looks back five minutes, so the test looks at the stored
		// samples. Thanos checks every five seconds whether a server is dead.
		// Until it notices, it evaluates no rule: a late alert is better than an
		// alert from half of the data.
		for metric, most := range map[string]time.Duration{"qlik_sessions": 5 * time.Second, "site:qlik_users:sum": 15 * time.Second} {
			gap := largestGap(t, all, metric)
			expect(t, gap <= most, fmt.Sprintf("no gap in %s longer than %s", metric, most), gap)
		}
	})
}

// exporters returns the number of exporters that Thanos knows.
func (p *server) exporters(t *testing.T, deduplicate bool) int {
	t.Helper()
	text, _, err := get("http://"+p.address+"/api/v1/query?"+url.Values{"query": {"qlik_sessions"}, "dedup": {fmt.Sprint(deduplicate)}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var response struct{ Data struct{ Result []any } }
	if err := json.Unmarshal([]byte(text), &response); err != nil {
		t.Fatal(err)
	}
	return len(response.Data.Result)
}

// values returns the series of a result and their values, without the label that
// only the pair has.
func values(matrix model.Matrix) []string {
	var all []string
	for _, series := range matrix {
		delete(series.Metric, "region")
		var its []model.SampleValue
		for _, v := range series.Values {
			its = append(its, v.Value)
		}
		all = append(all, fmt.Sprint(series.Metric, slices.Compact(its)))
	}
	slices.Sort(all)
	return all
}

// largestGap returns the longest time without a sample in any series of a metric.
func largestGap(t *testing.T, h *history, metric string) time.Duration {
	t.Helper()
	value, _, _, err := h.prometheus.api.Query(t.Context(), fmt.Sprintf("%s[%dms]", metric, h.end.Sub(h.begin).Milliseconds()), h.end)
	matrix, ok := value.(model.Matrix)
	if err != nil || !ok {
		t.Fatalf("%s: %v, %v", metric, value, err)
	}
	times := []time.Time{h.begin, h.end}
	for _, series := range matrix {
		for _, v := range series.Values {
			times = append(times, v.Timestamp.Time())
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	gap := time.Duration(0)
	for i := range len(times) - 1 {
		gap = max(gap, times[i+1].Sub(times[i]))
	}
	return gap
}
