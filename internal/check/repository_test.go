package check_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
)

func TestServicesAndTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		site.SetServiceState("qlik2", "Scheduler", 3)
		expect(t, run(t, config), config,
			"warn services qlik1:4242: the repository reports that Scheduler on qlik2 is NoCommunication: on the node, look at the Windows service and its log, and start it if it has stopped")
		site.SetServiceState("qlik2", "Scheduler", 2)

		// A node that only has an engine.
		site.SetServiceState("qlik2", "Proxy", 4)
		report := run(t, config)
		expect(t, report, config)
		const want = "9 services are Running; Disabled on purpose: Proxy on qlik2"
		if !slices.ContainsFunc(report.Results, func(r check.Result) bool {
			return r.Step == "services" && r.Mark == check.OK && strings.HasSuffix(r.Text, want)
		}) {
			t.Errorf("no %q in %+v", want, report.Results)
		}
		site.SetServiceState("qlik2", "Proxy", 2)

		config.Qlik.VirtualProxies = []string{"nosuch"}
		expect(t, run(t, config), config,
			"FAIL topology qlik1:4242: the repository has no virtual proxy that is linked to a proxy and not excluded by --qlik.proxy and --qlik.virtual-proxy: link one in the QMC under Proxies, or correct these settings")
		config.Qlik.VirtualProxies = nil

		site.SetServiceState("qlik1", "Proxy", 4)
		site.SetServiceState("qlik2", "Proxy", 4)
		expect(t, run(t, config), config,
			"FAIL topology qlik1:4242: all proxies are disabled: enable one in the QMC under Proxies")
	})
}
