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
	"path/filepath"
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

// TestReceivers runs the receivers of the shipped example; only their
// destinations are changed. It checks that each of them sends a message with the
// templates and reads its secret from a file. It cannot check that the real
// services accept the messages.
func TestReceivers(t *testing.T) {
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
	for file, content := range map[string]string{
		"slack-webhook-url":      server.URL + "/slack",
		"teams-service-desk-url": server.URL + "/teams",
		"ticket-webhook-url":     server.URL + "/ticket",
		"pagerduty-routing-key":  "key-of-the-service",
	} {
		writeFile(t, filepath.Join(dir, file), []byte(content+"\n"))
	}
	file := filepath.Join(dir, "alertmanager.yml")
	writeFile(t, file, bytes.ReplaceAll(readFile(t, amFile), []byte("/etc/alertmanager/secrets/"), []byte(dir+"/")))
	config := readYAML(t, file)
	global := config.mapping("global")
	global["smtp_smarthost"] = box.listenSMTP(t)
	global["smtp_require_tls"] = false
	delete(global, "smtp_auth_username")
	delete(global, "smtp_auth_password_file")
	templates, err := filepath.Abs(filepath.Join(filepath.Dir(amFile), "templates", "*.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	config["templates"] = []any{templates}
	for _, receiver := range config.list("receivers") {
		for _, pagerduty := range receiver.list("pagerduty_configs") {
			pagerduty["url"] = server.URL + "/pagerduty"
		}
	}
	hurry := pace{faster: 100}
	alwaysOpen(config)
	eachRoute(config.mapping("route"), func(route document) { hurry.shorten(route, "group_wait") })
	writeYAML(t, file, config)
	a := startAlertmanager(t, file)

	const user, proxy = `LAB\anna.berg has no free slot`, "The Qlik proxy on qlik2 does not answer"
	alert := func(alertname, severity, scope, summary string) document {
		return document{
			"labels":      document{"alertname": alertname, "severity": severity, "scope": scope, "site": "production"},
			"annotations": document{"summary": summary, "description": "What to do now.\nAnd then.", "runbook_url": "https://example.com/runbook"},
		}
	}
	alerts, err := json.Marshal([]document{
		alert(reached, "critical", "user", user),
		alert(near, "warning", "user", user),
		alert(proxyDown, "critical", "site", proxy),
		alert("QlikDenialsNotObserved", "info", "site", "The audit log is not being read"),
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

	for _, expected := range []struct{ to, contains string }{
		{"service-desk@example.com", "Subject: [Qlik critical] " + user},
		{"service-desk@example.com", `<a href="https://example.com/runbook">Runbook</a>`},
		{"/teams", `🔴 LAB\\\\anna.berg has no free slot`},
		{"/ticket", `"alertname":"` + reached + `"`},
		{"/pagerduty", `"summary":"` + proxy + `"`},
		{"/pagerduty", `"routing_key":"key-of-the-service"`},
		{"/pagerduty", `"severity":"critical"`},
		{"/slack", "🔴 " + proxy},
		{"/slack", `What to do now.\nAnd then.`},
		{"qlik-administrators@example.com", "Subject: [Qlik info] The audit log is not being read"},
	} {
		a.waitFor(t, fmt.Sprintf("%q sent to %s", expected.contains, expected.to), 20*time.Second, func() bool {
			return strings.Contains(box.get(expected.to), expected.contains)
		})
		t.Logf("ok: %s got %q", expected.to, expected.contains)
	}
	for _, to := range []string{"service-desk@example.com", "qlik-administrators@example.com", "/teams", "/ticket", "/pagerduty", "/slack"} {
		t.Logf("%s got:\n%s", to, box.get(to))
	}
}
