package check_test

import (
	"testing"
	"testing/synctest"
)

func TestServicesAndTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		site.SetServiceState("qlik2", "Scheduler", 3)
		expect(t, run(t, config), config,
			"warn services qlik1:4242: the repository reports that Scheduler on qlik2 is NoCommunication: in the Windows services of the node, start the services that should run")
		site.SetServiceState("qlik2", "Scheduler", 2)

		config.Qlik.VirtualProxies = []string{"nosuch"}
		expect(t, run(t, config), config,
			"FAIL topology qlik1:4242: the repository has no virtual proxy that is linked to a proxy and not excluded by --qlik.proxy and --qlik.virtual-proxy: link one in the QMC under Proxies, or correct these settings")
		config.Qlik.VirtualProxies = nil

		site.SetServiceState("qlik1", "Proxy", 4)
		site.SetServiceState("qlik2", "Proxy", 4)
		expect(t, run(t, config), config,
			"warn services qlik1:4242: the repository reports that Proxy on qlik1 is Disabled, Proxy on qlik2 is Disabled: in the Windows services of the node, start the services that should run",
			"FAIL topology qlik1:4242: all proxies are disabled: enable one in the QMC under Proxies")
	})
}
