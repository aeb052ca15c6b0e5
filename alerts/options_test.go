package alerts

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"
)

// adapted returns a file that the options have changed.
func adapted(t *testing.T, path string, options Options) string {
	t.Helper()
	files, err := Files(options)
	if err != nil {
		t.Fatal(err)
	}
	return string(files[path])
}

// TestThresholds checks that each threshold is in the lines of its alert, and that a
// new value changes only these lines.
func TestThresholds(t *testing.T) {
	t.Parallel()
	original := read(t, rulesFile)
	for _, test := range []struct {
		alert, flag, value string
		thresholds         Thresholds
	}{
		{"QlikManyUsersNearLimit", "many-users", "23", Thresholds{ManyUsers: 23}},
		{"QlikManyUsersNearLimit", "many-share", "0.07", Thresholds{ManyShare: 0.07}},
		{"QlikUserSessionBurst", "burst", "23", Thresholds{Burst: 23}},
		{"QlikSessionRunaway", "runaway-growth", "23", Thresholds{RunawayGrowth: 23}},
		{"QlikSessionRunaway", "runaway-sessions", "230", Thresholds{RunawaySessions: 230}},
		{"QlikSessionRefusalBudget", "refusal-objective", "0.999", Thresholds{RefusalObjective: 0.999}},
	} {
		if !strings.Contains(original, test.alert) {
			if _, err := Files(Options{Thresholds: test.thresholds}); err == nil || !strings.Contains(err.Error(), test.flag) {
				t.Errorf("there is no alert %s, so --%s must fail: %v", test.alert, test.flag, err)
			}
			continue
		}
		before, after := strings.Split(original, "\n"), strings.Split(adapted(t, rulesFile, Options{Thresholds: test.thresholds}), "\n")
		changed := 0
		for i := range before {
			marked := strings.HasSuffix(before[i], marker+test.flag)
			if marked != (before[i] != after[i]) || marked && !strings.Contains(after[i], test.value) {
				t.Errorf("--%s: line %d: %s\n%s", test.flag, i+1, before[i], after[i])
			}
			if marked {
				changed++
			}
		}
		if changed == 0 {
			t.Errorf("no line is marked with --%s", test.flag)
		}
	}
}

func TestSetMarked(t *testing.T) {
	t.Parallel()
	values := []marked{{"share", "0.05", "0.5"}, {"objective", "0.995", "0.9"}, {"users", "10", "20"}}
	for _, test := range []struct{ rules, want, wrong string }{
		{"x > 10 # assets --users\n  y > 10\n", "x > 20 # assets --users\n  y > 10\n", ""},
		{"x > 14.4 * (1 - 0.995) # assets --objective\n", "x > 14.4 * (1 - 0.9) # assets --objective\n", ""},
		{"x10[10m] > 10 # assets --users", "x10[10m] > 20 # assets --users", ""},
		{"# a comment about > 10 # assets --users\n", "# a comment about > 10 # assets --users\n", ""},
		{"x > 10 * 10 # assets --users\n", "", "line 1 of the rules contains 10, the default of --users, 2 times, not once"},
		{"\nx > 100 # assets --users\n", "", "line 2 of the rules contains 10, the default of --users, 0 times, not once"},
		{"x > 10 # assets --user\n", "", "there is no flag --user"},
	} {
		const places = "0.05 # assets --share\n0.995 # assets --objective\n10 # assets --users\n"
		got, err := setMarked(test.rules+"\n"+places, values)
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%q: %v, want %s", test.rules, err, test.wrong)
			}
			continue
		}
		if err != nil || !strings.HasPrefix(got, test.want) {
			t.Errorf("%q: got %q, %v", test.rules, got, err)
		}
	}
}

// TestKeepLabels checks that a label to keep reaches whatever aggregates, joins, groups
// or compares by site, and that nothing else changes.
func TestKeepLabels(t *testing.T) {
	t.Parallel()
	options := Options{KeepLabels: []string{"zone", "tenant"}, Watchdog: true}
	groupings := regexp.MustCompile(`\b(?:by|on) ?\([^)]*\bsite\b[^)]*\)`)
	lists := regexp.MustCompile(`(?:group_by|equal): \[.*\bjob\b.*\]`)
	for path, want := range map[string]*regexp.Regexp{rulesFile: groupings, alertmanagerName: lists} {
		before, after := adapted(t, path, Options{Watchdog: true}), adapted(t, path, options)
		if count := len(want.FindAllString(before, -1)); count == 0 && path != rulesFile {
			t.Errorf("%s: nothing groups by site; is the pattern correct?", path)
		}
		for _, grouping := range want.FindAllString(after, -1) {
			if !strings.Contains(grouping, "job, site, zone, tenant") {
				t.Errorf("%s: %s lacks the labels", path, grouping)
			}
		}
		for _, selector := range regexp.MustCompile(`job=%q[^"}]*`).FindAllString(after, -1) {
			if !strings.HasPrefix(selector, "job=%q,site=%q,zone=%q,tenant=%q") {
				t.Errorf("%s: %s lacks the labels", path, selector)
			}
		}
		for _, added := range []string{", zone, tenant", ",zone=%q,tenant=%q", " $labels.zone $labels.tenant"} {
			after = strings.ReplaceAll(after, added, "")
		}
		if after != before {
			t.Errorf("%s: other parts of the file have changed", path)
		}
	}
	// The two sites differ only in the label.
	promtool := needPromtool(t)
	dir := t.TempDir()
	if err := write(dir, options); err != nil {
		t.Fatal(err)
	}
	run(t, promtool, "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(dir, rulesFile))
	const test = `
rule_files: [qlik.rules.yml]
evaluation_interval: 30s
tests:
  - interval: 30s
    input_series:
      - {series: 'qlik_virtual_proxy_up{job="qlik",site="production",zone="a",tenant="x",qlik_node="n",virtual_proxy="/"}', values: '0x20'}
      - {series: 'qlik_virtual_proxy_up{job="qlik",site="production",zone="b",tenant="x",qlik_node="n",virtual_proxy="/"}', values: '1x20'}
      - {series: 'qlik_engine_up{job="qlik",site="production",zone="a",tenant="x",qlik_node="n"}', values: '0x20'}
      - {series: 'qlik_engine_up{job="qlik",site="production",zone="b",tenant="x",qlik_node="n"}', values: '1x20'}
    promql_expr_test:
      - expr: count by (zone, tenant, severity) (ALERTS{alertname="QlikEngineDown",alertstate="firing"})
        eval_time: 4m
        exp_samples: [{labels: '{zone="a",tenant="x",severity="critical"}', value: 1}]
      - expr: count by (zone, tenant) (ALERTS{alertname="QlikProxyDown",alertstate="firing"})
        eval_time: 5m
        exp_samples: [{labels: '{zone="a",tenant="x"}', value: 1}]
      - expr: count(ALERTS{alertname="QlikWatchdog",alertstate="firing",severity="none"})
        eval_time: 5m
        exp_samples: [{labels: '{}', value: 1}]
`
	file := filepath.Join(dir, "test.yml")
	if err := os.WriteFile(file, []byte(test), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, promtool, "test", "rules", file)
}

func TestCheckKeepLabel(t *testing.T) {
	t.Parallel()
	for name, right := range map[string]bool{
		"zone": true, "tenant_2": true, "job": false, "site": false, "user_id": false, "severity": false, "instance": false,
		"": false, "a-b": false, "2a": false, "__name__": false, "a b": false, "zone)": false,
	} {
		if err := CheckKeepLabel(name); (err == nil) != right {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := Files(Options{KeepLabels: []string{"job"}}); err == nil {
		t.Error("the label job was accepted")
	}
}

// TestOldAlertmanager checks that the configuration for Alertmanager 0.25 differs from
// the other one only in integrations.
func TestOldAlertmanager(t *testing.T) {
	t.Parallel()
	read := func(version string) (config map[string]any, names, kinds []string) {
		content := []byte(adapted(t, alertmanagerName, Options{Alertmanager: version}))
		var receivers struct{ Receivers []map[string]any }
		if err := errors.Join(yaml.Unmarshal(content, &config), yaml.Unmarshal(content, &receivers)); err != nil {
			t.Fatal(err)
		}
		for _, receiver := range receivers.Receivers {
			names = append(names, fmt.Sprint(receiver["name"]))
			delete(receiver, "name")
			kinds = slices.AppendSeq(kinds, maps.Keys(receiver))
		}
		delete(config, "receivers")
		return config, names, kinds
	}
	config, names, kinds := read("0.28")
	old, oldNames, oldKinds := read("0.25")
	if !reflect.DeepEqual(config, old) || !slices.Equal(names, oldNames) {
		t.Errorf("the configurations differ:\n%v %v\n%v %v", config, names, old, oldNames)
	}
	if len(names) != len(kinds) || len(names) != len(oldKinds) {
		t.Errorf("receivers %v do not have one integration each: %v, old %v", names, kinds, oldKinds)
	}
	text := adapted(t, alertmanagerName, Options{Alertmanager: "0.25"})
	for _, unknown := range []string{"msteams", " url_file"} {
		if strings.Contains(text, unknown) {
			t.Errorf("Alertmanager 0.25 does not know %s", unknown)
		}
	}
	if _, err := Files(Options{Alertmanager: "0.21"}); err == nil {
		t.Error("version 0.21 was accepted")
	}
	output, err := exec.CommandContext(t.Context(), "amtool", "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(output), "version 0.25.") {
		t.Skip("amtool 0.25 (Debian: package prometheus-alertmanager) is not in PATH")
	}
	dir := t.TempDir()
	if err := write(dir, Options{Alertmanager: "0.25"}); err != nil {
		t.Fatal(err)
	}
	run(t, "amtool", "check-config", filepath.Join(dir, alertmanagerName))
}
