package qlik

import (
	"slices"
	"strings"
)

// VirtualProxyCount is a user's sessions on one virtual proxy, over all nodes.
type VirtualProxyCount struct {
	VirtualProxy string
	Sessions     int
	Node         string // of the first session
	SeveralNodes bool   // others are elsewhere
}

// CountUsers counts sessions by user and virtual proxy, ordered by user; others
// are there whether or not they have any. It also tells where each user is. The
// limit does not apply to anonymous users, nor to those named as unlimited.
func CountUsers(sessions []Session, others []User, limit int, unlimited map[User]bool) (users []UserStatus, index map[User]int) {
	index = make(map[User]int, len(sessions))
	order := make([]User, 0, len(sessions))
	note := func(user User) {
		if _, known := index[user]; !known {
			index[user] = 0
			order = append(order, user)
		}
	}
	for i := range sessions {
		note(sessions[i].User.Counted())
	}
	for _, user := range others {
		note(user)
	}
	slices.SortFunc(order, User.Compare)
	users = make([]UserStatus, len(order))
	for i, user := range order {
		index[user] = i
		users[i].User, users[i].Limited = user, limited(user, unlimited)
	}
	owners := make([]int32, len(sessions))
	for i := range sessions {
		owner := index[sessions[i].User.Counted()]
		owners[i] = int32(owner) //nolint:gosec // far fewer users than that
		users[owner].Sessions++
	}
	// One piece of memory for all: no user has more virtual proxies than sessions.
	counts := make([]VirtualProxyCount, len(sessions))
	for i := range users {
		users[i].VirtualProxies, counts = counts[:0:users[i].Sessions], counts[users[i].Sessions:]
	}
	for i := range sessions {
		users[owners[i]].countLink(sessions[i].Link)
	}
	for i := range users {
		if len(users[i].VirtualProxies) == 0 {
			users[i].VirtualProxies = nil
		}
		if users[i].Limited {
			users[i].Headroom = limit - users[i].Sessions
		}
	}
	return users, index
}

// limited says whether the limit applies to a user.
func limited(user User, unlimited map[User]bool) bool {
	return user != AnonymousUser && !unlimited[user]
}

// countLink counts one session on its virtual proxy. A user has few of them, so a
// sorted slice is smaller and faster than a map.
func (u *UserStatus) countLink(link *Link) {
	i, known := slices.BinarySearchFunc(u.VirtualProxies, link.VirtualProxy, func(v VirtualProxyCount, name string) int {
		return strings.Compare(v.VirtualProxy, name)
	})
	if !known {
		u.VirtualProxies = slices.Insert(u.VirtualProxies, i, VirtualProxyCount{VirtualProxy: link.VirtualProxy, Node: link.Node})
	}
	u.VirtualProxies[i].Sessions++
	if u.VirtualProxies[i].Node != link.Node {
		u.VirtualProxies[i].SeveralNodes = true
	}
}

// UsersByHeadroom counts the users to whom the limit applies by what is left to
// them: left[0] are those who have used up the limit exactly, left[limit-1] those
// with one session; over are those beyond the limit.
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
// whose sessions on it are spread over nodes. Anonymous users are many, so that
// it says nothing of them.
func UsersOnSeveralNodes(snapshot *Snapshot) map[string]int {
	spread := make(map[string]int)
	for i := range snapshot.Links {
		spread[snapshot.Links[i].VirtualProxy] = 0
	}
	for i := range snapshot.Users {
		for _, v := range snapshot.Users[i].VirtualProxies {
			if v.SeveralNodes && snapshot.Users[i].User != AnonymousUser {
				spread[v.VirtualProxy]++
			}
		}
	}
	return spread
}
