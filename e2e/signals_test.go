package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSignals(t *testing.T) {
	d := startDemo(t)
	t.Run("SIGTERM while a scrape is under way", func(t *testing.T) {
		site := startRelay(t, d)
		e := startExporter(t, site.flags...)
		e.scrape(t) // now the exporter knows the site and has open connections
		site.gate.Lock()
		release := sync.OnceFunc(site.gate.Unlock)
		defer release()
		answers := make(chan string, 1)
		go func() {
			text, _, err := get(e.url("/metrics"), http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"10"}})
			answers <- fmt.Sprintf("error %v, qlik_up %s, qlik_sessions_complete %s", err,
				metrics(text).value("qlik_up"), metrics(text).value("qlik_sessions_complete"))
		}()
		e.waitFor(t, "the exporter to ask Qlik", readyWithin, func() bool { return site.waiting.Load() > 0 })
		e.terminate(t)
		e.waitFor(t, "the exporter to say that it stops", stopsWithin, func() bool { return strings.Contains(e.stderr.String(), "Stopping") })
		time.Sleep(500 * time.Millisecond) // longer than it needs to exit without waiting for the scrape
		expect(t, e.running() && len(answers) == 0, "the exporter waits for the scrape",
			fmt.Sprintf("running %t, answers %d", e.running(), len(answers)))
		_, _, err := get(e.url("/-/ready"), nil)
		expect(t, err != nil, "it takes no new connections", err)
		release()
		answer := <-answers
		expect(t, answer == "error <nil>, qlik_up 1, qlik_sessions_complete 1", "the scrape gives its whole answer", answer)
		code := e.wait(t)
		expect(t, code == 0, "the exporter exits with code 0", code)
	})
	t.Run("second SIGTERM ends it at once", func(t *testing.T) {
		site := startRelay(t, d)
		e := startExporter(t, site.flags...)
		site.gate.Lock()
		defer site.gate.Unlock()
		go func() { _, _, _ = get(e.url("/metrics"), nil) }()
		e.waitFor(t, "the exporter to ask Qlik", readyWithin, func() bool { return site.waiting.Load() > 0 })
		e.terminate(t)
		e.waitFor(t, "the exporter to say that it stops", stopsWithin, func() bool { return strings.Contains(e.stderr.String(), "Stopping") })
		begin := time.Now()
		e.terminate(t)
		e.wait(t)
		expect(t, time.Since(begin) < time.Second, "the exporter ends within a second", since(begin))
	})
	t.Run("SIGTERM ends the demo", func(t *testing.T) {
		expect(t, exists(d.folder), "the certificate folder is there", d.folder)
		begin := time.Now()
		d.stop(t)
		expect(t, time.Since(begin) < 2*time.Second, "the demo ends within two seconds", since(begin))
		expect(t, !exists(d.folder), "the certificate folder is gone", d.folder)
	})
}
