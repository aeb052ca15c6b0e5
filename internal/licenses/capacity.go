package licenses

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Capacity is the analyzer capacity of the current month.
type Capacity struct {
	Allocated *float64  `json:"allocated_minutes,omitempty"`
	Used      *float64  `json:"used_minutes,omitempty"`
	Left      *float64  `json:"left_minutes,omitempty"`
	Resets    time.Time `json:"resets"` // start of the next month
	Forecast  Forecast  `json:"forecast,omitempty"`
	RunsOut   time.Time `json:"runs_out,omitzero"` // only with RunsOut
}

// Forecast is what becomes of the capacity at the rate of this month. "" is unknown.
type Forecast string

// The forecasts.
const (
	UsedUp  Forecast = "used_up"
	RunsOut Forecast = "runs_out" // before the reset
	Lasts   Forecast = "lasts"    // until the reset
)

const (
	// unit is the smallest part of the capacity that can be used
	// (docs/qlik.md, "License models").
	unit = 6 * time.Minute
	// minElapsed is the part of a month that must have passed to say how it goes on.
	minElapsed = 24 * time.Hour
)

func newCapacity(of *qlik.Capacity, now time.Time) *Capacity {
	if of == nil {
		return nil
	}
	start := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, now.Location())
	resets := start.AddDate(0, 1, 0)
	c := &Capacity{Allocated: minutes(of.Allocated), Used: minutes(of.Used), Resets: resets}
	if of.Allocated == nil || of.Used == nil {
		return c
	}
	left := max(*of.Allocated-*of.Used, 0)
	c.Left = minutes(&left)
	elapsed := now.Sub(start)
	switch {
	case left < unit:
		c.Forecast = UsedUp
	case elapsed < minElapsed:
	default:
		c.Forecast = Lasts
		// In seconds, because a product of two durations does not fit.
		after := left.Seconds() * elapsed.Seconds() / max(of.Used.Seconds(), 1)
		if after < resets.Sub(now).Seconds() {
			c.Forecast, c.RunsOut = RunsOut, now.Add(time.Duration(after*float64(time.Second))).UTC().Truncate(time.Second)
		}
	}
	return c
}

func minutes(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	return new(d.Minutes())
}
