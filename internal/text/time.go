package text

import (
	"fmt"
	"time"
)

// Moment returns a time of day in the time zone of now. It includes the date if it
// differs from the date of now.
func Moment(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05 MST")
	}
	return t.Format("2 Jan 15:04:05 MST")
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
