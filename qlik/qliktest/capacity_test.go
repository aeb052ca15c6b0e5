package qliktest_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// used returns the used minutes of the current month.
func (w *world) used() int {
	w.t.Helper()
	capacity := w.licenses().Capacity
	if capacity == nil {
		w.t.Fatal("the license has no capacity")
	}
	return int(*capacity.Used / time.Minute)
}

func (w *world) wantUsed(want int) {
	w.t.Helper()
	if got := w.used(); got != want {
		w.t.Errorf("%d minutes used, want %d", got, want)
	}
}

func TestCapacityIsUsedInUnits(t *testing.T) {
	w := newWorld(t, qliktest.Config{CapacityMinutes: 600})
	w.wantUsed(0)
	laptop := w.opens("anna", "laptop", true)
	w.wantUsed(6)
	w.clock.Advance(5 * time.Minute)
	w.granted(laptop)
	w.wantUsed(6)
	w.opens("anna", "phone", true) // another device
	w.wantUsed(12)
	w.clock.Advance(time.Minute)
	w.wantUsed(12) // idle
	w.granted(laptop)
	w.wantUsed(18)
	if rows := w.rows("anna"); !maps.Equal(rows, map[string]int{qlik.LicenseAnalyzerCapacity: 2}) {
		t.Errorf("rows %v", rows)
	}
	l := w.licenses()
	if l.Of(anna) != qlik.LicenseUnknown || *l.Capacity.Allocated != 10*time.Hour || *l.Capacity.Unavailable != 0 {
		t.Errorf("anna holds %s; capacity %v", l.Of(anna), *l.Capacity)
	}
}

func TestCapacityRunsOut(t *testing.T) {
	w := newWorld(t, qliktest.Config{CapacityMinutes: 100, CapacityUsed: 82, Users: []qliktest.User{
		{Directory: "LAB", ID: "bert", License: qliktest.Analyzer},
	}})
	anna := w.opens("anna", "laptop", true)
	w.clock.Advance(6 * time.Minute)
	if !w.granted(anna) {
		t.Error("refused with 12 minutes left")
	}
	w.opens("carla", "laptop", true)
	w.wantUsed(100)
	w.opens("dora", "laptop", false)
	w.clock.Advance(5 * time.Minute)
	if !w.granted(anna) {
		t.Error("refused within a unit")
	}
	w.clock.Advance(time.Minute)
	if w.granted(anna) || len(w.rows("anna")) != 0 || w.CanOpen("LAB", "anna") {
		t.Error("access without minutes")
	}
	w.opens("bert", "laptop", true) // combined: holders of a license need no minutes
	w.clock.Set(time.Date(2026, 3, 31, 23, 59, 0, 0, time.UTC))
	w.opens("anna", "laptop", false)
	w.clock.Advance(time.Minute)
	w.wantUsed(0)
	w.opens("anna", "laptop", true)
	w.wantUsed(6)
}

func TestGivenLicenseReplacesCapacity(t *testing.T) {
	w := newWorld(t, qliktest.Config{CapacityMinutes: 6})
	session := w.opens("anna", "laptop", true)
	w.GiveLicense("LAB", "anna", qliktest.Analyzer)
	w.clock.Advance(6 * time.Minute)
	if !w.granted(session) || !maps.Equal(w.rows("anna"), map[string]int{qlik.LicenseAnalyzer: 1}) {
		t.Errorf("rows %v", w.rows("anna"))
	}
}

func TestLimitOfCapacityUsers(t *testing.T) {
	for _, unlimited := range []bool{false, true} {
		w := newWorld(t, qliktest.Config{CapacityMinutes: 600, NoLimitForCapacity: unlimited})
		for i := range 5 {
			w.opens("anna", fmt.Sprint("browser ", i), true)
		}
		if w.CanOpen("LAB", "anna") != unlimited {
			t.Errorf("unlimited %v: CanOpen is wrong", unlimited)
		}
		w.opens("anna", "one more", unlimited)
	}
}

func TestAnonymousUsersUseCapacity(t *testing.T) {
	w := newWorld(t, qliktest.Config{CapacityMinutes: 6, VirtualProxies: []qliktest.VirtualProxy{{AnonymousAccess: 2}}})
	for i, want := range []bool{true, false} {
		session, err := w.Login("NONE", fmt.Sprint("anonymous", i), "browser", "", "")
		if err != nil || session.Granted != want {
			t.Errorf("visitor %d: granted %v, error %v", i, session.Granted, err)
		}
	}
}

func TestCapacityNeedsASignedKey(t *testing.T) {
	if site, err := qliktest.Start(qliktest.Config{CapacityMinutes: 6, SerialNumber: true}); err == nil {
		site.Close()
		t.Error("started")
	}
}
