package headroom

import (
	"maps"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Snapshot is what is known of a site at one moment. It is shared and must not be
// altered.
type Snapshot struct {
	Time     time.Time      // when the links were asked
	Heard    time.Time      // when the last answer was in, or waiting for it ended
	Links    []LinkResult   // expected to answer, ordered by node and prefix
	Sessions []qlik.Session // of all links that answered, each session id once
	Limit    int            // sessions that a user may have at once
	Users    []UserStatus   // ordered by user

	Tracking Tracking
	Ended    []time.Duration // how long sessions lived that ended since the round before, if their start was seen; shortest first

	Licenses       *qlik.Licenses // nil while not read
	LicensesStale  bool           // somebody may be at the limit who came after the licenses were read
	UsageKnown     bool           // usage rows were read within UsageValidity
	UsagePlausible bool           // they reflect sessions
	Services       []qlik.ServiceState

	rows []qlik.UsageRow // those that effective headroom goes by
}

// Up says whether at least one link answered. If not, nothing is known.
func (s *Snapshot) Up() bool {
	return slices.ContainsFunc(s.Links, func(l LinkResult) bool { return l.Err == nil })
}

// Complete says whether every link answered that may have sessions. If not, all
// counts are lower bounds.
func (s *Snapshot) Complete() bool {
	return s.Up() && !slices.ContainsFunc(s.Links, func(l LinkResult) bool { return l.Err != nil && !l.Stopped })
}

// UserStatus is everything that is known of one user at one moment. All
// anonymous users together are one.
type UserStatus struct {
	User           qlik.User
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

	License          string // one of the constants of package qlik; "" where licenses are not read
	LicensedSessions int    // usage rows, where Snapshot.UsageKnown
}

// Present says whether the user has anything that the limit is about. A user
// who has not is only remembered for having reached it.
func (u *UserStatus) Present() bool {
	return u.Sessions > 0 || u.CoolingSlots > 0 || u.LicensedSessions > 0
}

// VirtualProxyCount is a user's sessions on one virtual proxy, over all nodes.
type VirtualProxyCount struct {
	VirtualProxy string
	Sessions     int
	Node         string // of the first session
	SeveralNodes bool   // others are elsewhere
}

// SessionUsage is what a usage row says of a session that holds a slot.
type SessionUsage struct {
	LastActivity time.Time // zero if not said
}

// Usage returns the usage rows of the snapshot's sessions. A session without one
// holds no slot, or nothing is known: see UsageKnown and UsagePlausible. The rows
// do not hold session ids, and are joined only for those who ask.
func (s *Snapshot) Usage() map[qlik.SessionID]SessionUsage {
	if len(s.rows) == 0 {
		return nil
	}
	rows := make(map[qlik.SessionKey]*qlik.UsageRow, len(s.rows))
	for i := range s.rows {
		rows[s.rows[i].Session] = &s.rows[i]
	}
	usage := make(map[qlik.SessionID]SessionUsage, len(rows))
	for i := range s.Sessions {
		if row := rows[s.Sessions[i].ID.Key()]; row != nil {
			usage[s.Sessions[i].ID] = SessionUsage{LastActivity: row.LastActivity}
		}
	}
	return usage
}

// UsersByHeadroom counts the users to whom the limit applies by what is left to
// them: left[0] are those who have used up the limit exactly, left[limit-1] those
// with one session; over are those beyond the limit.
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

// UsersOnSeveralNodes counts, for each virtual proxy, the users whose sessions on
// it are spread over nodes. Anonymous users are many, so that it says nothing of
// them.
func (s *Snapshot) UsersOnSeveralNodes() map[string]int {
	spread := make(map[string]int)
	for i := range s.Links {
		spread[s.Links[i].VirtualProxy] = 0
	}
	for i := range s.Users {
		for _, v := range s.Users[i].VirtualProxies {
			if v.SeveralNodes && s.Users[i].User != qlik.AnonymousUser {
				spread[v.VirtualProxy]++
			}
		}
	}
	return spread
}

// Tracking is what was seen between rounds since the first.
type Tracking struct {
	Totals

	Since time.Time // zero before the first round
}

// Totals are counts of events.
type Totals struct {
	Started  map[string]uint64 // sessions, by virtual proxy
	Ended    map[string]uint64 // sessions, by virtual proxy
	Restarts map[string]uint64 // of proxies, by node
}

func (t *Totals) clone() Totals {
	clone := func(m map[string]uint64) map[string]uint64 {
		if m == nil {
			return make(map[string]uint64)
		}
		return maps.Clone(m)
	}
	return Totals{Started: clone(t.Started), Ended: clone(t.Ended), Restarts: clone(t.Restarts)}
}
