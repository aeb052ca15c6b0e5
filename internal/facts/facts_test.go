package facts_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/internal/facts"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is a site in which everything can be found out. The test must run in a bubble.
type office struct {
	*qliktest.Site
	t      *testing.T
	config facts.Config
	ends   string   // a session that ends while the site is watched
	busy   []string // sessions in which somebody works
}

// theDay is when a test begins. Dates before the year 2000 stand for none.
var theDay = time.Date(2026, time.March, 2, 9, 2, 0, 0, time.UTC)

func newOffice(t *testing.T, behavior map[string]string) *office {
	t.Helper()
	time.Sleep(time.Until(theDay))
	config := qliktest.Config{
		InMemory: true, AuditLogDir: t.TempDir(), TraceLogDir: t.TempDir(),
		Nodes:          []qliktest.Node{{Name: "qlik1"}, {Name: "qlik2"}},
		VirtualProxies: []qliktest.VirtualProxy{{InactivityTimeout: time.Hour}, {Prefix: "sales"}, {Prefix: "hr", Nodes: []string{"qlik2"}}},
		Users: []qliktest.User{
			{Directory: "LAB", ID: "anna", License: qliktest.Professional, Name: "Anna Berg"},
			{Directory: "LAB", ID: "ben", License: qliktest.Analyzer, UnusedFor: 24 * time.Hour},
			{Directory: "LAB", ID: "cleo", License: qliktest.Analyzer},
			{Directory: "LAB", ID: "dora", License: qliktest.Professional},
			{Directory: "LAB", ID: "root", Admin: true},
		},
		DataConnections: []qliktest.DataConnection{{Name: "monitor_apps_REST_app", Username: `LAB\svc`, Password: "canary-password"}, {Name: "orders", Username: `LAB\orders`}},
		ReloadTasks:     []qliktest.ReloadTask{{Name: "Reload", App: "Operations Monitor", Stream: "Monitoring apps", Every: time.Hour}, {Name: "Orders", App: "Orders", Stream: "Everyone"}},
	}
	config, _, err := config.Behave(behavior)
	if err != nil {
		t.Fatal(err)
	}
	site, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	dir := t.TempDir()
	if err := site.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	o := &office{Site: site, t: t, config: facts.Config{
		Qlik:      qlik.Config{Hosts: []string{"qlik1"}, CertDir: dir, DialContext: site.DialContext},
		Program:   "1.2.3",
		AuditLogs: map[string]string{"qlik1": site.AuditLogPath("qlik1")},
		LocalLogs: config.TraceLogDir,
		Progress:  func(time.Duration, time.Duration) {},
	}}
	o.AddLeftoverRow("LAB", "gone")
	for _, login := range []struct{ user, device, prefix, node string }{
		{"anna", "a", "", "qlik1"},
		{"ben", "a", "", "qlik1"},
		{"anna", "b", "", "qlik1"},
		{"root", "a", "", "qlik1"},
		{"anna", "c", "", "qlik1"},
		{"ben", "b", "", "qlik1"},
		{"ben", "c", "", "qlik1"},
		{"anna", "d", "", "qlik1"},
		{"dora", "a", "sales", "qlik1"},
		{"dora", "b", "sales", "qlik2"},
		{"dora", "c", "sales", "qlik1"},
		{"dora", "d", "hr", "qlik2"},
		{"dora", "e", "", "qlik2"},
		{"dora", "f", "sales", "qlik1"},
		{"nobody", "a", "sales", "qlik1"},
	} {
		time.Sleep(5 * time.Second)
		session, err := o.Login("LAB", login.user, login.device, login.prefix, login.node)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case login.user == "ben" && login.device == "c":
			o.ends = session.ID
		case session.Granted:
			o.busy = append(o.busy, session.ID)
		}
	}
	if _, err := o.OpenQMC("LAB", "anna", "a", "", "qlik1"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	return o
}

// watch watches the site for a time, while people work and one of them leaves.
func (o *office) watch(d time.Duration) {
	polls := 0
	o.config.Watch = d
	o.config.Progress = func(time.Duration, time.Duration) {
		if polls++; polls == 2 {
			o.Logout(o.ends)
		}
		for i, id := range o.busy { // half of them work all the time
			if i%2 == 0 || polls%9 == 0 {
				o.Touch(id)
			}
		}
	}
}

func (o *office) ask() map[string]string {
	o.t.Helper()
	file, err := facts.Ask(o.t.Context(), o.config)
	if err != nil {
		o.t.Fatal(err)
	}
	return file.Facts
}

// isWatched reports whether a question needs a site that is watched.
func isWatched(id string) bool {
	return slices.Contains([]string{"usage_row_end", "usage_row_left_end", "activity_interval", "activity_delay"}, id)
}

// asked returns what a site with a behavior answers, and what another one answers that
// behaves as the file of the first says.
func asked(t *testing.T, behavior map[string]string, watch time.Duration) (first, again map[string]string) {
	t.Helper()
	for i, answers := range []*map[string]string{&first, &again} {
		synctest.Test(t, func(t *testing.T) {
			if i == 1 {
				behavior = first
			}
			o := newOffice(t, behavior)
			o.watch(watch)
			*answers = o.ask()
		})
	}
	return first, again
}

func differences(got, want map[string]string) (lines []string) {
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id] != want[id] {
			lines = append(lines, id+": "+got[id]+", want "+want[id])
		}
	}
	return lines
}

// TestEveryAnswer checks that a site that was told to give an answer gives it, for all
// answers that a simulated site can give. A site that behaves as the file of this one
// says gives the same file.
func TestEveryAnswer(t *testing.T) {
	t.Parallel()
	for id, answers := range qliktest.Behaviors() {
		if testing.Short() { // the race detector makes it slow
			answers = answers[:1]
		}
		for _, answer := range answers {
			t.Run(id+"="+answer, func(t *testing.T) {
				t.Parallel()
				watch := time.Duration(0)
				if isWatched(id) {
					watch = 13 * time.Minute
					if id == "activity_interval" {
						watch *= 2
					}
				}
				got, again := asked(t, map[string]string{id: answer}, watch)
				if got[id] != answer {
					t.Errorf("got %s", got[id])
				}
				if lines := differences(again, got); lines != nil {
					t.Errorf("a site that behaves like this one differs:\n%s", strings.Join(lines, "\n"))
				}
			})
		}
	}
}

// TestQuestions checks the table of questions, and that the simulation can give at least
// two answers to each question that concerns it.
func TestQuestions(t *testing.T) {
	behaviors := qliktest.Behaviors()
	seen := make(map[string]bool)
	for _, q := range facts.Questions() {
		if seen[q.ID] || !strings.HasSuffix(q.Asks, "?") || len(q.Answers) < 2 || slices.Contains(q.Answers, facts.Unknown) {
			t.Errorf("%+v", q)
		}
		seen[q.ID] = true
		shown := behaviors[q.ID]
		for _, answer := range shown {
			if !slices.Contains(q.Answers, answer) {
				t.Errorf("%s: the simulation can answer %s, which is not in the list", q.ID, answer)
			}
		}
		if len(shown) < 2 && q.ID != "client_key" {
			t.Errorf("%s: the simulation can only answer %q", q.ID, shown)
		}
	}
	for id := range behaviors {
		if !seen[id] {
			t.Errorf("the simulation answers %s, which nobody asks", id)
		}
	}
}

var update = flag.Bool("update", false, "write the table of questions anew")

// TestQuestionTable keeps the table in docs/qlik.md equal to the questions. Each of them
// concerns a section of the page.
func TestQuestionTable(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "qlik.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	var table strings.Builder
	table.WriteString("| question | asks | answers |\n| --- | --- | --- |\n")
	for _, q := range facts.Questions() {
		if !strings.Contains(page, "# "+q.Section+"\n") {
			t.Errorf("%s: docs/qlik.md has no section %s", q.ID, q.Section)
		}
		anchor := strings.ReplaceAll(strings.ToLower(q.Section), " ", "-")
		fmt.Fprintf(&table, "| `%s` | %s See [%s](#%s). | `%s` |\n", q.ID, q.Asks, q.Section, anchor, strings.Join(q.Answers, "`, `"))
	}
	const start, end = "<!-- questions -->\n", "<!-- end -->"
	before, rest, found := strings.Cut(page, start)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatal("docs/qlik.md has no place for the table")
	}
	want := before + start + table.String() + end + after
	if *update {
		err = os.WriteFile(path, []byte(want), 0o600)
	} else if want != page {
		t.Error("the table in docs/qlik.md differs from the questions; go test ./internal/facts -run TestQuestionTable -update writes it anew")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestClientKey checks the formats of a client key. The simulated site has only one.
func TestClientKey(t *testing.T) {
	for kind, key := range map[string]string{
		"traditional": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"pkcs8":       "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t, nil)
			if err := os.WriteFile(filepath.Join(o.config.Qlik.CertDir, "client_key.pem"), []byte(key), 0o600); err != nil {
				t.Fatal(err)
			}
			// Nothing else is known, because all servers want the certificate.
			if got := o.ask(); got["client_key"] != kind || got["session_list_order"] != facts.Unknown {
				t.Errorf("%s: got %s: %v", kind, got["client_key"], got)
			}
		})
	}
}

// TestBehave checks what a site cannot be told.
func TestBehave(t *testing.T) {
	_, cannot, err := qliktest.Config{}.Behave(map[string]string{"client_key": "pkcs8", "usage_rows": "all", "enumerations": "names", "proxy_tls": facts.Unknown})
	if err != nil || !slices.Equal(cannot, []string{"client_key", "usage_rows"}) {
		t.Errorf("%q, %v", cannot, err)
	}
	if _, _, err := (qliktest.Config{}).Behave(map[string]string{"nonsense": facts.Unknown}); err == nil {
		t.Error("an unknown question is no error")
	}
}
