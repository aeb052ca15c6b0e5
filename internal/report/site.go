package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

const (
	// enoughData is the share of a week that must have data so that others are compared
	// with it.
	enoughData = 0.9
	// almostAll is the share of the time that must be known completely for a number not to be
	// a lower bound. Counters of the exporter survive short gaps.
	almostAll = 0.99
)

// facts are the answers about a site.
type facts struct {
	*asker

	labels   model.Metric // of the site
	known    []float64    // share of each day with data
	complete []float64    // share of each day with data of all nodes
	// atLeast means that too much data of a reported week is missing or incomplete, so
	// numbers of the reported time are lower bounds.
	atLeast bool
}

// of returns the answers to a question that are about the site.
func (f *facts) of(name string) []series {
	var own []series
	for _, s := range f.answers[name] {
		if s.labels["job"] == f.labels["job"] && s.labels["site"] == f.labels["site"] {
			own = append(own, s)
		}
	}
	return own
}

// with returns the values of the site that have a label with a value, or nil.
func (f *facts) with(name string, label model.LabelName, value string) []float64 {
	for _, s := range f.of(name) {
		if string(s.labels[label]) == value {
			return s.values
		}
	}
	return nil
}

// the returns the only values of the site, or nil.
func (f *facts) the(name string) []float64 {
	for _, s := range f.of(name) {
		return s.values
	}
	return nil
}

// newSite returns the numbers of the site with some labels.
func newSite(a *asker, labels model.Metric, names bool) Site {
	f := &facts{asker: a, labels: labels}
	f.known, f.complete = make([]float64, a.period.days), make([]float64, a.period.days)
	known, incomplete := f.the(askKnown), f.the(askIncomplete)
	for i := range f.known {
		f.known[i] = shareOf(valueAt(known, i), slotsOfDay)
		f.complete[i] = max(f.known[i]-shareOf(valueAt(incomplete, i), slotsOfDay), 0)
	}
	s := Site{
		Job: string(labels["job"]), Site: string(labels["site"]), Rules: sum(f.reported(f.the(askRules))) > 0,
		Gaps: []Gap{}, Causes: []Cause{}, VirtualProxies: []VirtualProxy{}, Timeouts: []Timeout{}, Licenses: []License{}, Nodes: []Node{}, // not null in JSON
	}
	f.describeData(&s)
	f.listWeeks(&s)
	f.describeWeeks(&s, names)
	f.describeCauses(&s)
	f.describeVirtualProxies(&s)
	f.describePrevented(&s)
	f.describeGuard(&s)
	f.describeLicenses(&s)
	f.describePeaks(&s)
	return s
}

// shareOf returns the share of slots with data, from 0 to 1.
func shareOf(slots float64, all int) float64 {
	if math.IsNaN(slots) {
		return 0
	}
	return max(0, min(slots/float64(all), 1))
}

// valueAt returns a value, or NaN if there is none.
func valueAt(values []float64, i int) float64 {
	if i >= len(values) {
		return math.NaN()
	}
	return values[i]
}

// reported returns the values of the reported days.
func (f *facts) reported(days []float64) []float64 {
	if days == nil {
		return nil
	}
	return days[len(days)-f.period.reported:]
}

// describeData says for which time there is data.
func (f *facts) describeData(s *Site) {
	p := f.period
	firstDay := slices.IndexFunc(f.known, func(share float64) bool { return share > 0 })
	if firstDay > 0 || f.known[0] < 1 {
		end := p.from.Add(time.Duration(firstDay+1) * oneDay)
		s.Began.Time = end.Add(-time.Duration(f.known[firstDay] * float64(oneDay)))
	}
	hours := f.the(askKnownHours)
	var lookedAt, known float64
	for i := range p.reported * 24 {
		end := p.reportedFrom().Add(time.Duration(i+1) * time.Hour)
		share := shareOf(valueAt(hours, i), slotsOfHour)
		if share > 0 && end.Add(-time.Hour).Before(s.Began.Time) && lookedAt == 0 {
			s.Began.Time = end.Add(-time.Duration(share * float64(time.Hour))) // to the slot
			lookedAt = share
		} else if !end.Before(s.Began.Time) && !end.Add(-time.Hour).Before(s.Began.Time) {
			lookedAt++
			f.addGap(s, end, share)
		}
		known += share
	}
	if lookedAt > 0 {
		s.Known = min(known/lookedAt, 1)
	}
	if all := sum(f.reported(f.known)); all > 0 {
		s.Incomplete = 1 - sum(f.reported(f.complete))/all
	}
}

// addGap adds the hour that ends at a time to the gaps, unless it is known completely.
func (f *facts) addGap(s *Site, end time.Time, known float64) {
	if known >= 1 {
		return
	}
	missing := (1 - known) * time.Hour.Seconds()
	begin := end.Add(-time.Hour)
	if n := len(s.Gaps); n > 0 && s.Gaps[n-1].To.Equal(begin) {
		s.Gaps[n-1].To = end
		s.Gaps[n-1].MissingSeconds += missing
		return
	}
	s.Gaps = append(s.Gaps, Gap{From: begin, To: end, MissingSeconds: missing})
}

// week returns the days of a week, from those of the whole period.
func week(days []float64, i int) []float64 {
	if days == nil {
		return nil
	}
	return days[i*daysOfWeek : (i+1)*daysOfWeek]
}

// compare returns the number of the reported time that follows from days, and the average of
// the weeks before. The function fold makes the number of days.
func (f *facts) compare(days []float64, fold func([]float64) float64) Compared {
	c := Compared{Value: pointer(fold(f.reported(days))), AtLeast: f.atLeast}
	var before float64
	for i := range WeeksBefore {
		if value := fold(week(days, i)); !math.IsNaN(value) && average(week(f.complete, i)) >= enoughData {
			before += value
			c.BeforeWeeks++
		}
	}
	if c.BeforeWeeks > 0 {
		c.Before = pointer(before / float64(c.BeforeWeeks))
	}
	return c
}

// listWeeks says which weeks have enough data. One week without makes the numbers of the
// whole reported time lower bounds, because it is a part of them.
func (f *facts) listWeeks(s *Site) {
	for i := range f.period.days / daysOfWeek {
		from := f.period.from.Add(time.Duration(i*daysOfWeek) * oneDay)
		w := Week{From: from, To: from.Add(daysOfWeek * oneDay), Known: average(week(f.known, i))}
		w.AtLeast = average(week(f.complete, i)) < almostAll*min(w.To.Sub(s.Began.Time).Seconds()/(daysOfWeek*oneDay).Seconds(), 1)
		f.atLeast = f.atLeast || w.AtLeast && i >= WeeksBefore
		s.Weeks = append(s.Weeks, w)
	}
}

// describeWeeks counts refused logins and people by week.
func (f *facts) describeWeeks(s *Site, names bool) {
	refused, noLicense := f.with(askRefused, "reason", "session_limit"), f.with(askRefused, "reason", "no_license")
	people := f.people()
	s.Refused = f.compare(refused, sum)
	s.NoLicense = f.compare(noLicense, sum)
	weekly := make([]float64, len(s.Weeks))
	for i := range s.Weeks {
		w := &s.Weeks[i]
		count := sum(week(refused, i))
		w.Refused, w.NoLicense = pointer(count), pointer(sum(week(noLicense, i)))
		weekly[i] = math.NaN()
		if !math.IsNaN(count) && people.complete(refused, i*daysOfWeek, (i+1)*daysOfWeek) {
			weekly[i] = float64(people.in(i*daysOfWeek, (i+1)*daysOfWeek))
		}
		w.People = pointer(weekly[i])
	}
	f.comparePeople(s, people, weekly)
	if names {
		s.Persons = people.list(f.period)
	}
}

// comparePeople counts the people of the reported time, and compares a week.
func (f *facts) comparePeople(s *Site, people peopleByDay, weekly []float64) {
	reported := people.in(f.period.days-f.period.reported, f.period.days)
	refused := s.Refused.Value != nil && math.Round(*s.Refused.Value) > 0
	s.People.AtLeast = s.Refused.AtLeast
	switch {
	case s.Refused.Value == nil:
	case reported > 0 || !refused:
		s.People.Value = pointer(float64(reported))
		// A week whose people are unknown may have had others.
		s.People.AtLeast = s.People.AtLeast || slices.ContainsFunc(weekly[WeeksBefore:], math.IsNaN)
	default:
		s.PeopleHidden = s.Rules
	}
	var before float64
	for i, n := range weekly[:WeeksBefore] {
		if !math.IsNaN(n) && average(week(f.complete, i)) >= enoughData {
			before += n
			s.People.BeforeWeeks++
		}
	}
	if s.People.BeforeWeeks > 0 {
		s.People.Before = pointer(before / float64(s.People.BeforeWeeks))
	}
}

// describeCauses counts refused logins by cause.
func (f *facts) describeCauses(s *Site) {
	for _, cause := range f.of(askCauses) {
		c := Cause{Cause: string(cause.labels["cause"]), Refused: f.compare(cause.values, sum)}
		if positive(c.Refused.Value) || positive(c.Refused.Before) {
			s.Causes = append(s.Causes, c)
		}
	}
	slices.SortStableFunc(s.Causes, func(a, b Cause) int { return a.Refused.order(&b.Refused) })

	// An older exporter does not count causes.
	var known, all float64
	for i := range s.Causes {
		known += max(number(s.Causes[i].Refused.Value), 0)
	}
	for _, refused := range []*float64{s.Refused.Value, s.NoLicense.Value} {
		all += max(number(refused), 0)
	}
	if math.Round(known) < math.Round(all*almostAll) {
		for i := range s.Causes {
			s.Causes[i].Refused.AtLeast = true
		}
	}
}

// positive reports whether a number of events is not 0.
func positive(value *float64) bool { return value != nil && *value >= 0.05 }

// order orders the larger number first.
func (c *Compared) order(other *Compared) int {
	return cmp.Or(cmp.Compare(number(other.Value), number(c.Value)), cmp.Compare(number(other.Before), number(c.Before)))
}

func number(value *float64) float64 {
	if value == nil {
		return -1
	}
	return *value
}

// describeVirtualProxies tells where people at the limit have their sessions.
func (f *facts) describeVirtualProxies(s *Site) {
	total := 0.0
	for _, slots := range f.of(askSlots) {
		name := string(slots.labels["virtual_proxy"])
		v := VirtualProxy{
			VirtualProxy: name,
			SlotHours:    f.compare(f.whileKnown(slots.values), sum),
			IdleHours:    f.compare(f.whileKnown(f.with(askIdle, "virtual_proxy", name)), sum),
			Timeout:      pointer(latest(f.reported(f.with(askTimeouts, "virtual_proxy", name)))),
		}
		total += max(number(v.SlotHours.Value), 0)
		s.VirtualProxies = append(s.VirtualProxies, v)
	}
	if total > 0 {
		for i := range s.VirtualProxies {
			if v := &s.VirtualProxies[i]; v.SlotHours.Value != nil {
				v.Share = pointer(*v.SlotHours.Value / total)
			}
		}
	}
	slices.SortStableFunc(s.VirtualProxies, func(a, b VirtualProxy) int {
		return cmp.Or(a.SlotHours.order(&b.SlotHours), a.IdleHours.order(&b.IdleHours))
	})
}

// whileKnown multiplies averages of days with the share of the day with data.
func (f *facts) whileKnown(days []float64) []float64 {
	result := slices.Clone(days)
	for i := range result {
		result[i] *= f.known[i]
	}
	return result
}

// describePrevented tells what shorter timeouts would have prevented, as the recording rule
// timeout:qlik_logins_refused:prevented28d does for 28 days.
func (f *facts) describePrevented(s *Site) {
	longest := math.NaN()
	for _, v := range f.of(askTimeouts) {
		longest = maximum([]float64{longest, latest(f.reported(v.values))})
	}
	s.LongestTimeout = pointer(longest)
	buckets := f.of(askReached)
	reached := make(map[float64]float64) // times that users reached the limit, by the upper bound of the idle time
	for i := range f.period.reported {
		day := make(map[float64]float64)
		for _, bucket := range buckets {
			le, err := strconv.ParseFloat(string(bucket.labels["le"]), 64)
			if value := f.reported(bucket.values)[i]; err == nil && !math.IsNaN(value) {
				day[le] = max(day[le], value) // a bound is written in two ways
			}
		}
		for le, value := range day {
			reached[le] += value
		}
	}
	all := reached[math.Inf(1)]
	if all <= 0 || s.Refused.Value == nil {
		return
	}
	for _, minutes := range shorterTimeouts {
		sooner, known := reached[float64((minutes+endsLater)*60)]
		if known && !(longest <= float64(minutes)) {
			if prevented := pointer(preventedOfShare * *s.Refused.Value * max(all-sooner, 0) / all); prevented != nil {
				s.Timeouts = append(s.Timeouts, Timeout{Minutes: minutes, Prevented: *prevented})
			}
		}
	}
}

// describeGuard tells what the guard did, or would have done.
func (f *facts) describeGuard(s *Site) {
	on, dryRun := f.reported(f.with(askGuardEnded, "mode", "on")), f.reported(f.with(askGuardEnded, "mode", "dry-run"))
	if ended := sum(on); !math.IsNaN(ended) {
		s.Guard = &Guard{On: true, Ended: pointer(ended)}
		return
	}
	ended := sum(dryRun)
	if math.IsNaN(ended) {
		return
	}
	s.Guard = &Guard{Ended: pointer(ended), Returned: pointer(sum(f.reported(f.the(askGuardReturned))))}
	atLimit := sum(f.reported(f.with(askGuardPrevents, "reading", "at_limit")))
	always := sum(f.reported(f.with(askGuardPrevents, "reading", "always")))
	s.Guard.PreventedLow, s.Guard.PreventedHigh = pointer(min(atLimit, always)), pointer(max(atLimit, always))
}

// describePeaks tells the most sessions and users at once.
func (f *facts) describePeaks(s *Site) {
	s.PeakUsers = f.peak(f.the(askUsers), f.the(askUserHours))
	s.PeakSessions = f.peak(f.the(askSessions), f.the(askSessionHours))
	for _, node := range f.of(askNodes) {
		name := string(node.labels["qlik_node"])
		n := Node{Node: name, Peak: f.peak(node.values, f.with(askNodeHours, "qlik_node", name))}
		if n.Peak.Value != nil || n.Peak.Before != nil {
			s.Nodes = append(s.Nodes, n)
		}
	}
	slices.SortStableFunc(s.Nodes, func(a, b Node) int { return a.Peak.order(&b.Peak.Compared) })
}

// peak returns the peak of days, and the first of the hours that has it.
func (f *facts) peak(days, hours []float64) Peak {
	p := Peak{Compared: f.compare(days, maximum)}
	hour := slices.IndexFunc(hours, func(most float64) bool { return p.Value != nil && most >= *p.Value })
	if hour >= 0 {
		p.Hour.Time = f.period.reportedFrom().Add(time.Duration(hour) * time.Hour)
	}
	return p
}

// sum returns the sum of the values that are known, or NaN if none is.
func sum(values []float64) float64 { return fold(values, func(a, b float64) float64 { return a + b }) }

// maximum returns the largest of the values that are known, or NaN if none is.
func maximum(values []float64) float64 {
	return fold(values, func(a, b float64) float64 { return max(a, b) })
}

// latest returns the last of the values that are known, or NaN if none is.
func latest(values []float64) float64 { return fold(values, func(_, b float64) float64 { return b }) }

func fold(values []float64, with func(a, b float64) float64) float64 {
	result := math.NaN()
	for _, value := range values {
		switch {
		case math.IsNaN(value):
		case math.IsNaN(result):
			result = value
		default:
			result = with(result, value)
		}
	}
	return result
}

func average(values []float64) float64 { return sum(values) / float64(len(values)) }

// senseless is larger than any number of a site.
const senseless = 1e15

// pointer returns nil for a number that is unknown.
func pointer(value float64) *float64 {
	if !(math.Abs(value) < senseless) {
		return nil
	}
	return &value
}
