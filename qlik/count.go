package qlik

import (
	"slices"
	"strings"
)

// UserCount is what a snapshot says of one user. All anonymous users together
// are one.
type UserCount struct {
	User           User
	Sessions       int
	VirtualProxies []VirtualProxyCount // ordered by virtual proxy
	Limited        bool                // the limit applies to the user
	Headroom       int                 // limit minus sessions, where Limited; negative beyond the limit
}

// VirtualProxyCount is a user's sessions on one virtual proxy, over all nodes.
type VirtualProxyCount struct {
	VirtualProxy string
	Sessions     int
}

// CountUsers counts sessions by user and virtual proxy, ordered by user. The
// limit does not apply to anonymous users, nor to those named as unlimited.
func CountUsers(sessions []Session, limit int, unlimited map[User]bool) []UserCount {
	counts := make([]UserCount, 0, len(sessions)/2)
	index := make(map[User]int, len(sessions)/2)
	for i := range sessions {
		user := sessions[i].User
		if user.Anonymous() {
			user = AnonymousUser
		}
		n, known := index[user]
		if !known {
			n = len(counts)
			index[user] = n
			counts = append(counts, UserCount{User: user, Limited: user != AnonymousUser && !unlimited[user]})
		}
		counts[n].add(sessions[i].Link.VirtualProxy)
	}
	for i := range counts {
		if counts[i].Limited {
			counts[i].Headroom = limit - counts[i].Sessions
		}
	}
	slices.SortFunc(counts, func(a, b UserCount) int { return a.User.Compare(b.User) })
	return counts
}

// add counts one session. A user has few virtual proxies, so a sorted slice is
// smaller and faster than a map.
func (c *UserCount) add(virtualProxy string) {
	c.Sessions++
	i, known := slices.BinarySearchFunc(c.VirtualProxies, virtualProxy, func(v VirtualProxyCount, name string) int {
		return strings.Compare(v.VirtualProxy, name)
	})
	if !known {
		c.VirtualProxies = slices.Insert(c.VirtualProxies, i, VirtualProxyCount{VirtualProxy: virtualProxy})
	}
	c.VirtualProxies[i].Sessions++
}

// UsersByHeadroom counts the users to whom the limit applies by what is left to
// them: below[0] has used up the limit exactly, below[limit-1] has one session;
// over holds those beyond the limit.
func UsersByHeadroom(users []UserCount, limit int) (over int, left []int) {
	left = make([]int, limit)
	for i := range users {
		switch headroom := users[i].Headroom; {
		case !users[i].Limited:
		case headroom < 0:
			over++
		case headroom < limit:
			left[headroom]++
		}
	}
	return over, left
}

// DistinctUsers counts the users of sessions. Here each anonymous browser is a
// user of its own, as it is to Qlik.
func DistinctUsers(sessions []Session) int {
	users := make(map[User]struct{}, len(sessions))
	for i := range sessions {
		users[sessions[i].User] = struct{}{}
	}
	return len(users)
}

// UsersOnSeveralNodes counts, for each virtual proxy of the snapshot, the users
// whose sessions on it are spread over nodes.
func UsersOnSeveralNodes(snapshot *Snapshot) map[string]int {
	type place struct {
		user         User
		virtualProxy string
	}
	const several = "\x00" // no node is called so
	nodes := make(map[place]string, len(snapshot.Sessions))
	spread := make(map[string]int)
	for i := range snapshot.Links {
		spread[snapshot.Links[i].VirtualProxy] = 0
	}
	for i := range snapshot.Sessions {
		session := &snapshot.Sessions[i]
		at := place{session.User, session.Link.VirtualProxy}
		switch before := nodes[at]; before {
		case "", session.Link.Node:
			nodes[at] = session.Link.Node
		case several:
		default:
			nodes[at] = several
			spread[at.virtualProxy]++
		}
	}
	return spread
}
