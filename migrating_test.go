package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// butlerHealth is the answer of an engine. Each number occurs once.
const butlerHealth = `{
	"version": "12.2310.0", "started": "20260302T103522.000+0100",
	"mem": {"committed": 207.5, "allocated": 1001.5, "free": 16376},
	"cpu": {"total": 12},
	"session": {"active": 3, "total": 8},
	"apps": {"active_docs": ["a"], "loaded_docs": ["a", "b"], "in_memory_docs": ["a", "b", "c", "d"], "calls": 900, "selections": 44},
	"users": {"active": 5, "total": 7},
	"cache": {"hits": 30, "lookups": 40, "added": 10, "replaced": 6, "bytes_added": 5000},
	"saturated": true
}`

// butlerMetrics are the metrics of Butler SOS, with the values that it makes of
// butlerHealth and of two sessions on a virtual proxy.
var butlerMetrics = map[string]float64{
	"butlersos_apps_calls":              900,
	"butlersos_apps_selections":         44,
	"butlersos_apps_activedocs_total":   1,
	"butlersos_apps_inmemorydocs_total": 4,
	"butlersos_apps_loadeddocs_total":   2,
	"butlersos_cache_added":             10,
	"butlersos_cache_bytes_added":       5000,
	"butlersos_cache_hits":              30,
	"butlersos_cache_lookups":           40,
	"butlersos_cache_replaced":          6,
	"butlersos_cache_saturated":         1,
	"butlersos_cpu_total":               12,
	"butlersos_mem_committed":           207.5 * 1048576,
	"butlersos_mem_allocated":           1001.5 * 1048576,
	"butlersos_mem_free":                16376 * 1048576,
	"butlersos_session_active":          3,
	"butlersos_session_total":           8,
	"butlersos_users_active":            5,
	"butlersos_users_total":             7,
	"butlersos_engine_metadata":         1,
	"butlersos_user_session_total":      2,
}

// TestMigrating checks that docs/migrating.md has a row for every metric of Butler SOS, and
// that its expression, evaluated by Prometheus, is the number that Butler SOS has. It also
// evaluates the comparison and the recording rule of the page.
func TestMigrating(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("docs", "migrating.md"))
	if err != nil {
		t.Fatal(err)
	}
	expressions := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `(butlersos_\\w+)` \\| [^|]+ \\| `([^`|]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		if _, known := butlerMetrics[row[1]]; !known {
			t.Errorf("Butler SOS has no %s", row[1])
		}
		expressions[row[1]] = row[2]
	}

	site, flags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}})
	for _, device := range []string{"pc", "phone"} {
		if _, err := site.Login("ACME", "anna", device, "", "qlik1"); err != nil {
			t.Fatal(err)
		}
	}
	site.SetEngineAnswer("qlik1", []byte(butlerHealth))
	_, port, _ := net.SplitHostPort(site.EngineAddress("qlik1"))
	families := scrape(t, startExporter(t, append(flags, "--collector.engine", "--qlik.engine-port="+port)...))
	type entries = map[string]any
	var series, checks []entries
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			if !strings.HasPrefix(name, "qlik_") || metric.GetHistogram() != nil {
				continue
			}
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			value := metric.GetGauge().GetValue() + metric.GetCounter().GetValue() // one of them is 0
			series = append(series, entries{"series": name + "{" + strings.Join(labels, ",") + "}", "values": fmt.Sprint(value)})
		}
	}
	for name, value := range butlerMetrics {
		expression, ok := expressions[name]
		if !ok {
			t.Errorf("docs/migrating.md has no row for %s", name)
			continue
		}
		checks = append(checks, entries{"expr": "max(" + expression + ")", "eval_time": "0s", "exp_samples": []entries{{"labels": "{}", "value": value}}})
	}
	comparison := regexp.MustCompile("(?s)```promql\n(.*?)```").FindStringSubmatch(string(page))
	rules := regexp.MustCompile("(?s)```yaml\n(groups:.*?)```").FindStringSubmatch(string(page))
	if comparison == nil || rules == nil {
		t.Fatal("the page has no comparison or no recording rule")
	}
	series = append(series, entries{"series": `butlersos_session_total{host="qlik1"}`, "values": "20"})
	checks = append(checks,
		entries{"expr": comparison[1], "eval_time": "0s", "exp_samples": []entries{{"labels": `{host="qlik1"}`, "value": 20 - 8}}},
		entries{"expr": "butlersos_cpu_total", "eval_time": "0s", "exp_samples": []entries{{"labels": `butlersos_cpu_total{host="qlik1",qlik_node="qlik1"}`, "value": butlerMetrics["butlersos_cpu_total"]}}})
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not in PATH (Debian: package prometheus), so the expressions were not evaluated")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(rules[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	test, err := json.Marshal(entries{"rule_files": []string{"rules.yml"}, "tests": []entries{{"interval": "1m", "input_series": series, "promql_expr_test": checks}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "test.yml") // JSON is YAML
	if err := os.WriteFile(path, test, 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
