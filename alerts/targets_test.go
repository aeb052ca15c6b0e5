package alerts

import (
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"
)

var otherTargets = flag.Bool("targets", false, "run TestTargets, which takes minutes (.ci/slow)")

// Labels of a target, as service discovery and relabeling add them. The labels exported_*
// are what Prometheus makes of the same names in a response unless it honors them.
const (
	targetLabelsA = `pod="a-1",node="k1",zone="z1",host="h1"`
	targetLabelsB = `pod="b-1",node="k2",zone="z2",host="h2",exported_node="x",exported_host="y"`
)

// byTarget are tests whose result depends on the target: the text names the exporter, or a
// certificate that the other exporter showed counts for an hour.
var byTarget = map[string]bool{"a configuration file is invalid": true, "certificates expire": true}

// TestTargets runs the unit tests again with two exporters whose targets differ in every
// label, and with an exporter that moves to another node in the middle of the test.
func TestTargets(t *testing.T) {
	t.Parallel()
	if !*otherTargets {
		t.Skip("takes minutes; run with -targets")
	}
	promtool := needPromtool(t)
	rules := parseRules(t, read(t, rulesFile))
	for _, path := range unitTests(t) {
		for _, test := range readUnitTests(t, path) {
			if byTarget[test.name] {
				continue
			}
			t.Run(path+": "+test.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				var paths []string
				for way, retarget := range map[string]func(name string, values []string) yaml.MapSlice{"two": twice, "moves": moved(test.steps(t, fmt.Sprint(entry(test.test, "interval"))))} {
					if way == "moves" && slices.ContainsFunc(slices.Collect(maps.Keys(test.inputs())), func(name string) bool { return strings.HasSuffix(name, "_total") }) {
						continue // counters begin again at zero where an exporter starts
					}
					other := test
					other.name = way + " " + test.name
					other.test = retargeted(t, test.test, retarget)
					paths = append(paths, other.write(t, dir, other.rules(t, rules)))
				}
				if output, ok := promtoolTest(t, promtool, paths...); !ok {
					t.Errorf("%s", output)
				}
			})
		}
	}
}

// retargeted returns the test with other input series. The function returns the series,
// by name, that replace a series.
func retargeted(t *testing.T, test yaml.MapSlice, replace func(name string, values []string) yaml.MapSlice) yaml.MapSlice {
	t.Helper()
	var series []any
	inputs, _ := entry(test, "input_series").([]any)
	for _, one := range inputs {
		input, _ := one.(yaml.MapSlice)
		for _, item := range replace(fmt.Sprint(entry(input, "series")), expanded(t, fmt.Sprint(entry(input, "values")))) {
			series = append(series, yaml.MapSlice{{Key: "series", Value: item.Key}, {Key: "values", Value: item.Value}})
		}
	}
	other := slices.Clone(test)
	for i := range other {
		if other[i].Key == "input_series" {
			other[i].Value = series
		}
	}
	return other
}

func twice(name string, values []string) yaml.MapSlice {
	all := strings.Join(values, " ")
	return yaml.MapSlice{{Key: labeled(name, targetLabelsA), Value: all}, {Key: labeled(otherInstance(name), targetLabelsB), Value: all}}
}

// moved returns a function that ends a series in the middle of a test, and lets another
// one go on.
func moved(samples int) func(name string, values []string) yaml.MapSlice {
	return func(name string, values []string) yaml.MapSlice {
		at := min(samples/2, len(values))
		before := append(slices.Clone(values[:at]), "stale")
		after := append(slices.Repeat([]string{"_"}, at), values[at:]...)
		return yaml.MapSlice{
			{Key: labeled(name, targetLabelsA), Value: strings.Join(before, " ")},
			{Key: labeled(otherInstance(name), targetLabelsB), Value: strings.Join(after, " ")},
		}
	}
}

var ofTargets = regexp.MustCompile(`\b(?:pod|node|zone|host|exported_node)="[^"]*",?`)

// labeled returns a series with labels of a target, instead of those that it has.
func labeled(series, labels string) string {
	if name, rest, found := strings.Cut(series, "{"); found {
		rest = ofTargets.ReplaceAllString(rest, "")
		return name + "{" + labels + "," + rest
	}
	return series + "{" + labels + "}"
}

func otherInstance(series string) string {
	if strings.Contains(series, `instance="`) {
		return strings.Replace(series, `instance="`, `instance="other-`, 1)
	}
	return strings.Replace(series, "{", `{instance="other",`, 1)
}

// expanded returns the samples of a series in the notation of promtool.
func expanded(t *testing.T, notation string) []string {
	t.Helper()
	var all []string
	for item := range strings.FieldsSeq(notation) {
		value, count, found := strings.Cut(item, "x")
		if !found {
			all = append(all, item)
			continue
		}
		times, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("%s: %v", item, err)
		}
		if value == "_" {
			all = append(all, slices.Repeat([]string{"_"}, times)...)
			continue
		}
		step := ""
		if sign := strings.LastIndexAny(value, "+-"); sign > 0 {
			value, step = value[:sign], value[sign:]
		}
		first, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%s: %v", item, err)
		}
		by := 0.0
		if step != "" {
			if by, err = strconv.ParseFloat(step, 64); err != nil {
				t.Fatalf("%s: %v", item, err)
			}
		}
		for i := range times + 1 {
			all = append(all, strconv.FormatFloat(first+float64(i)*by, 'f', -1, 64))
		}
	}
	return all
}

// TestLabelsOfTargets checks that no label of the exporter has a name that targets
// commonly have. Prometheus would rename one of the two, depending on honor_labels.
func TestLabelsOfTargets(t *testing.T) {
	t.Parallel()
	common := []string{
		"job", "instance", "site", "host", "hostname", "node", "nodename", "zone", "region", "datacenter", "cluster", "env", "environment", "namespace", "pod",
		"container", "service", "endpoint", "app", "team", "monitor", "replica", "prometheus",
	}
	paths, err := filepath.Glob(filepath.Join("..", "collector", "testdata", "*.prom"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no expositions: %v", err)
	}
	labels := regexp.MustCompile(`[{,](\w+)="`)
	for _, path := range paths {
		for _, label := range labels.FindAllStringSubmatch(read(t, path), -1) {
			if slices.Contains(common, label[1]) {
				t.Errorf("%s has the label %s", path, label[1])
			}
		}
	}
}
