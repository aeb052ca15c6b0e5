package qliktest

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// License is a kind of access. Its value is the name in the repository's schema.
type License string

// The kinds of access. Professional, Analyzer and UserAccess are allocated to users. LoginAccess and AnalyzerCapacity are for all users
// without an allocation, CoreBased is for everybody. Config.CapacityMinutes, Config.Tokens and Config.Cores say which a site has.
const (
	Unlicensed       License = ""
	Professional     License = "Professional"
	Analyzer         License = "Analyzer"
	UserAccess       License = "User"
	LoginAccess      License = "Login"
	AnalyzerCapacity License = "AnalyzerTime"
	CoreBased        License = "Core" // not in the repository; only Site.AllUsageRows has such rows
)

// licenses are the kinds of access with usage rows. If a user holds several, the first one counts.
var licenses = []License{Professional, Analyzer, UserAccess, LoginAccess, AnalyzerCapacity, CoreBased}

// quarantine is how long a deallocated access stays unavailable after its last use (docs/qlik.md, "License models").
const quarantine = 7 * 24 * time.Hour

// allocation is an access that is allocated to a user.
type allocation struct {
	license       License
	allocated     time.Time
	lastUsed      time.Time // zero if it was never used
	quarantineEnd time.Time // zero if it is not in quarantine
}

func (l allocation) quarantined() bool { return !l.quarantineEnd.IsZero() }

// personal reports whether the site's license lets administrators allocate this kind of access to a user.
func (c Config) personal(license License) bool {
	switch license {
	case Professional, Analyzer:
		return c.Tokens == 0 && c.Cores == 0
	case UserAccess:
		return c.Tokens > 0
	default:
		return false
	}
}

// checkLicense returns an error if no license has these parts together.
func (c Config) checkLicense() error {
	switch {
	case c.CapacityMinutes > 0 && c.SerialNumber:
		return errors.New("qliktest: analyzer capacity requires a signed key")
	case c.Tokens > 0 && (c.CapacityMinutes > 0 || c.ProfessionalSeats > 0 || c.AnalyzerSeats > 0):
		return errors.New("qliktest: a license with tokens has no other accesses")
	case c.Cores > 0 && (c.Tokens > 0 || c.CapacityMinutes > 0 || c.ProfessionalSeats > 0 || c.AnalyzerSeats > 0):
		return errors.New("qliktest: a license for cores has no accesses")
	case c.LoginAccessTokens > c.Tokens:
		return errors.New("qliktest: more tokens for login access than tokens")
	}
	return nil
}

// held returns the allocation that counts for the user, or nil if the user holds none.
func (a *account) held() *allocation {
	for _, license := range licenses {
		if held := a.allocation(license); held != nil && !held.quarantined() {
			return held
		}
	}
	return nil
}

// allocation returns the allocation of a license, in quarantine or not, or nil.
func (a *account) allocation(license License) *allocation {
	for i := range a.allocations {
		if a.allocations[i].license == license {
			return &a.allocations[i]
		}
	}
	return nil
}

// GiveLicense allocates a license to a user, in addition to the licenses that the user holds. It ends the quarantine of a license that
// the user held before. It panics if the site's license has no such access, because that is a mistake in the test.
func (s *Site) GiveLicense(directory, id string, license License) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	if !s.config.personal(license) {
		panic(fmt.Sprintf("qliktest: the site cannot allocate the license %q", license))
	}
	a := s.account(directory, id)
	if held := a.allocation(license); held != nil {
		held.quarantineEnd = time.Time{}
		return
	}
	a.allocations = append(a.allocations, allocation{license: license, allocated: now})
}

// TakeLicense deallocates a license and reports whether the user held it. Sessions that were granted stay granted until they end. Only a
// license with a serial number puts the access into quarantine, if it was used within seven days; see Config.SerialNumber.
func (s *Site) TakeLicense(directory, id string, license License) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	a := s.accounts[accountKey(directory, id)]
	if a == nil {
		return false
	}
	held := a.allocation(license)
	if held == nil || held.quarantined() {
		return false
	}
	if end := held.lastUsed.Add(quarantine); s.config.SerialNumber && !held.lastUsed.IsZero() && end.After(now) {
		held.quarantineEnd = end
		return true
	}
	a.allocations = slices.DeleteFunc(a.allocations, func(l allocation) bool { return l.license == license })
	return true
}

// endQuarantines removes the allocations of a user whose quarantine has ended.
func (a *account) endQuarantines(now time.Time) {
	a.allocations = slices.DeleteFunc(a.allocations, func(l allocation) bool {
		return l.quarantined() && !l.quarantineEnd.After(now)
	})
}

// boughtSeats returns the number of seats of a license in the configuration; 0 means enough.
func (c Config) boughtSeats(license License) int {
	switch license {
	case Professional:
		return c.ProfessionalSeats
	case Analyzer:
		return c.AnalyzerSeats
	case UserAccess:
		return c.Tokens - c.LoginAccessTokens
	default:
		return 0
	}
}

// inExcess reports whether a user's access is beyond the number of seats, in the order of the repository's table of users.
func (s *Site) inExcess(a *account, license License, now time.Time) bool {
	left := s.config.boughtSeats(license)
	if left == 0 && license != UserAccess {
		return false
	}
	for _, each := range s.accountOrder {
		each.endQuarantines(now)
		if each.allocation(license) == nil {
			continue
		}
		if left--; each == a {
			return left < 0
		}
	}
	return false
}

// accessFor returns the kind of access that the license check uses for a user on a device. It is Unlicensed for users that need none. It
// returns false if the user has no access.
func (s *Site) accessFor(a *account, device string, now time.Time) (License, bool) {
	held := a.held()
	switch {
	case s.config.Cores > 0:
		return CoreBased, true
	case held != nil:
		return held.license, !s.licenseServiceFails && !s.inExcess(a, held.license, now)
	case a.Admin:
		return Unlicensed, true
	case s.config.LoginAccessTokens > 0:
		return LoginAccess, !s.licenseServiceFails && s.passFor(a, now)
	case s.config.CapacityMinutes > 0:
		return AnalyzerCapacity, !s.licenseServiceFails && s.capacityFor(a, device, now)
	}
	return Unlicensed, false
}

// SetLicenseServiceFails makes the license service of the site fail or work again. While it fails, everybody who needs a license is
// refused for want of one, holders of a license too. Sessions that were granted stay granted, except that nobody gets more minutes of
// analyzer capacity. The repository still lists licenses and usage rows, and has no state of this service (docs/qlik.md, "Denial").
func (s *Site) SetLicenseServiceFails(fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	s.licenseServiceFails = fails
}

// limited reports whether the session limit applies to a kind of access.
func (c Config) limited(license License) bool {
	switch license {
	case AnalyzerCapacity:
		return !c.NoLimitForCapacity
	case CoreBased:
		return !c.NoLimitForCores
	default:
		return true
	}
}

// checkLicense runs the license check for a session.
func (s *Site) checkLicense(each *session, now time.Time) {
	a := each.account
	license, available := s.accessFor(a, each.Device, now)
	// Without capacity, the simulated site needs no license for anonymous users, unlike the real one.
	anonymous := license == Unlicensed && !a.known && each.link.virtualProxy.AnonymousAccess > 0
	switch {
	case !available && !anonymous:
		each.Granted = false
		each.link.node.auditLog.denyLicense(each, now)
	case license == Unlicensed:
		each.Granted = true
		if a.Admin && s.config.Denials == Denials2025 {
			each.link.node.auditLog.denyLicense(each, now)
		}
	case a.rows >= s.config.SessionLimit && s.config.limited(license):
		each.Granted = false
		each.link.node.auditLog.denyLimit(each, license, a.rows, now)
	default:
		each.Granted = true
		each.row = s.addRow(a, license, each, now)
		s.use(each, license, now)
		each.link.node.auditLog.grant(each, now)
	}
}

// use records the use of an access.
func (s *Site) use(each *session, license License, now time.Time) {
	switch held := each.account.allocation(license); {
	case held != nil:
		held.lastUsed = now
	case license == AnalyzerCapacity:
		s.useCapacity(each.account, each.Device, now)
	case license == LoginAccess:
		s.usePass(each.account, now)
		each.row.pass = each.account.pass
		if each.secondRow != nil {
			each.secondRow.pass = each.account.pass
		}
	}
}

// renew checks at an activity whether a granted session still has access, because minutes and passes run out. Without access the session
// loses its slot, and the license check runs again.
func (s *Site) renew(each *session, now time.Time) {
	if each.row == nil {
		return
	}
	var available bool
	switch each.row.license {
	case AnalyzerCapacity:
		available = s.capacityFor(each.account, each.Device, now)
	case LoginAccess:
		available = s.passFor(each.account, now)
	default:
		return
	}
	if available && !s.licenseServiceFails {
		s.use(each, each.row.license, now)
		return
	}
	for _, row := range []*usageRow{each.row, each.secondRow} {
		if row != nil {
			s.removeRow(row)
		}
	}
	each.row, each.secondRow = nil, nil
	s.checkLicense(each, now)
}

// CanOpen reports whether the license check would grant the next login of the user, on a device that the user has not used.
func (s *Site) CanOpen(directory, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	a := s.accounts[accountKey(directory, id)]
	if a == nil {
		a = &account{User: User{Directory: directory, ID: id}}
	}
	license, available := s.accessFor(a, "", now)
	return available && (license == Unlicensed || a.rows < s.config.SessionLimit || !s.config.limited(license))
}
