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
	LastActivity time.Time // zero if the row contains none, or one that is impossible
	Started      time.Time // when Qlik granted the slot; zero if the row contains no possible time
}

// usageRecord is a row of any type. A row of professional, analyzer or user access
// has one session. A row of login or capacity access has a list of sessions.
type usageRecord struct {
	usageSession

	ID         optional[name]         `json:"id"`
	ModifiedBy optional[name]         `json:"modifiedByUserName"`
	User       optional[userRef]      `json:"user"`
	Started    optional[time.Time]    `json:"useStartTime"`
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
	user, ok := parseUserName(string(r.ModifiedBy.value))
	if !ok || strings.EqualFold(user.Directory, "INTERNAL") { // written by a service, not by the user
		return User{}
	}
	return user.Counted()
}

// maxAhead is how far a clock of the site may be ahead. Later times are impossible.
const maxAhead = 24 * time.Hour

// UsageRows reads from a repository the usage rows of the licenses in use, and those of the
// licenses in also, which may still have rows although nobody holds them any more. A session
// can have several rows, and each of them is in the result. A row without a session takes no
// slot and is skipped.
func (c *Client) UsageRows(ctx context.Context, licenses *Licenses, also ...string) (rows []UsageRow, err error) {
	left, room := make(leftOut), newRoom(maxElements, maxNames)
	defer func() { c.skipped.record(SourceUsage, left, err) }()
	var ids []rowID // by row
	records, impossible := 0, uint64(0)
	latest := c.config.Now().Add(maxAhead)
	add := func(row UsageRow, record *usageRecord, session *usageSession) {
		if session.SessionID != "" && room.take(row.User.Directory, row.User.ID) {
			row.Session = SessionID(session.SessionID).Key()
			switch activity := session.LatestActivity.value; {
			case activity.After(latest):
				impossible++
			case activity.Year() >= firstYear: // earlier times stand for none
				row.LastActivity = activity
			}
			rows = append(rows, row)
			ids = append(ids, record.rowID(records, row.Session))
		}
	}
	for _, license := range licenseTypes {
		if !slices.Contains(licenses.inUse, license) && !slices.Contains(also, license.name) {
			continue
		}
		before := len(rows)
		err := listEntities(ctx, c, c.repositories.lastFirst(), license.usage, left, room,
			func() { rows, ids, impossible = rows[:before], ids[:before], 0 },
			func(r *usageRecord) {
				records++
				row := UsageRow{User: r.owner(), License: license.name}
				each := row // the sessions of a list share the time of the first one
				if begun := r.Started.value; begun.Year() >= firstYear && !begun.After(latest) {
					each.Started = begun
				}
				add(each, r, &r.usageSession)
				for i := range r.Sessions.list {
					add(row, r, &r.Sessions.list[i])
				}
			})
		if err != nil {
			return nil, err
		}
		if impossible > 0 {
			left.addTimes("latestActivity in the future of "+license.usage, impossible)
		}
	}
	return distinct(rows, ids), nil
}

// rowID identifies a row of a session. It is the same if several lists contain the row.
type rowID struct {
	record  SessionKey // hash of the id of the record, or the number of the record
	session SessionKey
}

func (r usageRecord) rowID(number int, session SessionKey) rowID {
	if r.ID.value == "" {
		return rowID{SessionKey(number), session} //nolint:gosec // it is positive
	}
	return rowID{SessionID(r.ID.value).Key(), session}
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
