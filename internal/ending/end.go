package ending

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// maxAtOnce limits the concurrent requests that end sessions.
const maxAtOnce = 8

// Site is a site on which sessions end.
type Site interface {
	// ReadNow reads the sessions and the usage rows with requests that are sent after the
	// call.
	ReadNow(ctx context.Context) *headroom.Snapshot
	// EndSession ends a session on every link of the snapshot that lists it. It returns false
	// if it no longer exists.
	EndSession(ctx context.Context, snapshot *headroom.Snapshot, id qlik.SessionID) (ended bool, err error)
}

// Result is what happened to a session that a plan ends.
type Result struct {
	PlannedSession

	Fate Fate
	Left Reason // why it was left alone
	Err  error  // why it failed
}

// Fate is what happened to a session.
type Fate int

// The fates of sessions.
const (
	Ended       Fate = iota
	AlreadyGone      // it had ended before
	LeftAlone        // it may no longer be ended
	Failed
)

// Outcome is what happened to the sessions that a plan ends.
type Outcome struct {
	Plan    *Plan
	Results []Result
	// After is the site afterward. No link may have answered.
	After *headroom.Snapshot
}

// Of returns the results with a fate.
func (o *Outcome) Of(fate Fate) []Result {
	return slices.DeleteFunc(slices.Clone(o.Results), func(r Result) bool { return r.Fate != fate })
}

// Row returns the state of the user afterward.
func (o *Outcome) Row() *sessions.Row { return sessions.RowOf(o.Plan.User, o.After) }

// WorksAt returns when a new window of the user works. It returns the zero time if that is
// unknown.
func (o *Outcome) WorksAt() time.Time {
	switch row := o.Row(); {
	case !o.After.Up():
		return time.Time{}
	case row.EffectiveHeadroom > 0 || !row.Limited:
		return o.After.Time
	default:
		return row.NextSlot
	}
}

// Errors of End.
var (
	ErrUnknown = errors.New("the sessions are unknown, because no virtual proxy answers")
	errListed  = errors.New("the session is still listed")
)

// End carries out a plan. It reads the site again first, and leaves alone what the plan
// could no longer end. Then it calls begin with what ends. If begin returns an error,
// nothing ends, and the error is returned. Begin is not called if nothing ends.
func End(ctx context.Context, site Site, plan *Plan, serviceAccounts []qlik.User, begin func(ending []PlannedSession) error) (*Outcome, error) {
	before := site.ReadNow(ctx)
	if !before.Up() {
		if err := ctx.Err(); errors.Is(err, context.Canceled) {
			return nil, err
		}
		return nil, ErrUnknown
	}
	outcome := &Outcome{Plan: plan, After: before, Results: plan.checkAgain(before, serviceAccounts)}
	ending := outcome.Of(Ended)
	if len(ending) == 0 {
		return outcome, nil
	}
	var planned []PlannedSession
	for i := range ending {
		planned = append(planned, ending[i].PlannedSession)
	}
	if err := begin(planned); err != nil {
		return nil, err
	}
	var requests errgroup.Group
	requests.SetLimit(maxAtOnce)
	for i := range outcome.Results {
		if r := &outcome.Results[i]; r.Fate == Ended {
			requests.Go(func() error {
				ended, err := site.EndSession(ctx, before, r.ID)
				switch {
				case err != nil:
					r.Fate, r.Err = Failed, err
				case !ended:
					r.Fate = AlreadyGone
				}
				return nil // the outcome is in the result
			})
		}
	}
	_ = requests.Wait()
	outcome.After = site.ReadNow(ctx)
	left := sessions.OfUser(plan.User, outcome.After)
	for i := range outcome.Results {
		r := &outcome.Results[i]
		if (r.Fate == Ended || r.Fate == AlreadyGone) && slices.ContainsFunc(left, func(s sessions.UserSession) bool { return s.ID == r.ID }) {
			r.Fate, r.Err = Failed, errListed
		}
	}
	return outcome, nil
}

// checkAgain returns the expected results for the sessions that end. It leaves alone those
// that changed since the plan was made.
func (p *Plan) checkAgain(now *headroom.Snapshot, serviceAccounts []qlik.User) []Result {
	again := NewPlan(sessions.RowOf(p.User, now), now, p.selection, serviceAccounts)
	var results []Result
	for _, planned := range p.Ending() {
		result := Result{PlannedSession: planned}
		i := slices.IndexFunc(again.Sessions, func(s PlannedSession) bool { return s.ID == planned.ID })
		if i < 0 {
			result.Fate = AlreadyGone
			if !answers(planned.Link, now) {
				result.Fate, result.Left = LeftAlone, StaysIncomplete
			}
		} else if result.Left = p.stillEnds(&planned, again, i, now); result.Left != "" {
			result.Fate = LeftAlone
		}
		results = append(results, result)
	}
	return results
}

// stillEnds returns why a session no longer ends, or "". The index is that of the session in
// a plan for the current data.
func (p *Plan) stillEnds(planned *PlannedSession, again *Plan, i int, now *headroom.Snapshot) Reason {
	current := &again.Sessions[i]
	isMoreRecent := func(s PlannedSession) bool { return !s.LastActivity.Before(current.LastActivity) && !p.ends(s.ID) }
	switch {
	case again.NeverEnded != "":
		return StaysNeverEnded
	case planned.Refused && current.HoldsSlot && !p.selection.all():
		return StaysGranted
	case planned.Refused && !current.Refused && !p.selection.all():
		return StaysUndecided // Qlik may have granted it a slot
	case planned.Refused:
		return ""
	case p.selection.Whole && !now.Complete():
		return StaysIncomplete
	case p.selection.all():
		return ""
	case !planned.LastActivity.IsZero() && current.LastActivity.IsZero():
		return StaysIdleUnknown
	case current.LastActivity.After(planned.LastActivity):
		return StaysUsed
	case p.selection.Rule == Careful && !now.IdleKnown(IdleTime):
		return StaysIdleDoubtful
	case p.selection.Rule == Chosen && current.Stays == StaysRecent:
		return StaysRecent // sessions to keep have ended
	case p.selection.Rule != Chosen && !slices.ContainsFunc(again.Sessions, isMoreRecent):
		return StaysRecent // the sessions that were active later have ended
	default:
		return ""
	}
}

// answers reports whether a link answered.
func answers(link *qlik.Link, snapshot *headroom.Snapshot) bool {
	return slices.ContainsFunc(snapshot.Links, func(l headroom.LinkResult) bool { return l.Key() == link.Key() && l.Err == nil })
}

// Windows returns the virtual proxies of all sessions of the user that go on, the last active
// one first. A session without a slot does not go on while none is free.
func (o *Outcome) Windows() []string {
	var places []string
	known := o.After.UsageKnown && o.After.UsagePlausible
	for _, session := range sessions.OfUser(o.Plan.User, o.After) {
		if session.HoldsSlot || !known {
			places = append(places, session.Link.VirtualProxy)
		}
	}
	return places
}
