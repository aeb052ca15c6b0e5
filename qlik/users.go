package qlik

import (
	"slices"
	"time"
)

// UserStatus is everything that is known of one user at one moment. All
// anonymous users together are one.
type UserStatus struct {
	User           User
	Sessions       int
	VirtualProxies []VirtualProxyCount // ordered by virtual proxy
	FirstSeen      time.Time           // when the oldest session was first seen; zero without session

	Limited           bool      // the limit applies to the user; if not, the next six are zero
	Headroom          int       // limit minus sessions; negative beyond the limit
	CoolingSlots      int       // slots of ended sessions that are not free yet
	EffectiveHeadroom int       // what the next login finds
	NextSlot          time.Time // without effective headroom: when a slot frees by itself at the latest; zero if unknown
	LimitReached      uint64    // how often the user went from below the limit to it
	LastLimitReached  time.Time

	License          string // one of the constants; "" where licences are not read
	LicensedSessions int    // usage rows, where Snapshot.UsageKnown
}

// Present says whether the user has anything that the limit is about. A user
// who has not is only remembered for having reached it.
func (u *UserStatus) Present() bool {
	return u.Sessions > 0 || u.CoolingSlots > 0 || u.LicensedSessions > 0
}

// describeUsers joins what the snapshot counts with what the tracking remembers,
// what the repository says of licences, and its usage rows. A snapshot that is
// not whole decides nothing that lasts. The caller holds s.trackMu.
func (s *Site) describeUsers(snapshot *Snapshot, whole bool) {
	now := s.config.Now()
	rows, read := s.usage.known(snapshot.Time)
	owners := s.tracker.owners(rows)
	users, index := CountUsers(snapshot.Sessions, s.absent(owners), snapshot.Limit, s.unlimited)
	live := make([]int, len(users)) // rows of sessions that are there, by user
	for i := range rows {
		user, known := index[owners[i].user]
		if !known {
			continue
		}
		users[user].LicensedSessions++
		if users[user].License == "" {
			users[user].License = rows[i].license
		}
		if owners[i].live {
			live[user]++
		}
	}
	for i := range users {
		s.tracker.describe(&users[i], now)
		users[i].License = snapshot.license(&users[i])
	}
	if read && whole {
		s.usage.judge(users, live, snapshot.Limit, now)
	}
	snapshot.Users = users
	snapshot.UsageKnown, snapshot.UsagePlausible = read, !read || s.usage.plausible()
	if !snapshot.UsagePlausible {
		rows = nil
	}
	if read {
		snapshot.usage, snapshot.hash = rows, s.tracker.hash
	}

	since := s.sinceRows(rows)
	full := make(map[User][]time.Time) // when slots free, of users without effective headroom
	for i := range users {
		user := &users[i]
		if !user.Limited {
			continue
		}
		user.EffectiveHeadroom = snapshot.Limit - user.Sessions - user.CoolingSlots
		if read && snapshot.UsagePlausible {
			taken := user.LicensedSessions
			if user.License != LicenseNone && user.License != LicenseUnknown {
				// A session that has begun since takes a slot, if there is one.
				taken = max(taken, min(taken+since[user.User], snapshot.Limit))
			}
			user.EffectiveHeadroom = snapshot.Limit - taken
		}
		if user.EffectiveHeadroom <= 0 {
			full[user.User] = s.tracker.coolingEnds(user.User, now)
		}
		if min(user.Headroom, user.EffectiveHeadroom) <= 1 && snapshot.Licenses != nil && user.License == LicenseUnknown && snapshot.isNew(user) {
			s.licensesWanted.Store(true)
		}
	}
	for i := range rows {
		if slots, isFull := full[owners[i].user]; isFull {
			if end := s.timeout(&rows[i]); end.After(now) {
				full[owners[i].user] = append(slots, end)
			}
		}
	}
	for user, slots := range full {
		status := &users[index[user]]
		if needed := 1 - status.EffectiveHeadroom; needed <= len(slots) {
			slices.SortFunc(slots, time.Time.Compare)
			status.NextSlot = slots[needed-1]
		}
	}
}

// license returns the licence of a user: by the lists of who holds one, else by
// the user's own rows, which show who uses a licence that anybody may use.
func (s *Snapshot) license(user *UserStatus) string {
	if s.Licenses == nil {
		return user.License
	}
	license := s.Licenses.Of(user.User)
	switch {
	case license != LicenseNone && license != LicenseUnknown:
		return license
	case user.License != "":
		return user.License
	case s.isNew(user):
		return LicenseUnknown // may have been given one since the lists were read
	default:
		return license
	}
}

// isNew says whether a user was first seen after the lists of licences were
// read. Who was there when the tracking began is not.
func (s *Snapshot) isNew(user *UserStatus) bool {
	return user.FirstSeen.After(s.Licenses.read) && user.FirstSeen.After(s.Tracking.Since)
}

// absent returns the users who need not have a session to be told of: those who
// are remembered, and those with rows.
func (s *Site) absent(owners []rowOwner) []User {
	users := make([]User, 0, len(owners))
	for user, tracked := range s.tracker.users {
		if len(tracked.cooling) > 0 || tracked.reached > 0 {
			users = append(users, user)
		}
	}
	for _, owner := range owners {
		if owner.user != (User{}) {
			users = append(users, owner.user)
		}
	}
	return users
}

// sinceRows counts, by user, the sessions that began after the rows were read.
func (s *Site) sinceRows(rows []usageRow) map[User]int {
	began := s.tracker.begunSince(s.usage.readAt())
	if len(began) == 0 {
		return nil
	}
	for i := range rows {
		delete(began, rows[i].session)
	}
	counts := make(map[User]int)
	for _, user := range began {
		counts[user]++
	}
	return counts
}

// timeout returns when the slot of a session frees by itself if there is no more
// activity: after the virtual proxy's timeout, and after the cooling that
// follows for a user at the limit. It is zero if that is not known.
func (s *Site) timeout(row *usageRow) time.Time {
	session, live := s.tracker.sessions[row.session]
	if !live || row.activity.IsZero() || session.link.timeout <= 0 {
		return time.Time{}
	}
	return row.activity.Add(session.link.timeout + s.config.CoolingTime)
}
