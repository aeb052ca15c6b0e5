package text

import (
	"fmt"
	"time"
)

// Moment returns a time of day in the time zone of now. It includes the date and the
// year if they differ from those of now.
func Moment(t, now time.Time) string {
	t = t.In(now.Location())
	switch {
	case t.Format(time.DateOnly) == now.Format(time.DateOnly):
		return t.Format("15:04:05 MST")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04:05 MST")
	default:
		return t.Format("2 Jan 2006 15:04:05 MST")
	}
}

// Coming returns a time to come together with the time until then, such as "13:03:00 CET
// (in 34 min)".
func Coming(t, now time.Time) string { return Moment(t, now) + " (" + In(t, now) + ")" }

// Gone returns a past time together with the time since then, such as "13:03:00 CET (4
// min ago)". A time to come is "now".
func Gone(t, now time.Time) string {
	ago := "now"
	if now.After(t) {
		ago = Duration(now.Sub(t)) + " ago"
	}
	return Moment(t, now) + " (" + ago + ")"
}

// In returns the time from now until t, such as "in 34 min", rounded to the nearest unit. A
// past time is "now".
func In(t, now time.Time) string {
	d, unit := t.Sub(now), time.Minute
	switch {
	case d <= 0:
		return "now"
	case d < time.Minute:
		unit = time.Second
	case d >= 24*time.Hour:
		unit = time.Hour
	}
	return "in " + Duration(max(d.Round(unit), unit))
}

// Duration returns a duration in its one or two largest units. A negative duration is
// "0 s".
func Duration(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

// Date returns the date of a time in UTC.
func Date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// DateTime returns the date and the time of day in UTC.
func DateTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
