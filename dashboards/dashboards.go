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
//     user_directory and user_id, whose first values are those of the user who is worst
//     off. Variables refresh when the time range changes.
//   - The user dashboard has hidden variables for what a panel cannot do: the first eight
//     virtual proxies of the user by name, each of which has a color of its own, and a
//     command, which is empty unless every shell takes the name of the user literally.
//   - A query is correct across a restart (rates and increases use $__rate_interval, or
//     $__range for the selected time range) and with two exporters of a site (max by,
//     min by, or without (instance, pod), before any sum).
//   - Colors have one meaning where they stand for a state: locked out is red, no slot
//     left is orange, one slot left is yellow. What is normal has no color, so that what
//     is not stands out. Missing values are neutral: the first threshold is text or
//     transparent.
//   - Names of virtual proxies have fixed colors that also color-blind readers can tell
//     apart, on dark and light backgrounds.
//   - No line crosses a gap in the data.
//   - A panel that can be empty explains why instead of showing "No data" (noValue).
//   - Titles fit on a screen of 800 pixels.
//   - Times are values with a unit for dates, so that they are in the reader's time zone.
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

// Addresses in the embedded files.
const (
	defaultSessionsURL = "https://qlik-exporter.example.com/sessions"
	defaultRunbookURL  = "https://github.com/qlik-exporter/qlik_exporter/blob/main/alerts/runbook.md"
)

// Options adapts the dashboards to an installation. An empty field keeps the value of
// the embedded files.
type Options struct {
	Job         string // job under which Prometheus scrapes the exporter
	SessionsURL string // address of the sessions page; links append /user and the user
	RunbookURL  string // address of the published runbook.md; links append # and a section
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
// addresses in links. A test ensures that it replaces nothing else.
func (o Options) replacer() (*strings.Replacer, error) {
	var pairs []string
	for _, link := range []struct{ embedded, address, end string }{
		{defaultSessionsURL, strings.TrimRight(o.SessionsURL, "/"), "/"},
		{defaultRunbookURL, o.RunbookURL, "#"},
	} {
		if link.address == "" {
			continue
		}
		address, err := json.Marshal(link.address)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, link.embedded+link.end, strings.Trim(string(address), `"`)+link.end)
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
