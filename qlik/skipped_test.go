package qlik

import (
	"maps"
	"slices"
	"strings"
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
		"/qrs/user":               `[{"userDirectory":"LAB","userId":"anna","name":5},{"userDirectory":"LAB","name":"anna"},{"userDirectory":"LAB","userId":"` + strings.Repeat("anna", 129) + `"}]`,
		"/professionalaccesstype": list(access("anna", 0, ""), `{"user":{"userDirectory":"LAB","userId":"bert"},"lastUsed":"yesterday"}`),
		"/professionalaccessusage": `[{"sessionID":"1","latestActivity":"2026-03-02T11:00:00Z"},{"sessionID":"2","latestActivity":5},
			{"sessionID":"3","latestActivity":null}]`,
	}.client()
	want := map[string]uint64{SourceTopology: 0, SourceLicenses: 0, SourceServices: 0, SourceUsage: 0, SourceUsers: 0, SourceDataConnections: 0, SourceEngines: 0}
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
	users, err := c.FindUsers(t.Context(), "anna")
	if err != nil || len(users) != 1 || users[0].User != NewUser("LAB", "anna") || users[0].Name != "" {
		t.Errorf("users %v, %v", users, err)
	}
	want = map[string]uint64{SourceTopology: 1, SourceLicenses: 1, SourceServices: 2, SourceUsage: 1, SourceUsers: 3, SourceDataConnections: 0, SourceEngines: 0}
	if got := c.Skipped(); !maps.Equal(got, want) {
		t.Errorf("skipped %v, want %v", got, want)
	}
}

// TestLeftOut checks what is said to be left out: that of the last successful read.
func TestLeftOut(t *testing.T) {
	a := answers{"/qrs/servicestatus": `[{"serviceType":1,"serviceState":2},{"serviceType":"Proxy"},{"serviceType":"1","serviceState":2}]`}
	c := a.client()
	read := func(want ...LeftOut) {
		t.Helper()
		_, _ = c.Services(t.Context())
		if got := c.LeftOut(SourceServices); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	element := LeftOut{"element of servicestatus", 2}
	read(element)
	read(element)
	a["/qrs/servicestatus"] = "!"
	read(element)
	a["/qrs/servicestatus"] = `[{"serviceType":1,"serviceState":2}`
	read(element)
	a["/qrs/servicestatus"] = `[{"serviceType":1,"serviceState":2}]`
	read()
	if n := c.Skipped()[SourceServices]; n != 4 {
		t.Errorf("skipped %d, want 4", n)
	}
}
