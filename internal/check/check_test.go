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

var update = flag.Bool("update", false, "write the expected outputs in testdata anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a simulated site in memory, and returns a configuration that
// reaches it.
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

// twoNodes is a site on which nothing is wrong.
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

// problems returns what failed and what is warned of, without the folder of the
// certificates.
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

// Remedies and causes that several tests expect.
const (
	export     = "export the certificates again in the QMC, format PEM with the secrets key, and replace all three files"
	directly   = "let the exporter reach the node directly, past proxies and load balancers"
	renew      = "renew it in the QMC under Nodes, Redistribute, on the central node as Qlik describes"
	oneExport  = "copy client.pem, client_key.pem and root.pem of one export"
	noRule     = "see in the QMC that no security rule was taken from it"
	againElse  = ", so the service is stopping or another program answers: run the check again, and if it stays so restart the "
	proxyPort  = "correct the REST API listen port of the proxy in the QMC, or what stands before it"
	repoPort   = "set --qlik.host to qlik1:4242, the port of the Qlik Sense Repository Service itself"
	inaMinute  = "answers with something that is not JSON, so the service is starting or another program answers: run the check again in a minute, and if it stays so "
	htmlPage   = "answers with an HTML page, as the browser's side of Qlik or a login page does: "
	redirected = "302 Found to https://elsewhere.invalid, as the browser's side of Qlik or a login page does: "
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
