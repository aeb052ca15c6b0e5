package collector

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const fromAccessLists = " From the repository, which is asked every five minutes."

var (
	userLicenseInfo = userGauge("user_license_info",
		"Always 1. The licence of the user: professional, analyzer, user, login or analyzer_capacity, of several the first of these; none only when that is certain, else unknown."+fromAccessLists)
	userLicensedSessions = userGauge("user_licensed_sessions",
		"Slots that the user occupies by the repository's own records (usage rows), cooling and leftover ones included; up to 15 s old, absent when they could not be read.")
	licenseUsagePlausible = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "license", "usage_plausible"),
		"0 if usage rows evidently do not reflect sessions, as on a release that does not write them; then they are not used. Absent when they could not be read.",
		nil, nil)
	serviceAccountLicensed = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "service_account", "licensed"),
		"1 if the service account holds a licence of that type, which lets its sessions run into the limit."+fromAccessLists,
		append([]string{licenseName}, userLabels...), nil)
	licenseSeats            = seatsDesc("", "bought")
	licenseSeatsAllocated   = seatsDesc("_allocated", "given to users")
	licenseSeatsUsed        = seatsDesc("_used", "used by their users")
	licenseSeatsAvailable   = seatsDesc("_available", "not given to anybody")
	licenseSeatsExcess      = seatsDesc("_excess", "given beyond what was bought")
	licenseSeatsQuarantined = seatsDesc("_quarantined", "taken away and not yet available")
	licenseUsersActive      = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "license", "users_active"),
		"Users whose access was used within the window."+fromAccessLists,
		[]string{licenseName, "window"}, nil)
	licenseCapacity = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "license", "capacity_seconds"),
		"Analyzer capacity of the current period: allocated, used, unavailable."+fromAccessLists,
		[]string{"state"}, nil)
	licenseExpiry = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "license", "expiry_timestamp_seconds"),
		"End of the licence, where its text names one."+fromAccessLists,
		nil, nil)
)

func seatsDesc(suffix, meaning string) *prometheus.Desc {
	return prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "license", "seats"+suffix),
		"Accesses of the licence that are "+meaning+"."+fromAccessLists,
		[]string{licenseName}, nil)
}

type licenses struct {
	serviceAccounts []qlik.User
}

var _ Collector = (*licenses)(nil)

func newLicenses(config Config, _ *userSelection) Collector {
	accounts := slices.Clone(config.ServiceAccounts)
	slices.SortFunc(accounts, qlik.User.Compare)
	return &licenses{serviceAccounts: slices.Compact(accounts)}
}

// Describe implements Collector.
func (*licenses) Describe(ch chan<- *prometheus.Desc) {
	ch <- userLicenseInfo.desc
	ch <- userLicensedSessions.desc
	for _, desc := range []*prometheus.Desc{
		licenseUsagePlausible, serviceAccountLicensed,
		licenseSeats, licenseSeatsAllocated, licenseSeatsUsed, licenseSeatsAvailable, licenseSeatsExcess, licenseSeatsQuarantined,
		licenseUsersActive, licenseCapacity, licenseExpiry,
	} {
		ch <- desc
	}
}

var errNoLicenses = errors.New("the repository has not told who holds licences yet")

// Update implements Collector.
func (c *licenses) Update(_ context.Context, v *view, ch chan<- prometheus.Metric) error {
	known := v.snapshot.Licenses
	if known == nil {
		return errNoLicenses
	}
	if v.snapshot.UsageKnown {
		ch <- gauge(licenseUsagePlausible, boolean(v.snapshot.UsagePlausible))
		if v.snapshot.Up() {
			v.addUsers(userLicensedSessions, func(u *userRow) (float64, bool) {
				return float64(u.LicensedSessions), u.Limited && u.Present()
			})
		}
	}
	addLicenseInfo(v)
	for _, account := range c.serviceAccounts {
		for _, license := range qlik.AllocatedLicenses() {
			ch <- gauge(serviceAccountLicensed, boolean(known.Holds(account, license)), license, account.Directory, account.ID)
		}
	}
	sendSeats(known, ch)
	return nil
}

// addLicenseInfo adds the users licence by licence, since that label is the first
// in the order.
func addLicenseInfo(v *view) {
	byLicense := make(map[string][]*userRow)
	for i := range v.users {
		if v.users[i].Present() {
			byLicense[v.users[i].License] = append(byLicense[v.users[i].License], &v.users[i])
		}
	}
	family := v.family(userLicenseInfo)
	labels := make([]*dto.LabelPair, 0, len(v.users)*(1+len(userLabels))) // of all of them, in one piece of memory
	for _, name := range slices.Sorted(maps.Keys(byLicense)) {
		license := &dto.LabelPair{Name: &licenseName, Value: &name}
		for _, user := range byLicense[name] {
			labels = append(append(labels, license), user.labels...)
			family.add(1, labels[len(labels)-1-len(userLabels):])
		}
	}
}

func sendSeats(known *qlik.Licenses, ch chan<- prometheus.Metric) {
	for _, license := range slices.Sorted(maps.Keys(known.Seats)) {
		seats := known.Seats[license]
		ch <- gauge(licenseSeats, seats.Total, license)
		ch <- gauge(licenseSeatsAllocated, seats.Allocated, license)
		ch <- gauge(licenseSeatsUsed, seats.Used, license)
		ch <- gauge(licenseSeatsAvailable, seats.Available, license)
		ch <- gauge(licenseSeatsExcess, seats.Excess, license)
		ch <- gauge(licenseSeatsQuarantined, seats.Quarantined, license)
	}
	for _, license := range slices.Sorted(maps.Keys(known.Active)) {
		for _, window := range qlik.ActiveWindows() {
			ch <- gauge(licenseUsersActive, float64(known.Active[license][window.Name]), license, window.Name)
		}
	}
	if capacity := known.Capacity; capacity != nil {
		ch <- gauge(licenseCapacity, capacity.Allocated.Seconds(), "allocated")
		ch <- gauge(licenseCapacity, capacity.Unavailable.Seconds(), "unavailable")
		ch <- gauge(licenseCapacity, capacity.Used.Seconds(), "used")
	}
	if !known.Expiry.IsZero() {
		ch <- timestamp(licenseExpiry, known.Expiry)
	}
}
