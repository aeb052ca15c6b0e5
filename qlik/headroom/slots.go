package headroom

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// rememberReached is how long after the last session of a user the counter of
	// reached limits is kept.
	rememberReached = 24 * time.Hour
	// maxRemembered is the maximum number of remembered users without sessions.
	maxRemembered = 20_000
)

// trackCooling updates the cooling slots of users and forgets users without anything to
// remember.
func (o *observation) trackCooling() {
	o.after.remembered = make(map[qlik.User]trackedUser, len(o.before.remembered))
	for user := range o.before.remembered {
		o.tally[o.numberOf(user)].changes = true
	}
	for number := range o.ends {
		o.tally[number].changes = true
	}
	for number, user := range o.people {
		t := &o.tally[number]
		if !t.changes {
			continue // this saves the lookup by name for most users
		}
		now := o.before.remembered[user]
		if o.apply(user) {
			ends := o.ends[int32(number)]
			now.cooling = cool(now.cooling, t.sessions()+len(ends), ends, t.last, o.limits)
		}
		last := o.round.Asked
		if t.unknown > 0 {
			last = t.last // an unknown session may have ended right after that request
		}
		now.cooling = now.cooling[cooled(now.cooling, last):]
		if t.sessions() > 0 {
			now.lastSession = o.now
		}
		now.atLimit = false // rememberUsers decides
		if now.worthRemembering(t.sessions(), o.now) {
			o.after.remembered[user] = now
		}
	}
	o.after.pruneRemembered(o.now)
	o.after.pruneCooling(o.now)
}

// rememberUsers updates which users are at the limit.
func (o *observation) rememberUsers() {
	for number, user := range o.people {
		t := &o.tally[number]
		atLimit := o.atLimit(int32(number))
		if !t.changes && !atLimit {
			continue // this saves the lookup by name for most users
		}
		now, known := o.after.remembered[user]
		if now.atLimit = atLimit; atLimit {
			if !o.before.remembered[user].atLimit && (t.started || o.useRows && t.recent) {
				now.reached++
				now.lastReached = o.now
			}
			if t.sessions() > 0 {
				now.lastSession = o.now
			}
		}
		if known || atLimit {
			o.after.remembered[user] = now
		}
		if i := o.status[number]; i >= 0 {
			o.users[i].LimitReached, o.users[i].LastLimitReached = now.reached, now.lastReached
		}
	}
}

// atLimit reports whether a user is at the limit. If the usage rows decide, sessions
// without a row do not count.
func (o *observation) atLimit(number int32) bool {
	if i := o.status[number]; i >= 0 && o.useRows {
		return o.users[i].Limited && o.users[i].EffectiveHeadroom <= 0
	}
	user, sessions := o.people[number], o.tally[number].sessions()
	if sessions < o.limit && !o.tally[number].changes || !o.apply(user) {
		return false
	}
	cooling := o.after.remembered[user].cooling
	return sessions+len(cooling)-cooled(cooling, o.now) >= o.limit
}

// cool returns the cooling slots of a user after sessions have ended. The limit
// applies to the user, and the number of sessions includes the ended ones.
//
// The rule (docs/qlik.md, "Five-minute tail"): if a session ends while the user is at
// the limit, its slot cools. If a session ends below the limit, its slot is free at
// once.
//
// A session ended at an unknown time between two answers of its link. cool assumes the
// worst case, so that no slot is reported as free too early. It takes the time of the
// later answer as the end. It counts all slots that were still cooling at the time
// last, when the earlier answer was requested.
func cool(cooling []time.Time, sessions int, ends []time.Time, last time.Time, l *limits) []time.Time {
	if len(ends) == 0 {
		return cooling
	}
	cooling = slices.Clone(cooling[cooled(cooling, last):])
	if sessions+len(cooling) < l.limit {
		return cooling // below the limit
	}
	for _, end := range ends {
		cooling = append(cooling, end.Add(l.coolingTime))
	}
	slices.SortFunc(cooling, time.Time.Compare)
	return cooling[max(len(cooling)-l.limit, 0):]
}

// cooled returns the number of cooling slots that are free at a time.
func cooled(cooling []time.Time, at time.Time) int {
	n := 0
	for n < len(cooling) && !cooling[n].After(at) {
		n++
	}
	return n
}

// taken returns the cooling slots that are still taken. Sessions and cooling slots
// together do not exceed the limit, because a session beyond the limit holds no slot.
func (u *trackedUser) taken(sessions, limit int, now time.Time) []time.Time {
	cooling := u.cooling[cooled(u.cooling, now):]
	room := min(max(limit-sessions, 0), len(cooling))
	return cooling[len(cooling)-room:]
}

// worthRemembering reports whether the state of the user must be kept.
func (u *trackedUser) worthRemembering(sessions int, now time.Time) bool {
	return u.atLimit || len(u.cooling) > 0 ||
		u.reached > 0 && (sessions > 0 || now.Sub(u.lastSession) < rememberReached)
}

// pruneRemembered limits the number of users that are remembered only because they
// reached the limit. It removes the users with the oldest last session.
func (s *State) pruneRemembered(now time.Time) {
	var left []qlik.User
	for user, u := range s.remembered {
		if len(u.cooling) == 0 && !u.lastSession.Equal(now) {
			left = append(left, user)
		}
	}
	if len(left) <= maxRemembered {
		return
	}
	s.forgetOldest(left, len(left)-maxRemembered)
}
