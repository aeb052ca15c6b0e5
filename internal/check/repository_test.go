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

// TestOddAnswersCostThemselves checks that an odd answer of the repository does not keep
// the check from what the exporter can use.
func TestOddAnswersCostThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		site.SetRepositoryAnswer("/qrs/about", []byte(`{"buildVersion":14}`))
		report := run(t, config)
		expect(t, report, config)
		if !slices.ContainsFunc(report.Results, func(r check.Result) bool {
			return r.Step == "request" && strings.HasPrefix(r.Text, "certificate and XSRF key accepted by release unknown, ")
		}) {
			t.Errorf("%+v", report.Results)
		}
		site.SetRepositoryAnswer("/qrs/about", nil)

		for body, cause := range map[string]string{
			`[7]`: "no element of the list can be read", `{}`: "the response is not a JSON array",
		} {
			site.SetRepositoryAnswer("/qrs/servicestatus/full", []byte(body))
			expect(t, run(t, config), config, "FAIL rights qlik1:4242: /qrs/servicestatus/full: "+cause+differs)
		}
		site.SetRepositoryAnswer("/qrs/servicestatus/full", nil)

		site.SetRepositoryAnswer("/qrs/license", []byte(`[]`))
		expect(t, run(t, config), config, "FAIL licenses qlik1:4242: /qrs/license: the response is not a JSON object"+differs)
	})
}
