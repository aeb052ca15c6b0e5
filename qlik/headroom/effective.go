package headroom

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// computeSlots computes the effective headroom of each user. For a user without a
// free slot it computes the time of the next one.
func (o *observation) computeSlots() {
	var started map[int32]*since
	var cooling []int
	if o.useRows {
		started, cooling = o.startedSince(o.round.Usage), o.coolingRows()
	}
	full := make(map[int32][]time.Time) // for users without effective headroom: when their slots become free
	for number, i := range o.status {
		if i < 0 || !o.users[i].Limited {
			continue
		}
		user, number := &o.users[i], int32(number)
		var slots []time.Time
		if o.useRows {
			var taken int
			taken, slots = o.takenByRows(user, started[number])
			user.EffectiveHeadroom = o.limit - taken
			user.CoolingSlots = cooling[i] + len(slots)
		} else {
			user.EffectiveHeadroom = o.limit - user.Sessions - user.CoolingSlots
		}
		if user.EffectiveHeadroom <= 0 {
			if !o.useRows {
				remembered := o.after.remembered[user.User]
				slots = slices.Clone(remembered.taken(o.tally[number].sessions(), o.limit, o.now))
			}
			full[number] = slots
		}
		near := min(user.Headroom, user.EffectiveHeadroom) <= 1 || o.refusedLately(user.User)
		if near && user.License == qlik.LicenseUnknown && o.isNew(user) {
			o.licensesStale = true
		}
	}
	o.addRows(full)
	for number, slots := range full {
		user := &o.users[o.status[number]]
		user.NextSlot = nextSlot(slots, user.EffectiveHeadroom)
	}
}

// takenByRows returns the number of slots that a user takes: one for each usage row. If
// the user certainly holds a license, each session that started after the rows were read
// takes one more, up to the limit, also if it has ended at the limit since. The times are
// when the slots without a row become free.
func (o *observation) takenByRows(user *UserStatus, started *since) (taken int, free []time.Time) {
	taken = user.LicensedSessions
	if started == nil || user.License == qlik.LicenseNone || user.License == qlik.LicenseUnknown {
		return taken, nil
	}
	cooling := started.cooling(taken, o.limit)
	for _, ended := range cooling {
		free = append(free, ended.at.Add(o.coolingTime))
	}
	return max(taken, min(taken+len(started.started)+len(cooling), o.limit)), free
}

// coolingRows counts the usage rows of each user whose session was seen and ended within
// the cooling time, by index in users.
func (o *observation) coolingRows() []int {
	cooling := make([]int, len(o.users))
	for _, owner := range o.rows {
		if owner.user >= 0 && owner.seen && owner.ended.Add(o.coolingTime).After(o.now) {
			cooling[o.status[owner.user]]++
		}
	}
	return cooling
}

// addRows adds the times when the slots of the usage rows of users without a free slot
// become free: the slot of a session after its timeout, the slot of an ended session when
// it has cooled. A row beyond that time is left over.
func (o *observation) addRows(full map[int32][]time.Time) {
	if !o.useRows || len(full) == 0 {
		return
	}
	rows := o.round.Usage.rows
	active := make(map[qlik.SessionKey]time.Time) // last activity of a session in any of its rows
	for i, owner := range o.rows {
		if _, isFull := full[owner.user]; isFull && owner.live && rows[i].LastActivity.After(active[rows[i].Session]) {
			active[rows[i].Session] = rows[i].LastActivity
		}
	}
	for i, owner := range o.rows {
		slots, isFull := full[owner.user]
		if !isFull {
			continue
		}
		var free time.Time
		if session := rows[i].Session; owner.live {
			last := active[session]
			if last.After(o.now) { // the clock of the repository is ahead
				last = o.now
			}
			if link := o.after.sessions[session].link; !o.usedLater(last, link) {
				free = timeout(last, link, o.coolingTime)
			}
		} else if !owner.ended.IsZero() {
			free = owner.ended.Add(o.coolingTime)
		}
		if free.After(o.now) {
			full[owner.user] = append(slots, free)
		}
	}
}

// timeout returns when the slot of a session of a user at the limit becomes free
// without further activity: after the inactivity timeout of the virtual proxy and the
// cooling time. It returns the zero time if this is unknown.
func timeout(lastActivity time.Time, link *trackedLink, coolingTime time.Duration) time.Time {
	if lastActivity.IsZero() || link.timeout <= 0 {
		return time.Time{}
	}
	return lastActivity.Add(link.timeout + coolingTime)
}

// nextSlot returns when effective headroom becomes 1, given the times when slots
// become free. It returns the zero time if there are too few of them. It rounds up to a
// full second, so that every text and number shows the same time.
func nextSlot(slots []time.Time, effectiveHeadroom int) time.Time {
	needed := 1 - effectiveHeadroom
	if needed > len(slots) {
		return time.Time{}
	}
	slices.SortFunc(slots, time.Time.Compare)
	return fullSecond(slots[needed-1])
}

// fullSecond rounds a time up to a full second.
func fullSecond(t time.Time) time.Time { return t.Add(time.Second - 1).Truncate(time.Second) }
