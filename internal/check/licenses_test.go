package check_test

import (
	"testing"
	"testing/synctest"
)

func TestUsageRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		simulated.NoUsageRows = true
		site, config := start(t, simulated)
		login(t, site, "anna", "laptop", "", "qlik1")
		expect(t, run(t, config), config,
			"warn usage rows qlik1:4242: no rows for 1 session: if this release of Qlik Sense writes none, effective headroom is computed from sessions")
		config.Licenses = false
		expect(t, run(t, config), config)
	})
}
