package check_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// golden compares an output with a file in testdata. It replaces temporary folders
// with constant names.
func golden(t *testing.T, file string, config check.Config, write func(io.Writer) error) {
	t.Helper()
	var output bytes.Buffer
	if err := write(&output); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(output.String(), config.Qlik.CertDir, "CERTS")
	for _, glob := range config.AuditLogs {
		got = strings.ReplaceAll(got, filepath.Dir(glob), "LOGS")
	}
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s: %v, got\n%s", file, err, got)
	}
}

// writeTable writes a whole report.
func writeTable(w io.Writer, report *check.Report, color bool) error {
	table := check.NewTable(w, color, 0)
	table.Heading(report.Site)
	table.Add(report.Results...)
	return table.End(report)
}

// TestReports checks the steps, their order, and the reasons to skip them.
func TestReports(t *testing.T) {
	write := func(config *check.Config, file string) error {
		return os.WriteFile(filepath.Join(config.Qlik.CertDir, file), []byte("no PEM"), 0o600)
	}
	configureLinks := func(config *check.Config) {
		config.Qlik.Proxies, config.Qlik.VirtualProxies = []string{"qlik1"}, []string{"/", "sales"}
	}
	for name, set := range map[string]func(*qliktest.Site, *check.Config) error{
		"nothing_wrong": func(site *qliktest.Site, config *check.Config) error {
			config.AuditLogs = map[string]string{"qlik1": site.AuditLogPath("qlik1"), "qlik2": site.AuditLogPath("qlik2")}
			_, err := site.Login("LAB", "anna", "laptop", "", "qlik1")
			return err
		},
		"no_files": func(_ *qliktest.Site, config *check.Config) error {
			return os.Remove(filepath.Join(config.Qlik.CertDir, "root.pem"))
		},
		"no_authority": func(_ *qliktest.Site, config *check.Config) error { return write(config, "root.pem") },
		"no_key":       func(_ *qliktest.Site, config *check.Config) error { return write(config, "client_key.pem") },
		"unknown_name": func(_ *qliktest.Site, config *check.Config) error {
			config.Qlik.Hosts = []string{"qlik9"}
			return nil
		},
		"repository_refuses": func(site *qliktest.Site, _ *check.Config) error {
			site.SetRepositoryFault("qlik1", qliktest.Refused)
			return nil
		},
		"repository_expired": func(site *qliktest.Site, _ *check.Config) error {
			site.SetRepositoryFault("qlik1", qliktest.ExpiredCertificate)
			return nil
		},
		// The first repository that responds is used. One that does not respond is still
		// a failure.
		"second_repository": func(site *qliktest.Site, config *check.Config) error {
			config.Qlik.Hosts = []string{"qlik1", "qlik2"}
			site.SetRepositoryFault("qlik1", qliktest.ServerError)
			return nil
		},
		"no_rights": func(site *qliktest.Site, _ *check.Config) error {
			site.SetRepositoryFault("qlik1", qliktest.NoRights)
			return nil
		},
		"no_topology": func(site *qliktest.Site, _ *check.Config) error {
			site.SetRepositoryAnswer("/qrs/virtualproxyconfig/full", []byte("[{}]"))
			return nil
		},
		// Each source has something that cannot be read.
		"left_out": func(site *qliktest.Site, _ *check.Config) error {
			site.SetRepositoryAnswer("/qrs/proxyservice/full", []byte(`[{"serverNodeConfiguration":{"hostName":"qlik1"},"settings":{"virtualProxies":[{"id":"1"},{"id":"2"}]}}]`))
			site.SetRepositoryAnswer("/qrs/virtualproxyconfig/full", []byte(`[{"id":"1","prefix":"","description":5},{"id":"2","prefix":2},{}]`))
			site.SetRepositoryAnswer("/qrs/servicestatus/full", []byte(`[{"serviceType":1,"serviceState":2},{"serviceType":1,"serviceState":2.0}]`))
			site.SetRepositoryAnswer("/qrs/license/professionalaccesstype/full", []byte(`[{"user":{"userDirectory":"LAB","userId":"anna"}},{"user":7}]`))
			site.SetRepositoryAnswer("/qrs/license/professionalaccessusage/full", []byte(`[{"sessionID":"1","latestActivity":7}]`))
			return nil
		},
		"license_invalid": func(site *qliktest.Site, _ *check.Config) error {
			site.SetRepositoryAnswer("/qrs/license", []byte(`{"isExpired":true,"expiredReason":"License has expired","isInvalid":false,"keyDetails":"Valid To: 3/4/2031 12:00:00 AM"}`))
			return nil
		},
		"no_licenses": func(_ *qliktest.Site, config *check.Config) error {
			config.Licenses = false
			return nil
		},
		"without_repository": func(_ *qliktest.Site, config *check.Config) error {
			config.Qlik.Hosts = nil
			configureLinks(config)
			return nil
		},
		"configured_links": func(_ *qliktest.Site, config *check.Config) error {
			configureLinks(config)
			return nil
		},
		"configured_links_only": func(site *qliktest.Site, config *check.Config) error {
			configureLinks(config)
			site.SetRepositoryFault("qlik1", qliktest.Refused)
			return nil
		},
		"proxy_refuses": func(site *qliktest.Site, _ *check.Config) error {
			site.SetProxyFault("qlik2", qliktest.Refused)
			return nil
		},
		"one_proxy_fails": func(site *qliktest.Site, config *check.Config) error {
			site.SetProxyFault("qlik2", qliktest.HTMLPage)
			_, err := site.Login("LAB", "anna", "laptop", "", "qlik1")
			return errors.Join(err, os.Chmod(filepath.Join(config.Qlik.CertDir, "client_key.pem"), 0o644))
		},
		"links_differ": func(site *qliktest.Site, _ *check.Config) error {
			site.SetAnswer("qlik2", "", []byte("{}"))
			site.SetAnswer("qlik2", "sales", []byte("[{}]"))
			return nil
		},
		"settings_of_a_file": func(site *qliktest.Site, config *check.Config) error {
			config.Setting = func(flag string) string { return "<" + flag + ">" }
			config.Licenses, config.SessionLimit = false, 10
			config.AuditLogs = map[string]string{"qlik1": site.AuditLogPath("qlik1")}
			config.Qlik.NodeAddresses = map[string]qlik.NodeAddress{"qlik1": {Host: "node1"}, "qlik2": {Host: "qlik1"}}
			config.Qlik.DialContext = dialAs(config.Qlik.DialContext, "node1", "qlik1")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				simulated := twoNodes()
				simulated.VirtualProxies[1].InactivityTimeout = time.Hour
				simulated.AuditLogDir = t.TempDir()
				site, config := start(t, simulated)
				if err := set(site, &config); err != nil {
					t.Fatal(err)
				}
				report := run(t, config)
				golden(t, name+".table", config, func(w io.Writer) error { return writeTable(w, report, false) })
				if name == "one_proxy_fails" { // it has every mark
					golden(t, name+".color", config, func(w io.Writer) error { return writeTable(w, report, true) })
					golden(t, name+".json", config, report.WriteJSON)
				}
			})
		})
	}
}

// TestHarmless checks that names of the site cannot affect a terminal.
func TestHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const evil = "a\x1b]0;gone\x07\u202eb\nc\u0085"
		simulated := twoNodes()
		simulated.VirtualProxies = []qliktest.VirtualProxy{{}, {Prefix: "sales", InactivityTimeout: time.Hour}}
		site, config := start(t, simulated)
		site.SetAnswer("qlik2", "sales", []byte("{}"))
		config.AuditLogs = map[string]string{evil: evil}
		report := run(t, config)
		report.Site = "emea"
		if len(report.Advice) != 1 || report.OK() {
			t.Fatalf("%+v", report)
		}
		var table, object bytes.Buffer
		if err := errors.Join(writeTable(&table, report, false), report.WriteJSON(&object)); err != nil {
			t.Fatal(err)
		}
		for _, output := range []string{table.String(), object.String()} {
			if strings.ContainsAny(output, "\x1b\x07\u202e\u0085") || !strings.Contains(output, "a‹U+001B›]0;gone‹U+0007›‹U+202E›b‹U+000A›c‹U+0085›") {
				t.Errorf("%q", output)
			}
		}
		// Besides results and advice there are two headings, the summary, and empty lines.
		if lines := strings.Count(table.String(), "\n"); lines != len(report.Results)+len(report.Advice)+6 {
			t.Errorf("%d lines for %d results:\n%s", lines, len(report.Results), &table)
		}
	})
}
