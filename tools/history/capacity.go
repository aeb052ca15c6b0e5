package main

import (
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// Analyzer capacity, and login access of a license with tokens.
const (
	unitMinutes = 6
	packMinutes = 500

	// In one month of each year, a stocktaking gives people without a seat so much to look
	// at that the capacity runs out. It is the month with this day before the end.
	stocktaking = 150

	passesPerToken = 10
	passDays       = 28
	tokensAtOnce   = 5
)

// withoutSeat returns what people without a seat use, or without user access.
func (h *history) withoutSeat() qliktest.License {
	if h.Tokens {
		return qliktest.LoginAccess
	}
	return qliktest.AnalyzerCapacity
}

// occasional reports whether a person has no seat and no user access.
func (p *person) occasional() bool {
	return p.license == qliktest.AnalyzerCapacity || p.license == qliktest.LoginAccess
}

// occasion returns the busyness of people without a seat: they look at the figures of a
// month at its end, and at the stocktaking.
func (h *history) occasion(day int64) float64 {
	date := time.Unix(day*daySeconds, 0).UTC()
	switch {
	case publicHoliday(date):
		return busyness(day)
	case h.isStocktaking(date):
		return 3 * ordinary[date.Weekday()]
	case date.AddDate(0, 0, 5).Month() != date.Month():
		return 2 * busyness(day)
	default:
		return busyness(day)
	}
}

func (h *history) isStocktaking(date time.Time) bool {
	for day := h.finalDay - stocktaking; day > date.Unix()/daySeconds-31; day -= 365 {
		if at := time.Unix(day*daySeconds, 0).UTC(); at.Year() == date.Year() && at.Month() == date.Month() {
			return true
		}
	}
	return false
}

// pool is the analyzer capacity.
type pool struct {
	minutes

	units  map[int64][]int      // minutes at which people want to begin units, by day
	orders map[time.Time]uint32 // minutes that the company has from the start of a month
	usedUp int                  // minute of the day after which no unit is left
}

// order decides how many minutes the company has. They are enough for all months but those
// of a stocktaking. The company orders more after each of them.
func (h *history) order(first int64) {
	c := &h.capacity
	c.units, c.orders = make(map[int64][]int), make(map[time.Time]uint32)
	ordered, largest, wanted := time.Unix(first*daySeconds, 0).UTC(), uint32(0), uint32(0)
	for day := first; day <= h.finalDay; day++ {
		c.units[day] = h.units(day)
		wanted += uint32(len(c.units[day])) * unitMinutes //nolint:gosec // a day has few
		date, next := time.Unix(day*daySeconds, 0).UTC(), time.Unix((day+1)*daySeconds, 0).UTC()
		last := day == h.finalDay
		if date.Month() == next.Month() && !last {
			continue
		}
		ended := h.isStocktaking(date)
		if !ended {
			largest = max(largest, wanted)
		}
		wanted = 0
		if ended || last {
			c.orders[ordered] = packs(largest * 11 / 10)
			ordered, largest = next, c.orders[ordered]
		}
	}
}

// meter uses capacity for a day.
func (h *history) meter(day int64) {
	c := &h.capacity
	date := time.Unix(day*daySeconds, 0).UTC()
	if date.Day() == 1 {
		c.used = 0
	}
	if order, ok := c.orders[date]; ok {
		c.allocated = order
	}
	units := c.units[day]
	c.usedUp = lastMinute + 1
	if left := int(c.allocated-c.used) / unitMinutes; left < len(units) {
		c.usedUp, units = units[left], units[:left]
	} else if left == 0 {
		c.usedUp = 0
	}
	for k := range daySteps {
		for len(units) > 0 && units[0] <= k*stepSeconds/60 {
			c.used += unitMinutes
			units = units[1:]
		}
		if s := h.at(day, k); s != nil {
			s.capacity = c.minutes
		}
	}
}

// packs rounds minutes up to what can be ordered.
func packs(minutes uint32) uint32 { return max(1, (minutes+packMinutes-1)/packMinutes) * packMinutes }

// units returns the minutes of a day at which people would begin units of capacity, on each
// device one after another.
func (h *history) units(day int64) (units []int) {
	for _, p := range h.people {
		if p.license != qliktest.AnalyzerCapacity {
			continue
		}
		sessions, _ := h.spend(p, day, lastMinute+1)
		for i := range sessions {
			if sessions[i].refused {
				continue
			}
			end := 0 // of the last unit
			for _, use := range sessions[i].uses {
				for end = max(end, use.begin); end < use.begin+use.minutes; end += unitMinutes {
					units = append(units, end)
				}
			}
		}
	}
	slices.Sort(units)
	return units
}

// passes are those of login access that were begun on the last days.
type passes struct {
	begun  [passDays]int
	today  int
	tokens uint16
}

// count adds the passes of a day, one for each hour of a person, and returns the tokens that
// are allocated to login access: always enough.
func (l *passes) count(people []*person) uint16 {
	l.today = (l.today + 1) % passDays
	l.begun[l.today] = 0
	sum := 0
	for _, p := range people {
		if p.license == qliktest.LoginAccess {
			l.begun[l.today] += bits.OnesCount32(p.hours)
		}
	}
	for _, begun := range l.begun {
		sum += begun
	}
	for int(l.tokens)*passesPerToken < sum {
		l.tokens += tokensAtOnce
	}
	return l.tokens
}

// tokens are the values of the label state of tokens.
var tokens = []struct {
	state string
	value func(s *step) uint16
}{
	{"total", func(s *step) uint16 { return s.seats[0].bought }},
	{"user_access", func(s *step) uint16 { return s.seats[0].allocated }},
	{"login_access", func(s *step) uint16 { return s.loginAccess }},
	{"available", tokensLeft},
}

func tokensLeft(s *step) uint16 { return s.seats[0].bought - s.seats[0].allocated - s.loginAccess }

// detailedCapacity writes the exporter's metrics of analyzer capacity or tokens.
func (t *text) detailedCapacity(from int) {
	if t.Tokens {
		t.family("qlik_license_tokens", "gauge")
		for _, m := range tokens {
			t.series("qlik_license_tokens", fmt.Sprintf("state=%q,%s", m.state, t.target()), from, always(func(i int) int { return int(m.value(&t.steps[i])) }))
		}
		return
	}
	t.family("qlik_license_capacity_seconds", "gauge")
	for _, m := range []struct {
		state string
		value func(minutes) uint32
	}{
		{"allocated", func(m minutes) uint32 { return m.allocated }},
		{"used", func(m minutes) uint32 { return m.used }},
		{"unavailable", func(minutes) uint32 { return 0 }},
	} {
		t.series("qlik_license_capacity_seconds", fmt.Sprintf("state=%q,%s", m.state, t.target()), from, always(func(i int) int {
			return 60 * int(m.value(t.steps[i].capacity))
		}))
	}
}

// capacityRecords writes the series that the rules produce for analyzer capacity or tokens.
func (t *text) capacityRecords() {
	if t.Tokens {
		t.family("site:qlik_license_tokens:max", "gauge")
		for _, m := range tokens[:3] {
			t.series("site:qlik_license_tokens:max", fmt.Sprintf("state=%q,%s", m.state, t.record()), 0, always(func(i int) int { return int(m.value(&t.steps[i])) }))
		}
		t.gauge("site:qlik_license_tokens_available:min", t.record(), 0, always(func(i int) int { return int(tokensLeft(&t.steps[i])) }))
		t.gauge("site:qlik_license_tokens_used:max", t.record(), 0, always(func(i int) int { return int(t.steps[i].seats[0].bought - tokensLeft(&t.steps[i])) }))
		return
	}
	periods := t.periods()
	for _, m := range []struct {
		name  string
		value func(p *period) (float64, bool)
	}{
		{"allocated_seconds:max", func(p *period) (float64, bool) { return p.allocated, true }},
		{"used_seconds:max", func(p *period) (float64, bool) { return p.used, true }},
		{"period_start:timestamp", func(p *period) (float64, bool) { return float64(p.start), true }},
		{"period_end:timestamp", func(p *period) (float64, bool) { return float64(p.end()), true }},
		{"used_before_seconds:max", func(p *period) (float64, bool) { return p.before, p.before > 0 }},
		{"left:bool", func(p *period) (float64, bool) { return float64(boolToInt(p.left())), true }},
		{"used_up:timestamp", func(p *period) (float64, bool) { return p.usedUp, p.usedUp > 0 }},
		{"running_out:bool", func(p *period) (float64, bool) { return float64(boolToInt(p.runningOut)), true }},
	} {
		t.gauge("site:qlik_license_capacity_"+m.name, t.record(), 0, func(i int) (float64, bool) { return m.value(&periods[i]) })
	}
}

// period is what the rules know of the period of analyzer capacity at a step.
type period struct {
	allocated, used float64 // seconds
	start           int64
	before          float64 // use of the period before; 0 if unknown
	usedUp          float64 // 0 if nothing is used
	runningOut      bool
}

func (p *period) left() bool { return p.allocated-p.used >= unitMinutes*60 }

// end returns the end of the period, one month after its start.
func (p *period) end() int64 {
	year, month, _ := time.Unix(p.start+14*3600, 0).UTC().Date()
	days := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return p.start + int64(days)*daySeconds
}

// periods returns what the rules compute at each step (group qlik-analyzer-capacity).
func (h *history) periods() []period {
	const window = 28 * daySteps
	periods := make([]period, len(h.steps))
	begun, before, left := int64(0), 0.0, 0 // left counts the steps of the window at which some was
	var last period
	for i := range periods {
		p := &periods[i]
		p.allocated, p.used = 60*float64(h.steps[i].capacity.allocated), 60*float64(h.steps[i].capacity.used)
		now := h.time(i)
		if i > 0 && p.used < last.used/2 {
			begun, before = now, last.used
		} else if begun <= now-32*daySeconds {
			date := time.Unix(now, 0).UTC()
			begun = time.Date(date.Year(), date.Month(), 1, 0, 0, 0, 0, time.UTC).Unix()
		}
		p.start, p.before = begun, before
		left += boolToInt(p.left())
		rate := p.used / float64(max(now-begun, 7*daySeconds))
		if i >= window {
			left -= boolToInt(periods[i-window].left())
			used := p.used - periods[i-window].used
			if begun > now-28*daySeconds {
				used += before
			}
			if used >= 0 {
				rate = used / (daySeconds * max(28*float64(left)/window, 1))
			}
		}
		if rate > 0 {
			p.usedUp = float64(now) + max(p.allocated-p.used, 0)/rate
		}
		late := -daySeconds / 2.0
		if last.runningOut {
			late += 1.5 * daySeconds
		}
		p.runningOut = rate > 0 && p.usedUp < float64(p.end())+late
		last = *p
	}
	return periods
}
