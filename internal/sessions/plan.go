package sessions

import (
	"errors"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// MaxOfOnePerson is the largest number of sessions that one person plausibly has. A
// plan that ends more sessions needs a separate confirmation.
const MaxOfOnePerson = 10

// Selection selects the sessions of a user to end.
type Selection struct {
	PlaceFilter

	Keep    int           // sessions to keep: the most recently active ones in all places
	IdleFor time.Duration // end only sessions without activity for this long; 0 means all
	// Chosen means that the operator chose what to end. Otherwise no session ends while
	// waiting brings a free slot as soon.
	Chosen bool
}

// Plan lists the sessions of a user: those that end, and those that stay with the
// reason.
type Plan struct {
	Sessions []PlannedSession // all sessions of the user, in the order of OfUser
	// NeverEnded is the kind of a user whose sessions are never ended, such as "a
	// service account". It is "" for other users.
	NeverEnded string
	// Unlicensed is why the user cannot log in although slots are free, if no session ends
	// because ending one would not help. Otherwise it is "".
	Unlicensed Unlicensed
	// Undecided is ErrIdleUnknown or ErrRecentUnknown if the selection cannot be
	// applied. Then all sessions stay. Otherwise it is nil.
	Undecided error
	// Wait is when a slot becomes free by itself, if no session ends because ending one
	// would not free a slot sooner. Otherwise it is zero.
	Wait time.Time
}

// PlannedSession is a session of a plan.
type PlannedSession struct {
	UserSession

	Stays Reason // "" for a session that ends
}

// Ends reports whether the session ends.
func (s *PlannedSession) Ends() bool { return s.Stays == "" }

// Reason is the reason why a session stays.
type Reason string

// The reasons why a session stays.
const (
	StaysNeverEnded  Reason = "sessions of this user are never ended"
	StaysUnlicensed  Reason = "the user was refused for want of a license"
	StaysWaiting     Reason = "a slot becomes free by itself as soon"
	StaysUndecided   Reason = "the data is not sufficient for a decision"
	StaysElsewhere   Reason = "its virtual proxy or node is not selected"
	StaysActive      Reason = "it has not been idle long enough"
	StaysIdleUnknown Reason = "its last activity is unknown"
	StaysRecent      Reason = "it is one of the most recently active sessions"
)

// Errors of an undecided plan.
var (
	ErrIdleUnknown   = errors.New("the idle times of the sessions are unknown")
	ErrRecentUnknown = errors.New("the last activity of the sessions is unknown, so the sessions to keep cannot be determined")
)

// NewPlan returns the plan for a user of the snapshot. It never ends sessions of
// service accounts.
func NewPlan(row *Row, snapshot *headroom.Snapshot, selection Selection, serviceAccounts []qlik.User) *Plan {
	plan := &Plan{NeverEnded: NeverEnded(row, serviceAccounts)}
	for _, session := range OfUser(row.User, snapshot) {
		plan.Sessions = append(plan.Sessions, PlannedSession{UserSession: session})
	}
	if plan.NeverEnded != "" {
		plan.keepAll(StaysNeverEnded)
		return plan
	}
	if row.Unlicensed != "" && !selection.Chosen {
		plan.Unlicensed = row.Unlicensed
		plan.keepAll(StaysUnlicensed)
		return plan
	}
	if plan.Wait = snapshot.Wait(&row.UserStatus); !plan.Wait.IsZero() && !selection.Chosen {
		plan.keepAll(StaysWaiting)
		return plan
	}
	plan.Wait = time.Time{}
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
		if session.Stays = selection.excludes(&session.UserSession, now); !session.Ends() {
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
func (s *Selection) excludes(session *UserSession, now time.Time) Reason {
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

// NeverEnded returns the kind of a user whose sessions are never ended, such as "a
// service account". It returns "" for other users.
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
