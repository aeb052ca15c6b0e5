package alerts_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/backtest"
)

// Days of a backtest: those before firstJudged fill the windows of the rules. The pools
// go on for longer, because the truth about the last day lies ahead.
const (
	firstJudged = 31
	lastJudged  = 364
	poolDays    = lastJudged + 182
)

// poolKind says how large a pool is, and how steadily people come.
type poolKind int

const (
	small         poolKind = iota // people come as planned, more or less
	large                         // people come independently of each other
	smallAtRandom                 // the same in a small pool: two months say little about the next
)

func (k poolKind) String() string {
	return [...]string{"small pools", "large pools", "small pools at random"}[k]
}

// A pool is a made-up pool of licenses. Its slices have a value for each day. The series
// of capacity have one for each hour. Days on which nothing is left are not judged,
// because then another alert fires.
type pool struct {
	series    map[string][]float64
	comesTrue []bool // the pool runs out, if nothing is bought after this day
	judged    []bool

	kind    string
	license string    // label of its series
	inUse   []float64 // seats or tokens
	runsOut []float64 // days until the pool runs out, if nothing is bought after this day; +Inf if not in the days that follow
	byEnd   []float64 // minutes of capacity that people want by the end of the month, even if less is bought
	before  []float64 // minutes used in the month before; 0 if unknown
}

// date returns the day of a backtest. Its first day is that of promtool, a Thursday.
func date(day int) time.Time { return time.Unix(0, 0).UTC().AddDate(0, 0, day) }

func working(day int) bool {
	weekday := date(day).Weekday()
	return weekday != time.Saturday && weekday != time.Sunday
}

func within(r *rand.Rand, from, to float64) float64 { return from + (to-from)*r.Float64() }

// poisson returns the number of events of a mean.
func poisson(r *rand.Rand, mean float64) (events int) {
	for at := r.ExpFloat64(); at < mean; at += r.ExpFloat64() {
		events++
	}
	return events
}

// slowly returns a factor for each day that wanders about 1 over weeks.
func slowly(r *rand.Rand, spread float64) []float64 {
	const kept = 0.97 // from day to day
	factors, state := make([]float64, poolDays), r.NormFloat64()
	for day := range factors {
		factors[day] = math.Exp(spread * (state - spread/2))
		state = kept*state + math.Sqrt(1-kept*kept)*r.NormFloat64()
	}
	return factors
}

// A license pool has seats or tokens.
type licensePool struct {
	kind     poolKind
	bought   float64 // licenses on the first day
	people   float64 // with a license on the first day
	growth   float64 // people who come a month, beyond those who leave
	turnover float64 // share of the people who leave in a month
	pack     float64 // licenses are sold in packs

	freeAfter int // days after which a license of somebody who has left is free again
}

func newLicensePool(r *rand.Rand, kind poolKind, seed uint64) licensePool {
	p := licensePool{kind: kind, bought: math.Round(within(r, 20, 50)), pack: 10}
	slow, fast := within(r, 0.1, 0.2), within(r, 0.2, 0.4) // of the people, in a month
	if kind == large {
		p.bought, p.pack = math.Round(within(r, 4000, 6000)), 100
		slow, fast = within(r, 0.02, 0.06), within(r, 0.06, 0.12)
	}
	p.people = math.Round(p.bought * within(r, 0.6, 0.9))
	p.growth = p.people * []float64{slow, slow, fast, 0, -slow / 4}[seed%5]
	p.turnover = within(r, 0.04, 0.12) / 12
	return p
}

// wanted returns how many people would have a license on each day if there were enough.
// Some come on each day of work. People leave at any time, and half of them at the end of
// a month.
func (p *licensePool) wanted(r *rand.Rand) []float64 {
	const workingDays = 261.0 / 12 // of a month
	pace := slowly(r, 0.15)
	free := make([]int, poolDays+p.freeAfter)
	people := make([]float64, poolDays)
	now, coming := p.people, 0.0
	for day := range people {
		if working(day) {
			coming += float64(poisson(r, p.turnover*now/workingDays))
			planned := p.growth * pace[day] / workingDays
			if p.kind == small || planned < 0 {
				coming += planned * 2 * r.Float64() // as planned, more or less
			} else {
				coming += float64(poisson(r, planned))
			}
		}
		leaving := poisson(r, p.turnover*now/60)
		if date(day+1).Day() == 1 {
			leaving += poisson(r, p.turnover*now/2)
		}
		free[day+p.freeAfter] += leaving
		whole := math.Floor(coming)
		coming -= whole
		now = max(0, now+whole-float64(free[day]))
		people[day] = now
	}
	return people
}

// total returns the licenses of each day. Somebody orders when few are left, for three
// to six months, and up to 45 days pass until they can be used.
func (p *licensePool) total(r *rand.Rand, people []float64) []float64 {
	total := make([]float64, poolDays)
	now, few, arrives := p.bought, within(r, 0.02, 0.15), -1
	for day := range total {
		if arrives < 0 && now-people[day] <= few*now {
			arrives = day + r.IntN(46)
		}
		if day == arrives {
			now += p.pack * math.Ceil(max(now*within(r, 0.1, 0.3), p.growth*within(r, 3, 6))/p.pack)
			few, arrives = within(r, 0.02, 0.15), -1
		}
		total[day] = now
	}
	return total
}

// judge returns the truth about the pool, without its series.
func judge(kind poolKind, total, people []float64) pool {
	p := pool{kind: kind.String(), comesTrue: make([]bool, poolDays), judged: make([]bool, poolDays), inUse: make([]float64, poolDays), runsOut: make([]float64, poolDays)}
	for day := range p.inUse {
		p.inUse[day] = min(people[day], total[day])
	}
	for day := range lastJudged + 1 {
		p.judged[day], p.runsOut[day] = people[day] < total[day], math.Inf(1)
		if ahead := slices.IndexFunc(people[day+1:], func(people float64) bool { return people >= total[day] }); ahead >= 0 {
			p.runsOut[day] = float64(ahead + 1)
		}
		p.comesTrue[day] = p.runsOut[day] <= 30
	}
	return p
}

func seats(seed uint64, kind poolKind) pool {
	r := rand.New(rand.NewPCG(seed, uint64(kind)))
	licenses := newLicensePool(r, kind, seed)
	people := licenses.wanted(r)
	total := licenses.total(r, people)
	p := judge(kind, total, people)
	p.license = `license="analyzer", `
	available := make([]float64, poolDays)
	for day := range available {
		available[day] = total[day] - p.inUse[day]
	}
	p.series = map[string][]float64{
		`license:qlik_license_seats:max{license="analyzer",`:           total,
		`license:qlik_license_seats_allocated:max{license="analyzer",`: p.inUse,
		`license:qlik_license_seats_available:min{license="analyzer",`: available,
	}
	return p
}

// tokens returns a pool of tokens. As in Qlik, the token of somebody who has left is free
// after a week.
func tokens(seed uint64, kind poolKind) pool {
	r := rand.New(rand.NewPCG(seed, 10+uint64(kind)))
	licenses := newLicensePool(r, kind, seed)
	licenses.freeAfter = 7
	people := licenses.wanted(r)
	total := licenses.total(r, people)
	p := judge(kind, total, people)
	available := make([]float64, poolDays)
	for day := range available {
		available[day] = total[day] - p.inUse[day]
	}
	p.series = map[string][]float64{
		`site:qlik_license_tokens:max{state="total",`: total,
		`site:qlik_license_tokens_used:max{`:          p.inUse,
		`site:qlik_license_tokens_available:min{`:     available,
	}
	return p
}

// holidays reports whether many people are away on a day.
func holidays(day int) bool {
	switch d := date(day); d.Month() {
	case time.January:
		return d.Day() <= 5
	case time.April:
		return d.Day() <= 14
	case time.July:
		return d.Day() >= 16
	case time.August:
		return true
	case time.October:
		return d.Day() >= 18
	case time.December:
		return d.Day() >= 23
	default:
		return false
	}
}

// capacity returns a pool of analyzer capacity. Each person comes on some days, in office
// hours, and uses more or less. They use less on Fridays, little at weekends, and 10 to
// 40 % less in holidays. In all, the use wanders by some 10 % over weeks, and changes by
// -2 to 3 % a month. Over the seeds, the usual use of a month is 60 to 140 % of what was
// bought. Some buy more in the month after one that was too long.
func capacity(seed uint64, kind poolKind) pool {
	const unit = 6 // minutes that each use takes at least
	r := rand.New(rand.NewPCG(seed, 20+uint64(kind)))
	people := 10 + r.IntN(21)
	if kind == large {
		people = 200 + r.IntN(401)
	}
	comes, mean := within(r, 0.2, 0.6), within(r, 15, 45) // share of the days, minutes
	usual, daily := make([]float64, people), 0.0
	for i := range usual {
		usual[i] = mean * math.Exp(0.5*r.NormFloat64())
		daily += usual[i] * comes
	}
	growth, weekend, away := within(r, -0.02, 0.03), within(r, 0, 0.15), within(r, 0.1, 0.4)
	pace := slowly(r, 0.1)
	rhythm := [...]float64{weekend, 1.1, 1.05, 1.05, 1, 0.8, weekend} // from Sunday
	fraction := 0.6 + 0.8*(float64(seed%backtest.Seeds)+0.5)/backtest.Seeds
	bought := unit * math.Round(daily*261/12/fraction/unit)

	const spread = 0.6                     // of one person's use
	wanted := make([]float64, 24*poolDays) // minutes
	for day := range poolDays {
		present := comes * pace[day] * (1 + growth*float64(day)/30) * rhythm[date(day).Weekday()]
		if holidays(day) {
			present *= 1 - away
		}
		present *= math.Exp(0.05 * r.NormFloat64())
		today := 0.0
		for _, minutes := range usual {
			if r.Float64() < present {
				today += unit * math.Ceil(minutes*math.Exp(spread*(r.NormFloat64()-spread/2))/unit)
			}
		}
		for hour := 8; hour < 18; hour++ {
			wanted[24*day+hour] = today / 10
		}
	}

	p := pool{
		kind: kind.String(), comesTrue: make([]bool, poolDays), judged: make([]bool, poolDays),
		byEnd: make([]float64, poolDays), before: make([]float64, poolDays), runsOut: make([]float64, poolDays),
	}
	allocated, used := make([]float64, len(wanted)), make([]float64, len(wanted))
	now, before, buys, more := 0.0, 0.0, -1, 0.0
	for hour := range wanted {
		day := hour / 24
		if hour%24 == 0 && date(day).Day() == 1 {
			if now > bought-unit && r.Float64() < 0.2 {
				buys, more = day+5+r.IntN(20), within(r, 0.1, 0.3)
			}
			now, before = 0, now
		}
		if hour == 24*buys {
			bought += unit * math.Round(bought*more/unit)
		}
		now = min(now+wanted[hour], bought)
		allocated[hour], used[hour] = 60*bought, 60*unit*math.Floor(now/unit)
		if hour%24 == 0 && day <= lastJudged {
			ahead := now
			p.runsOut[day] = math.Inf(1)
			for h := hour + 1; date(h/24).Month() == date(day).Month(); h++ {
				ahead += wanted[h]
				if ahead > bought-unit {
					p.runsOut[day] = min(p.runsOut[day], float64(h-hour)/24)
				}
			}
			p.byEnd[day], p.before[day] = ahead, before
			p.judged[day], p.comesTrue[day] = now <= bought-unit, ahead > bought-unit
		}
	}
	p.series = map[string][]float64{
		`qlik_license_capacity_seconds{state="allocated",`: allocated,
		`qlik_license_capacity_seconds{state="used",`:      used,
	}
	return p
}
