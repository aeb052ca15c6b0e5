package alerts

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// GrafanaAlerts is the file with the alerts for Grafana's own alerting.
const GrafanaAlerts = "provisioning/alerting/qlik.yml"

// DefaultDataSource is the UID of the data source in provisioning/datasources.
const DefaultDataSource = "prometheus"

const grafanaHeader = `# The alerts of qlik.rules.yml for Grafana's own alerting, if you have no Alertmanager.
# With Alertmanager, do not install this file: people would get every message twice.
# Put it into provisioning/alerting in Grafana's configuration folder, and load
# qlik.rules.yml in Prometheus: these alerts need its recording rules.
#
# The flags of "qlik_exporter assets" set thresholds, addresses, and the UID of the data
# source in both files. Edits of qlik.rules.yml must be repeated here.
`

// Grafana queries what Prometheus knew 10 seconds ago. Prometheus needs a moment to
// evaluate a group of rules. A query in that moment would see results of two evaluations.
const (
	grafanaDelay    = 10
	grafanaLookBack = 600
)

// grafanaInterval is how often Grafana evaluates groups without an interval of their own.
const grafanaInterval = "30s"

// grafanaFolder is the folder of the dashboards.
const grafanaFolder = "Qlik Sense"

// anyResult is a condition of Grafana that is true for each series, whatever its value.
const anyResult = "is_number($B) || is_nan($B) || is_inf($B)"

// ruleGroups is what the file for Grafana needs of the rules.
type ruleGroups struct {
	Groups []struct {
		Name, Interval string
		Rules          []alertingRule
	}
}

type alertingRule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

// The types below are the format of Grafana's provisioning files.
type (
	grafanaFile struct {
		APIVersion int            `yaml:"apiVersion"`
		Groups     []grafanaGroup `yaml:"groups"`
	}
	grafanaGroup struct {
		OrgID    int           `yaml:"orgId"`
		Name     string        `yaml:"name"`
		Folder   string        `yaml:"folder"`
		Interval string        `yaml:"interval"`
		Rules    []grafanaRule `yaml:"rules"`
	}
	grafanaRule struct {
		UID          string            `yaml:"uid"`
		Title        string            `yaml:"title"`
		Condition    string            `yaml:"condition"`
		Data         []grafanaQuery    `yaml:"data"`
		For          string            `yaml:"for"`
		NoDataState  string            `yaml:"noDataState"`
		ExecErrState string            `yaml:"execErrState"`
		Missing      int               `yaml:"missing_series_evals_to_resolve"`
		Labels       map[string]string `yaml:"labels"`
		Annotations  map[string]string `yaml:"annotations"`
		IsPaused     bool              `yaml:"isPaused"`
	}
	grafanaQuery struct {
		RefID         string            `yaml:"refId"`
		TimeRange     *grafanaTimeRange `yaml:"relativeTimeRange,omitempty"`
		DataSourceUID string            `yaml:"datasourceUid"`
		Model         map[string]any    `yaml:"model"`
	}
	grafanaTimeRange struct {
		From int `yaml:"from"`
		To   int `yaml:"to"`
	}
)

var dataSourceUID = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,40}$`)

// CheckDataSource accepts UIDs of data sources in Grafana.
func CheckDataSource(uid string) error {
	if !dataSourceUID.MatchString(uid) {
		return fmt.Errorf("%q is not the UID of a data source in Grafana: up to 40 letters, digits, hyphens and underscores", uid)
	}
	return nil
}

// grafanaAlerts returns the alerts of the rules in the format of Grafana. Recording rules
// stay in Prometheus.
func grafanaAlerts(rules []byte, dataSource string) ([]byte, error) {
	var from ruleGroups
	if err := yaml.Unmarshal(rules, &from); err != nil {
		return nil, err
	}
	file := grafanaFile{APIVersion: 1}
	forms := make(map[string]int) // of alerts with the same name
	for _, group := range from.Groups {
		to := grafanaGroup{OrgID: 1, Name: group.Name, Folder: grafanaFolder, Interval: group.Interval}
		if to.Interval == "" {
			to.Interval = grafanaInterval
		}
		for _, rule := range group.Rules {
			if rule.Alert == "" {
				continue
			}
			forms[rule.Alert]++
			alert, err := rule.inGrafana(forms[rule.Alert], dataSource)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", rule.Alert, err)
			}
			to.Rules = append(to.Rules, alert)
		}
		if len(to.Rules) > 0 {
			file.Groups = append(file.Groups, to)
		}
	}
	text := bytes.NewBufferString(grafanaHeader)
	encoder := yaml.NewEncoder(text)
	encoder.SetIndent(2)
	err := encoder.Encode(file)
	return text.Bytes(), err
}

// inGrafana returns the rule for Grafana. It is the nth of its name.
func (r alertingRule) inGrafana(nth int, dataSource string) (grafanaRule, error) {
	annotations := make(map[string]string, len(r.Annotations))
	for name, text := range r.Annotations {
		translated, err := grafanaText(text)
		switch {
		case err == nil:
			annotations[name] = translated
		case name != "description":
			return grafanaRule{}, fmt.Errorf("%s in Grafana: %w", name, err)
		}
	}
	uid, title := r.Alert, r.Alert
	if nth > 1 { // titles must differ within a folder
		uid += fmt.Sprintf("-%d", nth)
		title += " (" + r.form() + ")"
	}
	pause := r.For
	if pause == "" {
		pause = "0s"
	}
	return grafanaRule{
		UID:          uid,
		Title:        title,
		Condition:    "C",
		Data:         grafanaQueries(r.Expr, dataSource),
		For:          pause,
		NoDataState:  "OK", // without a series nothing is wrong
		ExecErrState: "Error",
		Missing:      1, // as in Prometheus, an alert ends with its series
		Labels:       r.Labels,
		Annotations:  annotations,
	}, nil
}

// form says what tells the rule from others with the same name.
func (r alertingRule) form() string {
	if license := r.Labels["license"]; license != "" {
		return strings.ReplaceAll(license, "_", " ")
	}
	return r.Labels["severity"]
}

// grafanaQueries returns the query of the alert (A), its value (B), and the condition (C).
func grafanaQueries(expr, dataSource string) []grafanaQuery {
	query := func(refID, uid, kind string, timeRange *grafanaTimeRange, model map[string]any) grafanaQuery {
		model["refId"] = refID
		model["datasource"] = map[string]string{"type": kind, "uid": uid}
		return grafanaQuery{RefID: refID, TimeRange: timeRange, DataSourceUID: uid, Model: model}
	}
	expression := func(refID string, model map[string]any) grafanaQuery {
		return query(refID, "__expr__", "__expr__", nil, model)
	}
	return []grafanaQuery{
		query("A", dataSource, "prometheus", &grafanaTimeRange{From: grafanaLookBack + grafanaDelay, To: grafanaDelay},
			map[string]any{"expr": strings.TrimSpace(expr), "instant": true, "range": false, "intervalMs": 1000, "maxDataPoints": 43200}),
		expression("B", map[string]any{"type": "reduce", "expression": "A", "reducer": "last"}),
		expression("C", map[string]any{"type": "math", "expression": anyResult}),
	}
}

var (
	valueOfAlert = regexp.MustCompile(`\$value\b`)
	labelInURL   = regexp.MustCompile(`\{\{ \$labels\.(\w+) \| urlquery \}\}`)
)

// grafanaText translates the template of an annotation. In Grafana, $value is a text with
// all labels and values, an absent label is not empty, and there are no queries. A text
// with a query is an error.
func grafanaText(text string) (string, error) {
	text = valueOfAlert.ReplaceAllLiteralString(text, "$values.B.Value")
	text = labelInURL.ReplaceAllString(text, "{{ with $$labels.${1} }}{{ . | urlquery }}{{ end }}")
	_, err := template.New("").Funcs(grafanaFunctions()).Parse("{{ $labels := .Labels }}{{ $values := .Values }}" + text)
	return text, err
}

// grafanaFunctions returns the functions that Grafana documents for annotations, beside
// those of Go, so that a template can be parsed.
func grafanaFunctions() template.FuncMap {
	functions := make(template.FuncMap)
	for _, name := range []string{
		"humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "toTime",
		"title", "toUpper", "toLower", "stripPort", "stripDomain", "match", "reReplaceAll", "parseDuration",
		"args", "safeHtml", "externalURL", "pathPrefix", "graphLink", "tableLink",
	} {
		functions[name] = func() string { return "" }
	}
	return functions
}
