package headroom

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// The last activity in a usage row tells how long a session has been idle only if Qlik
// records activity soon. How soon it does is unknown (docs/qlik.md, "Usage rows"), so it is
// measured, in four ways:
//   - How the recorded activity of a session advances, while it is in use. Activity is
//     recorded no more rarely than in the shortest step of a session: see pace.
//   - A row that shows an activity which the rows read before did not show, although it is
//     older than they are, was written late. Lag and step add up: if all activity is written
//     once in five minutes, a session can be used for five minutes, and look as idle as it
//     was at the write before.
//   - A session that is still listed although its recorded activity is older than the
//     inactivity timeout was used later than recorded. The interval is no shorter than that.
//   - A row whose activity goes back shows that a clock was set back, or the database
//     restored. Its session looked idle all the time that it went back.
//
// Steps are differences of times of one clock. The others compare the clock of the
// repository with that of the exporter, as each idle time does: if they differ, idle times
// are wrong, and the interval shows it. If the repository is ahead, sessions look less idle
// than they are, which is harmless.
const (
	// measuredSessions is the minimum number of sessions with a step.
	measuredSessions = 10
	// measuredFor is how long a measurement counts, and maxEndedSteps the maximum number of
	// steps of ended sessions that are kept.
	measuredFor   = 24 * time.Hour
	maxEndedSteps = 100
	// timeoutSlack is how long after its timeout a session may still be listed: the proxy
	// looks for them only from time to time, and clocks differ a little.
	timeoutSlack = 2 * time.Minute
	// lagSlack is the lag that does not count. Clocks of servers in a domain differ by
	// seconds, and Qlik may take a second to write, while idle times are minutes.
	lagSlack = 30 * time.Second
)

// pace is how the recorded activity of a session advances. Times are in Unix seconds, so
// that 100,000 sessions take little memory.
type pace struct {
	activity uint32 // the latest one; 0 for none
	read     uint32 // when rows that first showed it were read
	step     uint32 // shortest time between two advances; 0 before the first advance
}

// noStep is the step after the first advance. What it advanced from began the row, which
// has nothing to do with how often activity is recorded.
const noStep = math.MaxUint32

// note adds an activity that was read at a time, and reports whether it is new. A step is
// the time between two activities or, if that is longer, between the reads that showed them
// first: an activity that is recorded late has its own time, not that of the record.
func (p *pace) note(activity time.Time, readAt time.Time) bool {
	at, read := unixSeconds(activity), unixSeconds(readAt)
	if at <= p.activity {
		return false
	}
	switch {
	case p.activity == 0, p.read == read: // another row of the session, in the same read
	case p.step == 0:
		p.step = noStep
	default:
		p.step = min(p.step, max(at-p.activity, read-min(p.read, read)))
	}
	p.activity, p.read = at, read
	return true
}

func (p *pace) measured() bool { return p.step != 0 && p.step != noStep }

func unixSeconds(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 0), math.MaxUint32))
}

// activity is how soon activity is recorded, as far as it is known. It is immutable, like
// the State that it belongs to.
type activity struct {
	interval time.Duration // 0 if unknown
	ended    []endedStep   // of ended sessions, oldest first
	late     []lateness    // longest of each of the last hours, oldest first
	lag      []lateness    // the same for activity that was written late
	usage    *Usage        // rows that were last known
	rowsRead time.Time     // when they were known
	// readSince is since when rows have been known without an interruption; zero if they
	// have been from the first round.
	readSince time.Time
}

// endedStep is the shortest step of a session that has ended.
type endedStep struct {
	at   time.Time
	step uint32
}

// lateness is how much later than recorded a session was used at least, or how much later
// than it happened an activity was recorded at least.
type lateness struct {
	at time.Time
	by time.Duration
}

// trackActivity measures the interval.
func (o *observation) trackActivity() {
	now := o.before.activity
	// A time in the future is of a clock that was wrong.
	past := func(at time.Time) bool { return o.now.Sub(at) > measuredFor || at.After(o.now) }
	now.ended = slices.DeleteFunc(slices.Clone(now.ended), func(e endedStep) bool { return past(e.at) })
	now.late = slices.DeleteFunc(slices.Clone(now.late), func(l lateness) bool { return past(l.at) })
	now.lag = slices.DeleteFunc(slices.Clone(now.lag), func(l lateness) bool { return past(l.at) })
	counted := o.counted()
	slices.SortFunc(o.endedSteps, func(a, b sessionStep) int { return cmp.Compare(a.session, b.session) }) // the map had no order
	for _, e := range o.endedSteps {
		if counted(e.user) {
			now.ended = append(now.ended, endedStep{o.now, e.step})
		}
	}
	now.ended = now.ended[max(len(now.ended)-maxEndedSteps, 0):]
	switch {
	case o.rows != nil && !o.plausible:
		now.interval = 0 // the rows say nothing
	case o.rows != nil:
		if interrupted := !now.rowsRead.IsZero() && o.before.usage == nil && o.now.Sub(now.rowsRead) > timeoutSlack; interrupted {
			now.readSince = o.now
		}
		now.rowsRead = o.now
		late := o.lateness(counted, now.readSince)
		if o.round.Usage != o.before.usage {
			lag, back := o.compareRows(counted, now.readSince)
			now.lag = addLongest(now.lag, o.now, lag)
			late = max(late, back)
		}
		now.late = addLongest(now.late, o.now, late)
		if o.round.Usage != o.before.usage {
			now.interval = now.measure(o.after.sessions, counted)
		}
	}
	if o.rows != nil {
		now.usage = o.round.Usage
	}
	o.after.activity = now
}

// counted returns whether the sessions of a user count. Those of programs and of users
// without a limit do not: a reload of two hours tells nothing about people, and nobody ends
// such sessions because they are idle.
func (o *observation) counted() func(user int32) bool {
	left := make(map[int32]bool)
	leave := func(user qlik.User) {
		if number, present := o.number[user]; present {
			left[number] = true
		}
	}
	leave(qlik.AnonymousUser)
	for user := range o.unlimited {
		leave(user)
	}
	for user := range o.serviceAccounts {
		leave(user)
	}
	for user := range o.round.ServiceAccounts {
		leave(user)
	}
	return func(user int32) bool { return !left[user] && o.people[user].Directory != internalDirectory }
}

// outlived returns how much longer than its timeout a session that was listed at a time has
// existed without recorded activity; 0 or less if it has not, or if that is unknown.
func (u *Usage) outlived(last, listed time.Time, timeout time.Duration) time.Duration {
	if last.IsZero() || timeout <= 0 {
		return 0
	}
	at := listed
	if u.askedAt.Before(at) {
		at = u.askedAt // later activity is not in the rows
	}
	return at.Sub(last) - timeout
}

// usedLater reports whether a session that was listed at a time was certainly used later
// than its last recorded activity, because it would have timed out otherwise.
func (u *Usage) usedLater(last, listed time.Time, timeout time.Duration) bool {
	return u.outlived(last, listed, timeout) > timeoutSlack
}

func (o *observation) usedLater(last time.Time, link *trackedLink) bool {
	return link.current && o.round.Usage.usedLater(last, o.round.Asked, link.timeout)
}

// lateness returns how much later than recorded a session was used, of those for which this
// is longest. What could not be recorded does not count: activity during an outage of the
// repository or of the node.
func (o *observation) lateness(counted func(user int32) bool, readSince time.Time) (longest time.Duration) {
	usage := o.round.Usage
	for i, owner := range o.rows {
		row := &usage.rows[i]
		if !owner.live || o.round.Asked.Sub(row.LastActivity) <= timeoutSlack {
			continue // this saves the lookup for most sessions
		}
		session := o.after.sessions[row.Session]
		if !o.usedLater(row.LastActivity, session.link) || unixSeconds(row.LastActivity) < session.pace.activity || !counted(session.user) {
			continue // another row of the session may show a later activity
		}
		last := latestOf(row.LastActivity, readSince, session.link.since)
		if late := usage.outlived(last, o.round.Asked, session.link.timeout); late > timeoutSlack {
			longest = max(longest, late.Truncate(time.Second))
		}
	}
	return longest
}

// addLongest keeps the longest one of each hour.
func addLongest(late []lateness, now time.Time, by time.Duration) []lateness {
	last := len(late) - 1
	switch {
	case by == 0:
	case last < 0 || !sameHour(late[last].at, now):
		return append(late, lateness{now, by})
	case by >= late[last].by:
		late[last] = lateness{now, by}
	}
	return late
}

func sameHour(a, b time.Time) bool { return a.Truncate(time.Hour).Equal(b.Truncate(time.Hour)) }

func longest(late []lateness) (by time.Duration) {
	for _, l := range late {
		by = max(by, l.by)
	}
	return by
}

// measure returns the interval: the median of the shortest steps of the sessions and the
// longest lag together, and no less than a session was used later than recorded. Without
// enough steps, it is known only that a session looked idle that was not.
func (a *activity) measure(sessions map[qlik.SessionKey]trackedSession, counted func(user int32) bool) time.Duration {
	steps := make([]uint32, 0, len(a.ended))
	for _, e := range a.ended {
		steps = append(steps, e.step)
	}
	for _, session := range sessions {
		if session.pace.measured() && counted(session.user) {
			steps = append(steps, session.pace.step)
		}
	}
	late, lag := longest(a.late), longest(a.lag)
	if len(steps) < measuredSessions {
		if late = max(late, lag); late < IdleTime {
			return 0
		}
		return late
	}
	slices.Sort(steps)
	return max(late, time.Duration(steps[len(steps)/2])*time.Second+lag)
}

// IdleKnown reports whether sessions that look idle for a time are certainly not in use, as
// far as it was measured: it takes at most half of that time until activity is in the rows.
func (s *Snapshot) IdleKnown(idle time.Duration) bool { return idleKnown(s.ActivityInterval, idle) }

func idleKnown(interval, idle time.Duration) bool { return interval > 0 && interval <= idle/2 }
