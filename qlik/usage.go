package qlik

import (
	"context"
	"slices"
	"strings"
	"time"
)

// UsageRow is the repository's record that a session occupies a slot
// (docs/qlik.md, "Usage rows").
type UsageRow struct {
	Session      SessionKey
	User         User      // as counted; zero where the row names nobody
	License      string    // one of the constants
	LastActivity time.Time // zero if not said
}

// usageRecord is a row of any type. Those of professional, analyzer and user
// access stand for one session each; those of login and capacity access list
// theirs.
type usageRecord struct {
	SessionID      string `json:"sessionID"`
	LatestActivity moment `json:"latestActivity"`
	ModifiedBy     string `json:"modifiedByUserName"`
	User           *struct {
		Directory string `json:"userDirectory"`
		ID        string `json:"userId"`
	} `json:"user"`
	Sessions []struct {
		SessionID      string `json:"sessionID"`
		LatestActivity moment `json:"latestActivity"`
	} `json:"sessions"`
}

func (u *usageRecord) owner() User {
	if u.User != nil && u.User.ID != "" {
		return NewUser(u.User.Directory, u.User.ID).Counted()
	}
	user, err := ParseUser(u.ModifiedBy)
	if err != nil || strings.EqualFold(user.Directory, "INTERNAL") { // a service wrote the row, not the user
		return User{}
	}
	return user.Counted()
}

// UsageRows asks a repository for the usage rows of the licenses in use, one for
// each session. A row without session occupies nothing and is left out.
func (c *Client) UsageRows(ctx context.Context, licenses *Licenses) ([]UsageRow, error) {
	var rows []UsageRow
	add := func(row UsageRow, id string, activity moment) {
		if activity.unreadable {
			c.skipped[SourceUsage].Add(1)
		}
		if id != "" {
			row.Session, row.LastActivity = SessionID(id).Key(), activity.Time
			rows = append(rows, row)
		}
	}
	for _, license := range licenses.inUse {
		before := len(rows)
		err := listEntities(ctx, c, c.repositories.lastFirst(), license.usage,
			func() { rows = rows[:before] },
			func(record *usageRecord) error {
				row := UsageRow{User: record.owner(), License: license.name}
				add(row, record.SessionID, record.LatestActivity)
				for _, session := range record.Sessions {
					add(row, session.SessionID, session.LatestActivity)
				}
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	// A session takes one slot, whatever several nodes or lists say of it.
	seen := make(map[SessionKey]struct{}, len(rows))
	return slices.DeleteFunc(rows, func(row UsageRow) bool {
		before := len(seen)
		seen[row.Session] = struct{}{}
		return len(seen) == before
	}), nil
}
