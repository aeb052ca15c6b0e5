package qliktest_test

import (
	"maps"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var (
	anna = qlik.NewUser("LAB", "anna")
	bert = qlik.NewUser("LAB", "bert")
)

func seats(total, allocated, used, available, excess, quarantined float64) [6]float64 {
	return [6]float64{total, allocated, used, available, excess, quarantined}
}

func seatsOf(l *qlik.Licenses, license string) [6]float64 {
	s := l.Seats[license]
	return seats(*s.Total, *s.Allocated, *s.Used, *s.Available, *s.Excess, *s.Quarantined)
}

func TestLicensesAreGivenAndTaken(t *testing.T) {
	w := newWorld(t, qliktest.Config{Users: []qliktest.User{
		{Directory: "LAB", ID: "anna"}, {Directory: "LAB", ID: "bert", License: qliktest.Analyzer},
	}})
	refused := w.opens("anna", "laptop", false)
	if got := w.licenses().Of(anna); got != qlik.LicenseNone {
		t.Errorf("anna holds %s", got)
	}
	w.GiveLicense("lab", "Anna", qliktest.Professional)
	if got := w.licenses().Of(anna); got != qlik.LicenseProfessional {
		t.Errorf("anna holds %s", got)
	}
	if !w.granted(refused) || !maps.Equal(w.rows("anna"), map[string]int{qlik.LicenseProfessional: 1}) {
		t.Errorf("anna still has no access: rows %v", w.rows("anna"))
	}

	w.opens("bert", "laptop", true)
	if rows := w.rows("bert"); !maps.Equal(rows, map[string]int{qlik.LicenseAnalyzer: 1}) {
		t.Errorf("rows %v", rows)
	}
	if !w.TakeLicense("LAB", "bert", qliktest.Analyzer) || w.TakeLicense("LAB", "bert", qliktest.Analyzer) || w.TakeLicense("LAB", "nobody", qliktest.Analyzer) {
		t.Error("a license is taken once, from somebody who holds it")
	}
	w.opens("bert", "laptop", true) // the session stays granted
	w.opens("bert", "phone", false)
	l := w.licenses()
	if l.Of(bert) != qlik.LicenseNone || seatsOf(l, qlik.LicenseProfessional) != seats(10, 1, 1, 9, 0, 0) {
		t.Errorf("bert holds %s, seats %v", l.Of(bert), seatsOf(l, qlik.LicenseProfessional))
	}
}

func TestSerialNumberQuarantinesAccess(t *testing.T) {
	w := newWorld(t, qliktest.Config{SerialNumber: true, AnalyzerSeats: 2, Users: []qliktest.User{
		{Directory: "LAB", ID: "anna", License: qliktest.Analyzer, UnusedFor: 5 * 24 * time.Hour},
		{Directory: "LAB", ID: "bert", License: qliktest.Analyzer, UnusedFor: 8 * 24 * time.Hour},
	}})
	w.TakeLicense("LAB", "anna", qliktest.Analyzer)
	w.TakeLicense("LAB", "bert", qliktest.Analyzer)
	l := w.licenses()
	if l.Of(anna) != qlik.LicenseUnknown || l.Of(bert) != qlik.LicenseNone || seatsOf(l, qlik.LicenseAnalyzer) != seats(2, 0, 0, 1, 0, 1) {
		t.Errorf("anna holds %s, bert %s, seats %v", l.Of(anna), l.Of(bert), seatsOf(l, qlik.LicenseAnalyzer))
	}
	w.opens("anna", "laptop", false)
	w.GiveLicense("LAB", "anna", qliktest.Analyzer)
	w.opens("anna", "laptop", true)
	w.TakeLicense("LAB", "anna", qliktest.Analyzer)
	w.clock.Advance(7 * 24 * time.Hour)
	if l := w.licenses(); l.Holders[anna] != 0 {
		t.Error("the quarantine does not end")
	}
	if end := w.licenses().Expiry; !end.Equal(time.Date(2027, 3, 3, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the license file ends at %v", end)
	}
}

func TestLicenseServiceFails(t *testing.T) {
	logs := t.TempDir()
	w := newWorld(t, qliktest.Config{AuditLogDir: logs, CapacityMinutes: 600, Users: []qliktest.User{
		{Directory: "LAB", ID: "anna", License: qliktest.Professional}, {Directory: "LAB", ID: "root", Admin: true},
	}})
	first := w.opens("anna", "laptop", true)
	capacity := w.opens("bert", "laptop", true)
	w.SetLicenseServiceFails(true)
	if !w.granted(first) || w.CanOpen("LAB", "anna") || !w.CanOpen("LAB", "root") {
		t.Error("a granted session stays granted, and only holders of a license are refused")
	}
	second := w.opens("anna", "phone", false)
	w.opens("root", "laptop", true)
	w.clock.Advance(6 * time.Minute)
	if w.granted(capacity) {
		t.Error("minutes without the license service")
	}
	if got, want := w.denials(), (map[string]int{"anna: no license": 1, "bert: no license": 1}); !maps.Equal(got, want) {
		t.Errorf("denials %v, want %v", got, want)
	}
	if got := w.licenses().Of(anna); got != qlik.LicenseProfessional {
		t.Errorf("anna holds %s", got)
	}
	w.SetLicenseServiceFails(false)
	if !w.granted(second) || !w.granted(capacity) {
		t.Error("refused although the license service works again")
	}
}

func TestTwoLicensesAndExcess(t *testing.T) {
	w := newWorld(t, qliktest.Config{AnalyzerSeats: 1, Users: []qliktest.User{
		{Directory: "LAB", ID: "anna", License: qliktest.Professional, Second: qliktest.Analyzer},
		{Directory: "LAB", ID: "bert", License: qliktest.Analyzer},
	}})
	w.opens("anna", "laptop", true)
	l := w.licenses()
	if !l.Holds(anna, qlik.LicenseProfessional) || !l.Holds(anna, qlik.LicenseAnalyzer) || seatsOf(l, qlik.LicenseAnalyzer) != seats(1, 2, 0, 0, 1, 0) {
		t.Errorf("seats %v", seatsOf(l, qlik.LicenseAnalyzer))
	}
	if rows := w.rows("anna"); !maps.Equal(rows, map[string]int{qlik.LicenseProfessional: 1}) {
		t.Errorf("rows %v", rows)
	}
	var access []struct {
		User   struct{ UserID string }
		Excess bool
	}
	w.ask("license/analyzeraccesstype/full", &access)
	if len(access) != 2 || access[0].Excess || !access[1].Excess || access[1].User.UserID != "bert" {
		t.Errorf("%+v", access)
	}
	w.opens("bert", "laptop", false)
	w.TakeLicense("LAB", "anna", qliktest.Professional)
	w.opens("anna", "phone", true)
	if rows := w.rows("anna"); rows[qlik.LicenseAnalyzer] != 1 {
		t.Errorf("the second license is not used: %v", rows)
	}
	w.TakeLicense("LAB", "anna", qliktest.Analyzer)
	w.opens("bert", "laptop", true)
}
