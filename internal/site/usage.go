package site

import (
	"context"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Usage rows are read beside the links, but the repository must not suffer from it.
const (
	usageInterval   = headroom.UsageValidity // at most so often, whoever scrapes
	usageTimeout    = 5 * time.Second
	maxUsageBackoff = 5 * time.Minute
)

// usageSchedule knows when to read the usage rows again.
type usageSchedule struct {
	next    time.Time
	backoff time.Duration // after a timeout
}

// due says whether it is time to read, and if so takes the turn.
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

// loadUsage reads the usage rows of the licenses in use, if it is time to.
func (s *Site) loadUsage() {
	s.mu.Lock()
	licenses := s.known.licenses
	due := licenses != nil && s.usage.due(s.now())
	s.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, usageTimeout)
	defer cancel()
	rows, err := s.client.UsageRows(ctx, licenses)
	if s.ctx.Err() != nil {
		return // closing
	}
	now := s.now()
	s.changes.note("source "+SourceUsage, string(qlik.KindOf(err)), func(log.Logger) {}, func(logger log.Logger) {
		_ = level.Warn(logger).Log("msg", "Cannot read usage rows; effective headroom is counted from sessions", "kind", qlik.KindOf(err), "err", err)
	})
	var usage *headroom.Usage
	if err == nil {
		usage = headroom.NewUsage(rows, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage.done(err, now)
	s.known.usage = usage // rows that cannot be read are unknown at once
	if err == nil {
		s.known.refreshed[SourceUsage] = now
	}
}
