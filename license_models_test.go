package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v2"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestLicenseModels checks, for every kind of license that the simulated site sells, that
// metrics and why predict the next login as the site decides it, and which alert a user
// without a free slot causes.
func TestLicenseModels(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts dozens of processes")
	}
	rules, err := filepath.Abs(filepath.Join("alerts", "qlik.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	lab := func(id string, license qliktest.License) qliktest.User {
		return qliktest.User{Directory: "LAB", ID: id, License: license}
	}
	for _, test := range []struct {
		name     string
		config   qliktest.Config
		license  string // of the user full
		severity string // of QlikUserSessionLimitReached about the user full; "" if there is none
		noLimit  bool   // the site does not apply the limit, which nobody can know
	}{
		{"professional", qliktest.Config{Users: []qliktest.User{lab("full", qliktest.Professional), lab("free", qliktest.Analyzer)}}, "professional", "critical", false},
		{"analyzer", qliktest.Config{Users: []qliktest.User{lab("full", qliktest.Analyzer), lab("free", qliktest.Professional)}}, "analyzer", "critical", false},
		{"capacity", qliktest.Config{CapacityMinutes: 600}, "analyzer_capacity", "warning", false},
		{"capacity without limit", qliktest.Config{CapacityMinutes: 600, NoLimitForCapacity: true}, "analyzer_capacity", "warning", true},
		{"capacity for five units", qliktest.Config{CapacityMinutes: 600, CapacityUsed: 540}, "analyzer_capacity", "warning", false},
		{"capacity and analyzer", qliktest.Config{CapacityMinutes: 600, Users: []qliktest.User{lab("full", qliktest.Analyzer)}}, "analyzer", "critical", false},
		{"user access", qliktest.Config{Tokens: 20, Users: []qliktest.User{lab("full", qliktest.UserAccess), lab("free", qliktest.UserAccess)}}, "user", "critical", false},
		{"login access", qliktest.Config{Tokens: 20, LoginAccessTokens: 2}, "login", "critical", false},
		{"cores", qliktest.Config{Cores: 8}, "unknown", "critical", false},
		{"cores without limit", qliktest.Config{Cores: 8, NoLimitForCores: true}, "unknown", "critical", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.config.Nodes = []qliktest.Node{{Name: "qlik1"}}
			site, flags := startSite(t, test.config)
			for id, sessions := range map[string]int{"full": 5, "free": 2} {
				for i := range sessions {
					if _, err := site.Login("LAB", id, fmt.Sprint("device", i), "", "qlik1"); err != nil {
						t.Fatal(err)
					}
				}
			}
			metrics := startExporter(t, flags...)
			families := scrape(t, metrics)
			if got := labelOf(families["qlik_user_license_info"], "full", "license"); got != test.license {
				t.Errorf("license %s, want %s", got, test.license)
			}
			for _, id := range []string{"full", "free"} {
				opens := site.CanOpen("LAB", id)
				if opens != (id == "free" || test.noLimit) {
					t.Errorf("the site says %t to %s", opens, id)
				}
				want := opens && (!test.noLimit || id != "full")
				if got := gaugeOf(families["qlik_user_effective_headroom"], id) > 0; got != want {
					t.Errorf("%s: a free slot is %t, want %t", id, got, want)
				}
				why := whyOf(t, flags, strings.TrimSuffix(metrics, "/metrics"), id)
				unclear := test.severity == "warning" && id == "full"
				if unclear != (why.CanLogIn == nil) || !unclear && *why.CanLogIn != want {
					t.Errorf("%s: why says %q", id, why.Verdict)
				}
			}
			if promtool, err := exec.LookPath("promtool"); err == nil {
				checkReached(t, promtool, rules, families, test.severity)
			}
		})
	}
}

func valueOf(metric *dto.Metric, label string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == label {
			return pair.GetValue()
		}
	}
	return ""
}

func labelOf(family *dto.MetricFamily, user, label string) string {
	for _, metric := range family.GetMetric() {
		if valueOf(metric, "user_id") == user {
			return valueOf(metric, label)
		}
	}
	return ""
}

func gaugeOf(family *dto.MetricFamily, user string) float64 {
	for _, metric := range family.GetMetric() {
		if valueOf(metric, "user_id") == user {
			return metric.GetGauge().GetValue()
		}
	}
	return -1
}

// loginAnswer is the part of the answer of why about the next login.
type loginAnswer struct {
	CanLogIn *bool  `json:"can_log_in"`
	Verdict  string `json:"verdict"`
}

func whyOf(t *testing.T, flags []string, exporter, user string) loginAnswer {
	t.Helper()
	asking := command(t, append([]string{"why", `LAB\` + user, "--output=json", "--exporter-url=" + exporter}, flags...)...)
	var said bytes.Buffer
	asking.Stderr = &said
	output, err := asking.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &said)
	}
	var why loginAnswer
	if err := json.Unmarshal(output, &why); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return why
}

// checkReached evaluates the rules over two minutes of the metrics of a scrape.
func checkReached(t *testing.T, promtool, rules string, families map[string]*dto.MetricFamily, severity string) {
	t.Helper()
	var input []yaml.MapSlice
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			if metric.Gauge == nil || !strings.HasPrefix(name, "qlik_") {
				continue
			}
			labels := []string{`job="qlik"`}
			for _, pair := range metric.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", pair.GetName(), pair.GetValue()))
			}
			input = append(input, yaml.MapSlice{
				{Key: "series", Value: name + "{" + strings.Join(labels, ",") + "}"},
				{Key: "values", Value: fmt.Sprintf("%gx8", metric.GetGauge().GetValue())},
			})
		}
	}
	expected := []yaml.MapSlice{{{Key: "labels", Value: fmt.Sprintf(`{severity=%q,user_id="full"}`, severity)}, {Key: "value", Value: 1}}}
	document, err := yaml.Marshal(yaml.MapSlice{
		{Key: "rule_files", Value: []string{rules}},
		{Key: "evaluation_interval", Value: "15s"},
		{Key: "tests", Value: []yaml.MapSlice{{
			{Key: "interval", Value: "15s"},
			{Key: "input_series", Value: input},
			{Key: "promql_expr_test", Value: []yaml.MapSlice{{
				{Key: "expr", Value: `count by (severity, user_id) (ALERTS{alertname="QlikUserSessionLimitReached",alertstate="firing"})`},
				{Key: "eval_time", Value: "2m"},
				{Key: "exp_samples", Value: expected},
			}}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.test.yml")
	if err := os.WriteFile(path, document, 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput()
	if err != nil {
		t.Errorf("promtool: %v\n%s", err, output)
	}
}
