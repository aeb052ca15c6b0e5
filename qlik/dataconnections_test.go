package qlik

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// connections is a repository that responds with data connections.
type connections struct {
	status int
	body   string
	filter string
}

func (c *connections) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path != "/qrs/dataconnection/full" {
		return nil, fmt.Errorf("a request for %s", request.URL.Path)
	}
	c.filter = request.URL.Query().Get("filter")
	return &http.Response{StatusCode: c.status, Body: io.NopCloser(strings.NewReader(c.body)), Request: request}, nil
}

func TestMonitoringUsers(t *testing.T) {
	const secret = "s3cret"
	connection := func(name, user string) string {
		return fmt.Sprintf(`{"id":"1","name":%s,"connectionstring":%q,"username":%s,"password":%q,"type":"QvWebStorageProviderConnectorPackage.exe"}`, name, secret, user, secret)
	}
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   []string
		left   uint64
		failed bool
	}{
		{name: "one account", status: 200, body: list(
			connection(`"monitor_apps_REST_app"`, `"LAB\\Svc_Qlik"`), connection(`"monitor_apps_REST_user_condensed"`, `"lab\\svc_qlik"`)), want: []string{`LAB\svc_qlik`}},
		{name: "several, in order", status: 200, body: list(
			connection(`"monitor_apps_REST_app"`, `"LAB\\b"`), connection(`"Monitor_Apps_rest_event"`, `"LAB\\a"`)), want: []string{`LAB\a`, `LAB\b`}},
		{name: "the filter is ignored", status: 200, body: list(connection(`"sales"`, `"LAB\\reader"`), connection(`"my monitor_apps_REST_"`, `"LAB\\reader"`))},
		{name: "without a user", status: 200, body: list(connection(`"monitor_apps_REST_app"`, `""`), connection(`"monitor_apps_REST_task"`, `null`))},
		{name: "a service", status: 200, body: list(connection(`"monitor_apps_REST_app"`, `"INTERNAL\\sa_api"`))},
		{name: "no user of Qlik", status: 200, body: list(connection(`"monitor_apps_REST_app"`, `"svc@lab.com"`)), left: 1},
		{name: "odd elements", status: 200, body: list("7", connection("5", `"LAB\\x"`), connection(`"monitor_apps_REST_app"`, `["`+secret+`"]`),
			connection(`"monitor_apps_REST_app"`, `"LAB\\svc"`)), want: []string{`LAB\svc`}, left: 3},
		{name: "none", status: 200, body: "[]"},
		{name: "old release", status: 404, body: "not found"},
		{name: "no rights", status: 403, body: secret, failed: true},
		{name: "broken", status: 200, body: `[{"name":"monitor_apps_REST_app","password":"` + secret, failed: true},
		{name: "another shape", status: 200, body: `{"password":"` + secret + `"}`, failed: true},
		{name: "a page", status: 200, body: `<html>` + secret, failed: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			site := &connections{status: test.status, body: test.body}
			c := clientOf(site)
			users, err := c.MonitoringUsers(t.Context())
			var got []string
			for _, user := range users {
				got = append(got, user.String())
			}
			if !slices.Equal(got, test.want) || (err != nil) != test.failed {
				t.Errorf("got %q, %v", got, err)
			}
			if left := c.Skipped()[SourceDataConnections]; left != test.left {
				t.Errorf("left out %d: %v", left, c.LeftOut(SourceDataConnections))
			}
			if text := fmt.Sprint(users, err, c.LeftOut(SourceDataConnections)); strings.Contains(text, secret) {
				t.Errorf("contains a secret: %s", text)
			}
			if site.filter != "name sw 'monitor_apps_REST_'" {
				t.Errorf("filter %q", site.filter)
			}
		})
	}

	var many []string
	for i := range 100 {
		many = append(many, connection(`"monitor_apps_REST_app"`, fmt.Sprintf(`"LAB\\user%d"`, i)))
	}
	if users, err := clientOf(&connections{status: 200, body: list(many...)}).MonitoringUsers(t.Context()); len(users) != maxConnectionUsers || err != nil {
		t.Errorf("%d users, %v", len(users), err)
	}
}
