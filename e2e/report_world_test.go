package e2e

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// reportEnd is a Monday. The reported week begins seven days before.
var reportEnd = time.Date(2026, time.September, 14, 0, 0, 0, 0, time.UTC)

const (
	oneDay  = 24 * time.Hour
	oneWeek = 7 * oneDay
)

// on returns a time on a day of the reported week: 0 is Monday, and -1 the Sunday before.
func on(day, hour, minute int) time.Time {
	return reportEnd.Add(-oneWeek + time.Duration(day)*oneDay + time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
}

// span is the time from its begin to before its end.
type span struct{ from, to time.Time }

func anyContains(spans []span, at time.Time) bool {
	return slices.ContainsFunc(spans, func(s span) bool { return !at.Before(s.from) && at.Before(s.to) })
}

// pastSite is a made-up site, and what its exporters said about it.
type pastSite struct {
	job, site string
	began     time.Time // first sample
	exporters []pastExporter
	refusals  []pastRefusal
	counts    []pastSeries // of sessions and users
	series    []pastSeries // others
	users     bool         // series name users
	// upgraded is when the exporter began to tell causes and people.
	upgraded time.Time
	// finely is when samples begin to be one minute apart. Before, they are four minutes apart.
	finely time.Time
}

type pastExporter struct {
	instance string
	second   int         // of the minute in which it is scraped
	away     []span      // without samples
	blind    []span      // Qlik does not answer
	partly   []span      // a node does not answer, so counts are incomplete
	restarts []time.Time // after which counters begin at 0
}

// pastRefusal are logins of a user that Qlik refused within a minute.
type pastRefusal struct {
	at            time.Time
	reason, cause string
	directory, id string
	count         float64
	lost          bool // between the last sample before an outage of Prometheus and the next
}

// pastSeries is another series of an exporter.
type pastSeries struct {
	name   string
	labels string                     // such as a="b",
	value  func(at time.Time) float64 // NaN if absent
}

// always is the value of a gauge that does not change.
func always(value float64) func(time.Time) float64 { return during(value, value) }

// during is the value of a gauge, and another one at some times.
func during(usual, value float64, spans ...span) func(time.Time) float64 {
	return func(at time.Time) float64 {
		if anyContains(spans, at) {
			return value
		}
		return usual
	}
}

// atTheEnd is the value of a gauge that exists only in the last hours.
func atTheEnd(value float64) func(time.Time) float64 {
	return during(math.NaN(), value, span{reportEnd.Add(-3 * time.Hour), reportEnd})
}

// increasing is the value of a counter that increases by an amount at some times.
func increasing(by float64, times ...time.Time) func(time.Time) float64 {
	return func(at time.Time) (sum float64) {
		for _, when := range times {
			if !when.After(at) {
				sum += by
			}
		}
		return sum
	}
}

// quote returns the value of a label as OpenMetrics writes it.
func quote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// newer are metrics that older exporters do not have.
var newer = map[string]bool{"qlik_refusal_causes_total": true, "qlik_user_last_login_refused_timestamp_seconds": true}

// write writes the samples of the site as OpenMetrics.
func (s *pastSite) write(w *bufio.Writer) {
	for i := range s.exporters {
		e := &s.exporters[i]
		for _, each := range s.all(e) {
			prefix := fmt.Sprintf("%s{job=%q,instance=%q,%s", each.name, s.job, e.instance, each.labels)
			if s.site != "" {
				prefix += "site=" + quote(s.site) + ","
			}
			prefix = strings.TrimSuffix(prefix, ",") + "} "
			step := 4 * time.Minute
			for at := s.began.Add(time.Duration(e.second) * time.Second); at.Before(reportEnd); at = at.Add(step) {
				if step > time.Minute && !at.Before(s.finely) {
					step = time.Minute
				}
				value := each.value(at)
				if math.IsNaN(value) || anyContains(e.away, at) || newer[each.name] && at.Before(s.upgraded) {
					continue
				}
				line := append(w.AvailableBuffer(), prefix...)
				line = strconv.AppendFloat(line, value, 'f', -1, 64)
				line = append(line, ' ')
				line = strconv.AppendInt(line, at.Unix(), 10)
				_, _ = w.Write(append(line, '\n')) // Flush returns the error
			}
		}
	}
}

// all returns all series of an exporter.
func (s *pastSite) all(e *pastExporter) []pastSeries {
	unlessBlind := func(value func(time.Time) float64) func(time.Time) float64 {
		return func(at time.Time) float64 {
			if anyContains(e.blind, at) {
				return math.NaN()
			}
			return value(at)
		}
	}
	// since returns when the counters were 0.
	since := func(at time.Time) time.Time {
		last := s.began
		for _, restart := range e.restarts {
			if !restart.After(at) {
				last = restart
			}
		}
		return last
	}
	counter := func(value func(time.Time) float64) func(time.Time) float64 {
		return func(at time.Time) float64 { return value(at) - value(since(at)) }
	}
	refused := func(counts func(*pastRefusal) bool) func(time.Time) float64 {
		return counter(func(at time.Time) (sum float64) {
			for i := range s.refusals {
				if r := &s.refusals[i]; !r.at.After(at) && counts(r) {
					sum += r.count
				}
			}
			return sum
		})
	}
	all := []pastSeries{
		{name: "qlik_up", value: func(at time.Time) float64 { return boolean(!anyContains(e.blind, at)) }},
		{name: "qlik_sessions_complete", value: func(at time.Time) float64 {
			return boolean(!anyContains(e.blind, at) && !anyContains(e.partly, at))
		}},
	}
	causes := []string{"unknown"}
	for i := range s.refusals {
		r := &s.refusals[i]
		if !slices.Contains(causes, r.cause) {
			causes = append(causes, r.cause)
		}
		if !s.users {
			continue
		}
		labels := fmt.Sprintf("reason=%q,user_directory=%s,user_id=%s,", r.reason, quote(r.directory), quote(r.id))
		if slices.ContainsFunc(all, func(each pastSeries) bool { return each.labels == labels }) {
			continue
		}
		all = append(all, pastSeries{name: "qlik_user_last_login_refused_timestamp_seconds", labels: labels, value: func(at time.Time) float64 {
			last := math.NaN()
			for j := range s.refusals {
				other := &s.refusals[j]
				if other.reason == r.reason && other.directory == r.directory && other.id == r.id &&
					!other.at.After(at) && other.at.After(since(at)) && at.Sub(other.at) < oneDay {
					last = float64(other.at.Unix())
				}
			}
			return last
		}})
	}
	for _, reason := range []string{"session_limit", "no_license"} {
		all = append(all, pastSeries{
			name: "qlik_logins_refused_total", labels: fmt.Sprintf("reason=%q,", reason),
			value: refused(func(r *pastRefusal) bool { return r.reason == reason }),
		})
	}
	for _, cause := range causes {
		all = append(all, pastSeries{
			name: "qlik_refusal_causes_total", labels: fmt.Sprintf("cause=%q,", cause),
			value: refused(func(r *pastRefusal) bool { return r.cause == cause }),
		})
	}
	for _, each := range slices.Concat(s.counts, s.series) {
		if strings.HasSuffix(each.name, "_total") || strings.HasSuffix(each.name, "_bucket") {
			each.value = counter(each.value)
		} else {
			each.value = unlessBlind(each.value)
		}
		all = append(all, each)
	}
	return all
}

func boolean(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// reportRules are the recording rules whose series a report reads.
var reportRules = []string{
	"site:qlik_sessions:max", "site:qlik_sessions_complete:max", "site:qlik_users:sum", "qlik_node:qlik_virtual_proxy_sessions:sum",
	"reason:qlik_logins_refused:increase1d", "cause:qlik_refusal_causes:increase1d", "user:qlik_user_last_login_refused:timestamp",
	"virtual_proxy:qlik_slots_at_limit:max", "virtual_proxy:qlik_reclaimable_slots:max", "le:qlik_limit_reached_longest_idle_seconds_bucket:increase1d",
	"license:qlik_license_seats:max", "license:qlik_license_seats_allocated:max", "license:qlik_license_seats_available:min", "license:qlik_license_users_active:max",
	"site:qlik_license_tokens:max", "site:qlik_license_tokens_available:min", "site:qlik_license_valid:min", "site:qlik_license_expiry_timestamp_seconds:min",
	"site:qlik_license_capacity_allocated_seconds:max", "site:qlik_license_capacity_used_seconds:max",
}

// writeReportRules evaluates the shipped rules over all weeks, and writes their results as
// OpenMetrics. Those that look back a day cost most, so they are evaluated once an hour.
func writeReportRules(t *testing.T, p *server, begin time.Time) (file string) {
	t.Helper()
	rules := readRules(t)
	file = filepath.Join(t.TempDir(), "rules.om")
	created, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(created)
	evaluated := make(map[string]bool)
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if !slices.Contains(reportRules, rule.Record) {
				continue
			}
			evaluated[rule.Record] = true
			step := 5 * time.Minute
			if strings.HasSuffix(rule.Record, "1d") {
				step = time.Hour
			}
			// A rule is evaluated at some second, not when the day ends.
			for first := begin.Add(step - 23*time.Second); first.Before(reportEnd); first = first.Add(28 * oneDay) {
				last := first.Add(28*oneDay - step)
				if last.After(reportEnd) {
					last = reportEnd
				}
				value, _, _, err := p.api.QueryRange(t.Context(), rule.Expr, prometheusv1.Range{Start: first, End: last, Step: step})
				matrix, ok := value.(model.Matrix)
				if err != nil || !ok {
					t.Fatalf("%s: %v", rule.Record, err)
				}
				for _, series := range matrix {
					delete(series.Metric, model.MetricNameLabel)
					var labels []string
					for name, value := range model.LabelSet(series.Metric).Merge(rule.Labels) {
						labels = append(labels, string(name)+"="+quote(string(value)))
					}
					for _, sample := range series.Values {
						_, _ = fmt.Fprintf(w, "%s{%s} %v %d\n", rule.Record, strings.Join(labels, ","), float64(sample.Value), sample.Timestamp.Unix())
					}
				}
			}
		}
	}
	for _, record := range reportRules {
		expect(t, evaluated[record], "there is a rule for "+record, evaluated[record])
	}
	_, _ = w.WriteString("# EOF\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := created.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}
