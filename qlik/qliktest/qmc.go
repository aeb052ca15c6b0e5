package qliktest

import (
	"fmt"
	"time"
)

// QMC defines what happens if a browser opens both the hub and the QMC. The real behavior is unknown (docs/qlik.md, "What counts").
type QMC int

const (
	// QMCSameSession uses the session and the slot of the hub.
	QMCSameSession QMC = iota
	// QMCOwnSession creates another session, which takes another slot.
	QMCOwnSession
	// QMCSecondRow uses the session of the hub, but takes another slot: a second usage row with the same session id.
	QMCSecondRow
)

// String returns the name of the constant.
func (q QMC) String() string {
	switch q {
	case QMCSameSession:
		return "QMCSameSession"
	case QMCOwnSession:
		return "QMCOwnSession"
	case QMCSecondRow:
		return "QMCSecondRow"
	}
	return fmt.Sprintf("QMC(%d)", int(q))
}

// opened is what a browser opens.
type opened int

const (
	hub opened = 1 << iota
	console
)

// OpenQMC simulates a user who opens the QMC on a device. It works like Login, and Config.QMC says whether the QMC shares the session and
// the slot of the hub in the same browser. If only the second slot is refused, the result has Granted false, and the session stays
// granted.
func (s *Site) OpenQMC(directory, id, device, prefix, node string) (Session, error) {
	return s.open(directory, id, device, prefix, node, console)
}

// openAgain opens the hub or the QMC in a browser with a session.
func (s *Site) openAgain(each *session, what opened, now time.Time) Session {
	s.touch(each, now)
	if s.config.QMC != QMCSecondRow || each.row == nil || each.opened&what != 0 {
		return each.Session
	}
	a, license := each.account, each.row.license
	if a.rows >= s.config.SessionLimit && s.config.limited(license) {
		each.link.node.auditLog.denyLimit(each, license, a.rows, now)
		refused := each.Session
		refused.Granted = false
		return refused
	}
	each.opened |= what
	each.secondRow = s.addRow(a, license, each, now)
	each.secondRow.pass = each.row.pass
	return each.Session
}
