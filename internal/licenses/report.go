// Package licenses finds the seats of a site that are paid for nothing, and says how much
// is left of its licenses. The command licenses shows its report.
package licenses

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Question is what a report is made from.
type Question struct {
	Licenses *qlik.Licenses
	Accesses []qlik.Access                // ordered by user
	Former   map[qlik.User]qlik.UserState // users that have left; nil if unknown
	Refused  map[qlik.User]time.Time      // last refusal for want of a license within a day; nil if unknown

	Unused time.Duration      // an access that was not used for so long is wasted
	Costs  map[string]float64 // of a seat, by license
	Now    time.Time          // the periods of capacity are those of its time zone
}

// Report is the answer about the licenses of a site. Its JSON is documented in
// docs/licenses.md. Values that are unknown or do not apply are absent.
type Report struct {
	Site          string    `json:"site,omitempty"` // "" if flags describe the only site
	Time          time.Time `json:"time"`
	UnusedDays    int       `json:"unused_days"`    // days without use that make an access wasted
	Complete      bool      `json:"complete"`       // all lists and audit logs could be read
	Unread        []string  `json:"unread"`         // what could not be read
	LeftOut       []LeftOut `json:"left_out"`       // elements and fields that could not be read
	RefusalsKnown bool      `json:"refusals_known"` // an audit log says who was refused

	Valid   *bool     `json:"valid,omitempty"`
	Problem string    `json:"problem,omitempty"` // what is wrong with the license
	Ends    time.Time `json:"ends,omitzero"`     // end of the license
	// EndsUnread are ends that cannot be read without doubt, each with the reason.
	EndsUnread []string `json:"ends_unread,omitempty"`

	Licenses []Total   `json:"licenses"`
	Tokens   *Tokens   `json:"tokens,omitempty"`
	Capacity *Capacity `json:"capacity,omitempty"`
	Users    []Holder  `json:"users"`
	Hidden   int       `json:"users_hidden,omitempty"` // of Users, lines that are left out because of their names
}

// LeftOut is a kind of element or field that could not be read.
type LeftOut struct {
	What  string `json:"what"`
	Times uint64 `json:"times"`
}

// Total are the numbers of a license whose accesses are allocated to users.
type Total struct {
	License string `json:"license"`
	// What the overview of the repository says. Quarantined and Excess are counted if it
	// does not.
	Seats       *float64 `json:"seats,omitempty"`
	Available   *float64 `json:"available,omitempty"`
	Excess      *float64 `json:"excess,omitempty"`
	Quarantined *float64 `json:"quarantined,omitempty"`
	// Counted accesses, without those in quarantine.
	Held           *int     `json:"held,omitempty"`
	NeverUsed      *int     `json:"never_used,omitempty"`
	Unused         *int     `json:"unused,omitempty"`
	LastUseUnknown *int     `json:"last_use_unknown,omitempty"`
	Left           *int     `json:"user_left,omitempty"` // the user is removed, inactive, or deleted
	TwoLicenses    *int     `json:"two_licenses,omitempty"`
	Wasted         *int     `json:"wasted,omitempty"`
	SeatCost       *float64 `json:"seat_cost,omitempty"`
	WastedCost     *float64 `json:"wasted_cost,omitempty"`
	runningOut              // of the seats that are available
}

// Tokens are the tokens of a license with tokens.
type Tokens struct {
	Total       *float64 `json:"total,omitempty"`
	UserAccess  *float64 `json:"user_access,omitempty"`
	LoginAccess *float64 `json:"login_access,omitempty"`
	UsedLogins  *float64 `json:"login_access_used,omitempty"`
	Quarantined *float64 `json:"quarantined,omitempty"`
	Available   *float64 `json:"available,omitempty"`
	runningOut
}

// NewReport answers a question.
func NewReport(q *Question) *Report {
	r := &Report{
		Time: q.Now.UTC(), UnusedDays: days(q.Unused), Complete: true, Unread: []string{}, LeftOut: []LeftOut{}, RefusalsKnown: q.Refused != nil,
		Valid: q.Licenses.Valid, Problem: q.Licenses.Problem, Ends: q.Licenses.Expiry, EndsUnread: q.Licenses.Unread,
		Licenses: []Total{}, Users: []Holder{}, Capacity: newCapacity(q.Licenses.Capacity, q.Now),
	}
	if tokens := q.Licenses.Tokens; tokens != nil {
		r.Tokens = &Tokens{
			tokens.Total, tokens.UserAccess, tokens.LoginAccess, tokens.UsedLogins, tokens.Quarantined, tokens.Available,
			q.tokensRunningOut(tokens),
		}
	}
	for of, rest := range byUser(q.Accesses) {
		r.Users = append(r.Users, q.holders(of, rest)...)
	}
	r.Users = append(r.Users, q.refusedWithoutAccess(r.Users)...)
	slices.SortStableFunc(r.Users, func(a, b Holder) int { return a.User().Compare(b.User()) })
	for _, license := range qlik.AllocatedLicenses() {
		if total := q.total(license, r.Users); total.any() {
			r.Licenses = append(r.Licenses, total)
		}
	}
	return r
}

// CannotRead adds something that could not be read.
func (r *Report) CannotRead(what string) { r.Complete, r.Unread = false, append(r.Unread, what) }

// Certain reports whether an access without a finding is certainly in use. Otherwise a part
// could not be read, or a last use is unknown.
func (r *Report) Certain() bool {
	return r.Complete && len(r.LeftOut) == 0 && !slices.ContainsFunc(r.Licenses, func(t Total) bool { return t.LastUseUnknown != nil && *t.LastUseUnknown > 0 })
}

// byUser yields the accesses of each user.
func byUser(accesses []qlik.Access) func(yield func(qlik.User, []qlik.Access) bool) {
	return func(yield func(qlik.User, []qlik.Access) bool) {
		for len(accesses) > 0 {
			user, n := accesses[0].User, 1
			for n < len(accesses) && accesses[n].User == user {
				n++
			}
			if !yield(user, accesses[:n]) {
				return
			}
			accesses = accesses[n:]
		}
	}
}

// total counts the accesses of a license. What the list of accesses or the overview does
// not say stays unknown.
func (q *Question) total(license string, holders []Holder) Total {
	t := Total{License: license}
	seats := q.Licenses.Seats[license]
	t.Seats, t.Available, t.Excess, t.Quarantined = seats.Total, seats.Available, seats.Excess, seats.Quarantined
	if tokens := q.Licenses.Tokens; license == qlik.LicenseUser && tokens != nil {
		t.Quarantined = tokens.Quarantined
	}
	if cost, known := q.Costs[license]; known {
		t.SeatCost = &cost
	}
	if _, read := q.Licenses.Active[license]; !read {
		return t
	}
	if license != qlik.LicenseUser { // which takes tokens
		t.runningOut = q.runningOut(license, t.Available, 1)
	}
	var held, neverUsed, unused, unknown, left, two, wasted int
	excess, quarantined := count{known: true}, count{known: true}
	for i := range holders {
		h := &holders[i]
		if h.License != license {
			continue
		}
		excess.add(h.Excess)
		quarantined.add(h.Quarantined)
		if h.in(Quarantined) {
			continue
		}
		held++
		neverUsed += one(h.in(NeverUsed))
		unused += one(h.in(Unused))
		unknown += one(h.NeverUsed == nil)
		left += one(h.in(Removed) || h.in(Inactive) || h.in(Deleted))
		two += one(h.in(TwoLicenses))
		wasted += one(h.Wasted)
	}
	t.Held, t.LastUseUnknown, t.TwoLicenses, t.Wasted = &held, &unknown, &two, &wasted
	if unknown < held || held == 0 {
		t.NeverUsed, t.Unused = &neverUsed, &unused
	}
	if q.Former != nil {
		t.Left = &left
	}
	t.Excess, t.Quarantined = cmp.Or(t.Excess, excess.number()), cmp.Or(t.Quarantined, quarantined.number())
	if t.SeatCost != nil {
		t.WastedCost = new(cents(*t.SeatCost * float64(wasted)))
	}
	return t
}

// any reports whether the site has such a license.
func (t *Total) any() bool {
	return t.Seats != nil && *t.Seats > 0 || t.Held != nil && *t.Held > 0 || t.Quarantined != nil && *t.Quarantined > 0
}

// count counts what is true. It is unknown if one value is.
type count struct {
	n     float64
	known bool
}

func (c *count) add(value *bool) {
	switch {
	case value == nil:
		c.known = false
	case *value:
		c.n++
	}
}

func (c *count) number() *float64 {
	if !c.known {
		return nil
	}
	return &c.n
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

func days(d time.Duration) int { return int(d / day) }

const day = 24 * time.Hour

// cents rounds an amount of money.
func cents(amount float64) float64 { return math.Round(amount*100) / 100 }
