// Package headroom computes the free slots of each user.
//
// Headroom is the session limit minus the user's sessions. Effective headroom is the
// number of slots that the next login finds:
//   - If the usage rows are known and plausible, it is the limit minus the user's
//     usage rows, minus sessions that started after the rows were read.
//   - Otherwise it is the limit minus the user's sessions and cooling slots. A cooling
//     slot stays taken for five minutes after a session ended at the limit.
//
// The package sends no requests and reads no clock. The input is a Round: the data
// read from a site, with times. The output is a Snapshot: the state of the site at
// that time. A State holds the data to keep from one round to the next.
package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// The session limit of Qlik Sense and the time that a slot cools (docs/qlik.md, "The
// limit" and "Five-minute tail").
const (
	DefaultLimit       = 5
	DefaultCoolingTime = 5 * time.Minute
)

// Config holds the rules of the session limit.
type Config struct {
	Limit       int           // maximum number of concurrent sessions of a user
	CoolingTime time.Duration // how long a slot stays taken after a session ended at the limit
	Unlimited   []qlik.User   // users without a limit

	ServiceAccounts []qlik.User // named in the configuration
}

// limits is a Config with a set of users instead of a list.
type limits struct {
	limit       int
	coolingTime time.Duration
	unlimited   map[qlik.User]bool

	serviceAccounts map[qlik.User]bool
}

// apply reports whether the limit applies to a user.
func (l *limits) apply(user qlik.User) bool { return user != qlik.AnonymousUser && !l.unlimited[user] }

// State holds the data that a single round does not contain: previous sessions,
// cooling slots, and users that reached the limit. It is immutable, so it can be read
// without a lock. Each round creates a new State.
type State struct {
	limits *limits

	since time.Time // time of the first round; zero before it
	heard time.Time // time of the last round; zero before the first
	links map[qlik.LinkKey]*trackedLink

	sessions map[qlik.SessionKey]trackedSession
	users    []qlik.User // users of sessions, by number
	ended    map[qlik.SessionKey]endedSession

	history  history
	activity activity
	usage    *Usage // usage rows of the round; nil if they were unknown

	remembered map[qlik.User]trackedUser
	refused    RefusedLogins
	totals     Totals
	reached    ReachedIdle
	trust      trust
}

// New returns the state before the first round.
func New(config Config) *State {
	l := &limits{limit: config.Limit, coolingTime: config.CoolingTime, unlimited: make(map[qlik.User]bool), serviceAccounts: make(map[qlik.User]bool)}
	for _, user := range config.ServiceAccounts {
		l.serviceAccounts[user] = true
	}
	for _, user := range config.Unlimited {
		l.unlimited[user] = true
	}
	return &State{limits: l}
}

// trackedLink is the state of a link of the latest round.
type trackedLink struct {
	qlik.LinkKey

	timeout  time.Duration // inactivity timeout of its sessions; 0 if unknown
	current  bool          // it answered in the latest round
	answered time.Time     // time of its last answer; zero if it has never answered
	asked    time.Time     // time of the request for that answer
	// since is since when the activity of its sessions could be recorded and its timeout
	// has been in force; zero if it was from the first round.
	since time.Time
}

// trackedSession is a session that its link lists, or whose link did not answer.
type trackedSession struct {
	link      *trackedLink
	firstSeen *time.Time // shared by all sessions that were first seen in the same round
	user      int32      // index in State.users
	startSeen bool       // its link answered the round before, without this session

	closeStart bool // startSeen, and that round was at most closeRounds before
	granted    bool // it had a usage row
	refused    bool // it was counted as a refused login

	pace pace
}

// trackedUser is the state of a user besides sessions.
type trackedUser struct {
	// cooling are the times when the cooling slots become free, soonest first. Past
	// times stay while they may matter for an unknown session. The slice is immutable.
	cooling     []time.Time
	atLimit     bool
	reached     uint64 // how often the user went from below the limit to the limit
	lastReached time.Time
	lastSession time.Time // last round in which the user had a session
}

// trust tracks whether the usage rows reflect the sessions. If a release does not
// write usage rows, the lists are empty or contain only old rows.
type trust struct {
	lost    bool
	written time.Time // last time at which rows were certainly written
}

// tracking returns a copy of the counts.
func (s *State) tracking() Tracking {
	return Tracking{Since: s.since, Totals: s.totals.clone(), ReachedIdle: s.reached}
}
