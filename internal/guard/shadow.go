package guard

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// shadows show users as they are without the sessions that the guard has ended, or would
// have ended. In a dry run these sessions go on, and whether Qlik would have granted a
// refused login is computed.
type shadows struct {
	cooling time.Duration // for how long a slot cools
	dryRun  bool
	users   map[qlik.User]*shadow
	// worse counts, for each reading, the logins that the guard would have caused Qlik to
	// refuse and that no prevented refusal has made up for.
	worse [readings]int
}

// shadow is a user.
type shadow struct {
	since   time.Time
	gone    map[qlik.SessionKey]gone
	granted [readings]map[qlik.SessionKey]bool // refused sessions: whether Qlik would have granted them
}

// gone is a session that has ended, or would have.
type gone struct {
	at      time.Time
	last    time.Time // its last activity then
	unknown bool      // the request failed, so the session may still exist
}

// The readings of Qlik's help (docs/qlik.md, "Five-minute tail").
const (
	tailAtLimit = iota // a slot that is freed below the limit is free at once
	tailAlways         // each slot cools
	readings           // their number
)

var readingNames = [readings]string{tailAtLimit: "at_limit", tailAlways: "always"}

// achieved is what a dry run would have achieved.
type achieved struct {
	returned  uint64           // sessions that were used again
	prevented [readings]uint64 // refused logins that would have been granted
}

// add notes that a session has ended, would have, or may have.
func (s *shadows) add(c *choice, at time.Time, unknown bool) {
	of := s.users[c.user]
	if of == nil {
		of = &shadow{since: at, gone: make(map[qlik.SessionKey]gone)}
		for reading := range of.granted {
			of.granted[reading] = make(map[qlik.SessionKey]bool)
		}
		s.users[c.user] = of
	}
	of.gone[c.session.ID.Key()] = gone{at, c.last, unknown}
}

// goneOf returns the sessions of a user that are gone.
func (s *shadows) goneOf(user qlik.User) map[qlik.SessionKey]gone {
	if of := s.users[user]; of != nil {
		return of.gone
	}
	return nil
}

// left returns how many slots a user has left without the sessions that are gone.
func (s *shadows) left(user qlik.User, facts *headroom.Facts) int {
	of := s.users[user]
	if of == nil {
		return facts.EffectiveHeadroom
	}
	return of.left(facts, tailAtLimit, 0)
}

// left returns how many slots the user has left by a reading by which a slot cools for a
// time.
func (of *shadow) left(facts *headroom.Facts, reading int, cools time.Duration) int {
	n := facts.EffectiveHeadroom
	for i := range facts.Slots {
		slot := &facts.Slots[i]
		if session, is := of.gone[slot.Session]; is && !session.unknown && slot.Taken() && !facts.Now.Before(session.at.Add(cools)) {
			n++
		}
		if of.granted[reading][slot.Session] && !slot.Taken() {
			n--
		}
	}
	return n
}

// update compares the shadows with what happened since, and returns what the dry run would
// have achieved.
func (s *shadows) update(all map[qlik.User]*headroom.Facts) achieved {
	var sum achieved
	for user, of := range s.users {
		facts := all[user]
		if facts == nil {
			delete(s.users, user) // has neither sessions nor slots
			continue
		}
		sum.returned += s.forget(of, facts)
		if s.dryRun {
			for reading := range readings {
				sum.prevented[reading] += s.judge(of, facts, reading)
			}
		}
		if len(of.gone) == 0 && len(of.granted[tailAtLimit]) == 0 && len(of.granted[tailAlways]) == 0 {
			delete(s.users, user)
		}
	}
	return sum
}

// forget forgets sessions whose slots are free, and returns the number of those that were
// used again.
func (s *shadows) forget(of *shadow, facts *headroom.Facts) (returned uint64) {
	exists := make(map[qlik.SessionKey]*headroom.Slot, len(facts.Slots))
	for i := range facts.Slots {
		exists[facts.Slots[i].Session] = &facts.Slots[i]
	}
	for key, session := range of.gone {
		slot := exists[key]
		switch {
		case slot == nil:
			delete(of.gone, key)
		case session.unknown && live(slot) && facts.Now.Sub(session.at) > endTimeout:
			delete(of.gone, key) // it was listed by a read that began later, so it has not ended
		case !s.dryRun && !live(slot):
			session.unknown = false // it has ended, whatever Qlik writes into its row then
			of.gone[key] = session
		case slot.LastActive.After(session.last):
			delete(of.gone, key)
			returned++
			for reading := range readings {
				if of.left(facts, reading, s.cools(reading)) < 0 {
					s.worse[reading]++ // Qlik would have refused the new window
				}
			}
		}
	}
	for reading := range of.granted {
		for key := range of.granted[reading] {
			if slot := exists[key]; slot == nil || slot.Taken() {
				delete(of.granted[reading], key)
			}
		}
	}
	return returned
}

// live reports whether the session of a slot exists.
func live(slot *headroom.Slot) bool {
	return slot.State == headroom.SlotActive || slot.State == headroom.SlotIdle
}

// judge returns how many of the newly refused sessions Qlik would have granted.
func (s *shadows) judge(of *shadow, facts *headroom.Facts, reading int) (prevented uint64) {
	left := of.left(facts, reading, s.cools(reading))
	for i := range facts.Slots {
		slot := &facts.Slots[i]
		if slot.Taken() || facts.NeedsNoSlot(slot) || !slot.FirstSeen.After(of.since) {
			continue
		}
		if _, known := of.granted[reading][slot.Session]; known {
			continue
		}
		of.granted[reading][slot.Session] = left > 0
		if left <= 0 {
			continue
		}
		left--
		if s.worse[reading] > 0 {
			s.worse[reading]--
		} else {
			prevented++
		}
	}
	return prevented
}

// cools returns for how long a slot that the guard frees cools by a reading.
func (s *shadows) cools(reading int) time.Duration {
	if reading == tailAlways {
		return s.cooling
	}
	return 0
}
