package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

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
	last       time.Time   // when the links of sessions that are not listed any more were asked for their last answer, the earliest
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
			limits: before.limits, since: since,
			links:    make(map[qlik.LinkKey]*trackedLink, len(r.Links)),
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

// rowOwner is whose slot a usage row takes.
type rowOwner struct {
	user int32 // -1 if nobody knows
	live bool  // the session is there
}
