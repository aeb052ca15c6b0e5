// Package dashboards holds Grafana dashboards and what Grafana needs to find
// them. They are kept by hand, in the classic schema that files can be provisioned
// in, laid out as Grafana exports them (two spaces). One convention holds for all:
//
//   - A file is named after its uid: qlik-overview, qlik-user, qlik-capacity and
//     qlik-exporter. Alerts link to these, so they never change. No id, not editable.
//     The tag is qlik, the time zone the browser's.
//   - Every query, variable and annotation uses the data source ${datasource}.
//   - Variables: datasource; job, a single value, matched with job="$job"; site, several
//     values or all, matched with site=~"$site". All is .*, which matches the empty label
//     too, since one site alone need not have a label. The user's dashboard has
//     user_directory and user_id as well. They refresh when the time range changes.
//   - A query is right over a restart (rates and increases over $__rate_interval, or
//     over $__range where the time shown is meant) and with two exporters of a site
//     (max by, min by, or without (instance, pod), before any sum).
//   - Colors mean the same everywhere: one slot left is orange, none left is red, over
//     the limit dark-red, cooling blue, fine green, sessions purple; what is neither good
//     nor bad is text in a number and a color of the palette in a graph. What is not
//     there is not judged: the first threshold is text or transparent.
//   - A panel that can be empty says why instead of "No data" (noValue).
//   - Titles of single numbers are short enough for a screen of 800 pixels.
//   - A link to another dashboard carries the variables. It carries the time, too, but for
//     those from and to qlik-capacity, which looks at months.
//   - Annotations show firing alerts: those of the site, or of the user on the
//     user's dashboard.
package dashboards

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

//go:embed *.json provisioning
var files embed.FS

// DefaultJob is the job that the dashboards show when they are opened.
const DefaultJob = "qlik"

// Options adjusts the dashboards to the place where they are used. What is empty
// stays as it is.
type Options struct {
	Job string // under which Prometheus scrapes the exporter
}

// Write writes the dashboards to dashboards/ in a folder, and to provisioning/
// what tells Grafana of them. Files of the same names are replaced.
func Write(dir string, options Options) error {
	adjust, err := options.replacer()
	if err != nil {
		return err
	}
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if path.Ext(name) == ".json" {
			name = path.Join("dashboards", name)
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil { //nolint:gosec // Grafana runs as another user
			return err
		}
		return os.WriteFile(target, []byte(adjust.Replace(string(content))), 0o644) //nolint:gosec // as above; nothing in it is secret
	})
}

// replacer replaces the value that the variable job begins with. A test makes sure
// that nothing else in the files reads like that.
func (o Options) replacer() (*strings.Replacer, error) {
	if o.Job == "" {
		return strings.NewReplacer(), nil
	}
	if !utf8.ValidString(o.Job) {
		return nil, fmt.Errorf("job: %q is not UTF-8", o.Job)
	}
	job, err := json.Marshal(o.Job)
	if err != nil {
		return nil, err
	}
	var pairs []string
	for _, key := range []string{"text", "value"} {
		pairs = append(pairs, fmt.Sprintf("%q: %q", key, DefaultJob), fmt.Sprintf("%q: %s", key, job))
	}
	return strings.NewReplacer(pairs...), nil
}
