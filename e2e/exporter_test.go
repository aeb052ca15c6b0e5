package e2e

import (
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// instance is a running exporter.
type instance struct {
	*program
	address string // host:port
}

// startExporter starts an exporter on a free port and waits until it serves
// requests.
func startExporter(t *testing.T, arguments ...string) *instance {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	e := &instance{start(t, exec.Command(exporter, append(arguments, "--web.listen-address="+address)...)), address}
	e.waitReady(t, e.url("/-/ready"))
	return e
}

func (e *instance) url(path string) string { return "http://" + e.address + path }

// scrape returns the metrics in the text format, as Prometheus gets them with a
// scrape timeout of ten seconds.
func (e *instance) scrape(t *testing.T) metrics {
	t.Helper()
	text, _, err := get(e.url("/metrics"), http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"10"}})
	if err != nil {
		t.Fatal(err)
	}
	return metrics(text)
}

// metrics is the result of one scrape in the text format.
type metrics string

// count returns the number of series of a metric.
func (m metrics) count(name string) int {
	return len(regexp.MustCompile(`(?m)^`+name+`[{ ]`).FindAllString(string(m), -1))
}

// value returns the value of a series, or "" if there is no such series. The
// series is written as in the text format.
func (m metrics) value(series string) string {
	for line := range strings.Lines(string(m)) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// requests returns the number of requests to Qlik's proxies.
func (m metrics) requests(t *testing.T) int {
	t.Helper()
	requests, err := strconv.Atoi(m.value(`qlik_requests_total{api="qps"}`))
	if err != nil {
		t.Fatal(err)
	}
	return requests
}

// demo is an exporter with a simulated site.
type demo struct {
	*instance
	folder string // contains its certificates and flags
}

func startDemo(t *testing.T, arguments ...string) demo {
	t.Helper()
	e := startExporter(t, append([]string{"demo"}, arguments...)...)
	return demo{e, demoFolder(t, e.program)}
}

var certificatesLine = regexp.MustCompile(`(?m)^ +certificates +(\S+)`)

// demoFolder returns the folder that the demo reports to have created.
func demoFolder(t *testing.T, p *program) string {
	t.Helper()
	found := certificatesLine.FindStringSubmatch(p.stdout.String())
	if found == nil {
		t.Fatal("the demo does not say where its certificates are")
	}
	return found[1]
}
