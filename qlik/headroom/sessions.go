package headroom

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// restartSessions is the minimum number of sessions that must end on a node in one
// round to count as a proxy restart. If fewer end, they can all be logouts.
const restartSessions = 5

// trackLinks records which links answered and which proxies have stopped.
func (o *observation) trackLinks() {
	o.links = slices.Clone(o.round.Links)
	answered := make(map[string]time.Time) // by node
	for i := range o.links {
		link := &o.links[i]
		if before := o.before.links[link.Key()]; before != nil && before.answered.After(answered[link.Node]) {
			answered[link.Node] = before.answered
		}
		if link.Err == nil {
			answered[link.Node] = o.now
		}
	}
	for i := range o.links {
		link := &o.links[i]
		key := link.Key()
		// A proxy that answers has not stopped, even if the repository reports it.
		link.Stopped = o.round.Services.stopped(link.Host(), answered[link.Node], o.now)
		tracked := trackedLink{LinkKey: key, timeout: link.InactivityTimeout}
		if before := o.before.links[key]; before != nil {
			tracked.answered, tracked.asked, tracked.since = before.answered, before.asked, before.since
			if link.Err == nil && !before.current && o.now.Sub(before.answered) > timeoutSlack {
				tracked.since = o.now
			}
			if before.timeout > tracked.timeout { // sessions that exist may keep it
				tracked.since = o.now.Add(before.timeout - tracked.timeout)
			}
		}
		if link.Err == nil {
			tracked.current, tracked.answered, tracked.asked = true, o.now, o.round.Asked
		}
		o.after.links[key] = &tracked
		o.after.totals.Started[key.VirtualProxy] += 0 // create the counter before the first event
		o.after.totals.Ended[key.VirtualProxy] += 0
		o.after.totals.Restarts[key.Node] += 0
	}
	o.after.totals.limit(o.links)
	o.complete = complete(o.links)
}

// trackSessions compares the listed sessions with those of the round before.
func (o *observation) trackSessions() {
	stayed := make(map[string]int) // listed sessions that are not new, by node
	for i := range o.links {
		if o.links[i].Err == nil {
			stayed[o.links[i].Node] += o.addSessions(&o.links[i])
		}
	}
	n := 0
	for _, sessions := range stayed {
		n += sessions
	}
	if n < len(o.before.sessions) {
		o.trackUnlisted(stayed)
	}
	o.after.users = o.people
}

// addSessions adds the sessions of a link and returns how many of them are not new. A
// session that several links list belongs to the first of them.
func (o *observation) addSessions(link *LinkResult) (stayed int) {
	key := link.Key()
	tracked, before := o.after.links[key], o.before.links[key]
	for i := range link.Sessions {
		session := &link.Sessions[i]
		id := session.ID.Key()
		if again, listed := o.after.sessions[id]; listed {
			o.countUser(again.user, link)
			continue
		}
		user := o.numberOf(session.User)
		o.countUser(user, link)
		now := trackedSession{link: tracked, firstSeen: o.seen, user: user}
		if known, was := o.before.sessions[id]; was {
			now.firstSeen, now.startSeen, now.closeStart = known.firstSeen, known.startSeen, known.closeStart
			now.granted, now.refused, now.pace = known.granted, known.refused, known.pace
			if now.startSeen && o.now.Sub(*now.firstSeen) <= UsageValidity {
				o.tally[user].recent = true
			}
			stayed++
		} else if before != nil && !before.answered.IsZero() { // sessions in the first answer of a link are older
			o.after.totals.Started[key.VirtualProxy]++
			o.tally[user].started = true
			now.startSeen = before.current
			if now.closeStart = before.current && o.now.Sub(before.answered) <= closeRounds; now.closeStart && o.apply(session.User) {
				o.starts[session.User] = append(o.starts[session.User], start{at: o.now, virtualProxy: key.VirtualProxy, node: key.Node, session: id})
			}
		}
		o.after.sessions[id] = now
		o.listed = append(o.listed, *session)
		o.owners = append(o.owners, user)
		o.tally[user].listed++
		o.tally[user].addFirstSeen(now.firstSeen)
	}
	return stayed
}

// countUser counts a user of a link once. Each anonymous browser counts as one user.
func (o *observation) countUser(user int32, link *LinkResult) {
	t := &o.tally[user]
	if t.countedFor != link || o.people[user] == qlik.AnonymousUser {
		t.countedFor = link
		link.Users++
	}
}

// addUnlisted records a session that is no longer listed. The argument is the time of
// the last request that listed it.
func (t *tally) addUnlisted(asked time.Time) {
	if t.last.IsZero() || asked.Before(t.last) {
		t.last = asked
	}
}

// addFirstSeen records when a session of the user was first seen.
func (t *tally) addFirstSeen(first *time.Time) {
	if t.oldest == nil || first.Before(*t.oldest) {
		t.oldest = first
	}
}

// trackUnlisted processes the sessions that are no longer listed. A session is unknown
// if its link did not answer and its proxy has not stopped. Otherwise it has ended.
func (o *observation) trackUnlisted(stayed map[string]int) {
	stopped := make(map[qlik.LinkKey]bool)
	room := newRoomFor(o.links)
	for i := range o.links {
		stopped[o.links[i].Key()] = o.links[i].Stopped
	}
	gone := make(map[string]int) // by node
	for id, session := range o.before.sessions {
		if _, listed := o.after.sessions[id]; listed {
			continue
		}
		key := session.link.LinkKey
		user := o.numberOf(o.before.users[session.user])
		o.tally[user].addUnlisted(session.link.asked)
		link := o.after.links[key] // nil if the link no longer exists
		if link != nil && !link.current && !stopped[key] {
			if !room.take(key.Node) {
				continue
			}
			session.link, session.user = link, user
			o.after.sessions[id] = session
			o.tally[user].unknown++
			o.tally[user].addFirstSeen(session.firstSeen)
			continue
		}
		at := o.now
		if stopped[key] {
			at = at.Add(-stoppedAfter) // the latest possible end
		}
		gone[key.Node]++
		o.after.totals.Ended[key.VirtualProxy]++
		o.end(id, &session, user, at)
	}
	slices.Sort(o.lifetimes) // the map has no order
	for node, n := range gone {
		if n >= restartSessions && stayed[node] == 0 {
			o.after.totals.Restarts[node]++
			o.restarted[node] = true
		}
	}
}
