package headroom

import (
	"cmp"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// judgeCauses sets the causes of the users that are near the limit, and of those that were
// refused lately. It counts the slots of those at the limit, and those that are idle.
func (o *observation) judgeCauses() {
	o.slotsAtLimit = make(map[string]int)
	for i := range o.links {
		o.slotsAtLimit[o.links[i].VirtualProxy] = 0
	}
	near := make(map[int32]*Facts)
	for i := range o.users {
		user := &o.users[i]
		if user.Limited && user.EffectiveHeadroom <= 1 && user.Present() || o.refusedLately(user.User) {
			near[o.number[user.User]] = nil
		}
	}
	o.gather(near)
	for number, facts := range near {
		user := &o.users[o.status[number]]
		user.Judgment, user.LicenseDoubtful = facts.Judge(), facts.LicenseDoubtful()
		if user.Limited && user.EffectiveHeadroom <= 0 {
			o.countSlotsAtLimit(user, facts.Slots)
		}
	}
	o.countIdle(near)
	o.countLeftover()
}

// countSlotsAtLimit counts the slots of a user without a free slot by virtual proxy. Without
// usage rows, each listed session counts as a slot.
func (o *observation) countSlotsAtLimit(user *UserStatus, slots []Slot) {
	if !o.useRows {
		for _, count := range user.VirtualProxies {
			o.slotsAtLimit[count.VirtualProxy] += count.Sessions
		}
		return
	}
	for i := range slots {
		if name := slots[i].VirtualProxy; name != "" && slots[i].Taken() {
			o.slotsAtLimit[name]++
		}
	}
}

func (o *observation) refusedLately(user qlik.User) bool {
	refusals := o.round.Refusals[user]
	return len(refusals) > 0 && o.now.Sub(refusals[0].At) < RecentRefusal
}

// RolesDecide returns the users whose roles decide a cause: those that were refused for want
// of a license within RecentRefusal before a time and certainly hold none. The last refused
// are the first.
func RolesDecide(refusals qlik.Refusals, licenses *qlik.Licenses, now time.Time) []qlik.User {
	if licenses == nil {
		return nil
	}
	var users []qlik.User
	for user, of := range refusals {
		if len(of) > 0 && of[0].Reason == qlik.RefusedNoLicense && now.Sub(of[0].At) < RecentRefusal && licenses.Of(user) == qlik.LicenseNone {
			users = append(users, user)
		}
	}
	slices.SortFunc(users, func(a, b qlik.User) int {
		return cmp.Or(refusals[b][0].At.Compare(refusals[a][0].At), a.Compare(b))
	})
	return users
}

// Has reports whether the snapshot lists a user: one with sessions, taken slots, or a login
// that was refused lately.
func (s *Snapshot) Has(user qlik.User) bool {
	number, known := s.observed.number[user]
	return known && s.observed.status[number] >= 0
}

// Facts returns what is known of a user, also of one that the snapshot does not list.
func (s *Snapshot) Facts(user qlik.User) *Facts {
	if !s.Has(user) {
		status := s.Of(user)
		return s.observed.knownOf(&status)
	}
	number := s.observed.number[user]
	facts := map[int32]*Facts{number: nil}
	s.observed.gather(facts)
	return facts[number]
}

// FactsOf returns what is known of some users, in one pass through all sessions. Users that
// the snapshot does not list are left out.
func (s *Snapshot) FactsOf(users []qlik.User) map[qlik.User]*Facts {
	numbered := make(map[int32]*Facts, len(users))
	for _, user := range users {
		if s.Has(user) {
			numbered[s.observed.number[user]] = nil
		}
	}
	s.observed.gather(numbered)
	facts := make(map[qlik.User]*Facts, len(numbered))
	for number, f := range numbered {
		facts[s.observed.people[number]] = f
	}
	return facts
}

// gather fills in the facts of the users with these numbers, all of them in one pass
// through sessions and rows.
func (o *observation) gather(facts map[int32]*Facts) {
	if len(facts) == 0 {
		return
	}
	notSticky := o.notSticky()
	for number := range facts {
		facts[number] = o.factsOf(number, notSticky)
	}
	slots := make(map[qlik.SessionKey]*Slot)
	owner := make(map[qlik.SessionKey]int32)
	for id, session := range o.sessionsOf(facts) {
		slots[id], owner[id] = o.slotOf(session), session.user
		slots[id].Session = id
	}
	if o.useRows {
		o.addRowSlots(facts, slots)
	}
	for id, slot := range slots {
		facts[owner[id]].Slots = append(facts[owner[id]].Slots, *slot)
	}
	for _, f := range facts {
		slices.SortFunc(f.Slots, latestFirst)
	}
}

// sessionsOf returns the sessions of users.
func (o *observation) sessionsOf(users map[int32]*Facts) map[qlik.SessionKey]*trackedSession {
	sessions := make(map[qlik.SessionKey]*trackedSession)
	for i, number := range o.owners {
		if _, wanted := users[number]; wanted {
			id := o.listed[i].ID.Key()
			tracked := o.after.sessions[id]
			sessions[id] = &tracked
		}
	}
	if !o.complete { // sessions of links that did not answer
		for id, tracked := range o.after.sessions {
			if _, wanted := users[tracked.user]; wanted && sessions[id] == nil {
				sessions[id] = &tracked
			}
		}
	}
	return sessions
}

// knownOf returns the facts that do not depend on sessions.
func (o *observation) knownOf(user *UserStatus) *Facts {
	f := &Facts{
		Now: o.now, Limit: o.limit, EffectiveHeadroom: user.EffectiveHeadroom, Complete: o.complete, RowsKnown: o.useRows,
		ActivityInterval: o.after.activity.interval,
		License:          user.License, ServiceAccount: o.serviceAccount(user.User), Refusals: o.round.Refusals[user.User],
	}
	f.Administrator, f.RolesKnown = o.round.Administrators[user.User]
	if licenses := o.round.Licenses; licenses != nil {
		f.Unusable = licenses.Unusable(user.User)
	}
	return f
}

func (o *observation) factsOf(number int32, notSticky map[string]bool) *Facts {
	user := &o.users[o.status[number]]
	f := o.knownOf(user)
	f.AboveSince, f.NotSticky, f.Reached = o.after.history.above[user.User], notSticky, user.LastLimitReached
	if !o.useRows {
		remembered := o.after.remembered[user.User]
		for _, free := range remembered.taken(o.tally[number].sessions(), o.limit, o.now) {
			ended := free.Add(-o.coolingTime)
			f.Slots = append(f.Slots, Slot{State: SlotCooling, Ended: ended, FreesAt: fullSecond(free), Restart: o.after.history.withRestart(ended)})
		}
	}
	activity := o.activityOf(o.after.history.starts[user.User])
	for _, s := range o.after.history.starts[user.User] {
		if o.after.history.afterRestart(s.node, s.at) {
			continue
		}
		begun := Start{At: s.at, VirtualProxy: s.virtualProxy}
		last, live := activity[s.session]
		switch {
		case live && last.IsZero(), s.ended && s.known && s.refused:
			begun.Refused = true
		case live:
			begun.Used = new(last.Sub(s.at) > unusedTime || o.usedLater(last, o.after.sessions[s.session].link))
		case s.ended && s.known:
			begun.Used = new(s.used)
		}
		f.Starts = append(f.Starts, begun)
	}
	return f
}

// serviceAccount returns how a user is known to run programs.
func (o *observation) serviceAccount(user qlik.User) ServiceAccount {
	if user.Directory == internalDirectory || o.serviceAccounts[user] {
		return NamedServiceAccount
	}
	return o.round.ServiceAccounts[user]
}

// internalDirectory is the directory of Qlik's own accounts.
const internalDirectory = "INTERNAL"

// activityOf returns the last activity of those of the started sessions that still exist,
// or nil if the usage rows are unknown.
func (o *observation) activityOf(starts []start) map[qlik.SessionKey]time.Time {
	if !o.useRows || len(starts) == 0 {
		return nil
	}
	activity := make(map[qlik.SessionKey]time.Time)
	for _, s := range starts {
		if _, live := o.after.sessions[s.session]; live {
			activity[s.session] = time.Time{}
		}
	}
	for i := range o.round.Usage.rows {
		row := &o.round.Usage.rows[i]
		if last, wanted := activity[row.Session]; wanted && row.LastActivity.After(last) {
			activity[row.Session] = row.LastActivity
		}
	}
	return activity
}

// slotOf returns the slot of a session as it is without usage rows.
func (o *observation) slotOf(session *trackedSession) *Slot {
	slot := &Slot{
		VirtualProxy: session.link.VirtualProxy, Node: session.link.Node, State: SlotActive, FirstSeen: *session.firstSeen,
	}
	if session.closeStart && !o.after.history.afterRestart(slot.Node, slot.FirstSeen) {
		slot.Started = slot.FirstSeen
	}
	if o.useRows && (!session.startSeen || !session.firstSeen.After(o.round.Usage.askedAt)) {
		slot.State = SlotRefused // unless it has a row
	}
	return slot
}

// addRowSlots adds what the usage rows tell: the activity of sessions, and slots without a
// session.
func (o *observation) addRowSlots(facts map[int32]*Facts, slots map[qlik.SessionKey]*Slot) {
	seen := make(map[qlik.SessionKey]bool)
	var more []sessionRow // further slots of sessions
	var granted time.Time
	for i, owner := range o.rows {
		row := &o.round.Usage.rows[i]
		if row.Started.After(granted) {
			granted = row.Started
		}
		f, wanted := facts[owner.user]
		if !wanted {
			continue
		}
		slot, live := slots[row.Session]
		if live && row.Started.After(slot.Granted) {
			slot.Granted = row.Started
		}
		if live && seen[row.Session] {
			more = append(more, sessionRow{f, slot})
		}
		switch {
		case live && (!seen[row.Session] || row.LastActivity.After(slot.LastActive)):
			o.use(slot, row.LastActivity, o.after.sessions[row.Session].link)
		case live: // another row of the session shows a later activity
		default:
			f.Slots = append(f.Slots, o.goneSlot(row, owner))
		}
		seen[row.Session] = true
	}
	for _, m := range more {
		m.facts.Slots = append(m.facts.Slots, *m.slot) // all slots of a session were last active at the same time
	}
	for _, f := range facts {
		f.LastGranted = granted
	}
}

// sessionRow is a usage row of a session that has another one.
type sessionRow struct {
	facts *Facts
	slot  *Slot
}

// use sets the state of a slot by the last activity of its session.
func (o *observation) use(slot *Slot, last time.Time, link *trackedLink) {
	slot.State, slot.LastActive = SlotActive, last
	if slot.UsedLater = o.usedLater(last, link); slot.UsedLater {
		return // its timeout began at an unknown time
	}
	if !last.IsZero() && o.now.Sub(last) >= IdleTime {
		slot.State = SlotIdle
	}
	if free := timeout(last, link, o.coolingTime); free.After(o.now) {
		slot.FreesAt = fullSecond(free)
	}
}

// goneSlot returns the slot of a usage row without a session. The time of its end is zero
// if the session may still exist. If the session was never seen, the slot may cool or be
// left over.
func (o *observation) goneSlot(row *qlik.UsageRow, owner rowOwner) Slot {
	ended := owner.ended
	slot := Slot{Session: row.Session, State: SlotEnded, Granted: row.Started, LastActive: row.LastActivity, Ended: ended, Restart: o.after.history.withRestart(ended)}
	switch free := ended.Add(o.coolingTime); {
	case ended.IsZero():
		slot.State = SlotActive // of a link that did not answer, or newer than the lists
	case free.After(o.now):
		slot.FreesAt = fullSecond(free)
		if owner.seen {
			slot.State = SlotCooling
		}
	case o.leftover(row, ended):
		slot.State = SlotLeftover
	}
	return slot
}

// leftover reports whether a usage row without session is older than any session and its
// cooling time.
func (o *observation) leftover(row *qlik.UsageRow, ended time.Time) bool {
	last := row.LastActivity
	if last.IsZero() || last.After(ended) {
		last = ended
	}
	return o.complete && last.Add(o.longestTimeout()+o.coolingTime).Before(o.now) && ended.Add(o.coolingTime).Before(o.now)
}

// countLeftover counts the leftover rows of the site.
func (o *observation) countLeftover() {
	if !o.useRows || !o.complete {
		return
	}
	n := 0
	for i, owner := range o.rows {
		if !owner.live && !owner.ended.IsZero() && o.leftover(&o.round.Usage.rows[i], owner.ended) {
			n++
		}
	}
	o.leftoverRows = &n
}

// The condition of the alert QlikLoadBalancerNotSticky.
const (
	spreadUsers = 3   // minimum number of users on several nodes
	spreadShare = 0.2 // and their minimum share of the users of the virtual proxy
)

// notSticky returns the virtual proxies whose users the load balancer spreads over nodes.
func (o *observation) notSticky() map[string]bool {
	users := make(map[string]int)
	for i := range o.links {
		users[o.links[i].VirtualProxy] += o.links[i].Users
	}
	spread := make(map[string]bool)
	for name, n := range usersOnSeveralNodes(o.users) {
		if n >= spreadUsers && float64(n) > spreadShare*float64(users[name]) {
			spread[name] = true
		}
	}
	return spread
}
