package headroom

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// reckonSlots says what the next login of each user finds, and when that changes
// by itself.
func (o *observation) reckonSlots() {
	rowsCount := o.rows != nil && o.plausible
	var since map[int32]int
	if rowsCount {
		since = o.begunSince(o.round.Usage)
	}
	full := make(map[int32][]time.Time) // when slots free, of users without effective headroom
	for number, i := range o.status {
		if i < 0 || !o.users[i].Limited {
			continue
		}
		user, number := &o.users[i], int32(number)
		user.EffectiveHeadroom = o.limit - user.Sessions - user.CoolingSlots
		if rowsCount {
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
	if rowsCount {
		o.addTimeouts(full)
	}
	for number, slots := range full {
		user := &o.users[o.status[number]]
		user.NextSlot = nextSlot(slots, user.EffectiveHeadroom)
	}
}

// takenByRows is how many slots of a user are taken by usage rows. A session that
// has begun since they were read takes one more, if there is one, unless the user
// holds no license.
func takenByRows(user *UserStatus, begunSince, limit int) int {
	taken := user.LicensedSessions
	if user.License != qlik.LicenseNone && user.License != qlik.LicenseUnknown {
		taken = max(taken, min(taken+begunSince, limit))
	}
	return taken
}

// begunSince counts, by user, the sessions whose start was seen after the repository
// was asked for the rows and which have no row. The answer may be of any time after
// that.
func (o *observation) begunSince(usage *Usage) map[int32]int {
	begun := make(map[qlik.SessionKey]int32)
	for id, session := range o.after.sessions {
		if session.startSeen && session.firstSeen.After(usage.AskedAt) {
			begun[id] = session.user
		}
	}
	if len(begun) == 0 {
		return nil
	}
	for i := range usage.Rows {
		delete(begun, usage.Rows[i].Session)
	}
	counts := make(map[int32]int)
	for _, user := range begun {
		counts[user]++
	}
	return counts
}

// addTimeouts adds when the slots of sessions free by themselves.
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

// timeout returns when the slot of a session frees by itself if there is no more
// activity: after the virtual proxy's timeout, and after the cooling that
// follows for a user at the limit. It is zero if that is not known. link is nil
// where the session is gone.
func timeout(row *qlik.UsageRow, link *trackedLink, coolingTime time.Duration) time.Time {
	if link == nil || row.LastActivity.IsZero() || link.timeout <= 0 {
		return time.Time{}
	}
	return row.LastActivity.Add(link.timeout + coolingTime)
}

// nextSlot returns when there is a slot for one more login, given when slots free;
// zero if those are too few.
func nextSlot(slots []time.Time, effectiveHeadroom int) time.Time {
	needed := 1 - effectiveHeadroom
	if needed > len(slots) {
		return time.Time{}
	}
	slices.SortFunc(slots, time.Time.Compare)
	return slots[needed-1]
}
