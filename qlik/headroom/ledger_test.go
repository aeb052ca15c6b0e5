package headroom

import (
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// Reasons why a snapshot may be wrong about a slot.
const (
	// Without usage rows. If the session lists do not show whether a slot is taken, it is
	// also uncertain whether other slots cool.
	restarted = "slots cooled when the exporter was started"
	tooShort  = "a session was too short to be listed"
	unlisted  = "a session ended while another one was not listed yet"
	lateEnd   = "the end of a session is known up to an interval later"
	outage    = "sessions ended while a link failed"
	noOrder   = "sessions began and ended between the same two answers"
	noSlot    = "a session is listed that was refused"
	hadNoSlot = "sessions ended that were refused, or while one was listed"
	apart     = "something happened while the answers came in"

	// With usage rows.
	takenSince = "a slot was taken since the rows were read, and not by a new session"
	freedSince = "a slot was freed since the rows were read"
	inDoubt    = "a new session was refused, or ended, before the rows were read"
)

// ledger keeps the true state of a user's slots. It finds the slots with a state that an
// exporter cannot know.
type ledger struct {
	alive  []*qliktest.Session // sessions at the latest round
	rows   []string            // session ids of the taken slots at that time
	listed []string            // ids of the sessions that the round listed
	read   []string            // ids of the usage rows that were read last

	lives   []*life
	ends    []*end
	refused bool // a refused session was listed
}

// life is a session from its login until the lists show its end.
type life struct {
	id      string
	node    int
	refused bool      // it has no slot, or had none at the end
	listed  bool      // by this exporter
	begun   bool      // listed for the first time in the latest round
	seen    time.Time // when it was first listed; zero if its start was not seen
	unsure  bool      // its links failed since it was listed
	ended   bool
	crossed bool   // it was listed although it had ended, together with a session that began
	cooled  bool   // its slot stayed taken
	hidden  string // why the lists do not show that its slot stayed taken; "" if they do
}

// end is an ended session with a slot that is taken or looks taken.
type end struct {
	id       string
	taken    bool
	hidden   string    // why the lists do not show that it is taken; "" if they do
	imagined string    // why it looks taken although it is free; "" if it does not look taken
	until    time.Time // when it stops looking taken
	seen     time.Time // when its session was first listed, if its start was seen
}

// answers holds the times at which the requests of a round were sent and its responses were
// complete, and the nodes that failed.
type answers struct {
	last         time.Time // time of the previous requests; zero in an exporter's first round
	asked, heard time.Time
	failed       [2]bool // by node
	failedBefore [2]bool
}

// settle updates the ledger after a round.
func (l *ledger) settle(a *answers) {
	if a.last.IsZero() {
		l.begin()
	}
	l.noteEnds()
	l.judge(l.noteLists(a), a)
	for _, e := range l.ends {
		e.taken = l.takes(e.id)
	}
	l.ends = slices.DeleteFunc(l.ends, func(e *end) bool { return !e.taken && !e.until.After(a.asked) })
	l.refused = slices.ContainsFunc(l.lives, isRefused)
}

func isRefused(x *life) bool { return x.refused }

// begin starts over for a new exporter, which cannot know which slots cool.
func (l *ledger) begin() {
	l.lives = slices.DeleteFunc(l.lives, func(x *life) bool { return l.find(x.id) < 0 && !l.isListed(x.id) })
	for _, x := range l.lives {
		x.listed, x.begun, x.unsure, x.seen = false, false, false, time.Time{}
	}
	l.ends, l.refused = nil, false
	for _, id := range l.rows {
		if l.find(id) < 0 {
			l.ends = append(l.ends, &end{id: id, taken: true, hidden: restarted})
		}
	}
}

// noteEnds finds the sessions that have ended, and whether their slots cool.
func (l *ledger) noteEnds() {
	var ended []*life
	l.lives = slices.DeleteFunc(l.lives, func(x *life) bool {
		if i := l.find(x.id); i >= 0 {
			x.refused = !l.alive[i].Granted
			return false
		}
		if x.ended {
			return false
		}
		x.ended, x.cooled = true, l.takes(x.id)
		if x.listed || l.isListed(x.id) {
			ended = append(ended, x)
			return false
		}
		if x.cooled {
			l.ends = append(l.ends, &end{id: x.id, taken: true, hidden: tooShort})
		}
		return true
	})
	for _, x := range ended {
		if i := slices.IndexFunc(l.ends, func(e *end) bool { return e.taken && e.hidden != "" }); i >= 0 {
			x.hidden = l.ends[i].hidden
		} else if slices.ContainsFunc(l.lives, func(x *life) bool { return !x.ended && !x.listed && !l.isListed(x.id) }) {
			x.hidden = unlisted
		}
	}
}

// noteLists compares the sessions with the lists, and returns the sessions that are no
// longer listed.
func (l *ledger) noteLists(a *answers) (known []*life) {
	l.lives = slices.DeleteFunc(l.lives, func(x *life) bool {
		x.begun = false
		switch {
		case l.isListed(x.id):
			x.begun, x.listed, x.unsure = !x.listed, true, false
			if x.begun && !a.last.IsZero() && !a.failedBefore[x.node] {
				x.seen = a.heard
			}
		case !x.listed:
		case a.failed[x.node]:
			x.unsure = true
		default:
			known = append(known, x)
			return true
		}
		return false
	})
	return known
}

// judge decides which slots of sessions that are no longer listed may look taken.
func (l *ledger) judge(known []*life, a *answers) {
	suggested := "" // why the slots look taken although they are free
	for _, e := range l.ends {
		if e.imagined != "" && e.until.After(a.last) && !l.takes(e.id) {
			suggested = e.imagined
		}
	}
	isUnsure := func(x *life) bool { return x.unsure }
	hasBegun := func(x *life) bool { return x.begun }
	for _, x := range l.lives {
		x.crossed = x.ended && slices.ContainsFunc(l.lives, hasBegun)
	}
	switch {
	case slices.ContainsFunc(l.lives, isUnsure), slices.ContainsFunc(known, isUnsure):
		suggested = outage
	case slices.ContainsFunc(l.lives, hasBegun), slices.ContainsFunc(known, func(x *life) bool { return x.crossed }):
		suggested = noOrder
	case l.refused, slices.ContainsFunc(l.lives, isRefused), slices.ContainsFunc(known, isRefused):
		suggested = hadNoSlot
	}
	for _, x := range known {
		e := &end{id: x.id, hidden: x.hidden, imagined: suggested, until: a.heard.Add(DefaultCoolingTime), seen: x.seen}
		if x.cooled && suggested != outage {
			e.imagined = lateEnd
		}
		l.ends = append(l.ends, e)
	}
}

// excuseOfLists returns why effective headroom without usage rows is too high by tooMany
// slots, or too low if tooMany is negative. It returns "" unless there is a reason for
// each of these slots.
func (l *ledger) excuseOfLists(tooMany int, now time.Time) string {
	var reasons []string
	for _, e := range l.ends {
		switch {
		case tooMany > 0 && e.taken && e.hidden != "":
			reasons = append(reasons, e.hidden)
		case tooMany < 0 && !e.taken && e.imagined != "" && e.until.After(now):
			reasons = append(reasons, e.imagined)
		}
	}
	for _, x := range l.lives {
		if tooMany < 0 && x.refused && !x.ended {
			reasons = append(reasons, noSlot)
		}
	}
	return enough(reasons, tooMany)
}

// hasHiddenSlot reports whether the lists do not show that a slot is taken.
func (l *ledger) hasHiddenSlot() bool {
	return slices.ContainsFunc(l.ends, func(e *end) bool { return e.taken && e.hidden != "" })
}

// excuseOfRows does the same for effective headroom computed from usage rows.
func (l *ledger) excuseOfRows(tooMany int, readAt time.Time) string {
	counted := slices.Clone(l.read)
	for _, x := range l.lives {
		if x.listed && x.seen.After(readAt) && !slices.Contains(counted, x.id) {
			counted = append(counted, x.id)
		}
	}
	for _, e := range l.ends {
		// Of a session that has ended below the limit, only a leftover row can be there.
		if len(l.rows) >= DefaultLimit && e.seen.After(readAt) && !slices.Contains(counted, e.id) {
			counted = append(counted, e.id)
		}
	}
	var reasons []string
	if tooMany > 0 {
		for _, id := range l.rows {
			if !slices.Contains(counted, id) {
				reasons = append(reasons, takenSince)
			}
		}
		return enough(reasons, tooMany)
	}
	for i, id := range counted {
		switch {
		case l.takes(id):
		case i < len(l.read):
			reasons = append(reasons, freedSince)
		default:
			reasons = append(reasons, inDoubt)
		}
	}
	return enough(reasons, tooMany)
}

// enough returns the last reason if there is one for each slot, and "" otherwise.
func enough(reasons []string, slots int) string {
	if len(reasons) == 0 || len(reasons) < max(slots, -slots) {
		return ""
	}
	return reasons[len(reasons)-1]
}

// find returns the index of a session in alive, or -1.
func (l *ledger) find(id string) int {
	return slices.IndexFunc(l.alive, func(s *qliktest.Session) bool { return s.ID == id })
}

func (l *ledger) isListed(id string) bool { return slices.Contains(l.listed, id) }

func (l *ledger) takes(id string) bool { return slices.Contains(l.rows, id) }
