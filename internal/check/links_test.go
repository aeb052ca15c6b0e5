package check_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestOneLinkFails checks that the other links of the node are still read and that
// each link has its own line.
func TestOneLinkFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		login(t, site, "anna", "laptop", "sales", "qlik2")
		site.SetAnswer("qlik2", "", []byte("{}"))
		report := run(t, config)
		expect(t, report, config, "FAIL link qlik2 /: the response is not a JSON array"+differs)
		other := report.Results[slices.IndexFunc(report.Results, func(r check.Result) bool { return r.Target == "qlik2 /sales" })]
		if other.Mark != check.OK || other.Text != "1 session of 1 user, 0 ms" {
			t.Errorf("the other link: %+v", other)
		}
	})
}

// TestWithoutRepository checks that the configured links are read.
func TestWithoutRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		config.Qlik.Hosts = nil
		config.Qlik.Proxies, config.Qlik.VirtualProxies = []string{"qlik1", "qlik2"}, []string{"/", "sales", "nosuch"}
		login(t, site, "anna", "laptop", "", "qlik1")
		unknown := "the response is 404 Not Found, so the proxy does not know this virtual proxy, or this is not the proxy's port: look at the virtual proxy and its links in the QMC under Proxies and Virtual proxies, and correct --qlik.virtual-proxy or --qlik.proxy (port 4243)"
		expect(t, run(t, config), config, "FAIL link qlik1 /nosuch: "+unknown, "FAIL link qlik2 /nosuch: "+unknown)

		config.Qlik.VirtualProxies = []string{"/"}
		site.SetProxyFault("qlik1", qliktest.Forbidden)
		expect(t, run(t, config), config, "FAIL request qlik1:4243: the response is 403, so the client certificate is not accepted: "+export)
		config.Qlik.User = qlik.NewUser("LAB", "anna")
		expect(t, run(t, config), config, `FAIL request qlik1:4243: the response is 403, so LAB\anna is unknown or the client certificate is not accepted: remove --qlik.user; if the problem persists, `+export)

		site.SetProxyFault("qlik1", qliktest.HTMLPage)
		expect(t, run(t, config), config, "FAIL request qlik1:4243: "+htmlPage+"set --qlik.proxy to qlik1:4243, the port of the Qlik Sense Proxy Service itself")
	})
}
