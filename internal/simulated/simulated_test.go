package simulated_test

import (
	"context"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/simulated"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var _ ending.Site = (*simulated.Site)(nil)

// TestWatch checks that what is observed of a day is what happened.
func TestWatch(t *testing.T) {
	t.Parallel()
	site := simulated.Start(t, qliktest.Company(100), headroom.Config{})
	office := qliktest.NewOffice(site.Site, 1)
	looks := 0
	var last *headroom.Snapshot
	site.Watch(office, simulated.Monday.AddDate(0, 0, 2), 30*time.Second, func(snapshot *headroom.Snapshot) {
		looks++
		last = snapshot
		if !snapshot.Complete() || !snapshot.UsageKnown || !snapshot.UsagePlausible {
			t.Fatalf("%s: complete %t, rows known %t, plausible %t", snapshot.Time, snapshot.Complete(), snapshot.UsageKnown, snapshot.UsagePlausible)
		}
		if n := len(site.Site.Sessions()); n != len(snapshot.Sessions) {
			t.Fatalf("%s: %d of %d sessions", snapshot.Time, len(snapshot.Sessions), n)
		}
	})
	started := uint64(0)
	for _, n := range last.Tracking.Started {
		started += n
	}
	refused := last.Tracking.Refused[string(qlik.RefusedSessionLimit)]
	t.Logf("%d looks: %d of %d logins refused, seen %d of %d", looks, office.Refused(), office.Logins(), refused, started)
	if looks > 2*12*60*2 {
		t.Errorf("%d looks, also at night", looks)
	}
	if n := uint64(office.Logins()); started < n*97/100 || started > n {
		t.Errorf("%d of %d logins seen", started, n)
	}
	if n := uint64(office.Refused()); n < 30 || refused < n*95/100 || refused > n {
		t.Errorf("%d of %d refused logins seen", refused, n)
	}
}

func TestEndSession(t *testing.T) {
	t.Parallel()
	site := simulated.Start(t, qliktest.Config{Users: []qliktest.User{{Directory: "LAB", ID: "Ann", License: qliktest.Analyzer}}}, headroom.Config{})
	if _, err := site.Site.Login("LAB", "Ann", "laptop", "", ""); err != nil {
		t.Fatal(err)
	}
	before := site.Snapshot()
	if len(before.Sessions) != 1 || len(before.Usage()) != 1 || before.Of(qlik.NewUser("lab", "ann")).License != qlik.LicenseAnalyzer {
		t.Fatalf("%d sessions, %d with rows", len(before.Sessions), len(before.Usage()))
	}
	for _, want := range []bool{true, false} {
		ended, err := site.EndSession(context.Background(), before, before.Sessions[0].ID)
		if err != nil || ended != want {
			t.Errorf("ended: %t, %v", ended, err)
		}
	}
	if after := site.ReadNow(context.Background()); len(after.Sessions) != 0 || !after.UsageKnown {
		t.Errorf("%d sessions", len(after.Sessions))
	}
}
