package qlik

import (
	"cmp"
	"context"
	"regexp"
	"slices"
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
	Capacity *Capacity                 // analyzer capacity; nil if the license has none
	Expiry   time.Time                 // end of the license; zero if its text contains no date

	ReadAt  time.Time           // time of the read
	Holders map[User]LicenseSet // licenses of each user that holds one
	Certain bool                // users that are not in Holders certainly hold no license

	inUse  []licenseType // types with holders or rules; UsageRows reads only their rows
	unread []int         // indexes in licenseTypes of lists that could not be read
}

// LicenseSet is the set of licenses of one user. It has a bit for each of
// licenseTypes and one bit for a quarantined access, which the user neither holds nor
// certainly lacks.
type LicenseSet uint8

const quarantined LicenseSet = 1 << 7

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

// Seats are the numbers of accesses of one license.
type Seats struct {
	Total       float64 `json:"total"`
	Allocated   float64 `json:"allocated"`
	Used        float64 `json:"used"`
	Available   float64 `json:"available"`
	Excess      float64 `json:"excess"`
	Quarantined float64 `json:"quarantined"`
}

// Capacity is the analyzer capacity of the current period. Qlik counts it in
// minutes.
type Capacity struct{ Allocated, Used, Unavailable time.Duration }

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

// Holds reports whether a user holds a license, even if another one counts.
func (l *Licenses) Holds(user User, license string) bool {
	return l.Holders[user]&NewLicenseSet(license) != 0
}

type accessRecord struct {
	User struct {
		Directory string `json:"userDirectory"`
		ID        string `json:"userId"`
	} `json:"user"`
	LastUsed    moment `json:"lastUsed"`
	Quarantined bool   `json:"quarantined"`
}

type overviewRecord struct {
	Professional       *seatsRecord `json:"professionalAccess"`
	Analyzer           *seatsRecord `json:"analyzerAccess"`
	AnalyzerTimeAccess struct {
		Enabled     bool    `json:"enabled"`
		Allocated   float64 `json:"allocatedMinutes"`
		Used        float64 `json:"usedMinutes"`
		Unavailable float64 `json:"unavailableMinutes"`
	} `json:"analyzerTimeAccess"`
}

type seatsRecord struct {
	Seats

	Enabled *bool `json:"enabled"`
}

type licenseRecord struct {
	LEF     string `json:"lef"`
	Details string `json:"keyDetails"`
}

// Licenses reads the license data from a repository. Data that the release does not
// have is absent and causes no error. If other data cannot be read, Licenses returns
// an error together with the rest of the data. It returns nil and the error if no list
// of holders could be read.
func (c *Client) Licenses(ctx context.Context) (*Licenses, error) {
	l := &Licenses{
		Seats:   make(map[string]Seats),
		Active:  make(map[string]map[string]int),
		Holders: make(map[User]LicenseSet),
		Certain: true,
		ReadAt:  c.config.Now(),
	}
	var failures error
	answered := false
	for i := range licenseTypes {
		switch err := c.readAccess(ctx, i, l); {
		case err == nil:
			answered = true
		case !notFound(err):
			failures = cmp.Or(failures, err)
			l.unread = append(l.unread, i)
		}
	}
	l.Certain = l.Certain && answered && len(l.unread) == 0
	if !answered && failures != nil {
		return nil, failures
	}
	overview, _, err := getObject[overviewRecord](ctx, c, "/qrs/license/accesstypeoverview")
	if err != nil && !notFound(err) {
		failures = cmp.Or(failures, err)
		l.Certain = false // any user may use analyzer capacity
	}
	l.addOverview(overview)
	record, _, err := getObject[licenseRecord](ctx, c, "/qrs/license")
	if err != nil && !notFound(err) {
		failures = cmp.Or(failures, err)
	}
	if record != nil {
		l.Expiry = licenseExpiry(record.LEF + "\n" + record.Details)
	}
	return l, failures
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

// readAccess reads the accesses of one type. An access without a user is a rule that
// can apply to any user, so no user certainly lacks a license. A release without this
// type answers 404.
func (c *Client) readAccess(ctx context.Context, index int, l *Licenses) error {
	license := licenseTypes[index]
	var holders map[User]LicenseSet
	var rules int
	active := make(map[string]int)
	err := listEntities(ctx, c, c.repositories.lastFirst(), license.access,
		func() { holders, rules = make(map[User]LicenseSet), 0; clear(active) },
		func(access *accessRecord) error {
			if access.User.ID == "" {
				rules++
				return nil
			}
			if access.LastUsed.unreadable {
				c.skipped[SourceLicenses].Add(1)
			}
			set := LicenseSet(1) << index
			if access.Quarantined { // deallocated, but not yet available to others
				set = quarantined
			}
			holders[NewUser(access.User.Directory, access.User.ID)] |= set
			for _, window := range ActiveWindows() {
				if l.ReadAt.Sub(access.LastUsed.Time) <= window.Duration {
					active[window.Name]++
				}
			}
			return nil
		})
	if err != nil {
		return err
	}
	for user, set := range holders {
		l.Holders[user] |= set
	}
	if license.personal {
		l.Active[license.name] = active
		for _, window := range ActiveWindows() {
			active[window.Name] += 0 // create the missing windows
		}
	}
	if rules > 0 || !license.personal && len(holders) > 0 {
		l.Certain = false
	}
	if len(holders) > 0 || rules > 0 {
		l.inUse = append(l.inUse, license)
	}
	return nil
}

// addOverview adds the seats and the capacity of an overview, which may be nil.
func (l *Licenses) addOverview(overview *overviewRecord) {
	if overview == nil {
		return
	}
	for name, seats := range map[string]*seatsRecord{LicenseProfessional: overview.Professional, LicenseAnalyzer: overview.Analyzer} {
		if seats != nil && (seats.Enabled == nil || *seats.Enabled) {
			l.Seats[name] = seats.Seats
		}
	}
	minutes := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
	if c := overview.AnalyzerTimeAccess; c.Enabled || c.Allocated > 0 {
		l.Capacity = &Capacity{Allocated: minutes(c.Allocated), Used: minutes(c.Used), Unavailable: minutes(c.Unavailable)}
		l.Certain = false // any user may use it
	}
}

// expiryDate matches dates of expiry in the text of a license. The formats of the
// license file and of the details of a signed key are not documented. These words
// occur in real licenses (docs/qlik.md, "Licenses").
var expiryDate = regexp.MustCompile(`(?i)(?:TIMELIMIT|PRODUCTLEVEL|VALID[ _-]?TO|EXPIR[A-Z ]*|END[ _]?DATE)[^\r\n]{0,40}?(\d{4}-\d{2}-\d{2})`)

// licenseExpiry returns the end of the earliest day of expiry in the text of a
// license. It returns the zero time if the text contains none.
func licenseExpiry(text string) time.Time {
	var earliest time.Time
	for _, match := range expiryDate.FindAllStringSubmatch(text, -1) {
		day, err := time.Parse(time.DateOnly, match[1])
		if err == nil && (earliest.IsZero() || day.Before(earliest)) {
			earliest = day
		}
	}
	if earliest.IsZero() {
		return earliest
	}
	return earliest.AddDate(0, 0, 1)
}
