package qliktest

import (
	"container/list"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// usageRow is a usage row: a slot that the license check counts (docs/qlik.md, "Usage rows").
type usageRow struct {
	id        string
	sessionID string
	account   *account
	node      *node
	license   License
	started   time.Time
	// latestActivity is the latest activity that is recorded, and unrecorded a later one that waits for the next batch; see Activity.
	latestActivity, unrecorded time.Time

	session  *session
	pass     *pass // of login access; nil for a row that was added without a session
	timesOut bool  // a leftover row that ends by a timeout of its own
	element  *list.Element
	json     []byte // everything except the dates of the latest activity and the closing brace
}

// addRow adds a usage row of the user. The session is nil for a leftover row.
func (s *Site) addRow(a *account, license License, each *session, now time.Time) *usageRow {
	row := &usageRow{id: s.newID(), account: a, license: license, started: now, latestActivity: now, session: each}
	if each != nil {
		row.sessionID, row.node = each.ID, each.link.node
	} else {
		row.sessionID, row.node = s.newID(), s.centralNode()
	}
	row.element = s.usage[license].PushBack(row)
	a.rows++
	return row
}

// latest returns the time of the latest activity that is recorded.
func (r *usageRow) latest(now time.Time) time.Time {
	r.recordBatch(now)
	return r.latestActivity
}

func (s *Site) removeRow(row *usageRow) {
	if row.element == nil {
		return
	}
	s.usage[row.license].Remove(row.element)
	row.element = nil
	row.account.rows--
}

// UsageRows returns the number of slots that the user takes: sessions with a slot, cooling slots, and leftover rows.
func (s *Site) UsageRows(directory, id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	if a := s.accounts[accountKey(directory, id)]; a != nil {
		return a.rows
	}
	return 0
}

// UsageRow is a usage row of the repository.
type UsageRow struct {
	// SessionID is the id of the session. If the session has ended, the slot is cooling or the row is left over.
	SessionID string
	// Directory and UserID are spelled as in the repository.
	Directory, UserID string
	License           License
	// Started is when the license check granted the slot.
	Started, LatestActivity time.Time
}

// AllUsageRows returns the usage rows of all users, for each license oldest first. The license check counts them, so
// Config.NoUsageRows has no effect on the result.
func (s *Site) AllUsageRows() []UsageRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	n := 0
	for _, rows := range s.usage {
		n += rows.Len()
	}
	all := make([]UsageRow, 0, n)
	for _, license := range licenses {
		for row := range values[*usageRow](s.usage[license]) {
			all = append(all, UsageRow{row.sessionID, row.account.Directory, row.account.ID, license, row.started, row.latest(now)})
		}
	}
	return all
}

// usageAnswer renders the rows of one license, oldest first (docs/qlik.md, "Usage rows"). Only the date of the latest activity changes,
// so the rest of a row is rendered once.
func (s *Site) usageAnswer(license License) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	if s.config.NoUsageRows {
		return []byte("[]")
	}
	rows := s.usage[license]
	body := make([]byte, 0, 2+rows.Len()*800)
	body = append(body, '[')
	for row := range values[*usageRow](rows) {
		latest := row.latest(now).UTC()
		if row.json == nil {
			row.render()
		}
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = append(body, row.json...)
		body = latest.AppendFormat(body, dateLayout)
		body = append(body, `","modifiedDate":"`...)
		body = latest.AppendFormat(body, dateLayout)
		body = append(body, `"}`...)
	}
	return append(body, ']')
}

func (r *usageRow) render() {
	user, _ := json.Marshal(r.account.Directory + `\` + r.account.ID) // strings cannot fail
	host, _ := json.Marshal(r.node.Name)
	name := strings.ToLower(string(r.license[:1])) + string(r.license[1:]) + "AccessType"
	r.json = fmt.Appendf(nil, `{"id":%q,"createdDate":%q,"modifiedByUserName":%s,"useStartTime":%q,"hostName":%s,`+
		`"serverNodeConfigurationId":%q,"sessionID":%q,%q:{"id":%q,"privileges":null},"privileges":null,"schemaPath":"License.%sAccessUsage","latestActivity":"`,
		r.id, date(r.started), user, date(r.started), host, r.node.id, r.sessionID, name, stableID("access", r.account.id), r.license)
}
