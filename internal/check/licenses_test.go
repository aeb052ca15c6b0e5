package check_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestLicense checks what is said of the license itself.
func TestLicense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		for answer, want := range map[string]string{
			`{"isExpired":false,"keyDetails":"Valid To: 2031-03-16"}`: "valid; last day 2031-03-16",
			`{"isExpired":false}`: "valid; no end is known",
			`{}`:                  "the repository does not say whether it is valid; no end is known",
		} {
			site.SetRepositoryAnswer("/qrs/license", []byte(answer))
			report := run(t, config)
			if !slices.ContainsFunc(report.Results, func(r check.Result) bool { return r.Step == "license" && r.Mark == check.OK && r.Text == want }) {
				t.Errorf("%s: not %q", answer, want)
			}
		}
	})
}

func TestUsageRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		simulated.NoUsageRows = true
		site, config := start(t, simulated)
		login(t, site, "anna", "laptop", "", "qlik1")
		expect(t, run(t, config), config,
			"warn usage rows qlik1:4242: no rows for 1 session: if this release of Qlik Sense writes none, effective headroom is computed from sessions")
		config.Licenses = false
		expect(t, run(t, config), config)
	})
}

// TestUsageRowsOfCores checks that a license for cores, which has no accesses, is no fault.
func TestUsageRowsOfCores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		simulated.Cores, simulated.Users = 8, nil
		site, config := start(t, simulated)
		login(t, site, "anna", "laptop", "", "qlik1")
		const want = "none, because the license has no accesses: effective headroom is computed from sessions"
		report := run(t, config)
		if !slices.ContainsFunc(report.Results, func(r check.Result) bool { return r.Step == "usage rows" && r.Mark == check.OK && r.Text == want }) {
			t.Errorf("no usage rows %q in %v", want, report.Results)
		}
	})
}

// TestCapacity checks the advice about analyzer capacity, which names the people who live on
// it.
func TestCapacity(t *testing.T) {
	const remedy = ": give analyzer access to those who must work, or order more capacity"
	for _, test := range []struct {
		name           string
		minutes, used  int
		users          []string
		result, advice string
	}{
		{"it lasts", 600, 100, []string{"ben"}, "allocated: analyzer 1 of 10, professional 1 of 10; analyzer capacity: 106 of 600 minutes used", ""},
		{
			"it does not last", 600, 300, nil, "allocated: analyzer 1 of 10, professional 1 of 10; analyzer capacity: 300 of 600 minutes used",
			"at the rate of this month, analyzer capacity is used up about 2000-01-19, and then everybody without an access of their own is refused until new minutes come, about 2000-02-01" + remedy,
		},
		{
			"one user", 600, 300,
			[]string{"ben"},
			"allocated: analyzer 1 of 10, professional 1 of 10; analyzer capacity: 306 of 600 minutes used",
			"at the rate of this month, analyzer capacity is used up about 2000-01-18, and then everybody without an access of their own is refused until new minutes come, about 2000-02-01" + remedy + `; 1 user on it now: LAB\ben`,
		},
		{
			"used up by many", 600, 564,
			[]string{"f", "e", "d", "c", "b", "a"},
			"allocated: analyzer 1 of 10, professional 1 of 10; analyzer capacity: 600 of 600 minutes used",
			"analyzer capacity is used up, so everybody without an access of their own is refused until new minutes come, about 2000-02-01" + remedy + `; 6 users on it now: LAB\a, LAB\b, LAB\c, LAB\d, LAB\e and 1 more`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				simulated := twoNodes()
				simulated.CapacityMinutes, simulated.CapacityUsed = test.minutes, test.used
				site, config := start(t, simulated)
				time.Sleep(9 * 24 * time.Hour)
				for _, id := range test.users {
					login(t, site, id, "laptop", "", "qlik1")
				}
				report := run(t, config)
				expect(t, report, config)
				checkLicenses(t, report, test.result)
				var want []string
				if test.advice != "" {
					want = []string{test.advice}
				}
				if !slices.Equal(report.Advice, want) {
					t.Errorf("got %q, want %q", report.Advice, want)
				}
			})
		})
	}
}

func checkLicenses(t *testing.T, report *check.Report, want string) {
	t.Helper()
	at := slices.IndexFunc(report.Results, func(r check.Result) bool { return r.Step == "licenses" })
	if at < 0 || report.Results[at].Text != want {
		t.Errorf("got %q, want %q", report.Results, want)
	}
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := qliktest.Config{
			Nodes: []qliktest.Node{{Name: "qlik1"}}, Tokens: 20, LoginAccessTokens: 2,
			Users: []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.UserAccess}},
		}
		_, config := start(t, simulated)
		checkLicenses(t, run(t, config), "readable; tokens: 17 of 20 available")
	})
}
