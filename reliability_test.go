package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// faulty is a simulated site with two nodes and two virtual proxies on each, together
// with the flags for an exporter.
type faulty struct {
	*qliktest.Site
	t     *testing.T
	flags []string
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	server, flags := startSite(t, qliktest.Config{
		Nodes: []qliktest.Node{{Name: "qlik1"}, {Name: "qlik2"}},
		VirtualProxies: []qliktest.VirtualProxy{
			{}, {Prefix: "sales"},
		},
		Users: []qliktest.User{{Directory: "ACME", ID: "anna", License: qliktest.Professional}},
	})
	for device, at := range map[string][2]string{
		"browser": {"", "qlik1"}, "phone": {"sales", "qlik1"}, "tablet": {"sales", "qlik2"},
	} {
		if _, err := server.Login("ACME", "anna", device, at[0], at[1]); err != nil {
			t.Fatal(err)
		}
	}
	return &faulty{server, t, flags}
}

// client sends requests to exporters.
var client = &http.Client{Timeout: 30 * time.Second}

// answer is the response of the exporter to one scrape.
type answer struct {
	status   string // HTTP
	text     string
	families map[string]*dto.MetricFamily
	took     time.Duration
}

const scrapeTimeout = 5 * time.Second

func (f *faulty) scrape(metrics string) answer {
	f.t.Helper()
	return f.scrapeWithin(metrics, scrapeTimeout)
}

// scrapeWithin scrapes with a timeout of the client's choice.
func (f *faulty) scrapeWithin(metrics string, timeout time.Duration) answer {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, metrics, http.NoBody)
	if err != nil {
		return answer{status: err.Error()}
	}
	request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(timeout.Seconds()))
	begin := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return answer{status: err.Error()}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{status: err.Error()}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		f.t.Errorf("not an exposition: %v", err)
	}
	return answer{response.Status, string(text), families, time.Since(begin)}
}

// ofItsOwn matches the lines of a response that may differ between two exporters of
// the same site: comments, and metrics of the exporter itself.
var ofItsOwn = regexp.MustCompile(`^(#|go_|process_|promhttp_|qlik_exporter_|qlik_request|qlik_\w+_(duration|timestamp)_seconds)`)

// ofTheSite returns the part of a response that is about the site.
func (a answer) ofTheSite() string {
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(a.text, "\n"), ofItsOwn.MatchString), "")
}

// sum returns the sum of the series of a metric with these labels, written NAME=VALUE.
// It returns "absent" if there are none.
func (a answer) sum(metric string, labels ...string) string {
	sum, found := 0.0, false
	for _, series := range a.families[metric].GetMetric() {
		var have []string
		for _, pair := range series.GetLabel() {
			have = append(have, pair.GetName()+"="+pair.GetValue())
		}
		if slices.ContainsFunc(labels, func(label string) bool { return !slices.Contains(have, label) }) {
			continue
		}
		found = true
		sum += series.GetGauge().GetValue() + series.GetCounter().GetValue()
	}
	if !found {
		return "absent"
	}
	return fmt.Sprint(sum)
}

// kinds returns the kinds of failed requests.
func (a answer) kinds(api string) string {
	kinds := make(map[string]bool)
	for _, series := range a.families["qlik_request_errors_total"].GetMetric() {
		labels := make(map[string]string)
		for _, pair := range series.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		if labels["api"] == api && series.GetCounter().GetValue() > 0 {
			kinds["`"+labels["kind"]+"`"] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")
}

// expect compares metrics with the expected values.
func (f *faulty) expect(about string, a answer, want map[string]string) {
	f.t.Helper()
	if a.status != "200 OK" || a.took > scrapeTimeout {
		f.t.Errorf("%s: %s after %s", about, a.status, a.took)
		return
	}
	for _, metric := range slices.Sorted(maps.Keys(want)) {
		name, labels, _ := strings.Cut(metric, " ")
		if got := a.sum(name, strings.Fields(labels)...); got != want[metric] {
			f.t.Errorf("%s: %s is %s, want %s", about, metric, got, want[metric])
		}
	}
}

// well holds the expected metrics without faults. All sessions existed before the
// exporter started, and none ends.
var well = map[string]string{
	"qlik_sessions_started_total": "0", "qlik_sessions_ended_total": "0", "qlik_proxy_restarts_total": "0", "qlik_logins_refused_total": "0",
	"qlik_up": "1", "qlik_sessions_complete": "1", "qlik_sessions": "3", "qlik_virtual_proxy_up": "4",
	"qlik_user_sessions user_id=anna": "3", "qlik_session_limit_headroom": "2",
}

// half holds the expected metrics while one node does not respond.
var half = map[string]string{
	"qlik_sessions_started_total": "0", "qlik_sessions_ended_total": "0", "qlik_proxy_restarts_total": "0",
	"qlik_up": "1", "qlik_sessions_complete": "0", "qlik_sessions": "2",
	"qlik_virtual_proxy_up qlik_node=qlik1": "2", "qlik_virtual_proxy_up qlik_node=qlik2": "0",
	"qlik_virtual_proxy_sessions qlik_node=qlik1": "2", "qlik_virtual_proxy_sessions qlik_node=qlik2": "absent",
	"qlik_user_sessions user_id=anna": "2", "qlik_session_limit_headroom": "3",
}

// part holds the expected metrics while one node does not respond and the other virtual
// proxy cannot be read from the repository.
var part = map[string]string{
	"qlik_sessions_started_total": "0", "qlik_sessions_ended_total": "0", "qlik_proxy_restarts_total": "0",
	"qlik_up": "1", "qlik_sessions_complete": "0", "qlik_sessions": "1",
	"qlik_virtual_proxy_up qlik_node=qlik1": "1", "qlik_virtual_proxy_up qlik_node=qlik2": "0",
	"qlik_virtual_proxy_sessions qlik_node=qlik1": "1", "qlik_virtual_proxy_sessions qlik_node=qlik2": "absent",
	"qlik_user_sessions user_id=anna": "1", "qlik_session_limit_headroom": "4",
}

// unknown holds the expected metrics while nothing is known.
var unknown = map[string]string{
	"qlik_up": "0", "qlik_sessions_complete": "0", "qlik_sessions": "absent",
	"qlik_user_sessions": "absent", "qlik_session_limit_headroom": "absent", "qlik_users": "absent",
}

// The texts of the sessions page in these three states.
const (
	pageWell    = "complete: all 4 links answered"
	pageHalf    = "Incomplete: 2 of 4 links answered"
	pagePart    = "Incomplete: 1 of 4 links answered"
	pageUnknown = "No session data available"
)

// exporters are two exporters of the faulty site. One is configured with flags, and
// one with a file that also contains another site without faults.
type exporters struct{ flags, file string } // addresses

func (f *faulty) startExporters(other *faulty) exporters {
	f.t.Helper()
	flags := slices.Concat(f.flags, []string{"--qlik.timeout=1500ms"})
	file := writeSites(f.t, map[string][]string{"faulty": flags, "other": other.flags})
	return exporters{
		strings.TrimSuffix(startExporter(f.t, flags...), "/metrics"),
		strings.TrimSuffix(startExporter(f.t, "--config.file="+file), "/metrics"),
	}
}

// expectOfBoth scrapes the site through both exporters, which must return the same,
// and the other site, which must have no faults.
func (f *faulty) expectOfBoth(about string, e exporters, want map[string]string) {
	f.t.Helper()
	var byFlags, byFile, other answer
	var asking sync.WaitGroup
	asking.Go(func() { byFlags = f.scrape(e.flags + "/metrics") })
	asking.Go(func() { byFile = f.scrape(e.file + "/probe?target=faulty") })
	asking.Go(func() { other = f.scrape(e.file + "/probe?target=other") })
	asking.Wait()
	f.expect(about, byFlags, want)
	f.expect(about+", by file", byFile, want)
	f.expect(about+", the other site", other, well)
	// On a busy machine, one exporter may receive a response later than the other, or
	// may count an abandoned request only when it ends. A failed read from the
	// repository is retried after half a minute.
	only := difference(byFlags, byFile)
	for began := time.Now(); only != "" && time.Since(began) < 10*scrapeTimeout; only = difference(byFlags, byFile) {
		byFlags, byFile = f.scrape(e.flags+"/metrics"), f.scrape(e.file+"/probe?target=faulty")
	}
	if only != "" {
		f.t.Errorf("%s: only by flags (-), only by file (+):\n%s", about, only)
	}
	if kinds := other.kinds("qps") + other.kinds("qrs"); kinds != "" {
		f.t.Errorf("%s: errors of the other site: %s", about, kinds)
	}
}

// difference returns the lines about the site that only one of two responses has. If
// a response is missing, it returns both HTTP statuses.
func difference(a, b answer) string {
	if a.status != "200 OK" || b.status != "200 OK" {
		return fmt.Sprintf("-%s\n+%s\n", a.status, b.status)
	}
	said := func(a answer) string {
		return a.ofTheSite() + "errors " + timeoutOrTooLarge(a.kinds("qps")) + "\n" + "errors " + timeoutOrTooLarge(a.kinds("qrs")) + "\n"
	}
	var only strings.Builder
	for _, side := range []struct{ mark, has, lacks string }{{"-", said(a), said(b)}, {"+", said(b), said(a)}} {
		others := slices.Collect(strings.Lines(side.lacks))
		for line := range strings.Lines(side.has) {
			if !slices.Contains(others, line) {
				only.WriteString(side.mark + line)
			}
		}
	}
	return only.String()
}

// expectEndpoints requests the other endpoints concurrently. Only the page depends on
// the state of Qlik.
func (f *faulty) expectEndpoints(e exporters, page string) {
	f.t.Helper()
	var asking sync.WaitGroup
	expect := func(address, want string) {
		asking.Go(func() {
			response, err := client.Get(address)
			if err != nil {
				f.t.Error(err)
				return
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
				f.t.Errorf("%s: %s, %v, want %q in\n%s", address, response.Status, err, want, text)
			}
		})
	}
	for _, path := range []string{"/", "/sd", "/config", "/-/healthy", "/-/ready"} {
		expect(e.flags+path, "")
		expect(e.file+path, "")
	}
	expect(e.file+"/metrics", "qlik_exporter_build_info")
	expect(e.flags+"/sessions", page)
	expect(e.file+"/sessions?site=faulty", page)
	expect(e.file+"/sessions?site=other", pageWell)
	asking.Wait()
}

// likeOthers are the faults that TestFaults leaves out without -all: the request of
// another one fails with the same kind of error, or a timeout takes seconds. TestFaults
// of internal/site has them too.
var likeOthers = []qliktest.Fault{
	qliktest.NoRights, qliktest.NotJSON, qliktest.Object, qliktest.FutureCertificate, qliktest.OtherAuthority, qliktest.WrongName,
	qliktest.Hanging, qliktest.EndlessBody,
}

// TestFaults checks that no fault of Qlik causes wrong numbers or lost data, and that
// everything recovers after it. docs/reliability.md shows the effects.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts dozens of processes; TestFaults of internal/site has the same faults")
	}
	faults := qliktest.Faults()
	if !*all && !*update {
		faults = slices.DeleteFunc(faults, func(fault qliktest.Fault) bool { return slices.Contains(likeOthers, fault) })
	}
	rows := make([]string, len(faults))
	other := newFaulty(t)
	t.Run("fault", func(t *testing.T) {
		for i, fault := range faults {
			t.Run(fault.String(), func(t *testing.T) {
				t.Parallel()
				f := newFaulty(t)
				proxy := f.whileRunning(fault, other)
				known, ofProxy, ofRepository := f.sinceTheStart(fault, other)
				if fault == qliktest.EndlessBody { // a fast machine exceeds the size limit before the timeout
					ofProxy, ofRepository = timeoutOrTooLarge(ofProxy), timeoutOrTooLarge(ofRepository)
				}
				rows[i] = fmt.Sprintf("| %s | %s | %s | none | %s | %s |\n", faultWords[fault], proxy, ofProxy, known, ofRepository)
			})
		}
	})
	if len(faults) < len(qliktest.Faults()) {
		document, err := os.ReadFile("docs/reliability.md")
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if !t.Failed() && !strings.Contains(string(document), row) {
				t.Errorf("docs/reliability.md lacks the row\n%s", row)
			}
		}
		return
	}
	checkTable(t, "docs/reliability.md", "faults",
		"| fault | effect: proxy of one node | kind | effect: repository, topology known | effect: both, from the start | kind |\n"+
			"| --- | --- | --- | --- | --- | --- |\n"+strings.Join(rows, ""))
}

func timeoutOrTooLarge(kinds string) string {
	switch kinds {
	case "`timeout`", "`too_large`", "`timeout`, `too_large`":
		return "`timeout` or `too_large`"
	}
	return kinds
}

// awaitLinks waits until both exporters know all links. A request without a response
// in time continues until --qlik.timeout and is not repeated in the meantime.
func (f *faulty) awaitLinks(e exporters) {
	f.t.Helper()
	for _, address := range []string{e.flags + "/metrics", e.file + "/probe?target=faulty"} {
		for began := time.Now(); f.scrape(address).sum("qlik_sessions_complete") != "1" && time.Since(began) < 4*scrapeTimeout; {
			time.Sleep(100 * time.Millisecond) // the exporter is a separate process
		}
	}
}

// awaitErrors waits until failed requests are counted, and returns their kinds. A
// request without a response in time is counted only when it ends.
func (f *faulty) awaitErrors(address, api string) string {
	f.t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) { // the exporter is a separate process
		kinds := f.scrape(address + "/metrics").kinds(api)
		if kinds != "" || time.Since(began) > 4*scrapeTimeout {
			return kinds
		}
	}
}

// whileRunning causes a fault of a proxy and then of the repository while exporters
// run that already know the site. It returns the effect of the former.
func (f *faulty) whileRunning(fault qliktest.Fault, other *faulty) string {
	f.t.Helper()
	both := f.startExporters(other)
	f.expectOfBoth("before", both, well)
	seen, want, page := "its links unknown, the others correct", half, pageHalf
	if fault == qliktest.CloseAfterAnswer {
		seen, want, page = "none", well, pageWell
	}
	f.SetProxyFault("qlik2", fault)
	f.expectOfBoth("proxy", both, want)
	f.expectEndpoints(both, page)
	f.SetProxyFault("qlik2", qliktest.NoFault)
	f.awaitLinks(both)
	f.expectOfBoth("proxy is back", both, well)
	f.SetRepositoryFault("qlik1", fault)
	f.expectOfBoth("repository", both, well)
	f.expectEndpoints(both, pageWell)
	f.SetRepositoryFault("qlik1", qliktest.NoFault)
	return seen
}

// sinceTheStart starts exporters while a proxy and the repository fail. It returns the
// effect and the kinds of errors.
func (f *faulty) sinceTheStart(fault qliktest.Fault, other *faulty) (known, ofProxy, ofRepository string) {
	f.t.Helper()
	f.SetProxyFault("qlik2", fault)
	f.SetRepositoryFault("qlik1", fault)
	both := f.startExporters(other)
	known = "everything unknown: `qlik_up` is 0"
	switch fault {
	case qliktest.CloseAfterAnswer:
		f.expectOfBoth("since the start", both, well)
		return "none", "", ""
	case qliktest.MissingField:
		f.expectOfBoth("since the start", both, part)
		known = "the virtual proxy without identifier unknown, the others correct"
		f.expectEndpoints(both, pagePart)
		f.SetRepositoryFault("qlik1", qliktest.NoFault)
		both = f.startExporters(other) // those that run read the topology again after half a minute
	default:
		f.expectOfBoth("since the start", both, unknown)
		ofRepository = f.awaitErrors(both.flags, "qrs")
		f.expectEndpoints(both, pageUnknown)
		f.SetRepositoryFault("qlik1", qliktest.NoFault)
	}
	f.expectOfBoth("since the start, repository is back", both, half)
	ofProxy = f.awaitErrors(both.flags, "qps")
	f.SetProxyFault("qlik2", qliktest.NoFault)
	f.awaitLinks(both)
	f.expectOfBoth("since the start, proxy is back", both, well)
	return known, ofProxy, ofRepository
}

var faultWords = map[qliktest.Fault]string{
	qliktest.Refused:            "refuses connections",
	qliktest.Hanging:            "accepts requests and never responds",
	qliktest.Unauthorized:       "401",
	qliktest.XSRF:               "403 with Qlik's message about a missing XSRF key",
	qliktest.Forbidden:          "403",
	qliktest.NoRights:           "403 as for a user without rights",
	qliktest.ServerError:        "500",
	qliktest.Redirect:           "redirects to a login page",
	qliktest.HTMLPage:           "200 with a login page",
	qliktest.Truncated:          "breaks off in the middle of a response",
	qliktest.NotJSON:            "200 with text declared as JSON",
	qliktest.Object:             "200 with an object instead of an array",
	qliktest.MissingField:       "200 with an element without its identifier",
	qliktest.EndlessBody:        "an endless response",
	qliktest.ExpiredCertificate: "an expired certificate",
	qliktest.FutureCertificate:  "a certificate that is not valid yet",
	qliktest.OtherAuthority:     "a certificate from another CA",
	qliktest.WrongName:          "a certificate for another name",
	qliktest.CloseAfterAnswer:   "responds and closes the connection",
}

// checkTable compares the table between two markers of a document with the expected
// table, or writes it with -update.
func checkTable(t *testing.T, path, marker, want string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(content), "<!-- "+marker)
	head, rest, _ := strings.Cut(rest, "\n")
	got, after, found := strings.Cut(rest, "<!-- end -->")
	switch {
	case !found:
		t.Fatalf("%s has no table of %s", path, marker)
	case got == want || t.Failed():
	case !*update:
		t.Errorf("the table of %s in %s is out of date; update it with go test . -update:\n%s", marker, path, want)
	default:
		content := before + "<!-- " + marker + head + "\n" + want + "<!-- end -->" + after
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
