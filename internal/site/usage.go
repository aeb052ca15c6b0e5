package site

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Usage rows are read together with the links. These limits protect the repository.
const (
	usageInterval   = headroom.UsageValidity // minimum time between two reads, independent of the number of scrapes
	usageTimeout    = 5 * time.Second
	maxUsageBackoff = 5 * time.Minute
)

// usageSchedule determines when to read the usage rows again.
type usageSchedule struct {
	next    time.Time
	backoff time.Duration // after a timeout
}

// due reports whether the rows must be read now. If so, the next read is due one
// interval later.
func (u *usageSchedule) due(now time.Time) bool {
	if now.Before(u.next) {
		return false
	}
	u.next = now.Add(usageInterval)
	return true
}

// expire makes the next read due at once, except during back-off.
func (u *usageSchedule) expire() {
	if u.backoff == 0 {
		u.next = time.Time{}
	}
}

// done records the result of a read. After a timeout the repository is probably
// overloaded, so the time to the next read doubles with each timeout.
func (u *usageSchedule) done(err error, now time.Time) {
	switch {
	case err == nil:
		u.backoff = 0
	case qlik.KindOf(err) == qlik.KindTimeout:
		u.backoff = min(max(2*u.backoff, 2*usageInterval), maxUsageBackoff)
		u.next = now.Add(u.backoff)
	}
}
