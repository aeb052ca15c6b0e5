package qlik

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"
)

// exampleHealth has the form of the example in Qlik's documentation (docs/qlik.md, "Engine
// health").
const exampleHealth = `{
	"version": "12.2310.0",
	"started": "20260302T103522.000+0100",
	"mem": {"committed": 207.0625, "allocated": 1001.5, "free": 16376, "totalPhysical": 32768},
	"cpu": {"total": 12},
	"session": {"active": 3, "total": 8},
	"apps": {"active_docs": ["a"], "loaded_docs": ["a", "b"], "in_memory_docs": ["a", "b", "c"], "calls": 900, "selections": 40},
	"users": {"active": 2, "total": 5},
	"cache": {"hits": 30, "lookups": 40, "added": 10, "replaced": 1, "bytes_added": 5000},
	"saturated": false
}`

var engine1 = Engine{Node: "qlik1", Address: "qlik1:4747"}

func healthOf(t *testing.T, body string) (*Client, *EngineHealth, error) {
	t.Helper()
	c := answers{"/engine/healthcheck/": body}.client()
	health, _, err := c.EngineHealth(t.Context(), &engine1, nil)
	return c, health, err
}

func TestEngineHealth(t *testing.T) {
	_, health, err := healthOf(t, exampleHealth)
	if err != nil {
		t.Fatal(err)
	}
	if health.Version != "12.2310.0" || !health.Started.Equal(time.Date(2026, 3, 2, 9, 35, 22, 0, time.UTC)) || health.Saturated == nil || *health.Saturated {
		t.Errorf("%+v", health)
	}
	for name, number := range map[string]struct {
		got  *float64
		want float64
	}{
		"sessions": {health.Sessions, 8}, "active sessions": {health.ActiveSessions, 3},
		"users": {health.Users, 5}, "active users": {health.ActiveUsers, 2},
		"active apps": {health.ActiveApps, 1}, "loaded apps": {health.LoadedApps, 2}, "apps in memory": {health.AppsInMemory, 3},
		"calls": {health.Calls, 900}, "selections": {health.Selections, 40},
		"hits": {health.CacheHits, 30}, "lookups": {health.CacheLookups, 40}, "added": {health.CacheAdded, 10},
		"replaced": {health.CacheReplaced, 1}, "added bytes": {health.CacheAddedBytes, 5000}, "cpu": {health.CPU, 0.12},
		"committed": {health.MemoryCommitted, 217120768}, "allocated": {health.MemoryAllocated, 1050148864},
		"free": {health.MemoryFree, 17171480576}, "physical": {health.MemoryPhysical, 34359738368},
	} {
		if number.got == nil || *number.got != number.want {
			t.Errorf("%s: want %v, got %v", name, number.want, number.got)
		}
	}
}

// TestEngineHealthForms checks what is left out of answers in other forms. Nothing that is
// missing becomes a zero.
func TestEngineHealthForms(t *testing.T) {
	for _, test := range []struct {
		name, body string
		left       uint64 // fields that are left out
		check      func(h *EngineHealth) bool
	}{
		{"old release", `{"mem":{"comitted":1,"allocated":2,"free":3},"session":{"active":0,"total":0}}`, 0, func(h *EngineHealth) bool { //nolint:misspell // as in an old example
			return *h.MemoryCommitted == 1<<20 && h.MemoryPhysical == nil && *h.Sessions == 0 && h.CPU == nil && h.Saturated == nil && h.Started.IsZero()
		}},
		{"both spellings", `{"mem":{"comitted":1,"committed":2}}`, 0, func(h *EngineHealth) bool { return *h.MemoryCommitted == 2<<20 }}, //nolint:misspell // as in an old example
		{"nulls", `{"version":null,"started":null,"mem":null,"cpu":{"total":null},"users":{"total":4},"apps":{"active_docs":null}}`, 0, func(h *EngineHealth) bool {
			return *h.Users == 4 && h.CPU == nil && h.ActiveApps == nil && h.MemoryFree == nil
		}},
		{"odd fields", `{"version":5,"started":"yesterday","saturated":"no","mem":"much","cpu":{"total":"12"},"session":{"active":-1,"total":7},"apps":{"active_docs":3,"calls":1e30}}`, 8, func(h *EngineHealth) bool {
			return *h.Sessions == 7 && h.ActiveSessions == nil && h.Version == "" && h.Saturated == nil && h.ActiveApps == nil && h.Calls == nil
		}},
		{"other spelling of names", `{"Users":{"Total":4},"apps":{"activeDocs":["a"]}}`, 0, func(h *EngineHealth) bool { return *h.Users == 4 && *h.ActiveApps == 1 }},
		{"times", `{"started":"20260302T103522.000Z","users":{"total":4}}`, 0, func(h *EngineHealth) bool { return h.Started.Hour() == 10 }},
		{"time that was never set", `{"started":"17530101T000000.000Z","users":{"total":4}}`, 1, func(h *EngineHealth) bool { return h.Started.IsZero() }},
	} {
		c, health, err := healthOf(t, test.body)
		if err != nil || !test.check(health) {
			t.Errorf("%s: %+v, %v", test.name, health, err)
		}
		if left := c.Skipped()[SourceEngines]; left != test.left {
			t.Errorf("%s: %d fields are left out, want %d", test.name, left, test.left)
		}
	}
}

func TestEngineHealthErrors(t *testing.T) {
	for body, want := range map[string]Kind{
		`null`: KindDecode, `{}`: KindDecode, `[]`: KindDecode, `"ok"`: KindDecode, `{"version":"12.1"}`: KindDecode,
		`{"message":"starting"}`: KindDecode, `<html>`: KindNotJSON, ``: KindNotJSON, `{"users":{"total":4}`: KindDecode, `!`: KindStatus,
	} {
		_, health, err := healthOf(t, body)
		if health != nil || KindOf(err) != want {
			t.Errorf("%s: %v, %v", body, health, err)
		}
	}
}

// TestEngineHealthPath checks the second path of the health check, which only the first
// scrape has to find, and the error if there is none.
func TestEngineHealthPath(t *testing.T) {
	for _, path := range enginePaths {
		c := answers{path: exampleHealth}.client()
		for range 3 {
			if health, _, err := c.EngineHealth(t.Context(), &engine1, nil); err != nil || *health.Users != 5 {
				t.Errorf("%s: %v, %v", path, health, err)
			}
		}
		want := uint64(0)
		if path != enginePaths[0] {
			want = 1
		}
		if got := c.Requests().Errors[APIEngine][KindStatus]; got != want {
			t.Errorf("%s: %d errors, want %d", path, got, want)
		}
	}
	c := answers{}.client()
	_, _, err := c.EngineHealth(t.Context(), &engine1, nil)
	if failed, ok := errors.AsType[*Error](err); !ok || failed.Status != http.StatusNotFound {
		t.Errorf("without any path: %v", err)
	}
}

func TestEngines(t *testing.T) {
	services := []ServiceState{
		{Host: "qlik2", Node: "qlik2:4244", Service: ServiceEngine, State: StateRunning},
		{Host: "qlik1", Node: "qlik1", Service: ServiceProxy, State: StateRunning},
		{Host: "QLIK1", Service: ServiceEngine, State: "NoCommunication"},
		{Host: "qlik3", Service: ServiceEngine, State: StateDisabled},
		{Host: "not a host", Service: ServiceEngine, State: StateRunning},
		{Host: "", Service: ServiceEngine, State: StateRunning},
	}
	for _, test := range []struct {
		name     string
		config   Config
		services []ServiceState
		want     []Engine
	}{
		{"of the repository", Config{Hosts: []string{"qlik1"}}, services, []Engine{{"QLIK1", "QLIK1:4747"}, {"qlik2:4244", "qlik2:4747"}}},
		{
			"other ports",
			Config{Hosts: []string{"qlik1"}, EnginePorts: map[string]string{"": "4748", "qlik1": "5000"}},
			services,
			[]Engine{{"QLIK1", "QLIK1:5000"}, {"qlik2:4244", "qlik2:4748"}},
		},
		{"services are unknown", Config{Hosts: []string{"qlik1"}}, nil, nil},
		{
			"without a repository",
			Config{Proxies: []string{"qlik1", "qlik2:4244"}, VirtualProxies: []string{"/"}},
			nil,
			[]Engine{{"qlik1", "qlik1:4747"}, {"qlik2:4244", "qlik2:4747"}},
		},
	} {
		test.config.CertDir = "unused"
		c, err := NewClient(test.config)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Engines(test.services); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// TestEngineAddress checks that the port of a node address is only that of the proxy.
func TestEngineAddress(t *testing.T) {
	var dialed []string
	c, err := NewClient(Config{
		Hosts: []string{"qlik1"}, CertDir: "unused", EnginePorts: map[string]string{"qlik1": "5000"},
		NodeAddresses: map[string]NodeAddress{"QLIK1": {Host: "10.0.0.1", Port: "14243"}, "qlik2": {Host: "10.0.0.2", Port: "24243"}},
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			dialed = append(dialed, address)
			return nil, errors.New("not connected")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"qlik1:4242", "qlik1:4243", "qlik1:5000", "qlik2:4747", "qlik2:4243"} {
		_, _ = c.Dial(t.Context(), address)
	}
	if want := []string{"10.0.0.1:4242", "10.0.0.1:14243", "10.0.0.1:5000", "10.0.0.2:4747", "10.0.0.2:24243"}; !slices.Equal(dialed, want) {
		t.Errorf("dialed %v, want %v", dialed, want)
	}
}
