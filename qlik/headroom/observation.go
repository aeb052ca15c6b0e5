package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// observation is the computation of a round.
type observation struct {
	*limits

	round     *Round
	now       time.Time // Round.Heard
	before    *State
	after     *State
	links     []LinkResult          // links of the round with the fields that Observe sets
	complete  bool                  // every link that may have sessions answered
	listed    []qlik.Session        // listed sessions without duplicates
	owners    []int32               // users of the listed sessions, as indexes in people
	seen      *time.Time            // firstSeen of sessions that are new in this round
	ends      map[int32][]time.Time // end times of sessions that ended since the round before, by user
	lifetimes []time.Duration       // lifetimes of these sessions if their start was seen

	// Each user of the round has a number, so that each user is looked up by name only
	// once. The number is the index in people and tally.
	people []qlik.User
	number map[qlik.User]int32
	tally  []tally

	rows   []rowOwner // owners of the usage rows; nil if the rows are unknown
	users  []UserStatus
	status []int32 // indexes in users by number; -1 if users does not contain the user
	live   []int   // numbers of usage rows with a known session, by index in users

	refused      []countedLogin // refused logins that this round counts
	doubts       doubts
	endedSteps   []sessionStep                 // of sessions that ended since the round before
	starts       map[qlik.User][]start         // seen closely in this round
	endedClose   map[qlik.SessionKey]time.Time // last activity of ended sessions with a start that was seen closely
	restarted    map[string]bool               // nodes whose proxy restarted since the round before
	slotsAtLimit map[string]int                // by virtual proxy
	reclaimable  map[string]int                // slots by virtual proxy; nil if unknown
	leftoverRows *int                          // nil if unknown

	plausible, licensesStale bool
	useRows                  bool // the usage rows define effective headroom
}

// tally holds the counts of a user in a round.
type tally struct {
	listed     int32       // listed sessions
	unknown    int32       // sessions of links that did not answer
	oldest     *time.Time  // when the oldest session was first seen; nil without sessions
	countedFor *LinkResult // last link that counted the user
	// last is the time of a request: the last request to the link of a session that
	// still listed it, for sessions that are no longer listed. Of several, it is the
	// earliest.
	last    time.Time
	started bool // a session started since the round before
	recent  bool // a session started within UsageValidity
	changes bool // the user has a trackedUser, or sessions of the user ended
	shown   bool // the snapshot must contain the user even without sessions
}

// sessions returns the number of listed and unknown sessions.
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
			links:    make(map[qlik.LinkKey]*trackedLink, len(r.Links)),
			sessions: make(map[qlik.SessionKey]trackedSession, sessions),
			ended:    make(map[qlik.SessionKey]endedSession, len(before.ended)),
			totals:   before.totals.clone(),
			reached:  before.reached,
			trust:    before.trust,
		},
		listed: make([]qlik.Session, 0, sessions),
		owners: make([]int32, 0, sessions),
		people: make([]qlik.User, 0, len(before.users)),
		tally:  make([]tally, 0, len(before.users)),
		number: make(map[qlik.User]int32, len(before.users)),
		seen:   new(r.Heard),
		ends:   make(map[int32][]time.Time),

		starts: make(map[qlik.User][]start), endedClose: make(map[qlik.SessionKey]time.Time), restarted: make(map[string]bool),
	}
}

// numberOf returns the number of a user. It assigns a new one on the first call.
func (o *observation) numberOf(user qlik.User) int32 {
	n, known := o.number[user]
	if !known {
		n = int32(len(o.people)) //nolint:gosec // there are far fewer users than 2^31
		o.number[user] = n
		o.people = append(o.people, user)
		o.tally = append(o.tally, tally{})
	}
	return n
}

// sessionStep is the shortest step of the recorded activity of a session.
type sessionStep struct {
	session qlik.SessionKey
	user    int32 // number of the user
	step    uint32
}

// rowOwner is the user whose slot a usage row takes.
type rowOwner struct {
	user  int32     // number of the user; -1 if unknown
	live  bool      // the session of the row is known
	ended time.Time // latest possible end of the session; zero if it may still exist
	seen  bool      // the session was listed before it ended
}
