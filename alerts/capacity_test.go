package alerts

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v2"
)

var allMonths = flag.Bool("months", false, "run all cases of TestCapacityMonths (.ci/slow)")

const (
	day = 24 * time.Hour
	// capacityStep is the time between samples and evaluations of TestCapacityMonths.
	capacityStep = time.Hour
	january      = 31 * day
	february     = 28 * day
)

// capacityUse is the analyzer capacity of a site over some weeks. Time 0 is the start of
// January 1970, a Thursday, because promtool begins there.
type capacityUse struct {
	name string
	// minutes returns the minutes bought at a time.
	minutes func(at time.Duration) float64
	// wanted returns how many minutes a day people want to use at a time. They get no
	// more than is left.
	wanted func(at time.Duration) float64
	before float64                     // minutes used before the first data
	reset  func(at time.Duration) bool // whether a period begins at a time; nil means at the start of a month, UTC
	gap    func(at time.Duration) bool // whether no exporter answers; nil means never
	from   int                         // the day of the first data
	days   int
	rare   bool // only with -months

	want []alertState
}

// alertState is what QlikAnalyzerCapacityRunningOut does between two times. The times can
// depend on when the capacity is used up.
type alertState struct {
	state    string // quiet, warning or critical
	from, to func(usedUp time.Duration) time.Duration
}

func constant(value float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return value }
}

func at(days float64) func(time.Duration) time.Duration {
	return func(time.Duration) time.Duration { return time.Duration(days * float64(day)) }
}

// usedUp returns a time relative to that at which the capacity is used up.
func usedUp(offset time.Duration) func(time.Duration) time.Duration {
	return func(usedUp time.Duration) time.Duration { return usedUp + offset }
}

func between(from, to float64) func(time.Duration) bool {
	return func(at time.Duration) bool { return at.Hours() >= 24*from && at.Hours() < 24*to }
}

// office returns a use during ten hours of each working day. The argument is the use of
// such a day.
func office(minutes float64) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		moment := time.Unix(0, 0).UTC().Add(at)
		if weekday := moment.Weekday(); weekday == time.Saturday || weekday == time.Sunday || moment.Hour() < 8 || moment.Hour() >= 18 {
			return 0
		}
		return minutes * 24 / 10
	}
}

// TestCapacityMonths simulates months to the last minute of capacity: somebody is warned
// three days before at least, it is critical when the capacity is used up, and quiet when
// the next period begins. Each use is a site of one Prometheus. Cases that need more than
// a month or a long history are rare.
func TestCapacityMonths(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("is about promtool")
	}
	promtool := needPromtool(t)
	test := capacityMonths(t)
	path := test.write(t, t.TempDir(), test.rules(t, parseRules(t, read(t, rulesFile))))
	if output, ok := promtoolTest(t, promtool, path); !ok {
		t.Errorf("%s", output)
	}
}

func capacityMonths(t *testing.T) unitTest {
	t.Helper()
	inTime, late := usedUp(-3*day), usedUp(2*time.Hour)
	uses := []capacityUse{
		{
			name: "steady, used up on day 27", rare: true, minutes: constant(26000), wanted: constant(1000), days: 34,
			want: []alertState{
				{"quiet", at(0), at(4)}, {"warning", at(8), usedUp(0)}, {"critical", late, at(31)}, {"warning", at(31.15), at(34)}, // not enough for February either
			},
		},
		{
			name: "steady, used up a day before the end", rare: true, minutes: constant(30000), wanted: constant(1000), days: 40,
			want: []alertState{{"warning", inTime, usedUp(0)}, {"critical", late, at(31)}, {"quiet", at(31.05), at(34)}},
		},
		{
			name: "steady, used up in four days", rare: true, minutes: constant(4000), wanted: constant(1000), days: 35,
			want: []alertState{{"warning", inTime, usedUp(0)}, {"critical", late, at(31)}},
		},
		{
			name: "steady, and it lasts", rare: true, minutes: constant(31500), wanted: constant(1000), days: 45,
			want: []alertState{{"quiet", at(0), at(45)}},
		},
		{
			name: "working days, and the last two are too many", minutes: constant(20000), wanted: office(1000), from: 14, before: 10000, days: 34,
			want: []alertState{{"warning", inTime, usedUp(0)}, {"critical", late, at(31)}, {"quiet", at(31.05), at(34)}},
		},
		{
			name: "working days, and it lasts", rare: true, minutes: constant(23500), wanted: office(1000), days: 45,
			// Only an average of the period is known in the first 28 days, and January 8 is the
			// sixth working day of eight.
			want: []alertState{{"quiet", at(0), at(7.4)}, {"quiet", at(12), at(45)}},
		},
		{
			name: "a busy first week", rare: true, minutes: constant(31000), days: 35,
			wanted: func(at time.Duration) float64 {
				if at < 7*day {
					return 3000
				}
				return 300
			},
			want: []alertState{{"warning", at(4), at(8)}, {"quiet", at(29), at(35)}},
		},
		{
			name: "a busy last week", rare: true, minutes: constant(26000), days: 40,
			wanted: func(at time.Duration) float64 {
				if at >= 17*day && at < january {
					return 2000
				}
				return 500
			},
			want: []alertState{{"quiet", at(0), at(17)}, {"warning", inTime, usedUp(0)}, {"critical", late, at(31)}, {"warning", at(31.15), at(36)}},
		},
		{
			name: "no exporter answers for three days", rare: true, minutes: constant(26000), wanted: constant(1000), gap: between(12, 15), days: 40,
			want: []alertState{
				{"warning", at(8), at(12)}, {"quiet", at(12.1), at(15)}, {"warning", at(15.1), usedUp(0)}, {"critical", late, at(31)}, {"warning", at(31.15), at(34)},
			},
		},
		{
			name: "no exporter answers when the period begins", rare: true, minutes: constant(22000), wanted: office(1200), gap: between(29, 33), from: 20, before: 14 * 1200, days: 37,
			want: []alertState{{"critical", late, at(29)}, {"quiet", at(29.1), at(36)}},
		},
		{
			name: "more is bought after the warning", rare: true, days: 40, wanted: constant(1000),
			minutes: func(at time.Duration) float64 {
				if at < 12*day {
					return 20000
				}
				return 35000
			},
			want: []alertState{{"warning", at(6), at(12)}, {"quiet", at(12.05), at(40)}},
		},
		{
			name: "more is bought when all is used up", rare: true, days: 40, wanted: constant(1000),
			minutes: func(at time.Duration) float64 {
				if at < 22*day {
					return 20000
				}
				return 35000
			},
			want: []alertState{{"critical", late, at(22)}, {"quiet", at(22.05), at(40)}},
		},
		{
			name: "the period begins on day 15, and no exporter answers on day 20", rare: true, days: 48,
			minutes: constant(26000), wanted: constant(1000), from: 7, before: 18000, gap: between(19, 20),
			reset: func(at time.Duration) bool { return at == 14*day || at == 45*day },
			want: []alertState{
				{"quiet", at(14.05), at(18)}, {"warning", at(22), usedUp(0)}, {"critical", late, at(45)}, {"warning", at(45.15), at(48)},
			},
		},
		{
			name: "the period begins on day 15, and it lasts", rare: true, minutes: constant(31500), wanted: constant(1000), before: 17000, days: 49,
			reset: func(at time.Duration) bool { return at == 14*day || at == 45*day },
			want:  []alertState{{"quiet", at(14.05), at(49)}},
		},
		{
			name: "the month of the site begins eight hours later", rare: true, minutes: constant(29500), wanted: constant(1000), days: 40,
			reset: func(at time.Duration) bool { return at == january+8*time.Hour },
			want:  []alertState{{"warning", inTime, usedUp(0)}, {"critical", late, at(31.3)}, {"quiet", at(31.4), at(35)}},
		},
		{
			name: "the month of the site begins ten hours earlier", rare: true, minutes: constant(26000), wanted: constant(887), from: 20, before: 20 * 887, days: 42,
			reset: func(at time.Duration) bool { return at == january-10*time.Hour },
			want:  []alertState{{"critical", late, at(30.55)}, {"quiet", at(30.65), at(42)}}, // February has 28 days
		},
		{
			name: "the period begins on the last day of January", rare: true, minutes: constant(26000), wanted: constant(887), from: 22, before: 22 * 887, days: 41,
			reset: func(at time.Duration) bool { return at == 30*day },
			want:  []alertState{{"critical", late, at(30)}, {"quiet", at(30.05), at(34)}, {"warning", at(38), at(41)}}, // it has 31 days
		},
		{
			name: "the period begins on day 15 after one with light use", minutes: constant(26000), from: 5, before: 100, days: 28,
			wanted: func(at time.Duration) float64 {
				if at < 14*day {
					return 20
				}
				return 1000
			},
			reset: func(at time.Duration) bool { return at == 14*day },
			want:  []alertState{{"quiet", at(5), at(18)}, {"warning", at(24), at(28)}},
		},
		{
			name: "the first week of a period counts as a whole week", minutes: constant(19360), from: 6, before: 6 * 143, days: 20,
			wanted: func(at time.Duration) float64 {
				if at < 14*day {
					return 143
				}
				return 1000
			},
			reset: func(at time.Duration) bool { return at == 14*day },
			want:  []alertState{{"quiet", at(6), at(17.9)}, {"warning", at(18.2), at(20)}},
		},
		{
			name: "nobody uses it in January", rare: true, minutes: constant(20000), from: 24, days: 40,
			wanted: func(at time.Duration) float64 {
				if at < january {
					return 0
				}
				return 1000
			},
			want: []alertState{{"quiet", at(24), at(33)}, {"warning", at(37), at(40)}},
		},
		{
			name: "a quarter of the use is taken back", minutes: constant(26000), from: 12, before: 12 * 600, days: 31,
			wanted: func(at time.Duration) float64 {
				if at == 20*day {
					return -3000 * 24 // an hour's
				}
				return 600
			},
			want: []alertState{{"quiet", at(12), at(31)}},
		},
		{
			name: "holidays after two weeks", minutes: constant(20000), days: 31,
			wanted: func(at time.Duration) float64 {
				if at < 14*day {
					return 1000
				}
				return 0
			},
			want: []alertState{{"warning", at(8), at(14)}, {"quiet", at(22.6), at(31)}},
		},
		{
			name: "a little less use later on, and it just lasts", minutes: constant(30000), from: 12, before: 12000, days: 34,
			wanted: func(at time.Duration) float64 {
				if at < 20*day {
					return 1000
				}
				return 900
			},
			want: []alertState{{"warning", at(13), at(30.9)}, {"quiet", at(31.05), at(34)}},
		},
		{
			name: "fewer minutes are allocated", from: 7, before: 7000, days: 24, wanted: constant(1000),
			minutes: func(at time.Duration) float64 {
				if at < 12*day {
					return 35000
				}
				return 20000
			},
			want: []alertState{{"quiet", at(7), at(12)}, {"warning", at(12.1), usedUp(0)}, {"critical", late, at(24)}},
		},
		{
			name: "fewer minutes are allocated than are used", from: 7, before: 7000, days: 14, wanted: constant(1000),
			minutes: func(at time.Duration) float64 {
				if at < 12*day {
					return 35000
				}
				return 10000
			},
			want: []alertState{{"quiet", at(7), at(12)}, {"critical", at(12.1), at(14)}},
		},
		{
			name: "nobody uses it", rare: true, minutes: constant(26000), wanted: constant(0), days: 40,
			want: []alertState{{"quiet", at(0), at(40)}},
		},
		{
			name: "none was bought", minutes: constant(0), wanted: constant(0), days: 10,
			want: []alertState{{"quiet", at(0), at(10)}},
		},
	}
	var series, expressions []any
	for i := range uses {
		if uses[i].rare && !*allMonths {
			continue
		}
		s, e := uses[i].unitTest(t)
		series, expressions = append(series, s...), append(expressions, e...)
	}
	return unitTest{"months of analyzer capacity", "1h", yaml.MapSlice{
		{Key: "interval", Value: "1h"},
		{Key: "input_series", Value: series},
		{Key: "promql_expr_test", Value: expressions},
	}}
}

// unitTest returns the input series of promtool, and the expressions that it checks.
func (u *capacityUse) unitTest(t *testing.T) (series, expressions []any) {
	t.Helper()
	var allocated, used []string
	first := time.Duration(u.from) * day
	left, minutes := time.Duration(0), u.before
	for now := first; now <= time.Duration(u.days)*day; now += capacityStep {
		begins := now == january || now == january+february
		if u.reset != nil {
			begins = u.reset(now)
		}
		if begins {
			minutes = 0
		}
		minutes = min(minutes+u.wanted(now)*capacityStep.Hours()/24, max(u.minutes(now), minutes))
		if left == 0 && minutes > u.minutes(now)-6 {
			left = now
		}
		if u.gap != nil && u.gap(now) {
			allocated, used = append(allocated, "_"), append(used, "_")
			continue
		}
		allocated, used = append(allocated, fmt.Sprint(60*u.minutes(now))), append(used, fmt.Sprint(60*minutes))
	}
	for state, values := range map[string][]string{"allocated": allocated, "used": used} {
		series = append(series, yaml.MapSlice{
			{Key: "series", Value: fmt.Sprintf(`qlik_license_capacity_seconds{job="qlik",site=%q,instance="a",state=%q}`, u.name, state)},
			{Key: "values", Value: fmt.Sprintf("_x%d ", first/capacityStep) + strings.Join(values, " ")},
		})
	}
	for _, want := range u.want {
		expressions = append(expressions, want.expressions(t, u.name, left)...)
	}
	return series, expressions
}

// expressions returns what promtool checks: that the alert of a severity fires in each
// evaluation, and no other.
func (s *alertState) expressions(t *testing.T, site string, left time.Duration) []any {
	t.Helper()
	from, to := s.from(left), s.to(left)
	steps := int((to - from) / capacityStep)
	if steps < 1 {
		t.Fatalf("%s: %s from %s to %s", site, s.state, from, to)
	}
	var all []any
	for _, severity := range []string{"warning", "critical"} {
		want := 0
		if severity == s.state {
			want = steps
		}
		// The samples from the first evaluation to the last one before the end.
		expression := fmt.Sprintf(`sum(count_over_time(ALERTS{alertname="QlikAnalyzerCapacityRunningOut",alertstate="firing",site=%q,severity=%q}[%dm])) or vector(0)`,
			site, severity, steps*int(capacityStep.Minutes())-1)
		all = append(all, yaml.MapSlice{
			{Key: "expr", Value: expression},
			{Key: "eval_time", Value: fmt.Sprintf("%dm", int((from + time.Duration(steps-1)*capacityStep).Minutes()))},
			{Key: "exp_samples", Value: []yaml.MapSlice{{{Key: "value", Value: want}}}},
		})
	}
	return all
}
