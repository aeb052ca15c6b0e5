package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// rememberEnded is how long an ended session is remembered while the usage rows are
// unknown. It is longer than the longest pause between two reads of the rows.
const rememberEnded = 15 * time.Minute

// unknownTimeout stands for an inactivity timeout that is unknown.
const unknownTimeout = 100 * 365 * 24 * time.Hour

// endedSession is a session that is not listed anymore. Its usage row can still be
// there, because the slot cools or the row is left over.
type endedSession struct {
	at      time.Time // latest possible time of its end
	started time.Time // when the session was first seen, if its start was seen; else zero
	user    qlik.User // zero if unknown
	seen    bool      // it was listed before; if not, only its usage row is known
}

// end records that a session of the round before has ended.
func (o *observation) end(id qlik.SessionKey, session *trackedSession, user int32, at time.Time) {
	o.ends[user] = append(o.ends[user], at)
	if session.closeStart {
		o.endedClose[id] = time.Time{}
	}
	if session.startSeen {
		o.lifetimes = append(o.lifetimes, max(at.Sub(*session.firstSeen), 0))
	}
	if session.pace.measured() {
		o.endedSteps = append(o.endedSteps, sessionStep{id, user, session.pace.step})
	}
	if !o.apply(o.people[user]) {
		return
	}
	ended := endedSession{at: at, user: o.people[user], seen: true}
	if session.startSeen {
		ended.started = *session.firstSeen
	}
	o.after.ended[id] = ended
}

// keepEnded keeps the ended sessions whose slots may still cool. While the usage rows
// are unknown, it also keeps those whose rows may be left over.
func (o *observation) keepEnded() {
	for id, ended := range o.before.ended {
		if _, listed := o.after.sessions[id]; listed {
			continue
		}
		if o.cools(ended) || !o.usageKnown() && o.now.Sub(ended.at) < rememberEnded {
			o.after.ended[id] = ended
		}
	}
}

// cools reports whether the slot of an ended session can still cool.
func (o *observation) cools(ended endedSession) bool {
	return ended.at.Add(o.coolingTime).After(o.now)
}

// endOf returns the ended session of a usage row without a known session. It returns
// false if the session may still exist.
//
// If the exporter did not see the session end, the session ended at the latest when its
// row was first seen without it. If the row was last active so long ago that the session
// must have timed out and its slot must have cooled, the row is left over.
func (o *observation) endOf(row *qlik.UsageRow) (endedSession, bool) {
	if ended, known := o.after.ended[row.Session]; known {
		return ended, true
	}
	ended, known := o.before.ended[row.Session]
	if !known {
		if !o.complete || row.LastActivity.After(o.round.Asked) {
			return endedSession{}, false // it may be on a link that failed, or newer than the lists
		}
		ended = endedSession{at: o.now, user: row.User}
		if latest := row.LastActivity.Add(o.longestTimeout()); !row.LastActivity.IsZero() && !o.cools(endedSession{at: latest}) {
			ended.at = latest
		}
	}
	o.after.ended[row.Session] = ended
	return ended, true
}

// longestTimeout returns the longest inactivity timeout of all links. If one of them is
// unknown, the result is too long for any session.
func (o *observation) longestTimeout() time.Duration {
	longest := time.Duration(0)
	for i := range o.links {
		timeout := o.links[i].InactivityTimeout
		if timeout <= 0 {
			return unknownTimeout
		}
		longest = max(longest, timeout)
	}
	return longest
}

// since are a user's sessions that started after the usage rows were read.
type since struct {
	started []time.Time    // when the sessions that are still there were first seen
	ended   []endedSession // those that have ended
}

// startedSince returns by user the sessions that started after the request for the usage
// rows and have no row. The rows reflect some time after that request, so some of these
// sessions may already have had a row.
func (o *observation) startedSince(usage *Usage) map[int32]*since {
	started := make(map[qlik.SessionKey]int32)
	for id, session := range o.after.sessions {
		if session.startSeen && session.firstSeen.After(usage.askedAt) {
			started[id] = session.user
		}
	}
	for id, ended := range o.after.ended {
		if number, known := o.number[ended.user]; known && ended.started.After(usage.askedAt) && o.cools(ended) {
			started[id] = number
		}
	}
	if len(started) == 0 {
		return nil
	}
	for i := range usage.rows {
		delete(started, usage.rows[i].Session)
	}
	users := make(map[int32]*since)
	for id, number := range started {
		user := users[number]
		if user == nil {
			user = new(since)
			users[number] = user
		}
		if session, listed := o.after.sessions[id]; listed {
			user.started = append(user.started, *session.firstSeen)
		} else {
			user.ended = append(user.ended, o.after.ended[id])
		}
	}
	return users
}

// cooling returns the ended sessions whose slots cool: those that ended at the limit.
// The argument is the number of slots that the usage rows take.
func (s *since) cooling(rows, limit int) []endedSession {
	var cooling []endedSession
	for _, ended := range s.ended {
		taken := rows
		for _, first := range s.started {
			if !first.After(ended.at) {
				taken++
			}
		}
		for _, other := range s.ended {
			if !other.started.After(ended.at) {
				taken++
			}
		}
		if taken >= limit {
			cooling = append(cooling, ended)
		}
	}
	return cooling
}

// usageKnown reports whether the usage rows are known in this round.
func (o *observation) usageKnown() bool { return o.round.Usage.validAt(o.round.Asked) }
