package collector

import (
	"errors"
	"slices"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const fromAccessLists = " From the repository, which is asked every five minutes."

var (
	userLicenseInfoDesc = gaugeDesc("qlik_user_license_info",
		"Always 1. The license of the user: professional, analyzer, user, login or analyzer_capacity, of several the first of these; none only when that is certain, else unknown."+fromAccessLists,
		"user_directory", "user_id", "license")
	userLicensedSessionsDesc = gaugeDesc("qlik_user_licensed_sessions",
		"Slots that the user occupies by the repository's own records (usage rows), cooling and leftover ones included; up to 15 s old, absent when they could not be read.",
		"user_directory", "user_id")
	licenseUsagePlausibleDesc = gaugeDesc("qlik_license_usage_plausible",
		"0 if usage rows evidently do not reflect sessions, as on a release that does not write them; then they are not used. Absent when they could not be read.")
	serviceAccountLicensedDesc = gaugeDesc("qlik_service_account_licensed",
		"1 if the service account holds a license of that type, which lets its sessions run into the limit."+fromAccessLists,
		"user_directory", "user_id", "license")

	licenseSeatsDesc = gaugeDesc("qlik_license_seats",
		"Accesses of the license that are bought."+fromAccessLists, "license")
	licenseSeatsAllocatedDesc = gaugeDesc("qlik_license_seats_allocated",
		"Accesses of the license that are given to users."+fromAccessLists, "license")
	licenseSeatsUsedDesc = gaugeDesc("qlik_license_seats_used",
		"Accesses of the license that are used by their users."+fromAccessLists, "license")
	licenseSeatsAvailableDesc = gaugeDesc("qlik_license_seats_available",
		"Accesses of the license that are not given to anybody."+fromAccessLists, "license")
	licenseSeatsExcessDesc = gaugeDesc("qlik_license_seats_excess",
		"Accesses of the license that are given beyond what was bought."+fromAccessLists, "license")
	licenseSeatsQuarantinedDesc = gaugeDesc("qlik_license_seats_quarantined",
		"Accesses of the license that are taken away and not yet available."+fromAccessLists, "license")
	licenseUsersActiveDesc = gaugeDesc("qlik_license_users_active",
		"Users whose access was used within the window."+fromAccessLists,
		"license", "window")
	licenseCapacityDesc = gaugeDesc("qlik_license_capacity_seconds",
		"Analyzer capacity of the current period: allocated, used, unavailable."+fromAccessLists,
		"state")
	licenseExpiryDesc = gaugeDesc("qlik_license_expiry_timestamp_seconds",
		"End of the license, where its text names one."+fromAccessLists)
)

type licensesCollector struct {
	serviceAccounts []qlik.User
}

func newLicensesCollector(config Config, _ *userSelection) Collector {
	accounts := slices.Clone(config.ServiceAccounts)
	slices.SortFunc(accounts, qlik.User.Compare)
	return &licensesCollector{serviceAccounts: slices.Compact(accounts)}
}

var errNoLicenses = errors.New("the repository has not told who holds licenses yet")

// Update implements Collector.
func (c *licensesCollector) Update(v *view, w *writer) error {
	known := v.snapshot.Licenses
	if known == nil {
		return errNoLicenses
	}
	if v.snapshot.UsageKnown {
		w.write(licenseUsagePlausibleDesc, boolean(v.snapshot.UsagePlausible))
	}
	for i := range v.users {
		if v.users[i].Present() {
			writeUserLicense(v, &v.users[i], w)
		}
	}
	for _, account := range c.serviceAccounts {
		for _, license := range qlik.AllocatedLicenses() {
			w.write(serviceAccountLicensedDesc, boolean(known.Holds(account, license)), account.Directory, account.ID, license)
		}
	}
	writeSeats(known, w)
	return nil
}

func writeUserLicense(v *view, user *userRow, w *writer) {
	w.write(userLicenseInfoDesc, 1, user.directory, user.id, user.License)
	if v.snapshot.UsageKnown && v.snapshot.Up() && user.Limited {
		w.write(userLicensedSessionsDesc, float64(user.LicensedSessions), user.directory, user.id)
	}
}

func writeSeats(known *qlik.Licenses, w *writer) {
	for license, seats := range known.Seats {
		w.write(licenseSeatsDesc, seats.Total, license)
		w.write(licenseSeatsAllocatedDesc, seats.Allocated, license)
		w.write(licenseSeatsUsedDesc, seats.Used, license)
		w.write(licenseSeatsAvailableDesc, seats.Available, license)
		w.write(licenseSeatsExcessDesc, seats.Excess, license)
		w.write(licenseSeatsQuarantinedDesc, seats.Quarantined, license)
	}
	for license, active := range known.Active {
		for _, window := range qlik.ActiveWindows() {
			w.write(licenseUsersActiveDesc, float64(active[window.Name]), license, window.Name)
		}
	}
	if capacity := known.Capacity; capacity != nil {
		w.write(licenseCapacityDesc, capacity.Allocated.Seconds(), "allocated")
		w.write(licenseCapacityDesc, capacity.Unavailable.Seconds(), "unavailable")
		w.write(licenseCapacityDesc, capacity.Used.Seconds(), "used")
	}
	if !known.Expiry.IsZero() {
		w.write(licenseExpiryDesc, seconds(known.Expiry))
	}
}
