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
			"warn services qlik1:4242: the repository reports that Scheduler of qlik2 is NoCommunication: start what should run in the Windows services of the node")
		site.SetServiceState("qlik2", "Scheduler", 2)

		config.Qlik.VirtualProxies = []string{"nosuch"}
		expect(t, run(t, config), config,
			"FAIL topology qlik1:4242: the repository names no virtual proxy that is linked to a proxy and not left out by --qlik.proxy and --qlik.virtual-proxy: link one in the QMC under Proxies, or correct these settings")
		config.Qlik.VirtualProxies = nil

		site.SetServiceState("qlik1", "Proxy", 4)
		site.SetServiceState("qlik2", "Proxy", 4)
		expect(t, run(t, config), config,
			"warn services qlik1:4242: the repository reports that Proxy of qlik1 is Disabled, Proxy of qlik2 is Disabled: start what should run in the Windows services of the node",
			"FAIL topology qlik1:4242: all proxies are disabled: enable one in the QMC under Proxies")
	})
}
