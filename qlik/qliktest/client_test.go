package qliktest_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// world is a simulated site with a client of the exporter.
type world struct {
	*qliktest.Site
	t      *testing.T
	clock  *qliktest.Clock
	client *qlik.Client
}

// monday is the first day of a week and not of a month.
var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, config qliktest.Config) *world {
	t.Helper()
	clock := qliktest.NewClock(monday)
	config.Now, config.InMemory = clock.Now, true
	site, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	certificates := t.TempDir()
	if err := site.WriteCertificates(certificates); err != nil {
		t.Fatal(err)
	}
	client, err := qlik.NewClient(qlik.Config{
		Hosts: []string{"qlik1"}, CertDir: certificates, Now: clock.Now, DialContext: site.DialContext,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.Reload(); err != nil {
		t.Fatal(err)
	}
	return &world{site, t, clock, client}
}

// opens logs in on a device and checks whether access is granted.
func (w *world) opens(id, device string, want bool) qliktest.Session {
	w.t.Helper()
	session, err := w.Login("LAB", id, device, "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	if session.Granted != want {
		w.t.Errorf("%s on %s: granted %v", id, device, session.Granted)
	}
	return session
}

// granted reports the access of a session after an activity.
func (w *world) granted(session qliktest.Session) bool {
	w.t.Helper()
	if !w.Touch(session.ID) {
		w.t.Errorf("the session of %s ended", session.UserID)
	}
	for _, s := range w.Sessions() {
		if s.ID == session.ID {
			return s.Granted
		}
	}
	return false
}

// logged returns the lines of the audit log of a node, as fields by column.
func (w *world) logged(node string) []map[string]string {
	w.t.Helper()
	content, err := os.ReadFile(w.AuditLogPath(node))
	if err != nil {
		w.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\r\n"), "\r\n")
	columns := strings.Split(lines[0], "\t")
	var all []map[string]string
	for _, line := range lines[1:] {
		fields := map[string]string{}
		for i, value := range strings.Split(line, "\t") {
			fields[columns[i]] = value
		}
		all = append(all, fields)
	}
	return all
}

// denials counts the refused logins in the audit log by user and reason.
func (w *world) denials() map[string]int {
	w.t.Helper()
	count := map[string]int{}
	for _, line := range w.logged("qlik1") {
		switch {
		case !strings.Contains(line["Message"], "UsageDenied"):
		case strings.Contains(line["Message"], "SessionCount"):
			count[line["UserId"]+": limit"]++
		default:
			count[line["UserId"]+": no license"]++
		}
	}
	return count
}

func (w *world) licenses() *qlik.Licenses {
	w.t.Helper()
	licenses, err := w.client.Licenses(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return licenses
}

// rows returns the number of usage rows of a user, by license.
func (w *world) rows(id string) map[string]int {
	w.t.Helper()
	rows, err := w.client.UsageRows(w.t.Context(), w.licenses())
	if err != nil {
		w.t.Fatal(err)
	}
	count := map[string]int{}
	for _, row := range rows {
		if row.User == qlik.NewUser("LAB", id) {
			count[row.License]++
		}
	}
	return count
}
