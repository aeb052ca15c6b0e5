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
// what the repository says of licences, and its usage rows. The caller holds
// s.trackMu.
func (s *Site) describeUsers(snapshot *Snapshot) {
	now := s.config.Now()
	rows, read := s.usage.known(snapshot.Time)
	held := rowsByUser(rows, snapshot.Sessions, s.tracker.hash)
	users := CountUsers(snapshot.Sessions, snapshot.Limit, s.unlimited)
	users = s.addAbsent(users, held)

	for i := range users {
		user := &users[i]
		s.tracker.describe(user, now)
		user.LicensedSessions = len(held[user.User])
		if snapshot.Licenses != nil {
			user.License = snapshot.Licenses.Of(user.User)
			// Whoever uses a licence that anybody may use shows it by its rows.
			if mine := held[user.User]; len(mine) > 0 && (user.License == LicenseNone || user.License == LicenseUnknown) {
				user.License = mine[0].license
			}
		}
	}
	snapshot.Users = users
	snapshot.UsageKnown = read
	snapshot.UsagePlausible = !read || s.usage.judge(users, now)

	for i := range users {
		user := &users[i]
		if !user.Limited {
			continue
		}
		slots := s.tracker.coolingEnds(user.User, now)
		if read && snapshot.UsagePlausible {
			user.EffectiveHeadroom = snapshot.Limit - user.LicensedSessions
			slots = append(slots, s.timeouts(held[user.User], snapshot)...)
		} else {
			user.EffectiveHeadroom = snapshot.Limit - user.Sessions - user.CoolingSlots
		}
		if needed := 1 - user.EffectiveHeadroom; needed > 0 && needed <= len(slots) {
			slices.SortFunc(slots, time.Time.Compare)
			user.NextSlot = slots[needed-1]
		}
	}
}

// addAbsent adds users who have no session in the snapshot but something else
// to tell, and keeps the order.
func (s *Site) addAbsent(users []UserStatus, held map[User][]*usageRow) []UserStatus {
	counted := len(users)
	add := func(user User) {
		compare := func(u UserStatus, wanted User) int { return u.User.Compare(wanted) }
		if _, found := slices.BinarySearchFunc(users[:counted], user, compare); found {
			return
		}
		status := UserStatus{User: user, Limited: limited(user, s.unlimited)}
		if status.Limited {
			status.Headroom = s.config.SessionLimit
		}
		users = append(users, status)
	}
	for user, tracked := range s.tracker.users {
		if len(tracked.cooling) > 0 || tracked.reached > 0 {
			add(user)
		}
	}
	for user := range held {
		add(user)
	}
	if len(users) > counted {
		slices.SortFunc(users, func(a, b UserStatus) int { return a.User.Compare(b.User) })
		users = slices.CompactFunc(users, func(a, b UserStatus) bool { return a.User == b.User })
	}
	return users
}

// rowsByUser finds the user of each row: the one whose session it is, else the
// one that the row names.
func rowsByUser(rows []usageRow, sessions []Session, hash func(SessionID) sessionHash) map[User][]*usageRow {
	if len(rows) == 0 {
		return nil
	}
	owners := make(map[sessionHash]User, len(sessions))
	for i := range sessions {
		owners[hash(sessions[i].ID)] = sessions[i].User
	}
	held := make(map[User][]*usageRow, len(rows))
	for i := range rows {
		user := rows[i].user
		if owner, live := owners[rows[i].session]; live {
			user = owner
		}
		switch {
		case user == User{}: // nobody knows whose it is
			continue
		case user.Anonymous():
			user = AnonymousUser
		}
		held[user] = append(held[user], &rows[i])
	}
	return held
}

// timeouts returns when the slots of sessions free by themselves if there is no
// more activity: after the virtual proxy's timeout, and after the cooling that
// follows for a user at the limit.
func (s *Site) timeouts(rows []*usageRow, snapshot *Snapshot) []time.Time {
	var ends []time.Time
	for _, row := range rows {
		session, live := s.tracker.sessions[row.session]
		if !live || row.activity.IsZero() {
			continue
		}
		for i := range snapshot.Links {
			link := &snapshot.Links[i]
			if link.Node == session.link.node && link.VirtualProxy == session.link.virtualProxy && link.InactivityTimeout > 0 {
				ends = append(ends, row.activity.Add(link.InactivityTimeout+s.config.CoolingTime))
			}
		}
	}
	return ends
}
