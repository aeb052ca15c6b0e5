package qlik

import (
	"testing"
	"time"
)

func TestCapacityLasts(t *testing.T) {
	day := func(n int, hours float64) time.Time {
		return time.Date(2026, 2, n, 0, 0, 0, 0, time.UTC).Add(time.Duration(hours * float64(time.Hour)))
	}
	hours := func(n float64) *time.Duration { return new(time.Duration(n * float64(time.Hour))) }
	for _, test := range []struct {
		name      string
		capacity  Capacity
		now, want time.Time
		usedUp    bool
	}{
		{"a tenth in the second week", Capacity{Allocated: hours(100), Used: hours(10)}, day(11, 0), day(101, 0), false},
		{"the first day counts as a week", Capacity{Allocated: hours(100), Used: hours(10)}, day(2, 0), day(65, 0), false},
		{"half at half of the month", Capacity{Allocated: hours(100), Used: hours(50), Unavailable: hours(3)}, day(15, 0), day(29, 0), false},
		{"less than a unit is left", Capacity{Allocated: hours(100), Used: hours(99.95)}, day(22, 0), day(22, 0.2521), true},
		{"used up", Capacity{Allocated: hours(100), Used: hours(101)}, day(22, 0), day(22, 0), true},
		{"nothing used", Capacity{Allocated: hours(100), Used: hours(0)}, day(22, 0), time.Time{}, false},
		{"hardly used", Capacity{Allocated: hours(1e5), Used: hours(0.1)}, day(22, 0), time.Time{}, false},
		{"none bought", Capacity{Allocated: hours(0), Used: hours(0)}, day(22, 0), time.Time{}, false},
		{"unknown use", Capacity{Allocated: hours(100)}, day(22, 0), time.Time{}, false},
		{"unknown allocation", Capacity{Used: hours(100)}, day(22, 0), time.Time{}, false},
	} {
		if got := test.capacity.Lasts(test.now); got.Sub(test.want).Abs() > time.Second {
			t.Errorf("%s: lasts until %s, want %s", test.name, got, test.want)
		}
		if got := test.capacity.UsedUp(); got != test.usedUp {
			t.Errorf("%s: used up is %t", test.name, got)
		}
	}
	start, end := CapacityPeriod(time.Date(2026, 12, 31, 23, 59, 0, 0, time.UTC))
	if !start.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) || !end.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the period is from %s to %s", start, end)
	}
}
