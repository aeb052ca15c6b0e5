package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// deskOf is a process with a desk.
type deskOf struct {
	*testing.T

	journal        string // file
	exporter, desk string // URLs
	args           []string
	client         http.Client
	pid            int
	signal         func(os.Signal)
	wait           func() error
	log            *shared
}

// startDesk starts an exporter with a desk, on which kim is in the helpdesk and ada is an
// administrator.
func startDesk(t *testing.T, f *faulty) *deskOf {
	t.Helper()
	dir, certificates := t.TempDir(), strings.TrimPrefix(f.flags[0], "--qlik.cert-dir=")
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	exporterAddress, deskAddress := freeAddress(t), freeAddress(t)
	d := &deskOf{T: t, journal: filepath.Join(dir, "journal"), exporter: "http://" + exporterAddress, desk: "https://" + deskAddress, log: new(shared)}
	d.args = slices.Concat(f.flags, []string{
		"--web.listen-address=" + exporterAddress, "--web.enable-pprof",
		"--desk.listen-address=" + deskAddress, "--desk.journal-file=" + d.journal, "--desk.stop-file=" + filepath.Join(dir, "stop"),
		"--desk.roles-file=" + file("roles.yml", "helpdesk: [user:kim]\nadmin: [user:ada]\n"),
		"--desk.web.config.file=" + file("desk.yml", fmt.Sprintf("tls_server_config: {cert_file: %q, key_file: %q}\nbasic_auth_users: {kim: %[3]s, ada: %[3]s}\n",
			filepath.Join(certificates, "client.pem"), filepath.Join(certificates, "client_key.pem"), webHash)),
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	d.client = http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if t.Failed() {
			t.Logf("log of the exporter:\n%s", d.log)
		}
	})
	d.start()
	return d
}

// start starts the process, also again after its end.
func (d *deskOf) start() {
	d.Helper()
	exporter := command(d, d.args...)
	exporter.Stderr = d.log
	if err := exporter.Start(); err != nil {
		d.Fatal(err)
	}
	d.pid = exporter.Process.Pid
	d.signal = func(s os.Signal) {
		if err := exporter.Process.Signal(s); err != nil {
			d.Error(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- exporter.Wait() }()
	d.wait = func() error { err := <-ended; ended <- err; return err }
	wait := d.wait
	d.Cleanup(func() {
		_ = exporter.Process.Kill()
		_ = wait()
	})
	awaitListener(d, strings.TrimPrefix(d.exporter, "http://"))
	awaitListener(d, strings.TrimPrefix(d.desk, "https://"))
}

// send sends a request. A user sends the password.
func (d *deskOf) send(method, url, user, body string) (status int, text string, err error) {
	request, err := http.NewRequestWithContext(d.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if user != "" {
		request.SetBasicAuth(user, webPassword)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := d.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// plan makes a plan that ends all sessions of a user.
func (d *deskOf) plan(id string) string {
	d.Helper()
	status, text, err := d.send(http.MethodPost, d.desk+"/api/plan", "ada", fmt.Sprintf(`{"user":"ACME\\%s","all":true}`, id))
	var plan struct{ Plan string }
	if err != nil || status != http.StatusOK || json.Unmarshal([]byte(text), &plan) != nil {
		d.Fatal(status, text, err)
	}
	return plan.Plan
}

// awaitIntent waits until the journal has an intent.
func (d *deskOf) awaitIntent() {
	d.Helper()
	for range 6000 {
		if content, _ := os.ReadFile(d.journal); strings.Contains(string(content), `"intent"`) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	d.Fatal("no intent")
}

// verify reads the journal, usually after the end of the process.
func (d *deskOf) verify() journal.Report {
	d.Helper()
	file, err := os.Open(d.journal)
	if err != nil {
		d.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	report, err := journal.Verify(file)
	if err != nil || len(report.Problems) > 0 {
		d.Error(err, report.Problems)
	}
	return report
}

// deskEndpoints are the paths of the desk.
var deskEndpoints = []string{"/api/user?user=ACME%5Canna", "/api/plan", "/api/free", "/sessions/plan", "/sessions/free"}

// TestDeskWantsThePassword checks that every path of the desk requires a password, that the
// port of the exporter ends nothing, and that no secret appears anywhere.
func TestDeskWantsThePassword(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	d := startDesk(t, f)
	var secrets []string
	for _, session := range f.Sessions() {
		secrets = append(secrets, session.ID)
	}
	secrets = append(secrets, webPassword, webHash)
	leaks := func(where, text string) {
		t.Helper()
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s contains %s", where, secret)
			}
		}
	}
	plan := d.plan("anna")
	body := fmt.Sprintf(`{"plan":%q}`, plan)
	for _, path := range append(deskEndpoints, everyEndpoint...) {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if status, text, err := d.send(method, d.desk+path, "", body); err != nil || status != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %s %v", method, path, status, text, err)
			}
			status, text, err := d.send(method, d.exporter+path, "ada", body)
			if err != nil {
				t.Error(err)
			}
			if method == http.MethodPost && strings.Contains(strings.Join(deskEndpoints, " "), path) && path != "/" && status < 400 {
				t.Errorf("%s %s of the exporter: %d %s", method, path, status, text)
			}
			leaks(path, text)
		}
		_, text, err := d.send(http.MethodGet, d.desk+path, "ada", "")
		if err != nil {
			t.Error(err)
		}
		leaks("desk "+path, text)
	}
	if deletes := f.Requests().Deletes; deletes > 0 || len(f.Sessions()) != 3 {
		t.Errorf("%d requests to end a session", deletes)
	}
	if status, text, err := d.send(http.MethodPost, d.desk+"/api/free", "kim", body); err != nil || status != http.StatusForbidden {
		t.Errorf("another operator: %d %s %v", status, text, err)
	}
	status, text, err := d.send(http.MethodPost, d.desk+"/api/free", "ada", body)
	if err != nil || status != http.StatusOK || len(f.Sessions()) > 0 || f.Requests().Deletes != 3 {
		t.Errorf("%d %s %v", status, text, err)
	}
	leaks("the response", text)
	d.signal(syscall.SIGTERM)
	if err := d.wait(); err != nil {
		t.Error(err)
	}
	leaks("the log", d.log.String())
	content, err := os.ReadFile(d.journal)
	if err != nil {
		t.Fatal(err)
	}
	leaks("the journal", string(content))
	if report := d.verify(); report.Entries != 3 || len(report.Open) > 0 {
		t.Errorf("%+v", report)
	}
}

// TestDeskStopsInTheMiddle checks that the journal has the result of an execution during which
// the exporter stops, although Qlik does not answer.
func TestDeskStopsInTheMiddle(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	d := startDesk(t, f)
	plan := d.plan("anna")
	for _, node := range []string{"qlik1", "qlik2"} {
		f.SetProxyLatency(node, 500*time.Millisecond)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _, _ = d.send(http.MethodPost, d.desk+"/api/free", "ada", fmt.Sprintf(`{"plan":%q}`, plan))
	}()
	d.awaitIntent()
	for _, node := range []string{"qlik1", "qlik2"} {
		f.SetProxyFault(node, qliktest.Hanging)
	}
	d.signal(syscall.SIGTERM)
	if err := d.wait(); err != nil {
		t.Error(err)
	}
	<-ended
	content, err := os.ReadFile(d.journal)
	if err != nil || !strings.Contains(string(content), `"result"`) {
		t.Errorf("%v: %s", err, content)
	}
	if report := d.verify(); len(report.Open) > 0 || report.Torn > 0 {
		t.Errorf("%+v", report)
	}
}

// TestDeskKilled kills the exporter at any moment of an execution. The journal has an intent
// for everything that ended, and the next start settles what is open.
func TestDeskKilled(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	d := startDesk(t, f)
	ended, whole := 0, 0
	for round := range 10 {
		user := fmt.Sprint("user", round)
		for device := range 3 {
			if _, err := f.Login("ACME", user, fmt.Sprint(device), "", "qlik1"); err != nil {
				t.Fatal(err)
			}
		}
		plan := d.plan(user)
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _, _ = d.send(http.MethodPost, d.desk+"/api/free", "ada", fmt.Sprintf(`{"plan":%q}`, plan))
		}()
		for i := 0; f.Requests().Deletes < ended+round%4 && i < 100_000; i++ { // none, one, two, or all of its sessions
			time.Sleep(100 * time.Microsecond)
		}
		d.signal(syscall.SIGKILL)
		_ = d.wait() // with the signal
		<-answered
		left := 0
		for _, session := range f.Sessions() {
			if session.UserID == user {
				left++
			}
		}
		content, err := os.ReadFile(d.journal)
		if err != nil {
			t.Fatal(err)
		}
		if left < 3 && !strings.Contains(string(content), `"user":"ACME\\`+user+`","sessions":3`) {
			t.Errorf("%d sessions of %s ended without an intent", 3-left, user)
		}
		if left == 0 {
			whole++
		}
		ended = f.Requests().Deletes
		d.start()
	}
	d.signal(syscall.SIGTERM)
	if err := d.wait(); err != nil {
		t.Error(err)
	}
	report := d.verify()
	if len(report.Open) > 0 || report.Torn > 0 || report.Unknown == 0 || whole == 0 {
		t.Errorf("%d requests to end a session, %d executions ended all of them: %+v", ended, whole, report)
	}
	t.Logf("%d requests to end a session, %d intents settled as unknown", ended, report.Unknown)
}
