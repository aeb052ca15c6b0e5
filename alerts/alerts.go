// Package alerts holds what turns metrics into messages: rules for Prometheus,
// an example for Alertmanager with notification templates, and a runbook.
package alerts

import (
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

//go:embed qlik.rules.yml runbook.md alertmanager.yml templates
var files embed.FS

// What the files say as they are.
const (
	DefaultRunbookURL      = "https://github.com/qlik-exporter/qlik_exporter/blob/main/alerts/runbook.md"
	DefaultDashboardURL    = "https://grafana.example.com"
	DefaultJob             = "qlik"
	DefaultReachedSeverity = "critical"
)

// Severities lists the severities that an alert can have.
func Severities() []string { return []string{"critical", "warning", "info"} }

// Options adjusts the files to the place where they are used. What is empty
// stays as it is.
type Options struct {
	RunbookURL      string // of the page that runbook.md becomes; alerts append #alertname
	DashboardURL    string // of Grafana; alerts append /d/ and the dashboard
	Job             string // under which Prometheus scrapes the exporter
	ReachedSeverity string // of QlikUserSessionLimitReached
}

// Write writes the files into a folder, which it makes if need be. Files of the
// same names are replaced.
func Write(dir string, options Options) error {
	adjust, err := options.replacer()
	if err != nil {
		return err
	}
	return fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(path))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755) //nolint:gosec // Prometheus and Alertmanager run as other users
		}
		content, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, []byte(adjust.Replace(string(content))), 0o644) //nolint:gosec // as above; nothing in it is secret
	})
}

// replacer replaces what the files say by what the options say. A test makes
// sure that nothing else in the files reads like that.
func (o Options) replacer() (*strings.Replacer, error) {
	var pairs []string
	if o.RunbookURL != "" {
		if err := checkAddress(o.RunbookURL); err != nil {
			return nil, fmt.Errorf("address of the runbook: %w", err)
		}
		pairs = append(pairs, DefaultRunbookURL+"#", o.RunbookURL+"#")
	}
	if o.DashboardURL != "" {
		if err := checkAddress(o.DashboardURL); err != nil {
			return nil, fmt.Errorf("address of the dashboards: %w", err)
		}
		pairs = append(pairs, DefaultDashboardURL+"/", strings.TrimRight(o.DashboardURL, "/")+"/")
	}
	if o.Job != "" {
		if !utf8.ValidString(o.Job) {
			return nil, fmt.Errorf("job: %q is not UTF-8", o.Job)
		}
		pairs = append(pairs, `job="`+DefaultJob+`"`, "job="+strconv.Quote(o.Job))
	}
	if o.ReachedSeverity != "" {
		if !slices.Contains(Severities(), o.ReachedSeverity) {
			return nil, fmt.Errorf("severity: %q is none of %s", o.ReachedSeverity, strings.Join(Severities(), ", "))
		}
		pairs = append(pairs, severityOfReached(DefaultReachedSeverity), severityOfReached(o.ReachedSeverity))
	}
	return strings.NewReplacer(pairs...), nil
}

// severityOfReached is the line of that alert in the rules; the comment tells
// it from those of the others.
func severityOfReached(severity string) string {
	return "severity: " + severity + " # assets --reached-severity"
}

// checkAddress accepts addresses that can stand in YAML, in a template and in
// front of a fragment without being quoted.
func checkAddress(address string) error {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		return err
	case parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Host == "":
		return fmt.Errorf("%q is not an http or https address", address)
	case strings.ContainsAny(address, " \t\"'`{}\\#<>|"):
		return fmt.Errorf("%q has characters that do not belong in an address; percent-encode them", address)
	}
	return nil
}
