package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Connections are reused: regardless of the number of scrapes, there are no more
// connections than links. The first scrape may need fewer, because fast links can
// share one.
func TestConnectionsAreKept(t *testing.T) {
	site := startRelay(t, startDemo(t))
	e := startExporter(t, site.flags...)
	before := e.scrape(t)
	const scrapes = 20
	for range scrapes - 1 {
		e.scrape(t)
	}
	after := e.scrape(t)
	links := before.count("qlik_virtual_proxy_up")
	expect(t, site.connections.Load() <= int64(links), "no more connections than links",
		fmt.Sprintf("%d in %d scrapes of %d links", site.connections.Load(), scrapes+1, links))
	asked := after.requests(t) - before.requests(t)
	expect(t, asked == scrapes*links, "one request to a link in each scrape",
		fmt.Sprintf("%d requests to %d links in %d scrapes", asked, links, scrapes))
}

// Concurrent scrapes, such as those of two Prometheus servers, query Qlik once, whatever
// collectors they select.
func TestScrapesShareQuestions(t *testing.T) {
	site := startRelay(t, startDemo(t))
	e := startExporter(t, site.flags...)
	before := e.scrape(t)
	site.gate.Lock()
	const scrapes = 5
	answers := make(chan error, scrapes)
	for _, query := range []string{"", "", "?collect[]=sessions", "?collect[]=certificates&collect[]=licenses", "?exclude[]=sessions"} {
		go func() {
			_, _, err := get(e.url("/metrics"+query), http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"10"}})
			answers <- err
		}()
	}
	time.Sleep(500 * time.Millisecond) // time for all of them to arrive, which the test cannot observe
	site.gate.Unlock()
	for range scrapes {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	after := e.scrape(t)
	links := before.count("qlik_virtual_proxy_up")
	asked := after.requests(t) - before.requests(t)
	expect(t, asked == 2*links, "one round for five scrapes at once and one for the scrape afterwards",
		fmt.Sprintf("%d requests to %d links", asked, links))
	shared := after.value("qlik_exporter_shared_snapshots_total")
	expect(t, shared == "4", "qlik_exporter_shared_snapshots_total is 4", shared)
}
