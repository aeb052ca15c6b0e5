// Package headroom reckons what the session limit leaves to each user. It asks
// nobody and knows no clock: what was heard and when comes in as a Round, what is
// known then goes out as a Snapshot, and what must be remembered until the next
// round is a State.
package headroom

import (
	"maps"
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
	heard time.Time // latest round
	links map[linkKey]*trackedLink

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

// Observe takes in a round. It returns what is known then, and the state after it;
// s stays as it was.
func (s *State) Observe(r Round) (*Snapshot, *State) {
	o := newObservation(s, &r)
	o.trackLinks()
	o.trackSessions()
	o.trackUsers()
	o.describeUsers()
	o.joinRows()
	o.licenseUsers()
	o.judgeRows()
	o.reckonSlots()
	return o.snapshot(), o.after
}

// Preview returns what is known then, like Observe, of a round that is not over
// and will be observed, or not, with more in it. Counters are those of s: they
// must not run ahead and fall back.
func (s *State) Preview(r Round) *Snapshot {
	snapshot, _ := s.Observe(r)
	snapshot.Ended = nil
	snapshot.Tracking = s.tracking()
	for i := range snapshot.Users {
		if user := &snapshot.Users[i]; user.LimitReached > 0 {
			before := s.remembered[user.User]
			user.LimitReached, user.LastLimitReached = before.reached, before.lastReached
		}
	}
	return snapshot
}

// tracking returns the counts as others may have them.
func (s *State) tracking() Tracking {
	return Tracking{Since: s.since, Totals: s.totals.clone()}
}

// Tracking is what was seen between rounds since the first.
type Tracking struct {
	Totals

	Since time.Time // zero before the first round
}

// Totals are counts of events.
type Totals struct {
	Started  map[string]uint64 // sessions, by virtual proxy
	Ended    map[string]uint64 // sessions, by virtual proxy
	Restarts map[string]uint64 // of proxies, by node
}

func (t *Totals) clone() Totals {
	clone := func(m map[string]uint64) map[string]uint64 {
		if m == nil {
			return make(map[string]uint64)
		}
		return maps.Clone(m)
	}
	return Totals{Started: clone(t.Started), Ended: clone(t.Ended), Restarts: clone(t.Restarts)}
}

// observation is a round while it is being reckoned.
type observation struct {
	*limits

	round  *Round
	now    time.Time // when the round was over
	before *State
	after  *State
	links  []LinkResult          // of the round, with what the reckoning adds
	listed []qlik.Session        // each once
	owners []int32               // of the listed sessions, in people
	seen   *time.Time            // the moment for sessions that are seen for the first time
	ends   map[int32][]time.Time // of sessions that ended since the round before, by user
	lives  []time.Duration       // of those whose start was seen

	// Everybody who is met in the round has a number. These tables are by that
	// number, so that a user is looked up by name only once.
	people []qlik.User
	number map[qlik.User]int32
	tally  []tally

	rows   []rowOwner // of the usage rows, if they are known
	users  []UserStatus
	status []int32 // where in users somebody is; -1 for nowhere
	live   []int   // usage rows whose session is there, by status

	plausible, licensesStale bool
}

// tally is what is counted of a user in a round.
type tally struct {
	listed     int32       // sessions
	unknown    int32       // sessions of links that did not answer
	oldest     *time.Time  // when the oldest was first seen; nil without sessions
	countedFor *LinkResult // the link for which the user was counted last
	last       time.Time   // earliest last answer that lists a session which is not listed now; zero without one
	started    bool        // a session began since the round before
	changes    bool        // something besides sessions is remembered of the user, or must be
	shown      bool        // there is something to say of the user
}

// sessions is how many the user has as far as is known.
func (t *tally) sessions() int { return int(t.listed + t.unknown) }

func newObservation(before *State, r *Round) *observation {
	sessions := 0
	for i := range r.Links {
		sessions += len(r.Links[i].Sessions)
	}
	since := before.since
	if since.IsZero() {
		since = r.Heard
	}
	return &observation{
		limits: before.limits,
		round:  r, now: r.Heard, before: before,
		after: &State{
			limits: before.limits, since: since, heard: r.Heard,
			links:    make(map[linkKey]*trackedLink, len(r.Links)),
			sessions: make(map[qlik.SessionKey]trackedSession, sessions),
			totals:   before.totals.clone(),
			trust:    before.trust,
		},
		listed: make([]qlik.Session, 0, sessions),
		owners: make([]int32, 0, sessions),
		people: make([]qlik.User, 0, len(before.users)),
		tally:  make([]tally, 0, len(before.users)),
		number: make(map[qlik.User]int32, len(before.users)),
		seen:   new(r.Heard),
		ends:   make(map[int32][]time.Time),
	}
}

// numberOf returns the number of a user, which is a new one at the first meeting.
func (o *observation) numberOf(user qlik.User) int32 {
	n, met := o.number[user]
	if !met {
		n = int32(len(o.people)) //nolint:gosec // far fewer users than that
		o.number[user] = n
		o.people = append(o.people, user)
		o.tally = append(o.tally, tally{})
	}
	return n
}

// snapshot returns what the observation has found.
func (o *observation) snapshot() *Snapshot {
	s := &Snapshot{
		Time: o.round.Asked, Heard: o.round.Heard, Links: o.links, Sessions: o.listed, Users: o.users, Limit: o.limit,
		Tracking: o.after.tracking(), Ended: o.lives,
		Licenses: o.round.Licenses, LicensesStale: o.licensesStale,
		UsageKnown: o.rows != nil, UsagePlausible: o.plausible,
	}
	if o.round.Services != nil {
		s.Services = o.round.Services.States
	}
	if s.UsageKnown && s.UsagePlausible {
		s.rows = o.round.Usage.Rows
	}
	return s
}
