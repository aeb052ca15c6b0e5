package cli

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/alertmanager"
)

// testAlert sends an alert to an Alertmanager, to prove that its notifications arrive.
type testAlert struct {
	url             *url.URL
	file            string
	scope, severity string
	timeout         time.Duration
}

// run sends the alert and waits for the notification.
func (t *testAlert) run(ctx context.Context, job string, streams Streams) error {
	client, err := alertmanager.New(t.url, t.file)
	if err != nil {
		return err
	}
	// The site is new each time. Otherwise, the alert of a second test would join the group
	// of the first one, and wait for group_interval.
	site := "test " + time.Now().Format("15:04:05")
	alert := &alertmanager.Alert{
		Labels: map[string]string{"alertname": "QlikTestAlert", "severity": t.severity, "scope": t.scope, "job": job, "site": site},
		Annotations: map[string]string{
			"summary":     "Test of the alerts about Qlik: nothing to do",
			"description": "Somebody ran \"qlik_exporter assets --test-alert\". This message proves that alerts about Qlik reach you.",
		},
	}
	if t.scope == "user" {
		alert.Labels["user_directory"], alert.Labels["user_id"] = "TEST", "test"
	}
	var failed error
	err = client.Test(ctx, alert, t.timeout, func(format string, args ...any) {
		if _, err := fmt.Fprintf(streams.Out, format, args...); err != nil {
			failed = err
		}
	})
	if err != nil {
		return err
	}
	if failed == nil {
		_, failed = fmt.Fprintln(streams.Out, "Now look whether the message has arrived where people read it.")
	}
	return failed
}
