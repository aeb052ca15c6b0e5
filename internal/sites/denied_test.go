package sites

import (
	"slices"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
)

// TestDenied checks that the sessions page gets the refusals, each with the license in a
// list that was read before it.
func TestDenied(t *testing.T) {
	_, settings := simulated(t, "paris")
	site, err := open(settings, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer site.close()
	anna := qlik.NewUser("LAB", "anna")
	denied := func(at time.Time) {
		site.denied(auditlog.Denial{Time: at, User: anna, Reason: auditlog.NoLicense})
	}
	first := time.Now()
	denied(first)
	site.Client.Refresh()
	licenses := site.Client.Licenses()
	if licenses == nil {
		t.Fatal("the licenses are not known")
	}
	licenses.Holders[anna] = qlik.NewLicenseSet(qlik.LicenseAnalyzer)
	denied(licenses.ReadAt)
	denied(licenses.ReadAt.Add(time.Millisecond))
	got := site.denials.Refused(licenses.ReadAt.Add(time.Minute))[anna]
	want := []qlik.Refusal{
		{At: licenses.ReadAt.Add(time.Millisecond), Reason: qlik.RefusedNoLicense, License: qlik.LicenseAnalyzer},
		{At: licenses.ReadAt, Reason: qlik.RefusedNoLicense, License: qlik.LicenseUnknown},
		{At: first, Reason: qlik.RefusedNoLicense, License: qlik.LicenseUnknown},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if snapshot := site.Recent.Snapshot(t.Context()); len(snapshot.Refusals[anna]) == 0 {
		t.Error("the snapshot has no refusals")
	}
}
