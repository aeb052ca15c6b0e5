package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// assignRows determines the user of each usage row: the user of the row's session if
// the session is known, otherwise the user in the row. If the rows are unknown, o.rows
// stays nil.
func (o *observation) assignRows() {
	o.keepEnded()
	if !o.usageKnown() {
		return
	}
	usage := o.round.Usage
	o.doubts = o.newDoubts()
	o.rows = make([]rowOwner, len(usage.rows))
	for i := range usage.rows {
		row, owner := &usage.rows[i], rowOwner{user: -1}
		if session, live := o.after.sessions[row.Session]; live {
			owner = rowOwner{user: session.user, live: true}
			o.doubts.look(row, &session, session.pace.activity)
			if session.pace.note(row.LastActivity, usage.readAt) || !session.granted {
				session.granted = true
				o.after.sessions[row.Session] = session
			}
		} else {
			user := row.User
			if ended, known := o.endOf(row); known {
				owner.ended, owner.seen = ended.at, ended.seen
				user = ended.user
			}
			if user != (qlik.User{}) {
				owner.user = o.numberOf(user)
			}
		}
		if owner.user >= 0 {
			o.tally[owner.user].shown = true
		}
		o.rows[i] = owner
	}
}

// joinRows counts the usage rows of each user.
func (o *observation) joinRows() {
	o.live = make([]int, len(o.users))
	for i, owner := range o.rows {
		if owner.user < 0 {
			continue
		}
		status := o.status[owner.user]
		o.users[status].LicensedSessions++
		if row := &o.round.Usage.rows[i]; o.users[status].License == "" && !o.takenSince(row, owner.user) {
			o.users[status].License = row.License
		}
		if owner.live {
			o.live[status]++
		}
	}
}

// clocksDiffer is how much the clocks of the exporter and of the repository may differ.
const clocksDiffer = 5 * time.Minute

// takenSince reports whether the license of a usage row was taken from its user: the user
// certainly held none when the lists were read, after Qlik had granted the slot. The
// session keeps its slot, but Qlik refuses the next login.
func (o *observation) takenSince(row *qlik.UsageRow, number int32) bool {
	switch row.License {
	case qlik.LicenseProfessional, qlik.LicenseAnalyzer, qlik.LicenseUser:
	default:
		return false // any user may use it
	}
	licenses := o.round.Licenses
	return licenses != nil && !row.Started.IsZero() && row.Started.Add(clocksDiffer).Before(licenses.ReadAt) &&
		licenses.Of(o.people[number]) == qlik.LicenseNone
}

// A session gets a usage row with its first activity. A user without a row is
// evidence against the rows only after rowExpectedAfter. Before that, such users are
// evidence only if they have at least rowsExpectedFrom sessions together. If rows were
// written within rowsTrustedFor, fewer than usersAgainstTrust users are no evidence.
const (
	rowExpectedAfter = 2 * time.Minute
	rowsExpectedFrom = 5 // sessions

	rowsTrustedFor    = 24 * time.Hour
	usersAgainstTrust = 5
)

// judgeRows decides whether the usage rows are plausible.
func (o *observation) judgeRows() {
	if o.rows != nil {
		o.after.trust = o.before.trust.judge(o.round.Usage, o.users, o.live, o.limit, o.now)
	}
	o.plausible = o.rows == nil || !o.after.trust.lost
	o.useRows = o.rows != nil && o.plausible
}

// judge returns the trust in the usage rows after a round. Users with sessions are evidence:
//   - A user is evidence for the rows if at least one of the sessions has a row.
//   - A user with a personal license is evidence against the rows if no session has a row
//     although the user's rows take fewer slots than the limit.
//   - Users of unknown license may be administrators, who have no rows, or work on analyzer
//     capacity or login access. As many as usersAgainstTrust are evidence against the rows if
//     nothing speaks for them.
//
// A row without a known session is no evidence. live is the number of rows with a
// known session, by index in users.
func (t trust) judge(usage *Usage, users []UserStatus, live []int, limit int, now time.Time) trust {
	if usage.written.After(t.written) {
		t.written = usage.written
	}
	inFavor, against, young, unknown := 0, 0, 0, 0
	for i := range users {
		user := &users[i]
		personal := false
		switch user.License {
		case qlik.LicenseProfessional, qlik.LicenseAnalyzer, qlik.LicenseUser:
			personal = true
		case qlik.LicenseLogin, qlik.LicenseAnalyzerCapacity, qlik.LicenseUnknown:
		default:
			continue
		}
		old := now.Sub(user.FirstSeen) >= rowExpectedAfter
		switch {
		case user.Sessions == 0, user.FirstSeen.IsZero(), user.FirstSeen.After(usage.askedAt), user.User.Anonymous():
		case live[i] > 0:
			inFavor++
		case !personal && old:
			unknown++
		case !personal:
		case user.LicensedSessions >= limit: // leftover rows hold all slots
		case old:
			against++
		default:
			young += user.Sessions
		}
	}
	if inFavor > 0 {
		t.written = now
	}
	// A session that was refused has no row until its next request. If rows were
	// written recently, a few such users are therefore no evidence.
	recent := !t.written.IsZero() && now.Sub(t.written) < rowsTrustedFor
	switch {
	case inFavor > 0 && inFavor >= against:
		t.lost = false
	case recent && against < usersAgainstTrust:
	case against > 0, young >= rowsExpectedFrom, inFavor == 0 && !recent && unknown >= usersAgainstTrust:
		t.lost = true
	}
	return t
}
