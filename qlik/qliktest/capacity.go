package qliktest

import (
	"maps"
	"time"
)

// capacityUnit is the unit of analyzer capacity (docs/qlik.md, "License models").
const (
	capacityUnit    = 6 * time.Minute
	capacityMinutes = int(capacityUnit / time.Minute)
)

// capacityUse is the analyzer capacity that was used in a month. The period is a calendar month in the time zone of the site's clock.
type capacityUse struct {
	month   time.Time // its start
	minutes int
}

// capacityUsed returns the minutes that were used in the current month.
func (s *Site) capacityUsed(now time.Time) int {
	if month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, now.Location()); month.After(s.capacity.month) {
		s.capacity = capacityUse{month: month}
	}
	return s.capacity.minutes
}

// capacityFor reports whether a user can work on a device: in a unit that has begun, or in another one.
func (s *Site) capacityFor(a *account, device string, now time.Time) bool {
	return a.unitEnds[device].After(now) || s.capacityUsed(now)+capacityMinutes <= s.config.CapacityMinutes
}

// useCapacity begins another unit on a device if the last one has ended.
func (s *Site) useCapacity(a *account, device string, now time.Time) {
	if a.unitEnds[device].After(now) {
		return
	}
	maps.DeleteFunc(a.unitEnds, func(_ string, end time.Time) bool { return !end.After(now) })
	if a.unitEnds == nil {
		a.unitEnds = map[string]time.Time{}
	}
	a.unitEnds[device] = now.Add(capacityUnit)
	s.capacityUsed(now)
	s.capacity.minutes += capacityMinutes
}
