package alerts

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"text/template"
	"time"

	"go.yaml.in/yaml/v2"
)

// provisioned is the format that Grafana documents for files in provisioning/alerting.
type provisioned struct {
	APIVersion int `yaml:"apiVersion"`
	Groups     []struct {
		OrgID                  int    `yaml:"orgId"`
		Name, Folder, Interval string // required
		Rules                  []provisionedRule
	}
}

type provisionedRule struct {
	UID, Title, Condition string // required, as are Data and For
	Data                  []struct {
		RefID             string                 `yaml:"refId"`
		RelativeTimeRange struct{ From, To int } `yaml:"relativeTimeRange"`
		DatasourceUID     string                 `yaml:"datasourceUid"`
		Model             provisionedModel
	}
	For                 string
	NoDataState         string `yaml:"noDataState"`
	ExecErrState        string `yaml:"execErrState"`
	MissingSeries       int    `yaml:"missing_series_evals_to_resolve"`
	Labels, Annotations map[string]string
	IsPaused            *bool `yaml:"isPaused"`
}

type provisionedModel struct {
	RefID         string `yaml:"refId"`
	Datasource    struct{ Type, UID string }
	Expr          string // of Prometheus
	Instant       bool
	Range         bool
	IntervalMS    int    `yaml:"intervalMs"`
	MaxDataPoints int    `yaml:"maxDataPoints"`
	Type          string // of expressions
	Expression    string
	Reducer       string
}

func readProvisioned(t *testing.T, options Options) (groups []string, rules []provisionedRule) {
	t.Helper()
	var file provisioned
	if err := yaml.UnmarshalStrict([]byte(adapted(t, GrafanaAlerts, options)), &file); err != nil {
		t.Fatal(err)
	}
	if file.APIVersion != 1 {
		t.Errorf("the version is %d", file.APIVersion)
	}
	for _, group := range file.Groups {
		if group.OrgID != 1 || group.Folder == "" || len(group.Rules) == 0 {
			t.Errorf("group %s: organization %d, folder %q, %d rules", group.Name, group.OrgID, group.Folder, len(group.Rules))
		}
		if interval, err := time.ParseDuration(group.Interval); err != nil || interval < 10*time.Second || interval%(10*time.Second) != 0 {
			t.Errorf("group %s: interval %q is not a multiple of ten seconds", group.Name, group.Interval)
		}
		groups = append(groups, group.Name)
		rules = append(rules, group.Rules...)
	}
	return groups, rules
}

// TestGrafanaAlerts checks that the file for Grafana has the format that Grafana
// documents, and each alert of the rules, with all options.
func TestGrafanaAlerts(t *testing.T) {
	t.Parallel()
	uids := regexp.MustCompile(`^[a-zA-Z0-9_-]{1,40}$`)
	for _, options := range []Options{
		{},
		{ReachedSeverity: "warning"}, // so that two forms of an alert have the same severity
		{
			RunbookURL: "https://wiki.acme.test/qlik", DashboardURL: "https://graphs.acme.test/", SessionsURL: "https://qlik.acme.test/sessions",
			Job: `a "job" of ours`, KeepLabels: []string{"tenant"}, Thresholds: Thresholds{Burst: 23}, Watchdog: true, DataSource: "of-ours",
		},
	} {
		groups, rules := readProvisioned(t, options)
		var alerts []rule
		var file struct{ Groups []ruleGroup }
		if err := yaml.Unmarshal([]byte(adapted(t, rulesFile, options)), &file); err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Groups {
			for _, r := range group.Rules {
				if r.Alert != "" {
					alerts = append(alerts, r)
				}
			}
		}
		if len(alerts) != len(rules) {
			t.Fatalf("%d alerts for Grafana, the rules have %d", len(rules), len(alerts))
		}
		names := make(map[string]bool) // of groups, titles and UIDs
		for _, name := range groups {
			if names["group "+name] {
				t.Errorf("two groups are called %s", name)
			}
			names["group "+name] = true
		}
		source := options.DataSource
		if source == "" {
			source = DefaultDataSource
		}
		for i, r := range rules {
			if names["title "+r.Title] || names["UID "+r.UID] {
				t.Errorf("title %q or UID %q is not unique", r.Title, r.UID)
			}
			names["title "+r.Title], names["UID "+r.UID] = true, true
			if !uids.MatchString(r.UID) {
				t.Errorf("Grafana refuses the UID %q", r.UID)
			}
			checkProvisioned(t, &r, &alerts[i], source)
		}
	}
	if _, err := Files(Options{DataSource: "a name with blanks"}); err == nil {
		t.Error("a name is not a UID")
	}
}

func checkProvisioned(t *testing.T, got *provisionedRule, alert *rule, source string) {
	t.Helper()
	if name, _, _ := strings.Cut(got.Title, " "); name != alert.Alert {
		t.Fatalf("%s is where %s should be", got.Title, alert.Alert)
	}
	if alert.For == nil && got.For != "0s" || alert.For != nil && got.For != *alert.For {
		t.Errorf("%s: for %q", got.Title, got.For)
	}
	if got.NoDataState != "OK" || got.ExecErrState != "Error" || got.MissingSeries != 1 || got.IsPaused == nil || *got.IsPaused {
		t.Errorf("%s: states %q, %q, %d, paused %v", got.Title, got.NoDataState, got.ExecErrState, got.MissingSeries, got.IsPaused)
	}
	if !maps.Equal(got.Labels, alert.Labels) {
		t.Errorf("%s: labels %v, want %v", got.Title, got.Labels, alert.Labels)
	}
	for name, text := range alert.Annotations {
		if _, there := got.Annotations[name]; there == (len(templateQueries(t, text)) > 0) {
			t.Errorf("%s: annotation %s is in the file: %t", got.Title, name, there)
		}
	}
	for name, text := range got.Annotations {
		sameText(t, got.Title+" "+name, alert.Annotations[name], text)
	}
	if len(got.Data) != 3 || got.Condition != "C" {
		t.Fatalf("%s: condition %s of %d queries", got.Title, got.Condition, len(got.Data))
	}
	for i, uid := range []string{source, "__expr__", "__expr__"} {
		query := got.Data[i]
		if refID := string(rune('A' + i)); query.RefID != refID || query.Model.RefID != refID || query.DatasourceUID != uid || query.Model.Datasource.UID != uid {
			t.Errorf("%s: query %s is %+v", got.Title, refID, query)
		}
	}
	query, value, condition := got.Data[0], got.Data[1].Model, got.Data[2].Model
	if model := query.Model; model.Expr != strings.TrimSpace(alert.Expr) || !model.Instant || model.Range || model.Datasource.Type != "prometheus" {
		t.Errorf("%s: query %+v, want %s", got.Title, model, alert.Expr)
	}
	if times := query.RelativeTimeRange; times.To != grafanaDelay || times.From <= times.To {
		t.Errorf("%s: time range %+v", got.Title, times)
	}
	if value.Type != "reduce" || value.Expression != "A" || value.Reducer != "last" || condition.Type != "math" || condition.Expression != anyResult {
		t.Errorf("%s: value %+v, condition %+v", got.Title, value, condition)
	}
}

// sameText checks that Grafana writes what Prometheus writes, for labels and a value.
// Unlike in Prometheus, in Grafana an absent label is no value, and $value is a text.
func sameText(t *testing.T, name, ofPrometheus, ofGrafana string) {
	t.Helper()
	type value struct{ Value float64 }
	functions := template.FuncMap{
		"toTime": func(seconds float64) time.Time { return time.Unix(int64(seconds), 0).UTC() },
	}
	for _, function := range []string{"humanize", "humanizePercentage", "humanizeDuration"} {
		functions[function] = func(value float64) string { return fmt.Sprint(function, value) }
	}
	parse := func(option, text string) func(data any) string {
		parsed, err := template.New(name).Option(option).Funcs(functions).Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return func(data any) string {
			var out strings.Builder
			if err := parsed.Execute(&out, data); err != nil {
				t.Fatal(err)
			}
			return out.String()
		}
	}
	prometheus := parse("missingkey=zero", "{{ $labels := .Labels }}{{ $value := .Value }}"+ofPrometheus)
	grafana := parse("missingkey=invalid", "{{ $labels := .Labels }}{{ $values := .Values }}{{ $value := .Value }}"+ofGrafana)
	labels := map[string]string{"job": "qlik & co"}
	for _, used := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(ofPrometheus, -1) {
		labels[used[1]] = "the " + used[1]
	}
	for _, absent := range []string{"none", "site"} {
		delete(labels, absent)
		for _, number := range []float64{-3, 0, 7} {
			want := prometheus(map[string]any{"Labels": labels, "Value": number})
			got := grafana(map[string]any{"Labels": labels, "Values": map[string]value{"B": {number}}, "Value": "[ var='B' ]"})
			if got != want {
				t.Errorf("%s without %s, %g:\ngot  %s\nwant %s", name, absent, number, got, want)
			}
		}
	}
}

// TestGrafanaText checks that the texts use nothing that Grafana lacks.
func TestGrafanaText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{{ $value }} of {{ $values }}":                            "{{ $values.B.Value }} of {{ $values }}",
		"{{ humanize $value }}":                                    "{{ humanize $values.B.Value }}",
		"x={{ $labels.site | urlquery }}":                          "x={{ with $labels.site }}{{ . | urlquery }}{{ end }}",
		`{{ range query "up" }}{{ . }}{{ end }}`:                   "",
		`{{ with printf "up{job=%q}" "x" | query }}x{{ end }}`:     "",
		`{{ "up" | query | first | value }}`:                       "",
		`no {{ $labels.user_directory }}\{{ $labels.user_id }} $1`: `no {{ $labels.user_directory }}\{{ $labels.user_id }} $1`,
	} {
		if got, err := grafanaText(text); (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
}
