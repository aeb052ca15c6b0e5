package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// alertmanagerPrograms builds alertmanager and amtool from the module in
// tools/alertmanager when a test first needs them. The example needs this
// version; Debian's packages are too old.
var alertmanagerPrograms = sync.OnceValues(func() (map[string]string, error) {
	dir := filepath.Dir(exporter)
	build := exec.Command("go", "build", "-o", dir, "tool")
	build.Dir = filepath.Join(repository, "tools", "alertmanager")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building Alertmanager: %w\n%s", err, output)
	}
	return map[string]string{"alertmanager": filepath.Join(dir, "alertmanager"), "amtool": filepath.Join(dir, "amtool")}, nil
})

func alertmanagerProgram(t *testing.T, name string) string {
	t.Helper()
	programs, err := alertmanagerPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return programs[name]
}

// document is a YAML file.
type document map[string]any

func readYAML(t *testing.T, name string) document {
	t.Helper()
	var d document
	if err := yaml.Unmarshal(readFile(t, name), &d); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

func writeYAML(t *testing.T, name string, d document) {
	t.Helper()
	content, err := yaml.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, content)
}

// list returns the mappings in the list under a key.
func (d document) list(key string) []document {
	var all []document
	values, _ := d[key].([]any)
	for _, value := range values {
		if mapping := (document{key: value}).mapping(key); mapping != nil {
			all = append(all, mapping)
		}
	}
	return all
}

// mapping returns the mapping under a key.
func (d document) mapping(key string) document {
	switch value := d[key].(type) {
	case document:
		return value
	case map[string]any:
		return value
	}
	return nil
}

// eachRoute calls do for a route of Alertmanager and for all routes below it.
func eachRoute(route document, do func(document)) {
	do(route)
	for _, child := range route.list("routes") {
		eachRoute(child, do)
	}
}

// isUserRoute reports whether a route is the one for all alerts about one user.
func isUserRoute(route document) bool { return fmt.Sprint(route["matchers"]) == `[scope="user"]` }

// alwaysOpen sets the office hours of an Alertmanager configuration to the whole day,
// and the holidays to a day that never comes.
func alwaysOpen(config document) {
	for _, times := range config.list("time_intervals") {
		interval := document{"times": []any{document{"start_time": "00:00", "end_time": "24:00"}}}
		if times["name"] == "holidays" {
			interval = document{"months": []any{"february"}, "days_of_month": []any{"30"}}
		}
		times["time_intervals"] = []any{interval}
	}
}

// alertmanager is a running Alertmanager.
type alertmanager struct {
	*program
	address string // host:port
}

func startAlertmanager(t *testing.T, configFile string) *alertmanager {
	t.Helper()
	return startAlertmanagerOf(t, alertmanagerProgram(t, "alertmanager"), alertmanagerProgram(t, "amtool"), configFile)
}

// startAlertmanagerOf starts an Alertmanager of some version.
func startAlertmanagerOf(t *testing.T, program, amtool, configFile string) *alertmanager {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	shell(t, amtool+" check-config "+configFile)
	a := &alertmanager{start(t, exec.Command(program,
		"--config.file="+configFile,
		"--storage.path="+t.TempDir(),
		"--web.listen-address="+address,
		"--cluster.listen-address=", // no gossip
	)), address}
	a.waitReady(t, "http://"+address+"/-/ready")
	return a
}

// states returns the states of a site's alerts with that name: "active" or
// "suppressed".
func (a *alertmanager) states(t *testing.T, s *site, alertname string) []string {
	t.Helper()
	filter := url.Values{"filter": {fmt.Sprintf("alertname=%q", alertname), fmt.Sprintf("site=%q", s.name)}}
	text, _, err := get("http://"+a.address+"/api/v2/alerts?"+filter.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var alerts []struct{ Status struct{ State string } }
	if err := json.Unmarshal([]byte(text), &alerts); err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, alert := range alerts {
		states = append(states, alert.Status.State)
	}
	return states
}

// state returns the state of a site's only alert with that name, or "" if there is not
// exactly one.
func (a *alertmanager) state(t *testing.T, s *site, alertname string) string {
	t.Helper()
	if states := a.states(t, s, alertname); len(states) == 1 {
		return states[0]
	}
	return ""
}

// notification is what Alertmanager sends to a receiver.
type notification struct {
	at       time.Time
	receiver string
	Status   string
	Alerts   []struct {
		Status              string
		Labels, Annotations map[string]string
		StartsAt, EndsAt    time.Time
	}
	CommonLabels map[string]string
}

// alertnames returns the alerts of which the notification tells, without duplicates.
func (n *notification) alertnames() string {
	var names []string
	for _, alert := range n.Alerts {
		if name := alert.Labels["alertname"]; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// is reports whether the notification says that of the alert. alertname "" stands for
// the notification itself.
func (n *notification) is(status, alertname string) bool {
	if alertname == "" {
		return n.Status == status
	}
	for _, alert := range n.Alerts {
		if alert.Status == status && alert.Labels["alertname"] == alertname {
			return true
		}
	}
	return false
}

// inbox collects the notifications of all receivers of an Alertmanager.
type inbox struct {
	url string
	mu  sync.Mutex
	all []*notification
}

func startInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n := &notification{at: time.Now(), receiver: path.Base(r.URL.Path)}
		if err := json.NewDecoder(r.Body).Decode(n); err != nil {
			t.Errorf("notification: %v", err)
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		in.all = append(in.all, n)
	}))
	t.Cleanup(server.Close)
	in.url = server.URL
	return in
}

// of returns the notifications of a site so far.
func (in *inbox) of(s *site) []*notification {
	in.mu.Lock()
	defer in.mu.Unlock()
	var its []*notification
	for _, n := range in.all {
		if n.CommonLabels["site"] == s.name {
			its = append(its, n)
		}
	}
	return its
}

// sent returns the number of notifications of a site that say that; alertname ""
// counts all notifications of that status.
func (in *inbox) sent(s *site, status, alertname string) int {
	count := 0
	for _, n := range in.of(s) {
		if n.is(status, alertname) {
			count++
		}
	}
	return count
}

// wait waits for the first notification of that kind and returns the time when it
// arrived.
func (in *inbox) wait(t *testing.T, s *site, status, alertname string) time.Time {
	t.Helper()
	var found *notification
	s.waitFor(t, fmt.Sprintf("a notification: %s %s of %s", status, alertname, s.name), time.Minute, func() bool {
		for _, n := range in.of(s) {
			if n.is(status, alertname) {
				found = n
				return true
			}
		}
		return false
	})
	return found.at
}

// log prints the notifications of a site with the texts that people read.
func (in *inbox) log(t *testing.T, s *site) {
	t.Helper()
	for _, n := range in.of(s) {
		var summaries []string
		for _, alert := range n.Alerts {
			if !slices.Contains(summaries, alert.Annotations["summary"]) {
				summaries = append(summaries, alert.Annotations["summary"])
			}
		}
		t.Logf("%5.1f s  %-17s  %-8s  %-27s  %d: %s", n.at.Sub(s.began).Seconds(), n.receiver, n.Status, n.alertnames(),
			len(n.Alerts), tail(strings.Join(summaries, "\n"), 3))
	}
}
