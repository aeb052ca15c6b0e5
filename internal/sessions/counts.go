package sessions

import "github.com/qlik-exporter/qlik_exporter/qlik/headroom"

// Counts are the numbers of users of a snapshot, as the sessions page shows them.
type Counts struct {
	Users   int // all users
	NoSlot  int // users without a free slot
	OneSlot int // users with one free slot
	Refused int // refused logins within headroom.RecentRefusal
}

// Count counts the users of a snapshot. It returns the same as counting its Rows, but in a
// fraction of the time.
func Count(snapshot *headroom.Snapshot) Counts {
	var counts Counts
	var row Row
	add := func() {
		row.Unlicensed = row.unlicensed(snapshot)
		counts.Users++
		switch free, near := row.NearLimit(); {
		case !near:
		case free == 0:
			counts.NoSlot++
		default:
			counts.OneSlot++
		}
	}
	for i := range snapshot.Users {
		if user := &snapshot.Users[i]; user.Present() {
			row = Row{UserStatus: *user, Refused: snapshot.Refusals[user.User]}
			add()
		}
	}
	for user, refusals := range snapshot.Refusals {
		for i := range refusals {
			if snapshot.Time.Sub(refusals[i].At) < headroom.RecentRefusal {
				counts.Refused++
			}
		}
		row = Row{UserStatus: snapshot.Of(user), Refused: refusals}
		if !row.Present() && row.refusedRecently(snapshot.Time) {
			add()
		}
	}
	return counts
}

// NearLimit returns the free slots of a user who has at most one. It returns false for
// other users, for users without a limit, and for users who cannot log in for another
// reason.
func (r *Row) NearLimit() (free int, near bool) {
	if !r.Limited || r.EffectiveHeadroom > 1 || r.Unlicensed != "" {
		return 0, false
	}
	return max(r.EffectiveHeadroom, 0), true
}
