package qlik

import (
	"context"
	"slices"
	"strings"
	"time"
)

// UsageRow is a usage row of the repository: a session that takes a license slot
// (docs/qlik.md, "Usage rows").
type UsageRow struct {
	Session      SessionKey
	User         User      // as returned by User.Counted; zero if the row contains no user
	License      string    // one of the license constants
	LastActivity time.Time // zero if the row contains none
}

// usageRecord is a row of any type. A row of professional, analyzer or user access
// has one session. A row of login or capacity access has a list of sessions.
type usageRecord struct {
	usageSession

	ModifiedBy optional[name]         `json:"modifiedByUserName"`
	User       optional[userRef]      `json:"user"`
	Sessions   elements[usageSession] `json:"sessions"`
}

type usageSession struct {
	SessionID      name                `json:"sessionID"`
	LatestActivity optional[time.Time] `json:"latestActivity"`
}

func (r usageSession) usable() bool { return r.SessionID != "" }

// usable implements record. A row without a session takes no slot.
func (r usageRecord) usable() bool { return true }

func (r usageRecord) owner() User {
	if r.User.value.complete() {
		return r.User.value.user().Counted()
	}
	user, err := ParseUser(string(r.ModifiedBy.value))
	if err != nil || strings.EqualFold(user.Directory, "INTERNAL") { // written by a service, not by the user
		return User{}
	}
	return user.Counted()
}

// UsageRows reads the usage rows of the licenses in use from a repository. The result
// has one row per session. A row without a session takes no slot and is skipped.
func (c *Client) UsageRows(ctx context.Context, licenses *Licenses) (rows []UsageRow, err error) {
	left, room := make(leftOut), newRoom(maxElements, maxNames)
	defer func() { c.skipped.record(SourceUsage, left, err) }()
	add := func(row UsageRow, session *usageSession) {
		if session.SessionID != "" && room.take(row.User.Directory, row.User.ID) {
			row.Session, row.LastActivity = SessionID(session.SessionID).Key(), session.LatestActivity.value
			rows = append(rows, row)
		}
	}
	for _, license := range licenses.inUse {
		before := len(rows)
		err := listEntities(ctx, c, c.repositories.lastFirst(), license.usage, left, room,
			func() { rows = rows[:before] },
			func(r *usageRecord) {
				row := UsageRow{User: r.owner(), License: license.name}
				add(row, &r.usageSession)
				for i := range r.Sessions.list {
					add(row, &r.Sessions.list[i])
				}
			})
		if err != nil {
			return nil, err
		}
	}
	// A session takes one slot, even if several lists or rows contain it.
	seen := make(map[SessionKey]struct{}, len(rows))
	return slices.DeleteFunc(rows, func(row UsageRow) bool {
		before := len(seen)
		seen[row.Session] = struct{}{}
		return len(seen) == before
	}), nil
}
