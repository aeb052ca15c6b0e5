package qlik

import (
	"slices"
	"strings"
)

// VirtualProxyCount is a user's sessions on one virtual proxy, over all nodes.
type VirtualProxyCount struct {
	VirtualProxy string
	Sessions     int
}

// CountUsers counts sessions by user and virtual proxy, ordered by user. The
// limit does not apply to anonymous users, nor to those named as unlimited.
func CountUsers(sessions []Session, limit int, unlimited map[User]bool) []UserStatus {
	counts := make([]UserStatus, 0, len(sessions)/2)
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
			counts = append(counts, UserStatus{User: user, Limited: limited(user, unlimited)})
		}
		counts[n].add(sessions[i].Link.VirtualProxy)
	}
	for i := range counts {
		if counts[i].Limited {
			counts[i].Headroom = limit - counts[i].Sessions
		}
	}
	slices.SortFunc(counts, func(a, b UserStatus) int { return a.User.Compare(b.User) })
	return counts
}

// limited says whether the limit applies to a user.
func limited(user User, unlimited map[User]bool) bool {
	return user != AnonymousUser && !unlimited[user]
}

// add counts one session. A user has few virtual proxies, so a sorted slice is
// smaller and faster than a map.
func (u *UserStatus) add(virtualProxy string) {
	u.Sessions++
	i, known := slices.BinarySearchFunc(u.VirtualProxies, virtualProxy, func(v VirtualProxyCount, name string) int {
		return strings.Compare(v.VirtualProxy, name)
	})
	if !known {
		u.VirtualProxies = slices.Insert(u.VirtualProxies, i, VirtualProxyCount{VirtualProxy: virtualProxy})
	}
	u.VirtualProxies[i].Sessions++
}

// UsersByHeadroom counts the users to whom the limit applies by what is left to
// them: below[0] has used up the limit exactly, below[limit-1] has one session;
// over holds those beyond the limit.
func UsersByHeadroom(users []UserStatus, limit int) (over int, left []int) {
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
