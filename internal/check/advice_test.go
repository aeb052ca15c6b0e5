package check_test

import (
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
