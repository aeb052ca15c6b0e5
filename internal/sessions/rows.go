// Package sessions answers the two questions of an administrator who was paged:
// who holds which sessions, and how does the right one go.
package sessions

import (
	"cmp"
	"slices"
	"strings"
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

// Place is where a user has sessions.
type Place struct {
	VirtualProxy string `json:"virtual_proxy"`
	Node         string `json:"node"`
	Sessions     int    `json:"sessions"`
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
		row.place(session.Link)
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

func (r *Row) place(link *qlik.Link) {
	i, known := slices.BinarySearchFunc(r.Places, link, func(p Place, l *qlik.Link) int {
		return cmp.Or(strings.Compare(p.VirtualProxy, l.VirtualProxy), strings.Compare(p.Node, l.Node))
	})
	if !known {
		r.Places = slices.Insert(r.Places, i, Place{VirtualProxy: link.VirtualProxy, Node: link.Node})
	}
	r.Places[i].Sessions++
}
