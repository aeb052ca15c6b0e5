package sessions

import (
	"errors"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// MaxOfOnePerson is how many sessions one person has at most. A plan that ends
// more needs a confirmation of its own.
const MaxOfOnePerson = 10

// Selection says which sessions of a user are to end.
type Selection struct {
	PlaceFilter

	Keep    int           // so many stay, the most recently active ones at any place
	IdleFor time.Duration // only those without activity for so long; 0 is all
}

// Plan says which sessions of a user end, and why the others stay.
type Plan struct {
	Sessions []PlannedSession // all of the user, in the order of OfUser
	// NeverEnded says what the user is, where its sessions are never ended; it is ""
	// for all others.
	NeverEnded string
	// Undecided is ErrIdleUnknown or ErrRecentUnknown where the selection cannot be
	// applied, so that all sessions stay; otherwise it is nil.
	Undecided error
}

// PlannedSession is a session and what happens to it.
type PlannedSession struct {
	UserSession

	Stays Reason // "" for a session that ends
}

// Ends says whether the session ends.
func (s *PlannedSession) Ends() bool { return s.Stays == "" }

// Reason is why a session stays.
type Reason string

// The reasons.
const (
	StaysNeverEnded  Reason = "the sessions of this user are never ended"
	StaysUndecided   Reason = "what is known does not allow a choice"
	StaysElsewhere   Reason = "it is not at a selected place"
	StaysActive      Reason = "it was active within the selected time"
	StaysIdleUnknown Reason = "its last activity is not known"
	StaysRecent      Reason = "it is one of the most recently active ones"
)

// Errors of a plan that is undecided.
var (
	ErrIdleUnknown   = errors.New("how long the sessions have been idle is not known")
	ErrRecentUnknown = errors.New("which sessions were active last is not known, so it cannot be said which to keep")
)

// NewPlan plans which sessions of a user of the snapshot end. Sessions of service
// accounts never do.
func NewPlan(row *Row, snapshot *headroom.Snapshot, selection Selection, serviceAccounts []qlik.User) *Plan {
	plan := &Plan{NeverEnded: NeverEnded(row, serviceAccounts)}
	for _, session := range OfUser(row.User, snapshot) {
		plan.Sessions = append(plan.Sessions, PlannedSession{UserSession: session})
	}
	if plan.NeverEnded != "" {
		plan.keepAll(StaysNeverEnded)
		return plan
	}
	if plan.Undecided = plan.choose(&selection, snapshot.Time); plan.Undecided != nil {
		plan.keepAll(StaysUndecided)
	}
	return plan
}

// Ending returns the sessions that end.
func (p *Plan) Ending() []UserSession {
	var ending []UserSession
	for i := range p.Sessions {
		if p.Sessions[i].Ends() {
			ending = append(ending, p.Sessions[i].UserSession)
		}
	}
	return ending
}

// choose says which sessions stay. Those that Keep lets stay are the most recently
// active of all. Where it is not known which those are, a choice is possible only if
// enough of the others stay anyway.
func (p *Plan) choose(selection *Selection, now time.Time) error {
	known, staying := 0, 0
	for i := range p.Sessions {
		session := &p.Sessions[i]
		if !session.LastActivity.IsZero() {
			known++
		}
		if session.Stays = selection.spares(&session.UserSession, now); !session.Ends() {
			staying++
		}
	}
	keep := min(selection.Keep, len(p.Sessions))
	switch {
	case known == 0 && selection.IdleFor > 0:
		return ErrIdleUnknown
	case keep <= known || keep == len(p.Sessions): // the first are the most recently active
		for i := range keep {
			if p.Sessions[i].Ends() {
				p.Sessions[i].Stays = StaysRecent
			}
		}
	case staying < keep:
		return ErrRecentUnknown
	}
	return nil
}

// spares says why the selection does not include a session; "" if it does.
func (s *Selection) spares(session *UserSession, now time.Time) Reason {
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

func (p *Plan) keepAll(reason Reason) {
	for i := range p.Sessions {
		p.Sessions[i].Stays = reason
	}
}

// NeverEnded says what a user is whose sessions are never ended; it is "" for all
// others.
func NeverEnded(row *Row, serviceAccounts []qlik.User) string {
	switch {
	case row.User.Anonymous():
		return "all anonymous users"
	case row.User.Directory == "INTERNAL", slices.Contains(serviceAccounts, row.User):
		return "a service account"
	case !row.Limited:
		return "an unlimited user"
	default:
		return ""
	}
}
