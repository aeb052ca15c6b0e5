package alerts

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"
)

// A unitTest is a single test of a *.test.yml file. promtool evaluates all rules at each
// step of a test, and most have no result in most tests. Without those rules, the tests
// take a third of the time. .ci/slow runs the files as they are.
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
			name, _, _ := strings.Cut(entry(mapping, "series").(string), "{")
			names[name] = true
		}
	}
	return names
}

var identifiers = regexp.MustCompile(`[a-zA-Z_:][\w:]*`)

// of returns the rules that can have a result in a test with these metrics: those that
// use one of them, or a metric that such a rule records, and those that look for an
// absent one.
func (d rulesDocument) of(inputs map[string]bool) rulesDocument {
	used := make(map[*yaml.MapSlice]bool)
	for again := true; again; {
		again = false
		for _, group := range d.Groups {
			for i := range group.Rules {
				rule := &group.Rules[i]
				if used[rule] || !canResult(entry(*rule, "expr").(string), inputs) {
					continue
				}
				used[rule], again = true, true
				if record, ok := entry(*rule, "record").(string); ok {
					inputs[record] = true
				}
			}
		}
	}
	var reduced rulesDocument
	for _, group := range d.Groups {
		left := rulesGroup{Name: group.Name, Interval: group.Interval}
		for i := range group.Rules {
			if used[&group.Rules[i]] {
				left.Rules = append(left.Rules, group.Rules[i])
			}
		}
		if len(left.Rules) > 0 {
			reduced.Groups = append(reduced.Groups, left)
		}
	}
	return reduced
}

func canResult(expr string, metrics map[string]bool) bool {
	for _, name := range identifiers.FindAllString(expr, -1) {
		if metrics[name] || strings.HasPrefix(name, "absent") || name == "vector" {
			return true
		}
	}
	return false
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
				paths = append(paths, test.write(t, dir, rules.of(test.inputs())))
			}
			if output, ok := promtoolTest(t, promtool, paths...); !ok {
				t.Errorf("%s", output)
			}
		})
	}
}
