package headroom

// Observe takes in a round. It returns what is known then, and the state after it;
// s stays as it was.
func (s *State) Observe(r Round) (*Snapshot, *State) {
	o := newObservation(s, &r)
	o.trackLinks()
	o.trackSessions()
	o.trackUsers()
	o.describeUsers()
	o.joinRows()
	o.licenseUsers()
	o.judgeRows()
	o.reckonSlots()
	return o.snapshot(), o.after
}

// Preview returns what is known then, like Observe, of a round that is not over
// and will be observed, or not, with more in it. Counters are those of s: they
// must not run ahead and fall back.
func (s *State) Preview(r Round) *Snapshot {
	snapshot, _ := s.Observe(r)
	snapshot.Ended = nil
	snapshot.Tracking = s.tracking()
	for i := range snapshot.Users {
		if user := &snapshot.Users[i]; user.LimitReached > 0 {
			before := s.remembered[user.User]
			user.LimitReached, user.LastLimitReached = before.reached, before.lastReached
		}
	}
	return snapshot
}

// snapshot returns what the observation has found.
func (o *observation) snapshot() *Snapshot {
	s := &Snapshot{
		Time: o.round.Asked, Heard: o.round.Heard, Links: o.links, Sessions: o.listed, Users: o.users, Limit: o.limit,
		Tracking: o.after.tracking(), Ended: o.lives,
		Licenses: o.round.Licenses, LicensesStale: o.licensesStale,
		UsageKnown: o.rows != nil, UsagePlausible: o.plausible,
	}
	if o.round.Services != nil {
		s.Services = o.round.Services.States
	}
	if s.UsageKnown && s.UsagePlausible {
		s.rows = o.round.Usage.Rows
	}
	return s
}
