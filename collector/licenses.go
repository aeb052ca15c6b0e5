package collector

import (
	"errors"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const refreshedFromRepository = " Refreshed from the repository every five minutes."

var (
	userLicenseInfoDesc = gaugeDesc("qlik_user_license_info",
		"Always 1. License of the user: professional, analyzer, user, login, or analyzer_capacity (the first of these if there are several); none if the user certainly has no license, otherwise unknown."+refreshedFromRepository,
		"user_directory", "user_id", "license")
	userLicensedSessionsDesc = gaugeDesc("qlik_user_licensed_sessions",
		"Slots that the user occupies according to the repository's usage rows, including cooling and leftover slots. Up to 15 seconds old; absent if the rows could not be read.",
		"user_directory", "user_id")
	licenseUsagePlausibleDesc = gaugeDesc("qlik_license_usage_plausible",
		"1 if usage rows reflect sessions; 0 if they evidently do not and are therefore ignored, for example on a Qlik release that does not write them. Absent if the rows could not be read.")
	leftoverUsageRowsDesc = gaugeDesc("qlik_leftover_usage_rows",
		"Usage rows without a session for longer than the inactivity timeout and the cooling time. They take slots until Qlik removes them. Absent while a node does not respond or the rows are unknown.")
	serviceAccountLicensedDesc = gaugeDesc("qlik_service_account_licensed",
		"1 if the service account, configured or found, holds a license of this type, which makes its sessions subject to the session limit; 0 if not."+refreshedFromRepository,
		"user_directory", "user_id", "license")
	serviceAccountCandidateDesc = gaugeDesc("qlik_service_account_candidate",
		"Always 1. User that looks like a service account and is not configured as one, by source: services (the services of the exporter's node run as the user) or data_connections (the reloads of the monitoring apps log in as the user)."+refreshedFromRepository,
		"user_directory", "user_id", "source")

	licenseSeatsDesc = gaugeDesc("qlik_license_seats",
		"Purchased seats of the license."+refreshedFromRepository, "license")
	licenseSeatsAllocatedDesc = gaugeDesc("qlik_license_seats_allocated",
		"Seats of the license that are allocated to users."+refreshedFromRepository, "license")
	licenseSeatsUsedDesc = gaugeDesc("qlik_license_seats_used",
		"Seats of the license that are used by their users."+refreshedFromRepository, "license")
	licenseSeatsAvailableDesc = gaugeDesc("qlik_license_seats_available",
		"Seats of the license that are not allocated to any user."+refreshedFromRepository, "license")
	licenseSeatsExcessDesc = gaugeDesc("qlik_license_seats_excess",
		"Seats of the license that are allocated in excess of the purchased seats."+refreshedFromRepository, "license")
	licenseSeatsQuarantinedDesc = gaugeDesc("qlik_license_seats_quarantined",
		"Seats of the license that were deallocated and are not yet available again."+refreshedFromRepository, "license")
	licenseUsersActiveDesc = gaugeDesc("qlik_license_users_active",
		"Users whose seat of the license was used within the window."+refreshedFromRepository,
		"license", "window")
	licenseCapacityDesc = gaugeDesc("qlik_license_capacity_seconds",
		"Analyzer capacity in the current period, by state: allocated, used, or unavailable."+refreshedFromRepository,
		"state")
	licenseTokensDesc = gaugeDesc("qlik_license_tokens",
		"Tokens of a license with tokens, by state: total, user_access (allocated to users), login_access (allocated to rules of login access), or available (not allocated; tokens in quarantine are not available)."+refreshedFromRepository,
		"state")
	licenseExpiryDesc = gaugeDesc("qlik_license_expiry_timestamp_seconds",
		"Unix time at which the license itself ends, not its maintenance. Absent if the license has no end, or if the date cannot be read without doubt."+refreshedFromRepository)
	licenseValidDesc = gaugeDesc("qlik_license_valid",
		"0 if the repository reports that the license is expired, invalid or blacklisted, otherwise 1. Absent if the repository does not say."+refreshedFromRepository)
)

type licensesCollector struct {
	serviceAccounts []qlik.User
	users           *userSelection
}

func newLicensesCollector(config Config, users *userSelection) Collector {
	accounts := slices.Clone(config.ServiceAccounts)
	slices.SortFunc(accounts, qlik.User.Compare)
	return &licensesCollector{serviceAccounts: slices.Compact(accounts), users: users}
}

var errNoLicenses = errors.New("the licenses have not been read from the repository yet")

// Update implements Collector.
func (c *licensesCollector) Update(v *view, w *writer) error {
	known := v.snapshot.Licenses
	if known == nil {
		return errNoLicenses
	}
	if v.snapshot.UsageKnown {
		w.write(licenseUsagePlausibleDesc, boolean(v.snapshot.UsagePlausible))
	}
	if leftover := v.snapshot.LeftoverRows; leftover != nil {
		w.write(leftoverUsageRowsDesc, float64(*leftover))
	}
	users, _ := v.users()
	for i := range users {
		if users[i].Present() {
			writeUserLicense(v, &users[i], w)
		}
	}
	for _, account := range c.serviceAccounts {
		writeServiceAccount(known, account, account.ID, w)
	}
	c.writeCandidates(v.status.Candidates, known, w)
	writeSeats(known, w)
	writeLicense(known, w)
	return nil
}

// writeServiceAccount writes which licenses a service account holds.
func writeServiceAccount(known *qlik.Licenses, account qlik.User, id string, w *writer) {
	for _, license := range qlik.AllocatedLicenses() {
		w.write(serviceAccountLicensedDesc, boolean(known.Holds(account, license)), account.Directory, id, license)
	}
}

// writeCandidates writes the candidates and which licenses they hold. A candidate can be a
// person, so it is named like other users.
func (c *licensesCollector) writeCandidates(candidates []Candidate, known *qlik.Licenses, w *writer) {
	if !c.users.perUser {
		return
	}
	written := make(map[qlik.User]bool)
	for _, candidate := range candidates {
		if slices.Contains(c.serviceAccounts, candidate.User) {
			continue
		}
		id := c.users.namer.id(candidate.User)
		w.write(serviceAccountCandidateDesc, 1, candidate.User.Directory, id, candidate.Source)
		if !written[candidate.User] {
			written[candidate.User] = true
			writeServiceAccount(known, candidate.User, id, w)
		}
	}
}

func writeUserLicense(v *view, user *userRow, w *writer) {
	w.write(userLicenseInfoDesc, 1, user.directory, user.id, user.License)
	if v.snapshot.UsageKnown && v.snapshot.Up() && user.Limited {
		w.write(userLicensedSessionsDesc, float64(user.LicensedSessions), user.directory, user.id)
	}
}

func writeSeats(known *qlik.Licenses, w *writer) {
	for license, seats := range known.Seats {
		for _, number := range []struct {
			desc  *desc
			value *float64
		}{
			{licenseSeatsDesc, seats.Total},
			{licenseSeatsAllocatedDesc, seats.Allocated},
			{licenseSeatsUsedDesc, seats.Used},
			{licenseSeatsAvailableDesc, seats.Available},
			{licenseSeatsExcessDesc, seats.Excess},
			{licenseSeatsQuarantinedDesc, seats.Quarantined},
		} {
			if number.value != nil {
				w.write(number.desc, *number.value, license)
			}
		}
	}
	for license, active := range known.Active {
		for _, window := range qlik.ActiveWindows() {
			w.write(licenseUsersActiveDesc, float64(active[window.Name]), license, window.Name)
		}
	}
	if capacity := known.Capacity; capacity != nil {
		for state, time := range map[string]*time.Duration{"allocated": capacity.Allocated, "unavailable": capacity.Unavailable, "used": capacity.Used} {
			if time != nil {
				w.write(licenseCapacityDesc, time.Seconds(), state)
			}
		}
	}
	if tokens := known.Tokens; tokens != nil {
		for state, number := range map[string]*float64{
			"available": tokens.Available, "login_access": tokens.LoginAccess, "total": tokens.Total, "user_access": tokens.UserAccess,
		} {
			if number != nil {
				w.write(licenseTokensDesc, *number, state)
			}
		}
	}
}

// writeLicense writes the state of the license itself.
func writeLicense(known *qlik.Licenses, w *writer) {
	if known.Valid != nil {
		w.write(licenseValidDesc, boolean(*known.Valid))
	}
	if !known.Expiry.IsZero() {
		w.write(licenseExpiryDesc, seconds(known.Expiry))
	}
}
