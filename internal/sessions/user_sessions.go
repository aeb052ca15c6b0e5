package sessions

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// UserSession is a session with the data of its usage row.
type UserSession struct {
	qlik.Session

	HoldsSlot    bool      // the session has a usage row
	LastActivity time.Time // zero if no usage row contains it, or if the session was used later
}

// OfUser returns the sessions of a user. The most recently active session comes
// first. Sessions with unknown activity come last.
func OfUser(user qlik.User, snapshot *headroom.Snapshot) []UserSession {
	var sessions []UserSession
	usage := snapshot.Usage()
	for i := range snapshot.Sessions {
		if session := snapshot.Sessions[i]; session.User == user {
			row, holdsSlot := usage[session.ID]
			if row.UsedLater {
				row.LastActivity = time.Time{}
			}
			sessions = append(sessions, UserSession{Session: session, HoldsSlot: holdsSlot, LastActivity: row.LastActivity})
		}
	}
	slices.SortStableFunc(sessions, func(a, b UserSession) int { return b.LastActivity.Compare(a.LastActivity) })
	return sessions
}
