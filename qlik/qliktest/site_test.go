package qliktest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "0123456789abcdef"

var testStart = time.Date(2026, 5, 14, 9, 15, 2, 113_000_000, time.FixedZone("CEST", 2*60*60))

// start starts a site and closes it at the end of the test.
func start(tb testing.TB, config Config) *Site {
	tb.Helper()
	site, err := Start(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(site.Close)
	return site
}

// startClocked starts a site in memory and returns its clock, which the test moves.
func startClocked(tb testing.TB, config Config) (*Site, *Clock) {
	tb.Helper()
	clock := NewClock(testStart)
	config.Now, config.InMemory = clock.Now, true
	return start(tb, config), clock
}

func clientOf(tb testing.TB, site *Site) *http.Client {
	tb.Helper()
	client := site.Client()
	tb.Cleanup(client.CloseIdleConnections)
	return client
}

// ask sends a request with a correct Xrfkey pair.
func ask(tb testing.TB, client *http.Client, method, url string) (int, []byte, error) {
	tb.Helper()
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	request, err := http.NewRequestWithContext(tb.Context(), method, url+separator+"xrfkey="+testKey, nil)
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("X-Qlik-Xrfkey", testKey)
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

func get(tb testing.TB, client *http.Client, url string, into any) {
	tb.Helper()
	status, body, err := ask(tb, client, http.MethodGet, url)
	if err != nil || status != http.StatusOK {
		tb.Fatalf("GET %s: status %d, error %v, body %s", url, status, err, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		tb.Fatalf("GET %s: %v in %s", url, err, body)
	}
}

func login(tb testing.TB, site *Site, id, device, prefix, node string) Session {
	tb.Helper()
	session, err := site.Login("LAB", id, device, prefix, node)
	if err != nil {
		tb.Fatal(err)
	}
	return session
}

func TestStartRefusesImpossibleSites(t *testing.T) {
	for name, config := range map[string]Config{
		"no node":            {Nodes: []Node{}},
		"node without name":  {Nodes: []Node{{}}},
		"node twice":         {Nodes: []Node{{Name: "a"}, {Name: "A"}}},
		"two central nodes":  {Nodes: []Node{{Name: "a", Central: true}, {Name: "b", Central: true}}},
		"unknown node":       {VirtualProxies: []VirtualProxy{{Nodes: []string{"other"}}}},
		"prefix twice":       {VirtualProxies: []VirtualProxy{{Prefix: "a"}, {Prefix: "a"}}},
		"prefix with slash":  {VirtualProxies: []VirtualProxy{{Prefix: "/a"}}},
		"user twice":         {Users: []User{{Directory: "LAB", ID: "goran"}, {Directory: "lab", ID: "Goran"}}},
		"unknown license":    {Users: []User{{Directory: "LAB", ID: "goran", License: "Golden"}}},
		"missing log folder": {AuditLogDir: "/does/not/exist"},
	} {
		if site, err := Start(config); err == nil {
			site.Close()
			t.Errorf("%s: started", name)
		}
	}
}

func TestFaultAndTailNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Faults() {
		if f.String() == "" || seen[f.String()] {
			t.Errorf("fault %d is called %q", int(f), f)
		}
		seen[f.String()] = true
	}
	if len(seen) != int(faultCount)-1 || seen[NoFault.String()] {
		t.Errorf("Faults() = %v", Faults())
	}
	if Fault(99).String() != "Fault(99)" || Tail(9).String() != "Tail(9)" || TailAlways.String() != "TailAlways" {
		t.Error("names of unknown values")
	}
}
