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
		for _, id := range []string{"david", "elena"} { // both have their browser on one node
			login(t, site, id, "laptop", "portal", "qlik1")
		}
		report := run(t, config)
		expect(t, report, config)
		want := []string{
			`service account LAB\svc_reload holds analyzer access, so its sessions run into the limit and reloads fail: take it away in the QMC under License management`,
			"2 virtual proxies have the prefix /sales (on qlik1; on qlik2), so metrics tell them apart by node only: give each a prefix of its own",
			"virtual proxy /portal keeps a forgotten session for 480 minutes: 30 or less free slots sooner",
			"3 of 3 users of virtual proxy / have sessions on several nodes, each of which counts: let the load balancer keep a browser on its node",
			"--qlik.session-limit is 10, but Qlik's license grants 5 and cannot be changed: leave the setting out",
			"the license ends on 2000-01-06: renew it",
		}
		if !slices.Equal(report.Advice, want) {
			t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(report.Advice, "\n\t"), strings.Join(want, "\n\t"))
		}
	})
}
