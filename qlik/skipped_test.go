package qlik

import (
	"maps"
	"testing"
)

// TestSkipped checks that invalid elements are counted and that the rest of the list
// is used.
func TestSkipped(t *testing.T) {
	c := answers{
		"/qrs/proxyservice": `[{"serverNodeConfiguration":{"hostName":"qlik1"},"settings":{"virtualProxies":[{"id":"1"}]}},
			{"settings":{"virtualProxies":[{"id":"1"}]}}]`,
		"/qrs/virtualproxyconfig": `[{"id":"1","prefix":""}]`,
		"/qrs/servicestatus":      `[{"serviceType":1,"serviceState":2},{"serviceType":1},{"serviceState":2}]`,
		"/professionalaccesstype": list(access("anna", 0, ""), `{"user":{"userDirectory":"LAB","userId":"bert"},"lastUsed":"yesterday"}`),
		"/professionalaccessusage": `[{"sessionID":"1","latestActivity":"2026-03-02T11:00:00Z"},{"sessionID":"2","latestActivity":5},
			{"sessionID":"3","latestActivity":null}]`,
	}.client()
	want := map[string]uint64{SourceTopology: 0, SourceLicenses: 0, SourceServices: 0, SourceUsage: 0, SourceUsers: 0}
	if got := c.Skipped(); !maps.Equal(got, want) {
		t.Errorf("before anything is read: %v", got)
	}
	links, err := c.Topology(t.Context())
	if err != nil || len(links) != 1 {
		t.Errorf("links %v, %v", links, err)
	}
	states, err := c.Services(t.Context())
	if err != nil || len(states) != 1 {
		t.Errorf("services %v, %v", states, err)
	}
	licenses, err := c.Licenses(t.Context())
	if err != nil || !licenses.Holds(NewUser("LAB", "bert"), LicenseProfessional) {
		t.Errorf("licenses %v, %v", licenses, err)
	}
	rows, err := c.UsageRows(t.Context(), licenses)
	if err != nil || len(rows) != 3 {
		t.Errorf("rows %v, %v", rows, err)
	}
	want = map[string]uint64{SourceTopology: 1, SourceLicenses: 1, SourceServices: 2, SourceUsage: 1, SourceUsers: 0}
	if got := c.Skipped(); !maps.Equal(got, want) {
		t.Errorf("skipped %v, want %v", got, want)
	}
}
