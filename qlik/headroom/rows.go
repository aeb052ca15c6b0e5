package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// ownRows finds out whose the usage rows are: a row belongs to the user whose
// session it is, else to the one that it names. It leaves o.rows nil where no rows
// are known.
func (o *observation) ownRows() {
	usage := o.round.Usage
	if !usage.validAt(o.round.Asked) {
		return
	}
	o.rows = make([]rowOwner, len(usage.Rows))
	for i := range usage.Rows {
		row, owner := &usage.Rows[i], rowOwner{user: -1}
		if session, live := o.after.sessions[row.Session]; live {
			owner = rowOwner{session.user, true}
		} else if row.User != (qlik.User{}) {
			owner.user = o.numberOf(row.User)
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
		if o.users[status].License == "" {
			o.users[status].License = o.round.Usage.Rows[i].License
		}
		if owner.live {
			o.live[status]++
		}
	}
}

// A usage row is expected from the first activity on; a user without any is
// evidence against the rows only after a while, or when many are.
const (
	rowExpectedAfter = 2 * time.Minute
	rowsExpectedFrom = 5 // sessions

	rowsTrustedFor    = 24 * time.Hour
	usersAgainstTrust = 5
)

// judgeRows decides whether the rows can be used.
func (o *observation) judgeRows() {
	if o.rows != nil {
		o.after.trust = o.before.trust.judge(o.round.Usage, o.users, o.live, o.limit, o.now)
	}
	o.plausible = o.rows == nil || !o.after.trust.lost
}

// judge returns the trust in rows that were read now. Of the users with a license
// of their own and with sessions, those speak for the rows of whom a session has
// its row, and those against them who have none although there is room for it. A
// row whose session is gone speaks for nothing. live are the rows of sessions that
// are there, by user.
func (t trust) judge(usage *Usage, users []UserStatus, live []int, limit int, now time.Time) trust {
	if usage.written.After(t.written) {
		t.written = usage.written
	}
	inFavor, against, young := 0, 0, 0
	for i := range users {
		user := &users[i]
		switch user.License {
		case qlik.LicenseProfessional, qlik.LicenseAnalyzer, qlik.LicenseUser:
		default:
			continue
		}
		switch {
		case user.Sessions == 0, user.FirstSeen.IsZero(), user.FirstSeen.After(usage.AskedAt):
		case live[i] > 0:
			inFavor++
		case user.LicensedSessions >= limit: // leftover rows hold all slots
		case now.Sub(user.FirstSeen) >= rowExpectedAfter:
			against++
		default:
			young += user.Sessions
		}
	}
	if inFavor > 0 {
		t.written = now
	}
	// A session that was refused has no row either, and keeps none until it asks
	// again. Where rows were written lately, a few such users prove nothing.
	recent := !t.written.IsZero() && now.Sub(t.written) < rowsTrustedFor
	switch {
	case inFavor > 0 && inFavor >= against:
		t.lost = false
	case recent && against < usersAgainstTrust:
	case against > 0, young >= rowsExpectedFrom:
		t.lost = true
	}
	return t
}
