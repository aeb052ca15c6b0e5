package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/rivo/uniseg"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/licenses"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

const aDay = 24 * time.Hour

// licenseDesk is a simulated site together with the command that shows its licenses.
type licenseDesk struct {
	*qliktest.Site
	licensesCommand

	client   *qlik.Client
	labels   collector.UserLabels
	refused  map[qlik.User]time.Time
	out, err bytes.Buffer
}

// atNoon is the time at which the sites start.
var atNoon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// newDesk starts a site. It must run in a bubble.
func newDesk(t *testing.T, config qliktest.Config) *licenseDesk {
	t.Helper()
	time.Sleep(time.Until(atNoon))
	config.InMemory = true
	config.AuditLogDir = t.TempDir()
	site, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	dir := t.TempDir()
	if err := site.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	client, err := qlik.NewClient(qlik.Config{Hosts: []string{"qlik1"}, CertDir: dir, DialContext: site.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.Reload(); err != nil {
		t.Fatal(err)
	}
	return &licenseDesk{
		Site: site, client: client, labels: collector.UserLabels{Mode: collector.UserLabelsPlain},
		licensesCommand: licensesCommand{format: formatCSV, unused: 90 * aDay, all: true},
	}
}

// show returns the output of the command.
func (d *licenseDesk) show(t *testing.T) string {
	t.Helper()
	d.out.Reset()
	d.err.Reset()
	question := &licenses.Question{
		Refused: d.refused, Unused: d.unused, Costs: map[string]float64{qlik.LicenseProfessional: 70, qlik.LicenseAnalyzer: 25.5, qlik.LicenseUser: 40}, Now: time.Now().UTC(),
	}
	report, err := readLicenses(t.Context(), d.client, question, &sentences{out: &d.err, said: make(map[string]bool)})
	if err == nil {
		err = d.write(Streams{Out: &d.out, Err: &d.err}, report, d.labels)
	}
	if err != nil && !errors.Is(err, ErrIncomplete) {
		t.Fatal(err)
	}
	return d.out.String()
}

const licensesHeader = "user_directory,user_id,name,license,allocated,last_used,never_used,unused_days,excess,quarantined,quarantine_end,user_state,last_refused,findings,wasted,wasted_cost\n"

// company is a list of users who cover every finding. The license is that of all users but
// one.
func company(license qliktest.License, second qliktest.License) []qliktest.User {
	user := func(id string, heldFor, unusedFor int) qliktest.User { // in days
		return qliktest.User{
			Directory: "LAB", ID: id, Name: strings.ToUpper(id[:1]) + id[1:], License: license,
			HeldFor: time.Duration(heldFor) * aDay, UnusedFor: time.Duration(unusedFor) * aDay,
		}
	}
	users := []qliktest.User{
		user("active", 400, 1), user("deleted", 400, 2), user("formula", 400, 3), user("future", 400, 0), user("inactive", 400, 4), user("missing", 400, 0),
		user("never", 400, 0), user("newcomer", 5, 0), user("null", 400, 0), user("removed", 400, 200), user("two", 400, 1), user("unused", 400, 90), user("yearone", 400, 0),
	}
	for i := range users {
		switch u := &users[i]; u.ID {
		case "deleted":
			u.Deleted = true
		case "formula":
			u.Name = "=HYPERLINK(\"http://x\")"
		case "future":
			u.LastUsed = "2031-01-01T00:00:00.000Z"
		case "inactive":
			u.Inactive = true
		case "missing":
			u.LastUsed = qliktest.Missing
		case "null":
			u.LastUsed = qliktest.Null
		case "removed":
			u.RemovedExternally = true
		case "two":
			u.Second = second
		case "yearone":
			u.LastUsed = "0001-01-01T00:00:00.000Z"
		}
	}
	return append(users, qliktest.User{Directory: "LAB", ID: "stranger", Name: "Stranger"})
}

// companyCSV are the lines of the company, if no access is in excess.
func companyCSV(license, cost string) string {
	lines := `LAB,active,Active,LICENSE,2025-10-16T12:00:00Z,2026-11-19T12:00:00Z,false,1,false,false,,active,,,false,
LAB,deleted,Deleted,LICENSE,2025-10-16T12:00:00Z,2026-11-18T12:00:00Z,false,2,false,false,,deleted,,deleted,true,COST
LAB,formula,"'=HYPERLINK(""http://x"")",LICENSE,2025-10-16T12:00:00Z,2026-11-17T12:00:00Z,false,3,false,false,,active,,,false,
LAB,future,Future,LICENSE,2025-10-16T12:00:00Z,,,,false,false,,active,,,false,
LAB,inactive,Inactive,LICENSE,2025-10-16T12:00:00Z,2026-11-16T12:00:00Z,false,4,false,false,,inactive,,inactive,true,COST
LAB,missing,Missing,LICENSE,2025-10-16T12:00:00Z,,,,false,false,,active,,,false,
LAB,never,Never,LICENSE,2025-10-16T12:00:00Z,,true,400,false,false,,active,,never_used,true,COST
LAB,newcomer,Newcomer,LICENSE,2026-11-15T12:00:00Z,,true,5,false,false,,active,,never_used,false,
LAB,null,Null,LICENSE,2025-10-16T12:00:00Z,,,,false,false,,active,,,false,
LAB,removed,Removed,LICENSE,2025-10-16T12:00:00Z,2026-05-04T12:00:00Z,false,200,false,false,,removed,,unused removed,true,COST
LAB,two,Two,LICENSE,2025-10-16T12:00:00Z,2026-11-19T12:00:00Z,false,1,false,false,,active,,,false,
LAB,unused,Unused,LICENSE,2025-10-16T12:00:00Z,2026-08-22T12:00:00Z,false,90,false,false,,active,,unused,true,COST
LAB,yearone,Yearone,LICENSE,2025-10-16T12:00:00Z,,true,400,false,false,,active,,never_used,true,COST
`
	lines = strings.ReplaceAll(lines, ",Deleted,", ",,") // a deleted user has no display name
	return strings.NewReplacer("LICENSE", license, "COST", cost).Replace(lines)
}

// TestLicensesCSV checks every line under every model of license.
func TestLicensesCSV(t *testing.T) {
	for name, test := range map[string]struct {
		config qliktest.Config
		want   string
	}{
		"professional": {qliktest.Config{Users: company(qliktest.Professional, "")}, companyCSV("professional", "70")},
		"analyzer":     {qliktest.Config{Users: company(qliktest.Analyzer, "")}, companyCSV("analyzer", "25.50")},
		"professional and analyzer": {
			qliktest.Config{Users: company(qliktest.Professional, qliktest.Analyzer)},
			strings.Replace(companyCSV("professional", "70"), "LAB,two,Two,professional,2025-10-16T12:00:00Z,2026-11-19T12:00:00Z,false,1,false,false,,active,,,false,\n",
				"LAB,two,Two,professional,2025-10-16T12:00:00Z,2026-11-19T12:00:00Z,false,1,false,false,,active,,two_licenses,false,\n"+
					"LAB,two,Two,analyzer,2025-10-16T12:00:00Z,,true,400,false,false,,active,,never_used two_licenses,true,25.50\n", 1),
		},
		"with capacity": {qliktest.Config{Users: company(qliktest.Analyzer, ""), CapacityMinutes: 1000}, companyCSV("analyzer", "25.50")},
		"capacity only": {qliktest.Config{CapacityMinutes: 1000, Users: []qliktest.User{{Directory: "LAB", ID: "stranger"}}}, ""},
		"tokens":        {qliktest.Config{Tokens: 20, LoginAccessTokens: 2, Users: company(qliktest.UserAccess, "")}, companyCSV("user", "40")},
		"cores":         {qliktest.Config{Cores: 8, Users: []qliktest.User{{Directory: "LAB", ID: "stranger"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				compare(t, newDesk(t, test.config).show(t), licensesHeader+test.want)
			})
		})
	}
}

// TestLicensesExcessAndQuarantine checks a serial number, which quarantines accesses, and
// accesses beyond the seats.
func TestLicensesExcessAndQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		user := func(id string, unusedFor time.Duration) qliktest.User {
			return qliktest.User{Directory: "LAB", ID: id, License: qliktest.Analyzer, HeldFor: 200 * aDay, UnusedFor: unusedFor}
		}
		d := newDesk(t, qliktest.Config{SerialNumber: true, AnalyzerSeats: 2, Users: []qliktest.User{user("anna", 3*aDay), user("bert", aDay), user("carla", 100*aDay)}})
		d.TakeLicense("LAB", "anna", qliktest.Analyzer)
		compare(t, d.show(t), licensesHeader+`LAB,anna,,analyzer,2026-05-04T12:00:00Z,2026-11-17T12:00:00Z,false,3,false,true,2026-11-24T12:00:00Z,active,,quarantined,false,
LAB,bert,,analyzer,2026-05-04T12:00:00Z,2026-11-19T12:00:00Z,false,1,false,false,,active,,,false,
LAB,carla,,analyzer,2026-05-04T12:00:00Z,2026-08-12T12:00:00Z,false,100,true,false,,active,,unused excess,false,
`)
		d.all = false
		time.Sleep(5 * aDay) // the end of the quarantine
		compare(t, d.show(t), licensesHeader+"LAB,carla,,analyzer,2026-05-04T12:00:00Z,2026-08-12T12:00:00Z,false,105,false,false,,active,,unused,true,25.50\n")
		d.GiveLicense("LAB", "dora", qliktest.Analyzer)
		d.TakeLicense("LAB", "carla", qliktest.Analyzer)
		compare(t, d.show(t), licensesHeader+"LAB,dora,,analyzer,2026-11-25T12:00:00Z,,true,0,false,false,,active,,never_used,false,\n")
	})
}

// TestLicensesRefused checks the users who were refused for want of a license, from the
// audit log.
func TestLicensesRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, qliktest.Config{Users: []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Analyzer, HeldFor: aDay, UnusedFor: time.Hour}, {Directory: "LAB", ID: "bert"}}})
		login := func(id string) {
			t.Helper()
			if _, err := d.Login("LAB", id, "laptop", "", "qlik1"); err != nil {
				t.Fatal(err)
			}
		}
		login("bert")
		time.Sleep(25 * time.Hour) // too long ago
		login("=cmd")
		d.SetLicenseServiceFails(true)
		login("anna")
		time.Sleep(2 * time.Hour)
		refusals, complete := pastRefusals(t.Context(), []string{d.AuditLogPath("qlik1")}, nil, time.Now(), nil)
		if !complete {
			t.Error("the log cannot be read")
		}
		d.refused = refusals.Last(qlik.RefusedNoLicense)
		d.all = false
		compare(t, d.show(t), licensesHeader+`LAB,'=cmd,,none,,,,,,,,active,2026-11-21T13:00:00Z,refused,false,
LAB,anna,,analyzer,2026-11-19T12:00:00Z,2026-11-20T11:00:00Z,false,1,false,false,,active,2026-11-21T13:00:00Z,refused,false,
`)
	})
}

// TestLicensesRefusedOf checks what the answer of a running exporter says.
func TestLicensesRefusedOf(t *testing.T) {
	list := &sessions.List{}
	if refused := refusedOf(list, false); refused != nil {
		t.Errorf("without an audit log: %v", refused)
	}
	if refused := refusedOf(list, true); refused == nil || len(refused) > 0 {
		t.Errorf("nobody was refused: %v", refused)
	}
	list.Unlicensed = []sessions.RefusedUser{{Directory: "lab", ID: "Anna", At: atNoon}}
	if refused := refusedOf(list, false); !refused[qlik.NewUser("LAB", "anna")].Equal(atNoon) {
		t.Errorf("refused: %v", refused)
	}
}

// TestLicensesInPart checks that an odd element is left out and counted, and that a list
// that cannot be read has no numbers.
func TestLicensesInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, qliktest.Config{Users: []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Professional, UnusedFor: aDay}}})
		d.refused, d.format = map[qlik.User]time.Time{}, formatTable
		d.SetRepositoryAnswer("/qrs/license/analyzeraccesstype/full", []byte(`[{"user":7},{"user":{"userDirectory":"LAB","userId":"bert"}}]`))
		compare(t, d.show(t), `The license is valid. Its last day is 2027-11-20.

LICENSE       SEATS  AVAILABLE  HELD  NEVER USED  UNUSED FOR 90 D  LAST USE UNKNOWN  USER LEFT  TWO LICENSES  EXCESS  QUARANTINED  WASTED  COST
professional  10     9          1     0           0                0                 0          0             0       0            0       0
analyzer      0      0          1     ?           ?                1                 0          0             0       0            0       0

USER      NAME  LICENSE       LAST USED   NOT USED FOR  FINDINGS  WASTED
LAB\anna  -     professional  2026-11-19  1 d           -         -
LAB\bert  -     analyzer      ?           ?             -         -

Left out, because it cannot be read: element of license/analyzeraccesstype (1)
`)
	})
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, qliktest.Config{Users: []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Professional, UnusedFor: aDay}}})
		d.refused, d.format = map[qlik.User]time.Time{}, formatTable
		d.SetRepositoryAnswer("/qrs/license/analyzeraccesstype/full", []byte(`{}`))
		d.SetRepositoryAnswer("/qrs/user/full", []byte(`{}`))
		d.SetRepositoryAnswer("/qrs/license", []byte(`{"isExpired":true}`))
		compare(t, d.show(t), `The license is not valid: it is expired.

LICENSE       SEATS  AVAILABLE  HELD  NEVER USED  UNUSED FOR 90 D  USER LEFT  TWO LICENSES  EXCESS  QUARANTINED  WASTED  COST
professional  10     9          1     0           0                ?          0             0       0            0       0

USER      NAME  LICENSE       LAST USED   NOT USED FOR  FINDINGS  WASTED
LAB\anna  -     professional  2026-11-19  1 d           -         -

Incomplete: this could not be read: analyzer accesses, users.
`)
		if log := d.err.String(); !strings.Contains(log, "Cannot read a part of the licenses") || !strings.Contains(log, "Cannot read which users have left") {
			t.Errorf("log %s", log)
		}
		var report licenses.Report
		d.format = formatJSON
		if err := json.Unmarshal([]byte(d.show(t)), &report); err != nil || report.Complete || len(report.Users) != 1 || report.Users[0].UserState != "" {
			t.Errorf("error %v, report %+v", err, report)
		}
		// Without any list nothing is known.
		d.SetRepositoryFault("qlik1", qliktest.Refused)
		if _, err := readLicenses(t.Context(), d.client, &licenses.Question{}, log.NewNopLogger()); err == nil || !strings.HasPrefix(err.Error(), "the licenses are unknown: ") {
			t.Errorf("error %v", err)
		}
	})
}

// TestLicensesUnknown checks that the texts do not claim what nobody knows.
func TestLicensesUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, qliktest.Config{Users: []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.Professional, LastUsed: qliktest.Missing}}})
		d.refused, d.format, d.all = map[qlik.User]time.Time{}, formatTable, false
		d.SetRepositoryAnswer("/qrs/license", []byte(`{"isExpired":false,"keyDetails":"Valid To: 03/04/2027"}`))
		got := d.show(t)
		for _, want := range []string{
			"No license of a user is known to be wasted.\n",
			"The end of the license is unknown, because \"03/04/2027\" can be read in two ways: look it up in the QMC under License management.\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		d.format = formatJSON
		if got := d.show(t); !strings.Contains(got, `can be read in two ways`) {
			t.Errorf("JSON: %s", got)
		}
		d.SetRepositoryAnswer("/qrs/license/professionalaccesstype/full", []byte(`{}`))
		d.format = formatTable
		if got := d.show(t); !strings.Contains(got, "No license of a user is known to be wasted.\n") {
			t.Errorf("without a list:\n%s", got)
		}
		d.all = true
		if got := d.show(t); !strings.Contains(got, "No user is known to hold a license.\n") {
			t.Errorf("without a list, all:\n%s", got)
		}
	})
}

// TestLicensesHideNames checks that names stay out where labels hide them.
func TestLicensesHideNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, qliktest.Config{Users: []qliktest.User{
			{Directory: "LAB", ID: "anna", Name: "Anna", License: qliktest.Analyzer},
			{Directory: "LAB", ID: "bert", Name: "Bert", License: qliktest.Analyzer},
			{Directory: "LAB", ID: "reload", Name: "Reload", License: qliktest.Analyzer},
		}})
		reload := qlik.NewUser("LAB", "reload")
		d.labels = collector.UserLabels{Mode: collector.UserLabelsHashed, Key: []byte("0123456789abcdef"), Plain: []qlik.User{reload}}
		for _, mode := range []string{collector.UserLabelsHashed, collector.UserLabelsNone} {
			d.labels.Mode = mode
			for _, format := range []string{formatCSV, formatJSON, formatTable} {
				d.format = format
				got := d.show(t) + d.err.String()
				for _, name := range []string{"anna", "Anna", "bert", "Bert"} {
					if strings.Contains(got, name) {
						t.Errorf("%s, %s: contains %s:\n%s", mode, format, name, got)
					}
				}
				if !strings.Contains(got, "reload") {
					t.Errorf("%s, %s: the service account is not shown", mode, format)
				}
				hash := collector.HashUser(d.labels.Key, qlik.NewUser("LAB", "anna"))
				if strings.Contains(got, hash) != (mode == collector.UserLabelsHashed) {
					t.Errorf("%s, %s: hash of anna:\n%s", mode, format, got)
				}
			}
			d.names = true
			if got := d.show(t); !strings.Contains(got, `LAB\anna    Anna`) {
				t.Errorf("%s, --names:\n%s", mode, got)
			}
			d.names = false
		}
	})
}

// TestLicensesTable checks the texts about tokens and capacity, which have no line in CSV.
func TestLicensesTable(t *testing.T) {
	for name, test := range map[string]struct {
		config qliktest.Config
		want   string
	}{
		"tokens": {
			qliktest.Config{Tokens: 20, LoginAccessTokens: 2, Users: []qliktest.User{{Directory: "LAB", ID: "anna", License: qliktest.UserAccess, UnusedFor: aDay}}},
			"LICENSE  SEATS  AVAILABLE  HELD  NEVER USED  UNUSED FOR 90 D  USER LEFT  TWO LICENSES  EXCESS  QUARANTINED  WASTED  COST\n" +
				"user     -      -          1     0           0                0          0             0       0            0       0\n\n" +
				"Tokens: 20 in total, 1 for user access, 2 for login access (0 used), 0 in quarantine, 17 available.\n",
		},
		"capacity": {
			qliktest.Config{CapacityMinutes: 1000, CapacityUsed: 700},
			"Capacity: 700 of 1,000 minutes are used this month. At the rate of this month it runs out on 2026-11-28, before the reset on 2026-12-01.\n",
		},
		"enough capacity": {
			qliktest.Config{CapacityMinutes: 1000, CapacityUsed: 100},
			"Capacity: 100 of 1,000 minutes are used this month. At the rate of this month it lasts until the reset on 2026-12-01.\n",
		},
		"no capacity left": {
			qliktest.Config{CapacityMinutes: 1000, CapacityUsed: 1000},
			"Capacity: 1,000 of 1,000 minutes are used this month. It is used up until the reset on 2026-12-01.\n",
		},
		"cores": {qliktest.Config{Cores: 8}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, test.config)
				d.format, d.all, d.refused = formatTable, false, map[qlik.User]time.Time{}
				want := "The license is valid. Its last day is 2027-11-20.\n\n" + test.want + "\nNo license of a user is wasted.\n"
				compare(t, d.show(t), strings.ReplaceAll(want, "\n\n\n", "\n\n"))
			})
		})
	}
}

// TestLicensesTableFits checks that no line is wider than the terminal, that no number of a
// license is cut, and that nobody is left out silently.
func TestLicensesTableFits(t *testing.T) {
	held, seats, days := 1234, 2000.0, 1000
	report := &licenses.Report{Complete: true, RefusalsKnown: true, Licenses: []licenses.Total{{License: "professional", Seats: &seats, Held: &held}}}
	for i := range 1500 {
		holder := licenses.Holder{Directory: "ACME", ID: fmt.Sprint("somebody.with-a-long-name", i), Name: "Somebody With A Long Name 田中太郎", License: "professional", UnusedDays: &days}
		holder.Findings = append(holder.Findings, licenses.Unused)
		report.Users = append(report.Users, holder)
	}
	for width := 80; width < 200; width += 7 {
		table := &licensesTable{report: report, width: width, height: 30, limit: noLimit}
		text := table.text()
		for line := range strings.Lines(text) {
			if n := uniseg.StringWidth(strings.TrimSuffix(line, "\n")); n > width {
				t.Fatalf("width %d: %d characters in %s", width, n, line)
			}
		}
		if !strings.Contains(text, "1,234") || !strings.Contains(text, "2,000") || !strings.Contains(text, " more lines; --limit=0 shows all\n") {
			t.Errorf("width %d: got\n%s", width, text)
		}
		if lines := strings.Count(text, "\n"); lines > 29 {
			t.Errorf("width %d: %d lines of 30", width, lines)
		}
	}
	table := &licensesTable{report: report, height: 30, limit: 0}
	if n := strings.Count(table.text(), "somebody"); n != 1500 {
		t.Errorf("--limit=0 shows %d", n)
	}
	table.limit = 20
	if text := table.text(); strings.Count(text, "somebody") != 20 || !strings.HasSuffix(text, "\n... and 1,480 more lines; --limit=0 shows all\n") {
		t.Errorf("--limit=20: got\n%s", text)
	}
}
