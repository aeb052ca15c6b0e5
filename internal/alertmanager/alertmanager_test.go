package alertmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const config = `
receivers:
- name: on-call
  pagerduty_configs: [{routing_key: x}]
- name: two-channels
  email_configs: [{to: a}]
  slack_configs: [{channel: b}]
- name: nobody
`

// fake is an Alertmanager without a network.
type fake struct {
	receiver  string
	groupWait time.Duration
	requests  string // metrics after groupWait, without the prefix of their names
	status    string // status of the alert, as JSON
	instead   answer // of the usual one

	began time.Time
	sent  []Alert
}

// answer is the response to a path.
type answer struct {
	path   string
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if f.instead.path != "" && strings.HasSuffix(r.URL.Path, f.instead.path) {
		return response(f.instead.status, f.instead.body), nil
	}
	switch r.Method + r.URL.Path {
	case "GET/am/api/v2/status":
		content, err := json.Marshal(map[string]any{"config": map[string]string{"original": config}, "versionInfo": map[string]string{"version": "0.31.1"}})
		return response(http.StatusOK, string(content)), err
	case "GET/am/metrics":
		text := total("pagerduty", 7, 0)
		if len(f.sent) > 0 && time.Since(f.began) >= f.groupWait {
			text = f.requests
		}
		return response(http.StatusOK, text), nil
	case "POST/am/api/v2/alerts":
		var alerts []Alert
		if err := json.NewDecoder(r.Body).Decode(&alerts); err != nil {
			return nil, err
		}
		f.sent = append(f.sent, alerts...)
		return response(http.StatusOK, ""), nil
	case "GET/am/api/v2/alerts":
		if r.URL.Query().Get("filter") != `alertname="QlikTestAlert"` {
			return nil, errors.New("no filter")
		}
		status := f.status
		if status == "" {
			status = `{"state": "active"}`
		}
		return response(http.StatusOK, fmt.Sprintf(`[{"receivers": [{"name": %q}], "status": %s}]`, f.receiver, status)), nil
	}
	return response(http.StatusNotFound, "not here"), nil
}

func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), Body: io.NopCloser(strings.NewReader(body))}
}

// total returns the metrics of requests and failures of an integration.
func total(integration string, all, failed int) string {
	return counter("alertmanager_notification_requests_total", integration, all) + counter("alertmanager_notification_requests_failed_total", integration, failed)
}

func counter(name, integration string, value int) string {
	return fmt.Sprintf("# TYPE %[1]s counter\n%[1]s{integration=%[2]q,receiver_name=\"r\"} %[3]d\n", name, integration, value)
}

// both joins the metrics of two integrations.
func both(first, second string) string {
	a, b := strings.SplitAfter(first, "\n"), strings.SplitAfter(second, "\n")
	return a[0] + a[1] + b[1] + a[2] + a[3] + b[3]
}

func TestTest(t *testing.T) {
	for name, test := range map[string]struct {
		fake  fake
		wrong string // part of the error
		says  string // part of the report
		sent  int    // alerts: the start and the end
	}{
		"notified":           {fake{receiver: "on-call", groupWait: 35 * time.Second, requests: total("pagerduty", 8, 0)}, "", "on-call accepted the notification by pagerduty after 35s", 2},
		"second try":         {fake{receiver: "on-call", requests: total("pagerduty", 9, 1)}, "", "A notification by pagerduty has failed", 2},
		"fails":              {fake{receiver: "on-call", requests: total("pagerduty", 9, 2)}, "could not notify on-call by pagerduty; its log says why", "", 2},
		"another service":    {fake{receiver: "on-call", requests: both(total("pagerduty", 7, 0), total("slack", 5, 0))}, "has not notified on-call within 1m0s", "", 2},
		"one channel of two": {fake{receiver: "two-channels", requests: total("slack", 1, 0)}, "has not notified two-channels within 1m0s", "", 2},
		"two channels":       {fake{receiver: "two-channels", requests: both(total("slack", 1, 0), total("email", 1, 0))}, "", "by email, slack", 2},
		"no integration":     {fake{receiver: "nobody"}, "nobody, which has no integration", "", 2},
		"silenced":           {fake{receiver: "on-call", status: `{"state": "suppressed", "silencedBy": ["1234"]}`}, "a silence mutes it: 1234", "", 2},
		"inhibited":          {fake{receiver: "on-call", status: `{"state": "suppressed", "inhibitedBy": ["1234"]}`}, "another alert inhibits it", "", 2},
		"muted":              {fake{receiver: "on-call", status: `{"state": "active", "mutedBy": ["holidays"]}`}, "a time interval mutes its route: holidays", "", 2},
		"Prometheus":         {fake{instead: answer{"/status", 404, ""}}, "is not an Alertmanager: /api/v2/status responds 404 Not Found; Alertmanager usually listens on port 9093", "", 0},
		"a web page":         {fake{instead: answer{"/status", 200, "<html>"}}, "is not an Alertmanager: /api/v2/status responds with something else than JSON", "", 0},
		"a password":         {fake{instead: answer{"/status", 401, ""}}, "requires a password: 401 Unauthorized; set --test-http-config-file", "", 0},
		"refused":            {fake{instead: answer{"/api/v2/alerts", 400, "bad\x1b label"}}, `responds 400 Bad Request: bad`, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := test.fake
				f.began = time.Now()
				client := &Client{&url.URL{Scheme: "http", User: url.UserPassword("me", "secret"), Host: "am:9093", Path: "/am"}, &http.Client{Transport: &f}}
				var report strings.Builder
				err := client.Test(t.Context(), &Alert{Labels: map[string]string{"alertname": "QlikTestAlert"}}, time.Minute, func(format string, args ...any) {
					fmt.Fprintf(&report, format, args...)
				})
				if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("error %v, want %q", err, test.wrong)
				}
				if !strings.Contains(report.String(), test.says) {
					t.Errorf("report %q, want %q", &report, test.says)
				}
				if strings.Contains(fmt.Sprint(err, report.String()), "secret") {
					t.Errorf("the password is shown: %v, %s", err, &report)
				}
				if len(f.sent) != test.sent || test.sent == 2 && (f.sent[1].EndsAt.After(time.Now()) || !f.sent[0].EndsAt.After(time.Now())) {
					t.Errorf("sent %+v, want %d alerts, the last one ended", f.sent, test.sent)
				}
			})
		})
	}
}

// TestInterrupt checks that the alert ends if somebody interrupts the test.
func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{receiver: "on-call", began: time.Now(), groupWait: time.Hour}
		client := &Client{&url.URL{Scheme: "http", Host: "am:9093", Path: "/am"}, &http.Client{Transport: f}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		err := client.Test(ctx, &Alert{Labels: map[string]string{"alertname": "QlikTestAlert"}}, time.Minute, func(string, ...any) {})
		if err == nil || len(f.sent) != 2 || time.Since(f.began) > 6*time.Second {
			t.Errorf("%v, sent %+v", err, f.sent)
		}
	})
}
