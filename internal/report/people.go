package report

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// peopleByDay are the days on which people were refused because of the session limit.
type peopleByDay []person

type person struct {
	directory, id string
	refused       []time.Time // last refused login of each day; zero if there was none
}

// people returns who was refused on which days.
func (f *facts) people() peopleByDay {
	var all peopleByDay
	for _, s := range f.of(askPeople) {
		p := person{string(s.labels["user_directory"]), string(s.labels["user_id"]), make([]time.Time, f.period.days)}
		for _, value := range s.values {
			if math.IsNaN(value) {
				continue
			}
			// A refused login is recorded for some hours, also on the next day.
			at := time.UnixMilli(int64(value * 1000)).In(f.period.from.Location())
			day := int(math.Floor(float64(at.Sub(f.period.from)) / float64(oneDay)))
			if day >= 0 && day < len(p.refused) {
				p.refused[day] = at
			}
		}
		all = append(all, p)
	}
	return all
}

// days returns the number of days, from one to before another, on which the person was refused,
// and the last time.
func (p *person) days(from, to int) (n int, last time.Time) {
	for _, at := range p.refused[from:to] {
		if !at.IsZero() {
			n, last = n+1, at
		}
	}
	return n, last
}

// in returns how many people were refused on the days from one to before another.
func (all peopleByDay) in(from, to int) (n int) {
	for i := range all {
		if days, _ := all[i].days(from, to); days > 0 {
			n++
		}
	}
	return n
}

// complete reports whether somebody is known for each of these days with refused logins. Older
// exporters and rules do not tell people. A login that was refused just before midnight is
// counted on the day after.
func (all peopleByDay) complete(refused []float64, from, to int) bool {
	for day := from; day < to; day++ {
		if math.Round(refused[day]) > 0 && all.in(max(day-1, 0), day+1) == 0 { // NaN is not above 0
			return false
		}
	}
	return true
}

// list returns the people of the reported time, those with most days first.
func (all peopleByDay) list(p period) []Person {
	persons := []Person{}
	for i := range all {
		if days, last := all[i].days(p.days-p.reported, p.days); days > 0 {
			persons = append(persons, Person{Directory: all[i].directory, ID: all[i].id, Days: days, Last: last})
		}
	}
	slices.SortFunc(persons, func(a, b Person) int {
		return cmp.Or(cmp.Compare(b.Days, a.Days), b.Last.Compare(a.Last), cmp.Compare(a.Directory, b.Directory), cmp.Compare(a.ID, b.ID))
	})
	return persons
}
