package alerts

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"
)

var backtests = flag.Bool("backtests", false, "run TestBacktests, which takes minutes (.ci/slow)")

const (
	backtestSeeds = 20
	backtestStep  = 6 // hours between samples and evaluations
)

// TestBacktests judges the alerts that predict: on made-up pools, it compares them with
// what comes true, on each day of eleven months.
func TestBacktests(t *testing.T) {
	t.Parallel()
	if !*backtests {
		t.Skip("takes minutes; run with -backtests")
	}
	for _, test := range []struct {
		alert, group string
		pool         func(seed uint64, kind poolKind) pool
		kinds        []poolKind
	}{
		{"QlikLicenseSeatsRunningOut", "qlik-capacity", seats, []poolKind{small, large, smallAtRandom}},
		{"QlikTokensRunningOut", "qlik-capacity", tokens, []poolKind{small, large, smallAtRandom}},
		{"QlikAnalyzerCapacityRunningOut", "qlik-analyzer-capacity", capacity, []poolKind{small, large}},
	} {
		t.Run(test.alert, func(t *testing.T) {
			t.Parallel()
			for _, kind := range test.kinds {
				t.Run(kind.String(), func(t *testing.T) {
					t.Parallel()
					var pools []pool
					for seed := range uint64(backtestSeeds) {
						pools = append(pools, test.pool(seed, kind))
					}
					var all score
					for i, warned := range warnings(t, test.alert, test.group, pools) {
						for day := firstJudged; day <= lastJudged; day++ {
							if pools[i].judged[day] {
								all.count(warned[day], pools[i].comesTrue[day])
							}
						}
					}
					t.Logf("precision %.2f, recall %.2f: of %d days, %d warned and right, %d wrong, %d missed",
						all.precision(), all.recall(), all.days, all.right, all.wrong, all.missed)
					if kind != smallAtRandom && (all.precision() < 0.8 || all.recall() < 0.8) {
						t.Error("less than 0.8")
					}
				})
			}
		})
	}
}

// score counts days.
type score struct{ days, right, wrong, missed int }

func (s *score) count(warned, comesTrue bool) {
	s.days++
	switch {
	case warned && comesTrue:
		s.right++
	case warned:
		s.wrong++
	case comesTrue:
		s.missed++
	}
}

func (s *score) precision() float64 { return float64(s.right) / float64(s.right+s.wrong) }
func (s *score) recall() float64    { return float64(s.right) / float64(s.right+s.missed) }

var (
	failedExpression = regexp.MustCompile(`time: (\S+?),\s+exp:.*\s+got:\s*(.*)`)
	siteInSample     = regexp.MustCompile(`site="(\d+)"`)
)

// warnings returns on which days an alert of severity warning fires for each pool, in the
// evening. promtool evaluates the rules. It tells the result of an expression only if it
// is not the expected one, so an impossible one is expected.
func warnings(t *testing.T, alert, group string, pools []pool) [][]bool {
	t.Helper()
	promtool := needPromtool(t)
	var series, expressions []yaml.MapSlice
	for i, p := range pools {
		for name, values := range p.series {
			var text strings.Builder
			for at := 0; at < (lastJudged+1)*24; at += backtestStep {
				text.WriteString(strconv.FormatFloat(values[at*len(values)/poolDays/24], 'g', -1, 64) + " ")
			}
			series = append(series, yaml.MapSlice{{Key: "series", Value: fmt.Sprintf(`%s,job="qlik",site="%d"}`, name, i)}, {Key: "values", Value: text.String()}})
		}
	}
	for at := firstJudged; at <= lastJudged; at++ {
		expressions = append(expressions, yaml.MapSlice{
			{Key: "expr", Value: fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing",severity="warning"} or vector(0)`, alert)},
			{Key: "eval_time", Value: fmt.Sprintf("%dh", at*24+judgedHour)},
			{Key: "exp_samples", Value: []yaml.MapSlice{{{Key: "value", Value: -1}}}},
		})
	}
	document, err := yaml.Marshal(yaml.MapSlice{
		{Key: "rule_files", Value: []string{rulesFile}},
		{Key: "evaluation_interval", Value: fmt.Sprintf("%dh", backtestStep)},
		{Key: "tests", Value: []yaml.MapSlice{{
			{Key: "interval", Value: fmt.Sprintf("%dh", backtestStep)},
			{Key: "input_series", Value: series},
			{Key: "promql_expr_test", Value: expressions},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "backtest.test.yml")
	for name, content := range map[string][]byte{path: document, filepath.Join(dir, rulesFile): groupOfRules(t, group)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	output, _ := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput() // fails by design
	warned := make([][]bool, len(pools))
	for i := range warned {
		warned[i] = make([]bool, lastJudged+1)
	}
	results := failedExpression.FindAllStringSubmatch(string(output), -1)
	if want := lastJudged - firstJudged + 1; len(results) != want {
		t.Fatalf("promtool has evaluated %d expressions, want %d:\n%.2000s", len(results), want, output)
	}
	for n, result := range results {
		for _, site := range siteInSample.FindAllStringSubmatch(result[2], -1) {
			i, _ := strconv.Atoi(site[1])
			warned[i][firstJudged+n] = true
		}
	}
	return warned
}

// groupOfRules returns a file with one group of the rules. The others would make a test
// slow.
func groupOfRules(t *testing.T, name string) []byte {
	t.Helper()
	var rules struct {
		Groups []map[string]any `json:"groups"`
	}
	if err := json.Unmarshal([]byte(adapted(t, RulesJSON, Options{})), &rules); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		if group["name"] == name {
			content, err := json.Marshal(map[string]any{"groups": []any{group}})
			if err != nil {
				t.Fatal(err)
			}
			return content
		}
	}
	t.Fatalf("the rules lack the group %s", name)
	return nil
}
