package report

import (
	"math"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Licenses that do not consist of seats.
const (
	Tokens   = "tokens"
	Capacity = "capacity"
)

// capacityUnit is the smallest amount of capacity in minutes: less is as good as none.
const capacityUnit = 6

// describeLicenses tells how many licenses there are, and when none are left.
func (f *facts) describeLicenses(s *Site) {
	if valid := latest(f.the(askValid)); !math.IsNaN(valid) {
		isValid := valid != 0
		s.LicenseValid = &isValid
	}
	s.LicenseEnds = timeOf(latest(f.the(askExpiry)))
	for _, license := range qlik.AllocatedLicenses() {
		seats := func(name string) float64 { return latest(f.with(name, "license", license)) }
		l := License{
			License: license, Bought: pointer(seats(askSeats)), Assigned: pointer(seats(askAllocated)), Free: pointer(seats(askAvailable)),
			Active: pointer(seats(askActive)), Unused: pointer(max(seats(askAllocated)-seats(askActive), 0)),
		}
		if l.Bought == nil && l.Assigned == nil {
			continue
		}
		l.RunsOut = f.runsOut(l.Free, 1, f.period.to().Add(horizon), func(end string) float64 { return seats(askRunOut("seats", end)) })
		s.Licenses = append(s.Licenses, l)
	}
	if total, free := latest(f.the(askTokens)), latest(f.the(askTokensFree)); total > 0 {
		s.Licenses = append(s.Licenses, License{
			License: Tokens, Bought: pointer(total), Assigned: pointer(total - free), Free: pointer(free),
			RunsOut: f.runsOut(pointer(free), 1, f.period.to().Add(horizon), func(end string) float64 { return latest(f.the(askRunOut("tokens", end))) }),
		})
	}
	if total, used := latest(f.the(askCapacity)), latest(f.the(askCapacityUsed)); total > 0 {
		l := License{License: Capacity, Bought: pointer(total), Assigned: pointer(used), Free: pointer(total - used)}
		if ends := timeOf(latest(f.the(askMonthEnds))); !ends.IsZero() {
			l.RunsOut = f.runsOut(l.Free, capacityUnit, ends.Time, func(end string) float64 { return latest(f.the(askRunOut("capacity", end))) })
		} else {
			l.RunsOut.State = RunsOutUnknown
		}
		s.Licenses = append(s.Licenses, l)
	}
}

// runsOut returns when less than a unit is free. Later than soon is not soon.
func (f *facts) runsOut(free *float64, unit float64, soon time.Time, at func(end string) float64) RunsOut {
	date := at(runOutLikely)
	r := RunsOut{State: RunsOutUnknown}
	switch {
	case free != nil && *free < unit:
		r.State = RunOut
		return r
	case math.IsNaN(date):
		return r
	}
	if r.At = f.before(date, soon); r.At.IsZero() {
		r.State = RunsOutNotSoon
	} else {
		r.State = RunsOutAt
	}
	if first, last := at(runOutEarliest), at(runOutLatest); !math.IsNaN(first) && !math.IsNaN(last) {
		r.Band, r.Earliest, r.Latest = true, f.before(first, soon), f.before(last, soon)
	}
	return r
}

// before returns a time if it is before another.
func (f *facts) before(seconds float64, limit time.Time) Time {
	if t := timeOf(seconds); !t.IsZero() && t.Before(limit) {
		return Time{t.In(f.period.from.Location())}
	}
	return Time{}
}

// timeOf returns the time of a timestamp. It is zero if the timestamp is no time of these
// centuries.
func timeOf(seconds float64) Time {
	if !(seconds > 0 && seconds < 1e11) {
		return Time{}
	}
	return Time{time.Unix(int64(seconds), 0)}
}
