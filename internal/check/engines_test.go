package check_test

import (
	"testing"
	"testing/synctest"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestEngines checks the steps for engines, and the texts of failures.
func TestEngines(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*qliktest.Site, *check.Config)
		want []string // results that are not OK
	}{
		"healthy": {func(*qliktest.Site, *check.Config) {}, nil},
		"refuses": {
			func(s *qliktest.Site, _ *check.Config) { s.SetEngineFault("qlik2", qliktest.Refused) },
			[]string{"FAIL port qlik2:4747: qlik2:4747 refuses the connection: start the Qlik Sense Engine Service on the node, or open port 4747 in the node's firewall"},
		},
		"hangs": {
			func(s *qliktest.Site, _ *check.Config) { s.SetEngineFault("qlik2", qliktest.Hanging) },
			[]string{"FAIL request qlik2:4747: the server accepts the connection but does not respond within 10s: check the load of the node and the log of the Qlik Sense Engine Service, or raise --qlik.timeout; a restart would interrupt everybody who has an app open on the node and is not known to help"},
		},
		"wrong port": {
			func(_ *qliktest.Site, c *check.Config) { c.Qlik.EnginePorts = map[string]string{"qlik2": "4242"} },
			[]string{"FAIL request qlik2:4242: the response is 404, so this is not the port of the Qlik Sense Engine Service: set --qlik.engine-port to the port on which the Qlik Sense Engine Service listens, 4747 by default"},
		},
		"misspelled nodes": {
			func(_ *qliktest.Site, c *check.Config) {
				c.Qlik.EnginePorts = map[string]string{"": "4747", "QLIK2": "4747", "qlik9": "4748"}
				c.Qlik.NodeAddresses = map[string]qlik.NodeAddress{"qlik1": {Host: "qlik1"}, "qlick2": {Host: "qlik2"}}
			},
			[]string{
				"warn node names -: --qlik.node-address names qlick2, which is no node of the site; its nodes are qlik1, qlik2: correct the name, or remove the setting",
				"warn node names -: --qlik.engine-port names qlik9, which is no node of the site; its nodes are qlik1, qlik2: correct the name, or remove the setting",
			},
		},
		"saturated": {
			func(s *qliktest.Site, _ *check.Config) { s.SetEngineSaturated("qlik2", true) },
			[]string{"warn request qlik2:4747: the engine reports that it is saturated: look at the memory and the processors of the node, and at the apps that are open"},
		},
		"odd": {
			func(s *qliktest.Site, _ *check.Config) {
				s.SetEngineAnswer("qlik2", []byte(`{"users":{"total":4},"cpu":"much"}`))
			},
			[]string{"warn engines qlik1:4242: a part of the engine's response cannot be read and is left out (cpu of healthcheck): report this line and the release of Qlik Sense as an issue of qlik_exporter"},
		},
		"disabled": {func(s *qliktest.Site, _ *check.Config) {
			s.SetServiceState("qlik2", "Engine", 4)
			s.SetEngineFault("qlik2", qliktest.Refused)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site, config := start(t, twoNodes())
				config.Engines = true
				test.set(site, &config)
				report := run(t, config)
				expect(t, report, config, test.want...)
				if site.Requests().EngineConnections == 0 {
					t.Error("no engine was asked")
				}
			})
		})
	}
}
