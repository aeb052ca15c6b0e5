package headroom

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Limits of the data in a State. Only a node or a repository that keeps inventing new names
// exceeds them.
const (
	// maxCounters is the maximum number of counters of links that no longer exist. They
	// stay, because counters should not disappear.
	maxCounters = 10_000
	// maxCooling is the maximum number of users without sessions that are remembered for
	// their cooling slots, and maxCoolingNames that of the bytes of their names.
	maxCooling      = 100_000
	maxCoolingNames = 16 << 20
	// maxEnded is the maximum number of ended sessions that are remembered, and
	// maxEndedNames that of the bytes of the names of their users.
	maxEnded      = 200_000
	maxEndedNames = 16 << 20
	// maxReachedIdle is the maximum number of idle times that are kept until somebody counts
	// them.
	maxReachedIdle = 1000
)

// limit deletes the counters of links that no longer exist if there are too many.
func (t *Totals) limit(links []LinkResult) {
	if len(t.Started)+len(t.Restarts) <= maxCounters+2*len(links) {
		return
	}
	exist := make(map[string]bool)
	for i := range links {
		exist[links[i].VirtualProxy], exist[links[i].Node] = true, true
	}
	for _, counters := range []map[string]uint64{t.Started, t.Ended, t.Restarts} {
		maps.DeleteFunc(counters, func(name string, _ uint64) bool { return !exist[name] })
	}
}

// pruneCooling limits the number of users without sessions that are remembered for
// their cooling slots.
func (s *State) pruneCooling(now time.Time) {
	var cooling []qlik.User
	names := 0
	for user, u := range s.remembered {
		if len(u.cooling) > 0 && !u.lastSession.Equal(now) {
			cooling = append(cooling, user)
			names += len(user.Directory) + len(user.ID)
		}
	}
	if names > maxCoolingNames {
		s.forgetOldest(cooling, len(cooling)/2)
	} else {
		s.forgetOldest(cooling, len(cooling)-maxCooling)
	}
}

// pruneEnded limits the number of ended sessions that are remembered. Those that ended
// first are forgotten first.
func (s *State) pruneEnded() {
	names := 0
	for _, ended := range s.ended {
		names += len(ended.user.Directory) + len(ended.user.ID)
	}
	excess := len(s.ended) - maxEnded
	if names > maxEndedNames {
		excess = max(excess, len(s.ended)/2)
	}
	if excess <= 0 {
		return
	}
	oldest := slices.SortedFunc(maps.Keys(s.ended), func(a, b qlik.SessionKey) int {
		return cmp.Or(s.ended[a].at.Compare(s.ended[b].at), cmp.Compare(a, b))
	})
	for _, id := range oldest[:excess] {
		delete(s.ended, id)
	}
}

// forgetOldest forgets n of the users: those with the oldest last session.
func (s *State) forgetOldest(users []qlik.User, n int) {
	if n <= 0 {
		return
	}
	slices.SortFunc(users, func(a, b qlik.User) int {
		return cmp.Or(s.remembered[a].lastSession.Compare(s.remembered[b].lastSession), a.Compare(b))
	})
	for _, user := range users[:n] {
		delete(s.remembered, user)
	}
}

// roomFor counts the sessions that are kept of each host. It returns false if there are
// too many, for example because the links of a hostile node answer by turns.
type roomFor map[string]int

func newRoomFor(links []LinkResult) roomFor {
	known := make(roomFor)
	for i := range links {
		known[qlik.HostOf(links[i].Node)] += len(links[i].Sessions)
	}
	return known
}

func (r roomFor) take(node string) bool {
	host := qlik.HostOf(node)
	r[host]++
	return r[host] <= qlik.MaxSessions
}
