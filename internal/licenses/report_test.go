package licenses_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/licenses"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const day = 24 * time.Hour

var now = time.Date(2026, 3, 11, 12, 0, 0, 0, time.UTC)

func user(id string) qlik.User { return qlik.NewUser("LAB", id) }

func used(id, license string, daysAgo int) qlik.Access {
	return qlik.Access{
		User: user(id), License: license, LastUsed: now.Add(-time.Duration(daysAgo) * day), Allocated: now.Add(-400 * day),
		Excess: new(false), Quarantined: new(false),
	}
}

func neverUsed(id, license string, heldFor int) qlik.Access {
	access := used(id, license, 0)
	access.LastUsed, access.NeverUsed, access.Allocated = time.Time{}, true, now.Add(-time.Duration(heldFor)*day)
	return access
}

// with returns an access after a change.
func with(access qlik.Access, change func(*qlik.Access)) qlik.Access {
	change(&access)
	return access
}

func read() *qlik.Licenses {
	return &qlik.Licenses{Active: map[string]map[string]int{qlik.LicenseProfessional: {}, qlik.LicenseAnalyzer: {}, qlik.LicenseUser: {}}, Certain: true}
}

func ask(accesses ...qlik.Access) *licenses.Question {
	return &licenses.Question{
		Licenses: read(), Accesses: accesses, Former: map[qlik.User]qlik.UserState{}, Refused: map[qlik.User]time.Time{},
		Unused: 90 * day, Costs: map[string]float64{qlik.LicenseProfessional: 70, qlik.LicenseAnalyzer: 25.1}, Now: now,
	}
}

// lines describes the users of a report: id, license, findings, whether the seat is wasted.
func lines(r *licenses.Report) string {
	var all []string
	for i := range r.Users {
		h := &r.Users[i]
		line := fmt.Sprintf("%s %s: %s", h.ID, h.License, h.Text(" "))
		if h.Wasted {
			line += " wasted"
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

func TestFindings(t *testing.T) {
	const pro, analyzer = qlik.LicenseProfessional, qlik.LicenseAnalyzer
	quarantined := func(a *qlik.Access) { a.Quarantined = new(true) }
	excess := func(a *qlik.Access) { a.Excess = new(true) }
	for _, test := range []struct {
		name     string
		question *licenses.Question
		change   func(*licenses.Question)
		want     string
	}{
		{"in use", ask(used("anna", pro, 0), used("bert", analyzer, 89)), nil, "anna professional: \nbert analyzer: "},
		{"unused since exactly 90 days", ask(used("anna", pro, 90)), nil, "anna professional: unused wasted"},
		{"another number of days", ask(used("anna", pro, 30)), func(q *licenses.Question) { q.Unused = 30 * day }, "anna professional: unused wasted"},
		{"never used", ask(neverUsed("anna", pro, 90)), nil, "anna professional: never_used wasted"},
		{"never used, and given recently", ask(neverUsed("anna", pro, 89)), nil, "anna professional: never_used"},
		{"never used, and nobody says since when", ask(with(neverUsed("anna", pro, 0), func(a *qlik.Access) { a.Allocated = time.Time{} })), nil, "anna professional: never_used wasted"},
		{"the last use is unknown", ask(with(used("anna", pro, 0), func(a *qlik.Access) { a.LastUsed = time.Time{} })), nil, "anna professional: "},
		{"nothing is known", ask(qlik.Access{User: user("anna"), License: pro}), nil, "anna professional: "},
		{"two licenses: the lesser is wasted", ask(used("anna", analyzer, 0), used("anna", pro, 0)), nil, "anna analyzer: two_licenses wasted\nanna professional: two_licenses"},
		{"two licenses: the one that is not used is wasted", ask(used("anna", analyzer, 0), neverUsed("anna", pro, 90)), nil, "anna analyzer: two_licenses\nanna professional: never_used two_licenses wasted"},
		{"two licenses: the greater one is new", ask(used("anna", analyzer, 0), neverUsed("anna", pro, 1)), nil, "anna analyzer: two_licenses wasted\nanna professional: never_used two_licenses"},
		{"two licenses, neither is used", ask(used("anna", analyzer, 100), used("anna", pro, 100)), nil, "anna analyzer: unused two_licenses wasted\nanna professional: unused two_licenses wasted"},
		{"one of two in excess: the other one serves", ask(used("anna", analyzer, 0), with(used("anna", pro, 0), excess)), nil, "anna analyzer: two_licenses\nanna professional: two_licenses excess"},
		{"one of two in quarantine", ask(used("anna", analyzer, 0), with(used("anna", pro, 0), quarantined)), nil, "anna analyzer: \nanna professional: quarantined"},
		{"a seat in quarantine is given back", ask(with(neverUsed("anna", pro, 200), quarantined)), nil, "anna professional: quarantined"},
		{"a seat in excess was not bought", ask(with(used("anna", pro, 200), excess)), nil, "anna professional: unused excess"},
		{"users who left", ask(used("anna", pro, 0), used("bert", pro, 0), with(used("carla", pro, 0), func(a *qlik.Access) { a.Deleted = true }), used("dora", pro, 200)), func(q *licenses.Question) {
			q.Former = map[qlik.User]qlik.UserState{user("anna"): {Removed: true, Inactive: true}, user("bert"): {Inactive: true}, user("dora"): {Removed: true}}
		}, "anna professional: removed wasted\nbert professional: inactive wasted\ncarla professional: deleted wasted\ndora professional: unused removed wasted"},
		{"a new user with the id of a deleted one", ask(used("anna", analyzer, 0), with(used("anna", pro, 5), func(a *qlik.Access) { a.Deleted = true })), func(q *licenses.Question) {
			q.Refused = map[qlik.User]time.Time{user("anna"): now}
		}, "anna analyzer: refused\nanna professional: deleted wasted"},
		{"a new user with the id of a deleted one, refused for want of a license", ask(with(used("anna", pro, 5), func(a *qlik.Access) { a.Deleted = true })), func(q *licenses.Question) {
			q.Refused = map[qlik.User]time.Time{user("anna"): now}
		}, "anna professional: deleted wasted\nanna none: refused"},
		{"refused", ask(used("bert", pro, 0), with(used("carla", pro, 0), excess)), func(q *licenses.Question) {
			q.Refused = map[qlik.User]time.Time{user("anna"): now, user("bert"): now, user("carla"): now, qlik.AnonymousUser: now}
		}, "anna none: refused\nbert professional: refused\ncarla professional: excess refused\nanonymous : refused"},
		{"refused, where capacity may serve", ask(), func(q *licenses.Question) {
			q.Licenses.Certain, q.Refused = false, map[qlik.User]time.Time{user("anna"): now}
		}, "anna : refused"},
		{"no license of users", ask(), nil, ""},
	} {
		if test.change != nil {
			test.change(test.question)
		}
		if got := lines(licenses.NewReport(test.question)); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
}

// object returns a value as a generic JSON object without some keys.
func object(t *testing.T, value any, without ...string) map[string]any {
	t.Helper()
	document, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]any)
	if err := json.Unmarshal(document, &all); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(all, func(key string, _ any) bool { return slices.Contains(without, key) })
	return all
}

func TestTotals(t *testing.T) {
	const pro, analyzer = qlik.LicenseProfessional, qlik.LicenseAnalyzer
	q := ask(used("anna", pro, 0), used("bert", pro, 100), used("carla", analyzer, 0), used("carla", pro, 0), neverUsed("dora", analyzer, 100),
		with(used("emil", analyzer, 1), func(a *qlik.Access) { a.Quarantined = new(true) }),
		with(used("fritz", analyzer, 1), func(a *qlik.Access) { a.LastUsed, a.Excess = time.Time{}, nil }),
		neverUsed("gina", analyzer, 100))
	q.Licenses.Seats = map[string]qlik.Seats{pro: {Total: new(10.0), Available: new(7.0), Excess: new(0.0), Quarantined: new(5.0)}}
	q.Former[user("anna")] = qlik.UserState{Removed: true}
	r := licenses.NewReport(q)
	if len(r.Licenses) != 2 {
		t.Fatalf("%d licenses", len(r.Licenses))
	}
	for i, want := range []map[string]any{
		{ // the overview says how many are in quarantine
			"license": pro, "seats": 10.0, "available": 7.0, "excess": 0.0, "quarantined": 5.0, "held": 3.0, "never_used": 0.0, "unused": 1.0, "allocated_lately": 0.0,
			"last_use_unknown": 0.0, "user_left": 1.0, "two_licenses": 1.0, "wasted": 2.0, "seat_cost": 70.0, "wasted_cost": 140.0,
		},
		{ // nobody says how many are in excess
			"license": analyzer, "quarantined": 1.0, "held": 4.0, "never_used": 2.0, "unused": 0.0, "allocated_lately": 0.0,
			"last_use_unknown": 1.0, "user_left": 0.0, "two_licenses": 1.0, "wasted": 3.0, "seat_cost": 25.1, "wasted_cost": 75.3,
		},
	} {
		if got := object(t, r.Licenses[i]); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
}

// TestUnknownIsAbsent checks that what the repository does not say has no number.
func TestUnknownIsAbsent(t *testing.T) {
	const pro = qlik.LicenseProfessional
	for name, test := range map[string]struct {
		change func(*licenses.Question)
		want   map[string]any
	}{
		"the list cannot be read": {
			func(q *licenses.Question) {
				q.Accesses = nil
				delete(q.Licenses.Active, pro)
				q.Licenses.Seats = map[string]qlik.Seats{pro: {Total: new(10.0)}}
			},
			map[string]any{"license": pro, "seats": 10.0, "seat_cost": 70.0},
		},
		"the list says nothing but names": {
			func(q *licenses.Question) { q.Accesses = []qlik.Access{{User: user("anna"), License: pro}} },
			map[string]any{"license": pro, "held": 1.0, "last_use_unknown": 1.0, "user_left": 0.0, "two_licenses": 0.0, "wasted": 0.0, "seat_cost": 70.0, "wasted_cost": 0.0},
		},
		"the users cannot be read": {
			func(q *licenses.Question) { q.Former, q.Costs = nil, nil },
			map[string]any{
				"license": pro, "held": 1.0, "never_used": 0.0, "unused": 0.0, "last_use_unknown": 0.0, "two_licenses": 0.0, "excess": 0.0, "quarantined": 0.0, "wasted": 0.0,
				"allocated_lately": 0.0,
			},
		},
	} {
		q := ask(used("anna", pro, 0))
		test.change(q)
		r := licenses.NewReport(q)
		if len(r.Licenses) != 1 {
			t.Fatalf("%s: %d licenses", name, len(r.Licenses))
		}
		if got := object(t, r.Licenses[0]); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got  %v\nwant %v", name, got, test.want)
		}
	}
	// A holder of whom nothing is known.
	q := ask(qlik.Access{User: user("anna"), License: pro})
	q.Former, q.Refused = nil, nil
	r := licenses.NewReport(q)
	want := map[string]any{"user_directory": "LAB", "user_id": "anna", "license": pro, "findings": []any{}, "wasted": false}
	if got := object(t, r.Users[0]); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	got := object(t, r, "time", "users", "licenses", "unused_days")
	if want := map[string]any{"complete": true, "unread": []any{}, "left_out": []any{}, "refusals_known": false}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestCapacity checks the forecast. The month is that of the time zone.
func TestCapacity(t *testing.T) {
	minutes := func(n float64) *time.Duration { return new(time.Duration(n * float64(time.Minute))) }
	berlin := time.FixedZone("CET", 3600)
	noon := time.Date(2026, 3, 11, 0, 0, 0, 0, berlin) // after ten days
	for _, test := range []struct {
		name            string
		allocated, used *time.Duration
		now             time.Time
		forecast        licenses.Forecast
		runsOut         string
	}{
		{"at half in a third of the month", minutes(1000), minutes(500), noon, licenses.RunsOut, "2026-03-20T23:00:00Z"},
		{"just enough", minutes(1000), minutes(322), noon, licenses.Lasts, ""},
		{"just not enough", minutes(1000), minutes(323), noon, licenses.RunsOut, "2026-03-31T22:02:02Z"},
		{"unused", minutes(1000), minutes(0), noon, licenses.Lasts, ""},
		{"used up", minutes(1000), minutes(1000), noon, licenses.UsedUp, ""},
		{"less than a unit is left", minutes(1000), minutes(995), noon, licenses.UsedUp, ""},
		{"more is used than there is", minutes(1000), minutes(1010), noon, licenses.UsedUp, ""},
		{"none at all", minutes(0), minutes(0), noon, "", ""},
		{"the first days count as a week", minutes(1000), minutes(500), time.Date(2026, 3, 2, 0, 0, 0, 0, berlin), licenses.RunsOut, "2026-03-08T23:00:00Z"},
		{"the use is unknown", minutes(1000), nil, noon, "", ""},
		{"the capacity is unknown", nil, minutes(10), noon, "", ""},
		{"a huge capacity", minutes(50_000_000), minutes(1), noon, licenses.Lasts, ""},
		{"a huge use", minutes(52_000_000), minutes(51_000_000), noon, licenses.RunsOut, "2026-03-11T03:42:21Z"},
	} {
		q := ask()
		q.Now = test.now
		q.Licenses.Capacity = &qlik.Capacity{Allocated: test.allocated, Used: test.used}
		c := licenses.NewReport(q).Capacity
		runsOut := ""
		if !c.RunsOut.IsZero() {
			runsOut = c.RunsOut.Format(time.RFC3339)
		}
		if c.Forecast != test.forecast || runsOut != test.runsOut || !c.Resets.Equal(time.Date(2026, 4, 1, 0, 0, 0, 0, berlin)) {
			t.Errorf("%s: got %q %q, resets %s", test.name, c.Forecast, runsOut, c.Resets)
		}
		if (c.Left == nil) != (test.allocated == nil || test.used == nil) {
			t.Errorf("%s: left %v", test.name, c.Left)
		}
	}
	if licenses.NewReport(ask()).Capacity != nil {
		t.Error("capacity of a license without")
	}
}
