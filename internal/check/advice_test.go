package check_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestAdvice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		simulated.VirtualProxies = []qliktest.VirtualProxy{
			{},
			{Prefix: "sales", Nodes: []string{"qlik1"}},
			{Prefix: "sales", Nodes: []string{"qlik2"}},
			{Prefix: "portal", InactivityTimeout: 8 * time.Hour},
		}
		simulated.LicenseExpiry = time.Now().Add(5 * 24 * time.Hour)
		site, config := start(t, simulated)
		config.ServiceAccounts = []qlik.User{qlik.NewUser("LAB", "svc_reload"), qlik.NewUser("LAB", "svc_other")}
		config.SessionLimit = 10
		for _, id := range []string{"anna", "ben", "clara"} {
			login(t, site, id, "laptop", "", "qlik1")
			login(t, site, id, "phone", "", "qlik2")
		}
		for _, id := range []string{"david", "elena"} { // each has one session, so one node
			login(t, site, id, "laptop", "portal", "qlik1")
		}
		report := run(t, config)
		expect(t, report, config)
		want := []string{
			`service account LAB\svc_reload holds analyzer access, so the session limit applies to it, and reloads fail at the limit: exclude the account in the license rule, and then remove this access in the QMC under License management`,
			"2 virtual proxies have the prefix /sales (on qlik1; on qlik2), so metrics distinguish them only by node: give each its own prefix when you change them anyway, because a new prefix breaks the users' links",
			"virtual proxy /portal ends an inactive session only after 480 minutes: set its session inactivity timeout to 30 minutes or less to free slots sooner, at a quiet hour if the QMC says that this restarts proxies, which would end 8 sessions of 5 users now",
			"3 of 3 users of virtual proxy / have sessions on several nodes, and each of these sessions counts: enable sticky sessions in the load balancer",
			"--qlik.session-limit is 10, but a Qlik license allows 5 sessions and this limit cannot be changed: remove the setting",
			"the license expires on 2000-01-06: renew it",
		}
		if !slices.Equal(report.Advice, want) {
			t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(report.Advice, "\n\t"), strings.Join(want, "\n\t"))
		}

		site.SetRepositoryAnswer("/qrs/license", []byte(`{"keyDetails":"Valid To: 2000-01-02"}`))
		time.Sleep(3 * 24 * time.Hour)
		if got := run(t, config).Advice; !slices.Contains(got, "the license expired on 2000-01-02: renew it") {
			t.Errorf("got\n\t%s", strings.Join(got, "\n\t"))
		}
	})
}

// TestServiceAccounts checks that accounts are found without a setting, and that the advice
// depends on how an account was found.
func TestServiceAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		for _, id := range []string{"svc_reload", "Svc_Reload", "clara"} {
			simulated.DataConnections = append(simulated.DataConnections, qliktest.DataConnection{
				Name: "monitor_apps_REST_" + id, Username: `LAB\` + id, Password: "s3cret",
			})
		}
		simulated.DataConnections = append(simulated.DataConnections, qliktest.DataConnection{Name: "sales", Username: `LAB\anna`, Password: "s3cret"})
		_, config := start(t, simulated)
		running := func() ([]qlik.User, error) { return []qlik.User{qlik.NewUser("LAB", "svc_reload")}, nil }
		remedy := func(held string) string {
			return " holds " + held + " access, so the session limit applies to it, and reloads fail at the limit: exclude the account in the license rule, and then remove this access in the QMC under License management"
		}
		for _, test := range []struct {
			name    string
			change  func()
			results []string
			advice  string
		}{
			{
				"by connections", func() {},
				[]string{`LAB\clara (in the data connections of the monitoring apps): holds no license`, `LAB\svc_reload (in the data connections of the monitoring apps): holds analyzer access`},
				`LAB\svc_reload is the user of the monitoring apps' data connections and holds analyzer access, so each reload of these apps takes one of the user's sessions: ` +
					"if it is a service account, remove this access in the QMC under License management, and name the account with --qlik.service-account; " +
					"if it is a person who needs the access, enter another root administrator without a license in the data connections that begin with monitor_apps_REST_",
			},
			{
				"by services", func() { config.ServiceUsers = running },
				[]string{
					`LAB\clara (in the data connections of the monitoring apps): holds no license`,
					`LAB\svc_reload (runs the services of this machine, by their Trace logs; in the data connections of the monitoring apps): holds analyzer access`,
				},
				`LAB\svc_reload runs the services of this machine and` + remedy("analyzer"),
			},
			{
				"named", func() { config.ServiceAccounts = []qlik.User{qlik.NewUser("LAB", "svc_reload")} },
				[]string{
					`LAB\clara (in the data connections of the monitoring apps): holds no license`,
					`LAB\svc_reload (named with --qlik.service-account; runs the services of this machine, by their Trace logs; in the data connections of the monitoring apps): holds analyzer access`,
				},
				`service account LAB\svc_reload` + remedy("analyzer"),
			},
			{
				"without licenses", func() {
					config.Licenses, config.ServiceUsers = false, func() ([]qlik.User, error) { return nil, errors.New("broken") }
				},
				[]string{"a Trace log of this machine cannot be read (broken)", `LAB\svc_reload (named with --qlik.service-account): its licenses are unknown`},
				"",
			},
			{
				"none", func() { config.ServiceAccounts, config.ServiceUsers = nil, nil },
				[]string{"turned off by --no-collector.licenses"},
				"",
			},
		} {
			test.change()
			report := run(t, config)
			var results []string
			for _, r := range report.Results {
				if r.Step == "service account" {
					results = append(results, r.Text)
				}
			}
			var advice string
			for _, a := range report.Advice {
				if strings.Contains(a, "svc_reload") || strings.Contains(a, "clara") {
					advice += a
				}
			}
			if !slices.Equal(results, test.results) || advice != test.advice {
				t.Errorf("%s: got %q, %q", test.name, results, advice)
			}
			if strings.Contains(fmt.Sprint(report), "s3cret") {
				t.Errorf("%s: contains a password", test.name)
			}
		}
	})
}

// TestLateActivity finds the session of an open dashboard, which usage rows do not record.
func TestLateActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		login(t, site, "anna", "laptop", "", "qlik1")
		dashboard := site.Sessions()[0].ID
		for _, want := range []string{"", "usage rows record the activity of 1 of 2 sessions late, by at least 10 min, unless a clock is wrong: a session that looks idle may be in use; " +
			"the running exporter measures how soon activity is recorded, in qlik_usage_activity_interval_seconds"} {
			time.Sleep(20 * time.Minute)
			if !site.KeepAlive(dashboard) {
				t.Fatal("the session has ended")
			}
			login(t, site, "anna", "phone", "", "qlik1")
			if got := strings.Join(run(t, config).Advice, "\n"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}
