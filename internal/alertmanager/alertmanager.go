// Package alertmanager sends a test alert to an Alertmanager and waits until it has
// notified the receivers.
package alertmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/qlik-exporter/qlik_exporter/internal/exporter"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

const (
	maxBytes = 64 << 20 // of a response
	maxText  = 300      // of a response in an error
)

// Client talks to an Alertmanager.
type Client struct {
	base *url.URL
	http *http.Client
}

// New returns a client of the Alertmanager at a URL. The file contains TLS settings and
// passwords in the format of HTTP clients of Prometheus. It may be "".
func New(base *url.URL, file string) (*Client, error) {
	client, err := exporter.NewHTTPClient(file)
	if err != nil {
		return nil, err
	}
	return &Client{base, client}, nil
}

// String returns the URL of the Alertmanager without its password.
func (c *Client) String() string { return c.base.Redacted() }

// Alert is an alert in the format of Alertmanager.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// status is what an Alertmanager says about itself.
type status struct {
	Config      struct{ Original string }
	VersionInfo struct{ Version string }
}

// integrations returns the kinds of integrations of a receiver, such as email.
func (s *status) integrations(receiver string) ([]string, error) {
	var config struct{ Receivers []map[string]any }
	if err := yaml.Unmarshal([]byte(s.Config.Original), &config); err != nil {
		return nil, fmt.Errorf("configuration of Alertmanager: %w", err)
	}
	var kinds []string
	for _, r := range config.Receivers {
		if r["name"] != receiver {
			continue
		}
		for key, value := range r {
			kind, found := strings.CutSuffix(key, "_configs")
			if list, _ := value.([]any); found && len(list) > 0 {
				kinds = append(kinds, kind)
			}
		}
	}
	slices.Sort(kinds)
	return kinds, nil
}

// state is what an Alertmanager does with an alert.
type state struct {
	Receivers []struct{ Name string }
	Status    struct {
		State                            string
		SilencedBy, InhibitedBy, MutedBy []string
	}
}

// suppressed says why nobody is notified, or returns "".
func (s *state) suppressed() string {
	switch {
	case len(s.Status.SilencedBy) > 0:
		return "a silence mutes it: " + strings.Join(s.Status.SilencedBy, ", ")
	case len(s.Status.InhibitedBy) > 0:
		return "another alert inhibits it"
	case len(s.Status.MutedBy) > 0:
		return "a time interval mutes its route: " + strings.Join(s.Status.MutedBy, ", ")
	}
	return ""
}

func (c *Client) status(ctx context.Context) (*status, error) {
	s := new(status)
	if err := c.get(ctx, "/api/v2/status", nil, s); err != nil {
		return nil, err
	}
	if s.VersionInfo.Version == "" && s.Config.Original == "" {
		return nil, c.notAlertmanager("its status has no version and no configuration")
	}
	return s, nil
}

// state returns what the Alertmanager does with an alert, or nil if it does not have it
// yet.
func (c *Client) state(ctx context.Context, labels map[string]string) (*state, error) {
	query := make(url.Values)
	for name, value := range labels {
		query.Add("filter", fmt.Sprintf("%s=%q", name, value))
	}
	var found []*state
	if err := c.get(ctx, "/api/v2/alerts", query, &found); err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// send creates or updates an alert.
func (c *Client) send(ctx context.Context, alert *Alert) error {
	body, err := json.Marshal([]*Alert{alert})
	if err != nil {
		return err
	}
	_, err = c.do(ctx, http.MethodPost, "/api/v2/alerts", nil, bytes.NewReader(body))
	return err
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	content, err := c.do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return c.notAlertmanager(path + " responds with something else than JSON")
	}
	return nil
}

func (c *Client) notAlertmanager(because string) error {
	return fmt.Errorf("%s is not an Alertmanager: %s; Alertmanager usually listens on port 9093, Prometheus on 9090", c, because)
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader) ([]byte, error) {
	address := c.base.JoinPath(path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, address.String(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the Alertmanager at %s does not respond: %w", c, withoutAddress(err))
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxBytes))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the Alertmanager at %s: %w", c, err)
	case response.StatusCode == http.StatusOK:
		return content, nil
	case response.StatusCode == http.StatusUnauthorized, response.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("the Alertmanager at %s requires a password: %s; set --test-http-config-file", c, response.Status)
	case response.StatusCode == http.StatusNotFound:
		return nil, c.notAlertmanager(path + " responds 404 Not Found")
	}
	return nil, fmt.Errorf("the Alertmanager at %s responds %s: %s", c, response.Status, text.Visible(strings.TrimSpace(string(content[:min(len(content), maxText)]))))
}

// withoutAddress removes the URL from an error, because it can contain a password.
func withoutAddress(err error) error {
	if failed, ok := err.(*url.Error); ok { //nolint:errorlint // the client returns only this type
		err = failed.Err
	}
	return err
}

// counters are the requests to the services of receivers, by kind of integration.
type counters struct{ all, failed map[string]float64 }

// counters reads the metrics of the Alertmanager.
func (c *Client) counters(ctx context.Context) (*counters, error) {
	content, err := c.do(ctx, http.MethodGet, "/metrics", nil, nil)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(content))
	if err != nil {
		return nil, c.notAlertmanager("/metrics: " + err.Error())
	}
	read := func(name string) map[string]float64 {
		sums := make(map[string]float64)
		for _, metric := range families[name].GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "integration" {
					sums[label.GetValue()] += metric.GetCounter().GetValue()
				}
			}
		}
		return sums
	}
	return &counters{read("alertmanager_notification_requests_total"), read("alertmanager_notification_requests_failed_total")}, nil
}
