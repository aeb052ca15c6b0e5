package qlik

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"time"
)

const (
	// rememberReached is how long it is remembered that a user reached the limit,
	// after the last session of that user.
	rememberReached = 24 * time.Hour
	// maxRemembered bounds the users that are remembered without sessions.
	maxRemembered = 20_000
	// restartSessions is from how many sessions on a node that is suddenly without
	// any has lost them to a restart, and not to logouts.
	restartSessions = 5
)

// tracker knows what no single snapshot can tell: which sessions began and
// ended, which slots cool, and who reached the limit. It is pure: it asks
// nobody, and time comes with each observation.
//
// Session ids are kept only as keyed hashes.
type tracker struct {
	limit       int
	coolingTime time.Duration
	unlimited   map[User]bool
	ended       func(life time.Duration) // told of sessions whose start was seen; may be nil

	seed     maphash.Seed
	since    time.Time // first observation
	last     time.Time // latest observation
	round    uint64
	links    map[linkKey]*trackedLink // those expected to answer
	sessions map[sessionHash]trackedSession
	users    map[User]*trackedUser
	totals   Totals
}

type linkKey struct{ node, virtualProxy string }

type trackedLink struct {
	linkKey

	answered uint64 // round of its last answer; 0 before the first
	timeout  time.Duration
	result   *LinkResult // of this round; nil if the link is not expected any more
}

// sessionHash stands for a session id.
type sessionHash uint64

type trackedSession struct {
	user      *trackedUser
	link      *trackedLink
	firstSeen time.Time
	startSeen bool   // it was not there when its link answered the round before
	round     uint64 // in which it was last listed
}

type trackedUser struct {
	user          User
	sessions      int         // listed, or unknown because their link failed
	cooling       []time.Time // ends of cooling slots, soonest first
	atLimit       bool
	started       bool // a session began in this round
	reached       uint64
	lastReached   time.Time
	lastSession   time.Time // when the user was last known to have one
	oldest        time.Time // first-seen time of the oldest session
	oldestInRound uint64
}

// Totals are counts of events since the tracking began.
type Totals struct {
	Started  map[string]uint64 // sessions, by virtual proxy
	Ended    map[string]uint64 // sessions, by virtual proxy
	Restarts map[string]uint64 // of proxies, by node
}

func newTracker(limit int, coolingTime time.Duration, unlimited map[User]bool) *tracker {
	return &tracker{
		limit: limit, coolingTime: coolingTime, unlimited: unlimited,
		seed:     maphash.MakeSeed(),
		links:    make(map[linkKey]*trackedLink),
		sessions: make(map[sessionHash]trackedSession),
		users:    make(map[User]*trackedUser),
		totals:   Totals{Started: make(map[string]uint64), Ended: make(map[string]uint64), Restarts: make(map[string]uint64)},
	}
}

func (t *tracker) hash(id SessionID) sessionHash {
	return sessionHash(maphash.String(t.seed, string(id)))
}

// observe takes in the answers of all links at a time. What a link that failed
// had listed before is neither gone nor new until it answers again, unless its
// proxy has stopped.
func (t *tracker) observe(links []LinkResult, now time.Time) {
	t.round++
	if t.since.IsZero() {
		t.since = now
	}
	for i := range links {
		key := linkKey{links[i].Node, links[i].VirtualProxy}
		link := t.links[key]
		if link == nil {
			link = &trackedLink{linkKey: key}
			t.links[key] = link
			t.totals.Started[key.virtualProxy] += 0 // so that the counter exists before the first event
			t.totals.Ended[key.virtualProxy] += 0
			t.totals.Restarts[key.node] += 0
		}
		link.result, link.timeout = &links[i], links[i].InactivityTimeout
	}
	for i := range links {
		if links[i].Err == nil {
			t.observeListed(t.links[linkKey{links[i].Node, links[i].VirtualProxy}], now)
		}
	}
	t.observeGone(now)
	for key, link := range t.links {
		if link.result == nil {
			delete(t.links, key)
		} else if link.result.Err == nil {
			link.answered = t.round
		}
		link.result = nil // the answers are not needed any more
	}
	t.observeUsers(now)
	t.last = now
}

// observeListed notes the sessions that a link lists.
func (t *tracker) observeListed(link *trackedLink, now time.Time) {
	for i := range link.result.Sessions {
		hash := t.hash(link.result.Sessions[i].ID)
		session, known := t.sessions[hash]
		if !known {
			session = trackedSession{user: t.user(link.result.Sessions[i].User), link: link, firstSeen: now}
			session.user.sessions++
			if link.answered > 0 { // what the first answer lists was there before
				t.totals.Started[link.virtualProxy]++
				session.user.started = true
				session.startSeen = link.answered == t.round-1
			}
		}
		// Of several links that list it, one that answered is asked for it next time.
		session.link, session.round = link, t.round
		t.sessions[hash] = session
	}
}

// observeGone notes the sessions that are not listed any more by links that
// answered, are not expected any more, or whose proxy has stopped.
func (t *tracker) observeGone(now time.Time) {
	gone, stayed := make(map[string]int), make(map[string]int) // by node
	for hash, session := range t.sessions {
		link := session.link
		switch {
		case session.round == t.round:
			if session.firstSeen.Before(now) {
				stayed[link.node]++
			}
			continue
		case link.result != nil && link.result.Err != nil && !link.result.Stopped:
			continue // unknown
		}
		at := now
		if link.result != nil && link.result.Stopped {
			at = now.Add(-stoppedAfter) // at the latest
		}
		gone[link.node]++
		delete(t.sessions, hash)
		t.totals.Ended[link.virtualProxy]++
		if session.startSeen && t.ended != nil {
			t.ended(max(at.Sub(session.firstSeen), 0))
		}
		t.end(session.user, at)
	}
	for node, n := range gone {
		if n >= restartSessions && stayed[node] == 0 {
			t.totals.Restarts[node]++
		}
	}
}

// end takes a session from a user. At the limit the slot cools, which is what
// Qlik does (docs/qlik.md, "Five-minute tail"). The end lies between two
// answers. So that no slot is promised too early the later one is taken as the
// end, and whatever cooled at the earlier one counts.
func (t *tracker) end(user *trackedUser, at time.Time) {
	user.dropCooled(t.last)
	if user.sessions+len(user.cooling) >= t.limit && limited(user.user, t.unlimited) {
		user.cooling = append(user.cooling, at.Add(t.coolingTime))
		slices.SortFunc(user.cooling, time.Time.Compare)
		if len(user.cooling) > t.limit {
			user.cooling = slices.Delete(user.cooling, 0, 1)
		}
	}
	user.sessions--
}

// cooled is the number of slots that have cooled by a time.
func (u *trackedUser) cooled(at time.Time) int {
	n := 0
	for n < len(u.cooling) && !u.cooling[n].After(at) {
		n++
	}
	return n
}

func (u *trackedUser) dropCooled(at time.Time) {
	u.cooling = slices.Delete(u.cooling, 0, u.cooled(at))
}

// coolingEnds are the ends of slots that still cool. Sessions and cooling slots
// together never exceed the limit: a session beyond it holds no slot.
func (u *trackedUser) coolingEnds(limit int, now time.Time) []time.Time {
	cooling := u.cooling[u.cooled(now):]
	room := min(max(limit-u.sessions, 0), len(cooling))
	return cooling[len(cooling)-room:]
}

// observeUsers notes who is at the limit, and forgets who left long ago.
func (t *tracker) observeUsers(now time.Time) {
	for _, session := range t.sessions {
		user := session.user
		if user.oldestInRound != t.round || session.firstSeen.Before(user.oldest) {
			user.oldest, user.oldestInRound = session.firstSeen, t.round
		}
	}
	var left []*trackedUser
	for key, user := range t.users {
		user.dropCooled(now)
		atLimit := limited(key, t.unlimited) && user.sessions+len(user.cooling) >= t.limit
		if atLimit && !user.atLimit && user.started {
			user.reached++
			user.lastReached = now
		}
		user.atLimit, user.started = atLimit, false
		switch {
		case user.sessions > 0:
			user.lastSession = now
		case len(user.cooling) > 0:
		case user.reached == 0, now.Sub(user.lastSession) >= rememberReached:
			delete(t.users, key)
		default:
			left = append(left, user)
		}
	}
	if over := len(left) - maxRemembered; over > 0 {
		slices.SortFunc(left, func(a, b *trackedUser) int {
			return cmp.Or(a.lastSession.Compare(b.lastSession), a.user.Compare(b.user))
		})
		for _, user := range left[:over] {
			delete(t.users, user.user)
		}
	}
}

// user returns what is known of a user; all anonymous users are one.
func (t *tracker) user(user User) *trackedUser {
	user = user.Counted()
	known := t.users[user]
	if known == nil {
		known = &trackedUser{user: user}
		t.users[user] = known
	}
	return known
}

// coolingEnds returns when the cooling slots of a user will be free, soonest first.
func (t *tracker) coolingEnds(user User, now time.Time) []time.Time {
	known := t.users[user]
	if known == nil {
		return nil
	}
	return slices.Clone(known.coolingEnds(t.limit, now))
}

// tracking returns a copy of the counts.
func (t *tracker) tracking() Tracking {
	return Tracking{Since: t.since, Totals: Totals{
		Started: maps.Clone(t.totals.Started), Ended: maps.Clone(t.totals.Ended), Restarts: maps.Clone(t.totals.Restarts),
	}}
}

// begunSince returns the sessions whose start was seen after a time, with their
// users.
func (t *tracker) begunSince(at time.Time) map[sessionHash]User {
	began := make(map[sessionHash]User)
	for hash, session := range t.sessions {
		if session.startSeen && session.firstSeen.After(at) {
			began[hash] = session.user.user
		}
	}
	return began
}

// rowOwner is the user of a usage row: the one whose session it is, else the one
// that the row names; zero if nobody knows.
type rowOwner struct {
	user User
	live bool // the session is there
}

func (t *tracker) owners(rows []usageRow) []rowOwner {
	owners := make([]rowOwner, len(rows))
	for i := range rows {
		if session, live := t.sessions[rows[i].session]; live {
			owners[i] = rowOwner{session.user.user, true}
		} else {
			owners[i] = rowOwner{rows[i].user.Counted(), false}
		}
	}
	return owners
}

// describe adds what is remembered of a user.
func (t *tracker) describe(status *UserStatus, now time.Time) {
	user := t.users[status.User]
	if user == nil {
		return
	}
	status.CoolingSlots = len(user.coolingEnds(t.limit, now))
	status.LimitReached, status.LastLimitReached = user.reached, user.lastReached
	if status.Sessions > 0 && user.oldestInRound == t.round {
		status.FirstSeen = user.oldest
	}
}
