package licenses

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Holder is an access of a user, or a user without an access who was refused for want of
// one.
type Holder struct {
	Directory string `json:"user_directory"`
	ID        string `json:"user_id"`
	Name      string `json:"name,omitempty"` // display name
	// License is the license of the access. Without an access, it is qlik.LicenseNone if the
	// user certainly holds no license, or "".
	License       string    `json:"license,omitempty"`
	Allocated     time.Time `json:"allocated,omitzero"`
	LastUsed      time.Time `json:"last_used,omitzero"`
	NeverUsed     *bool     `json:"never_used,omitempty"`
	UnusedDays    *int      `json:"unused_days,omitempty"` // since the last use, or since the allocation without one
	Excess        *bool     `json:"excess,omitempty"`
	Quarantined   *bool     `json:"quarantined,omitempty"`
	QuarantineEnd time.Time `json:"quarantine_end,omitzero"`
	UserState     UserState `json:"user_state,omitempty"`
	LastRefused   time.Time `json:"last_refused,omitzero"` // for want of a license
	Findings      []Finding `json:"findings"`
	Wasted        bool      `json:"wasted"` // the seat could be given to somebody else
	Cost          *float64  `json:"wasted_cost,omitempty"`
}

// UserState is whether a user is still there.
type UserState string

// The states of a user. "" is unknown.
const (
	Active       UserState = "active"
	UserRemoved  UserState = "removed" // from the user directory
	UserInactive UserState = "inactive"
	UserDeleted  UserState = "deleted" // from the repository
)

// Finding is something that the owner of the licenses may want to know of an access.
type Finding string

// The findings, in the order in which they are listed.
const (
	NeverUsed   Finding = "never_used"
	Unused      Finding = "unused" // for as long as the question says
	TwoLicenses Finding = "two_licenses"
	Removed     Finding = "removed"
	Inactive    Finding = "inactive"
	Deleted     Finding = "deleted"
	Excess      Finding = "excess"
	Quarantined Finding = "quarantined"
	Refused     Finding = "refused" // for want of a license within the last day
)

// User returns the user.
func (h *Holder) User() qlik.User { return qlik.User{Directory: h.Directory, ID: h.ID} }

// HasAccess reports whether the user holds an access. Otherwise the user was refused.
func (h *Holder) HasAccess() bool { return h.License != "" && h.License != qlik.LicenseNone }

func (h *Holder) in(finding Finding) bool { return slices.Contains(h.Findings, finding) }

// holders returns the accesses of a user.
func (q *Question) holders(user qlik.User, accesses []qlik.Access) []Holder {
	serving := q.serving(accesses)
	all := make([]Holder, 0, len(accesses))
	for i := range accesses {
		access := &accesses[i]
		h := Holder{
			Directory: user.Directory, ID: user.ID, Name: access.Name, License: access.License, Allocated: access.Allocated, LastUsed: access.LastUsed,
			Excess: access.Excess, Quarantined: access.Quarantined, QuarantineEnd: access.QuarantineEnd,
			UserState: q.stateOf(access), Findings: []Finding{},
		}
		if !access.Deleted { // a new user can have the same id
			h.LastRefused = q.Refused[user]
		}
		if access.NeverUsed || !access.LastUsed.IsZero() {
			h.NeverUsed = &access.NeverUsed
		}
		idle, known := q.idle(access)
		if known {
			h.UnusedDays = new(days(idle))
		}
		if !is(access.Quarantined) { // a seat in quarantine is given back already
			h.find(NeverUsed, access.NeverUsed)
			h.find(Unused, !access.NeverUsed && known && idle >= q.Unused)
			two := len(serving) > 1 && !access.Deleted
			h.find(TwoLicenses, two)
			second := two && serving[0] != access
			gone := h.UserState != Active && h.UserState != ""
			// A seat in excess was not bought.
			h.Wasted = !is(access.Excess) && (second || gone || q.useless(access))
		}
		h.find(Removed, h.UserState == UserRemoved)
		h.find(Inactive, h.UserState == UserInactive)
		h.find(Deleted, h.UserState == UserDeleted)
		h.find(Excess, is(access.Excess))
		h.find(Quarantined, is(access.Quarantined))
		h.find(Refused, !h.LastRefused.IsZero())
		if cost, known := q.Costs[h.License]; known && h.Wasted {
			h.Cost = &cost
		}
		all = append(all, h)
	}
	return all
}

func (h *Holder) find(finding Finding, found bool) {
	if found {
		h.Findings = append(h.Findings, finding)
	}
}

// idle returns how long an access has not been used: since its last use, or since its
// allocation if it was never used.
func (q *Question) idle(access *qlik.Access) (idle time.Duration, known bool) {
	since := access.LastUsed
	if access.NeverUsed {
		since = access.Allocated
	}
	return max(q.Now.Sub(since), 0), !since.IsZero()
}

// useless reports whether an access was not used for as long as the question says.
func (q *Question) useless(access *qlik.Access) bool {
	idle, known := q.idle(access)
	return known && idle >= q.Unused || !known && access.NeverUsed
}

// stateOf returns whether the user of an access is still there.
func (q *Question) stateOf(access *qlik.Access) UserState {
	former := q.Former[access.User]
	switch {
	case access.Deleted:
		return UserDeleted
	case q.Former == nil:
		return ""
	case former.Removed:
		return UserRemoved
	case former.Inactive:
		return UserInactive
	default:
		return Active
	}
}

// serving returns the accesses of a user that can serve, the one that the user needs first:
// one that is in use, and then the one that Qlik uses first.
func (q *Question) serving(accesses []qlik.Access) []*qlik.Access {
	var all []*qlik.Access
	for i := range accesses {
		if !is(accesses[i].Quarantined) && !accesses[i].Deleted {
			all = append(all, &accesses[i])
		}
	}
	order := qlik.AllocatedLicenses()
	slices.SortStableFunc(all, func(a, b *qlik.Access) int {
		return cmp.Or(
			cmp.Compare(one(is(a.Excess)), one(is(b.Excess))),
			cmp.Compare(one(q.useless(a)), one(q.useless(b))),
			cmp.Compare(slices.Index(order, a.License), slices.Index(order, b.License)))
	})
	return all
}

func is(value *bool) bool { return value != nil && *value }

// refusedWithoutAccess returns the users who were refused and have no access.
func (q *Question) refusedWithoutAccess(holders []Holder) []Holder {
	holding, deleted := make(map[qlik.User]bool, len(holders)), make(map[qlik.User]bool)
	for i := range holders {
		if user := holders[i].User(); holders[i].UserState == UserDeleted {
			deleted[user] = true
		} else {
			holding[user] = true
		}
	}
	var all []Holder
	for user, at := range q.Refused {
		if holding[user] {
			continue
		}
		h := Holder{Directory: user.Directory, ID: user.ID, LastRefused: at, Findings: []Finding{Refused}}
		if q.Licenses.Of(user) == qlik.LicenseNone {
			h.License = qlik.LicenseNone
		}
		if !user.Anonymous() && !deleted[user] { // a new user may have the id of a deleted one
			h.UserState = q.stateOf(&qlik.Access{User: user})
		}
		all = append(all, h)
	}
	return all
}

// Text returns the findings as one text.
func (h *Holder) Text(separator string) string {
	words := make([]string, len(h.Findings))
	for i, finding := range h.Findings {
		words[i] = string(finding)
	}
	return strings.Join(words, separator)
}
