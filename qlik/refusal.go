package qlik

import (
	"slices"
	"time"
)

// Refusal is a login that Qlik Sense refused, according to the audit security log of a
// repository.
type Refusal struct {
	At     time.Time
	Reason RefusalReason
	// License is the license of the user in lists that were read before the refusal: one of
	// the license constants. It is LicenseUnknown if no such list is known, or if the user
	// is in excess of the seats.
	License string
}

// RefusalReason is the reason of a refused login. It is the value of a label.
type RefusalReason string

// The reasons that the log distinguishes.
const (
	RefusedSessionLimit RefusalReason = "session_limit" // the user is at the session limit
	RefusedNoLicense    RefusalReason = "no_license"    // the user has no license, or the license service finds none
)

// RefusalReasons lists all reasons.
func RefusalReasons() []RefusalReason { return []RefusalReason{RefusedNoLicense, RefusedSessionLimit} }

// Refusals are the refused logins of users, the last one first.
type Refusals map[User][]Refusal

// Last returns the last refusal for a reason of each user who was refused for it.
func (r Refusals) Last(reason RefusalReason) map[User]time.Time {
	last := make(map[User]time.Time)
	for user, all := range r {
		if i := slices.IndexFunc(all, func(one Refusal) bool { return one.Reason == reason }); i >= 0 {
			last[user] = all[i].At
		}
	}
	return last
}
