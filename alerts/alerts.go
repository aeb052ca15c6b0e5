// Package alerts contains rules for Prometheus, an example configuration of
// Alertmanager with notification templates, and a runbook.
package alerts

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed qlik.rules.yml runbook.md alertmanager.yml templates mixin.libsonnet
var files embed.FS

//go:embed watchdog.rules.yml
var watchdogRules string

//go:embed receivers-0.25.yml
var oldReceivers string

// RulesJSON is the file with the rules in JSON, for mixin.libsonnet.
const RulesJSON = "rules.json"

// Names of other files.
const (
	rulesName        = "qlik.rules.yml"
	alertmanagerName = "alertmanager.yml"
)

// Values in the embedded files.
const (
	DefaultRunbookURL      = "https://github.com/qlik-exporter/qlik_exporter/blob/main/alerts/runbook.md"
	DefaultDashboardURL    = "https://grafana.example.com"
	DefaultSessionsURL     = "https://qlik-exporter.example.com/sessions"
	DefaultJob             = "qlik"
	DefaultCommand         = "qlik_exporter"
	DefaultReachedSeverity = "critical"
	DefaultAlertmanager    = "0.28"
	OldAlertmanager        = "0.25" // of Debian 12
)

// Severities returns the severities that an alert can have.
func Severities() []string { return []string{"critical", "warning", "info"} }

// Options adapts the files to an installation. An empty field keeps the value of the
// embedded files.
type Options struct {
	RunbookURL      string // address of the published runbook.md; alerts append #alertname
	DashboardURL    string // address of Grafana; alerts append /d/ and the dashboard
	SessionsURL     string // address of the sessions page; alerts append /user and the user
	Job             string // job under which Prometheus scrapes the exporter
	ReachedSeverity string // severity of QlikUserSessionLimitReached
	Command         string // words that start the exporter's program, for commands in alerts and runbook
	SeveralSites    bool   // the exporter has sites with names, so that commands in alerts must name the site

	Thresholds Thresholds
	KeepLabels []string // labels that tell sites apart, in addition to job and site
	Watchdog   bool     // add the alert QlikWatchdog

	Alertmanager string // oldest version that reads alertmanager.yml
	DataSource   string // UID of Grafana's Prometheus data source, for its own alerting
}

// Files returns the content of the files by their paths.
func Files(options Options) (map[string][]byte, error) {
	texts, err := embeddedTexts()
	if err != nil {
		return nil, err
	}
	if options.Watchdog {
		_, group, _ := strings.Cut(watchdogRules, "\ngroups:\n")
		texts[rulesName] += "\n" + group
	}
	switch options.Alertmanager {
	case "", DefaultAlertmanager:
	case OldAlertmanager:
		texts[alertmanagerName] = oldAlertmanager(texts[alertmanagerName])
	default:
		return nil, fmt.Errorf("Alertmanager: version %q is not one of %s, %s", options.Alertmanager, DefaultAlertmanager, OldAlertmanager) //nolint:staticcheck // a name
	}
	if texts[rulesName], err = setMarked(texts[rulesName], options.marked()); err != nil {
		return nil, err
	}
	replace, err := options.replacer()
	if err != nil {
		return nil, err
	}
	for _, label := range options.KeepLabels {
		if err := CheckKeepLabel(label); err != nil {
			return nil, fmt.Errorf("label to keep: %w", err)
		}
	}
	adapted := make(map[string][]byte, len(texts))
	for path, text := range texts {
		adapted[path] = []byte(keepLabels(path, replace.Replace(text), options.KeepLabels))
	}
	if adapted[RulesJSON], err = jsonOf(adapted[rulesName]); err != nil {
		return nil, fmt.Errorf("%s: %w", rulesName, err)
	}
	dataSource := cmp.Or(options.DataSource, DefaultDataSource)
	if err := CheckDataSource(dataSource); err != nil {
		return nil, err
	}
	if adapted[GrafanaAlerts], err = grafanaAlerts(adapted[rulesName], dataSource); err != nil {
		return nil, fmt.Errorf("%s: %w", rulesName, err)
	}
	return adapted, nil
}

// oldAlertmanager returns the configuration for Alertmanager 0.25, which differs only in
// its receivers.
func oldAlertmanager(config string) string {
	_, config, _ = strings.Cut(config, "\nglobal:\n")
	config, _, _ = strings.Cut(config, "\nreceivers:\n")
	config = "global:\n" + config[:max(0, strings.LastIndex(config, "\n\n# "))] // without the comment about receivers
	head, receivers, _ := strings.Cut(oldReceivers, "\n\n")
	return head + "\n\n" + config + "\n\n" + receivers
}

func embeddedTexts() (map[string]string, error) {
	texts := make(map[string]string)
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		texts[path] = string(content)
		return err
	})
	return texts, err
}

// marked returns the values of the lines that the rules mark.
func (o Options) marked() []marked {
	severity := o.ReachedSeverity
	if severity == "" {
		severity = DefaultReachedSeverity
	}
	return append(o.Thresholds.marked(), marked{"reached-severity", DefaultReachedSeverity, severity})
}

// replacer returns a replacer that puts the options into the files. A test ensures
// that it replaces nothing else.
func (o Options) replacer() (*strings.Replacer, error) {
	var pairs []string
	if o.RunbookURL != "" {
		if err := CheckAddress(o.RunbookURL); err != nil {
			return nil, fmt.Errorf("runbook URL: %w", err)
		}
		pairs = append(pairs, DefaultRunbookURL+"#", o.RunbookURL+"#")
	}
	if o.DashboardURL != "" {
		if err := CheckAddress(o.DashboardURL); err != nil {
			return nil, fmt.Errorf("dashboard URL: %w", err)
		}
		pairs = append(pairs, DefaultDashboardURL+"/", strings.TrimRight(o.DashboardURL, "/")+"/")
	}
	if o.SessionsURL != "" {
		if err := CheckAddress(o.SessionsURL); err != nil {
			return nil, fmt.Errorf("sessions URL: %w", err)
		}
		pairs = append(pairs, DefaultSessionsURL+"/", strings.TrimRight(o.SessionsURL, "/")+"/")
	}
	if o.Job != "" {
		if !utf8.ValidString(o.Job) {
			return nil, fmt.Errorf("job: %q is not UTF-8", o.Job)
		}
		pairs = append(pairs, `job="`+DefaultJob+`"`, "job="+strconv.Quote(o.Job))
	}
	if err := CheckCommand(o.Command); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	command := cmp.Or(o.Command, DefaultCommand)
	if o.SeveralSites {
		const user = ` --user "{{ $labels.user_directory }}`
		pairs = append(pairs, DefaultCommand+" sessions end"+user, command+` sessions end --site "{{ $labels.site }}"`+user)
		for _, quoted := range []string{` sessions --direct`, ` sessions end`} { // names of sites need no quotes
			pairs = append(pairs, DefaultCommand+quoted+`"`, command+quoted+` --site {{ $labels.site }}"`)
		}
	}
	for _, name := range []string{"check", "sessions", "why"} {
		pairs = append(pairs, DefaultCommand+" "+name, command+" "+name)
	}
	if o.ReachedSeverity != "" {
		if !slices.Contains(Severities(), o.ReachedSeverity) {
			return nil, fmt.Errorf("severity: %q is not one of %s", o.ReachedSeverity, strings.Join(Severities(), ", "))
		}
		if o.ReachedSeverity == "info" { // users of analyzer capacity are never more urgent than others
			pairs = append(pairs, severityOfCapacity("warning"), severityOfCapacity("info"))
		}
	}
	return strings.NewReplacer(pairs...), nil
}

// severityOfCapacity returns the severity line of QlikUserSessionLimitReached about users
// of analyzer capacity.
func severityOfCapacity(severity string) string {
	return "severity: " + severity + " # not above assets --reached-severity"
}

// CheckCommand accepts words that need no quoting in YAML, in a template, and in Markdown.
func CheckCommand(words string) error {
	if strings.Contains(words, "{{") || strings.ContainsFunc(words, func(r rune) bool { return r == '`' || unicode.IsControl(r) }) {
		return fmt.Errorf("%q contains a backtick, a control character, or {{", words)
	}
	return nil
}

// CheckAddress accepts addresses that need no quoting in YAML, in a template, and in
// front of a fragment.
func CheckAddress(address string) error {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		return err
	case parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Host == "":
		return fmt.Errorf("%q is not an http or https URL", address)
	case strings.ContainsAny(address, " \t\"'`{}\\#<>|"):
		return fmt.Errorf("%q contains characters that a URL cannot contain; percent-encode them", address)
	}
	return nil
}
