package headroom

// Observe processes a round. It returns the snapshot of the site and the state for the
// next round. It does not change s.
func (s *State) Observe(r Round) (*Snapshot, *State) {
	o := newObservation(s, &r)
	o.trackLinks()
	o.trackSessions()
	o.trackHistory()
	o.trackCooling()
	o.describeUsers()
	o.joinRows()
	o.licenseUsers()
	o.judgeRows()
	o.trackActivity()
	o.computeSlots()
	o.rememberUsers()
	o.countRefused()
	o.judgeCauses()
	o.countRefusedCauses()
	o.before = nil // so that a snapshot does not keep all states before it
	return o.snapshot(), o.after
}

// Preview returns the snapshot of a round that is not complete yet. The counters of
// the snapshot are those of s, because counters must not decrease when the complete
// round is observed or dropped.
func (s *State) Preview(r Round) *Snapshot {
	snapshot, _ := s.Observe(r)
	snapshot.Ended = nil
	snapshot.Tracking = s.tracking()
	snapshot.RefusedLogins = s.refused
	for i := range snapshot.Users {
		if user := &snapshot.Users[i]; user.LimitReached > 0 {
			before := s.remembered[user.User]
			user.LimitReached, user.LastLimitReached = before.reached, before.lastReached
		}
	}
	return snapshot
}

// snapshot returns the result of the observation.
func (o *observation) snapshot() *Snapshot {
	s := &Snapshot{
		Time: o.round.Asked, Heard: o.round.Heard, Links: o.links, Sessions: o.listed, Users: o.users, Limit: o.limit,
		Tracking: o.after.tracking(), Ended: o.lifetimes,
		Licenses: o.round.Licenses, LicensesStale: o.licensesStale,
		UsageKnown: o.rows != nil, UsagePlausible: o.plausible,
		Refusals:         o.round.Refusals,
		RefusedLogins:    o.after.refused,
		ActivityInterval: o.after.activity.interval,
		ActivityLag:      longest(o.after.activity.lag),
		SlotsAtLimit:     o.slotsAtLimit,
		ReclaimableSlots: o.reclaimable,
		LeftoverRows:     o.leftoverRows,
		limits:           o.limits,
		soonest:          fullSecond(o.now.Add(o.coolingTime)),
		observed:         o,
	}
	s.Engines = o.round.Engines
	if o.round.Services != nil {
		s.Services = o.round.Services.States
	}
	if s.UsageKnown {
		s.usage = o.round.Usage
	}
	return s
}
