package headroom

import (
	"slices"
	"time"
)

// countIdle counts the slots that are idle of the users with at most one free slot. For the
// users that reach the limit in this round, it records how long their longest idle session
// has been idle. The facts are those of all these users.
func (o *observation) countIdle(near map[int32]*Facts) {
	if !o.useRows || !idleKnown(o.after.activity.interval, IdleTime) {
		return // sessions that look idle may be in use
	}
	o.reclaimable = make(map[string]int)
	for i := range o.links {
		o.reclaimable[o.links[i].VirtualProxy] = 0
	}
	var reached []int32
	for number, facts := range near {
		user := &o.users[o.status[number]]
		if !user.Limited || user.EffectiveHeadroom > 1 {
			continue // refused lately
		}
		for i := range facts.Slots {
			if slot := &facts.Slots[i]; slot.State == SlotIdle {
				o.reclaimable[slot.VirtualProxy]++
			}
		}
		if user.LimitReached > o.before.remembered[user.User].reached {
			reached = append(reached, number)
		}
	}
	slices.Sort(reached) // the map has no order
	var idle []time.Duration
	for _, number := range reached {
		if longest, known := near[number].longestIdle(); known {
			idle = append(idle, longest)
		}
	}
	if len(idle) > 0 {
		all := slices.Concat(o.before.reached.Last, idle)
		o.after.reached = ReachedIdle{o.before.reached.Count + uint64(len(idle)), all[max(len(all)-maxReachedIdle, 0):]}
	}
}

// longestIdle returns how long the longest idle session has been idle. It returns false if
// this is unknown of all sessions with a slot.
func (f *Facts) longestIdle() (longest time.Duration, known bool) {
	for i := range f.Slots {
		slot := &f.Slots[i]
		live := slot.State == SlotActive || slot.State == SlotIdle
		if !live || slot.LastActive.IsZero() || slot.UsedLater {
			continue
		}
		longest, known = max(longest, f.Now.Sub(slot.LastActive)), true
	}
	return longest, known
}
