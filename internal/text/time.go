package text

import (
	"fmt"
	"time"
)

// Moment is a time of day in the zone of now, with the date where that is not the
// date of now.
func Moment(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05 MST")
	}
	return t.Format("2 Jan 15:04:05 MST")
}

// Duration is as exact as people need it; a negative one is "0 s".
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

// Date is the day of a time, in UTC.
func Date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// DateTime is a time that may be years away, in UTC.
func DateTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
