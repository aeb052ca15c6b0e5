// Package sessions lists the sessions of users and plans which sessions to end. The
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

	Places []Place // where the sessions are, ordered by virtual proxy and node
	// WithSlot is the number of sessions with a usage row. Slots is the number of slots
	// that they take, usually one each. LicensedSessions also counts rows of ended
	// sessions, which are cooling slots or left over.
	WithSlot, Slots int
	// LastActivity is the last activity of the user's most recently active session. It
	// is zero if no usage row contains it, or if another session was used later, unless
	// this one was used within headroom.IdleTime.
	LastActivity time.Time
	// Refused are the refused logins of the last day, the last one first. It is empty if no
	// audit log is read.
	Refused []qlik.Refusal
	// Unlicensed is the reason why the user cannot log in although slots are free. It is ""
	// for other users.
	Unlicensed Unlicensed

	usedLater bool // one of the sessions was used later than recorded
}

// Rows returns the users of a snapshot that have sessions, cooling slots or usage
// rows, and the users who were refused recently. Users with the least effective headroom
// come first. Users without a limit come last.
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
			row.Slots += slot.Slots
			row.usedLater = row.usedLater || slot.UsedLater
			if slot.LastActivity.After(row.LastActivity) && !slot.UsedLater {
				row.LastActivity = slot.LastActivity
			}
		}
	}
	for i := range rows {
		if row := &rows[i]; row.usedLater && snapshot.Time.Sub(row.LastActivity) >= headroom.IdleTime {
			row.LastActivity = time.Time{}
		}
	}
	rows = addRefused(rows, snapshot)
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(rank(&a), rank(&b)),
			cmp.Compare(a.usable(snapshot.Time), b.usable(snapshot.Time)),
			cmp.Compare(b.Sessions, a.Sessions),
			a.User.Compare(b.User))
	})
	return rows
}

// usable returns the slots that the user can use. Those of a user who was just refused for
// want of a license are of no use.
func (r *Row) usable(now time.Time) int {
	if r.Unlicensed != "" && r.refusedRecently(now) {
		return 0
	}
	return r.EffectiveHeadroom
}

// rank sorts users without a limit last.
func rank(row *Row) int {
	if row.Limited {
		return 0
	}
	return 1
}
