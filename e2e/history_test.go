package e2e

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// TestHistory imports the demo's past into a real Prometheus and queries it with the
// capacity dashboard.
func TestHistory(t *testing.T) {
	const days = 400 // predictions of peaks need 55 weeks
	// The evening of a day on which a node was down while users were near the
	// limit, so that the rules have a state to hold.
	end := time.Date(2026, time.September, 11, 20, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	// Seats and tokens exclude each other, so there are two sites.
	for _, options := range [][]string{
		{"-site=demo", fmt.Sprintf("-days=%d", days)},
		{"-site=tokens", "-tokens", "-days=60", "-users=100"},
	} {
		importHistory(t, filepath.Join(dir, "history.om"), data, append(options, "-end="+end.Format(time.RFC3339)))
	}
	prometheus := serveHistory(t, data)

	t.Run("rules say the same", func(t *testing.T) {
		// One second after each sample, so that no sample is on the edge of a
		// window.
		checkRecorded(t, prometheus, prometheusv1.Range{Start: end.Add(-24*time.Hour + time.Second), End: end.Add(time.Second), Step: 5 * time.Minute})
	})
	predictions := writePredictions(t, prometheus, end)
	prometheus.stop(t)
	importBlocks(t, predictions, data)
	prometheus = serveHistory(t, data)

	for after, when := range map[time.Duration]string{0: "now", 30 * time.Minute: "half an hour after the exporter has stopped"} {
		t.Run("the dashboard shows the year, "+when, func(t *testing.T) {
			for site, empty := range map[string]string{"demo": "ABCDEF", ".*": ""} {
				l := &look{
					prometheus: prometheus, dashboard: "qlik-capacity", begin: end.AddDate(-1, 0, 0), end: end.Add(after), interval: time.Minute,
					variables: map[string]string{"job": "qlik", "site": site},
					empty:     map[string]string{"annotation Alerts of the site": "alerts are not part of the history"},
				}
				for _, letter := range empty {
					l.empty[fmt.Sprintf("Tokens %c", letter)] = "the license has no tokens"
				}
				answers := l.check(t)
				slowest := slices.MaxFunc(answers, func(a, b answer) int { return cmp.Compare(a.took, b.took) })
				expect(t, slowest.took < time.Second, fmt.Sprintf("each of %d queries over a year is answered within a second", len(answers)),
					fmt.Sprintf("%s in %s", slowest.query, slowest.took))
			}
		})
	}
	t.Run("the dashboard answers a planner", func(t *testing.T) { checkPlanner(t, prometheus, end) })
	t.Run("reports", func(t *testing.T) { checkReportsOfYear(t, prometheus, end) })
}

// checkReportsOfYear makes reports of the year in each language, and compares that of the
// last week with the dashboard.
func checkReportsOfYear(t *testing.T, p *server, end time.Time) {
	t.Helper()
	url, until := "http://"+p.address, "--until="+end.Format(time.RFC3339)
	for _, language := range []string{"en", "fr", "de"} {
		for _, output := range []string{"html", "text"} {
			began := time.Now()
			written := runReport(t, url, "--since=364d", until, "--language="+language, "--output="+output)
			expect(t, since(began) < 20*time.Second, fmt.Sprintf("the report of the year in %s as %s within 20 seconds", language, output), fmt.Sprintf("%d bytes in %s", len(written), since(began)))
			expect(t, strings.Contains(written, "demo") && strings.Contains(written, "tokens"), "both sites", "")
		}
	}
	end = end.Truncate(oneDay)                       // a subquery by day has the days of UTC
	if dir := os.Getenv("E2E_PICTURES"); dir != "" { // the example in docs
		for _, language := range []string{"en", "fr", "de"} {
			page := runReport(t, url, "--site=demo", "--until="+end.Format(time.RFC3339), "--language="+language, "--output=html")
			page = strings.ReplaceAll(page, url, "http://prometheus.example:9090")
			writeFile(t, filepath.Join(dir, "report-"+language+".html"), []byte(page))
		}
	}
	r := readReport(t, url, "--until="+end.Format(time.RFC3339), "--site=demo")
	s := &r.Sites[0]
	l := &look{prometheus: p, dashboard: "qlik-capacity", begin: end.Add(-oneWeek), end: end, variables: map[string]string{"job": "qlik", "site": s.Site}}
	want := number(t, p, l.fill(t, panelQuery(t, l.dashboard, "Refused in 7 days")), end)
	expect(t, is(s.Refused.Value, want), "as many refused logins as on the dashboard", fmt.Sprint(numeral(s.Refused.Value), " and ", want))
	expect(t, s.People.Value != nil && *s.People.Value > 0 && *s.People.Value <= *s.Refused.Value, "people", numeral(s.People.Value))
	for _, week := range s.Weeks {
		expect(t, (week.Refused == nil) == (week.People == nil), "the people of each week with data are known", numeral(week.Refused)+", "+numeral(week.People))
	}
	byCause := 0.0
	for _, cause := range s.Causes {
		byCause += *cause.Refused.Value
	}
	expect(t, closeTo(byCause, *s.Refused.Value+*s.NoLicense.Value), "each refused login has a cause", byCause)
	left := number(t, p, l.fill(t, panelQuery(t, l.dashboard, "Seats run out in")), end)
	soonest := time.Duration(math.MaxInt64)
	for _, license := range s.Licenses {
		if at := license.RunsOut.At; at != nil && (license.License == "professional" || license.License == "analyzer") {
			soonest = min(soonest, at.Sub(end))
		}
	}
	expect(t, math.Abs(left-soonest.Seconds()) < 3600, "seats run out when the dashboard says so", soonest)
}

// serveHistory starts a Prometheus that serves a history and scrapes nothing.
func serveHistory(t *testing.T, data string, more ...string) *server {
	t.Helper()
	return serveData(t, "prometheus", "/dev/null", data, more...)
}

// serveData starts a program of Prometheus that serves data.
func serveData(t *testing.T, name, config, data string, more ...string) *server {
	t.Helper()
	address := freeAddress(t)
	p := start(t, exec.Command(name, append([]string{
		"--config.file=" + config, "--storage.tsdb.path=" + data,
		"--storage.tsdb.retention.time=10y", // the default would delete most of the history
		"--web.listen-address=" + address,
	}, more...)...))
	p.waitReady(t, "http://"+address+"/-/ready")
	return &server{p, queryAPI(t, address), address, data}
}

// importHistory writes a history to a file, and then to the data of a Prometheus.
func importHistory(t *testing.T, path, data string, options []string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	command := exec.Command("go", append([]string{"run", "./tools/history"}, options...)...)
	command.Dir, command.Stdout, command.Stderr = repository, file, os.Stderr
	if err := command.Run(); err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("the history with %s is written in %s: %d MB", options, since(begin), info.Size()>>20)
	begin = time.Now()
	importBlocks(t, path, data)
	t.Logf("promtool imports it in %s: %s", since(begin), strings.Fields(shell(t, "du -sh "+data))[0])
}

// rules are the groups of a file with rules.
type rules struct {
	Groups []struct {
		Rules []struct {
			Record, Expr string
			Labels       model.LabelSet
		}
	}
}

// readRules returns the shipped rules.
func readRules(t *testing.T) (file rules) {
	t.Helper()
	if err := yaml.Unmarshal(readFile(t, rulesFile), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// checkRecorded checks that the recorded series in the history match what the
// rules compute from the rest of the history.
func checkRecorded(t *testing.T, p *server, times prometheusv1.Range) {
	t.Helper()
	file := readRules(t)
	untold := map[string]string{ // with the reason
		"certificate:qlik_certificate_expiry_timestamp_seconds:min": "the history knows no certificates",
		`site:qlik_users_at_limit:timestamp`:                        "users are named",
		`user:qlik_user_unlicensed:last15m`:                         "with analyzer capacity or login access, nobody certainly has no license",
		`user:qlik_limit_state:timestamp{state="denied"}`:           "user:qlik_user_access_denied:timestamp is not part of the history",
		`user:qlik_limit_state:timestamp{state="differs"}`:          "user:qlik_user_access_denied:timestamp is not part of the history",
		`user:qlik_limit_state:timestamp{state="shared"}`:           "nobody shares an account",
		"user:qlik_user_analyzer_capacity:last2h":                   "user:qlik_user_license:timestamp is not part of the history",
		"site:qlik_users_analyzer_capacity_limit_reached:count":     "user:qlik_user_license:timestamp is not part of the history",
		"site:qlik_users_analyzer_capacity_near_limit:count":        "user:qlik_user_license:timestamp is not part of the history",
	}
	// The memory of alerts. No dashboard uses it.
	unwritten := []string{
		"user:qlik_user_sessions_over_limit:max", "user:qlik_user_license:timestamp", "user:qlik_user_access_denied:timestamp",
		"user:qlik_limit_reached_since:timestamp", "user:qlik_limit_state_higher:bool", "user:qlik_user_next_slot_minutes:max",
		"site:qlik_users_limit_reached_usual:max", "site:qlik_many_users_begin:bool", "site:qlik_many_users_half:bool",
		"site:qlik_many_users_near_limit:bool", "site:qlik_many_users_near_limit_critical:bool",
		"virtual_proxy:qlik_virtual_proxy_extra_sessions:sum", "site:qlik_up:count",
		"site:qlik_sessions_complete:max", "site:qlik_sessions_complete:last1h", "user:qlik_user_effective_headroom_watched:min",
	}
	// What the rules of others read. Its own rule takes its place.
	read := []string{"site:qlik_sessions_complete:max", "site:qlik_sessions_complete:last1h", "user:qlik_user_effective_headroom_watched:min", "site:qlik_license_capacity_used_seconds:rate28d"}
	var rulesOfRead []string
	for _, window := range []string{"5m", "1h", "2h", "1d"} {
		unwritten = append(unwritten, "site:qlik_logins_refused:increase"+window, "site:qlik_logins_refused:ratio"+window)
	}
	dashboards := shell(t, "cat "+repository+"/dashboards/*.json")
	for _, record := range unwritten {
		expect(t, !strings.Contains(dashboards, record), "no dashboard uses "+record, "")
	}
	compared := 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if slices.Contains(read, rule.Record) {
				rulesOfRead = append(rulesOfRead, rule.Record, "("+rule.Expr+")")
			}
			if rule.Record == "" || slices.Contains(unwritten, rule.Record) {
				continue
			}
			record := rule.Record
			if len(rule.Labels) > 0 {
				record += rule.Labels.String()
			}
			recorded, evaluated := samples(t, p, record, nil, times), samples(t, p, strings.NewReplacer(rulesOfRead...).Replace(rule.Expr), rule.Labels, times)
			if predictions.MatchString(rule.Record) && len(recorded) == 0 {
				continue // writePredictions
			}
			if why := untold[record]; why != "" {
				expect(t, len(recorded) == 0 && len(evaluated) == 0, record+" is absent: "+why, len(recorded)+len(evaluated))
				continue
			}
			different := 0
			for at := range evaluated {
				if _, ok := recorded[at]; !ok {
					different++
					t.Logf("%s %s: the rule gives %g, the history has nothing", record, at, evaluated[at])
				}
			}
			for at, value := range recorded {
				tolerance := 1e-9 * math.Abs(value)
				if strings.HasSuffix(rule.Record, ":timestamp") {
					tolerance = 1 // the second after the sample
				}
				if want, ok := evaluated[at]; !ok || math.Abs(value-want) > tolerance {
					different++
					t.Logf("%s %s: the history has %g, the rule gives %g, %t", record, at, value, want, ok)
				}
			}
			compared += len(recorded)
			expect(t, different == 0, record+" is what its rule gives", fmt.Sprintf("%d of %d samples differ", different, len(recorded)))
			expect(t, len(recorded) > 0, record+" is part of the history", len(recorded))
		}
	}
	expect(t, compared > 10_000, "samples were compared", compared)
}

// samples returns the values of a query by time and by labels, with additional
// labels.
func samples(t *testing.T, p *server, query string, more model.LabelSet, times prometheusv1.Range) map[string]float64 {
	t.Helper()
	value, warnings, _, err := p.api.QueryRange(t.Context(), query, times)
	matrix, ok := value.(model.Matrix)
	if err != nil || len(warnings) > 0 || !ok {
		t.Fatalf("%s: %T, %v, %v", query, value, warnings, err)
	}
	found := make(map[string]float64)
	for _, series := range matrix {
		delete(series.Metric, model.MetricNameLabel)
		labels := model.LabelSet(series.Metric).Merge(more).String()
		for _, sample := range series.Values {
			found[labels+" at "+sample.Timestamp.Time().UTC().Format(time.DateTime)] = float64(sample.Value)
		}
	}
	return found
}
