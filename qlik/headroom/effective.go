package headroom

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// computeSlots computes the effective headroom of each user. For a user without a
// free slot it computes the time of the next one.
func (o *observation) computeSlots() {
	useRows := o.rows != nil && o.plausible
	var since map[int32]int
	if useRows {
		since = o.startedSince(o.round.Usage)
	}
	full := make(map[int32][]time.Time) // for users without effective headroom: when their slots become free
	for number, i := range o.status {
		if i < 0 || !o.users[i].Limited {
			continue
		}
		user, number := &o.users[i], int32(number)
		user.EffectiveHeadroom = o.limit - user.Sessions - user.CoolingSlots
		if useRows {
			user.EffectiveHeadroom = o.limit - takenByRows(user, since[number], o.limit)
		}
		if user.EffectiveHeadroom <= 0 {
			remembered := o.after.remembered[user.User]
			full[number] = slices.Clone(remembered.taken(o.tally[number].sessions(), o.limit, o.now))
		}
		if min(user.Headroom, user.EffectiveHeadroom) <= 1 && user.License == qlik.LicenseUnknown && o.isNew(user) {
			o.licensesStale = true
		}
	}
	if useRows {
		o.addTimeouts(full)
	}
	for number, slots := range full {
		user := &o.users[o.status[number]]
		user.NextSlot = nextSlot(slots, user.EffectiveHeadroom)
	}
}

// takenByRows returns the number of slots that a user's usage rows take. If the user
// certainly holds a license, each session that started after the rows were read takes
// one more slot, up to the limit.
func takenByRows(user *UserStatus, startedSince, limit int) int {
	taken := user.LicensedSessions
	if user.License != qlik.LicenseNone && user.License != qlik.LicenseUnknown {
		taken = max(taken, min(taken+startedSince, limit))
	}
	return taken
}

// startedSince counts by user the sessions that started after the request for the
// usage rows and have no row. The rows reflect some time after that request, so some
// of these sessions may already have a row.
func (o *observation) startedSince(usage *Usage) map[int32]int {
	started := make(map[qlik.SessionKey]int32)
	for id, session := range o.after.sessions {
		if session.startSeen && session.firstSeen.After(usage.AskedAt) {
			started[id] = session.user
		}
	}
	if len(started) == 0 {
		return nil
	}
	for i := range usage.Rows {
		delete(started, usage.Rows[i].Session)
	}
	counts := make(map[int32]int)
	for _, user := range started {
		counts[user]++
	}
	return counts
}

// addTimeouts adds the times when the sessions of users without a free slot time out.
func (o *observation) addTimeouts(full map[int32][]time.Time) {
	for i, owner := range o.rows {
		slots, isFull := full[owner.user]
		if !isFull {
			continue
		}
		row := &o.round.Usage.Rows[i]
		if end := timeout(row, o.after.sessions[row.Session].link, o.coolingTime); end.After(o.now) {
			full[owner.user] = append(slots, end)
		}
	}
}

// timeout returns when the slot of a session of a user at the limit becomes free
// without further activity: after the inactivity timeout of the virtual proxy and the
// cooling time. It returns the zero time if this is unknown. The link is nil if the
// session has ended.
func timeout(row *qlik.UsageRow, link *trackedLink, coolingTime time.Duration) time.Time {
	if link == nil || row.LastActivity.IsZero() || link.timeout <= 0 {
		return time.Time{}
	}
	return row.LastActivity.Add(link.timeout + coolingTime)
}

// nextSlot returns when effective headroom becomes 1, given the times when slots
// become free. It returns the zero time if there are too few of them.
func nextSlot(slots []time.Time, effectiveHeadroom int) time.Time {
	needed := 1 - effectiveHeadroom
	if needed > len(slots) {
		return time.Time{}
	}
	slices.SortFunc(slots, time.Time.Compare)
	return slots[needed-1]
}
