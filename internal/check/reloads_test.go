package check_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestReloads checks that the report says how many reloads of the monitoring apps compete
// with the limit, and that a release where they cannot be counted fails nothing.
func TestReloads(t *testing.T) {
	for _, test := range []struct {
		name, user string
		tasks      []qliktest.ReloadTask
		count      string // answer of the repository; "" is that of the simulation
		mark       check.Mark
		want       string
		advice     string
	}{
		{
			name: "licensed", user: `LAB\svc_reload`, tasks: []qliktest.ReloadTask{{Name: "a", Stream: "Monitoring apps", Every: time.Hour}, {Name: "b", Stream: "monitoring apps", Every: 12 * time.Hour}, {Name: "c", Stream: "Everyone", Every: time.Minute}},
			mark: check.OK, want: `26 reloads of the monitoring apps in the last day logged in as LAB\svc_reload; those of LAB\svc_reload compete with the session limit, because it holds a license`,
			advice: "so each reload of these apps (26 in the last day) takes one of the user's sessions",
		},
		{
			name: "unlicensed", user: `LAB\nobody`, tasks: []qliktest.ReloadTask{{Name: "a", Stream: "Monitoring apps", Every: 24 * time.Hour}},
			mark: check.OK, want: `1 reload of the monitoring apps in the last day logged in as LAB\nobody; the session limit does not apply to an account without a license`,
		},
		{
			name: "no task", user: `LAB\svc_reload`, mark: check.Skipped, want: "the reloads of the monitoring apps cannot be counted (there is no reload task of an app in the stream Monitoring apps)",
			advice: "so each reload of these apps takes one of the user's sessions",
		},
		{
			name: "another form", user: `LAB\svc_reload`, tasks: []qliktest.ReloadTask{{Name: "a", Stream: "Monitoring apps", Every: time.Hour}}, count: `{"count":7}`,
			mark: check.Skipped, want: "the reloads of the monitoring apps cannot be counted (", advice: "so each reload of these apps takes one of the user's sessions",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				simulated := twoNodes()
				simulated.DataConnections = []qliktest.DataConnection{{Name: "monitor_apps_REST_app", Username: test.user}}
				simulated.ReloadTasks = test.tasks
				server, config := start(t, simulated)
				if test.count != "" {
					server.SetRepositoryAnswer("/qrs/executionresult/count", []byte(test.count))
				}
				report := run(t, config)
				found := 0
				for _, r := range report.Results {
					if r.Step == "reloads" {
						found++
						if r.Mark != test.mark || !strings.HasPrefix(r.Text, test.want) {
							t.Errorf("got %s %s", r.Mark, r.Text)
						}
					}
				}
				if advice := strings.Join(report.Advice, "\n"); found != 1 || !strings.Contains(advice, test.advice) || !report.OK() {
					t.Errorf("%d results, advice %s", found, advice)
				}
			})
		})
	}
}
