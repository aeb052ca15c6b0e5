package headroom

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// sameLogin is the time within which a session without a slot and refusals in audit
	// logs are the same refused login of a user: the login is tried again, several logs and
	// lines tell of it, and the session is seen only in the next round.
	sameLogin = 2 * time.Minute
	// rememberRefused is longer than refusals stay in Round.Refusals, so that none counts again.
	rememberRefused = 25 * time.Hour
	// showRefused is how long Last returns a refused login.
	showRefused = 24 * time.Hour
	// maxRefusedLogins is the maximum number of refused logins that are kept of a user.
	maxRefusedLogins = 64
	// maxRefusedUsers is the maximum number of users with refused logins, and
	// maxRefusedNames that of the bytes of their names.
	maxRefusedUsers = 20_000
	maxRefusedNames = 4 << 20
)

// RefusedLogins are the refused logins that were counted in Totals.Refused, of the last day.
// They are immutable, like the State that they belong to, so a snapshot shares them.
type RefusedLogins struct {
	since time.Time                    // refusals until then do not count
	of    map[qlik.User][]refusedLogin // oldest first
}

// refusedLogin is a refused login that was counted once.
type refusedLogin struct {
	from, to time.Time // when it was
	reason   qlik.RefusalReason
	session  bool // it was seen as a session without a slot
}

// countedLogin is a refused login that the round counts.
type countedLogin struct {
	user    qlik.User
	refusal qlik.Refusal // with the reason only, if it was seen as a session
}

// near reports whether a time may be that of the login.
func (l *refusedLogin) near(from, to time.Time) bool {
	return !to.Before(l.from.Add(-sameLogin)) && !from.After(l.to.Add(sameLogin))
}

// countRefused counts the refused logins of the round, each of them once, whether it was
// seen as a session without a slot, in the audit log, or both.
func (o *observation) countRefused() {
	for _, reason := range qlik.RefusalReasons() {
		o.after.totals.Refused[string(reason)] += 0 // create the counter before the first event
	}
	o.after.refused = o.before.refused
	if o.before.since.IsZero() { // what happened before is unknown
		o.after.refused.since = o.now
		return
	}
	logins := loginChanges{RefusedLogins: &o.after.refused}
	for _, session := range o.refusedSessions() {
		if logins.addSession(o.people[session.user], session.firstSeen.Add(-o.now.Sub(o.before.heard)), *session.firstSeen) {
			o.countLogin(o.people[session.user], qlik.Refusal{Reason: qlik.RefusedSessionLimit})
		}
	}
	var live map[qlik.User]bool
	for user, refusals := range o.round.Refusals {
		known := logins.of[user]
		for _, refusal := range slices.Backward(refusals) { // oldest first
			if logins.covers(known, refusal) {
				continue
			}
			if live == nil {
				live = o.withRefusedSession()
			}
			if logins.addRefusal(user, refusal, live[user]) {
				o.countLogin(user, refusal)
			}
			known = logins.of[user]
		}
	}
	logins.limit(o.now)
}

// countLogin counts a refused login by its reason. countRefusedCauses counts it by its cause
// when that is known.
func (o *observation) countLogin(user qlik.User, refusal qlik.Refusal) {
	o.after.totals.Refused[string(refusal.Reason)]++
	o.refused = append(o.refused, countedLogin{user, refusal})
}

// countRefusedCauses counts the refused logins of the round by the cause of their users.
func (o *observation) countRefusedCauses() {
	for _, cause := range Causes() {
		o.after.totals.RefusedCauses[cause] += 0 // create the counter before the first event
	}
	for i := range o.refused {
		o.after.totals.RefusedCauses[o.causeOf(&o.refused[i])]++
	}
	o.refused = nil // a snapshot does not need them
}

// causeOf returns the cause of a refused login. If the user has none, for example because a
// log was read late, the reason may tell.
func (o *observation) causeOf(login *countedLogin) Cause {
	if number, known := o.number[login.user]; known && o.status[number] >= 0 {
		if cause := o.users[o.status[number]].Judgment.Cause; cause != "" {
			return cause
		}
	}
	if login.refusal.Reason == qlik.RefusedNoLicense && !Holds(login.refusal.License) {
		return CauseNoLicense
	}
	return CauseUnknown
}

// LastRefused is the last refused login of a user for a reason.
type LastRefused struct {
	User   qlik.User
	Reason qlik.RefusalReason
	At     time.Time
}

// Last returns the last refused login of each user for each reason within a day before a
// time, in no order.
func (r *RefusedLogins) Last(now time.Time) iter.Seq[LastRefused] {
	return func(yield func(LastRefused) bool) {
		for user, logins := range r.of {
			for _, reason := range qlik.RefusalReasons() {
				last := latest(logins, reason)
				if !last.IsZero() && now.Sub(last) < showRefused && !yield(LastRefused{user, reason, last}) {
					return
				}
			}
		}
	}
}

// refusedSessions returns the sessions that are first known to hold no slot because their
// user is at the limit. Only sessions whose start was seen are logins. It marks them, so
// that they are not returned again.
func (o *observation) refusedSessions() []trackedSession {
	room := make(map[int32]int) // maximum number of refused sessions, by user
	for number, i := range o.status {
		if i < 0 || !o.users[i].Limited || o.withoutLicense(&o.users[i]) {
			continue
		}
		user := &o.users[i]
		switch {
		case o.useRows && user.EffectiveHeadroom <= 0 && user.Sessions > o.live[i]:
			room[int32(number)] = user.Sessions
		case !o.useRows && user.Sessions > o.limit:
			room[int32(number)] = user.Sessions - o.limit
		}
	}
	if len(room) == 0 {
		return nil
	}
	var refused []trackedSession
	for i, number := range o.owners {
		if room[number] <= 0 {
			continue
		}
		id := o.listed[i].ID.Key()
		session := o.after.sessions[id]
		known := session.firstSeen == o.seen // without rows, only a new session can be told from the others
		if o.useRows {
			known = !session.firstSeen.After(o.round.Usage.askedAt)
		}
		if known && session.startSeen && !session.granted && !session.refused {
			session.refused = true
			o.after.sessions[id] = session
			refused = append(refused, session)
			room[number]--
		}
	}
	return refused
}

// withoutLicense reports whether a user held no license when the lists were read. The limit
// does not apply then. A new user may have got one since, but that is rare.
func (o *observation) withoutLicense(user *UserStatus) bool {
	return user.License == qlik.LicenseNone ||
		user.License == qlik.LicenseUnknown && o.round.Licenses != nil && o.round.Licenses.Of(user.User) == qlik.LicenseNone
}

// withRefusedSession returns the users with a session that was refused and is still there.
func (o *observation) withRefusedSession() map[qlik.User]bool {
	users := make(map[qlik.User]bool)
	for _, session := range o.after.sessions {
		if session.refused {
			users[o.people[session.user]] = true
		}
	}
	return users
}

// loginChanges changes refused logins. It copies them before the first change.
type loginChanges struct {
	*RefusedLogins

	copied bool
}

// covers reports whether a refusal in the audit log is of one of the user's logins that were
// counted, or too old to count.
func (r *RefusedLogins) covers(logins []refusedLogin, refusal qlik.Refusal) bool {
	if !refusal.At.After(r.since) || len(logins) >= maxRefusedLogins && refusal.At.Before(logins[0].from) {
		return true
	}
	return slices.ContainsFunc(logins, func(l refusedLogin) bool {
		return l.near(refusal.At, refusal.At) && (l.session || l.reason == refusal.Reason)
	})
}

// addSession adds a login that was seen as a session which started between two times. It
// returns false if the login was already counted by the audit log.
func (c *loginChanges) addSession(user qlik.User, from, to time.Time) bool {
	logins := slices.Clone(c.of[user])
	for i := range logins {
		if l := &logins[i]; !l.session && l.near(from, to) {
			l.session = true
			l.extend(from, to)
			c.set(user, logins)
			return false
		}
	}
	if n := len(logins); n > 0 && logins[n-1].session && logins[n-1].reason == qlik.RefusedSessionLimit && logins[n-1].near(from, to) {
		logins[n-1].extend(from, to) // several logins at once need to be kept only once
	} else {
		logins = append(logins, refusedLogin{from, to, qlik.RefusedSessionLimit, true})
	}
	c.set(user, logins)
	return true
}

// addRefusal adds a login that was seen in the audit log. It returns false if the refusal is
// of a session that was counted and is still there: its user tried again.
func (c *loginChanges) addRefusal(user qlik.User, refusal qlik.Refusal, live bool) bool {
	logins := slices.Clone(c.of[user])
	if live {
		for i := len(logins) - 1; i >= 0; i-- {
			if l := &logins[i]; l.session && !refusal.At.Before(l.from) {
				l.extend(refusal.At, refusal.At)
				c.set(user, logins)
				return false
			}
		}
	}
	c.set(user, append(logins, refusedLogin{refusal.At, refusal.At, refusal.Reason, false}))
	return true
}

func (l *refusedLogin) extend(from, to time.Time) {
	if from.Before(l.from) {
		l.from = from
	}
	if to.After(l.to) {
		l.to = to
	}
}

func (c *loginChanges) set(user qlik.User, logins []refusedLogin) {
	if !c.copied {
		c.copied = true
		if c.of = maps.Clone(c.of); c.of == nil {
			c.of = make(map[qlik.User][]refusedLogin)
		}
	}
	slices.SortStableFunc(logins, func(a, b refusedLogin) int { return a.from.Compare(b.from) })
	c.of[user] = logins[max(len(logins)-maxRefusedLogins, 0):]
}

// limit forgets old logins, and the oldest if there are too many. Refusals as old as a
// forgotten login do not count any more.
func (c *loginChanges) limit(now time.Time) {
	if !c.copied {
		return
	}
	names, reasons := 0, qlik.RefusalReasons()
	for user, logins := range c.of {
		if now.Sub(latest(logins, reasons...)) > rememberRefused {
			delete(c.of, user)
			continue
		}
		names += len(user.Directory) + len(user.ID)
	}
	if len(c.of) <= maxRefusedUsers && names <= maxRefusedNames {
		return
	}
	users := slices.SortedFunc(maps.Keys(c.of), func(a, b qlik.User) int {
		return cmp.Or(latest(c.of[a], reasons...).Compare(latest(c.of[b], reasons...)), a.Compare(b))
	})
	for _, user := range users[:max(len(users)-maxRefusedUsers, len(users)/2)] {
		if last := latest(c.of[user], reasons...); last.After(c.since) {
			c.since = last
		}
		delete(c.of, user)
	}
}

// latest returns the time of the last login that was refused for one of some reasons.
func latest(logins []refusedLogin, reasons ...qlik.RefusalReason) time.Time {
	var last time.Time
	for i := range logins {
		if slices.Contains(reasons, logins[i].reason) && logins[i].to.After(last) {
			last = logins[i].to
		}
	}
	return last
}
