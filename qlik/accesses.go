package qlik

import (
	"context"
	"slices"
	"time"
)

// Access is an access that is allocated to a user, so that it takes a seat of a license or
// a token (docs/qlik.md, "Licenses").
type Access struct {
	User    User
	Name    string // display name; often empty
	License string // one of AllocatedLicenses
	Deleted bool   // the user was deleted

	Allocated time.Time // zero if unknown
	LastUsed  time.Time // zero if the access was never used, or if it is unknown
	NeverUsed bool      // the repository says that the access was never used

	Excess, Quarantined *bool     // nil if the repository does not say
	QuarantineEnd       time.Time // zero if unknown, or if there is none
}

// Accesses reads the same as Licenses, and the accesses that are allocated to users. They
// are ordered by user and license. A license whose list could not be read has none; see
// Licenses.Unreadable.
func (c *Client) Accesses(ctx context.Context) (*Licenses, []Access, error) {
	accesses := &accessList{now: c.config.Now(), future: make(map[string]uint64), nobody: make(map[string]uint64)}
	licenses, err := c.readLicenses(ctx, accesses)
	slices.SortStableFunc(accesses.list, func(a, b Access) int { return a.User.Compare(b.User) })
	return licenses, accesses.list, err
}

// accessList collects accesses. A nil list collects nothing.
type accessList struct {
	now  time.Time
	list []Access
	// Of the list that is being read: impossible times, and accesses of nobody.
	future map[string]uint64 // by field
	nobody map[string]uint64
}

// mark returns a function that removes the accesses that were added in the meantime.
func (a *accessList) mark() (reset func()) {
	if a == nil {
		return func() {}
	}
	before := len(a.list)
	return func() {
		a.list = a.list[:before]
		clear(a.future)
		clear(a.nobody)
	}
}

func (a *accessList) add(license string, r *accessRecord, room *Room) {
	if a == nil {
		return
	}
	access := Access{
		License: license, Name: string(r.User.Name.value), Excess: r.Excess.pointer(), Quarantined: r.Quarantined.pointer(),
		Allocated: a.date("createdDate", r.Created), LastUsed: a.date("lastUsed", r.LastUsed),
		// A date without a value is the first one of .NET or of the database.
		NeverUsed: r.LastUsed.known && r.LastUsed.value.Year() < firstYear,
	}
	if r.QuarantineEnd.value.Year() >= firstYear {
		access.QuarantineEnd = r.QuarantineEnd.value
	}
	switch deleted := (userRef{r.DeletedDirectory.value, r.DeletedID.value}); {
	case r.User.complete():
		access.User = r.User.user()
	case deleted.complete():
		access.User, access.Deleted = deleted.user(), true
	default:
		a.nobody["user"]++
		return
	}
	names := room.takeName(access.Name)
	if access.Deleted { // other users have their room as holders
		names = room.take(access.User.Directory, access.User.ID) && names
	}
	if names {
		a.list = append(a.list, access)
	}
}

// date returns a past time, or the zero time if there is none. A clock can be ahead.
func (a *accessList) date(field string, of optional[time.Time]) time.Time {
	switch at := of.value; {
	case !of.known, at.Year() < firstYear:
		return time.Time{}
	case at.Sub(a.now) > maxAhead:
		a.future[field]++
		return time.Time{}
	case at.After(a.now):
		return a.now
	default:
		return at
	}
}

// addLeftOut adds what was left out of a list.
func (a *accessList) addLeftOut(list string, left leftOut) {
	if a == nil {
		return
	}
	for field, times := range a.future {
		left.addTimes(field+" in the future of "+list, times)
	}
	for field, times := range a.nobody {
		left.addTimes(field+" of "+list, times)
	}
	clear(a.future)
	clear(a.nobody)
}
