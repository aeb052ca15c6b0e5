// Package answer says whether a user can log in, why or why not, and what helps. The
// command why, the page of a user and their JSON show the same Answer.
package answer

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Answer is what is known of a user. Its JSON is documented in docs/why.md. Unknown times
// are null.
type Answer struct {
	User     string `json:"user"`       // DIRECTORY\id
	CanLogIn *bool  `json:"can_log_in"` // nil if it cannot be known
	Verdict  string `json:"verdict"`    // a sentence

	Cause     headroom.Cause     `json:"cause"` // "" if nothing is wrong
	Why       string             `json:"why"`   // the cause as a sentence; "" without one
	Certainty headroom.Certainty `json:"certainty"`
	Since     *time.Time         `json:"since"`

	Limit             int       `json:"limit"` // 0 if the limit does not apply to the user
	Sessions          int       `json:"sessions"`
	SlotsTaken        int       `json:"slots_taken"`
	EffectiveHeadroom int       `json:"effective_headroom"`
	License           string    `json:"license"`
	Refused           []Refusal `json:"refused"` // of the last day, latest first
	Slots             []Slot    `json:"slots"`   // sessions and slots, last active first

	NextSlotAt *time.Time        `json:"next_slot_at"`
	Advice     string            `json:"advice"`  // what to do
	Command    string            `json:"command"` // that frees slots; "" if none helps
	Say        map[string]string `json:"say"`     // what to tell the user, by language

	// EndingHelps means that ending sessions of the user frees a slot sooner than waiting.
	EndingHelps bool `json:"-"`

	Complete bool      `json:"complete"` // every link of the site answered
	Site     string    `json:"site"`
	Hosts    []string  `json:"hosts,omitempty"` // configured hosts, which tell one site from another
	At       time.Time `json:"at"`              // when the sessions were read
}

// Refusal is a refused login.
type Refusal struct {
	At     time.Time          `json:"at"`
	Reason qlik.RefusalReason `json:"reason"`
}

// Slot is a session or a slot of the user.
type Slot struct {
	VirtualProxy string             `json:"virtual_proxy"` // "" if unknown
	Node         string             `json:"qlik_node"`
	FirstSeen    *time.Time         `json:"first_seen"`
	LastActive   *time.Time         `json:"last_active"`
	HoldsSlot    bool               `json:"holds_slot"`
	State        headroom.SlotState `json:"state"`
	FreesAt      *time.Time         `json:"frees_at"`
}

// Question is a question about a user of a snapshot.
type Question struct {
	Snapshot        *headroom.Snapshot
	User            qlik.User
	Site            string      // name of the site; "" if there is only one
	Hosts           []string    // configured hosts of the site
	Program         string      // words that start the program in commands
	ServiceAccounts []qlik.User // users whose sessions are never ended
	Now             time.Time   // times in sentences are in its time zone
}

// New answers a question.
func New(q *Question) *Answer {
	a := &Answer{
		User: q.User.String(), Site: q.Site, Hosts: q.Hosts, Complete: q.Snapshot.Complete(), At: q.Snapshot.Time,
		Refused: []Refusal{}, Slots: []Slot{},
	}
	facts := q.Snapshot.Facts(q.User)
	row := sessions.Row{UserStatus: q.Snapshot.Of(q.User)}
	a.describe(facts, &row.UserStatus)
	say := q.judge(a, facts, &row)
	a.Verdict, a.Why, a.Advice, a.Say = say.verdict, say.why, say.advice, say.tell
	a.EndingHelps = say.canEnd && sessions.NeverEnded(&row, q.ServiceAccounts) == "" && q.Snapshot.Wait(&row.UserStatus).IsZero()
	if a.EndingHelps {
		a.Command = sessions.EndCommand(q.Program, q.User, q.Site)
	}
	return a
}

// describe copies what is known.
func (a *Answer) describe(facts *headroom.Facts, status *headroom.UserStatus) {
	if status.Limited {
		a.Limit, a.EffectiveHeadroom = facts.Limit, max(status.EffectiveHeadroom, 0)
		a.SlotsTaken = min(max(facts.Limit-status.EffectiveHeadroom, 0), max(facts.Limit, status.LicensedSessions))
	}
	a.Sessions, a.License, a.NextSlotAt = status.Sessions, status.License, Known(status.NextSlot)
	a.Cause, a.Certainty, a.Since = status.Judgment.Cause, status.Judgment.Certainty, Known(status.Judgment.Since)
	for _, refusal := range facts.Refusals {
		a.Refused = append(a.Refused, Refusal{refusal.At.UTC(), refusal.Reason})
	}
	for i := range facts.Slots {
		slot := &facts.Slots[i]
		needsNone := slot.State == headroom.SlotRefused && facts.NeedsNoSlot(slot)
		a.Slots = append(a.Slots, NewSlot(slot, status.Limited, needsNone))
	}
}

// NewSlot describes a slot of a user. NeedsNone means that it is a session that works without
// a slot.
func NewSlot(slot *headroom.Slot, limited, needsNone bool) Slot {
	state, holds := slot.State, limited && slot.State != headroom.SlotRefused
	switch {
	case state == headroom.SlotEnded && slot.FreesAt.IsZero(): // no session, and it does not cool
		state = headroom.SlotLeftover
	case state == headroom.SlotEnded: // it may cool
		state = headroom.SlotCooling
	case state == headroom.SlotRefused && needsNone:
		state = headroom.SlotActive
	}
	last := slot.LastActive
	if slot.UsedLater {
		last = time.Time{}
	}
	return Slot{
		VirtualProxy: text.Visible(slot.VirtualProxy), Node: text.Visible(slot.Node),
		FirstSeen: Known(slot.FirstSeen), LastActive: Known(last), FreesAt: Known(slot.FreesAt),
		HoldsSlot: holds, State: state,
	}
}

// Known returns nil for the zero time.
func Known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
