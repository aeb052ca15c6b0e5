package qlik

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// reloads is a repository that responds with reload tasks and a number of executions.
type reloads struct {
	tasks, count string
	status       int // of the number
	filters      []string
}

func (r *reloads) RoundTrip(request *http.Request) (*http.Response, error) {
	body, status := r.tasks, http.StatusOK
	switch request.URL.Path {
	case "/qrs/reloadtask/full":
	case "/qrs/executionresult/count":
		body, status = r.count, r.status
	default:
		return nil, fmt.Errorf("a request for %s", request.URL.Path)
	}
	r.filters = append(r.filters, request.URL.Query().Get("filter"))
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
}

func TestMonitoringReloads(t *testing.T) {
	task := func(id, stream string) string {
		return fmt.Sprintf(`{"id":%q,"name":"Reload","enabled":true,"app":{"id":"7","name":"x","stream":%s}}`, id, stream)
	}
	const monitoring = `{"id":"9","name":"Monitoring apps"}`
	two := list(task("0a1b-22", monitoring), task("3c", monitoring))
	for _, test := range []struct {
		name        string
		tasks       string
		count       string
		status      int
		want        int
		none        bool
		failed      bool
		wantFilters string // of the number; "" if it is not asked for
	}{
		{name: "two tasks", tasks: two, count: `{"value":48}`, status: 200, want: 48, wantFilters: "startTime ge '2026-03-01T08:00:00.000Z' and (taskId eq 0a1b-22 or taskId eq 3c)"},
		{
			name: "the filter is ignored", tasks: list(task("1", monitoring), task("2", `{"name":"Everyone"}`), task("3", "null")), count: `{"value":1}`, status: 200, want: 1,
			wantFilters: "startTime ge '2026-03-01T08:00:00.000Z' and (taskId eq 1)",
		},
		{
			name: "an id that would change the filter", tasks: list(task("1 or 2", monitoring), task("1", monitoring)), count: `{"value":0}`, status: 200,
			wantFilters: "startTime ge '2026-03-01T08:00:00.000Z' and (taskId eq 1)",
		},
		{name: "no task", tasks: `[]`, none: true},
		{name: "no number", tasks: two, count: `{}`, status: 200, failed: true, wantFilters: "startTime ge '2026-03-01T08:00:00.000Z' and (taskId eq 0a1b-22 or taskId eq 3c)"},
		{name: "an impossible number", tasks: two, count: `{"value":1e300}`, status: 200, failed: true, wantFilters: "startTime ge '2026-03-01T08:00:00.000Z' and (taskId eq 0a1b-22 or taskId eq 3c)"},
		{name: "the filter is not understood", tasks: two, count: `400::Cannot parse the expression`, status: 400, failed: true, wantFilters: "startTime ge '2026-03-01T08:00:00.000Z' and (taskId eq 0a1b-22 or taskId eq 3c)"},
		{name: "broken", tasks: `[{`, failed: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			site := &reloads{tasks: test.tasks, count: test.count, status: test.status}
			got, err := clientOf(site).MonitoringReloads(t.Context(), time.Date(2026, 3, 1, 9, 0, 0, 0, time.FixedZone("", 3600)))
			if got != test.want || errors.Is(err, ErrNoReloadTask) != test.none || (err != nil) != (test.failed || test.none) {
				t.Errorf("got %d, %v", got, err)
			}
			filters := append(slices.Clone(site.filters), "")
			if filters[0] != "app.stream.name eq 'Monitoring apps'" || filters[1] != test.wantFilters {
				t.Errorf("filters %q", site.filters)
			}
		})
	}
}
