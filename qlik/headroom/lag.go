package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Rows are compared with the rows read before, to find activity that was written late or goes
// back: the second and the fourth way to measure how soon activity is recorded (activity.go).

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
