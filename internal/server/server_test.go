package server

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScrapeTimeout(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"10":      9750 * time.Millisecond,
		"1.5":     1250 * time.Millisecond,
		"0.3":     150 * time.Millisecond, // the reserve would leave almost nothing
		"0.1":     50 * time.Millisecond,
		"0x10":    0,
		"":        0,
		"0":       0,
		"-0":      0,
		"0.0":     0,
		"1e-12":   0,
		"-5":      0,
		"NaN":     0,
		"+Inf":    0,
		"-Inf":    0,
		"1e309":   0,
		"1e30":    0,
		"soon":    0,
		"10s":     0,
		"10, 10":  0,
		"1000000": 999999750 * time.Millisecond,
	} {
		if got := timeToAsk(scrapeTimeout(http.Header{scrapeTimeoutHeader: {header}}), 250*time.Millisecond); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
	if got := scrapeTimeout(http.Header{}); got != 0 {
		t.Errorf("without the header: got %s", got)
	}
}

// collect is a scrape that calls a function.
type collect func(ch chan<- prometheus.Metric)

func (collect) Describe(ch chan<- *prometheus.Desc)   { ch <- seen }
func (c collect) Collect(ch chan<- prometheus.Metric) { c(ch) }
func (c collect) Gather() ([]*dto.MetricFamily, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	return registry.Gather()
}

// heardNow is a scrape of a site that has just responded.
type heardNow struct {
	prometheus.Gatherer
	at time.Time
}

func (h heardNow) Heard() time.Time { return h.at }
func (heardNow) Close()             {}

// only is a configuration with a single site, scraped by a function.
type only func(ctx context.Context) prometheus.Gatherer

func (only) Describe(chan<- *prometheus.Desc) {}
func (only) Collect(chan<- prometheus.Metric) {}
func (only) Names() []string                  { return []string{""} }
func (only) Format() ([]byte, error)          { return []byte("sites: {}\n"), nil }
func (only) NamesHidden() bool                { return false }
func (only) Reload() error                    { return errors.New("is broken") }
func (o only) Use(name string) (site Site, done func(), found bool) {
	return o, func() {}, name == ""
}
func (only) Collectors() []string { return []string{"sessions", "certificates"} }
func (o only) Scrape(ctx context.Context, _ func(string) bool) Scrape {
	return heardNow{o(ctx), time.Now()}
}

var nothing = only(func(context.Context) prometheus.Gatherer { return collect(func(chan<- prometheus.Metric) {}) })

var seen = prometheus.NewDesc("seen", "A metric.", []string{"label"}, nil)

func handler(t *testing.T, config Config) http.Handler {
	t.Helper()
	config.Logger = log.NewNopLogger()
	config.Slog = slog.New(slog.DiscardHandler)
	config.Responses = NewResponses()
	if config.Sites == nil {
		config.Sites = nothing
	}
	if config.Sessions == nil {
		config.Sessions = say("the sessions page")
	}
	if config.Landing == nil {
		config.Landing = say("the landing page")
	}
	return newHandler(config)
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	return recorder
}

func TestEndpoints(t *testing.T) {
	for _, test := range []struct {
		config Config
		path   string
		status int
		text   string
	}{
		{Config{TelemetryPath: "/metrics"}, "/", 200, "the landing page"},
		{Config{TelemetryPath: "/metrics"}, "/metrics", 200, "qlik_exporter_build_info"},
		{Config{TelemetryPath: "/metrics"}, "/metrics", 200, `promhttp_metric_handler_errors_total{cause="gathering"} 0`},
		{Config{TelemetryPath: "/metrics"}, "/-/healthy", 200, "healthy"},
		{Config{TelemetryPath: "/metrics"}, "/-/ready", 200, "ready"},
		{Config{TelemetryPath: "/metrics"}, "/sessions", 200, "the sessions page"},
		{Config{TelemetryPath: "/metrics"}, "/sessions/page.css", 200, "the sessions page"},
		{Config{TelemetryPath: "/metrics"}, "/nowhere", 404, ""},
		{Config{TelemetryPath: "/metrics"}, "/debug/pprof/", 404, ""},
		{Config{TelemetryPath: "/metrics", Pprof: true}, "/debug/pprof/", 200, "goroutine"},
		{Config{TelemetryPath: "/qlik"}, "/qlik", 200, "qlik_exporter_build_info"},
		{Config{TelemetryPath: "/qlik"}, "/metrics", 404, ""},
		{Config{TelemetryPath: "/"}, "/", 200, "qlik_exporter_build_info"},
	} {
		answer := get(handler(t, test.config), test.path)
		if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.text) {
			t.Errorf("%s: got %d, want %d with %q", test.path, answer.Code, test.status, test.text)
		}
	}
}

// TestWrongTimeoutIsNone checks that a scrape timeout that is none does not end the scrape
// before it has begun.
func TestWrongTimeoutIsNone(t *testing.T) {
	for _, timeout := range []string{"", "0", "-1", "NaN", "Inf", "1e309", "soon"} {
		limited := true
		h := handler(t, Config{TelemetryPath: "/metrics", Sites: only(func(ctx context.Context) prometheus.Gatherer {
			_, limited = ctx.Deadline()
			return collect(func(chan<- prometheus.Metric) {})
		})})
		if answer := get(h, "/metrics", scrapeTimeoutHeader, timeout); answer.Code != http.StatusOK || limited {
			t.Errorf("%q: %d, with a deadline: %t", timeout, answer.Code, limited)
		}
	}
}

func TestDeadlineReachesTheSite(t *testing.T) {
	var left time.Duration
	h := handler(t, Config{TelemetryPath: "/metrics", TimeoutOffset: time.Second, Sites: only(func(ctx context.Context) prometheus.Gatherer {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return collect(func(chan<- prometheus.Metric) {})
	})})
	get(h, "/metrics", scrapeTimeoutHeader, "10")
	if left < 6*time.Second || left > 7500*time.Millisecond {
		t.Errorf("in the first scrape the site has %s, want 7.5s", left)
	}
	get(h, "/metrics", scrapeTimeoutHeader, "10")
	if left < 8*time.Second || left > 9*time.Second {
		t.Errorf("the site has %s, want 9s", left)
	}
}

// TestDuplicateCostsOneSeries checks that a duplicate series, which is a defect, is
// counted and does not affect the rest of the scrape.
func TestDuplicateCostsOneSeries(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics", Sites: only(func(context.Context) prometheus.Gatherer {
		return collect(func(ch chan<- prometheus.Metric) {
			for _, label := range []string{"a", "b", "a"} {
				ch <- prometheus.MustNewConstMetric(seen, prometheus.GaugeValue, 1, label)
			}
		})
	})})
	get(h, "/metrics")
	answer := get(h, "/metrics")
	for _, line := range []string{`seen{label="a"} 1`, `seen{label="b"} 1`, `promhttp_metric_handler_errors_total{cause="gathering"} 1`} {
		if answer.Code != 200 || !strings.Contains(answer.Body.String(), line+"\n") {
			t.Errorf("%d without %s", answer.Code, line)
		}
	}
}

func TestCompressionAndOpenMetrics(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics", Sessions: say(strings.Repeat("anna\n", 1000))})
	for path, want := range map[string]string{"/metrics": "\ngo_goroutines ", "/sessions/page.js": "anna"} {
		for _, encoding := range []string{"identity", "gzip"} {
			answer := get(h, path, "Accept-Encoding", encoding)
			body := io.Reader(answer.Body)
			if encoding == "gzip" {
				if answer.Header().Get("Content-Encoding") != "gzip" {
					t.Errorf("%s is not compressed: %v", path, answer.Header())
				}
				var err error
				if body, err = gzip.NewReader(body); err != nil {
					t.Fatal(err)
				}
			}
			if text, err := io.ReadAll(body); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s as %s: %d bytes without %q, %v", path, encoding, len(text), want, err)
			}
		}
	}
	answer := get(h, "/metrics", "Accept", "application/openmetrics-text;version=1.0.0")
	if !strings.HasPrefix(answer.Header().Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(answer.Body.String(), "# EOF\n") {
		t.Errorf("not OpenMetrics: %v", answer.Header())
	}
}

// TestReserve checks that the reserve is a multiple of the time that was needed
// recently after waiting for Qlik, and large before the first measurement.
func TestReserve(t *testing.T) {
	const offset = 250 * time.Millisecond
	r, emea := newReserve(), scraper{"emea", "10.0.0.1"}
	expect := func(what string, want time.Duration) {
		t.Helper()
		if got := r.of(emea, 10*time.Second, offset); got != want {
			t.Errorf("%s: %s is kept back, want %s", what, got, want)
		}
	}
	expect("at first", 2500*time.Millisecond)
	r.record(emea, 10*time.Millisecond)
	expect("little is needed", offset)
	r.record(emea, time.Second)
	expect("much is needed", 3*time.Second)
	r.record(emea, 10*time.Millisecond)
	expect("it is not forgotten at once", 2700*time.Millisecond)
	for range 50 {
		r.record(emea, 10*time.Millisecond)
	}
	expect("but in the end", offset)
	if got := r.of(scraper{"apac", "10.0.0.1"}, time.Second, offset); got != offset {
		t.Errorf("of another site %s is kept back", got)
	}
	for i := range 2 * maxMeasured {
		r.record(scraper{"emea", strconv.Itoa(i)}, time.Second)
	}
	if len(r.needed) > maxMeasured {
		t.Errorf("%d measurements are remembered", len(r.needed))
	}
}

// TestReserveIsMeasuredToTheLastByte checks that the measured time starts at the end
// of waiting, at the latest at the deadline, and ends when the response is written.
func TestReserveIsMeasuredToTheLastByte(t *testing.T) {
	for name, late := range map[string]time.Duration{"in time": 0, "late": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			m := newMetrics(prometheus.NewRegistry(), only(func(ctx context.Context) prometheus.Gatherer {
				if late > 0 {
					<-ctx.Done()
					time.Sleep(late) // the snapshot
				}
				return collect(func(chan<- prometheus.Metric) { time.Sleep(2 * time.Second) })
			}), 0, NewResponses(), nil)
			written := slow{httptest.NewRecorder(), 3 * time.Second}
			request := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
			request.Header.Set(scrapeTimeoutHeader, "10")
			m.own(written, request)
			if got, want := m.reserve.needed[scraper{"", clientOf(request.RemoteAddr)}], late+5*time.Second; got != want {
				t.Errorf("%s: measured %s, want %s", name, got, want)
			}
		})
	}
}

// TestReserveIsOfScrapes checks that a person who reads slowly does not increase the
// reserve, and a scraper does not increase it beyond its timeout.
func TestReserveIsOfScrapes(t *testing.T) {
	for granted, want := range map[string]time.Duration{"": 0, "10": 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			m := newMetrics(prometheus.NewRegistry(), only(func(context.Context) prometheus.Gatherer {
				return collect(func(chan<- prometheus.Metric) {})
			}), 0, NewResponses(), nil)
			request := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
			request.Header.Set(scrapeTimeoutHeader, granted)
			m.own(slow{httptest.NewRecorder(), 4 * time.Minute}, request)
			if got := m.reserve.needed[scraper{"", clientOf(request.RemoteAddr)}]; got != want {
				t.Errorf("granted %q: measured %s, want %s", granted, got, want)
			}
		})
	}
}

// TestReserveIsOfTheClient checks that a client that reads slowly does not increase the
// reserve of another one.
func TestReserveIsOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left time.Duration
		m := newMetrics(prometheus.NewRegistry(), only(func(ctx context.Context) prometheus.Gatherer {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return collect(func(chan<- prometheus.Metric) {})
		}), 0, NewResponses(), nil)
		scrape := func(client string, reads time.Duration) {
			request := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
			request.RemoteAddr = client + ":1"
			request.Header.Set(scrapeTimeoutHeader, "10")
			m.own(slow{httptest.NewRecorder(), reads}, request)
		}
		scrape("10.0.0.1", 0)
		scrape("10.0.0.3", 10*time.Second)
		scrape("10.0.0.1", 0)
		if left != 10*time.Second {
			t.Errorf("%s are left to ask the site", left)
		}
	})
}

// slow is a connection to a client that reads slowly.
type slow struct {
	http.ResponseWriter

	wait time.Duration
}

func (s slow) Write(p []byte) (int, error) {
	time.Sleep(s.wait)
	return s.ResponseWriter.Write(p)
}

func TestRunSaysWhyItCannotListen(t *testing.T) {
	socket := false
	missing := t.TempDir() + "/web.yml"
	err := Run(t.Context(), Config{
		Sites:         nothing,
		Sessions:      http.NotFoundHandler(),
		Landing:       http.NotFoundHandler(),
		Responses:     NewResponses(),
		TelemetryPath: "/metrics",
		Web:           &web.FlagConfig{WebListenAddresses: &[]string{"127.0.0.1:0"}, WebSystemdSocket: &socket, WebConfigFile: &missing},
		Logger:        log.NewNopLogger(),
		Slog:          slog.New(slog.DiscardHandler),
	})
	if err == nil || !strings.Contains(err.Error(), missing) || errors.Is(err, http.ErrServerClosed) {
		t.Errorf("got %v", err)
	}
}

// listening is a log that sends each address that the server listens on, which waits
// for its receiver.
type listening struct {
	slog.Handler

	addresses chan<- string
}

func (l listening) Enabled(context.Context, slog.Level) bool { return true }

func (l listening) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(attribute slog.Attr) bool {
		if record.Message == "Listening on" && attribute.Key == "address" {
			l.addresses <- attribute.Value.String()
		}
		return true
	})
	return nil
}

// TestSeveralAddresses checks that the server can begin to listen on an address while
// it serves requests on another one. The race detector must find nothing.
func TestSeveralAddresses(t *testing.T) {
	const hash = "$2a$04$5Q1qxyr7R67MJ.s3QXzunORpBU8qe8RxrXxpns6P7ouFGl8QQgAMG"
	for _, content := range []string{"", "basic_auth_users: {prometheus: " + hash + "}\n"} {
		file := ""
		if content != "" {
			file = filepath.Join(t.TempDir(), "web.yml")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		addresses := make(chan string)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := Run(ctx, Config{
				Sites:         nothing,
				Sessions:      http.NotFoundHandler(),
				Landing:       http.NotFoundHandler(),
				Responses:     NewResponses(),
				TelemetryPath: "/metrics",
				Connections:   10,
				Web:           &web.FlagConfig{WebListenAddresses: &[]string{"127.0.0.1:0", "127.0.0.1:0"}, WebConfigFile: &file},
				Logger:        log.NewNopLogger(),
				Slog:          slog.New(listening{slog.DiscardHandler, addresses}),
			}); err != nil {
				t.Error(err)
			}
		})
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		ask := func(address string) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/-/healthy", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			request.SetBasicAuth("prometheus", "marker-web-password")
			answer, err := client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("got %s", answer.Status)
			}
		}
		first := <-addresses
		var asking sync.WaitGroup
		for range 10 {
			asking.Go(func() { ask(first) })
		}
		second := <-addresses
		asking.Wait()
		ask(second)
		stop()
		running.Wait()
	}
}

// certificate returns a certificate for TLS.
func certificate() tls.Certificate {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	return server.TLS.Certificates[0]
}

// TestStopDoesNotWaitForClients checks that the server stops in time although it cannot
// tell a client that does not read that it closes the TLS connection.
func TestStopDoesNotWaitForClients(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	synctest.Test(t, func(t *testing.T) {
		server := newHTTPServer(Config{Slog: slog.New(slog.DiscardHandler)}, say("served"))
		server.TLSConfig = config
		open := newConnections(100)
		open.configure(server)
		p := newPipes()
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.ServeTLS(p, "", "") }) // always ends with an error: closed
		raw := p.dial("10.0.0.1")
		defer func() { _ = raw.Close() }()
		encrypted := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		idle := &peer{encrypted, bufio.NewReader(encrypted)}
		if got := idle.get("/"); got != "200 OK" {
			t.Errorf("got %s", got)
		}
		synctest.Wait() // until the response is sent
		begin := time.Now()
		if err := stop(t.Context(), []*http.Server{server}, open, log.NewNopLogger()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > drainTimeout {
			t.Errorf("stopped after %s", took)
		}
		serving.Wait()
	})
}

// TestOptionsAreProtected checks that the server passes every request to its handler,
// and so to the check of the password.
func TestOptionsAreProtected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newHTTPServer(Config{Slog: slog.New(slog.DiscardHandler)}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "wrong", http.StatusUnauthorized)
		}))
		p := newPipes()
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(p) }) // always ends with an error: closed
		client := p.dial("10.0.0.1")
		if _, err := io.WriteString(client, "OPTIONS * HTTP/1.1\r\nHost: exporter\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(client.read, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %s", answer.Status)
		}
		_ = server.Close()
		serving.Wait()
	})
}

// stuck is a connection to a client that does not read.
type stuck struct {
	http.ResponseWriter

	written chan<- struct{}
	until   <-chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	s.written <- struct{}{}
	<-s.until
	return s.ResponseWriter.Write(p)
}

// TestUnreadResponsesTakeNoTurns checks that clients that do not read the response do not
// delay others.
func TestUnreadResponsesTakeNoTurns(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics"})
	written, until := make(chan struct{}), make(chan struct{})
	var asking sync.WaitGroup
	for range 2 * maxAnswers {
		asking.Go(func() {
			h.ServeHTTP(stuck{httptest.NewRecorder(), written, until}, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
		})
	}
	for range 2 * maxAnswers {
		<-written
	}
	if answer := get(h, "/metrics"); answer.Code != 200 || answer.Header().Get("Content-Length") != strconv.Itoa(answer.Body.Len()) {
		t.Errorf("got %d, %v", answer.Code, answer.Header())
	}
	close(until)
	asking.Wait()
}

// TestServerLog checks that a probe that only connects is not logged as an error.
func TestServerLog(t *testing.T) {
	var log strings.Builder
	l := serverLog{slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	for _, line := range []string{"http: TLS handshake error from 10.0.0.1:1: EOF\n", "http: panic serving 10.0.0.1:1: broken\n"} {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if !strings.Contains(log.String(), `level=ERROR msg="http: panic serving`) || strings.Contains(log.String(), "handshake") {
		t.Errorf("got %s", &log)
	}
}

// TestWhoLeavesGetsNoAnswer checks that no response is built for a client that has
// disconnected. The incomplete data would look like a failure of the site.
func TestWhoLeavesGetsNoAnswer(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	asked := 0
	h := handler(t, Config{TelemetryPath: "/metrics", Sites: only(func(context.Context) prometheus.Gatherer {
		asked++
		leave()
		return collect(func(chan<- prometheus.Metric) { t.Error("gathered") })
	})})
	const scrapes = 20
	for range scrapes {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody).WithContext(ctx))
		if answer.Body.Len() > 0 {
			t.Errorf("got %d %q", answer.Code, answer.Body)
		}
	}
	if asked != scrapes {
		t.Errorf("the site was asked %d times, want %d", asked, scrapes)
	}
}
