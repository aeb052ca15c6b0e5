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
	user, ok := parseUserName(u.ModifiedBy)
	if !ok || strings.EqualFold(user.Directory, "INTERNAL") { // written by a service, not by the user
		return User{}
	}
	return user.Counted()
}

// UsageRows reads the usage rows of the licenses in use from a repository. The result
// has one row per session. A row without a session takes no slot and is skipped.
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
	// A session takes one slot, even if several lists or rows contain it.
	seen := make(map[SessionKey]struct{}, len(rows))
	return slices.DeleteFunc(rows, func(row UsageRow) bool {
		before := len(seen)
		seen[row.Session] = struct{}{}
		return len(seen) == before
	}), nil
}
