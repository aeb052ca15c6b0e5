package headroom

import (
	"maps"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// history is what has happened to users lately. It tells causes. It is immutable, like
// the State that it belongs to.
type history struct {
	starts   map[qlik.User][]start   // of the last programTime, oldest first
	restarts map[string]time.Time    // time of the last restart of the proxy of a node
	above    map[qlik.User]time.Time // since when users have had more than sharedTimes the limit
}

// start is a start of a session that was seen between two rounds at most closeRounds apart.
type start struct {
	at                 time.Time
	virtualProxy, node string
	session            qlik.SessionKey
	// How the session was when it ended; known only if the usage rows were known then.
	ended, known, used, refused bool
}

const (
	// maxStartsOfUser is the maximum number of starts that are kept of a user.
	maxStartsOfUser = 64
	// maxStarts is the maximum number of starts that are kept, and maxStartNames that of
	// the bytes of the names of their users.
	maxStarts     = 50_000
	maxStartNames = 16 << 20
)

// trackHistory updates the history after the sessions.
func (o *observation) trackHistory() {
	before := &o.before.history
	after := history{
		starts:   make(map[qlik.User][]start, len(before.starts)),
		restarts: maps.Clone(before.restarts),
		above:    make(map[qlik.User]time.Time),
	}
	for node := range o.restarted {
		if after.restarts == nil {
			after.restarts = make(map[string]time.Time)
		}
		after.restarts[node] = o.now
	}
	maps.DeleteFunc(after.restarts, func(_ string, at time.Time) bool { return o.now.Sub(at) > programTime })

	activity := o.activityOfEnded()
	for user, starts := range before.starts {
		kept := make([]start, 0, len(starts)+len(o.starts[user]))
		for _, s := range starts {
			if o.now.Sub(s.at) > programTime {
				continue
			}
			if last, ended := activity[s.session]; ended {
				s.ended, s.known = true, activity != nil && o.before.usage != nil
				s.used, s.refused = last.Sub(s.at) > unusedTime, last.IsZero()
			}
			kept = append(kept, s)
		}
		if len(kept) > 0 {
			after.starts[user] = kept
		}
	}
	for user, starts := range o.starts {
		all := slices.Concat(after.starts[user], starts)
		after.starts[user] = all[max(len(all)-maxStartsOfUser, 0):]
	}
	after.prune(o.now)
	for number, user := range o.people {
		if t := &o.tally[number]; t.sessions() > sharedTimes*o.limit && o.apply(user) {
			since, known := before.above[user]
			if !known {
				since = o.now
			}
			after.above[user] = since
		}
	}
	o.after.history = after
	if o.usageKnown() {
		o.after.usage = o.round.Usage
	}
}

// activityOfEnded returns the last activity of the sessions that ended in this round and
// whose start was seen closely. It is the zero time if there was none.
func (o *observation) activityOfEnded() map[qlik.SessionKey]time.Time {
	if o.before.usage == nil || len(o.endedClose) == 0 {
		return o.endedClose
	}
	for i := range o.before.usage.rows {
		row := &o.before.usage.rows[i]
		if known, ended := o.endedClose[row.Session]; ended && row.LastActivity.After(known) {
			o.endedClose[row.Session] = row.LastActivity
		}
	}
	return o.endedClose
}

// prune forgets the oldest starts if there are too many.
func (h *history) prune(now time.Time) {
	for keep := programTime / 2; keep > time.Minute; keep /= 2 {
		n, names := 0, 0
		for user, starts := range h.starts {
			n += len(starts)
			names += len(user.Directory) + len(user.ID)
		}
		if n <= maxStarts && names <= maxStartNames {
			return
		}
		for user, starts := range h.starts {
			starts = slices.DeleteFunc(starts, func(s start) bool { return now.Sub(s.at) > keep })
			if h.starts[user] = starts; len(starts) == 0 {
				delete(h.starts, user)
			}
		}
	}
	clear(h.starts)
}

// afterRestart reports whether a time is shortly after a restart of the proxy of a node.
func (h *history) afterRestart(node string, at time.Time) bool {
	restart, known := h.restarts[node]
	return known && !at.Before(restart) && at.Sub(restart) <= afterRestart
}

// withRestart reports whether sessions that ended at a time ended with a restart.
func (h *history) withRestart(at time.Time) bool {
	for _, restart := range h.restarts {
		if restart.Equal(at) {
			return true
		}
	}
	return false
}
