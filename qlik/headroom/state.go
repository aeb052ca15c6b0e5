// Package headroom reckons what the session limit leaves to each user. It asks
// nobody and knows no clock: what was heard and when comes in as a Round, what is
// known then goes out as a Snapshot, and what must be remembered until the next
// round is a State.
package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Terms of Qlik's license (docs/qlik.md, "The limit").
const (
	DefaultLimit       = 5
	DefaultCoolingTime = 5 * time.Minute
)

// Config is what the reckoning goes by.
type Config struct {
	Limit       int           // sessions that a user may have at once
	CoolingTime time.Duration // for which a slot stays taken that was freed at the limit
	Unlimited   []qlik.User   // users to whom the limit does not apply
}

// limits is a Config, prepared.
type limits struct {
	limit       int
	coolingTime time.Duration
	unlimited   map[qlik.User]bool
}

// apply says whether the limit applies to a user.
func (l *limits) apply(user qlik.User) bool { return user != qlik.AnonymousUser && !l.unlimited[user] }

// State is what no single round can tell: which sessions were there before, which
// slots cool, who reached the limit. It never changes, so that it can be read
// without a lock: a round makes a new one.
type State struct {
	limits *limits

	since time.Time // first round; zero before it
	links map[qlik.LinkKey]*trackedLink

	sessions map[qlik.SessionKey]trackedSession
	users    []qlik.User // those of sessions

	remembered map[qlik.User]trackedUser
	totals     Totals
	trust      trust
}

// New returns the state before the first round.
func New(config Config) *State {
	l := &limits{limit: config.Limit, coolingTime: config.CoolingTime, unlimited: make(map[qlik.User]bool)}
	for _, user := range config.Unlimited {
		l.unlimited[user] = true
	}
	return &State{limits: l}
}

// trackedLink is what is remembered of a link. Links that are not expected to
// answer any more are forgotten.
type trackedLink struct {
	qlik.LinkKey

	timeout  time.Duration // of its sessions; 0 if unknown
	current  bool          // it answered in the latest round
	answered time.Time     // when it last did; zero if it never has
	asked    time.Time     // when it was asked for that answer
}

// trackedSession is a session that is listed, or unknown because its link did not
// answer.
type trackedSession struct {
	link      *trackedLink
	firstSeen *time.Time // shared by all that were first seen in the same round
	user      int32      // number of the user in that state
	startSeen bool       // it was not there when its link answered the round before
}

// trackedUser is what is remembered of a user besides sessions.
type trackedUser struct {
	cooling     []time.Time // when slots have cooled, soonest first; those of the past that an unknown session may have met stay; never altered
	atLimit     bool
	reached     uint64 // how often the user went from below the limit to it
	lastReached time.Time
	lastSession time.Time // when the user was last known to have one
}

// trust is whether usage rows are believed to reflect sessions. A release that
// does not write them leaves them empty, or leaves old ones behind.
type trust struct {
	lost    bool
	written time.Time // when rows are last known to have been written
}

// tracking returns the counts as others may have them.
func (s *State) tracking() Tracking {
	return Tracking{Since: s.since, Totals: s.totals.clone()}
}
