package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/youmark/pkcs8"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// These tests check the statements of docs/security.md.

const (
	webPassword = "marker-web-password"
	webHash     = "$2a$04$5Q1qxyr7R67MJ.s3QXzunORpBU8qe8RxrXxpns6P7ouFGl8QQgAMG"
)

// sessionsJSON is the path of the sessions page for a program.
const sessionsJSON = "/sessions?slots="

// everyEndpoint lists the endpoints of the exporter with all features enabled.
var everyEndpoint = []string{
	"/", "/metrics", "/probe?target=emea", "/sd", "/config", "/sessions", "/sessions/user?user=LAB%5Canna", "/api/users?q=anna", "/-/healthy", "/-/ready",
	"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/nowhere",
}

// TestEveryEndpointWantsThePassword checks that every endpoint requires the password
// if authentication is configured, and that failed logins do not lock out a client whose
// password was right before.
func TestEveryEndpointWantsThePassword(t *testing.T) {
	f := newFaulty(t)
	webConfig := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(webConfig, []byte("basic_auth_users: {prometheus: "+webHash+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	metrics := startExporter(t, append(f.flags, "--web.config.file="+webConfig, "--web.enable-pprof")...)
	ask := func(method, path string, password string) int {
		request, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(metrics, "/metrics")+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("prometheus", password)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if status := ask(http.MethodGet, "/metrics", webPassword); status != http.StatusOK {
		t.Errorf("with the password: %d", status)
	}
	wrong := 0
	for _, path := range append(everyEndpoint, "/-/reload") {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead} {
			if status := ask(method, path, ""); status != http.StatusUnauthorized {
				t.Errorf("%s %s without password: %d", method, path, status)
			}
			want := http.StatusUnauthorized
			if wrong++; wrong > 10 {
				want = http.StatusTooManyRequests
			}
			if status := ask(method, path, "wrong"); status != want {
				t.Errorf("%s %s with wrong password %d: %d", method, path, wrong, status)
			}
		}
	}
	exported := scrape(t, strings.Replace(metrics, "://", "://prometheus:"+webPassword+"@", 1))
	if got := exported["qlik_exporter_failed_logins_total"].GetMetric()[0].GetCounter().GetValue(); got != 10 {
		t.Errorf("%v failed logins are counted", got)
	}
}

// shared is a buffer that a process writes and a test reads concurrently.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestSecretsStaySecret checks that no secret of the exporter appears in its log,
// responses, errors, or help, regardless of faults.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	dir := strings.TrimPrefix(f.flags[0], "--qlik.cert-dir=")
	secrets := map[string]string{
		"passphrase": "marker-passphrase", "key of user labels": "marker-user-label-key", "web password": webPassword,
		"hash of the web password": webHash, "license key": "eyJ.simulated.key", "license number": "9999000000001000",
	}
	for i, line := range encryptKey(t, filepath.Join(dir, "client_key.pem"), secrets["passphrase"]) {
		secrets[fmt.Sprint("line ", i, " of the client key")] = line
	}
	for _, session := range f.Sessions() {
		secrets["session id of "+session.Device] = session.ID
	}
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	logFile := filepath.Join(t.TempDir(), "qlik_exporter.log")
	flags := slices.Concat(f.flags, []string{
		"--log.file=" + logFile,
		"--qlik.key-passphrase-file=" + file("passphrase", secrets["passphrase"]),
		"--user-labels=hashed", "--user-labels.key-file=" + file("labels", secrets["key of user labels"]),
		"--web.config.file=" + file("web.yml", "basic_auth_users: {prometheus: "+webHash+"}\n"),
		"--web.enable-pprof", "--log.level=debug", "--qlik.timeout=500ms", "--qlik.service-account=ACME\\anna",
	})
	leaks := func(where, text string) {
		t.Helper()
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %s", where, what)
			}
		}
	}

	address := freeAddress(t)
	exporter := command(t, append(flags, "--web.listen-address="+address)...)
	var log shared
	exporter.Stderr = &log
	if err := exporter.Start(); err != nil {
		t.Fatal(err)
	}
	awaitListener(t, address)
	look := func(about string) {
		t.Helper()
		for _, path := range append(everyEndpoint, "/debug/pprof/goroutine?debug=2", sessionsJSON) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.SetBasicAuth("prometheus", webPassword)
			if path == sessionsJSON {
				request.Header.Set("Accept", "application/json")
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if path == "/metrics" && !strings.Contains(string(text), "qlik_up ") {
				t.Errorf("%s: no scrape", about)
			}
			if path == sessionsJSON && !strings.Contains(string(text), `"missing":`) {
				t.Errorf("%s: no JSON: %s", about, text)
			}
			leaks(about+": "+path, string(text))
		}
	}
	look("all is well")
	for _, fault := range qliktest.Faults() {
		f.SetProxyFault("qlik2", fault)
		f.SetRepositoryFault("qlik1", fault)
		look(fault.String())
	}
	// One list breaks off right after an id, and one has the id in the wrong place.
	id := f.Sessions()[0].ID
	for _, body := range []string{`[{"SessionId":"` + id, `[{"SessionId":["` + id + `"]}]`, `{"` + id + `":1}`, id} {
		f.SetProxyFault("qlik2", qliktest.NoFault)
		f.SetAnswer("qlik2", "sales", []byte(body))
		look(body[:2])
	}
	if err := exporter.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = exporter.Wait()
	if !strings.Contains(log.String(), "kind=decode") {
		t.Error("the log does not tell of the failures")
	}
	leaks("log", log.String())
	if content, err := os.ReadFile(logFile); err != nil || string(content) != log.String() {
		t.Errorf("the log file is not the log, and has %d bytes (%v)", len(content), err)
	}

	secrets["wrong passphrase"], secrets["short key of user labels"] = "marker-wrong-passphrase", "marker-short"
	for _, test := range []struct {
		arguments []string // the first one replaces the flag with the same name
		says      string
	}{
		{[]string{"--help"}, "usage: "},
		{[]string{"--version"}, "version "},
		{[]string{"help", "assets"}, "usage: "},
		{[]string{"--qlik.key-passphrase-file=" + file("wrong", secrets["wrong passphrase"])}, "error: --qlik.key-passphrase-file: "},
		{[]string{"--user-labels.key-file=" + file("short", secrets["short key of user labels"])}, "error: --user-labels.key-file: "},
	} {
		name, _, _ := strings.Cut(test.arguments[0], "=")
		others := slices.DeleteFunc(slices.Clone(flags), func(flag string) bool { return strings.HasPrefix(flag, name+"=") })
		text, _ := command(t, append(others, test.arguments...)...).CombinedOutput()
		about := strings.Join(test.arguments, " ")
		if !strings.Contains(string(text), test.says) {
			t.Errorf("%s: want %q in\n%s", about, test.says, text)
		}
		leaks(about, string(text))
	}
}

// encryptKey encrypts a private key in place and returns the lines of the decrypted
// key, which the exporter then has in memory.
func encryptKey(t *testing.T, path, passphrase string) (lines []string) {
	t.Helper()
	plain, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(plain)
	key, _, err := pkcs8.ParsePrivateKey(block.Bytes, nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := pkcs8.MarshalPrivateKey(key, []byte(passphrase), nil)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(path, encrypted, 0o600); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(plain) + string(encrypted)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") && len(line) > 20 {
			lines = append(lines, line)
		}
	}
	return lines
}
