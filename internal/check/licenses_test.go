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
			"warn usage rows qlik1:4242: none for 1 session: if this release writes none, effective headroom is counted from sessions")
		config.Licenses = false
		expect(t, run(t, config), config)
	})
}
