package guard

import (
	"cmp"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Reason is why the guard does nothing for a user with one slot left.
type Reason string

// The reasons. Those of the first group hold the guard back on the whole site.
const (
	StopFile        Reason = "stop_file"        // an administrator has stopped the guard
	ClockJumped     Reason = "clock"            // the clock of the exporter jumped, so idle times are unknown
	Incomplete      Reason = "incomplete"       // a node does not answer, so sessions are unknown
	RowsUnknown     Reason = "rows_unknown"     // the usage rows could not be read, or are old
	RowsImplausible Reason = "rows_implausible" // the usage rows do not reflect the sessions
	ActivityUnknown Reason = "activity_unknown" // it is not known yet how often the usage rows record activity
	ActivityRare    Reason = "activity_rare"    // the usage rows record activity too rarely for the idle time, or late

	NeverEnded   Reason = "never_ended"   // sessions of this user are never ended
	InUse        Reason = "in_use"        // no session has certainly been idle long enough
	VirtualProxy Reason = "virtual_proxy" // the idle sessions are on virtual proxies that are not allowed
	UserLimit    Reason = "user_limit"    // enough sessions of the user ended within the hour
	SiteLimit    Reason = "site_limit"    // enough sessions of the site ended within the hour
	Changed      Reason = "changed"       // the second read shows something else, or the desk is ending a session
	NotRecorded  Reason = "not_recorded"  // the journal cannot be written
	Failed       Reason = "failed"        // the request to end a session failed
)

var reasons = []Reason{
	StopFile, ClockJumped, Incomplete, RowsUnknown, RowsImplausible, ActivityUnknown, ActivityRare,
	NeverEnded, InUse, VirtualProxy, UserLimit, SiteLimit, Changed, NotRecorded, Failed,
}

// watchTime is how long the guard watches a site before it ends anything, unless all
// inactivity timeouts are shorter. A session that lives on although the usage rows say that
// it should have timed out shows only then that the rows do not tell everything: see watch.
const watchTime = time.Hour

// choice is the session that the guard ends for a user.
type choice struct {
	user    qlik.User
	session qlik.Session
	last    time.Time     // last activity
	idle    time.Duration // for which it certainly was not used
}

// rules decide what may end. They know only what a snapshot tells.
type rules struct {
	idle            time.Duration
	places          sessions.PlaceFilter
	serviceAccounts []qlik.User
	watchedSince    time.Time // when plausible usage rows were first seen
}

// hold returns why nothing on the site may end by what a snapshot tells, or "".
func (r *rules) hold(s *headroom.Snapshot) Reason {
	switch {
	case !s.Complete():
		return Incomplete
	case !s.UsageKnown:
		return RowsUnknown
	case !s.UsagePlausible:
		return RowsImplausible
	case s.RecordedUntil().IsZero(): // no row contains a time
		return ActivityUnknown
	case s.ActivityInterval == 0, r.watchedSince.IsZero(), s.Time.Sub(r.watchedSince) < r.watch(s):
		return ActivityUnknown
	case !s.IdleKnown(r.idle), s.ActivityLag > 0:
		return ActivityRare
	default:
		return ""
	}
}

// watch returns how long the site must have been watched. A session without recorded activity
// shows that it is in use only when it has outlived its timeout by half of the idle time.
func (r *rules) watch(s *headroom.Snapshot) time.Duration {
	longest := time.Duration(0)
	for i := range s.Links {
		if s.Links[i].InactivityTimeout <= 0 {
			return watchTime // it may be as long as any
		}
		longest = max(longest, s.Links[i].InactivityTimeout)
	}
	return min(longest+r.idle/2, watchTime)
}

// choose returns the session to end of a user with one slot left, or why there is none.
// Sessions that are gone do not count.
func (r *rules) choose(user *headroom.UserStatus, facts *headroom.Facts, listed map[qlik.SessionKey]listedSession, gone map[qlik.SessionKey]gone, s *headroom.Snapshot) (choice, Reason) {
	if sessions.NeverEnded(&sessions.Row{UserStatus: *user}, r.serviceAccounts) != "" || facts.ServiceAccount >= headroom.RunsServices {
		return choice{}, NeverEnded
	}
	for _, session := range gone {
		if session.unknown {
			return choice{}, Failed // its slot may cool, so that the user seems to have one slot left
		}
	}
	isGone := func(key qlik.SessionKey) bool { _, is := gone[key]; return is }
	var best choice
	recent, elsewhere := time.Time{}, false
	live := facts.Slots[:0:0]
	for _, slot := range facts.Slots {
		if _, is := listed[slot.Session]; is && !isGone(slot.Session) {
			live = append(live, slot)
			if slot.LastActive.After(recent) {
				recent = slot.LastActive
			}
		}
	}
	for i := range live {
		slot := &live[i]
		idle := idleFor(slot, s)
		switch {
		case idle < r.idle, !slot.LastActive.Before(recent):
		case listed[slot.Session].elsewhere:
			elsewhere = true
		case best.last.IsZero() || slot.LastActive.Before(best.last) ||
			slot.LastActive.Equal(best.last) && listed[slot.Session].ID < best.session.ID: // so that both reads choose the same one
			best = choice{user.User, listed[slot.Session].Session, slot.LastActive, idle}
		}
	}
	switch {
	case !best.last.IsZero():
		return best, ""
	case elsewhere:
		return choice{}, VirtualProxy
	default:
		return choice{}, InUse
	}
}

// idleFor returns for how long a session with a slot was certainly not used, or 0. It counts
// from its last activity, but no earlier than the exporter has seen it, until the usage rows
// were asked for. So neither a wrong time in a row nor one of a clock that jumped makes a
// session look idle for longer than the exporter has watched it.
func idleFor(slot *headroom.Slot, s *headroom.Snapshot) time.Duration {
	if !live(slot) || slot.UsedLater || slot.LastActive.IsZero() || slot.FirstSeen.IsZero() {
		return 0
	}
	since := slot.LastActive
	if slot.FirstSeen.After(since) {
		since = slot.FirstSeen
	}
	return s.RecordedUntil().Sub(since)
}

// listedSession is a session that a link lists. It ends on every link that lists it.
type listedSession struct {
	qlik.Session

	elsewhere bool // one of the links is not allowed
}

// listedSessions returns the sessions of users by their keys.
func (r *rules) listedSessions(s *headroom.Snapshot, users map[qlik.User]*headroom.Facts) map[qlik.SessionKey]listedSession {
	listed := make(map[qlik.SessionKey]listedSession)
	for i := range s.Links {
		link := &s.Links[i]
		elsewhere := !r.places.Matches(link.VirtualProxy, link.Node)
		for _, session := range link.Sessions {
			key := session.ID.Key()
			before, again := listed[key]
			switch {
			case again:
				session = before.Session
			case users[session.User] == nil:
				continue
			}
			listed[key] = listedSession{session, elsewhere || before.elsewhere}
		}
	}
	return listed
}

// longestIdleFirst sorts choices.
func longestIdleFirst(choices []choice) {
	slices.SortFunc(choices, func(a, b choice) int {
		return cmp.Or(cmp.Compare(b.idle, a.idle), a.user.Compare(b.user))
	})
}
