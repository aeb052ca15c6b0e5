package sites

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
)

// TestDenied checks that the sessions page gets the refusals, each with the license in a
// list that was read before it.
func TestDenied(t *testing.T) {
	_, settings := simulated(t, "paris")
	site, err := open(settings, Guarding{}, log.NewNopLogger())
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

// TestRecall checks that a site knows the refusals of the day before its start.
func TestRecall(t *testing.T) {
	_, settings := simulated(t, "paris")
	path := filepath.Join(t.TempDir(), "audit.txt")
	settings.AuditLog = []config.AuditLog{{Node: "paris1", Glob: path}}
	started := time.Now()
	text := "Timestamp\tUserDirectory\tUserId\tMessage\r\n"
	for id, ago := range map[string]time.Duration{"old": 25 * time.Hour, "anna": time.Hour, "later": -time.Minute} {
		text += started.Add(-ago).Format("20060102T150405.000-0700") + "\tLAB\t" + id + "\tAccess was denied, SessionCount: '5', OperationType: 'UsageDenied'\r\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	site, err := open(settings, Guarding{}, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer site.close()
	site.recall(t.Context(), started)
	refused := site.denials.Refused(started)
	if anna := refused[qlik.NewUser("LAB", "anna")]; len(refused) != 1 || len(anna) != 1 || anna[0].Reason != qlik.RefusedSessionLimit {
		t.Errorf("got %v", refused)
	}
}
