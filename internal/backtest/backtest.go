// Package backtest judges rules that predict: it lets promtool evaluate them on
// made-up series, and compares what they predict with what comes true. Only tests use
// it.
package backtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v2"

	"github.com/qlik-exporter/qlik_exporter/alerts"
)

// Seeds is the number of made-up pasts of each kind.
const Seeds = 20

// Rules returns a file with some of the shipped rules: those whose record or alert matches
// a pattern. All rules would make a test slow.
func Rules(t *testing.T, names string) []byte {
	t.Helper()
	files, err := alerts.Files(alerts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	type group struct {
		Name  string           `json:"name"`
		Rules []map[string]any `json:"rules"`
	}
	var all, some struct {
		Groups []group `json:"groups"`
	}
	if err := json.Unmarshal(files[alerts.RulesJSON], &all); err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("^(?:" + names + ")$")
	for _, g := range all.Groups {
		kept := group{Name: g.Name}
		for _, rule := range g.Rules {
			for _, key := range []string{"record", "alert"} {
				if name, ok := rule[key].(string); ok && named.MatchString(name) {
					kept.Rules = append(kept.Rules, rule)
				}
			}
		}
		if len(kept.Rules) > 0 {
			some.Groups = append(some.Groups, kept)
		}
	}
	content, err := json.Marshal(some)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Evaluation is what promtool evaluates. Time 0 is the start of 1970, a Thursday.
type Evaluation struct {
	Rules  []byte
	Every  time.Duration        // time between evaluations of the rules
	Series map[string][]float64 // samples from time 0 on; the names are metrics with labels
	Step   time.Duration        // time between samples
	Query  string               // its result is returned
	At     []time.Duration      // for each of these times
}

// Result has the values of samples by metric, and by the other labels as promtool writes
// them.
type Result map[string]map[string]float64

var (
	failed = regexp.MustCompile(`time: \S+?,\s+exp:.*\s+got:(.*)`)
	sample = regexp.MustCompile(`\{__name__="([^"]*)", ([^{}]*)\} ([^\s,]+)`)
)

// Run returns the results of the query. It skips the test if there is no promtool.
func (e *Evaluation) Run(t *testing.T) []Result {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	var series, queries []yaml.MapSlice
	for name, values := range e.Series {
		var text strings.Builder
		for _, value := range values {
			text.WriteString(strconv.FormatFloat(value, 'g', -1, 64) + " ")
		}
		series = append(series, yaml.MapSlice{{Key: "series", Value: name}, {Key: "values", Value: text.String()}})
	}
	for _, at := range e.At {
		// promtool tells a result only if it is not the expected one, so an impossible
		// one is expected.
		queries = append(queries, yaml.MapSlice{
			{Key: "expr", Value: e.Query},
			{Key: "eval_time", Value: fmt.Sprintf("%ds", int(at.Seconds()))},
			{Key: "exp_samples", Value: []yaml.MapSlice{{{Key: "value", Value: -1}}}},
		})
	}
	document, err := yaml.Marshal(yaml.MapSlice{
		{Key: "rule_files", Value: []string{"rules.json"}},
		{Key: "evaluation_interval", Value: fmt.Sprintf("%ds", int(e.Every.Seconds()))},
		{Key: "tests", Value: []yaml.MapSlice{{
			{Key: "interval", Value: fmt.Sprintf("%ds", int(e.Step.Seconds()))},
			{Key: "input_series", Value: series},
			{Key: "promql_expr_test", Value: queries},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "backtest.test.yml")
	for name, content := range map[string][]byte{path: document, filepath.Join(dir, "rules.json"): e.Rules} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	output, _ := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput() //nolint:gosec // the promtool in PATH; fails by design
	blocks := failed.FindAllStringSubmatch(string(output), -1)
	if len(blocks) != len(e.At) {
		t.Fatalf("promtool has evaluated %d queries, want %d:\n%.2000s", len(blocks), len(e.At), output)
	}
	results := make([]Result, len(e.At))
	for i, block := range blocks {
		results[i] = make(Result)
		for _, match := range sample.FindAllStringSubmatch(block[1], -1) {
			name, labels := match[1], match[2]
			if results[i][name] == nil {
				results[i][name] = make(map[string]float64)
			}
			if results[i][name][labels], err = strconv.ParseFloat(match[3], 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return results
}
