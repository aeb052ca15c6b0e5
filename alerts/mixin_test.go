package alerts

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/qlik-exporter/qlik_exporter/dashboards"
	"github.com/qlik-exporter/qlik_exporter/internal/assets"
)

// TestRulesJSON checks that rules.json is the same as the rules.
func TestRulesJSON(t *testing.T) {
	t.Parallel()
	options := Options{Job: "sense", Watchdog: true, KeepLabels: []string{"zone"}}
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal([]byte(adapted(t, rulesFile, options)), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(adapted(t, "rules.json", options)), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromYAML, fromJSON) {
		t.Error("rules.json differs from the rules")
	}
}

// TestMixin checks with jsonnet that the mixin hands on every rule and dashboard, and
// that promtool accepts its rules.
func TestMixin(t *testing.T) {
	t.Parallel()
	jsonnet, err := exec.LookPath("jsonnet")
	if err != nil {
		t.Skip("jsonnet is not in PATH (Debian: package jsonnet)")
	}
	dir := t.TempDir()
	files, err := Files(Options{Watchdog: true})
	if err != nil {
		t.Fatal(err)
	}
	forGrafana, err := dashboards.Files(dashboards.Options{})
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(files, forGrafana)
	if _, err := assets.Write(dir, files); err != nil {
		t.Fatal(err)
	}
	const program = `
local mixin = import 'mixin.libsonnet';
{
  rules: mixin.prometheusAlerts + mixin.prometheusRules,
  dashboards: mixin.grafanaDashboards,
}`
	output, err := exec.CommandContext(t.Context(), jsonnet, "--jpath", dir, "--exec", program).Output()
	if err != nil {
		t.Fatalf("jsonnet: %v", err)
	}
	var got struct {
		Rules      struct{ Groups []struct{ Name string } }
		Dashboards map[string]struct{ UID string }
	}
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	var want struct{ Groups []ruleGroup }
	unmarshal(t, filepath.Join(dir, rulesFile), &want)
	if len(got.Rules.Groups) != len(want.Groups) || len(want.Groups) < 3 {
		t.Errorf("%d groups, want %d", len(got.Rules.Groups), len(want.Groups))
	}
	for path := range forGrafana {
		if filepath.Ext(path) == ".json" && got.Dashboards[filepath.Base(path)].UID == "" {
			t.Errorf("the mixin lacks %s", path)
		}
	}
	rules, err := exec.CommandContext(t.Context(), jsonnet, "--jpath", dir, "--exec",
		"local mixin = import 'mixin.libsonnet'; mixin.prometheusRules + mixin.prometheusAlerts").Output()
	if err != nil {
		t.Fatalf("jsonnet: %v", err)
	}
	file := filepath.Join(dir, "mixin.yml")
	if err := os.WriteFile(file, rules, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, needPromtool(t), "check", "rules", "--lint=all", "--lint-fatal", file)
}
