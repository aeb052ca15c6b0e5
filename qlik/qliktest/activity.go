package qliktest

import (
	"fmt"
	"time"
)

// Activity defines which activity of a session its usage rows record, and when. The real behavior was never measured (docs/qlik.md, "Usage
// rows"). A row always records the activity that began it.
type Activity int

const (
	// ActivityAtOnce records every activity at once.
	ActivityAtOnce Activity = iota
	// ActivityEvery5Minutes records an activity if the last recorded one is at least five minutes old.
	ActivityEvery5Minutes
	// ActivityEvery10Minutes records an activity if the last recorded one is at least ten minutes old.
	ActivityEvery10Minutes
	// ActivityInBatches records the last activity of every session once in five minutes, for all sessions at the same time.
	ActivityInBatches
	// ActivityAtStart records no further activity.
	ActivityAtStart
)

// String returns the name of the constant.
func (a Activity) String() string {
	switch a {
	case ActivityAtOnce:
		return "ActivityAtOnce"
	case ActivityEvery5Minutes:
		return "ActivityEvery5Minutes"
	case ActivityEvery10Minutes:
		return "ActivityEvery10Minutes"
	case ActivityInBatches:
		return "ActivityInBatches"
	case ActivityAtStart:
		return "ActivityAtStart"
	}
	return fmt.Sprintf("Activity(%d)", int(a))
}

const batchInterval = 5 * time.Minute

// record records an activity in a row as the site is told to.
func (r *usageRow) record(kind Activity, now time.Time) {
	switch kind {
	case ActivityAtOnce:
		r.latestActivity = now
	case ActivityEvery5Minutes:
		r.recordAfter(5*time.Minute, now)
	case ActivityEvery10Minutes:
		r.recordAfter(10*time.Minute, now)
	case ActivityInBatches:
		r.recordBatch(now)
		r.unrecorded = now
	case ActivityAtStart:
	}
}

func (r *usageRow) recordAfter(pause time.Duration, now time.Time) {
	if now.Sub(r.latestActivity) >= pause {
		r.latestActivity = now
	}
}

// recordBatch records the activity before the last batch.
func (r *usageRow) recordBatch(now time.Time) {
	if !r.unrecorded.IsZero() && !r.unrecorded.After(now.Truncate(batchInterval)) {
		r.latestActivity, r.unrecorded = r.unrecorded, time.Time{}
	}
}

// KeepAlive simulates an open dashboard that nobody uses: its connection keeps the session from timing out, and no usage row records it.
// Whether that is so on a real site is unknown (docs/qlik.md, "Usage rows"). It reports whether the session exists.
func (s *Site) KeepAlive(sessionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	each := s.sessions[sessionID]
	if each == nil {
		return false
	}
	each.LastActivity = now
	return true
}
