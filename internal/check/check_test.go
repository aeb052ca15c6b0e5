package check_test

import (
	"context"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var update = flag.Bool("update", false, "update the expected outputs in testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a simulated site in memory and returns a configuration for it.
func start(t *testing.T, config qliktest.Config) (*qliktest.Site, check.Config) {
	t.Helper()
	config.InMemory = true
	site, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	dir := t.TempDir()
	if err := site.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	return site, check.Config{
		Qlik:         qlik.Config{Hosts: []string{"qlik1"}, CertDir: dir, DialContext: site.DialContext},
		SessionLimit: headroom.DefaultLimit, Licenses: true,
	}
}

func run(t *testing.T, config check.Config) *check.Report {
	t.Helper()
	report, err := check.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// twoNodes returns a site without problems.
func twoNodes() qliktest.Config {
	return qliktest.Config{
		Nodes:          []qliktest.Node{{Name: "qlik1"}, {Name: "qlik2"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}},
		Users: []qliktest.User{
			{Directory: "LAB", ID: "anna", License: qliktest.Professional},
			{Directory: "LAB", ID: "svc_reload", License: qliktest.Analyzer},
		},
	}
}

func login(t *testing.T, site *qliktest.Site, id, device, prefix, node string) {
	t.Helper()
	if _, err := site.Login("LAB", id, device, prefix, node); err != nil {
		t.Fatal(err)
	}
}

// problems returns the failures and warnings of a report. CERTS replaces the folder
// of the certificates.
func problems(report *check.Report, config check.Config) []string {
	var lines []string
	for _, r := range report.Results {
		if r.Mark == check.Failed || r.Mark == check.Warning {
			line := string(r.Mark) + " " + r.Step + " " + r.Target + ": " + r.Text
			lines = append(lines, strings.ReplaceAll(line, config.Qlik.CertDir, "CERTS"))
		}
	}
	return lines
}

func expect(t *testing.T, report *check.Report, config check.Config, want ...string) {
	t.Helper()
	got := problems(report, config)
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	failed := slices.ContainsFunc(want, func(line string) bool { return strings.HasPrefix(line, "FAIL") })
	if report.OK() == failed {
		t.Errorf("OK() = %t", report.OK())
	}
}

// Causes and remedies that several tests expect.
const (
	export    = "export the certificates again in the QMC (format PEM, with the secrets key) and replace all three files"
	directly  = "connect the exporter directly to the node, without proxies or load balancers in between"
	clock     = "check the clock of this machine first; if it is right, "
	renew     = "renew it in a maintenance window, in the QMC under Nodes > Redistribute (for the central node, follow Qlik's instructions)"
	oneExport = "copy client.pem, client_key.pem and root.pem from the same export"
	noRule    = "check in the QMC that no security rule of this account was removed"
	noRestart = "; a restart would end every session on the node and is not known to help"
	differs   = ", so the server answers differently than known releases: please report it at https://github.com/qlik-exporter/qlik_exporter/issues " +
		"with this line and the release of Qlik Sense; 'Open questions' in docs/qlik.md shows how to add the response without ids and names"
	proxyPort  = "compare the REST API listen port of the proxy in the QMC with the port on which the proxy listens, and look for a reverse proxy or load balancer in front of it"
	repoPort   = "set --qlik.host to qlik1:4242, the port of the Qlik Sense Repository Service itself"
	inaMinute  = "the response is not JSON, so the service is starting or another program responds: run the check again in a minute; if the problem persists, "
	htmlPage   = "the response is an HTML page, which is typical of the browser port of Qlik Sense or of a login page: "
	redirected = "the response is 302 Found to https://elsewhere.invalid, which is typical of the browser port of Qlik Sense or of a login page: "
)

func TestImpossibleSettings(t *testing.T) {
	_, err := check.Run(t.Context(), check.Config{Qlik: qlik.Config{Hosts: []string{"qlik1"}}})
	if _, ok := errors.AsType[*qlik.ConfigError](err); !ok {
		t.Errorf("got %v, want a *qlik.ConfigError", err)
	}
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		site.SetProxyFault("qlik2", qliktest.Hanging)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if report, err := check.Run(ctx, config); report != nil || err == nil || err.Error() != "interrupted" {
			t.Errorf("%v, %v", report, err)
		}
	})
}
