package qlik

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"
)

// The licenses of users, by the label license of qlik_user_license_info. Of
// several that a user holds the first in this order counts.
const (
	LicenseProfessional     = "professional"
	LicenseAnalyzer         = "analyzer"
	LicenseUser             = "user"              // token
	LicenseLogin            = "login"             // token
	LicenseAnalyzerCapacity = "analyzer_capacity" // time shared by many
	LicenseNone             = "none"              // certainly
	LicenseUnknown          = "unknown"
)

// licenseType is a kind of access and how the repository calls its entities
// (docs/qlik.md, "Licenses").
type licenseType struct {
	name          string
	access, usage string
	personal      bool // each access names its user; others are rules that may apply to anybody
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

// ActiveWindow is a span of time within which users are counted as active.
type ActiveWindow struct {
	Name     string // value of the label window
	Duration time.Duration
}

// ActiveWindows lists the windows, shortest first.
func ActiveWindows() []ActiveWindow {
	const day = 24 * time.Hour
	return []ActiveWindow{{"1d", day}, {"7d", 7 * day}, {"30d", 30 * day}, {"90d", 90 * day}}
}

// Licenses is what the repository says of the site's licenses.
type Licenses struct {
	Seats    map[string]Seats          // by license
	Active   map[string]map[string]int // users whose access was used, by license and window
	Capacity *Capacity                 // nil where the license has none
	Expiry   time.Time                 // zero where the license does not say

	ReadAt  time.Time           // when the lists were read
	Holders map[User]LicenseSet // by the lists of who holds which
	Certain bool                // whoever is not among the holders has none

	inUse  []licenseType // whose usage rows are worth reading
	unread []int         // of licenseTypes, whose lists could not be read
}

// LicenseSet is the licenses of one user: a bit for each of licenseTypes, and one
// for an access in quarantine, which is neither held nor certainly gone.
type LicenseSet uint8

const quarantined LicenseSet = 1 << 7

// NewLicenseSet returns a set of licenses, given by their names.
func NewLicenseSet(names ...string) LicenseSet {
	var set LicenseSet
	for i, license := range licenseTypes {
		if slices.Contains(names, license.name) {
			set |= 1 << i
		}
	}
	return set
}

// Seats are the accesses of one license.
type Seats struct {
	Total       float64 `json:"total"`
	Allocated   float64 `json:"allocated"`
	Used        float64 `json:"used"`
	Available   float64 `json:"available"`
	Excess      float64 `json:"excess"`
	Quarantined float64 `json:"quarantined"`
}

// Capacity is time of analyzer capacity in the current period.
type Capacity struct{ Allocated, Used, Unavailable time.Duration }

// Of returns the license of a user.
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

// Holds says whether a user holds a license, be it the first or not.
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

// Licenses asks a repository who holds which license, and how many there are.
// What a release does not know is absent. What cannot be read for another reason
// is an error; the licenses without it come along, unless no list could be read
// at all.
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
		l.Certain = false // there may be capacity for anybody
	}
	l.take(overview)
	record, _, err := getObject[licenseRecord](ctx, c, "/qrs/license")
	if err != nil && !notFound(err) {
		failures = cmp.Or(failures, err)
	}
	if record != nil {
		l.Expiry = licenseExpiry(record.LEF + "\n" + record.Details)
	}
	return l, failures
}

// CarryOver adds the holders that were known last from the lists that could not
// be read this time. It must not be called once l is in use.
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

// readAccess reads the accesses of one type. Where an access names no user it
// is a rule, which may apply to anybody: then nobody is certainly without
// license. A release that does not know the type answers 404.
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
			if access.Quarantined { // taken away, and not yet given to anybody else
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
			active[window.Name] += 0 // so that each is there
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

// take adds what the overview says; nil says nothing.
func (l *Licenses) take(overview *overviewRecord) {
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
		l.Certain = false // anybody may draw on it
	}
}

// expiryDate finds the end of the license in its text. Neither the license file
// nor the details of a signed key are documented; these words are known from
// licenses (docs/qlik.md, "Licenses").
var expiryDate = regexp.MustCompile(`(?i)(?:TIMELIMIT|PRODUCTLEVEL|VALID[ _-]?TO|EXPIR[A-Z ]*|END[ _]?DATE)[^\r\n]{0,40}?(\d{4}-\d{2}-\d{2})`)

// licenseExpiry returns the earliest end that a license's text names, zero if
// none. It is the end of that day.
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
