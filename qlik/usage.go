package qlik

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Usage rows are read beside the links, but the repository must not suffer from
// it, and a scrape must not wait for it for long.
const (
	usageInterval   = 15 * time.Second // at most so often, whoever scrapes
	usageTimeout    = 5 * time.Second
	usageGrace      = 500 * time.Millisecond // for rows that come later than the links
	maxUsageBackoff = 5 * time.Minute
)

// usageRow is the repository's record that a session occupies a slot
// (docs/qlik.md, "Usage rows").
type usageRow struct {
	session  sessionHash // 0 where the row names none
	user     User        // zero where the row names none
	license  string
	activity time.Time // last activity; zero if not said
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
		return NewUser(u.User.Directory, u.User.ID)
	}
	user, err := ParseUser(u.ModifiedBy)
	if err != nil || strings.EqualFold(user.Directory, "INTERNAL") { // a service wrote the row, not the user
		return User{}
	}
	return user
}

// usage reads the usage rows of the licences in use.
func (r *repository) usage(ctx context.Context, inUse []licenseType, hash func(SessionID) sessionHash) ([]usageRow, error) {
	var rows []usageRow
	for _, license := range inUse {
		before := len(rows)
		err := listEntities(ctx, r, license.usage,
			func() { rows = rows[:before] },
			func(record *usageRecord) {
				row := usageRow{user: record.owner(), license: license.name, activity: record.LatestActivity.Time}
				if record.SessionID != "" {
					row.session = hash(SessionID(record.SessionID))
					rows = append(rows, row)
				}
				for _, session := range record.Sessions {
					if session.SessionID == "" {
						continue
					}
					row.session, row.activity = hash(SessionID(session.SessionID)), session.LatestActivity.Time
					rows = append(rows, row)
				}
			})
		if err != nil {
			return nil, err
		}
	}
	// A session takes one slot, whatever several nodes or lists say of it.
	seen := make(map[sessionHash]bool, len(rows))
	return slices.DeleteFunc(rows, func(row usageRow) bool {
		again := seen[row.session]
		seen[row.session] = true
		return again
	}), nil
}

// usageReader keeps the last rows and knows when to read again.
type usageReader struct {
	mu      sync.Mutex
	rows    []usageRow
	at      time.Time // of rows; zero while they are unknown
	next    time.Time
	backoff time.Duration // after a timeout
	failed  Kind          // as last logged

	// implausible says that rows evidently do not reflect sessions, as on a
	// release that does not write them.
	implausible bool
	written     time.Time // when rows are last known to have been written
}

// known returns the rows if they are fresh enough to be used.
func (u *usageReader) known(now time.Time) (rows []usageRow, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rows, !u.at.IsZero() && now.Sub(u.at) <= usageInterval
}

// readAt is when the rows that are known were read; zero if none are.
func (u *usageReader) readAt() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at
}

// due says whether it is time to read again, and if so takes the turn.
func (u *usageReader) due(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Before(u.next) {
		return false
	}
	u.next = now.Add(usageInterval)
	return true
}

// outdate has the rows read again by the next who wants them, unless the
// repository needs a rest.
func (u *usageReader) outdate() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.backoff == 0 {
		u.next = time.Time{}
	}
}

// note takes in rows that have been read by now, or why they could not be.
func (u *usageReader) note(rows []usageRow, err error, at time.Time, logger log.Logger) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.rows, u.at = rows, at
	for i := range rows {
		if activity := rows[i].activity; activity.After(u.written) && !activity.After(at) {
			u.written = activity
		}
	}
	before := u.failed
	u.failed = KindOf(err)
	switch {
	case err == nil:
		u.backoff = 0
		return
	case u.failed == KindTimeout: // it has more to do than it can
		u.backoff = min(max(2*u.backoff, 2*usageInterval), maxUsageBackoff)
		u.next = at.Add(u.backoff)
	}
	u.rows, u.at = nil, time.Time{}
	if u.failed != before {
		_ = level.Warn(logger).Log("msg", "Cannot read usage rows; effective headroom is counted from sessions", "kind", u.failed, "err", err)
	}
}

// A usage row is expected from the first activity on; a user without any is
// evidence against the rows only after a while, or when many are.
const (
	rowExpectedAfter = 2 * time.Minute
	rowsExpectedFrom = 5 // sessions

	rowsTrustedFor    = 24 * time.Hour
	usersAgainstTrust = 5
)

// judge decides whether rows reflect sessions. Of the users with a licence of
// their own and with sessions, those speak for the rows of whom a session has
// its row, and those against them who have none although there is room for it.
// A row whose session is gone speaks for nothing: a release that writes no more
// rows may have left some behind. live are the rows of sessions that are there,
// by user.
func (u *usageReader) judge(users []UserStatus, live []int, limit int, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	inFavour, against, young := 0, 0, 0
	for i := range users {
		user := &users[i]
		switch user.License {
		case LicenseProfessional, LicenseAnalyzer, LicenseUser:
		default:
			continue
		}
		switch {
		case user.Sessions == 0, user.FirstSeen.IsZero(), user.FirstSeen.After(u.at):
		case live[i] > 0:
			inFavour++
		case user.LicensedSessions >= limit: // leftover rows hold all slots
		case now.Sub(user.FirstSeen) >= rowExpectedAfter:
			against++
		default:
			young += user.Sessions
		}
	}
	if inFavour > 0 {
		u.written = now
	}
	// A session that was refused has no row either, and keeps none until it asks
	// again. Where rows were written lately, a few such users prove nothing.
	trusted := !u.written.IsZero() && now.Sub(u.written) < rowsTrustedFor
	switch {
	case inFavour > 0 && inFavour >= against:
		u.implausible = false
	case trusted && against < usersAgainstTrust:
	case against > 0, young >= rowsExpectedFrom:
		u.implausible = true
	}
}

func (u *usageReader) plausible() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.implausible
}
