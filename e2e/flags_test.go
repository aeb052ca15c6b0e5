package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/youmark/pkcs8"
)

// If the exporter cannot start, it exits immediately and names the flag to change
// in one line.
func TestWrongFlags(t *testing.T) {
	d := startDemo(t)
	host := "--qlik.host=qlik-central"
	site := []string{host, "--qlik.cert-dir=" + d.folder}
	encrypted := []string{host, "--qlik.cert-dir=" + encryptKey(t, d.folder, "correct horse")}
	wrongPassphrase := filepath.Join(t.TempDir(), "passphrase")
	writeFile(t, wrongPassphrase, []byte("battery staple\n"))
	pem := filepath.Join(d.folder, "client.pem")

	for _, test := range []struct {
		name  string
		names string // what the line must contain
		args  []string
	}{
		{"no flags of a site", "--qlik.host", []string{"--log.level=info"}},
		{"no certificate folder", "--qlik.cert-dir", []string{host}},
		{"missing certificate folder", "--qlik.cert-dir", []string{host, "--qlik.cert-dir=/nonexistent"}},
		{"empty certificate folder", "--qlik.cert-dir", []string{host, "--qlik.cert-dir=" + t.TempDir()}},
		{"certificate folder is a file", "--qlik.cert-dir", []string{host, "--qlik.cert-dir=" + pem}},
		{"encrypted key without passphrase", "--qlik.key-passphrase-file", encrypted},
		{"wrong passphrase", "--qlik.key-passphrase-file", with(encrypted, "--qlik.key-passphrase-file="+wrongPassphrase)},
		{"missing passphrase file", "--qlik.key-passphrase-file", with(encrypted, "--qlik.key-passphrase-file=/nonexistent")},
		{"host is a URL", "--qlik.host", []string{"--qlik.host=https://qlik-central", "--qlik.cert-dir=" + d.folder}},
		{"node address without a node", "--qlik.node-address", with(site, "--qlik.node-address=127.0.0.1")},
		{"user without a directory", "--qlik.user", with(site, "--qlik.user=anna")},
		{"limit of zero", "--qlik.session-limit", with(site, "--qlik.session-limit=0")},
		{"limit is no number", "--qlik.session-limit", with(site, "--qlik.session-limit=five")},
		{"timeout without a unit", "--qlik.timeout", with(site, "--qlik.timeout=10")},
		{"negative timeout", "--qlik.timeout", with(site, "--qlik.timeout=-1s")},
		{"impossible user labels", "--user-labels", with(site, "--user-labels=secret")},
		{"hashed labels without a key", "--user-labels.key-file", with(site, "--user-labels=hashed")},
		{"broken expression", "--collector.sessions.exclude-user", with(site, "--collector.sessions.exclude-user=(")},
		{"impossible log level", "--log.level", with(site, "--log.level=loud")},
		{"metrics path without a slash", "--web.telemetry-path", with(site, "--web.telemetry-path=metrics")},
		{"negative offset", "--timeout-offset", with(site, "--timeout-offset=-1s")},
		{"listen address in use", "--web.listen-address", with(site, "--web.listen-address="+d.address)},
		{"missing web configuration", "--web.config.file", with(site, "--web.listen-address=127.0.0.1:0", "--web.config.file=/nonexistent")},
		{"unknown flag", "--qlik.hots", with(site, "--qlik.hots=qlik-central")},
		{"unknown command", "frobnicate", with(site, "frobnicate")},
	} {
		t.Run(test.name, func(t *testing.T) {
			begin := time.Now()
			p := start(t, exec.Command(exporter, test.args...))
			code := p.wait(t)
			took := since(begin)
			expect(t, code == 1 && took < time.Second, "exit code 1 within a second", fmt.Sprintf("code %d after %s", code, took))
			said := errorLines(p.stderr.String())
			expect(t, len(said) == 1 && strings.Contains(said[0], test.names), "one line that names "+test.names, strings.Join(said, "\n"))
			expect(t, p.stdout.String() == "", "nothing on standard output", p.stdout.String())
		})
	}
}

// errorLines returns the lines that do not belong to the log. The log starts
// after the flags have been accepted, so log lines exist only if listening fails.
func errorLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "ts=") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// An exporter that cannot reach Qlik starts and reports the outage.
func TestUnreachableHost(t *testing.T) {
	d := startDemo(t)
	for name, host := range map[string]string{
		"nobody listens": "127.0.0.1:" + freePort(t),
		"unknown name":   "qlik.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			e := startExporter(t, "--qlik.host="+host, "--qlik.cert-dir="+d.folder)
			m := e.scrape(t)
			expect(t, m.value("qlik_up") == "0", "qlik_up 0", m.value("qlik_up"))
			expect(t, m.count("qlik_sessions")+m.count("qlik_users")+m.count("qlik_user_sessions") == 0, "no counts",
				m.count("qlik_sessions")+m.count("qlik_users")+m.count("qlik_user_sessions"))
			expect(t, m.value("qlik_sessions_complete") == "0", "qlik_sessions_complete 0", m.value("qlik_sessions_complete"))
			t.Logf("the exporter logged:\n%s", e.stderr.String())
		})
	}
}

// with returns a copy of the arguments with more arguments appended.
func with(arguments []string, more ...string) []string {
	return append(append([]string{}, arguments...), more...)
}

// encryptKey copies a certificate folder and encrypts the key with a passphrase.
func encryptKey(t *testing.T, folder, passphrase string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"client.pem", "root.pem"} {
		writeFile(t, filepath.Join(to, name), readFile(t, filepath.Join(folder, name)))
	}
	block, _ := pem.Decode(readFile(t, filepath.Join(folder, "client_key.pem")))
	if block == nil {
		t.Fatal("client_key.pem is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	der, err := pkcs8.MarshalPrivateKey(key, []byte(passphrase), nil)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(to, "client_key.pem"), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}))
	return to
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
