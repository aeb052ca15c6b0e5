// Package report finds the numbers of the report for management in a Prometheus: how many
// logins Qlik refused, to how many people, why and where, what would have prevented it, and
// which licenses are unused or run out. Package render writes them for people.
package report

import (
	"time"
)

// Report is what the report says. Its JSON is documented in docs/report.md. Values that are
// unknown are null.
type Report struct {
	Created time.Time `json:"created"`
	From    time.Time `json:"from"` // the reported time begins
	To      time.Time `json:"to"`   // and ends here
	// Weeks is the number of reported weeks, and WeeksBefore that of the weeks before them
	// with which they are compared. A week has 7 days of 24 hours.
	Weeks       int    `json:"weeks"`
	WeeksBefore int    `json:"weeks_before"`
	Prometheus  string `json:"prometheus"` // URL without password

	Sites []Site `json:"sites"` // never empty
	// Warnings are what the server said about its answers, for example that a part of a Thanos
	// did not answer. Then all numbers are lower bounds.
	Warnings []string `json:"warnings"`
	// Queries are the questions from which the numbers follow, so that everybody can check
	// them.
	Queries []Query `json:"queries"`
}

// Query is a question that Prometheus was asked: a range query from the first to the last
// time.
type Query struct {
	Name  string    `json:"name"` // the field for which it was asked, such as weeks.refused
	Query string    `json:"query"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Step  string    `json:"step"` // such as 1d
}

// Site are the numbers of a site.
type Site struct {
	Job   string `json:"job"`
	Site  string `json:"site"`            // target label; "" if there is none
	Title string `json:"title"`           // what people call the site: its label, or its job
	Began Time   `json:"began"`           // first data, if it is within the time that was read; else null
	Rules bool   `json:"recording_rules"` // the recording rules of the alerts are evaluated; without them much is unknown

	// Known is the share of the reported time, since the beginning of the site, for which
	// there is data. Incomplete is the share of that with an incomplete count.
	Known      float64 `json:"known"`
	Incomplete float64 `json:"incomplete"`
	Gaps       []Gap   `json:"gaps"` // times within the reported time without data, oldest first

	// Weeks are the weeks before and the reported weeks, oldest first.
	Weeks []Week `json:"weeks"`
	// Refused logins of the reported time, because of the session limit and because of a missing license.
	Refused   Compared `json:"refused"`
	NoLicense Compared `json:"refused_no_license"`
	// People who were refused because of the session limit. Their Before is that of a week.
	People Compared `json:"people"`
	// PeopleHidden means that the metrics contain no users, so the number is unknown.
	PeopleHidden bool `json:"people_hidden"`

	Causes         []Cause        `json:"causes"`          // with at least one refused login now or before, most first
	VirtualProxies []VirtualProxy `json:"virtual_proxies"` // most slot hours first
	Timeouts       []Timeout      `json:"shorter_timeouts"`
	// LongestTimeout is the longest inactivity timeout of the virtual proxies at the end.
	LongestTimeout *float64  `json:"longest_timeout_minutes"`
	Guard          *Guard    `json:"guard"` // null if it was off
	Licenses       []License `json:"licenses"`
	LicenseValid   *bool     `json:"license_valid"`
	LicenseEnds    Time      `json:"license_ends"`
	Nodes          []Node    `json:"nodes"` // highest peak first
	PeakUsers      Peak      `json:"peak_users"`
	PeakSessions   Peak      `json:"peak_sessions"`

	Persons []Person `json:"persons,omitempty"` // only if names are wanted
}

// Time is a time that may be unknown: zero, which is null in JSON.
type Time struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return t.Time.MarshalJSON()
}

// Gap is a time without data.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Missing is how much of the time has no data. Gaps are known to the hour.
	MissingSeconds float64 `json:"missing_seconds"`
}

// Week are the numbers of a week. If there were no data at all, Known is 0 and the others
// are null.
type Week struct {
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Known     float64   `json:"known"`    // share of the week with data
	AtLeast   bool      `json:"at_least"` // data is missing or incomplete since the site began, so the truth may be higher
	Refused   *float64  `json:"refused"`
	NoLicense *float64  `json:"refused_no_license"`
	People    *float64  `json:"people"` // refused because of the session limit
}

// Compared is a number of the reported time, beside that of the weeks before.
type Compared struct {
	// Value is the sum of the reported time, or the peak for peaks. Null if unknown.
	Value *float64 `json:"value"`
	// AtLeast means that data is missing, so the truth may be higher.
	AtLeast bool `json:"at_least"`
	// Before is the average of the weeks before that have data for nine tenths of their time;
	// for peaks, that of their peaks. Null without such a week.
	Before *float64 `json:"weekly_average_before"`
	// BeforeWeeks is the number of these weeks.
	BeforeWeeks int `json:"weeks_before"`
}

// Peak is the most at once.
type Peak struct {
	Compared

	Hour Time `json:"hour"` // begin of the first hour with the peak
}

// Cause is why logins were refused because of the session limit or because of a missing license.
type Cause struct {
	Cause   string   `json:"cause"` // as in the metric qlik_user_limit_cause
	Refused Compared `json:"refused"`
}

// VirtualProxy tells where the slots of people at the limit are used.
type VirtualProxy struct {
	VirtualProxy string   `json:"virtual_proxy"`
	SlotHours    Compared `json:"slot_hours_at_limit"`          // of users without a free slot
	IdleHours    Compared `json:"idle_slot_hours_near_limit"`   // of users with at most one free slot, not used for ten minutes
	Timeout      *float64 `json:"inactivity_timeout_minutes"`   // at the end
	Share        *float64 `json:"share_of_slot_hours_at_limit"` // of all virtual proxies of the site
}

// Timeout is an inactivity timeout that is shorter than the present one, and how many of the
// refused logins of the reported time it would have prevented.
type Timeout struct {
	Minutes   int     `json:"minutes"`
	Prevented float64 `json:"prevented"`
}

// Guard is what the guard did in the reported time, or would have done in its dry run.
type Guard struct {
	On bool `json:"on"` // false: only the dry run
	// Ended sessions, or those that the dry run would have ended.
	Ended *float64 `json:"ended_sessions"`
	// Refused logins that the dry run would have prevented, by the two readings of Qlik's rule
	// about cooling slots. Null if the guard was on, because nobody knows then.
	PreventedLow  *float64 `json:"prevented_low"`
	PreventedHigh *float64 `json:"prevented_high"`
	// Returned are sessions that the dry run would have ended and that were used again.
	Returned *float64 `json:"returned_sessions"`
}

// License are the numbers of a license at the end of the reported time, or the last known
// before.
type License struct {
	License string `json:"license"` // professional, analyzer, tokens, or capacity
	// Bought seats, tokens, or minutes a month, and how many of them are assigned or used, and
	// free.
	Bought   *float64 `json:"bought"`
	Assigned *float64 `json:"assigned"`
	Free     *float64 `json:"free"`
	// Active are the people who used their seat within 90 days, and Unused the seats of the
	// others, which need not be renewed. Null for tokens and capacity.
	Active *float64 `json:"active_90d"`
	Unused *float64 `json:"unused_90d"`

	RunsOut RunsOut `json:"runs_out"`
}

// The values of RunsOut.State.
const (
	RunOut         = "out"        // none are left now
	RunsOutAt      = "date"       // on the date, likely between the earliest and the latest
	RunsOutNotSoon = "not_soon"   // not within 180 days, or for capacity not before the month ends
	RunsOutUnknown = "unknown"    // too few data; 28 days are needed
	horizon        = 180 * oneDay // what is later has not been judged
)

// RunsOut is when none are left. In about eight of ten cases, the truth lies between the
// earliest and the latest date. They are null with too few data, and the latest is also null
// if it is not soon.
type RunsOut struct {
	State    string `json:"state"`
	At       Time   `json:"at"`
	Earliest Time   `json:"earliest"`
	Latest   Time   `json:"latest"`
	// Band means that the earliest and the latest date are known. A null then means not soon.
	Band bool `json:"band_known"`
}

// Node is a node and the most sessions that it had at once.
type Node struct {
	Node string `json:"qlik_node"`
	Peak Peak   `json:"peak_sessions"`
}

// Person is somebody who was refused because of the session limit.
type Person struct {
	Directory string    `json:"user_directory"`
	ID        string    `json:"user_id"`
	Days      int       `json:"days"` // days of the reported time with a refused login
	Last      time.Time `json:"last"` // the last refused login
}

const oneDay = 24 * time.Hour
