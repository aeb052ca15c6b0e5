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

// doubts finds the sessions of which the rows are compared with the rows read before,
// because their activity is late or goes back. There are few of them in most rounds.
type doubts struct {
	sessions map[qlik.SessionKey]doubt
	late     uint32 // an activity before this time is late in a row that was read before
}

// doubt is why the rows of a session are compared: because its activity is late, or for one
// of these reasons.
type doubt struct {
	first bool   // its first row seems older than the session
	later uint32 // its latest activity, if a row shows an earlier one; 0 if not
}

func (o *observation) newDoubts() doubts {
	d := doubts{sessions: make(map[qlik.SessionKey]doubt)}
	if o.before.usage == nil {
		return d // nothing tells since when an activity has been in the rows
	}
	known := lagSlack
	if lag := o.before.activity.lag; len(lag) > 0 && sameHour(lag[len(lag)-1].at, o.now) {
		known = max(known, lag[len(lag)-1].by) // only a longer one counts
	}
	d.late = unixSeconds(o.before.usage.askedAt.Add(-known))
	return d
}

// look looks at a row of a session. before is the latest activity of the session that was
// known before the row.
func (d *doubts) look(row *qlik.UsageRow, session *trackedSession, before uint32) {
	at := unixSeconds(row.LastActivity)
	switch {
	case at == before, at == 0:
	case before == 0:
		if session.closeStart && at < unixSeconds(session.firstSeen.Add(-closeRounds-lagSlack)) {
			d.sessions[row.Session] = doubt{first: true}
		}
	case at < before:
		if _, doubtful := d.sessions[row.Session]; !doubtful {
			d.sessions[row.Session] = doubt{later: before}
		}
	case at < d.late:
		d.sessions[row.Session] = doubt{first: d.sessions[row.Session].first}
	}
}

// clear removes the sessions of which one row shows an earlier activity, and another does
// not. Some sessions always have such rows.
func (d *doubts) clear(rows []qlik.UsageRow) {
	if len(d.sessions) == 0 {
		return
	}
	for i := range rows {
		if doubt, is := d.sessions[rows[i].Session]; is && doubt.later > 0 && unixSeconds(rows[i].LastActivity) >= doubt.later {
			delete(d.sessions, rows[i].Session)
		}
	}
}

// compareRows compares the rows of doubtful sessions with the rows read before. It returns
// by how much activity was written late at least, and how old the activity is that went
// back; of several, the longest time. A row of another license, or one of two rows that has
// disappeared, says nothing.
func (o *observation) compareRows(counted func(user int32) bool, readSince time.Time) (lag, back time.Duration) {
	last := o.before.activity.usage
	o.doubts.clear(o.round.Usage.rows)
	if len(o.doubts.sessions) == 0 {
		return 0, 0
	}
	rows, before := o.round.Usage.rowsOf(o.doubts.sessions), last.rowsOf(o.doubts.sessions)
	latest := make(map[qlik.SessionKey]time.Time, len(o.doubts.sessions))
	for key, row := range rows {
		if row.latest.After(latest[key.session]) {
			latest[key.session] = row.latest
		}
	}
	for key, row := range rows {
		session, was := o.after.sessions[key.session], before[key]
		known := !was.latest.IsZero() && was.rows == row.rows
		switch {
		case row.latest.IsZero():
		case !known && o.doubts.sessions[key.session].first && counted(session.user):
			lag = max(lag, session.firstSeen.Add(-closeRounds).Sub(row.latest)) // it seems older than its session
		case !known:
		case row.latest.After(was.latest) && o.couldRecord(key.session) && counted(session.user):
			lag = max(lag, last.askedAt.Sub(latestOf(row.latest, readSince, session.link.since)))
		case row.latest.Before(was.latest) && unixSeconds(latest[key.session]) < session.pace.activity:
			// Clocks are the same for all users.
			back = max(back, o.round.Usage.askedAt.Sub(latest[key.session]))
			session.pace.activity = unixSeconds(latest[key.session])
			o.after.sessions[key.session] = session
		}
	}
	return lag.Truncate(time.Second), back.Truncate(time.Second)
}

// couldRecord reports whether nothing is known that kept an activity of a session from being
// in the rows of the round before: these rows were known, and its link answered in both
// rounds.
func (o *observation) couldRecord(id qlik.SessionKey) bool {
	before, known := o.before.sessions[id]
	return known && o.before.usage != nil && before.link.current && o.after.sessions[id].link.current
}

func latestOf(latest time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.After(latest) {
			latest = other
		}
	}
	return latest
}

// rowKey identifies a usage row in several reads, as far as rows differ: see sameRows.
type rowKey struct {
	session qlik.SessionKey
	license string
	started int64 // in Unix nanoseconds
}

// sameRows are the usage rows with the same key, mostly one.
type sameRows struct {
	rows   int
	latest time.Time // activity
}

// rowsOf returns the rows of sessions.
func (u *Usage) rowsOf(sessions map[qlik.SessionKey]doubt) map[rowKey]sameRows {
	rows := make(map[rowKey]sameRows, len(sessions))
	if u == nil {
		return rows
	}
	for i := range u.rows {
		row := &u.rows[i]
		if _, wanted := sessions[row.Session]; !wanted {
			continue
		}
		key := rowKey{row.Session, row.License, row.Started.UnixNano()}
		same := rows[key]
		rows[key] = sameRows{same.rows + 1, latestOf(same.latest, row.LastActivity)}
	}
	return rows
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
