package headroom

import (
	"cmp"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// rememberReached is how long it is remembered that a user reached the limit,
	// after the last session of that user.
	rememberReached = 24 * time.Hour
	// maxRemembered bounds the users that are remembered without sessions.
	maxRemembered = 20_000
)

// trackUsers notes whose slots cool and who is at the limit.
func (o *observation) trackUsers() {
	o.after.remembered = make(map[qlik.User]trackedUser, len(o.before.remembered))
	for user := range o.before.remembered {
		o.tally[o.numberOf(user)].changes = true
	}
	for number := range o.ends {
		o.tally[number].changes = true
	}
	for number, user := range o.people {
		t := &o.tally[number]
		if !t.changes && t.sessions() < o.limit {
			continue // most users, who are not looked up by name for that
		}
		now := o.track(user, t, o.before.remembered[user], o.ends[int32(number)])
		if now.worthRemembering(t.sessions(), o.now) {
			o.after.remembered[user] = now
		}
	}
	o.after.forgetLongAgo(o.now)
}

// track returns what is to be remembered of a user after a round.
func (o *observation) track(user qlik.User, t *tally, before trackedUser, ends []time.Time) trackedUser {
	now, limited := before, o.apply(user)
	if limited {
		now.cooling = cool(before.cooling, t.sessions()+len(ends), ends, t.last, o.limits)
	}
	last := o.round.Asked
	if t.unknown > 0 {
		last = t.last // a session that is unknown may have ended as early as that
	}
	now.cooling = now.cooling[cooled(now.cooling, last):]
	now.atLimit = limited && t.sessions()+len(now.cooling)-cooled(now.cooling, o.now) >= o.limit
	if now.atLimit && !before.atLimit && t.started {
		now.reached++
		now.lastReached = o.now
	}
	if t.sessions() > 0 {
		now.lastSession = o.now
	}
	return now
}

// cool returns the cooling slots of a user to whom the limit applies after some
// sessions have ended; sessions counts those, too. At the limit the slot of a
// session that ends cools, which is what Qlik does (docs/qlik.md, "Five-minute
// tail"). An end lies between two answers of a link. So that no slot is promised too
// early the later one is taken as the end, and whatever cooled when the link was
// asked for the earlier one, last, still counts.
func cool(cooling []time.Time, sessions int, ends []time.Time, last time.Time, l *limits) []time.Time {
	if len(ends) == 0 {
		return cooling
	}
	cooling = slices.Clone(cooling[cooled(cooling, last):])
	if sessions+len(cooling) < l.limit {
		return cooling // each end only turns a session into a free slot
	}
	for _, end := range ends {
		cooling = append(cooling, end.Add(l.coolingTime))
	}
	slices.SortFunc(cooling, time.Time.Compare)
	return cooling[max(len(cooling)-l.limit, 0):]
}

// cooled is the number of slots that have cooled by a time.
func cooled(cooling []time.Time, at time.Time) int {
	n := 0
	for n < len(cooling) && !cooling[n].After(at) {
		n++
	}
	return n
}

// taken returns the cooling slots that are really taken: sessions and cooling
// slots together never exceed the limit, because a session beyond it holds no
// slot.
func (u *trackedUser) taken(sessions, limit int, now time.Time) []time.Time {
	cooling := u.cooling[cooled(u.cooling, now):]
	room := min(max(limit-sessions, 0), len(cooling))
	return cooling[len(cooling)-room:]
}

// worthRemembering says whether anything is lost if the user is forgotten.
func (u *trackedUser) worthRemembering(sessions int, now time.Time) bool {
	return u.atLimit || len(u.cooling) > 0 ||
		u.reached > 0 && (sessions > 0 || now.Sub(u.lastSession) < rememberReached)
}

// forgetLongAgo keeps the number of users small who are remembered only for having
// reached the limit: those go whose last session is longest ago.
func (s *State) forgetLongAgo(now time.Time) {
	var left []qlik.User
	for user, u := range s.remembered {
		if len(u.cooling) == 0 && !u.lastSession.Equal(now) {
			left = append(left, user)
		}
	}
	if len(left) <= maxRemembered {
		return
	}
	slices.SortFunc(left, func(a, b qlik.User) int {
		return cmp.Or(s.remembered[a].lastSession.Compare(s.remembered[b].lastSession), a.Compare(b))
	})
	for _, user := range left[:len(left)-maxRemembered] {
		delete(s.remembered, user)
	}
}
