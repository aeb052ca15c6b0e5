package site

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// twelveNodes is a site whose proxies take 100 ms and whose engines take 20 ms.
func twelveNodes(t *testing.T, change func(*Config)) (*qliktest.Site, *Site) {
	t.Helper()
	config := qliktest.Config{InMemory: true}
	for i := range 12 {
		config.Nodes = append(config.Nodes, qliktest.Node{Name: fmt.Sprint("qlik", i+1), Central: i == 0})
	}
	server, site := start(t, config, func(c *Config) {
		c.Engines = true
		if change != nil {
			change(c)
		}
	})
	for _, node := range config.Nodes {
		server.SetProxyLatency(node.Name, 100*time.Millisecond)
		server.SetEngineLatency(node.Name, 20*time.Millisecond)
	}
	return server, site
}

// engineOf returns the result of the engine of a node.
func engineOf(t *testing.T, snapshot *headroom.Snapshot, node string) headroom.EngineResult {
	t.Helper()
	i := slices.IndexFunc(snapshot.Engines, func(e headroom.EngineResult) bool { return e.Node == node })
	if i < 0 {
		t.Fatalf("the engine of %s is not in the snapshot: %v", node, snapshot.Engines)
	}
	return snapshot.Engines[i]
}

// scrapeEngines returns how long a scrape took, and the nodes whose engines failed.
func scrapeEngines(t *testing.T, site *Site, timeout time.Duration) (took time.Duration, failed []string) {
	t.Helper()
	begin := time.Now()
	snapshot := within(t, site, timeout)
	took = time.Since(begin)
	if !snapshot.Complete() {
		t.Errorf("engines make the sessions incomplete: %v", kinds(snapshot))
	}
	if len(snapshot.Engines) != 12 {
		t.Errorf("%d engines, want 12", len(snapshot.Engines))
	}
	for i := range snapshot.Engines {
		if e := &snapshot.Engines[i]; e.Err != nil {
			if e.Health != nil || qlik.KindOf(e.Err) != qlik.KindTimeout {
				t.Errorf("%s: %v, %v", e.Node, e.Health, e.Err)
			}
			failed = append(failed, e.Node)
		}
	}
	return took, failed
}

// TestHangingEngineCostsOneSlowScrape checks that an engine that hangs costs one slow scrape
// and then nothing.
func TestHangingEngineCostsOneSlowScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := twelveNodes(t, nil)
		expect := func(what string, timeout, want time.Duration, failing ...string) {
			t.Helper()
			if took, failed := scrapeEngines(t, site, timeout); took != want || !slices.Equal(failed, failing) {
				t.Errorf("%s: %s, failed %v; want %s, %v", what, took, failed, want, failing)
			}
		}
		const timeout, healthy = 9 * time.Second, 100 * time.Millisecond
		expect("healthy", timeout, healthy)
		server.SetEngineFault("qlik7", qliktest.Hanging)
		expect("first", timeout, timeout, "qlik7")
		asked := server.Requests().Engine
		expect("while its request runs on", timeout, healthy, "qlik7")
		if now := server.Requests().Engine; now-asked != 11 {
			t.Errorf("%d engines asked, want the 11 others", now-asked)
		}
		for i := range 5 {
			time.Sleep(15 * time.Second)
			expect(fmt.Sprint("later ", i), timeout, healthy, "qlik7")
		}
		server.SetEngineFault("qlik7", qliktest.NoFault)
		time.Sleep(15 * time.Second)
		expect("back", timeout, healthy)
		expect("an earlier deadline", 50*time.Millisecond+sameMoment, healthy)
	})
}

// TestHangingEngineFromTheStart checks an engine that never answered, and an engine that is
// slow after that.
func TestHangingEngineFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := twelveNodes(t, nil)
		server.SetEngineFault("qlik7", qliktest.Hanging)
		const timeout = 9 * time.Second
		if took, _ := scrapeEngines(t, site, timeout); took != timeout {
			t.Errorf("first: %s", took)
		}
		for range 3 {
			time.Sleep(15 * time.Second)
			if took, failed := scrapeEngines(t, site, timeout); took != 100*time.Millisecond || !slices.Equal(failed, []string{"qlik7"}) {
				t.Errorf("later: %s, failed %v", took, failed)
			}
		}
		server.SetEngineFault("qlik7", qliktest.NoFault)
		server.SetEngineLatency("qlik7", 2*time.Second)
		for i := range 4 {
			time.Sleep(15 * time.Second)
			took, failed := scrapeEngines(t, site, timeout)
			if i > 0 && (took != 2*time.Second || failed != nil) { // the first answer shows how long it takes
				t.Errorf("slow, scrape %d: %s, failed %v", i, took, failed)
			}
		}
	})
}

// TestEngineHealthInSnapshot checks which engines are asked, and what a snapshot says of
// them.
func TestEngineHealthInSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		server, site := twelveNodes(t, func(c *Config) { c.Logger = log.NewLogfmtLogger(log.NewSyncWriter(&logged)) })
		running(t, site)
		login(t, server, "anna", "laptop", "", "qlik3")
		server.SetEngineFault("qlik2", qliktest.Refused)
		server.SetEngineFault("qlik4", qliktest.HTMLPage)
		server.SetServiceState("qlik5", "Engine", 4)
		time.Sleep(servicesInterval)
		snapshot := within(t, site, 9*time.Second)
		if len(snapshot.Engines) != 11 || slices.ContainsFunc(snapshot.Engines, func(e headroom.EngineResult) bool { return e.Node == "qlik5" }) {
			t.Errorf("a disabled engine is asked: %v", snapshot.Engines)
		}
		anna := engineOf(t, snapshot, "qlik3")
		if anna.Err != nil || *anna.Health.Sessions != 0 || anna.CertificateExpiry.IsZero() || anna.Duration != 20*time.Millisecond {
			t.Errorf("qlik3: %+v; anna has no license and was refused", anna)
		}
		if kind := qlik.KindOf(engineOf(t, snapshot, "qlik2").Err); kind != qlik.KindRefused {
			t.Errorf("qlik2: %q", kind)
		}
		if kind := qlik.KindOf(engineOf(t, snapshot, "qlik4").Err); kind != qlik.KindNotJSON {
			t.Errorf("qlik4: %q", kind)
		}
		within(t, site, 9*time.Second)
		server.SetEngineFault("qlik2", qliktest.NoFault)
		within(t, site, 9*time.Second)
		for text, times := range map[string]int{`msg="Engine does not answer" node=qlik2`: 1, `msg="Engine answers again" node=qlik2`: 1, "node=qlik4": 1} {
			if n := strings.Count(logged.String(), text); n != times {
				t.Errorf("%d lines with %s, want %d:\n%s", n, text, times, &logged)
			}
		}
		if requests := site.Status().Requests; requests.Requests[qlik.APIEngine] != uint64(server.Requests().Engine+2) { // those of the closed port
			t.Errorf("%d requests are counted, %d arrived", requests.Requests[qlik.APIEngine], server.Requests().Engine)
		}
	})
}

// TestEnginesOff checks that no engine is asked by default.
func TestEnginesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		if snapshot := within(t, site, time.Second); len(snapshot.Engines) != 0 || server.Requests().EngineConnections != 0 {
			t.Errorf("engines %v, %d connections", snapshot.Engines, server.Requests().EngineConnections)
		}
	})
}
