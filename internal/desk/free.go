package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/answer"
	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	// planTimeout is how long a plan waits for links that do not answer, and freeTimeout the
	// same for everything that an execution does.
	planTimeout = 15 * time.Second
	freeTimeout = time.Minute
	// maxTicket is the longest number of a ticket.
	maxTicket = 64
)

// ask is what an operator wants.
type ask struct {
	User   string `json:"user"`   // DIRECTORY\id
	Site   string `json:"site"`   // may be "" if there is only one
	Ticket string `json:"ticket"` // optional
	Keep   *int   `json:"keep"`   // end all but this number; for administrators
	All    bool   `json:"all"`    // end all; for administrators
}

// selection returns what ends by the choice of the operator.
func (a *ask) selection() ending.Selection {
	switch {
	case a.All:
		return ending.Selection{Rule: ending.Chosen, Whole: true}
	case a.Keep != nil:
		return ending.Selection{Rule: ending.Chosen, Keep: *a.Keep, Whole: true}
	default:
		return ending.Selection{Rule: ending.Careful, Whole: true}
	}
}

// planned is a plan for an operator.
type planned struct {
	Plan    string        `json:"plan"` // its signed text
	User    string        `json:"user"`
	Site    string        `json:"site"`
	Ends    []answer.Slot `json:"ends"`
	Keeps   []answer.Slot `json:"keeps"`
	WorksAt *time.Time    `json:"new_window_works_at"` // nil if unknown
	Expires time.Time     `json:"expires_at"`

	plan *ending.Plan
	at   time.Time // when the sessions were read
}

// plan makes a plan. It reads the site, and ends nothing.
func (d *Desk) plan(ctx context.Context, who operator, a *ask) (*planned, *refusal) {
	if err := a.check(who); err != nil {
		return nil, err
	}
	if err := d.stopped(); err != nil {
		return nil, err
	}
	user, ok := sessions.ParseUser(a.User)
	if !ok {
		return nil, &refusal{http.StatusBadRequest, badRequest, `Write the user as DIRECTORY\id.`}
	}
	user = user.Counted()
	site, name, release, wrong := d.site(a.Site)
	if wrong != nil {
		return nil, wrong
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, planTimeout)
	defer cancel()
	ctx, done, err := d.begin(ctx)
	if err != nil {
		return nil, tooBusy()
	}
	defer done()
	snapshot := site.ReadNow(ctx)
	if !snapshot.Up() {
		return nil, &refusal{http.StatusConflict, incomplete, "The sessions are unknown, because no node of the site answers."}
	}
	row := sessions.RowOf(user, snapshot)
	plan := ending.NewPlan(row, snapshot, a.selection(), site.ServiceAccounts)
	if err := refusePlan(plan, row, snapshot, a); err != nil {
		return nil, err
	}
	n, limit := left(d.config.Journal.Recent(), who.name, name, user.String())
	if n == 0 || a.chooses() && len(plan.Ending()) > n {
		return nil, limitReached(n, limit)
	}
	plan.EndAtMost(n)
	view := &planned{User: user.String(), Site: name, Ends: slotsOf(plan.Ending()), Keeps: slotsOf(plan.Staying()), WorksAt: answer.Known(plan.WorksAt), plan: plan, at: snapshot.Time}
	view.Plan, view.Expires = d.plans.add(promise{Operator: who.name, Site: name, User: user.String(), Ticket: a.Ticket}, plan)
	return view, nil
}

func tooBusy() *refusal {
	return &refusal{http.StatusServiceUnavailable, notReady, "The desk is busy; try again in a few seconds."}
}

// chooses reports whether the operator chooses what ends.
func (a *ask) chooses() bool { return a.All || a.Keep != nil }

// check checks what an operator asks for.
func (a *ask) check(who operator) *refusal {
	switch {
	case who.role < helpdesk:
		return &refusal{http.StatusForbidden, roleTooSmall, "Your role lets you see sessions, not end them."}
	case a.chooses() && who.role < admin:
		return &refusal{http.StatusForbidden, roleTooSmall, "Only an administrator of the desk may choose what ends."}
	case a.All && a.Keep != nil:
		return &refusal{http.StatusBadRequest, badRequest, "Give either keep or all."}
	case a.Keep != nil && *a.Keep < 0:
		return &refusal{http.StatusBadRequest, badRequest, "Keep must not be negative."}
	case len(a.Ticket) > maxTicket:
		return &refusal{http.StatusBadRequest, badRequest, fmt.Sprintf("The ticket is longer than %d bytes.", maxTicket)}
	default:
		return nil
	}
}

// refusePlan returns why a plan must not be carried out, or nil.
func refusePlan(plan *ending.Plan, row *sessions.Row, snapshot *headroom.Snapshot, a *ask) *refusal {
	name := text.Visible(row.User.String())
	nothing := func(format string, args ...any) *refusal {
		return &refusal{http.StatusUnprocessableEntity, nothingToEnd, fmt.Sprintf(format, args...)}
	}
	switch {
	case plan.NeverEnded != "":
		return &refusal{http.StatusUnprocessableEntity, neverEnded, fmt.Sprintf("The sessions of %s (%s) are never ended.", name, plan.NeverEnded)}
	case len(plan.Sessions) == 0 && !snapshot.Complete():
		return missingNode()
	case len(plan.Sessions) == 0:
		return nothing("%s has no sessions.", name)
	case plan.Unlicensed != "":
		return nothing("Nothing to end: Qlik refused %s because of a missing license, and ending sessions does not help.", name)
	case !plan.Wait.IsZero():
		return nothing("Nothing to end: a slot becomes free by itself by %s, and ending a session would bring none sooner.", text.Coming(plan.Wait, snapshot.Time))
	case !a.chooses() && row.EffectiveHeadroom > 1:
		return nothing("Nothing to end: %s can log in, %d slots are free.", name, row.EffectiveHeadroom)
	case len(plan.Ending()) > 0:
		return nil
	case !snapshot.Complete():
		return missingNode()
	case plan.Undecided != nil:
		return nothing("Nothing may end: %s.", plan.Undecided)
	case slices.ContainsFunc(plan.Sessions, func(s ending.PlannedSession) bool { return s.Stays == ending.StaysIdleDoubtful }):
		return nothing("Nothing may end: it is not known closely enough when the sessions of %s were last active.", name)
	case a.chooses():
		return nothing("Nothing to end: %s has %s.", name, text.Count(len(plan.Sessions), "session"))
	default:
		return nothing("Nothing may end: apart from the last active one, no session of %s has been idle for five minutes.", name)
	}
}

func missingNode() *refusal {
	return &refusal{http.StatusConflict, incomplete, "A node of the site does not answer, so only refused sessions may end, and there are none."}
}

// freed is what an execution did.
type freed struct {
	Ended   []endedSlot       `json:"ended"`
	Gone    []endedSlot       `json:"already_gone"`
	Left    []endedSlot       `json:"left_alone"`
	Failed  []endedSlot       `json:"failed"`
	WorksAt *time.Time        `json:"new_window_works_at"` // nil if unknown
	Say     map[string]string `json:"say"`                 // what to tell the user, by language
	User    string            `json:"user"`
	Site    string            `json:"site"`

	outcome *ending.Outcome
}

// endedSlot is a session that a plan ends.
type endedSlot struct {
	answer.Slot

	Why string `json:"why,omitempty"` // why it did not end
}

// free carries out a plan. The ticket counts if the plan has none.
func (d *Desk) free(ctx context.Context, who operator, plan, ticket, address string) (*freed, *refusal) {
	if err := (&ask{Ticket: ticket}).check(who); err != nil {
		return nil, err
	}
	if err := d.stopped(); err != nil {
		return nil, err
	}
	// The client may leave. What has begun must be recorded.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), freeTimeout)
	defer cancel()
	ctx, done, busy := d.begin(ctx)
	if busy != nil {
		return nil, tooBusy()
	}
	defer done()
	known, err := d.plans.take(plan, who.name) // a plan that had to wait in vain is not used
	if err != nil {
		return nil, err
	}
	if known.Ticket == "" {
		known.Ticket = ticket
	}
	site, _, release, err := d.site(known.Site)
	if err != nil {
		return nil, err
	}
	defer release()
	id := ""
	outcome, failure := ending.End(ctx, site, known.plan, site.ServiceAccounts, func(ends []ending.PlannedSession) (err error) {
		id, err = d.record(who, address, &known, ends)
		return err
	})
	if failure != nil {
		return nil, d.refuseFree(failure)
	}
	if err := refuseNothing(outcome, id); err != nil {
		return nil, err
	}
	d.finish(who, &known, id, outcome)
	return newFreed(&known, outcome, d.config.Now()), nil
}

// record writes to the journal what ends, unless a limit or the stop file forbids it.
func (d *Desk) record(who operator, address string, of *waiting, ends []ending.PlannedSession) (id string, err error) {
	intent := journal.Intent{
		By: By, Operator: who.name, Role: who.role.String(), Address: address, Ticket: of.Ticket, Site: of.Site, User: of.User, Sessions: len(ends),
	}
	for _, session := range ends {
		intent.Places = append(intent.Places, journal.Place{VirtualProxy: session.Link.VirtualProxy, Node: session.Link.Node})
	}
	return d.config.Journal.Begin(intent, func(recent []journal.Recent) error {
		if n, limit := left(recent, who.name, of.Site, of.User); len(ends) > n {
			return limitReached(n, limit)
		}
		if stopped := d.stopped(); stopped != nil {
			return stopped
		}
		return nil
	})
}

// refuseFree returns the refusal for an error of an execution, which ended nothing.
func (d *Desk) refuseFree(err error) *refusal {
	if why, ok := errors.AsType[*refusal](err); ok {
		return why
	}
	if errors.Is(err, ending.ErrUnknown) {
		return &refusal{http.StatusConflict, incomplete, "Nothing was ended, because no node of the site answers."}
	}
	if errors.Is(err, context.Canceled) {
		return &refusal{http.StatusServiceUnavailable, notReady, "Nothing was ended, because the exporter is stopping."}
	}
	_ = level.Error(d.config.Logger).Log("msg", "The desk could not end sessions", "err", err)
	return &refusal{http.StatusServiceUnavailable, notRecorded, "Nothing was ended, because it could not be recorded; the log of the exporter says why."}
}

// refuseNothing returns the refusal if nothing could be ended because of the state of the site.
func refuseNothing(outcome *ending.Outcome, id string) *refusal {
	if id != "" {
		return nil
	}
	isLeft := func(why ending.Reason) bool {
		return slices.ContainsFunc(outcome.Results, func(r ending.Result) bool { return r.Left == why })
	}
	switch {
	case isLeft(ending.StaysNeverEnded):
		return &refusal{http.StatusUnprocessableEntity, neverEnded, "Nothing was ended: sessions of this user are never ended."}
	case isLeft(ending.StaysIncomplete):
		return &refusal{http.StatusConflict, incomplete, "Nothing was ended, because a node of the site does not answer."}
	default:
		return nil
	}
}

// finish records what happened.
func (d *Desk) finish(who operator, of *waiting, id string, outcome *ending.Outcome) {
	count := func(fate ending.Fate) int { return len(outcome.Of(fate)) }
	result := journal.Result{Ended: count(ending.Ended), AlreadyGone: count(ending.AlreadyGone), LeftAlone: count(ending.LeftAlone), Failed: count(ending.Failed)}
	d.metrics.ended.WithLabelValues(who.role.String()).Add(float64(result.Ended))
	_ = level.Info(d.config.Logger).Log("msg", "The desk carried out a plan", "by", text.Visible(who.name), "role", who.role, "ticket", text.Visible(of.Ticket),
		"site", of.Site, "user", text.Visible(of.User), "ended", result.Ended, "already_gone", result.AlreadyGone, "left_alone", result.LeftAlone, "failed", result.Failed)
	if id == "" {
		return // nothing ended
	}
	if err := d.config.Journal.Finish(id, result); err != nil {
		_ = level.Error(d.config.Logger).Log("msg", "The result of an ending could not be recorded", "err", err)
	}
}

func newFreed(of *waiting, outcome *ending.Outcome, now time.Time) *freed {
	f := &freed{User: of.User, Site: of.Site, WorksAt: answer.Known(outcome.WorksAt()), outcome: outcome}
	list := func(fate ending.Fate) []endedSlot {
		slots := []endedSlot{}
		for _, r := range outcome.Of(fate) {
			slot := endedSlot{slotOf(&r.PlannedSession), string(r.Left)}
			if r.Err != nil {
				slot.Why = text.Visible(r.Err.Error())
			}
			slots = append(slots, slot)
		}
		return slots
	}
	f.Ended, f.Gone, f.Left, f.Failed = list(ending.Ended), list(ending.AlreadyGone), list(ending.LeftAlone), list(ending.Failed)
	f.Say = answer.Freed(f.freesSlot(), f.waits(), outcome.Windows(), outcome.WorksAt(), now)
	return f
}

// freesSlot reports whether a session with a slot has ended.
func (f *freed) freesSlot() bool { return slices.ContainsFunc(f.Ended, endedSlot.heldSlot) }

// waits reports whether no slot was freed, so that the user gets one only by logging out, or
// when a session times out.
func (f *freed) waits() bool {
	return !f.freesSlot() && !slices.ContainsFunc(f.Gone, endedSlot.heldSlot)
}

func (s endedSlot) heldSlot() bool { return s.HoldsSlot }

func slotsOf(all []ending.PlannedSession) []answer.Slot {
	slots := []answer.Slot{}
	for i := range all {
		slots = append(slots, slotOf(&all[i]))
	}
	return slots
}

func slotOf(s *ending.PlannedSession) answer.Slot {
	slot := s.Slot
	slot.VirtualProxy, slot.Node = s.Link.VirtualProxy, s.Link.Node
	return answer.NewSlot(&slot, true, !s.Refused)
}
