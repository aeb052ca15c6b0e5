package site

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Usage rows are read beside the links, but the repository must not suffer from it.
const (
	usageInterval   = headroom.UsageValidity // minimum time between two readings, however many scrape
	usageTimeout    = 5 * time.Second
	maxUsageBackoff = 5 * time.Minute
)

// usageSchedule knows when to read the usage rows again.
type usageSchedule struct {
	next    time.Time
	backoff time.Duration // after a timeout
}

// due reports whether it is time to read. If so, the next reading is due an interval later.
func (u *usageSchedule) due(now time.Time) bool {
	if now.Before(u.next) {
		return false
	}
	u.next = now.Add(usageInterval)
	return true
}

// hurry has the rows read again by the next who wants them, unless the repository
// needs a rest.
func (u *usageSchedule) hurry() {
	if u.backoff == 0 {
		u.next = time.Time{}
	}
}

// done notes how a reading went. A repository that did not answer in time has more
// to do than it can, and is asked ever less often.
func (u *usageSchedule) done(err error, now time.Time) {
	switch {
	case err == nil:
		u.backoff = 0
	case qlik.KindOf(err) == qlik.KindTimeout:
		u.backoff = min(max(2*u.backoff, 2*usageInterval), maxUsageBackoff)
		u.next = now.Add(u.backoff)
	}
}
