// Package dashboards contains Grafana dashboards and the files that provision them.
// The dashboards are edited by hand. They use the classic schema, because Grafana's
// file provisioning needs it, and the layout of Grafana's export (two spaces). All of
// them follow these conventions:
//
//   - A file is named after its uid: qlik-overview, qlik-user, qlik-capacity and
//     qlik-exporter. Alerts link to the uids, so they never change. A dashboard has
//     no id, is not editable, has the tag qlik, and uses the time zone of the browser.
//   - Every query, variable and annotation uses the data source ${datasource}.
//   - Variables: datasource; job, a single value, matched with job="$job"; site, several
//     values or all, matched with site=~"$site". All is .*, which also matches the empty
//     label, because a single site does not need a label. The user dashboard also has
//     user_directory and user_id. Variables refresh when the time range changes.
//   - A query is correct across a restart (rates and increases use $__rate_interval, or
//     $__range for the selected time range) and with two exporters of a site (max by,
//     min by, or without (instance, pod), before any sum).
//   - Colors have one meaning: one slot left is orange, no slot left is red, over the
//     limit is dark-red, cooling is blue, good is green, sessions are purple. Neutral
//     values have the text color in a stat panel and a palette color in a graph. Missing
//     values are neutral: the first threshold is text or transparent.
//   - A panel that can be empty explains why instead of showing "No data" (noValue).
//   - Titles of stat panels fit on a screen of 800 pixels.
//   - A link to another dashboard keeps the variables. It also keeps the time range,
//     except for links from and to qlik-capacity, which shows months.
//   - Annotations show firing alerts: those of the site, and on the user dashboard also
//     those about the user.
package dashboards

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

//go:embed *.json provisioning
var files embed.FS

// DefaultJob is the job that the dashboards show when you open them.
const DefaultJob = "qlik"

// defaultSessionsURL is the address of the sessions page in the embedded files.
const defaultSessionsURL = "https://qlik-exporter.example.com/sessions"

// Options adapts the dashboards to an installation. An empty field keeps the value of
// the embedded files.
type Options struct {
	Job         string // job under which Prometheus scrapes the exporter
	SessionsURL string // address of the sessions page; links append /user and the user
}

// Files returns the content of the files by their paths: the dashboards in dashboards/,
// and Grafana's provisioning files in provisioning/.
func Files(options Options) (map[string][]byte, error) {
	adjust, err := options.replacer()
	if err != nil {
		return nil, err
	}
	adapted := make(map[string][]byte)
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
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
		adapted[name] = []byte(adjust.Replace(string(content)))
		return nil
	})
	return adapted, err
}

// replacer returns a replacer that sets the initial value of the variable job and the
// address of the sessions page. A test ensures that it replaces nothing else.
func (o Options) replacer() (*strings.Replacer, error) {
	var pairs []string
	if o.SessionsURL != "" {
		address, err := json.Marshal(strings.TrimRight(o.SessionsURL, "/"))
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, defaultSessionsURL+"/", strings.Trim(string(address), `"`)+"/")
	}
	if o.Job != "" {
		if !utf8.ValidString(o.Job) {
			return nil, fmt.Errorf("job: %q is not UTF-8", o.Job)
		}
		job, err := json.Marshal(o.Job)
		if err != nil {
			return nil, err
		}
		for _, key := range []string{"text", "value"} {
			pairs = append(pairs, fmt.Sprintf("%q: %q", key, DefaultJob), fmt.Sprintf("%q: %s", key, job))
		}
	}
	return strings.NewReplacer(pairs...), nil
}
