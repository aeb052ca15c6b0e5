package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mailbox keeps the messages for each recipient: an HTTP path or an email
// address.
type mailbox struct {
	mu  sync.Mutex
	got map[string]string
}

func (m *mailbox) put(to, content string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got[to] += content
}

func (m *mailbox) get(to string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got[to]
}

// listenSMTP starts a mail server that accepts all mail, and returns its address.
func (m *mailbox) listenSMTP(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // the end of the test
			}
			go m.serveSMTP(connection)
		}
	}()
	return listener.Addr().String()
}

func (m *mailbox) serveSMTP(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	talk := textproto.NewConn(connection)
	to := ""
	answer := "220 ready"
	for {
		if talk.PrintfLine("%s", answer) != nil {
			return
		}
		line, err := talk.ReadLine()
		if err != nil {
			return
		}
		answer = "250 ok"
		switch command := strings.ToUpper(line); {
		case strings.HasPrefix(command, "RCPT TO:"):
			to = strings.Trim(line[len("RCPT TO:"):], "<> ")
		case command == "QUIT":
			_ = talk.PrintfLine("221 bye")
			return
		case command == "DATA":
			if talk.PrintfLine("354 go on") != nil {
				return
			}
			content, err := talk.ReadDotBytes()
			if err != nil {
				return
			}
			if text, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(content))); err == nil {
				content = text
			}
			m.put(to, string(content))
		}
	}
}

// clear removes all messages.
func (m *mailbox) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.got)
}

// The description of an alert about a user. Its last line is a command that people copy.
const (
	fact        = `5 of 5 slots are taken. Likely cause: a program.`
	commandLine = `qlik_exporter sessions end --user "LAB\svc_qlik_reload"`
)

// TestReceivers runs the receivers of the shipped example; only their destinations are
// changed. It checks what each of them sends, when alerts fire and when they end. It
// cannot check that the real services accept the messages.
func TestReceivers(t *testing.T) {
	t.Run("0.28", func(t *testing.T) {
		testReceivers(t, "0.28", alertmanagerProgram(t, "alertmanager"), alertmanagerProgram(t, "amtool"))
	})
	t.Run("0.25", func(t *testing.T) {
		const program, tool = "/usr/bin/prometheus-alertmanager", "/usr/bin/amtool"
		version, err := exec.CommandContext(t.Context(), program, "--version").CombinedOutput()
		if err != nil || !strings.Contains(string(version), "version 0.25.") {
			t.Skipf("%s is not the one of Debian 12 (package prometheus-alertmanager): %v", program, err)
		}
		testReceivers(t, "0.25", program, tool)
	})
}

func testReceivers(t *testing.T, version, program, tool string) {
	t.Helper()
	box := &mailbox{got: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		box.put(r.URL.Path, string(content))
		w.WriteHeader(http.StatusAccepted) // as PagerDuty responds
		_, _ = io.WriteString(w, "ok")     // as Slack responds
	}))
	t.Cleanup(server.Close)

	dir := t.TempDir()
	shell(t, "qlik_exporter assets "+dir+" --alertmanager="+version)
	for file, content := range map[string]string{
		"slack-webhook-url":      server.URL + "/slack",
		"teams-service-desk-url": server.URL + "/teams",
		"watchdog-url":           server.URL + "/watchdog",
		"webhook-url":            server.URL + "/webhook",
		"pagerduty-routing-key":  "key-of-the-service",
	} {
		writeFile(t, filepath.Join(dir, file), []byte(content+"\n"))
	}
	file := filepath.Join(dir, "alertmanager.yml")
	writeFile(t, file, bytes.ReplaceAll(readFile(t, file), []byte("/etc/alertmanager/secrets/"), []byte(dir+"/")))
	config := readYAML(t, file)
	global := config.mapping("global")
	global["smtp_smarthost"] = box.listenSMTP(t)
	global["smtp_require_tls"] = false
	delete(global, "smtp_auth_username")
	delete(global, "smtp_auth_password_file")
	channels := map[string]int{} // of each receiver
	for _, receiver := range config.list("receivers") {
		channels[fmt.Sprint(receiver["name"])] = len(receiver) - 1
		for _, pagerduty := range receiver.list("pagerduty_configs") {
			pagerduty["url"] = server.URL + "/pagerduty"
		}
		for _, webhook := range receiver.list("webhook_configs") {
			if webhook["url"] != nil { // 0.25 does not read it from a file
				webhook["url"] = fmt.Sprintf("%s/%s", server.URL, receiver["name"])
			}
		}
	}
	for name, count := range channels {
		expect(t, count == 1, "receiver "+name+" has one channel", count)
	}
	hurry := pace{faster: 100}
	alwaysOpen(config)
	eachRoute(config.mapping("route"), func(route document) {
		hurry.shorten(route, "group_wait")
		hurry.shorten(route, "group_interval")
	})
	config.mapping("route")["receiver"] = "webhook" // which no route of the example uses
	writeYAML(t, file, config)
	a := startAlertmanagerOf(t, program, tool, file)

	const user, proxy = `LAB\svc_qlik_reload has no free slot`, "The Qlik proxy on qlik2 does not answer"
	began := time.Now()
	send := func(status string) {
		t.Helper()
		alert := func(alertname, severity, scope, summary string) document {
			ends := time.Now().Add(time.Hour)
			if status == resolved {
				ends = time.Now()
			}
			return document{
				"labels": document{"alertname": alertname, "severity": severity, "scope": scope, "site": "production"},
				"annotations": document{
					"summary": summary, "description": fact + "\n" + commandLine,
					"runbook_url": "https://example.com/runbook", "sessions_url": "https://example.com/sessions/user?user=LAB%5Csvc_qlik_reload&site=production",
				},
				"startsAt": began.UTC(), "endsAt": ends.UTC(),
			}
		}
		alerts, err := json.Marshal([]document{
			alert(reached, "critical", "user", user),
			alert("QlikUserSessionBurst", "warning", "user", user),
			alert(proxyDown, "critical", "site", proxy),
			alert("QlikRepositoryDown", "warning", "site", "No repository answers"),
			alert("QlikDenialsNotObserved", "info", "site", "The audit log is not being read"),
			alert("QlikWatchdog", "none", "site", "The alerts reach this receiver"),
			alert("DiskFull", "warning", "", "The disk is full"),
		})
		if err != nil {
			t.Fatal(err)
		}
		response, err := httpClient.Post("http://"+a.address+"/api/v2/alerts", "application/json", bytes.NewReader(alerts))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		expect(t, response.StatusCode == http.StatusOK, "Alertmanager takes the alerts", response.Status)
	}
	// JSON and Markdown in JSON: what a client shows is what it decodes.
	decoded := func(to string) string {
		return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(box.get(to))
	}
	type part struct{ to, contains string }
	arrive := func(parts []part) {
		t.Helper()
		for _, p := range parts {
			a.waitFor(t, fmt.Sprintf("%q sent to %s", p.contains, p.to), 20*time.Second, func() bool {
				return strings.Contains(decoded(p.to), p.contains)
			})
			t.Logf("ok: %s got %q", p.to, p.contains)
		}
	}
	const desk, administrators, teamsMail = "service-desk@example.com", "qlik-administrators@example.com", "channel@emea.teams.example.com"
	teams := []part{
		{"/teams", "🟠 " + user},
		{"/teams", "\n\n" + commandLine + "\n\n"},
		{"/teams", `[Answer](https://example.com/sessions/user?user=LAB%5Csvc_qlik_reload&site=production)`},
	}
	if version == "0.25" {
		teams = []part{{teamsMail, "Subject: [Qlik warning] " + user}, {teamsMail, commandLine}}
	}
	started := slices.Concat(teams, []part{
		{desk, "Subject: [Qlik critical] " + user},
		{desk, "\n" + commandLine + "\n"},
		{desk, `<a href="https://example.com/runbook">Runbook</a>`},
		{"/pagerduty", `"summary":"` + proxy + `"`},
		{"/pagerduty", `"routing_key":"key-of-the-service"`},
		{"/pagerduty", `"severity":"critical"`},
		{"/pagerduty", "\n" + commandLine + "\n"},
		{"/slack", "🟠 No repository answers"},
		{"/slack", fact + "\n`" + commandLine + "`\n"},
		{administrators, "Subject: [Qlik info] The audit log is not being read"},
		{"/watchdog", `"alertname":"QlikWatchdog"`},
		{"/webhook", `"alertname":"DiskFull"`},
		{"/webhook", `"description":"` + fact + "\n" + commandLine},
	})
	send(firing)
	arrive(started)
	for _, to := range []string{desk, administrators, teamsMail, "/teams", "/webhook", "/pagerduty", "/slack", "/watchdog"} {
		t.Logf("%s got:\n%s", to, box.get(to))
	}
	box.clear()
	send(resolved)
	ended := []part{
		{desk, "Subject: [Qlik resolved] " + user},
		{"/pagerduty", `"event_action":"resolve"`},
		{"/slack", "✅ Resolved: No repository answers"},
		{"/webhook", `"status":"resolved"`},
	}
	arrive(ended)
	for _, p := range ended {
		t.Logf("%s got:\n%s", p.to, box.get(p.to))
		if p.to != "/webhook" { // gets all annotations
			expect(t, !strings.Contains(decoded(p.to), commandLine) && !strings.Contains(decoded(p.to), fact), "no description in the resolved message to "+p.to, len(box.get(p.to)))
		}
	}
	for _, to := range []string{administrators, teamsMail, "/teams", "/watchdog"} {
		expect(t, !strings.Contains(strings.ToLower(box.get(to)), "resolved"), "no resolved message to "+to, box.get(to))
	}

	// The command that tests the way of the alerts.
	for scope, kind := range map[string]string{"site": "on-call accepted the notification by pagerduty", "user": "service-desk accepted the notification by email"} {
		said := shell(t, "qlik_exporter assets --test-alert http://"+a.address+" --test-scope="+scope)
		expect(t, strings.Contains(said, kind), "the test alert arrives", said)
	}
	for line := range strings.SplitSeq(a.stdout.String()+a.stderr.String(), "\n") {
		if lower := strings.ToLower(line); strings.Contains(lower, "level=warn") || strings.Contains(lower, "level=error") {
			t.Errorf("Alertmanager logs: %s", line)
		}
	}
}
