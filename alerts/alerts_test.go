package alerts

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/assets"
)

const rulesFile = rulesName

// ruleFiles are the files with rules: those that everybody has, and the watchdog.
var ruleFiles = []string{rulesFile, "watchdog.rules.yml"}

type ruleGroup struct {
	Name  string
	Rules []rule
}

type rule struct {
	Record, Alert, Expr string
	For                 *string
	Labels, Annotations map[string]string
}

func (r *rule) name() string { return r.Alert + r.Record }

func readRules(t *testing.T, path string) []rule {
	t.Helper()
	var file struct{ Groups []ruleGroup }
	unmarshal(t, path, &file)
	var rules []rule
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	if len(rules) == 0 {
		t.Fatalf("%s has no rules", path)
	}
	return rules
}

func readAllRules(t *testing.T) []rule {
	t.Helper()
	var rules []rule
	for _, path := range ruleFiles {
		rules = append(rules, readRules(t, path)...)
	}
	return rules
}

func unmarshal(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	severities := append(Severities(), "none") // none is for the watchdog
	for _, alert := range readAllRules(t) {
		if alert.Alert == "" {
			if strings.Count(alert.Record, ":") != 2 {
				t.Errorf("%s is not named level:metric:operation", alert.Record)
			}
			continue
		}
		if !strings.HasPrefix(alert.Alert, "Qlik") {
			t.Errorf("%s does not begin with Qlik", alert.Alert)
		}
		if alert.For == nil {
			t.Errorf("%s has no explicit for", alert.Alert)
		}
		if severity := alert.Labels["severity"]; !slices.Contains(severities, severity) && (alert.Alert != "QlikWatchdog" || severity != "none") {
			t.Errorf("%s: severity %q", alert.Alert, severity)
		}
		if scope := alert.Labels["scope"]; scope != "user" && scope != "site" {
			t.Errorf("%s: scope %q", alert.Alert, scope)
		}
		for _, annotation := range []string{"summary", "description", "runbook_url", "dashboard_url"} {
			if alert.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", alert.Alert, annotation)
			}
		}
		if linked := alert.Annotations["sessions_url"] != ""; linked != (alert.Labels["scope"] == "user") {
			t.Errorf("%s: links to the page of a user: %t", alert.Alert, linked)
		}
		if link, want := alert.Annotations["runbook_url"], DefaultRunbookURL+"#"+strings.ToLower(alert.Alert); link != want {
			t.Errorf("%s: runbook_url %s, want %s", alert.Alert, link, want)
		}
	}
}

// TestCompleteBeforeAndAfter checks that the rules ask whether a count is complete before
// they read who is at the limit, and again after that. Prometheus may store a scrape
// between two rules, which unit tests of rules cannot show.
func TestCompleteBeforeAndAfter(t *testing.T) {
	t.Parallel()
	place := make(map[string]int) // of the last rule with this name
	for i, r := range readRules(t, rulesFile) {
		place[r.Record] = i
	}
	before, after := place["site:qlik_sessions_complete:max"], place["site:qlik_sessions_complete:timestamp"]
	for _, record := range []string{"user:qlik_session_limit_headroom:min", "user:qlik_user_effective_headroom:min", "user:qlik_limit_state:timestamp", "site:qlik_users:sum"} {
		if place[record] <= before || place[record] >= after {
			t.Errorf("%s is rule %d, complete are %d and %d", record, place[record], before, after)
		}
	}
	for _, record := range []string{"site:qlik_sessions_complete:last1h", "user:qlik_limit_state:held", "site:qlik_users:held"} {
		if place[record] <= after {
			t.Errorf("%s is rule %d, before complete, %d", record, place[record], after)
		}
	}
}

// TestTexts checks that an alert has at most one query in its texts and that title and
// text have at most 600 characters in every unit test, links not counted.
func TestTexts(t *testing.T) {
	t.Parallel()
	for _, alert := range readRules(t, rulesFile) {
		queries := 0
		for _, text := range alert.Annotations {
			queries += len(templateQueries(t, text))
		}
		if queries > 1 {
			t.Errorf("%s (%s) has %d queries in its texts", alert.Alert, alert.Labels["severity"], queries)
		}
	}
	for _, path := range unitTests(t) {
		var file struct {
			Tests []struct {
				Alerts []struct {
					Alertname string
					Expected  []struct {
						Annotations map[string]string `yaml:"exp_annotations"`
					} `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		unmarshal(t, path, &file)
		for _, test := range file.Tests {
			for _, alert := range test.Alerts {
				for _, expected := range alert.Expected {
					text := expected.Annotations["summary"] + "\n" + expected.Annotations["description"]
					if length := utf8.RuneCountInString(text); length > 600 {
						t.Errorf("%s: %s has %d characters: %s", path, alert.Alertname, length, text)
					}
				}
			}
		}
	}
}

// TestRunbook checks that the runbook has a complete section for every alert, and
// that its links are valid.
func TestRunbook(t *testing.T) {
	t.Parallel()
	runbook := read(t, "runbook.md")
	sections := make(map[string]string)
	var headings []string
	for _, section := range regexp.MustCompile(`(?m)^#+ `).Split(runbook, -1)[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		sections[heading] = text
		headings = append(headings, anchor(heading))
	}
	alerts := make(map[string]bool)
	for _, r := range readAllRules(t) {
		alerts[r.Alert] = true
	}
	delete(alerts, "")
	for alert := range alerts {
		section, ok := sections[alert]
		if !ok {
			t.Errorf("%s has no section in the runbook", alert)
			continue
		}
		for _, part := range []string{"**Meaning.** ", "**Impact.** ", "**Confirm.**\n", "```promql\n", "```sh\n", "**Causes.** ", "**Fix.** ", "**Prevention.** "} {
			if !strings.Contains(section, part) {
				t.Errorf("the section %s lacks %q", alert, part)
			}
		}
	}
	for heading := range sections {
		if strings.HasPrefix(heading, "Qlik") && !alerts[heading] {
			t.Errorf("the runbook has a section %s, but there is no such alert", heading)
		}
	}
	links := regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(runbook, -1)
	if len(links) < 10 {
		t.Errorf("%d links; is the pattern correct?", len(links))
	}
	// A relative link to another document breaks in the folder that assets writes.
	const documents = "https://github.com/qlik-exporter/qlik_exporter/blob/main/"
	for _, link := range links {
		path, fragment, _ := strings.Cut(link[1], "#")
		if path != "" {
			document, found := strings.CutPrefix(path, documents)
			if _, err := os.Stat(filepath.Join("..", document)); !found || err != nil {
				t.Errorf("link %s: no document of this repository: %v", link[1], err)
			}
		} else if !slices.Contains(headings, fragment) {
			t.Errorf("link %s: there is no such heading", link[1])
		}
	}
}

// TestAlertingPage checks that docs/alerting.md lists exactly the existing alerts, with
// their severities.
func TestAlertingPage(t *testing.T) {
	page := read(t, filepath.Join("..", "docs", "alerting.md"))
	// In any order: the page names first what its text says first.
	want := make(map[string][]string)
	for _, r := range readAllRules(t) {
		if r.Alert != "" {
			want[r.Alert] = append(want[r.Alert], r.Labels["severity"])
			slices.Sort(want[r.Alert])
		}
	}
	got := make(map[string][]string)
	for _, row := range regexp.MustCompile(`(?m)^\| (Qlik\w+) \| ([^|]+) \|`).FindAllStringSubmatch(page, -1) {
		got[row[1]] = strings.Split(row[2], ", ")
		slices.Sort(got[row[1]])
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("docs/alerting.md lists the alerts\n%v\nwant\n%v", got, want)
	}
}

// anchor returns the anchor that common Markdown renderers create for a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// TestUnitTests checks that a promtool test expects every alert, in each of its
// severities, to fire, and that a test covers every recording rule.
func TestUnitTests(t *testing.T) {
	t.Parallel()
	fires := make(map[string]bool)
	var expressions []string
	for _, path := range unitTests(t) {
		var file struct {
			Tests []struct {
				Alerts []struct {
					Alertname string
					Expected  []struct {
						Labels      map[string]string `yaml:"exp_labels"`
						Annotations map[string]string `yaml:"exp_annotations"`
					} `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
				Expressions []struct{ Expr string } `yaml:"promql_expr_test"`
			}
		}
		unmarshal(t, path, &file)
		for _, test := range file.Tests {
			for _, alert := range test.Alerts {
				for _, expected := range alert.Expected {
					fires[alert.Alertname+" "+expected.Labels["severity"]] = true
					for name, annotation := range expected.Annotations {
						if strings.Contains(annotation, "<no value>") || strings.Contains(annotation, "<error") {
							t.Errorf("%s: %s of %s: %s", path, name, alert.Alertname, annotation)
						}
					}
				}
			}
			for _, expression := range test.Expressions {
				expressions = append(expressions, expression.Expr)
			}
		}
	}
	all := strings.Join(expressions, "\n")
	for _, r := range readRules(t, rulesFile) {
		if r.Alert != "" && !fires[r.Alert+" "+r.Labels["severity"]] {
			t.Errorf("no unit test expects %s (%s) to fire", r.Alert, r.Labels["severity"])
		}
		if r.Record != "" && !strings.Contains(all, r.Record) {
			t.Errorf("no unit test covers %s", r.Record)
		}
	}
}

func unitTests(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("*.test.yml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no unit tests found: %v", err)
	}
	return paths
}

// targetLabels are the labels that Prometheus adds to every scraped series and that
// the rules use.
var targetLabels = []string{"job", "instance", "site"}

// series maps the names of metrics to their labels.
type series map[string]map[string]bool

func (s series) add(metric string, labels ...string) {
	if s[metric] == nil {
		s[metric] = make(map[string]bool)
	}
	for _, label := range slices.Concat(labels, targetLabels) {
		s[metric][label] = true
	}
}

// exported returns the metrics of the exporter, read from the expected exposition of
// the collector tests.
func exported(t *testing.T) series {
	t.Helper()
	known := make(series)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(read(t, filepath.Join("..", "collector", "testdata", "company.prom"))))
	if err != nil {
		t.Fatal(err)
	}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetName())
			}
			known.add(name, labels...)
			if metric.GetHistogram() != nil {
				known.add(name+"_bucket", append(labels, "le")...)
			}
		}
	}
	// Metrics of the program itself.
	known.add("qlik_exporter_config_last_reload_successful")
	known.add("qlik_exporter_build_info", "version")
	// Metrics of Prometheus.
	known.add("up")
	known.add("ALERTS", "alertname", "alertstate", "severity", "scope")
	return known
}

// TestMetrics checks that rules, annotations and runbook use only existing metrics
// and their labels.
func TestMetrics(t *testing.T) {
	t.Parallel()
	known := exported(t)
	check := func(where, expr string) map[string]bool {
		labels, faults := checkExpression(expr, known)
		for _, fault := range faults {
			t.Errorf("%s: %s, in %s", where, fault, expr)
		}
		return labels
	}
	userLabels := []string{"user_directory", "user_id", "state", "license"}
	// Of the evaluation before.
	known.add("user:qlik_limit_state:held", userLabels...)
	known.add("site:qlik_sessions_complete:last1h")
	rules := readRules(t, rulesFile)
	for _, r := range rules { // in file order, so that recorded series are known before they are used
		if r.Alert == "QlikWatchdog" {
			continue // needs no metric
		}
		if r.Record != "" {
			known.add(r.Record, userLabels...) // a rule may use its own past
		}
		labels := check(r.name(), r.Expr)
		for label := range r.Labels {
			labels[label] = true
		}
		if r.Record != "" {
			known.add(r.Record, slices.Collect(maps.Keys(labels))...)
			continue
		}
		for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(fmt.Sprint(r.Annotations), -1) {
			if !labels[label[1]] {
				t.Errorf("%s: an annotation uses $labels.%s, but the alert has no such label", r.Alert, label[1])
			}
		}
	}
	ofTexts := 0
	for _, r := range rules { // annotations may use any recorded series
		for _, text := range r.Annotations {
			for _, query := range templateQueries(t, text) {
				check(r.Alert+", text", query)
				ofTexts++
			}
		}
	}
	runbook := read(t, "runbook.md")
	queries := runbookQueries(runbook)
	for _, query := range queries {
		check("runbook", query)
	}
	names := regexp.MustCompile("`((?:[a-z_]+:)?qlik_[a-z_]+(?::[a-z0-9_]+)?)[^`]*`").FindAllStringSubmatch(runbook, -1)
	for _, name := range names {
		if name := name[1]; known[name] == nil && !strings.HasPrefix(name, "qlik_exporter") {
			t.Errorf("the runbook names %s, which is neither an exported nor a recorded metric", name)
		}
	}
	if ofTexts < 5 || len(queries) < 20 || len(names) < 5 {
		t.Errorf("%d queries in annotations, %d in the runbook, and %d names there; are the patterns correct?", ofTexts, len(queries), len(names))
	}
}

func runbookQueries(runbook string) []string {
	var queries []string
	for _, query := range regexp.MustCompile("(?s)```promql\n(.*?)```").FindAllStringSubmatch(runbook, -1) {
		queries = append(queries, query[1])
	}
	return queries
}

// templateQueries returns the queries in the strings of a template, without their
// matchers for job, site and user.
func templateQueries(t *testing.T, text string) []string {
	t.Helper()
	var queries []string
	for _, action := range regexp.MustCompile(`(?s)\{\{(.*?)\}\}`).FindAllStringSubmatch(strings.ReplaceAll(text, "{{{", "{{ {"), -1) {
		if !strings.Contains(action[1], "query") {
			continue
		}
		for _, literal := range regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).FindAllString(action[1], -1) {
			query, err := strconv.Unquote(literal)
			if err != nil {
				t.Errorf("%s: %v", literal, err)
			}
			if strings.Contains(query, "%s") || strings.Contains(query, "%q") {
				query = strings.ReplaceAll(strings.ReplaceAll(query, ",%s", ""), "%s,", "")
				queries = append(queries, strings.ReplaceAll(strings.ReplaceAll(query, "%s", ""), "%q", `"x"`))
			}
		}
	}
	return queries
}

var (
	quoted    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	nameSets  = regexp.MustCompile(`\{__name__=~"([^"]*)"[^}]*\}`)
	setLabels = regexp.MustCompile(`label_(?:replace|join)\((?s:.*?),\s*"(\w+)"`)
	groupings = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	selectors = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(\s*\()?`)
	matchers  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	comments  = regexp.MustCompile(`(?m) # [^"\n]*$`)
	durations = regexp.MustCompile(`\[[^\]]*\]|\boffset\s+\w+|\b\d[\w.]*`)
	keywords  = []string{"and", "or", "unless", "bool"}
)

// checkExpression checks that an expression uses only known metrics and labels. It
// returns the labels that the result can have, and the faults. It does not parse the
// expression: promtool parses all of them.
func checkExpression(expr string, known series) (labels map[string]bool, faults []string) {
	labels = make(map[string]bool)
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	use := func(metric string) {
		if known[metric] == nil {
			fault("there is no metric %s", metric)
		}
		maps.Copy(labels, known[metric])
	}
	for _, set := range nameSets.FindAllStringSubmatch(expr, -1) {
		for metric := range strings.SplitSeq(set[1], "|") {
			use(metric)
		}
	}
	for _, label := range setLabels.FindAllStringSubmatch(expr, -1) {
		labels[label[1]] = true
	}
	bare := comments.ReplaceAllString(quoted.ReplaceAllString(nameSets.ReplaceAllString(expr, " "), `""`), " ")
	bare = durations.ReplaceAllString(bare, " ")
	for _, selector := range selectors.FindAllStringSubmatch(groupings.ReplaceAllString(bare, " "), -1) {
		metric, braces, call := selector[1], selector[2], selector[3]
		if call != "" && braces == "" || slices.Contains(keywords, metric) {
			continue // a function or an operator
		}
		use(metric)
		for _, matcher := range matchers.FindAllStringSubmatch(braces, -1) {
			if known[metric] != nil && !known[metric][matcher[1]] {
				fault("%s has no label %s", metric, matcher[1])
			}
		}
	}
	for _, grouping := range groupings.FindAllStringSubmatch(bare, -1) {
		for label := range strings.SplitSeq(grouping[1], ",") {
			if label = strings.TrimSpace(label); label != "" && label != "__name__" && !labels[label] {
				fault("nothing in the expression has a label %s", label)
			}
		}
	}
	if len(labels) == 0 {
		fault("no metric found")
	}
	return labels, faults
}

func TestCheckExpression(t *testing.T) {
	t.Parallel()
	known := make(series)
	known.add("qlik_sessions", "qlik_node")
	for expr, right := range map[string]bool{
		`sum without (instance) (qlik_sessions{qlik_node=~"a|b"} offset 2m) > 2 * time()`: true,
		`max by (qlik_node) (last_over_time(qlik_sessions[5m]))`:                          true,
		`label_replace(qlik_sessions, "kind", "a", "", "") and on (kind) qlik_sessions`:   true,
		`max by (__name__, qlik_node) ({__name__=~"qlik_sessions",job="qlik"})`:           true,
		`qlik_session > 0`:                            false,
		`qlik_sessions{nod="a"}`:                      false,
		`sum by (nodes) (qlik_sessions)`:              false,
		`qlik_sessions and ignoring (nope) vector(1)`: false,
		`max({__name__=~"qlik_sessions|qlik_users"})`: false,
		`time() > 1`: false,
	} {
		if _, faults := checkExpression(expr, known); (len(faults) == 0) != right {
			t.Errorf("%s: %q", expr, faults)
		}
	}
}

// write writes the files as the command assets does.
func write(dir string, options Options) error {
	files, err := Files(options)
	if err != nil {
		return err
	}
	_, err = assets.Write(dir, files)
	return err
}

func TestWriteAsTheyAre(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	if err := write(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, path := range embedded(t) {
		if read(t, filepath.Join(dir, path)) != read(t, path) {
			t.Errorf("%s was changed", path)
		}
	}
}

func embedded(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{rulesFile, "runbook.md", "alertmanager.yml"} {
		if !slices.Contains(paths, wanted) {
			t.Errorf("%s is not embedded", wanted)
		}
	}
	return paths
}

// TestWriteAdjusted checks that the options replace the values that they set, and
// nothing else.
func TestWriteAdjusted(t *testing.T) {
	t.Parallel()
	options := Options{
		RunbookURL:      "https://wiki.acme.test/qlik?page=runbook",
		DashboardURL:    "https://graphs.acme.test/grafana/",
		SessionsURL:     "https://qlik.acme.test:9986/sessions/",
		Job:             `a "job" of ours`,
		ReachedSeverity: "warning",
		Command:         "docker exec -it qlik: #1 qlik_exporter",
		SeveralSites:    true,
	}
	dir := t.TempDir()
	for range 2 { // the second call replaces the files of the first
		if err := write(dir, options); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range embedded(t) {
		text := read(t, filepath.Join(dir, path))
		for _, old := range []string{DefaultRunbookURL, DefaultDashboardURL, DefaultSessionsURL, `job="` + DefaultJob + `"`} {
			if strings.Contains(text, old) {
				t.Errorf("%s still has %s", path, old)
			}
		}
	}
	before, after := readRules(t, rulesFile), readRules(t, filepath.Join(dir, rulesFile))
	if len(before) != len(after) {
		t.Fatalf("%d rules, there were %d", len(after), len(before))
	}
	var jobs, commands int
	for i := range before {
		want := before[i]
		jobs += strings.Count(want.Expr, `job="qlik"`)
		want.Expr = strings.ReplaceAll(want.Expr, `job="qlik"`, `job="a \"job\" of ours"`)
		if want.Alert == "QlikUserSessionLimitReached" {
			want.Labels["severity"] = "warning"
		}
		if want.Alert != "" {
			want.Annotations["runbook_url"] = options.RunbookURL + "#" + strings.ToLower(want.Alert)
			_, dashboard, _ := strings.Cut(want.Annotations["dashboard_url"], "/d/")
			want.Annotations["dashboard_url"] = options.DashboardURL + "d/" + dashboard
			text := strings.ReplaceAll(want.Annotations["description"], "qlik_exporter check", options.Command+" check")
			commands += strings.Count(text, "qlik_exporter sessions end --user")
			text = strings.ReplaceAll(text, "qlik_exporter sessions", options.Command+" sessions")
			text = strings.ReplaceAll(text, " sessions end --user", ` sessions end --site "{{ $labels.site }}" --user`)
			text = strings.ReplaceAll(text, ` sessions end"`, ` sessions end --site {{ $labels.site }}"`)
			want.Annotations["description"] = strings.ReplaceAll(text, ` sessions --direct"`, ` sessions --direct --site {{ $labels.site }}"`)
			if _, user, linked := strings.Cut(want.Annotations["sessions_url"], "/user?"); linked {
				want.Annotations["sessions_url"] = options.SessionsURL + "user?" + user
			}
		}
		if !reflect.DeepEqual(after[i], want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", want.name(), after[i], want)
		}
	}
	if commands == 0 {
		t.Error("no alert has a command for one user")
	}
	if jobs != 6 {
		t.Errorf("the job is used %d times in expressions, want 6", jobs)
	}
	options.ReachedSeverity = "info"
	lowest := t.TempDir()
	if err := write(lowest, options); err != nil {
		t.Fatal(err)
	}
	for _, r := range readRules(t, filepath.Join(lowest, rulesFile)) {
		if severity := r.Labels["severity"]; r.Alert == "QlikUserSessionLimitReached" && severity != "info" {
			t.Errorf("%s: severity %s, not info", r.Alert, severity)
		}
	}
	if promtool := lookPath(t); promtool != "" {
		run(t, promtool, "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(dir, rulesFile))
	}
}

// TestSessionsURL checks that alerts link to the page of the user whatever the name
// contains, with the templates of Prometheus.
func TestSessionsURL(t *testing.T) {
	t.Parallel()
	promtool := needPromtool(t)
	type entries = map[string]any
	var cases []entries
	for _, alert := range readRules(t, rulesFile) {
		template := alert.Annotations["sessions_url"]
		if template == "" || len(cases) > 0 { // all are the same
			continue
		}
		var series, alerts []entries
		for i, id := range []string{"anna", "zoë müller", "a+b", "r&d", "c#", "100%", "x=y", "o'neil", `"quoted"`, "<b>", "日本", "10b43a7d71f56f6d"} {
			labels := map[string]string{"user_directory": "LAB & CO", "user_id": id}
			query := url.Values{"user": {`LAB & CO\` + id}}
			if i%2 == 1 {
				labels["site"] = "emea + apac"
				query.Set("site", labels["site"])
			}
			var written []string
			for name, value := range labels {
				written = append(written, fmt.Sprintf("%s=%q", name, value))
			}
			series = append(series, entries{"series": "users{" + strings.Join(written, ",") + "}", "values": "1"})
			address := DefaultSessionsURL + "/user?user=" + url.QueryEscape(query.Get("user"))
			if i%2 == 1 {
				address += "&site=" + url.QueryEscape(query.Get("site"))
			}
			parsed, err := url.Parse(address)
			if err != nil || !reflect.DeepEqual(parsed.Query(), query) {
				t.Errorf("%s: %v", address, err)
			}
			alerts = append(alerts, entries{"exp_labels": labels, "exp_annotations": entries{"sessions_url": address}})
		}
		cases = append(cases, entries{"interval": "1m", "input_series": series, "alert_rule_test": []entries{{"alertname": "A", "eval_time": "0s", "exp_alerts": alerts}}})
		dir := t.TempDir()
		for name, content := range map[string]any{
			"rules.yml": entries{"groups": []entries{{"name": "g", "rules": []entries{{"alert": "A", "expr": "users", "annotations": entries{"sessions_url": template}}}}}},
			"test.yml":  entries{"rule_files": []string{"rules.yml"}, "tests": cases},
		} {
			text, err := yaml.Marshal(content)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run(t, promtool, "test", "rules", filepath.Join(dir, "test.yml"))
	}
	if len(cases) == 0 {
		t.Error("no alert links to a user")
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	for _, options := range []Options{
		{RunbookURL: "wiki.acme.test/qlik"},
		{RunbookURL: "ftp://wiki.acme.test/qlik"},
		{RunbookURL: "https://wiki.acme.test/qlik#top"},
		{DashboardURL: "https://graphs.acme.test/{{ evil }}"},
		{DashboardURL: "https://"},
		{DashboardURL: "http://a b/"},
		{SessionsURL: "qlik1:9986/sessions"},
		{Job: "\xff"},
		{ReachedSeverity: "page"},
		{Command: "{{ .Evil }}"},
		{Command: "qlik_exporter\nexpr: 1"},
		{Command: "a `b`"},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		if err := write(dir, options); err == nil {
			t.Errorf("%+v was accepted", options)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%+v: files were written", options)
		}
	}
}

func TestPromtoolAcceptsRules(t *testing.T) {
	t.Parallel()
	promtool := needPromtool(t)
	run(t, promtool, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, ruleFiles...)...)

	// promtool also checks the queries in annotations and in the runbook, as rules.
	var queries []string
	for _, r := range readRules(t, rulesFile) {
		for _, text := range r.Annotations {
			queries = append(queries, templateQueries(t, text)...)
		}
	}
	if len(queries) == 0 {
		t.Error("no queries found in annotations")
	}
	queries = append(queries, runbookQueries(read(t, "runbook.md"))...)
	var content strings.Builder
	content.WriteString("groups:\n- name: queries\n  rules:\n")
	for i, query := range queries {
		fmt.Fprintf(&content, "  - {record: 'query:%d:x', expr: %q}\n", i, query)
	}
	path := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(path, []byte(content.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, promtool, "check", "rules", path)
}

func lookPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		return ""
	}
	return path
}

func needPromtool(t *testing.T) string {
	t.Helper()
	path := lookPath(t)
	if path == "" {
		t.Skip("promtool is not in PATH (Debian: package prometheus), so the rules were not checked with Prometheus")
	}
	return path
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, output)
	}
}

var matcherText = regexp.MustCompile(`^(\w+)(=~|!=|!~|=)"(.*)"$`)

// matches reports whether an alert can have labels that match all matchers of an inhibition
// of the Alertmanager example. Labels that only the expression has can have any value.
func (r *rule) matches(t *testing.T, matchers []string) bool {
	t.Helper()
	return !slices.ContainsFunc(matchers, func(text string) bool {
		part := matcherText.FindStringSubmatch(text)
		if part == nil {
			t.Fatalf("matcher %s", text)
		}
		value, found := r.Labels[part[1]]
		if part[1] == "alertname" {
			value = r.Alert
		} else if !found {
			return false
		}
		equal := regexp.MustCompile("^(?:" + part[3] + ")$").MatchString(value)
		return equal == strings.HasPrefix(part[2], "!")
	})
}

// TestInhibitedFirst checks that an alert stands below those of its group that it
// inhibits. Prometheus sends each alert as soon as it has evaluated it. If an alert ended
// before one that it inhibits, and Alertmanager sent the group in between, people would
// get "reached" at the moment when the user has free slots again.
func TestInhibitedFirst(t *testing.T) {
	t.Parallel()
	var example struct {
		InhibitRules []struct {
			SourceMatchers []string `yaml:"source_matchers"`
			TargetMatchers []string `yaml:"target_matchers"`
		} `yaml:"inhibit_rules"`
	}
	unmarshal(t, "alertmanager.yml", &example)
	var file struct{ Groups []ruleGroup }
	unmarshal(t, rulesFile, &file)
	pairs := 0
	for _, group := range file.Groups {
		for i, source := range group.Rules {
			for j, target := range group.Rules {
				if i == j || source.Alert == "" || target.Alert == "" {
					continue
				}
				for _, inhibition := range example.InhibitRules {
					if !source.matches(t, inhibition.SourceMatchers) || !target.matches(t, inhibition.TargetMatchers) {
						continue
					}
					pairs++
					if i < j {
						t.Errorf("group %s: %s (%s) stands above %s (%s), which it inhibits", group.Name, source.Alert, source.Labels["severity"], target.Alert, target.Labels["severity"])
					}
				}
			}
		}
	}
	if pairs < 10 {
		t.Errorf("only %d inhibitions within groups", pairs)
	}
}
