package headroom

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// restartSessions is from how many sessions on a node that is suddenly without
// any has lost them to a restart, and not to logouts.
const restartSessions = 5

// trackLinks decides which links say anything, and which proxies have stopped.
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
		// Who answers has not stopped, whatever the repository says.
		link.Stopped = o.round.Services.stopped(link.Host(), answered[link.Node], o.now)
		tracked := trackedLink{LinkKey: key, timeout: link.InactivityTimeout}
		if before := o.before.links[key]; before != nil {
			tracked.answered, tracked.asked = before.answered, before.asked
		}
		if link.Err == nil {
			tracked.current, tracked.answered, tracked.asked = true, o.now, o.round.Asked
		}
		o.after.links[key] = &tracked
		o.after.totals.Started[key.VirtualProxy] += 0 // so that the counter exists before the first event
		o.after.totals.Ended[key.VirtualProxy] += 0
		o.after.totals.Restarts[key.Node] += 0
	}
}

// trackSessions compares the sessions that are listed with those that were there.
func (o *observation) trackSessions() {
	stayed := make(map[string]int) // sessions that were there before, by node
	for i := range o.links {
		if o.links[i].Err == nil {
			stayed[o.links[i].Node] += o.list(&o.links[i])
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

// list takes in the sessions of a link, and returns how many of them were there
// before. A session that several links list belongs to the first.
func (o *observation) list(link *LinkResult) (stayed int) {
	key := link.Key()
	tracked, before := o.after.links[key], o.before.links[key]
	for i := range link.Sessions {
		session := &link.Sessions[i]
		id := session.ID.Key()
		if again, listed := o.after.sessions[id]; listed {
			o.see(again.user, link)
			continue
		}
		user := o.numberOf(session.User)
		o.see(user, link)
		now := trackedSession{link: tracked, firstSeen: o.seen, user: user}
		if known, was := o.before.sessions[id]; was {
			now.firstSeen, now.startSeen = known.firstSeen, known.startSeen
			stayed++
		} else if before != nil && !before.answered.IsZero() { // what the first answer lists was there before
			o.after.totals.Started[key.VirtualProxy]++
			o.tally[user].started = true
			now.startSeen = before.current
		}
		o.after.sessions[id] = now
		o.listed = append(o.listed, *session)
		o.owners = append(o.owners, user)
		o.tally[user].listed++
		o.tally[user].seen(now.firstSeen)
	}
	return stayed
}

// see counts a user for a link: once, but each anonymous browser for itself.
func (o *observation) see(user int32, link *LinkResult) {
	t := &o.tally[user]
	if t.countedFor != link || o.people[user] == qlik.AnonymousUser {
		t.countedFor = link
		link.Users++
	}
}

// unlisted notes that a session of a user is not listed any more, and when its link
// was asked for the last answer that lists it.
func (t *tally) unlisted(asked time.Time) {
	if t.last.IsZero() || asked.Before(t.last) {
		t.last = asked
	}
}

// seen notes when a session of a user was first seen.
func (t *tally) seen(first *time.Time) {
	if t.oldest == nil || first.Before(*t.oldest) {
		t.oldest = first
	}
}

// trackUnlisted decides about the sessions that are not listed any more: they are
// unknown if their link did not answer, unless its proxy has stopped, and else
// they have ended.
func (o *observation) trackUnlisted(stayed map[string]int) {
	stopped := make(map[qlik.LinkKey]bool)
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
		o.tally[user].unlisted(session.link.asked)
		link := o.after.links[key] // nil if it is not expected any more
		if link != nil && !link.current && !stopped[key] {
			session.link, session.user = link, user
			o.after.sessions[id] = session
			o.tally[user].unknown++
			o.tally[user].seen(session.firstSeen)
			continue
		}
		at := o.now
		if stopped[key] {
			at = at.Add(-stoppedAfter) // at the latest
		}
		gone[key.Node]++
		o.after.totals.Ended[key.VirtualProxy]++
		o.ends[user] = append(o.ends[user], at)
		if session.startSeen {
			o.lives = append(o.lives, max(at.Sub(*session.firstSeen), 0))
		}
	}
	slices.Sort(o.lives) // the map has no order
	for node, n := range gone {
		if n >= restartSessions && stayed[node] == 0 {
			o.after.totals.Restarts[node]++
		}
	}
}
