package qlik

import (
	"context"
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
	ID             string `json:"id"`
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
	if err != nil || strings.EqualFold(user.Directory, "INTERNAL") { // written by a service, not by the user
		return User{}
	}
	return user.Counted()
}

// UsageRows reads the usage rows of the licenses in use from a repository. A session can
// have several rows, and each of them is in the result. A row without a session takes no
// slot and is skipped.
func (c *Client) UsageRows(ctx context.Context, licenses *Licenses) ([]UsageRow, error) {
	var rows []UsageRow
	var ids []rowID // by row
	records := 0
	add := func(row UsageRow, record *usageRecord, id string, activity moment) {
		if activity.unreadable {
			c.skipped[SourceUsage].Add(1)
		}
		if id != "" {
			row.Session, row.LastActivity = SessionID(id).Key(), activity.Time
			rows = append(rows, row)
			ids = append(ids, record.rowID(records, row.Session))
		}
	}
	for _, license := range licenses.inUse {
		before := len(rows)
		err := listEntities(ctx, c, c.repositories.lastFirst(), license.usage,
			func() { rows, ids = rows[:before], ids[:before] },
			func(record *usageRecord) error {
				records++
				row := UsageRow{User: record.owner(), License: license.name}
				add(row, record, record.SessionID, record.LatestActivity)
				for _, session := range record.Sessions {
					add(row, record, session.SessionID, session.LatestActivity)
				}
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	return distinct(rows, ids), nil
}

// rowID identifies a row of a session. It is the same if several lists contain the row.
type rowID struct {
	record  SessionKey // hash of the id of the record, or the number of the record
	session SessionKey
}

func (u *usageRecord) rowID(number int, session SessionKey) rowID {
	if u.ID == "" {
		return rowID{SessionKey(number), session} //nolint:gosec // it is positive
	}
	return rowID{SessionID(u.ID).Key(), session}
}

// distinct removes rows that are in the list again. Two rows of one session stay,
// because each may take a slot (docs/qlik.md, "Usage rows").
func distinct(rows []UsageRow, ids []rowID) []UsageRow {
	seen := make(map[rowID]struct{}, len(rows))
	kept := rows[:0]
	for i := range rows {
		if _, again := seen[ids[i]]; !again {
			seen[ids[i]] = struct{}{}
			kept = append(kept, rows[i])
		}
	}
	return kept
}
