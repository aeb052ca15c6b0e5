package qlik

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The licenses of users. They are the values of the label license of
// qlik_user_license_info. If a user holds several, the first in this order counts.
const (
	LicenseProfessional     = "professional"
	LicenseAnalyzer         = "analyzer"
	LicenseUser             = "user"              // needs tokens
	LicenseLogin            = "login"             // needs tokens
	LicenseAnalyzerCapacity = "analyzer_capacity" // minutes shared by a group
	LicenseNone             = "none"              // the user certainly holds no license
	LicenseUnknown          = "unknown"
)

// licenseType is a kind of access with the paths of its lists in the repository
// (docs/qlik.md, "Licenses").
type licenseType struct {
	name          string
	access, usage string
	personal      bool // each access belongs to one user; otherwise it is a rule that can apply to any user
}

var licenseTypes = []licenseType{
	{LicenseProfessional, "license/professionalaccesstype", "license/professionalaccessusage", true},
	{LicenseAnalyzer, "license/analyzeraccesstype", "license/analyzeraccessusage", true},
	{LicenseUser, "license/useraccesstype", "license/useraccessusage", true},
	{LicenseLogin, "license/loginaccesstype", "license/loginaccessusage", false},
	{LicenseAnalyzerCapacity, "license/analyzertimeaccesstype", "license/analyzertimeaccessusage", false},
}

// AllocatedLicenses lists the licenses that can be allocated to a user.
func AllocatedLicenses() []string { return []string{LicenseProfessional, LicenseAnalyzer, LicenseUser} }

// ActiveWindow is a period for counting active users.
type ActiveWindow struct {
	Name     string // value of the label window
	Duration time.Duration
}

// ActiveWindows lists the windows, shortest first.
func ActiveWindows() []ActiveWindow {
	const day = 24 * time.Hour
	return []ActiveWindow{{"1d", day}, {"7d", 7 * day}, {"30d", 30 * day}, {"90d", 90 * day}}
}

// Licenses is the license data of a site (docs/qlik.md, "Licenses").
type Licenses struct {
	Seats    map[string]Seats          // by license
	Active   map[string]map[string]int // users that used their access, by license and window
	Capacity *Capacity                 // analyzer capacity; nil if the license has none or if it is unknown
	Tokens   *Tokens                   // nil if the license has no tokens or if it is unknown

	Valid   *bool     // whether the license is valid; nil if the repository does not say
	Problem string    // what is wrong with the license, such as "it is expired"; "" if nothing is known to be
	Expiry  time.Time // end of the license; zero if there is none or if it is unknown
	Unread  []string  // ends of the license that cannot be read without doubt, each as text with the reason

	ReadAt  time.Time           // time of the read
	Holders map[User]LicenseSet // licenses of each user that holds one
	Certain bool                // users that are not in Holders certainly hold no license

	cores  bool          // the license is one for cores, or may be
	inUse  []licenseType // types with holders or rules; UsageRows reads only their rows
	unread []int         // indexes in licenseTypes of lists that could not be read
}

// LicenseSet is the set of licenses of one user. It has a bit for each of
// licenseTypes, one bit for a quarantined access, which the user neither holds nor
// certainly lacks, and one bit for an access in excess of the seats.
type LicenseSet uint8

const (
	quarantined LicenseSet = 1 << 7
	excess      LicenseSet = 1 << 6
)

// NewLicenseSet returns the set of the named licenses.
func NewLicenseSet(names ...string) LicenseSet {
	var set LicenseSet
	for i, license := range licenseTypes {
		if slices.Contains(names, license.name) {
			set |= 1 << i
		}
	}
	return set
}

// Seats are the numbers of accesses of one license. A number is nil if the repository
// does not say.
type Seats struct {
	Total, Allocated, Used, Available, Excess, Quarantined *float64
}

// Tokens are the numbers of tokens of a license with tokens. Tokens in quarantine are
// neither allocated nor available. A number is nil if the repository does not say.
type Tokens struct {
	Total       *float64
	UserAccess  *float64 // allocated to users
	LoginAccess *float64 // allocated to rules of login access
	Available   *float64 // not allocated
	UsedLogins  *float64 // of the tokens of login access
	Quarantined *float64 // of user access
}

// Of returns the license of a user: one of the constants.
func (l *Licenses) Of(user User) string {
	set, known := l.Holders[user]
	for i, license := range licenseTypes {
		if set&(1<<i) != 0 {
			return license.name
		}
	}
	if !known && l.Certain && !user.Anonymous() {
		return LicenseNone
	}
	return LicenseUnknown
}

// HaveRows reports whether usage rows say how many slots a user takes. With a license for
// cores there are no accesses, so there are no rows.
func (l *Licenses) HaveRows() bool { return len(l.inUse) > 0 || !l.cores }

// Unusable reports whether an access of a user is quarantined, so that it may not serve.
func (l *Licenses) Unusable(user User) bool { return l.Holders[user]&quarantined != 0 }

// Holds reports whether a user holds a license, even if another one counts.
func (l *Licenses) Holds(user User, license string) bool {
	return l.Holders[user]&NewLicenseSet(license) != 0
}

// Before returns the license of a user at a time. It is LicenseUnknown if the lists were
// read later, or if an access of the user is in excess of the seats, so that Qlik may
// refuse it.
func (l *Licenses) Before(at time.Time, user User) string {
	if l == nil || !l.ReadAt.Before(at) || l.Holders[user]&excess != 0 {
		return LicenseUnknown
	}
	return l.Of(user)
}

type accessRecord struct {
	User             namedUserRef        `json:"user"`
	DeletedID        optional[name]      `json:"deletedUserId"`
	DeletedDirectory optional[name]      `json:"deletedUserDirectory"`
	Created          optional[time.Time] `json:"createdDate"`
	LastUsed         optional[time.Time] `json:"lastUsed"`
	Quarantined      optional[bool]      `json:"quarantined"`
	QuarantineEnd    optional[time.Time] `json:"quarantineEnd"`
	Excess           optional[bool]      `json:"excess"`
}

func (r accessRecord) usable() bool { return r.User.userRef == (userRef{}) || r.User.complete() }

type overviewRecord struct {
	Professional       optional[seatsRecord]    `json:"professionalAccess"`
	Analyzer           optional[seatsRecord]    `json:"analyzerAccess"`
	AnalyzerTimeAccess optional[capacityRecord] `json:"analyzerTimeAccess"`
	UserAccess         optional[tokensRecord]   `json:"userAccess"`
	LoginAccess        optional[tokensRecord]   `json:"loginAccess"`
	TokensEnabled      optional[bool]           `json:"tokensEnabled"`
	TotalTokens        optional[float64]        `json:"totalTokens"`
	AvailableTokens    optional[float64]        `json:"availableTokens"`
}

type seatsRecord struct {
	Enabled     optional[bool]    `json:"enabled"`
	Total       optional[float64] `json:"total"`
	Allocated   optional[float64] `json:"allocated"`
	Used        optional[float64] `json:"used"`
	Available   optional[float64] `json:"available"`
	Excess      optional[float64] `json:"excess"`
	Quarantined optional[float64] `json:"quarantined"`
}

type capacityRecord struct {
	Enabled     optional[bool]    `json:"enabled"`
	Allocated   optional[minutes] `json:"allocatedMinutes"`
	Used        optional[minutes] `json:"usedMinutes"`
	Unavailable optional[minutes] `json:"unavailableMinutes"`
}

type tokensRecord struct {
	Allocated   optional[float64] `json:"allocatedTokens"`
	Used        optional[float64] `json:"usedTokens"`
	Quarantined optional[float64] `json:"quarantinedTokens"`
}

type licenseRecord struct {
	Expired       optional[bool]    `json:"isExpired"`
	ExpiredReason optional[label]   `json:"expiredReason"`
	Invalid       optional[bool]    `json:"isInvalid"`
	Blacklisted   optional[bool]    `json:"isBlacklisted"`
	Cores         optional[float64] `json:"numberOfCores"`
	LEF           optional[string]  `json:"lef"`
	Details       optional[string]  `json:"keyDetails"`
}

// Licenses reads the license data from a repository. Data that the release does not
// have is absent and causes no error. If other data cannot be read, Licenses returns
// an error together with the rest of the data. It returns nil and the error if no list
// of holders could be read.
func (c *Client) Licenses(ctx context.Context) (*Licenses, error) { return c.readLicenses(ctx, nil) }

// readLicenses implements Licenses and Accesses. It adds the accesses of users to a list,
// which may be nil.
func (c *Client) readLicenses(ctx context.Context, accesses *accessList) (*Licenses, error) {
	l := &Licenses{
		Seats:   make(map[string]Seats),
		Active:  make(map[string]map[string]int),
		Holders: make(map[User]LicenseSet),
		Certain: true,
		ReadAt:  c.config.Now(),
	}
	left, room := make(leftOut), newRoom(maxElements, maxNames)
	var failures error
	answered := make(map[string]bool) // by license
	for i, license := range licenseTypes {
		switch err := c.readAccess(ctx, i, l, left, room, accesses); {
		case err == nil:
			answered[license.name] = true
		case !notFound(err):
			failures = cmp.Or(failures, err)
			l.unread = append(l.unread, i)
		}
	}
	// If all lists are empty, nobody has a personal license, for example because the
	// license is for a number of cores, or the user of the requests has no rights.
	l.Certain = l.Certain && len(l.inUse) > 0 && len(l.unread) == 0
	if len(answered) == 0 && failures != nil {
		return nil, failures
	}
	overview, _, err := getObject[overviewRecord](ctx, c, "license/accesstypeoverview", left)
	if err != nil && !notFound(err) {
		failures = cmp.Or(failures, err)
		l.Certain = false // any user may use analyzer capacity
	}
	if overview != nil {
		l.addOverview(overview, answered[LicenseAnalyzerCapacity])
		l.addTokens(overview)
	}
	record, answer, err := getObject[licenseRecord](ctx, c, "license", left)
	switch {
	case err == nil:
		l.addLicense(record, l.ReadAt.Add(answer.Ahead))
	case !notFound(err):
		failures = cmp.Or(failures, err)
	}
	c.skipped.record(SourceLicenses, left, failures)
	return l, failures
}

// Unreadable returns the licenses whose list of accesses could not be read.
func (l *Licenses) Unreadable() []string {
	var names []string
	for _, i := range l.unread {
		names = append(names, licenseTypes[i].name)
	}
	return names
}

// CarryOver adds the holders from last for the lists that could not be read this time.
// Call it before other goroutines use l.
func (l *Licenses) CarryOver(last *Licenses) {
	if last == nil {
		return
	}
	for _, i := range l.unread {
		for user, set := range last.Holders {
			if set &= 1 << i; set != 0 {
				l.Holders[user] |= set
			}
		}
		if slices.ContainsFunc(last.inUse, func(t licenseType) bool { return t == licenseTypes[i] }) {
			l.inUse = append(l.inUse, licenseTypes[i])
		}
	}
}

// readAccess reads the accesses of one type. A release without this type answers 404.
func (c *Client) readAccess(ctx context.Context, index int, l *Licenses, left leftOut, room *Room, accesses *accessList) error {
	license := licenseTypes[index]
	var holders map[User]LicenseSet
	var count, anyUser uint64
	active := make(map[string]int)
	before := left[elementsOf(license.access)]
	restartAccesses := accesses.mark()
	err := listEntities(ctx, c, c.repositories.lastFirst(), license.access, left, room,
		func() {
			holders, count, anyUser = make(map[User]LicenseSet), 0, 0
			clear(active)
			restartAccesses()
		},
		func(access *accessRecord) {
			count++
			if license.personal {
				accesses.add(license.name, access, room)
			}
			if !access.User.complete() {
				// The access of a deleted user belongs to nobody. Any other access without a
				// user is a rule that can apply to any user.
				if access.DeletedID.value == "" {
					anyUser++
				}
				return
			}
			set := LicenseSet(1) << index
			if access.Quarantined.odd || access.Quarantined.value { // deallocated, but not yet available to others
				set = quarantined
			}
			if access.Excess.odd || access.Excess.value {
				set |= excess
			}
			user := access.User.user()
			if room.take(user.Directory, user.ID) {
				holders[user] |= set
			}
			for _, window := range ActiveWindows() {
				if ago := l.ReadAt.Sub(access.LastUsed.value); access.LastUsed.known && ago >= -maxAhead && ago <= window.Duration {
					active[window.Name]++
				}
			}
		})
	if err != nil {
		restartAccesses()
		return err
	}
	accesses.addLeftOut(license.access, left)
	unreadable := left[elementsOf(license.access)] - before // each may belong to any user
	count, anyUser = count+unreadable, anyUser+unreadable
	for user, set := range holders {
		l.Holders[user] |= set
	}
	if license.personal {
		l.Active[license.name] = active
		for _, window := range ActiveWindows() {
			active[window.Name] += 0 // create the missing windows
		}
	}
	if anyUser > 0 || !license.personal && count > 0 {
		l.Certain = false
	}
	if count > 0 {
		l.inUse = append(l.inUse, license)
	}
	return nil
}

// addOverview adds the seats and the capacity. The argument rulesKnown reports whether
// the list of capacity rules could be read; without a rule nobody can use capacity.
func (l *Licenses) addOverview(overview *overviewRecord, rulesKnown bool) {
	for name, seats := range map[string]optional[seatsRecord]{LicenseProfessional: overview.Professional, LicenseAnalyzer: overview.Analyzer} {
		if of := seats.value; seats.known && !is(of.Enabled, false) {
			l.Seats[name] = Seats{
				of.Total.pointer(), of.Allocated.pointer(), of.Used.pointer(),
				of.Available.pointer(), of.Excess.pointer(), of.Quarantined.pointer(),
			}
		}
	}
	duration := func(m optional[minutes]) *time.Duration { return (*time.Duration)(m.pointer()) }
	switch capacity, of := overview.AnalyzerTimeAccess, overview.AnalyzerTimeAccess.value; {
	case capacity.known && (is(of.Enabled, true) || of.Allocated.value > 0):
		l.Capacity = &Capacity{Allocated: duration(of.Allocated), Used: duration(of.Used), Unavailable: duration(of.Unavailable)}
		l.Certain = false // any user may use it
	case capacity.known && (is(of.Enabled, false) || is(of.Allocated, 0)): // there is none
	case capacity.known, capacity.odd, !rulesKnown:
		l.Certain = false
	}
}

// addTokens adds the numbers of tokens.
func (l *Licenses) addTokens(overview *overviewRecord) {
	login := overview.LoginAccess.value.Allocated
	if overview.LoginAccess.odd || login.odd || login.value > 0 {
		l.Certain = false // any user may use login access, even if its rules cannot be listed
	}
	if enabled := is(overview.TokensEnabled, true) || overview.TotalTokens.value > 0; !enabled || is(overview.TokensEnabled, false) {
		return
	}
	l.Tokens = &Tokens{
		Total:       overview.TotalTokens.pointer(),
		UserAccess:  overview.UserAccess.value.Allocated.pointer(),
		LoginAccess: login.pointer(),
		Available:   overview.AvailableTokens.pointer(),
		UsedLogins:  overview.LoginAccess.value.Used.pointer(),
		Quarantined: overview.UserAccess.value.Quarantined.pointer(),
	}
}

// addLicense adds what the repository says about the license itself. The record is nil
// if the site has no license. The time is that of the repository.
func (l *Licenses) addLicense(record *licenseRecord, now time.Time) {
	if record == nil {
		l.Problem = "there is none"
		return
	}
	l.judge(record)
	if l.cores = record.Cores.odd || record.Cores.value > 0; l.cores {
		l.Certain = false // users need no access of their own
	}
	ends := readEnds(record.LEF.value, record.Details.value)
	l.Unread = ends.unread
	for _, end := range ends.dates {
		// The typed field is right if it contradicts the text. A day is for time zones.
		if is(record.Expired, false) && now.Sub(end) > 24*time.Hour {
			l.Unread = append(l.Unread, fmt.Sprintf("%s has passed, although the repository says that the license is not expired", end.AddDate(0, 0, -1).Format(time.DateOnly)))
			continue
		}
		if l.Expiry.IsZero() || end.Before(l.Expiry) {
			l.Expiry = end
		}
	}
}

// judge sets Valid and Problem. Only the fields for this purpose say whether the license
// is valid, not a date in its text.
func (l *Licenses) judge(record *licenseRecord) {
	var problems []string
	if is(record.Expired, true) {
		problem := "it is expired"
		if record.ExpiredReason.value != "" {
			problem += fmt.Sprintf(" (%s)", record.ExpiredReason.value)
		}
		problems = append(problems, problem)
	}
	if is(record.Invalid, true) {
		problems = append(problems, "it is invalid")
	}
	if is(record.Blacklisted, true) {
		problems = append(problems, "it is blacklisted")
	}
	said := record.Expired.known || record.Invalid.known || record.Blacklisted.known
	odd := record.Expired.odd || record.Invalid.odd || record.Blacklisted.odd
	if l.Problem = strings.Join(problems, ", "); len(problems) > 0 || said && !odd {
		l.Valid = new(len(problems) == 0)
	}
}
