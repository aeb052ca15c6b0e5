package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
)

// two is a configuration of two sites that cannot be reloaded.
type two struct{ only }

func (two) Names() []string { return []string{"emea", "apac"} }

func (two) Use(name string) (site Site, done func(), found bool) {
	return oneOfTwo(name), func() {}, name == "emea" || name == "apac"
}

// oneOfTwo is a site with a metric, which shows the name of the site and the collectors
// that ran.
type oneOfTwo string

func (oneOfTwo) Collectors() []string { return []string{"sessions", "licenses", "certificates"} }

func (o oneOfTwo) Scrape(_ context.Context, wanted func(string) bool) Scrape {
	return heardNow{collect(func(ch chan<- prometheus.Metric) {
		ch <- prometheus.MustNewConstMetric(seen, prometheus.GaugeValue, 1, string(o))
		for _, name := range o.Collectors() {
			if wanted(name) {
				ch <- prometheus.MustNewConstMetric(seen, prometheus.GaugeValue, 1, name)
			}
		}
	}), time.Now()}
}

// TestSelectedCollectors checks that a scrape runs the collectors that it selects.
func TestSelectedCollectors(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics", Sites: two{}})
	for query, want := range map[string]string{
		"":                        "certificates emea licenses sessions",
		"&collect[]=sessions":     "emea sessions",
		"&collect%5B%5D=sessions": "emea sessions",
		"&collect[]=sessions&collect[]=licenses&collect[]=sessions": "emea licenses sessions",
		"&exclude[]=sessions": "certificates emea licenses",
		"&exclude[]=sessions&exclude[]=licenses&exclude[]=certificates": "emea",
		"&collect[]=engine":                      `400: collector "engine" does not exist or is disabled; the enabled collectors are sessions, licenses, certificates`,
		"&exclude[]=Sessions":                    `400: collector "Sessions" does not exist or is disabled; the enabled collectors are sessions, licenses, certificates`,
		"&collect[]=":                            `400: collector "" does not exist or is disabled; the enabled collectors are sessions, licenses, certificates`,
		"&collect[]=sessions&exclude[]=sessions": "400: the parameters collect[] and exclude[] cannot be combined",
	} {
		answer := get(h, "/probe?target=emea"+query)
		got := fmt.Sprintf("%d: %s", answer.Code, strings.TrimSpace(answer.Body.String()))
		if answer.Code == http.StatusOK {
			var ran []string
			for _, series := range regexp.MustCompile(`seen{label="(\w+)"} 1`).FindAllStringSubmatch(got, -1) {
				ran = append(ran, series[1])
			}
			got = strings.Join(ran, " ")
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	for path, want := range map[string]int{"/metrics?collect[]=sessions": 400, "/metrics?exclude[]=sessions": 400, "/metrics?collect=sessions": 200} {
		if answer := get(h, path); answer.Code != want {
			t.Errorf("%s: got %d %s", path, answer.Code, answer.Body)
		}
	}
}

func TestSeveralSites(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics", Sites: two{}})
	for _, test := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"GET", "/probe?target=emea", 200, `seen{label="emea"} 1`},
		{"GET", "/probe?target=apac", 200, `seen{label="apac"} 1`},
		{"GET", "/probe", 400, "/probe?target=SITE"},
		{"GET", "/probe?target=", 400, "/probe?target=SITE"},
		{"GET", "/probe?target=emea&target=apac", 400, "/probe?target=SITE"},
		{"GET", "/probe?target=nowhere", 404, `"nowhere" is not configured`},
		{"GET", "/probe?target=https://10.0.0.1/", 404, "is not configured"},
		{"GET", "/metrics", 200, "qlik_exporter_build_info"},
		{"GET", "/config", 200, "sites: {}"},
		{"POST", "/-/reload", 403, "--web.enable-lifecycle"},
		{"PUT", "/-/reload", 403, "--web.enable-lifecycle"},
	} {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(test.method, test.path, http.NoBody))
		if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.text) {
			t.Errorf("%s %s: got %d %.200q, want %d with %q", test.method, test.path, answer.Code, answer.Body, test.status, test.text)
		}
	}
	for _, path := range []string{"/probe?target=emea", "/metrics"} {
		others := map[string]string{"/metrics": "seen{", "/probe?target=emea": "qlik_exporter_build_info"}
		if answer := get(h, path); strings.Contains(answer.Body.String(), others[path]) {
			t.Errorf("%s has %s", path, others[path])
		}
	}
}

func TestDiscovery(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics", Sites: two{}})
	want := `[{"targets":["qlik.example:9986"],"labels":{"__metrics_path__":"/probe","__param_target":"emea","__scheme__":"https","site":"emea"}},` +
		`{"targets":["qlik.example:9986"],"labels":{"__metrics_path__":"/probe","__param_target":"apac","__scheme__":"https","site":"apac"}}]` + "\n"
	request := httptest.NewRequest(http.MethodGet, "https://qlik.example:9986/sd", http.NoBody)
	request.TLS = &tls.ConnectionState{}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	if answer.Body.String() != want || answer.Header().Get("Content-Type") != "application/json" {
		t.Errorf("got  %s\nwant %s", answer.Body, want)
	}
	if answer := get(handler(t, Config{TelemetryPath: "/metrics"}), "/sd"); answer.Body.String() != "[]\n" {
		t.Errorf("with one site by flags: %s", answer.Body)
	}
}

// TestExternalURL checks that links work and /sd returns the reverse proxy, if this
// proxy terminates TLS and does or does not forward the path.
func TestExternalURL(t *testing.T) {
	for _, passesPath := range []bool{true, false} {
		proxy := httptest.NewUnstartedServer(nil)
		external := &url.URL{Scheme: "https", Host: proxy.Listener.Addr().String(), Path: "/tools/qlik"}
		links := say(`<a href="./metrics"><a href="config"><a href="sd"><a href="-/ready"><a href="probe?target=emea"><a href="sessions?site=emea">`)
		exporter := httptest.NewServer(handler(t, Config{TelemetryPath: "/metrics", Sites: two{}, ExternalURL: external, Landing: links}))
		t.Cleanup(exporter.Close)
		behind := &url.URL{Scheme: "http", Host: exporter.Listener.Addr().String()}
		proxy.Config.Handler = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = behind.Scheme, behind.Host
			if !passesPath {
				r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, external.Path)
			}
		}}
		proxy.StartTLS()
		t.Cleanup(proxy.Close)
		fetch := func(address string) string {
			t.Helper()
			answer, err := proxy.Client().Get(address)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Errorf("%s: %s, %v", address, answer.Status, err)
			}
			return string(body)
		}

		root := external.String() + "/"
		if passesPath {
			root = external.String() // redirects to the path with the slash
		}
		landing := fetch(root)
		for _, link := range regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(landing, -1) {
			to, err := external.JoinPath("/").Parse(link[1])
			if err != nil {
				t.Fatal(err)
			}
			fetch(to.String())
		}
		want := fmt.Sprintf(`{"targets":[%q],"labels":{"__metrics_path__":"/tools/qlik/probe","__param_target":"emea","__scheme__":"https","site":"emea"}}`, external.Host)
		if found := fetch(external.String() + "/sd"); !strings.Contains(found, want) {
			t.Errorf("got  %s\nwant %s", found, want)
		}
		if scraped := fetch(external.String() + "/probe?target=emea"); !strings.Contains(scraped, `seen{label="emea"} 1`) {
			t.Errorf("the address from /sd does not scrape the site: %s", scraped)
		}
		for _, path := range []string{"//sd", "/./sd", "/x/../sd", "//sd?a=b"} {
			if found := fetch(external.String() + path); !strings.Contains(found, want) {
				t.Errorf("%s leads to %s", path, found)
			}
		}
		if direct := get(handler(t, Config{TelemetryPath: "/metrics", Sites: two{}, ExternalURL: external}), "/probe?target=emea"); direct.Code != http.StatusOK {
			t.Errorf("without the proxy: %d", direct.Code)
		}
	}
}

// TestRedirectsBelowExternalURL checks that a redirect keeps the path of the external
// URL, and that it never leads to another host.
func TestRedirectsBelowExternalURL(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics", Pprof: true, ExternalURL: &url.URL{Path: "/qlik"}})
	for path, want := range map[string]string{
		"/qlik":                     "/qlik/",
		"/qlik//sd":                 "/qlik/sd",
		"/qlik//sd?a=b":             "/qlik/sd?a=b",
		"/qlik/debug/pprof":         "/qlik/debug/pprof/",
		"/qlik/../config":           "/qlik/config",
		"/qlik//evil.example/../sd": "/qlik/sd",
		"//sd":                      "/qlik/sd",
		"//evil.example//":          "/qlik/evil.example/",
		"/debug/pprof":              "/qlik/debug/pprof/",
	} {
		request := httptest.NewRequest(http.MethodGet, "http://exporter"+path, http.NoBody)
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, request)
		if got := answer.Header().Get("Location"); got != want {
			t.Errorf("%s leads to %q with status %d, want %q", path, got, answer.Code, want)
		}
	}
}

func TestReload(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics", Sites: two{}, Lifecycle: true})
	for _, method := range []string{"POST", "PUT", "GET", "HEAD", "DELETE", "PATCH", "OPTIONS"} {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(method, "/-/reload", http.NoBody))
		switch allow := answer.Header().Get("Allow"); {
		case method == "POST" || method == "PUT":
			if answer.Code != 500 || answer.Body.String() != "is broken\n" {
				t.Errorf("%s: got %d %q", method, answer.Code, answer.Body)
			}
		case answer.Code != http.StatusMethodNotAllowed || allow != "POST, PUT":
			t.Errorf("%s: got %d, allowed are %s", method, answer.Code, allow)
		}
	}
}

// hanging is a configuration that hangs while it is reloaded.
type hanging struct {
	two

	reloads chan<- struct{}
	until   <-chan struct{}
}

func (h hanging) Reload() error {
	h.reloads <- struct{}{}
	<-h.until
	return nil
}

// TestHangingReload checks that requests do not wait for a reload that hangs, and that the
// next one after its end reloads again.
func TestHangingReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reloads, until := make(chan struct{}, 3), make(chan struct{})
		h := handler(t, Config{TelemetryPath: "/metrics", Sites: hanging{reloads: reloads, until: until}, Lifecycle: true})
		post := func() int {
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/-/reload", http.NoBody))
			return answer.Code
		}
		first := make(chan int, 1)
		go func() { first <- post() }()
		synctest.Wait()
		begin := time.Now()
		if got, took := post(), time.Since(begin); got != http.StatusServiceUnavailable || took != reloadTimeout {
			t.Errorf("the second one: %d after %s", got, took)
		}
		close(until)
		if got := <-first; got != http.StatusOK {
			t.Errorf("the first one: %d", got)
		}
		if got := post(); got != http.StatusOK || len(reloads) != 2 {
			t.Errorf("the third one: %d, %d reloads", got, len(reloads))
		}
	})
}

// hiding is a configuration that hides names and cannot be reloaded.
type hiding struct{ two }

func (hiding) NamesHidden() bool { return true }

// TestReloadHidesNames checks that the response to a reload does not repeat a part of
// the file if the metrics hide names.
func TestReloadHidesNames(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics", Sites: hiding{}, Lifecycle: true})
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/-/reload", http.NoBody))
	if answer.Code != 500 || strings.Contains(answer.Body.String(), "broken") || !strings.Contains(answer.Body.String(), "log") {
		t.Errorf("got %d %q", answer.Code, answer.Body)
	}
}

// FuzzScrape checks that the response to any request is a scrape or an error about the
// request.
func FuzzScrape(f *testing.F) {
	for _, seed := range [][2]string{
		{"target=emea", "10"}, {"target=emea", ""}, {"target=", "1"}, {"target=a&target=b", "x"}, {"%", "NaN"}, {"target=%00", "-0"}, {"a;b", "1e999"},
	} {
		f.Add(seed[0], seed[1])
	}
	config := Config{TelemetryPath: "/metrics", Sites: two{}, Sessions: http.NotFoundHandler(), Landing: say("the landing page"), Responses: NewResponses(), Logger: log.NewNopLogger(), Slog: slog.New(slog.DiscardHandler)}
	h := newHandler(config)
	f.Fuzz(func(t *testing.T, query, timeout string) {
		for _, path := range []string{"/probe", "/metrics", "/sd"} {
			request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
			request.URL.RawQuery = query
			request.Header.Set(scrapeTimeoutHeader, timeout)
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, request)
			if answer.Code != 200 && answer.Code != 400 && answer.Code != 404 {
				t.Errorf("%s?%q, %q: %d", path, query, timeout, answer.Code)
			}
		}
	})
}
