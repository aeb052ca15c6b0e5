package headroom

import (
	"maps"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Snapshot is the state of a site at one time. It is shared and must not be modified.
type Snapshot struct {
	Time     time.Time      // when the requests to the links were sent
	Heard    time.Time      // when the last link answered or the wait for it ended
	Links    []LinkResult   // all links, ordered by node and prefix
	Sessions []qlik.Session // sessions of all links that answered, each session id once
	Limit    int            // session limit
	Users    []UserStatus   // ordered by user

	Tracking Tracking
	Ended    []time.Duration // lifetimes of sessions with a known start that ended since the previous round; shortest first

	Licenses       *qlik.Licenses // nil if they were not read
	LicensesStale  bool           // a new user may be at the limit, so the licenses should be read again
	UsageKnown     bool           // usage rows were read within UsageValidity
	UsagePlausible bool           // the usage rows reflect the sessions
	Services       []qlik.ServiceState
	Engines        []EngineResult // those that were asked

	// ActivityInterval is how long it may take until the activity of sessions in use is in
	// the usage rows, as was measured; 0 if unknown. See IdleKnown.
	ActivityInterval time.Duration
	// ActivityLag is how late the usage rows showed an activity within the last day, at
	// least; 0 if all were shown at once. For so long, a session may be in use again although
	// it looks idle.
	ActivityLag time.Duration

	Refusals      qlik.Refusals // refused logins of the last day in the audit logs, with each attempt
	RefusedLogins RefusedLogins // refused logins since the first round, each once

	// SlotsAtLimit are the slots of users without effective headroom by virtual proxy, 0 for
	// one without any. Slots on an unknown virtual proxy are left out.
	SlotsAtLimit map[string]int
	// ReclaimableSlots are, of the slots of users with at most one free slot, those that were not
	// used for IdleTime, by virtual proxy, 0 for one without any. It is nil while idle times are
	// unknown.
	ReclaimableSlots map[string]int

	LeftoverRows *int // usage rows that are left over, on the whole site; nil if unknown

	observed *observation
	limits   *limits   // nil: the limit applies to all users
	usage    *Usage    // usage rows; nil if UsageKnown is false
	soonest  time.Time // when a slot becomes free if a session of a user at the limit ends now
}

// Up reports whether at least one link answered. If not, all sessions are unknown.
func (s *Snapshot) Up() bool {
	return slices.ContainsFunc(s.Links, func(l LinkResult) bool { return l.Err == nil })
}

// Complete reports whether every link that may have sessions answered. If not, all
// counts are lower bounds.
func (s *Snapshot) Complete() bool {
	return complete(s.Links)
}

func complete(links []LinkResult) bool {
	up := slices.ContainsFunc(links, func(l LinkResult) bool { return l.Err == nil })
	return up && !slices.ContainsFunc(links, func(l LinkResult) bool { return l.Err != nil && !l.Stopped })
}

// Wait returns the user's next slot if ending sessions would free none sooner: the slot of
// a session that ends at the limit stays taken for the cooling time. Otherwise it returns
// the zero time.
func (s *Snapshot) Wait(user *UserStatus) time.Time {
	if user.Limited && user.EffectiveHeadroom <= 0 && !user.NextSlot.After(s.soonest) {
		return user.NextSlot
	}
	return time.Time{}
}

// FreedAt returns when a slot becomes free whose session ends now at the limit.
func (s *Snapshot) FreedAt() time.Time { return s.soonest }

// Of returns the state of a user, also of one without sessions.
func (s *Snapshot) Of(user qlik.User) UserStatus {
	i, known := slices.BinarySearchFunc(s.Users, user, func(u UserStatus, user qlik.User) int { return u.User.Compare(user) })
	if known {
		return s.Users[i]
	}
	status := UserStatus{User: user, Limited: user != qlik.AnonymousUser}
	if s.limits != nil {
		status.Limited = s.limits.apply(user)
	}
	if status.Limited {
		status.Headroom, status.EffectiveHeadroom = s.Limit, s.Limit
	}
	if s.Licenses != nil {
		status.License = s.Licenses.Of(user)
	}
	return status
}

// Administrator reports whether a user has an administrator's role.
func (s *Snapshot) Administrator(user qlik.User) bool {
	return s.observed != nil && s.observed.round.Administrators[user]
}

// UserStatus is the state of one user at one time. All anonymous users are one.
type UserStatus struct {
	User           qlik.User
	Sessions       int
	VirtualProxies []VirtualProxyCount // ordered by virtual proxy
	FirstSeen      time.Time           // when the oldest session was first seen; zero without sessions

	Limited           bool      // the limit applies to the user; if not, the next six fields are zero
	Headroom          int       // limit minus sessions; negative beyond the limit
	CoolingSlots      int       // slots that stay taken after sessions ended at the limit: their usage rows, if these are known
	EffectiveHeadroom int       // free slots that the next login finds; see the package comment
	NextSlot          time.Time // without effective headroom: when a slot becomes free by itself at the latest; zero if unknown
	LimitReached      uint64    // how often the user went from below the limit to the limit
	LastLimitReached  time.Time

	Judgment        Judgment // of a user with at most one free slot, or refused within RecentRefusal; else zero
	LicenseDoubtful bool     // refused within RecentRefusal for want of a license; nothing tells whether that would happen again

	License          string // one of the license constants of package qlik; "" if licenses were not read
	LicensedSessions int    // number of usage rows; only if Snapshot.UsageKnown
}

// Present reports whether the user has sessions, cooling slots or usage rows. Users
// that are not present are in a snapshot only because they reached the limit.
func (u *UserStatus) Present() bool {
	return u.Sessions > 0 || u.CoolingSlots > 0 || u.LicensedSessions > 0
}

// VirtualProxyCount is the number of a user's sessions on one virtual proxy, summed
// over all nodes.
type VirtualProxyCount struct {
	VirtualProxy string
	Sessions     int
	Node         string // node of the first session
	SeveralNodes bool   // other sessions are on other nodes
}

// SessionUsage is the data of the usage rows of a session.
type SessionUsage struct {
	Slots        int       // number of rows, usually 1: each of them may take a slot
	LastActivity time.Time // zero if the rows contain none
	UsedLater    bool      // the session was certainly used later, so it is unknown how long it has been idle
}

// UsageReadAt returns when the usage rows of the snapshot were read. It returns the zero
// time if they are unknown.
func (s *Snapshot) UsageReadAt() time.Time {
	if s.usage == nil {
		return time.Time{}
	}
	return s.usage.readAt
}

// UsageAskedAt returns when the usage rows of the snapshot were asked for. It returns the
// zero time if they are unknown.
func (s *Snapshot) UsageAskedAt() time.Time {
	if s.usage == nil {
		return time.Time{}
	}
	return s.usage.askedAt
}

// RecordedUntil returns until when the usage rows tell of activity: until they were asked
// for, but no later than the newest activity of anybody. By that time, the clock of the
// repository had certainly come so far, so idle times that end then do not grow if the
// clock of the exporter jumps ahead. It returns the zero time if the rows are unknown.
func (s *Snapshot) RecordedUntil() time.Time {
	if s.usage == nil {
		return time.Time{}
	}
	if s.usage.written.Before(s.usage.askedAt) {
		return s.usage.written
	}
	return s.usage.askedAt
}

// Usage returns the usage rows of the snapshot's sessions. If UsageKnown and
// UsagePlausible, a session without a row holds no slot. Otherwise the result is nil.
// Usage joins rows and sessions on each call, because few callers need it.
func (s *Snapshot) Usage() map[qlik.SessionID]SessionUsage {
	if s.usage == nil || !s.UsagePlausible || len(s.usage.rows) == 0 {
		return nil
	}
	rows := make(map[qlik.SessionKey]SessionUsage, len(s.usage.rows))
	for _, row := range s.usage.rows {
		of := rows[row.Session]
		of.Slots++
		if row.LastActivity.After(of.LastActivity) {
			of.LastActivity = row.LastActivity
		}
		rows[row.Session] = of
	}
	usage := make(map[qlik.SessionID]SessionUsage, len(rows))
	for i := range s.Sessions {
		if row, known := rows[s.Sessions[i].ID.Key()]; known {
			row.UsedLater = s.usage.usedLater(row.LastActivity, s.Time, s.Sessions[i].Link.InactivityTimeout)
			usage[s.Sessions[i].ID] = row
		}
	}
	return usage
}

// UsersByHeadroom counts the users with a limit by headroom. left[n] is the number of
// users with sessions and a headroom of n: left[0] for users at the limit, left[limit-1]
// for users with one session. over is the number of users beyond the limit.
func (s *Snapshot) UsersByHeadroom() (over int, left []int) {
	left = make([]int, s.Limit)
	for i := range s.Users {
		switch headroom := s.Users[i].Headroom; {
		case !s.Users[i].Limited:
		case headroom < 0:
			over++
		case headroom < s.Limit:
			left[headroom]++
		}
	}
	return over, left
}

// UsersOnSeveralNodes counts for each virtual proxy the users with sessions on several
// nodes. It ignores anonymous users, because they are many browsers.
func (s *Snapshot) UsersOnSeveralNodes() map[string]int {
	spread := usersOnSeveralNodes(s.Users)
	for i := range s.Links {
		spread[s.Links[i].VirtualProxy] += 0
	}
	return spread
}

func usersOnSeveralNodes(users []UserStatus) map[string]int {
	spread := make(map[string]int)
	for i := range users {
		for _, v := range users[i].VirtualProxies {
			if v.SeveralNodes && users[i].User != qlik.AnonymousUser {
				spread[v.VirtualProxy]++
			}
		}
	}
	return spread
}

// Tracking counts the events between rounds since the first round.
type Tracking struct {
	Totals

	Since       time.Time // time of the first round; zero before it
	ReachedIdle ReachedIdle
}

// ReachedIdle are the idle times at which users reached the limit: for each time, how long
// the longest idle of the user's sessions had been idle. Times at which idle times were
// unknown are left out.
type ReachedIdle struct {
	Count uint64          // since the first round
	Last  []time.Duration // the last of them, at most maxReachedIdle, oldest first
}

// Totals are event counters.
type Totals struct {
	Started  map[string]uint64 // started sessions by virtual proxy
	Ended    map[string]uint64 // ended sessions by virtual proxy
	Restarts map[string]uint64 // restarts of proxies by node
	Refused  map[string]uint64 // refused logins by reason, each once; see RefusedLogins
	// RefusedCauses are the same refused logins by the cause of the user.
	RefusedCauses map[Cause]uint64
}

func (t *Totals) clone() Totals {
	return Totals{
		Started: cloneCounts(t.Started), Ended: cloneCounts(t.Ended), Restarts: cloneCounts(t.Restarts),
		Refused: cloneCounts(t.Refused), RefusedCauses: cloneCounts(t.RefusedCauses),
	}
}

func cloneCounts[K comparable](counts map[K]uint64) map[K]uint64 {
	if counts == nil {
		return make(map[K]uint64)
	}
	return maps.Clone(counts)
}
