package licenses_test

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/licenses"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestRunningOut checks when seats run out at the rate of the last 91 days.
func TestRunningOut(t *testing.T) {
	const pro, analyzer = qlik.LicenseProfessional, qlik.LicenseAnalyzer
	quarantined := func(a *qlik.Access) { a.Quarantined = new(true) }
	undated := func(a *qlik.Access) { a.Allocated = time.Time{} }
	held := func(days ...int) []qlik.Access {
		var all []qlik.Access
		for i, n := range days {
			all = append(all, neverUsed(string(rune('a'+i)), analyzer, n))
		}
		return all
	}
	for _, test := range []struct {
		name      string
		available *float64
		accesses  []qlik.Access
		lately    int // -1 if it is unknown
		days      int // from now; 0 if there is no forecast
	}{
		{"two in 91 days, four left", new(4.0), held(400, 92, 90, 1), 2, 182},
		{"of another license", new(4.0), append(held(400, 1), neverUsed("x", pro, 2)), 1, 364},
		{"in quarantine", new(4.0), append(held(400, 1), with(neverUsed("x", analyzer, 2), quarantined)), 1, 364},
		{"none lately", new(4.0), held(400, 92), 0, 0},
		{"none left", new(0.0), held(400, 1), 1, 0},
		{"left is unknown", nil, held(400, 1), 1, 0},
		{"more than a year", new(7.0), held(400, 1), 1, 0},
		{"a new site", new(4.0), held(90, 1), -1, 0},
		{"a date is unknown", new(4.0), append(held(400, 1), with(neverUsed("x", analyzer, 2), undated)), -1, 0},
		{"no accesses", new(4.0), nil, -1, 0},
	} {
		question := ask(test.accesses...)
		question.Licenses.Seats = map[string]qlik.Seats{analyzer: {Total: new(10.0), Available: test.available}}
		var of licenses.Total
		for _, total := range licenses.NewReport(question).Licenses {
			if total.License == analyzer {
				of = total
			}
		}
		lately := -1
		if of.Lately != nil {
			lately = *of.Lately
		}
		if lately != test.lately {
			t.Errorf("%s: %d lately, want %d", test.name, lately, test.lately)
		}
		want := time.Time{}
		if test.days > 0 {
			want = now.Add(time.Duration(test.days) * day)
		}
		if !of.RunsOut.Equal(want) {
			t.Errorf("%s: runs out %s, want %s", test.name, of.RunsOut, want)
		}
	}
}

// TestTokensRunningOut checks that an access can take less than a token.
func TestTokensRunningOut(t *testing.T) {
	question := ask(neverUsed("a", qlik.LicenseUser, 400), neverUsed("b", qlik.LicenseUser, 1))
	question.Licenses.Tokens = &qlik.Tokens{UserAccess: new(0.5), Available: new(0.75)}
	report := licenses.NewReport(question)
	if want := now.Add(3 * 91 * day); report.Tokens.Lately == nil || *report.Tokens.Lately != 1 || !report.Tokens.RunsOut.Equal(want) {
		t.Errorf("%+v, want %s", report.Tokens, want)
	}
	for i := range report.Licenses {
		if !report.Licenses[i].RunsOut.IsZero() {
			t.Errorf("user access has no seats: %+v", report.Licenses[i])
		}
	}
	question.Licenses.Tokens.UserAccess = nil
	if report := licenses.NewReport(question); !report.Tokens.RunsOut.IsZero() {
		t.Errorf("without a number of tokens: %+v", report.Tokens)
	}
}
