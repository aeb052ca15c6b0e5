package report

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// value is a value of a time series of the site "emea" at some times.
type value struct {
	labels model.Metric
	at     func(t time.Time) float64 // NaN: none
}

// world answers questions by their names.
type world struct {
	values   map[string][]value
	queries  map[string]string // names of the questions by their queries
	limit    int               // maximum number of times of a query; 0 for none
	warnings []string
	asked    int
}

// monday is the end of the reported time.
var monday = time.Date(2026, time.November, 23, 0, 0, 0, 0, time.UTC)

func daysBefore(n int) time.Time { return monday.AddDate(0, 0, -n) }

// newWorld returns a world with data at all times.
func newWorld() *world {
	w := &world{values: make(map[string][]value), queries: make(map[string]string)}
	for _, q := range questions("") {
		w.queries[q.query] = q.name
	}
	w.known(func(time.Time) bool { return true })
	w.set(askRules, nil, always(1440))
	return w
}

func always(v float64) func(time.Time) float64 { return func(time.Time) float64 { return v } }

// set adds the answer to a question.
func (w *world) set(name string, labels model.Metric, at func(time.Time) float64) {
	all := model.Metric{"job": "qlik", "site": "emea"}
	maps.Copy(all, labels)
	w.values[name] = append(w.values[name], value{all, at})
}

// known sets the slots of five minutes for which there is data.
func (w *world) known(is func(time.Time) bool) {
	count := func(length time.Duration) func(time.Time) float64 {
		return func(end time.Time) float64 {
			n := 0.0
			for t := end; t.After(end.Add(-length)); t = t.Add(-slot) {
				if is(t) {
					n++
				}
			}
			if n == 0 {
				return math.NaN()
			}
			return n
		}
	}
	w.values[askKnown], w.values[askKnownHours] = nil, nil
	w.set(askKnown, nil, count(oneDay))
	w.set(askKnownHours, nil, count(time.Hour))
}

// onDays returns values of days, by the number of days from their end to the end of the
// reported time. Other days have the value 0.
func onDays(values map[int]float64) func(time.Time) float64 {
	return func(t time.Time) float64 { return values[int(monday.Sub(t)/oneDay)] }
}

func (w *world) query(_ context.Context, query string, first, last time.Time, step time.Duration) (model.Matrix, []string, error) {
	w.asked++
	if n := int(last.Sub(first)/step) + 1; w.limit > 0 && n > w.limit {
		return nil, nil, limitError{errors.New("too many samples")}
	}
	var matrix model.Matrix
	for _, v := range w.values[w.queries[query]] {
		stream := &model.SampleStream{Metric: v.labels}
		for t := first; !t.After(last); t = t.Add(step) {
			if value := v.at(t); !math.IsNaN(value) {
				stream.Values = append(stream.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(t.UnixNano()), Value: model.SampleValue(value)})
			}
		}
		if stream.Values != nil {
			matrix = append(matrix, stream)
		}
	}
	return matrix, w.warnings, nil
}

// report returns the report of a number of weeks.
func (w *world) report(t *testing.T, weeks int) *Report {
	t.Helper()
	r, err := makeFrom(t.Context(), oneByOne(w), &Options{To: monday, Weeks: weeks, Names: true, Now: monday})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lockedSource asks a world one query after the other.
type lockedSource struct {
	turn chan struct{}
	w    *world
}

func oneByOne(w *world) source { return lockedSource{make(chan struct{}, 1), w} }

func (l lockedSource) query(ctx context.Context, query string, first, last time.Time, step time.Duration) (model.Matrix, []string, error) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	return l.w.query(ctx, query, first, last, step)
}

// site returns the only site of the report of a week.
func (w *world) site(t *testing.T) *Site {
	t.Helper()
	r := w.report(t, 1)
	if len(r.Sites) != 1 {
		t.Fatalf("%d sites", len(r.Sites))
	}
	return &r.Sites[0]
}

func shown(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return strconv.FormatFloat(math.Round(*v*1000)/1000, 'f', -1, 64)
}

func (c *Compared) String() string {
	words := shown(c.Value)
	if c.AtLeast {
		words = "at least " + words
	}
	return words + ", before " + shown(c.Before) + " (" + strconv.Itoa(c.BeforeWeeks) + " weeks)"
}

func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestRefusedByWeek(t *testing.T) {
	w := newWorld()
	// Each day of the reported week 3, each day before 1, and 10 more six weeks ago.
	w.set(askRefused, model.Metric{"reason": "session_limit"}, func(end time.Time) float64 {
		switch days := monday.Sub(end) / oneDay; {
		case days < 7:
			return 3
		case days == 45:
			return 11
		default:
			return 1
		}
	})
	w.set(askRefused, model.Metric{"reason": "no_license"}, onDays(map[int]float64{0: 1, 6: 1, 7: 5}))
	s := w.site(t)
	check(t, "refused", s.Refused.String(), "21, before 7.833 (12 weeks)")
	check(t, "refused without license", s.NoLicense.String(), "2, before 0.417 (12 weeks)")
	check(t, "number of weeks", len(s.Weeks), 13)
	check(t, "last week", shown(s.Weeks[12].Refused), "21")
	check(t, "begin of the last week", s.Weeks[12].From, daysBefore(7))
	check(t, "end of the last week", s.Weeks[12].To, monday)
	check(t, "week with 10 more", shown(s.Weeks[6].Refused), "17")
}

func TestReportOfSeveralWeeks(t *testing.T) {
	w := newWorld()
	w.set(askRefused, model.Metric{"reason": "session_limit"}, always(2))
	r := w.report(t, 4)
	check(t, "begin", r.From, daysBefore(28))
	check(t, "refused", r.Sites[0].Refused.String(), "56, before 14 (12 weeks)")
	check(t, "number of weeks", len(r.Sites[0].Weeks), 16)
}

// TestGap has no data from Tuesday noon to Friday 12:30.
func TestGap(t *testing.T) {
	w := newWorld()
	from, to := daysBefore(6).Add(12*time.Hour), daysBefore(3).Add(12*time.Hour+30*time.Minute)
	w.known(func(at time.Time) bool { return !at.After(from) || at.After(to) })
	unknown := func(end time.Time) float64 { // whole days without data have no value
		if begin := end.Add(-oneDay); !begin.Before(from) && !end.After(to) {
			return math.NaN()
		}
		return 2
	}
	w.set(askRefused, model.Metric{"reason": "session_limit"}, unknown)
	w.set(askSessions, nil, func(end time.Time) float64 { return unknown(end) * 50 })
	s := w.site(t)
	check(t, "gaps", len(s.Gaps), 1)
	check(t, "begin of the gap", s.Gaps[0].From, from)
	check(t, "end of the gap, to the hour", s.Gaps[0].To, daysBefore(3).Add(13*time.Hour))
	check(t, "missing", s.Gaps[0].MissingSeconds, 72.5*3600)
	check(t, "known", math.Round(s.Known*1e6), math.Round(1e6*(168-72.5)/168))
	check(t, "known in the week", math.Round(s.Weeks[12].Known*1e6), math.Round(1e6*(168-72.5)/168))
	check(t, "refused", s.Refused.String(), "at least 10, before 14 (12 weeks)")
	check(t, "peak", s.PeakSessions.String(), "at least 100, before 100 (12 weeks)")
	check(t, "began", s.Began.IsZero(), true)
}

// TestGapBefore checks that weeks without enough data are not compared.
func TestGapBefore(t *testing.T) {
	w := newWorld()
	w.known(func(at time.Time) bool { return !at.After(daysBefore(21)) || at.After(daysBefore(20)) }) // a day is missing
	w.set(askRefused, model.Metric{"reason": "session_limit"}, func(end time.Time) float64 {
		if end.Equal(daysBefore(20)) {
			return math.NaN()
		}
		return 1
	})
	s := w.site(t)
	check(t, "refused", s.Refused.String(), "7, before 7 (11 weeks)")
	check(t, "week with the gap", shown(s.Weeks[10].Refused), "6")
	check(t, "lower bound", s.Weeks[10].AtLeast, true)
	check(t, "gaps of the reported week", len(s.Gaps), 0)
}

// TestGapInOneOfFourWeeks checks that a total is a lower bound if one of its parts is.
func TestGapInOneOfFourWeeks(t *testing.T) {
	w := newWorld()
	w.known(func(at time.Time) bool { return !at.After(daysBefore(20)) || at.After(daysBefore(20).Add(3*time.Hour)) })
	w.set(askRefused, model.Metric{"reason": "session_limit"}, always(1))
	s := w.report(t, 4).Sites[0]
	for i, want := range []bool{false, true, false, false} {
		check(t, "week", s.Weeks[WeeksBefore+i].AtLeast, want)
	}
	check(t, "refused", s.Refused.String(), "at least 28, before 7 (12 weeks)")
}

func TestSiteThatBeganOnWednesday(t *testing.T) {
	w := newWorld()
	began := daysBefore(5).Add(9*time.Hour + 20*time.Minute)
	w.known(func(at time.Time) bool { return at.After(began) })
	w.set(askRefused, model.Metric{"reason": "session_limit"}, func(end time.Time) float64 {
		if !end.After(began) {
			return math.NaN()
		}
		return 1
	})
	s := w.site(t)
	check(t, "began", s.Began.Time, began)
	check(t, "known", s.Known, 1)
	check(t, "gaps", len(s.Gaps), 0)
	check(t, "refused", s.Refused.String(), "5, before unknown (0 weeks)")
	check(t, "lower bound", s.Weeks[12].AtLeast, false)
	check(t, "week before", s.Weeks[11].Known == 0 && s.Weeks[11].Refused == nil, true)
}

func TestIncomplete(t *testing.T) {
	w := newWorld()
	w.set(askIncomplete, nil, func(end time.Time) float64 {
		switch int(monday.Sub(end) / oneDay) {
		case 0:
			return 252 // of 288
		case 30, 31:
			return 288
		}
		return math.NaN()
	})
	w.set(askRefused, model.Metric{"reason": "session_limit"}, always(1))
	s := w.site(t)
	check(t, "incomplete", math.Round(s.Incomplete*1e6), 125_000)
	check(t, "refused", s.Refused.String(), "at least 7, before 7 (11 weeks)")
	check(t, "lower bound of the week", s.Weeks[12].AtLeast, true)
	check(t, "lower bound of an incomplete week before", s.Weeks[8].AtLeast, true)
	check(t, "other week before", s.Weeks[11].AtLeast, false)
}

// refusedAt returns the values of a person whose refused logins are recorded for six hours.
func refusedAt(times ...time.Time) func(time.Time) float64 {
	return func(end time.Time) float64 {
		last := math.NaN()
		for _, at := range times {
			if at.Before(end) && at.Add(6*time.Hour).After(end.Add(-oneDay)) {
				last = float64(at.Unix())
			}
		}
		return last
	}
}

func TestPeople(t *testing.T) {
	w := newWorld()
	w.set(askRefused, model.Metric{"reason": "session_limit"}, onDays(map[int]float64{5: 2, 1: 1, 0: 1, 7: 1, 15: 1}))
	person := func(id string, times ...time.Time) {
		w.set(askPeople, model.Metric{"user_directory": "CORP", "user_id": model.LabelValue(id)}, refusedAt(times...))
	}
	person("anna", daysBefore(6).Add(time.Hour), daysBefore(6).Add(2*time.Hour), daysBefore(2).Add(23*time.Hour))
	person("ben", daysBefore(1).Add(time.Hour))
	person("eve", daysBefore(7).Add(-time.Hour)) // recorded on the first day of the week, too
	s := w.site(t)
	check(t, "people", s.People.String(), "2, before 0.091 (11 weeks)")
	check(t, "people of the week before", shown(s.Weeks[11].People), "1")
	check(t, "people of a week with refused logins but without people", shown(s.Weeks[10].People), "unknown")
	check(t, "persons", len(s.Persons), 2)
	check(t, "first person", s.Persons[0], Person{"CORP", "anna", 2, daysBefore(2).Add(23 * time.Hour)})
	check(t, "second person", s.Persons[1], Person{"CORP", "ben", 1, daysBefore(1).Add(time.Hour)})
}

// TestPeopleOfNewExporter checks a week in which an exporter was upgraded that did not tell
// people and causes.
func TestPeopleOfNewExporter(t *testing.T) {
	w := newWorld()
	w.set(askRefused, model.Metric{"reason": "session_limit"}, onDays(map[int]float64{5: 8, 1: 2, 8: 1}))
	w.set(askCauses, model.Metric{"cause": "program"}, onDays(map[int]float64{1: 2}))
	w.set(askPeople, model.Metric{"user_directory": "CORP", "user_id": "anna"}, refusedAt(daysBefore(2).Add(time.Hour)))
	s := w.site(t)
	check(t, "refused", s.Refused.String(), "10, before 0.083 (12 weeks)")
	check(t, "people", s.People.String(), "at least 1, before 0 (11 weeks)")
	check(t, "cause", s.Causes[0].Refused.String(), "at least 2, before 0 (12 weeks)")
}

// TestPeopleAtMidnight checks a login that was refused seconds before the counter was read on
// the next day.
func TestPeopleAtMidnight(t *testing.T) {
	w := newWorld()
	w.set(askRefused, model.Metric{"reason": "session_limit"}, onDays(map[int]float64{4: 1}))
	w.set(askPeople, model.Metric{"user_directory": "CORP", "user_id": "anna"}, refusedAt(daysBefore(5).Add(-10*time.Second)))
	check(t, "people", w.site(t).People.String(), "1, before 0 (12 weeks)")
}

func TestPeopleAreHidden(t *testing.T) {
	w := newWorld()
	w.set(askRefused, model.Metric{"reason": "session_limit"}, onDays(map[int]float64{3: 4}))
	s := w.site(t)
	check(t, "people", shown(s.People.Value), "unknown")
	check(t, "hidden", s.PeopleHidden, true)
	check(t, "people of a week without refused logins", shown(s.Weeks[11].People), "0")
}

func TestNobodyWasRefused(t *testing.T) {
	w := newWorld()
	w.set(askRefused, model.Metric{"reason": "session_limit"}, always(0))
	s := w.site(t)
	check(t, "refused", s.Refused.String(), "0, before 0 (12 weeks)")
	check(t, "people", s.People.String(), "0, before 0 (12 weeks)")
	check(t, "hidden", s.PeopleHidden, false)
}

func TestCausesAndVirtualProxies(t *testing.T) {
	w := newWorld()
	w.known(func(at time.Time) bool { return at.After(daysBefore(0).Add(-12 * time.Hour)) })
	w.set(askCauses, model.Metric{"cause": "program"}, onDays(map[int]float64{0: 1}))
	w.set(askCauses, model.Metric{"cause": "forgotten_windows"}, onDays(map[int]float64{0: 5}))
	w.set(askCauses, model.Metric{"cause": "unknown"}, always(0))
	w.set(askSlots, model.Metric{"virtual_proxy": "/"}, onDays(map[int]float64{0: 24}))
	w.set(askSlots, model.Metric{"virtual_proxy": "/sales"}, onDays(map[int]float64{0: 72}))
	w.set(askIdle, model.Metric{"virtual_proxy": "/sales"}, onDays(map[int]float64{0: 12}))
	w.set(askTimeouts, model.Metric{"virtual_proxy": "/sales"}, always(30))
	s := w.site(t)
	check(t, "causes", len(s.Causes), 2)
	check(t, "first cause", s.Causes[0].Cause+" "+shown(s.Causes[0].Refused.Value), "forgotten_windows 5")
	check(t, "first virtual proxy", s.VirtualProxies[0].VirtualProxy, "/sales")
	check(t, "slot hours in half a day", shown(s.VirtualProxies[0].SlotHours.Value), "36")
	check(t, "share", shown(s.VirtualProxies[0].Share), "0.75")
	check(t, "idle slot hours", shown(s.VirtualProxies[0].IdleHours.Value), "6")
	check(t, "timeout", shown(s.VirtualProxies[0].Timeout), "30")
	check(t, "idle slot hours of the other", shown(s.VirtualProxies[1].IdleHours.Value), "unknown")
}

func TestShorterTimeouts(t *testing.T) {
	w := newWorld()
	w.set(askRefused, model.Metric{"reason": "session_limit"}, onDays(map[int]float64{0: 20, 9: 100}))
	w.set(askTimeouts, model.Metric{"virtual_proxy": "/"}, always(20))
	w.set(askTimeouts, model.Metric{"virtual_proxy": "/sales"}, always(10))
	for le, n := range map[string]float64{"+Inf": 10, "1680.0": 9, "1380.0": 8, "1080.0": 6, "780": 5, "780.0": 4} {
		w.set(askReached, model.Metric{"le": model.LabelValue(le)}, onDays(map[int]float64{2: n, 30: 1000}))
	}
	s := w.site(t)
	check(t, "longest timeout", shown(s.LongestTimeout), "20")
	check(t, "timeouts", len(s.Timeouts), 2)
	check(t, "15 minutes", s.Timeouts[0], Timeout{15, 0.9 * 20 * 4 / 10})
	check(t, "10 minutes", s.Timeouts[1], Timeout{10, 0.9 * 20 * 5 / 10})
}

func TestGuard(t *testing.T) {
	w := newWorld()
	check(t, "off", w.site(t).Guard == nil, true)
	w.set(askGuardEnded, model.Metric{"mode": "dry-run"}, onDays(map[int]float64{1: 7, 7: 1}))
	w.set(askGuardReturned, nil, onDays(map[int]float64{1: 2}))
	w.set(askGuardPrevents, model.Metric{"reading": "at_limit"}, onDays(map[int]float64{1: 5}))
	w.set(askGuardPrevents, model.Metric{"reading": "always"}, onDays(map[int]float64{1: 3}))
	g := w.site(t).Guard
	check(t, "dry run", shown(g.Ended)+" "+shown(g.Returned)+" "+shown(g.PreventedLow)+" "+shown(g.PreventedHigh), "7 2 3 5")
	w.set(askGuardEnded, model.Metric{"mode": "on"}, onDays(map[int]float64{0: 4}))
	g = w.site(t).Guard
	check(t, "on", g.On, true)
	check(t, "ended", shown(g.Ended), "4")
	check(t, "prevented", shown(g.PreventedLow), "unknown")
}

func TestLicenses(t *testing.T) {
	w := newWorld()
	day := func(n int) float64 { return float64(monday.AddDate(0, 0, n).Unix()) }
	professional, analyzer := model.Metric{"license": "professional"}, model.Metric{"license": "analyzer"}
	for name, values := range map[string][2]float64{
		askSeats: {60, 400}, askAllocated: {60, 390}, askAvailable: {0, 10}, askActive: {70, 350},
		askRunOut("seats", runOutLikely): {math.NaN(), day(40)}, askRunOut("seats", runOutEarliest): {math.NaN(), day(20)}, askRunOut("seats", runOutLatest): {math.NaN(), math.Inf(1)},
	} {
		w.set(name, professional, always(values[0]))
		w.set(name, analyzer, always(values[1]))
	}
	w.set(askCapacity, nil, always(1000))
	w.set(askCapacityUsed, nil, always(900))
	w.set(askMonthEnds, nil, always(day(8)))
	w.set(askRunOut("capacity", runOutLikely), nil, always(day(9)))
	w.set(askValid, nil, always(1))
	s := w.site(t)
	check(t, "licenses", len(s.Licenses), 3)
	p, a, c := s.Licenses[0], s.Licenses[1], s.Licenses[2]
	check(t, "professional", shown(p.Bought)+" "+shown(p.Assigned)+" "+shown(p.Free)+" "+shown(p.Unused)+" "+p.RunsOut.State, "60 60 0 0 out")
	check(t, "analyzer", shown(a.Unused)+" "+a.RunsOut.State, "40 date")
	check(t, "analyzer runs out", a.RunsOut.At.Time, monday.AddDate(0, 0, 40))
	check(t, "at the earliest", a.RunsOut.Earliest.Time, monday.AddDate(0, 0, 20))
	check(t, "at the latest", a.RunsOut.Band && a.RunsOut.Latest.IsZero(), true)
	check(t, "capacity", c.License+" "+shown(c.Free)+" "+c.RunsOut.State, "capacity 100 not_soon")
	check(t, "valid", *s.LicenseValid, true)
	check(t, "license ends", s.LicenseEnds.IsZero(), true)
}

func TestPeaks(t *testing.T) {
	w := newWorld()
	w.set(askNodes, model.Metric{"qlik_node": "qlik1"}, onDays(map[int]float64{0: 5, 3: 9}))
	w.set(askNodes, model.Metric{"qlik_node": "qlik2"}, onDays(map[int]float64{5: 12, 8: 24}))
	w.set(askNodeHours, model.Metric{"qlik_node": "qlik2"}, func(end time.Time) float64 {
		if hours := daysBefore(5).Sub(end) / time.Hour; hours == 10 || hours == 9 {
			return 12
		}
		return 11
	})
	s := w.site(t)
	check(t, "first node", s.Nodes[0].Node+" "+s.Nodes[0].Peak.String(), "qlik2 12, before 2 (12 weeks)")
	check(t, "hour of the peak", s.Nodes[0].Peak.Hour.Time, daysBefore(5).Add(-11*time.Hour))
	check(t, "unknown hour of a peak", s.Nodes[1].Peak.Hour.IsZero(), true)
	check(t, "second node", s.Nodes[1].Node+" "+shown(s.Nodes[1].Peak.Value), "qlik1 9")
}

func TestWithoutRules(t *testing.T) {
	w := newWorld()
	w.values[askRules] = nil
	w.set(askRefused, model.Metric{"reason": "session_limit"}, always(1))
	s := w.site(t)
	check(t, "rules", s.Rules, false)
	check(t, "refused", shown(s.Refused.Value), "7")
	check(t, "people", s.People.Value == nil && !s.PeopleHidden, true)
}

func TestTitles(t *testing.T) {
	sites := []Site{{Job: "qlik", Site: "emea"}, {Job: "test", Site: "emea"}, {Job: "qlik", Site: "apac"}, {Job: "alone"}}
	nameSites(sites)
	for i, want := range []string{"alone", "apac", "emea (qlik)", "emea (test)"} {
		check(t, "title", sites[i].Title, want)
	}
}

// TestLimit checks that questions are split until the server accepts them, with the same
// answers.
func TestLimit(t *testing.T) {
	w := newWorld()
	w.set(askRefused, model.Metric{"reason": "session_limit"}, func(end time.Time) float64 { return float64(end.Day()) })
	want := w.site(t).Refused.String()
	asked := w.asked
	w.limit, w.asked = 3, 0
	check(t, "refused", w.site(t).Refused.String(), want)
	if w.asked <= asked {
		t.Error("the questions were not split")
	}
}

// refusesAll is a server with a limit that is too low for any question.
type refusesAll struct{}

func (refusesAll) query(context.Context, string, time.Time, time.Time, time.Duration) (model.Matrix, []string, error) {
	return nil, nil, limitError{errors.New("too many samples")}
}

func TestLimitIsTooLow(t *testing.T) {
	_, err := makeFrom(t.Context(), refusesAll{}, &Options{To: monday, Weeks: 1})
	if err == nil || err.Error() != "too many samples" {
		t.Error(err)
	}
}

func TestWarnings(t *testing.T) {
	w := newWorld()
	w.warnings = []string{"store 10.0.0.1 did not\nanswer"}
	r := w.report(t, 1)
	check(t, "warnings", len(r.Warnings), 1)
	check(t, "warning", r.Warnings[0], "store 10.0.0.1 did not answer")
}

func TestNoData(t *testing.T) {
	w := newWorld()
	w.values[askKnown] = nil
	_, err := makeFrom(t.Context(), oneByOne(w), &Options{To: monday, Weeks: 1})
	if err == nil || err.Error() != "this Prometheus has no data of qlik_exporter since 2026-08-24: there is no metric qlik_sessions; check --prometheus.url, and on its page Targets that it scrapes the exporter" {
		t.Error(err)
	}
}

// TestSenselessValues checks that no answer of a server breaks the report or its JSON.
func TestSenselessValues(t *testing.T) {
	for _, value := range []float64{math.Inf(1), math.Inf(-1), 0, -5, math.MaxFloat64, -math.MaxFloat64} {
		w := newWorld()
		for _, q := range questions("") {
			w.set(q.name, model.Metric{
				"reason": "session_limit", "le": "+Inf", "mode": "dry-run", "reading": "always", "license": "analyzer", "virtual_proxy": "/", "qlik_node": "a", "cause": "unknown",
			}, always(value))
		}
		w.values[askRefused] = nil
		w.set(askRefused, model.Metric{"reason": "session_limit"}, always(1))
		w.set(askReached, model.Metric{"le": "780"}, always(value))
		r := w.report(t, 1)
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%v: %v", value, err)
		}
		for _, number := range []*float64{r.Sites[0].PeakSessions.Value, r.Sites[0].PeakUsers.Before, r.Sites[0].Guard.Ended} {
			if number != nil && math.Abs(*number) >= senseless {
				t.Errorf("%v becomes %v", value, *number)
			}
		}
		w.values[askKnown], w.values[askKnownHours] = nil, nil
		w.set(askKnown, nil, always(value))
		w.set(askKnownHours, nil, always(value))
		switch r, err := makeFrom(t.Context(), oneByOne(w), &Options{To: monday, Weeks: 1}); {
		case err == nil:
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("%v: %v", value, err)
			}
		case !strings.Contains(err.Error(), "has no data of qlik_exporter"):
			t.Errorf("%v: %v", value, err)
		}
	}
}
