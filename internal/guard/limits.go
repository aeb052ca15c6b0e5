package guard

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
)

// The largest numbers of sessions that the guard ends within an hour.
const (
	limitedFor = time.Hour
	maxOfUser  = 10
	maxOfSite  = 60 // or one for every two users with sessions, if that is more
)

// heldBackError is a reason why a session does not end, as the error of a journal.
type heldBackError Reason

// Error implements error.
func (n heldBackError) Error() string { return "the guard may not end the session: " + string(n) }

// limitReached returns the limit that allows no more sessions to end, or "". It counts what
// the guard has ended, or may have ended, within the hour.
func limitReached(recent []journal.Recent, next *journal.Intent, usersWithSessions int) Reason {
	ofUser, ofSite := 0, 0
	for i := range recent {
		r := &recent[i]
		if r.By != next.By || r.Site != next.Site {
			continue
		}
		ofSite += r.Sessions
		if r.User == next.User {
			ofUser += r.Sessions
		}
	}
	switch {
	case ofUser+next.Sessions > maxOfUser:
		return UserLimit
	case ofSite+next.Sessions > max(maxOfSite, usersWithSessions/2):
		return SiteLimit
	default:
		return ""
	}
}

// endedSince reports whether a session of the same user has ended since a time, or may have:
// the desk may have ended it, and the read may not show that yet.
func endedSince(recent []journal.Recent, next *journal.Intent, since time.Time) bool {
	return slices.ContainsFunc(recent, func(r journal.Recent) bool {
		return r.By != ByDryRun && r.Site == next.Site && r.User == next.User && !r.At.Before(since)
	})
}
