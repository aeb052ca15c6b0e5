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

func newCapacity(of *qlik.Capacity, now time.Time) *Capacity {
	if of == nil {
		return nil
	}
	_, resets := qlik.CapacityPeriod(now)
	c := &Capacity{Allocated: minutes(of.Allocated), Used: minutes(of.Used), Resets: resets}
	if of.Allocated == nil || of.Used == nil {
		return c
	}
	c.Left = minutes(new(max(*of.Allocated-*of.Used, 0)))
	switch runsOut := of.Lasts(now); {
	case *of.Allocated == 0: // none is allocated
	case of.UsedUp():
		c.Forecast = UsedUp
	case runsOut.IsZero() || !runsOut.Before(resets):
		c.Forecast = Lasts
	default:
		c.Forecast, c.RunsOut = RunsOut, runsOut.UTC().Truncate(time.Second)
	}
	return c
}

func minutes(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	return new(d.Minutes())
}
