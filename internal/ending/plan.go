// Package ending plans which sessions of a user end, and ends them. The command sessions
// end and the desk share it, so that both refuse the same.
package ending

import (
	"errors"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// MaxOfOnePerson is the largest number of sessions that one person plausibly has. A
// plan that ends more sessions needs a separate confirmation.
const MaxOfOnePerson = 10

// IdleTime is how long a session has not been used that ends although nobody chose it.
const IdleTime = 5 * time.Minute

// Rule is how the sessions to end are selected.
type Rule int

// The rules. None of them but Chosen ends the most recently active session, or anything
// while waiting brings a free slot as soon.
const (
	// Gentle ends what Qlik refused and what has been idle for IdleTime. If no slot is free
	// and none of these sessions holds one, it also ends the longest idle session.
	Gentle Rule = iota
	// Careful ends what Qlik refused, and of the sessions that have certainly been idle for
	// IdleTime only the longest idle one.
	Careful
	// Chosen ends what the operator chose, by Keep, IdleFor, and places.
	Chosen
)

// Selection selects the sessions of a user to end.
type Selection struct {
	sessions.PlaceFilter

	Rule    Rule
	Keep    int           // with Chosen: sessions to keep, the most recently active ones in all places
	IdleFor time.Duration // with Chosen: end only sessions without activity for this long; 0 means all
	// Whole means that the data must be complete. If a link does not answer, only refused
	// sessions end.
	Whole bool
}

// all reports whether the operator wants every session to end, however active it is.
func (s *Selection) all() bool { return s.Rule == Chosen && s.Keep == 0 && s.IdleFor == 0 }

// Plan lists the sessions of a user: those that end, and those that stay with the
// reason.
type Plan struct {
	User     qlik.User
	Sessions []PlannedSession // all sessions of the user, in the order of OfUser
	// NeverEnded is the kind of a user whose sessions are never ended, such as "a
	// service account". It is "" for other users.
	NeverEnded string
	// Unlicensed is why the user cannot log in although slots are free, if no session ends
	// because ending one would not help. Otherwise it is "".
	Unlicensed sessions.Unlicensed
	// Undecided is ErrIdleUnknown or ErrRecentUnknown if the selection cannot be
	// applied. Then all sessions stay. Otherwise it is nil.
	Undecided error
	// Wait is when a slot becomes free by itself, if no session ends because ending one
	// would not free a slot sooner. Otherwise it is zero.
	Wait time.Time
	// WorksAt is when a new window of the user works if the plan is carried out at once. It is
	// zero if that is unknown.
	WorksAt time.Time

	selection Selection
}

// PlannedSession is a session of a plan.
type PlannedSession struct {
	sessions.UserSession

	Slot    headroom.Slot
	Refused bool   // Qlik refused it, and it holds no slot
	Stays   Reason // "" for a session that ends
}

// Ends reports whether the session ends.
func (s *PlannedSession) Ends() bool { return s.Stays == "" }

// Reason is the reason why a session stays.
type Reason string

// The reasons why a session stays.
const (
	StaysNeverEnded   Reason = "sessions of this user are never ended"
	StaysUnlicensed   Reason = "the user was refused for want of a license"
	StaysWaiting      Reason = "a slot becomes free by itself as soon"
	StaysUndecided    Reason = "the data is not sufficient for a decision"
	StaysElsewhere    Reason = "its virtual proxy or node is not selected"
	StaysActive       Reason = "it has not been idle long enough"
	StaysIdleUnknown  Reason = "its last activity is unknown"
	StaysIdleDoubtful Reason = "it is not known closely enough when it was last active"
	StaysRecent       Reason = "it is one of the most recently active sessions"
	StaysOneAtATime   Reason = "only the longest idle session ends at a time"
	StaysIncomplete   Reason = "a node does not answer"
	StaysLimit        Reason = "not more sessions may end now"
	StaysUsed         Reason = "it was used in the meantime"
	StaysGranted      Reason = "Qlik granted it a slot in the meantime"
)

// Errors of an undecided plan.
var (
	ErrIdleUnknown   = errors.New("the idle times of the sessions are unknown")
	ErrRecentUnknown = errors.New("the last activity of the sessions is unknown, so the sessions to keep cannot be determined")
)

// NewPlan returns the plan for a user of the snapshot. It never ends sessions of
// service accounts.
func NewPlan(row *sessions.Row, snapshot *headroom.Snapshot, selection Selection, serviceAccounts []qlik.User) *Plan {
	plan := &Plan{User: row.User, NeverEnded: sessions.NeverEnded(row, serviceAccounts), selection: selection}
	plan.list(snapshot)
	if plan.NeverEnded != "" {
		plan.keepAll(StaysNeverEnded)
		return plan
	}
	if row.Unlicensed != "" && selection.Rule != Chosen {
		plan.Unlicensed = row.Unlicensed
		plan.keepAll(StaysUnlicensed)
		return plan
	}
	if plan.Wait = snapshot.Wait(&row.UserStatus); !plan.Wait.IsZero() && selection.Rule != Chosen {
		plan.keepAll(StaysWaiting)
		return plan
	}
	plan.Wait = time.Time{}
	switch selection.Rule {
	case Chosen:
		plan.Undecided = plan.choose(&selection, snapshot.Time)
	case Careful:
		plan.Undecided = plan.choosePlainly(snapshot)
		plan.keepAllButLongestIdle()
	case Gentle:
		if plan.Undecided = plan.choosePlainly(snapshot); plan.Undecided == nil {
			plan.atLeastOne(row)
		}
	}
	if plan.Undecided != nil {
		plan.keepAll(StaysUndecided)
	}
	if selection.Whole && !snapshot.Complete() {
		plan.keep(StaysIncomplete, func(s *PlannedSession) bool { return !s.Refused })
	}
	plan.foresee(row, snapshot)
	return plan
}

// list adds all sessions of the user.
func (p *Plan) list(snapshot *headroom.Snapshot) {
	slots := make(map[qlik.SessionKey]headroom.Slot)
	facts := snapshot.Facts(p.User)
	for _, slot := range facts.Slots {
		slots[slot.Session] = slot
	}
	for _, session := range sessions.OfUser(p.User, snapshot) {
		slot := slots[session.ID.Key()]
		p.Sessions = append(p.Sessions, PlannedSession{
			UserSession: session, Slot: slot,
			Refused: slot.State == headroom.SlotRefused && !facts.NeedsNoSlot(&slot),
		})
	}
}

// Ending returns the sessions that end.
func (p *Plan) Ending() []PlannedSession {
	return slices.DeleteFunc(slices.Clone(p.Sessions), func(s PlannedSession) bool { return !s.Ends() })
}

// Staying returns the sessions that stay.
func (p *Plan) Staying() []PlannedSession {
	return slices.DeleteFunc(slices.Clone(p.Sessions), func(s PlannedSession) bool { return s.Ends() })
}

// ends reports whether a session ends.
func (p *Plan) ends(id qlik.SessionID) bool {
	return slices.ContainsFunc(p.Sessions, func(s PlannedSession) bool { return s.ID == id && s.Ends() })
}

// EndAtMost makes sessions stay so that at most n end. Those with a slot end first.
func (p *Plan) EndAtMost(n int) {
	for _, refused := range []bool{false, true} {
		for i := range slices.Backward(p.Sessions) {
			if session := &p.Sessions[i]; session.Ends() && session.Refused == refused {
				if n--; n < 0 {
					session.Stays = StaysLimit
				}
			}
		}
	}
}

// choose sets the reasons of the sessions that stay. Keep keeps the most recently
// active sessions in all places. If not all of these are known, choose keeps those that
// are, and succeeds only if at least Keep sessions stay for other reasons.
func (p *Plan) choose(selection *Selection, now time.Time) error {
	known, staying := 0, 0
	for i := range p.Sessions {
		session := &p.Sessions[i]
		if !session.LastActivity.IsZero() {
			known++
		}
		session.Stays = selection.excludes(&session.UserSession, now)
		if session.Ends() && selection.Keep > 0 && session.Slot.UsedLater {
			session.Stays = StaysIdleDoubtful // it may be the most recently active one
		}
		if !session.Ends() {
			staying++
		}
	}
	keep := min(selection.Keep, len(p.Sessions))
	switch {
	case len(p.Sessions) == 0:
		return nil
	case known == 0 && selection.IdleFor > 0:
		return ErrIdleUnknown
	case keep > known && keep < len(p.Sessions):
		if staying < keep {
			return ErrRecentUnknown
		}
		keep = known
	}
	for i := range keep { // the sessions are ordered by last activity, unknown last
		if p.Sessions[i].Ends() {
			p.Sessions[i].Stays = StaysRecent
		}
	}
	return nil
}

// excludes returns why the selection does not include a session, or "" if it does.
func (s *Selection) excludes(session *sessions.UserSession, now time.Time) Reason {
	switch {
	case !s.Matches(session.Link.VirtualProxy, session.Link.Node):
		return StaysElsewhere
	case s.IdleFor == 0:
		return ""
	case session.LastActivity.IsZero():
		return StaysIdleUnknown
	case now.Sub(session.LastActivity) < s.IdleFor:
		return StaysActive
	default:
		return ""
	}
}

// choosePlainly selects refused sessions, and those that have been idle for IdleTime. It
// never selects the most recently active one.
func (p *Plan) choosePlainly(snapshot *headroom.Snapshot) error {
	recentKnown := len(p.Sessions) == 1
	for i := range p.Sessions {
		session := &p.Sessions[i]
		switch {
		case session.Refused:
			recentKnown = true // the usage rows are known
		case i == 0:
			session.Stays = StaysRecent
			recentKnown = recentKnown || !session.LastActivity.IsZero()
		case session.LastActivity.IsZero():
			session.Stays = StaysIdleUnknown
		case p.selection.Rule == Careful && !snapshot.IdleKnown(IdleTime):
			session.Stays = StaysIdleDoubtful
		case snapshot.Time.Sub(session.LastActivity) < IdleTime:
			session.Stays = StaysActive
		default: // it ends
		}
	}
	if len(p.Sessions) > 0 && !recentKnown {
		return ErrRecentUnknown
	}
	return nil
}

// keepAllButLongestIdle keeps all sessions with a slot but the longest idle one of those
// that end.
func (p *Plan) keepAllButLongestIdle() {
	longest := true
	for i := range slices.Backward(p.Sessions) {
		session := &p.Sessions[i]
		if !session.Ends() || session.Refused {
			continue
		}
		if !longest {
			session.Stays = StaysOneAtATime
		}
		longest = false
	}
}

// atLeastOne also ends the longest idle session if nothing ends otherwise, or if no slot is
// free and what ends holds none.
func (p *Plan) atLeastOne(row *sessions.Row) {
	ending := p.Ending()
	freesSlot := slices.ContainsFunc(ending, func(s PlannedSession) bool { return !s.Refused })
	if freesSlot || len(ending) > 0 && row.EffectiveHeadroom > 0 {
		return
	}
	for i := range slices.Backward(p.Sessions) {
		if session := &p.Sessions[i]; session.Stays == StaysActive {
			session.Stays = ""
			return
		}
	}
}

func (p *Plan) keepAll(reason Reason) {
	for i := range p.Sessions {
		p.Sessions[i].Stays = reason
	}
}

// keep keeps some of the sessions that end.
func (p *Plan) keep(reason Reason, which func(*PlannedSession) bool) {
	for i := range p.Sessions {
		if session := &p.Sessions[i]; session.Ends() && which(session) {
			session.Stays = reason
		}
	}
}

// foresee sets WorksAt. A slot that is freed at the limit stays taken for the cooling time.
func (p *Plan) foresee(row *sessions.Row, snapshot *headroom.Snapshot) {
	if row.EffectiveHeadroom > 0 {
		p.WorksAt = snapshot.Time
		return
	}
	freed, usage := 0, snapshot.Usage()
	for _, session := range p.Ending() {
		freed += usage[session.ID].Slots
	}
	p.WorksAt = row.NextSlot
	if soonest := snapshot.FreedAt(); freed >= 1-row.EffectiveHeadroom && (p.WorksAt.IsZero() || soonest.Before(p.WorksAt)) {
		p.WorksAt = soonest
	}
}
