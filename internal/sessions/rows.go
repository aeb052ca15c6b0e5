// Package sessions says who has which sessions, and plans which of them end. The
// sessions page and the commands share it.
package sessions

import (
	"cmp"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Row is one user of a snapshot.
type Row struct {
	headroom.UserStatus

	Places []Place // of the sessions, ordered by virtual proxy and node
	// WithSlot is how many of the sessions have a usage row, hence hold a slot.
	// LicensedSessions counts the rows of sessions that are gone as well: slots
	// that cool, or were left over.
	WithSlot int
	// LastActivity is that of the user's most recently active session; zero where
	// no usage row tells.
	LastActivity time.Time
}

// Rows returns the users of a snapshot who have anything that the limit is
// about, those with the least effective headroom first; users to whom the limit
// does not apply come last.
func Rows(snapshot *headroom.Snapshot) []Row {
	rows := make([]Row, 0, len(snapshot.Users))
	index := make(map[qlik.User]int, len(snapshot.Users))
	for i := range snapshot.Users {
		if user := &snapshot.Users[i]; user.Present() {
			index[user.User] = len(rows)
			rows = append(rows, Row{UserStatus: *user})
		}
	}
	usage := snapshot.Usage()
	for i := range snapshot.Sessions {
		session := &snapshot.Sessions[i]
		row := &rows[index[session.User]]
		row.add(session.Link)
		if slot, taken := usage[session.ID]; taken {
			row.WithSlot++
			if slot.LastActivity.After(row.LastActivity) {
				row.LastActivity = slot.LastActivity
			}
		}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(rank(&a), rank(&b)),
			cmp.Compare(a.EffectiveHeadroom, b.EffectiveHeadroom),
			cmp.Compare(b.Sessions, a.Sessions),
			a.User.Compare(b.User))
	})
	return rows
}

// rank puts those last to whom the limit does not apply.
func rank(row *Row) int {
	if row.Limited {
		return 0
	}
	return 1
}
