package qlik

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"
)

// The licences of users, by the label license of qlik_user_license_info. Of
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
// (docs/qlik.md, "Licences").
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

// AllocatedLicenses lists the licences that can be allocated to a user.
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

// Licenses is what the repository says of the site's licences.
type Licenses struct {
	Seats    map[string]Seats          // by licence
	Active   map[string]map[string]int // users whose access was used, by licence and window
	Capacity *Capacity                 // nil where the licence has none
	Expiry   time.Time                 // zero where the licence does not say

	read    time.Time
	holders map[User]licenseSet
	certain bool          // who is not among the holders has none
	inUse   []licenseType // whose usage rows are worth reading
}

// licenseSet are licences of one user: a bit for each of licenseTypes, and one
// for an access in quarantine, which is neither held nor certainly gone.
type licenseSet uint8

const quarantined licenseSet = 1 << 7

// Seats are the accesses of one licence.
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

// Of returns the licence of a user.
func (l *Licenses) Of(user User) string {
	set, known := l.holders[user]
	for i, license := range licenseTypes {
		if set&(1<<i) != 0 {
			return license.name
		}
	}
	if !known && l.certain && !user.Anonymous() {
		return LicenseNone
	}
	return LicenseUnknown
}

// Holds says whether a user holds a licence, be it the first or not.
func (l *Licenses) Holds(user User, license string) bool {
	i := slices.IndexFunc(licenseTypes, func(t licenseType) bool { return t.name == license })
	return i >= 0 && l.holders[user]&(1<<i) != 0
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

// licenses reads who holds which licence, and how many there are. What a
// release does not know is absent. What cannot be read for another reason is an
// error; the licences without it, and with the holders known last, come along,
// unless nothing could be read at all.
func (r *repository) licenses(ctx context.Context, now time.Time, last *Licenses) (*Licenses, error) {
	l := &Licenses{
		Seats:   make(map[string]Seats),
		Active:  make(map[string]map[string]int),
		holders: make(map[User]licenseSet),
		certain: true,
		read:    now,
	}
	var failures error
	answered := false
	for i := range licenseTypes {
		switch err := r.readAccess(ctx, i, l, now); {
		case err == nil:
			answered = true
		case !notFound(err):
			failures = cmp.Or(failures, err)
			l.keep(i, last)
		}
	}
	l.certain = l.certain && answered
	if !answered && failures != nil {
		return nil, failures
	}
	overview, err := getObject[overviewRecord](ctx, r, "/qrs/license/accesstypeoverview")
	if err != nil && !notFound(err) {
		failures = cmp.Or(failures, err)
		l.certain = false // there may be capacity for anybody
	}
	l.take(overview)
	record, err := getObject[licenseRecord](ctx, r, "/qrs/license")
	if err != nil && !notFound(err) {
		failures = cmp.Or(failures, err)
	}
	if record != nil {
		l.Expiry = licenseExpiry(record.LEF + "\n" + record.Details)
	}
	return l, failures
}

// keep takes over the holders of one type of licence.
func (l *Licenses) keep(index int, last *Licenses) {
	l.certain = false
	if last == nil {
		return
	}
	for user, set := range last.holders {
		if set &= 1 << index; set != 0 {
			l.holders[user] |= set
		}
	}
	if slices.Contains(last.inUse, licenseTypes[index]) {
		l.inUse = append(l.inUse, licenseTypes[index])
	}
}

// readAccess reads the accesses of one type. Where an access names no user it
// is a rule, which may apply to anybody: then nobody is certainly without
// licence. A release that does not know the type answers 404.
func (r *repository) readAccess(ctx context.Context, index int, l *Licenses, now time.Time) error {
	license := licenseTypes[index]
	var holders map[User]licenseSet
	var rules int
	active := make(map[string]int)
	err := listEntities(ctx, r, license.access,
		func() { holders, rules = make(map[User]licenseSet), 0; clear(active) },
		func(access *accessRecord) {
			if access.User.ID == "" {
				rules++
				return
			}
			set := licenseSet(1) << index
			if access.Quarantined { // taken away, and not yet given to anybody else
				set = quarantined
			}
			holders[NewUser(access.User.Directory, access.User.ID)] |= set
			for _, window := range ActiveWindows() {
				if now.Sub(access.LastUsed.Time) <= window.Duration {
					active[window.Name]++
				}
			}
		})
	if err != nil {
		return err
	}
	for user, set := range holders {
		l.holders[user] |= set
	}
	if license.personal {
		l.Active[license.name] = active
		for _, window := range ActiveWindows() {
			active[window.Name] += 0 // so that each is there
		}
	}
	if rules > 0 || !license.personal && len(holders) > 0 {
		l.certain = false
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
		l.certain = false // anybody may draw on it
	}
}

// expiryDate finds the end of the licence in its text. Neither the licence file
// nor the details of a signed key are documented; these words are known from
// licences (docs/qlik.md, "Licences").
var expiryDate = regexp.MustCompile(`(?i)(?:TIMELIMIT|PRODUCTLEVEL|VALID[ _-]?TO|EXPIR[A-Z ]*|END[ _]?DATE)[^\r\n]{0,40}?(\d{4}-\d{2}-\d{2})`)

// licenseExpiry returns the earliest end that a licence's text names, zero if
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
