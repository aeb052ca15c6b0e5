package sessions

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// UserSession is a session of one user, with what its usage row says.
type UserSession struct {
	qlik.Session

	HoldsSlot    bool      // there is a usage row
	LastActivity time.Time // zero where no usage row tells
}

// OfUser returns the sessions of a user, the most recently active first and
// those without known activity last.
func OfUser(user qlik.User, snapshot *headroom.Snapshot) []UserSession {
	var sessions []UserSession
	usage := snapshot.Usage()
	for i := range snapshot.Sessions {
		if session := snapshot.Sessions[i]; session.User == user {
			row, holdsSlot := usage[session.ID]
			sessions = append(sessions, UserSession{Session: session, HoldsSlot: holdsSlot, LastActivity: row.LastActivity})
		}
	}
	slices.SortStableFunc(sessions, func(a, b UserSession) int { return b.LastActivity.Compare(a.LastActivity) })
	return sessions
}
