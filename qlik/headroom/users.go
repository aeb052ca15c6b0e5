package headroom

import (
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// describeUsers creates the list of users, ordered by user. It contains users with
// sessions or usage rows, and remembered users.
func (o *observation) describeUsers() {
	o.assignRows()
	o.after.pruneEnded()
	for user, tracked := range o.after.remembered {
		if len(tracked.cooling) > cooled(tracked.cooling, o.now) || tracked.reached > 0 {
			o.tally[o.number[user]].shown = true
		}
	}
	for user := range o.round.Refusals {
		if o.refusedLately(user) {
			o.tally[o.numberOf(user)].shown = true
		}
	}
	order := make([]int32, 0, len(o.people))
	for number := range o.people {
		if t := &o.tally[number]; t.listed > 0 || t.shown {
			order = append(order, int32(number))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return o.people[a].Compare(o.people[b]) })

	o.users = make([]UserStatus, len(order))
	o.status = slices.Repeat([]int32{-1}, len(o.people))
	for i, number := range order {
		o.status[number] = int32(i)
		user, t := &o.users[i], &o.tally[number]
		user.User = o.people[number]
		user.Sessions = int(t.listed)
		user.Limited = o.apply(user.User)
		if user.Limited {
			user.Headroom = o.limit - user.Sessions
		}
		if user.Sessions > 0 {
			user.FirstSeen = *t.oldest
		}
	}
	for name, tracked := range o.after.remembered {
		number := o.number[name]
		if o.status[number] < 0 {
			continue
		}
		user := &o.users[o.status[number]]
		user.CoolingSlots = len(tracked.taken(o.tally[number].sessions(), o.limit, o.now))
	}
	o.countVirtualProxies()
}

// countVirtualProxies counts the sessions of each user by virtual proxy.
func (o *observation) countVirtualProxies() {
	// Allocate once for all users. A user has at most as many virtual proxies as
	// sessions.
	counts := make([]VirtualProxyCount, len(o.listed))
	for i := range o.users {
		if n := o.users[i].Sessions; n > 0 {
			o.users[i].VirtualProxies, counts = counts[:0:n], counts[n:]
		}
	}
	for i := range o.listed {
		o.users[o.status[o.owners[i]]].countLink(o.listed[i].Link)
	}
}

// countLink counts one session of the user by virtual proxy. A user has few virtual
// proxies, so a sorted slice is smaller and faster than a map.
func (u *UserStatus) countLink(link *qlik.Link) {
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
