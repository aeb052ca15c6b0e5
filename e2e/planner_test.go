package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// predictions are the names of records that predict. They follow from other records, so that
// not all of them are part of a history.
var predictions = regexp.MustCompile(`:(growth90d|predict\w+|rate28d|weekly_\w+|prevented28d)$|used_up\w*:timestamp$`)

// writePredictions evaluates the rules that predict, over the last day of a history, and
// writes their results as OpenMetrics. A rule can read what another one records: the
// expression of that one is put in its place.
func writePredictions(t *testing.T, p *server, end time.Time) (file string) {
	t.Helper()
	rules := readRules(t)
	names, _, _, err := p.api.LabelValues(t.Context(), model.MetricNameLabel, nil, end.Add(-time.Hour), end)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	var predicted []string
	expressions := make(map[string]string)
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if !predictions.MatchString(rule.Record) || slices.Contains(names, model.LabelValue(rule.Record)) {
				continue
			}
			expr := rule.Expr
			for _, name := range predicted {
				expr = regexp.MustCompile(regexp.QuoteMeta(name)+`\b([^:{]|$)`).ReplaceAllString(expr, "("+expressions[name]+")$1")
			}
			predicted, expressions[rule.Record] = append(predicted, rule.Record), expr
			value, _, _, err := p.api.QueryRange(t.Context(), expr, prometheusv1.Range{Start: end.AddDate(0, 0, -1), End: end, Step: 30 * time.Minute})
			matrix, ok := value.(model.Matrix)
			if err != nil || !ok {
				t.Fatalf("%s: %v; %s", rule.Record, err, expr)
			}
			if header := fmt.Sprintf("# TYPE %s gauge\n", rule.Record); !strings.Contains(text.String(), header) { // rules of a record follow each other
				text.WriteString(header)
			}
			for _, series := range matrix {
				delete(series.Metric, model.MetricNameLabel)
				labels := strings.ReplaceAll(model.LabelSet(series.Metric).Merge(rule.Labels).String(), `", `, `",`) // OpenMetrics has no spaces there
				for _, sample := range series.Values {
					_, _ = fmt.Fprintf(&text, "%s%s %v %d\n", rule.Record, labels, float64(sample.Value), sample.Timestamp.Unix())
				}
			}
		}
	}
	file = filepath.Join(t.TempDir(), "predictions.om")
	if err := os.WriteFile(file, []byte(text.String()+"# EOF\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// importBlocks adds OpenMetrics to the data of a Prometheus that does not run.
func importBlocks(t *testing.T, text, data string) {
	t.Helper()
	// Each block requires reading the whole file, so there are only a few.
	output, err := exec.Command("promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=13122h", text, data).CombinedOutput()
	if err != nil {
		t.Fatalf("promtool: %v\n%s", err, output)
	}
}

// checkPlanner checks that the first panels of the dashboard answer a planner's questions
// as queries of the exporter's own metrics do.
func checkPlanner(t *testing.T, p *server, end time.Time) {
	t.Helper()
	l := &look{prometheus: p, dashboard: "qlik-capacity", begin: end, end: end, variables: map[string]string{"job": "qlik", "site": "demo", "refusals": "10"}}
	shown := func(panel string) *model.Sample {
		t.Helper()
		vector := vector(t, p, l.fill(t, panelQuery(t, l.dashboard, panel)), end)
		if len(vector) != 1 {
			t.Fatalf("%s shows %v", panel, vector)
		}
		return vector[0]
	}

	// When do seats run out? They grow as they usually did in 28 days.
	soonest, license := math.Inf(1), model.LabelValue("")
	for _, name := range []model.LabelValue{"analyzer", "professional"} {
		allocated := func(at time.Time) float64 {
			return number(t, p, fmt.Sprintf("license:qlik_license_seats_allocated:max{site=\"demo\",license=%q}", name), at)
		}
		var grown []float64
		for at := end.Truncate(24 * time.Hour); at.After(end.AddDate(0, 0, -91)); at = at.AddDate(0, 0, -1) {
			grown = append(grown, allocated(at)-allocated(at.AddDate(0, 0, -28)))
		}
		usual := (quantile(grown, 0.35) + quantile(grown, 0.5) + quantile(grown, 0.65)) / 3
		free := number(t, p, fmt.Sprintf("qlik_license_seats_available{site=\"demo\",license=%q}", name), end)
		if left := 28 * (free - 0.5) / usual; left > 0 && left < soonest {
			soonest, license = left, name
		}
	}
	runOut := shown("Seats run out in")
	expect(t, runOut.Metric["license"] == license && math.Abs(float64(runOut.Value)/86400-max(soonest, 1.0/24)) < 0.01,
		fmt.Sprintf("%s seats run out in %.1f days", license, soonest), runOut)

	// When do refusals exceed ten a week? Weeks end where graphs have their bars, which is
	// at a multiple of seven days. The exporter's own metric is kept for a month.
	midnight := end.Truncate(24 * time.Hour)
	refusedInWeek := func(at time.Time) (sum float64) {
		for day := range 7 {
			sum += number(t, p, `sum(reason:qlik_logins_refused:increase1d{site="demo",reason="session_limit"})`, at.AddDate(0, 0, -day))
		}
		return sum
	}
	const week = 7 * 24 * 60 * 60
	above := 0
	for ago := range int64(13) {
		at := time.Unix((end.Unix()/week-ago)*week, 0).UTC()
		refused := refusedInWeek(at)
		if refused > 10 {
			above++
		}
		bar := number(t, p, l.fill(t, panelQuery(t, l.dashboard, "Refused logins a week by reason")), at)
		expect(t, math.Abs(refused-bar) < 0.01, fmt.Sprintf("%.1f logins were refused in the week before %s", refused, at.Format(time.DateOnly)), bar)
		if ago < 3 {
			counted := number(t, p, `sum(increase(qlik_logins_refused_total{site="demo",reason="session_limit"}[7d]))`, at)
			expect(t, math.Abs(counted-bar) < 1, fmt.Sprintf("%.1f of them are counted", counted), bar)
		}
	}
	var weeks []float64
	for day := range 91 {
		weeks = append(weeks, refusedInWeek(midnight.AddDate(0, 0, -day)))
	}
	for record, want := range map[string]float64{"weekly_low": slices.Min(weeks), "weekly_high": slices.Max(weeks)} {
		got := number(t, p, fmt.Sprintf(`reason:qlik_logins_refused:%s{site="demo",reason="session_limit"}`, record), end)
		expect(t, math.Abs(got-want) < 0.01, fmt.Sprintf("%s of 13 weeks is %.1f", record, want), got)
	}
	expect(t, int(shown("Weeks above $refusals").Value) == above, fmt.Sprintf("more than 10 logins were refused in %d of 13 weeks", above), shown("Weeks above $refusals"))
	refused := number(t, p, `sum(increase(qlik_logins_refused_total{site="demo",reason="session_limit"}[7d]))`, midnight)
	tile := float64(shown("Refused in 7 days").Value)
	expect(t, refused > 0 && math.Abs(refused-tile) < 1, fmt.Sprintf("%.1f logins were refused in the last seven days", refused), tile)

	// What would a shorter timeout have prevented? The exporter's own metrics tell it, too.
	increase := func(counter string) float64 {
		return number(t, p, fmt.Sprintf(`sum(increase(%s[28d]))`, counter), midnight)
	}
	inMonth := increase(`qlik_logins_refused_total{site="demo",reason="session_limit"}`)
	month := float64(shown("What a shorter timeout would have prevented").Value)
	expect(t, math.Abs(inMonth-month) < 3, fmt.Sprintf("%.1f logins were refused in 28 days", inMonth), month)
	reached := increase(`qlik_limit_reached_longest_idle_seconds_count{site="demo"}`)
	for timeout, le := range map[string]string{"25m": "1680.0", "20m": "1380.0", "15m": "1080.0", "10m": "780.0"} {
		want := 0.9 * inMonth * (1 - increase(fmt.Sprintf(`qlik_limit_reached_longest_idle_seconds_bucket{site="demo",le=%q}`, le))/reached)
		got := number(t, p, fmt.Sprintf(`timeout:qlik_logins_refused:prevented28d{site="demo",timeout=%q}`, timeout), end)
		expect(t, want > 1 && math.Abs(got-want) < 3, fmt.Sprintf("%.1f of them would not have been with a timeout of %s", want, timeout), got)
	}

	// Which virtual proxy drives it?
	driver := shown("Driven by")
	most := vector(t, p, `topk(1, sum by (virtual_proxy) (sum_over_time(qlik_slots_at_limit{site="demo"}[28d])))`, end)[0]
	all := number(t, p, `sum(sum_over_time(qlik_slots_at_limit{site="demo"}[28d]))`, end)
	expect(t, driver.Metric["virtual_proxy"] == most.Metric["virtual_proxy"] && math.Abs(float64(driver.Value)-float64(most.Value)/all) < 0.01,
		fmt.Sprintf("%.0f %% of the slots at the limit are on %s", 100*float64(most.Value)/all, most.Metric["virtual_proxy"]), driver)
}

// quantile returns a quantile of values as Prometheus does.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	below, rest := math.Modf(q * float64(len(sorted)-1))
	lower, upper := sorted[int(below)], sorted[min(int(below)+1, len(sorted)-1)]
	return lower + (upper-lower)*rest
}

// panelQuery returns the first query of a panel.
func panelQuery(t *testing.T, dashboard, panel string) string {
	t.Helper()
	var file struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(readFile(t, filepath.Join(repository, "dashboards", dashboard+".json")), &file); err != nil {
		t.Fatal(err)
	}
	for _, p := range file.Panels {
		if p.Title == panel {
			return p.Targets[0].Expr
		}
	}
	t.Fatalf("%s has no panel %s", dashboard, panel)
	return ""
}

func vector(t *testing.T, p *server, query string, at time.Time) model.Vector {
	t.Helper()
	value, warnings, _, err := p.api.Query(t.Context(), query, at)
	vector, ok := value.(model.Vector)
	if err != nil || len(warnings) > 0 || !ok || len(vector) == 0 {
		t.Fatalf("%s: %v, %v, %v", query, value, warnings, err)
	}
	return vector
}

func number(t *testing.T, p *server, query string, at time.Time) float64 {
	t.Helper()
	return float64(vector(t, p, query, at)[0].Value)
}
