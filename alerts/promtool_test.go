package alerts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v2"
)

// A unitTest is a single test of a *.test.yml file. promtool evaluates all rules at each
// step of a test, and most of them do not matter in most tests: without them, the tests
// take half the time. .ci/slow runs the files as they are.
type unitTest struct {
	name     string
	interval string // of the evaluations
	test     yaml.MapSlice
}

type rulesDocument struct {
	Groups []rulesGroup
}

type rulesGroup struct {
	Name     string
	Interval string `yaml:",omitempty"`
	Rules    []yaml.MapSlice
}

func parseRules(t *testing.T, text string) rulesDocument {
	t.Helper()
	var document rulesDocument
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// readUnitTests returns the tests of a file. Only those that use the rules of the first
// file of its list are supported.
func readUnitTests(t *testing.T, path string) []unitTest {
	t.Helper()
	var file struct {
		RuleFiles []string `yaml:"rule_files"`
		Interval  string   `yaml:"evaluation_interval"`
		Tests     []yaml.MapSlice
	}
	unmarshal(t, path, &file)
	if !reflect.DeepEqual(file.RuleFiles, []string{rulesFile}) {
		t.Fatalf("%s tests %q", path, file.RuleFiles)
	}
	var tests []unitTest
	for _, test := range file.Tests {
		name, _ := entry(test, "name").(string)
		tests = append(tests, unitTest{name, file.Interval, test})
	}
	return tests
}

func entry(mapping yaml.MapSlice, key string) any {
	for _, item := range mapping {
		if item.Key == key {
			return item.Value
		}
	}
	return nil
}

// inputs returns the names of the metrics of a test.
func (u *unitTest) inputs() map[string]bool {
	names := make(map[string]bool)
	series, _ := entry(u.test, "input_series").([]any)
	for _, one := range series {
		if mapping, ok := one.(yaml.MapSlice); ok {
			name, _, _ := strings.Cut(fmt.Sprint(entry(mapping, "series")), "{")
			names[name] = true
		}
	}
	return names
}

var (
	identifiers = regexp.MustCompile(`[a-zA-Z_:][\w:]*`)
	ofAllAlerts = regexp.MustCompile(`\bALERTS\b(?:\{[^}]*\})?`)
)

// rules returns the rules that can matter in the test.
func (u *unitTest) rules(t *testing.T, all rulesDocument) rulesDocument {
	t.Helper()
	results, checked := all.withResult(u.inputs()), all.checkedBy(t, u.test)
	var some rulesDocument
	for _, group := range all.Groups {
		left := rulesGroup{Name: group.Name, Interval: group.Interval}
		for i := range group.Rules {
			if rule := &group.Rules[i]; results[rule] && checked[rule] {
				left.Rules = append(left.Rules, *rule)
			}
		}
		if len(left.Rules) > 0 {
			some.Groups = append(some.Groups, left)
		}
	}
	return some
}

// each calls a function for all rules until none of the calls changes anything.
func (d rulesDocument) each(change func(*yaml.MapSlice) bool) {
	for again := true; again; {
		again = false
		for _, group := range d.Groups {
			for i := range group.Rules {
				again = change(&group.Rules[i]) || again
			}
		}
	}
}

// withResult returns the rules that can have a result if only these metrics exist: those
// that use one of them, or a metric that such a rule records, and those that look for an
// absent one.
func (d rulesDocument) withResult(metrics map[string]bool) map[*yaml.MapSlice]bool {
	results := make(map[*yaml.MapSlice]bool)
	d.each(func(rule *yaml.MapSlice) bool {
		if results[rule] || !slices.ContainsFunc(identifiers.FindAllString(fmt.Sprint(entry(*rule, "expr")), -1), func(name string) bool {
			return metrics[name] || strings.HasPrefix(name, "absent") || name == "vector"
		}) {
			return false
		}
		results[rule] = true
		if record, ok := entry(*rule, "record").(string); ok {
			metrics[record] = true
		}
		return true
	})
	return results
}

// checkedBy returns the rules that a test names, or all alerts if an expression selects
// ALERTS without a name, and the rules that those use.
func (d rulesDocument) checkedBy(t *testing.T, test yaml.MapSlice) map[*yaml.MapSlice]bool {
	t.Helper()
	named := make(map[string]bool)
	name := func(mapping yaml.MapSlice) string {
		text, err := yaml.Marshal(mapping)
		if err != nil {
			t.Fatal(err)
		}
		for _, identifier := range identifiers.FindAllString(string(text), -1) {
			named[identifier] = true
		}
		return string(text)
	}
	allAlerts := slices.ContainsFunc(ofAllAlerts.FindAllString(name(test), -1), func(selector string) bool {
		return !strings.Contains(selector, "alertname=")
	})
	checked := make(map[*yaml.MapSlice]bool)
	d.each(func(rule *yaml.MapSlice) bool {
		alert, isAlert := entry(*rule, "alert").(string)
		record, isRecord := entry(*rule, "record").(string)
		wanted := isAlert && (allAlerts || named[alert]) || isRecord && named[record]
		if checked[rule] || !wanted {
			return false
		}
		checked[rule] = true
		name(*rule)
		return true
	})
	return checked
}

// steps returns how many times an interval fits into the test.
func (u *unitTest) steps(t *testing.T, interval string) int {
	t.Helper()
	parse := func(text any) model.Duration {
		duration, err := model.ParseDuration(fmt.Sprint(text))
		if err != nil {
			t.Fatal(err)
		}
		return duration
	}
	var last model.Duration
	for _, list := range []string{"promql_expr_test", "alert_rule_test"} {
		checks, _ := entry(u.test, list).([]any)
		for _, check := range checks {
			mapping, _ := check.(yaml.MapSlice)
			last = max(last, parse(entry(mapping, "eval_time")))
		}
	}
	return int(last / parse(interval))
}

// write writes the test and its rules, and returns the path for promtool.
func (u *unitTest) write(t *testing.T, dir string, rules rulesDocument) string {
	t.Helper()
	slug := strings.Trim(regexp.MustCompile(`\W+`).ReplaceAllString(u.name, "-"), "-")
	slug = slug[:min(len(slug), 100)]
	writeYAML(t, filepath.Join(dir, slug+".rules.yml"), rules)
	path := filepath.Join(dir, slug+".test.yml")
	writeYAML(t, path, yaml.MapSlice{
		{Key: "rule_files", Value: []string{slug + ".rules.yml"}},
		{Key: "evaluation_interval", Value: u.interval},
		{Key: "tests", Value: []yaml.MapSlice{u.test}},
	})
	return path
}

func writeYAML(t *testing.T, path string, value any) {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// promtoolTest runs tests. It returns the output if one fails.
func promtoolTest(t *testing.T, promtool string, paths ...string) (output string, ok bool) {
	t.Helper()
	command := exec.CommandContext(t.Context(), promtool, append([]string{"test", "rules"}, paths...)...)
	command.Env = append(os.Environ(), "GOGC=400") // a fifth less processor time
	text, err := command.CombinedOutput()
	return string(text), err == nil
}

func TestPromtoolUnitTests(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("is about promtool")
	}
	promtool := needPromtool(t)
	rules := parseRules(t, read(t, rulesFile))
	for _, path := range unitTests(t) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var paths []string
			for _, test := range readUnitTests(t, path) {
				paths = append(paths, test.write(t, dir, test.rules(t, rules)))
			}
			if output, ok := promtoolTest(t, promtool, paths...); !ok {
				t.Errorf("%s", output)
			}
		})
	}
}
