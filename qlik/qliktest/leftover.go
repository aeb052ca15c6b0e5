package qliktest

import "time"

// AddLeftoverRow adds a usage row without a session, as on real sites (docs/qlik.md, "Usage rows"). It takes a slot for
// Config.LeftoverTime or until RemoveLeftoverRows.
func (s *Site) AddLeftoverRow(directory, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	a := s.account(directory, id)
	license, _ := s.accessFor(a, "", now)
	if license == Unlicensed {
		license = Analyzer
	}
	s.leave(s.addRow(a, license, nil, now), now)
}

// LoseSession ends a session, but its usage row is left over. It reports whether the session existed.
func (s *Site) LoseSession(sessionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	each := s.sessions[sessionID]
	if each == nil {
		return false
	}
	s.end(each, now, endLeavingRows)
	return true
}

// leave makes a row without a session a leftover row.
func (s *Site) leave(row *usageRow, at time.Time) {
	if s.config.LeftoverTime > 0 {
		row.timesOut = true
		s.due.push(at.Add(s.config.LeftoverTime), due{row: row})
	}
}

// RemoveLeftoverRows removes the user's usage rows without a session, including cooling slots, and returns their number.
func (s *Site) RemoveLeftoverRows(directory, id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	a := s.accounts[accountKey(directory, id)]
	if a == nil {
		return 0
	}
	removed := 0
	for _, rows := range s.usage {
		for row := range values[*usageRow](rows) {
			if row.account == a && row.session == nil {
				s.removeRow(row)
				removed++
			}
		}
	}
	s.forget(a)
	return removed
}
