package qlik

import "time"

// Capacity is the analyzer capacity of the current period. Qlik counts it in minutes. A
// time is nil if the repository does not say.
type Capacity struct{ Allocated, Used, Unavailable *time.Duration }

// capacityUnit is the smallest amount of capacity that a user can use (docs/qlik.md,
// "License models").
const capacityUnit = 6 * time.Minute

// usualPeriod is the shortest time that shows the usual use. Use differs between working
// days and weekends.
const usualPeriod = 7 * 24 * time.Hour

// CapacityPeriod returns the calendar month of a time. Qlik counts capacity by calendar
// month. The time zone of the site is unknown, so that of the time counts.
func CapacityPeriod(now time.Time) (start, end time.Time) {
	year, month, _ := now.Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, now.Location()), time.Date(year, month+1, 1, 0, 0, 0, 0, now.Location())
}

// UsedUp reports whether less than a unit is left, so that everybody who needs capacity
// is refused.
func (c *Capacity) UsedUp() bool {
	return c.Allocated != nil && c.Used != nil && *c.Allocated > 0 && *c.Allocated-*c.Used < capacityUnit
}

// Lasts returns when the capacity is used up at the average rate of the period so far.
// The first days of a period count as a week, because they may all be working days. The
// time is zero if it is unknown or if nothing is used. The recording rule
// site:qlik_license_capacity_used_up:timestamp has a past, so it uses the rate of the last
// 28 days instead, across periods.
func (c *Capacity) Lasts(now time.Time) time.Time {
	if c.Allocated == nil || c.Used == nil || *c.Used <= 0 || *c.Allocated <= 0 {
		return time.Time{}
	}
	start, _ := CapacityPeriod(now)
	left := max(0, *c.Allocated-*c.Used)
	ahead := left.Seconds() / c.Used.Seconds() * max(now.Sub(start), usualPeriod).Seconds()
	if ahead > (366 * 24 * time.Hour).Seconds() {
		return time.Time{}
	}
	return now.Add(time.Duration(ahead * float64(time.Second)))
}
