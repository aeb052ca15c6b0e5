// Package server is the HTTP server of the exporter: its endpoints, its timeouts,
// its limits, and its graceful shutdown. It can serve the desk on a second listener.
package server

import (
	"bytes"
	"context"
	"errors"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"
)

const (
	// writeTimeout ends the response to a client that does not read it. It is longer
	// than any scrape timeout that Prometheus can use without gaps.
	writeTimeout = 5 * time.Minute
	// drainTimeout is the time that requests in progress have to finish after the
	// signal to stop.
	drainTimeout = 3 * time.Second
)

// Config configures the server.
type Config struct {
	Sites         Sites
	Sessions      http.Handler           // of /sessions and the paths below it, and of /api/users
	Landing       http.Handler           // of /
	Responses     *Responses             // shared with Sessions
	TelemetryPath string                 // --web.telemetry-path
	ExternalURL   *url.URL               // --web.external-url; nil for none
	TimeoutOffset time.Duration          // --timeout-offset
	Connections   int                    // --web.max-connections
	Pprof         bool                   // --web.enable-pprof
	CommandLine   []string               // shown by a profile
	Lifecycle     bool                   // --web.enable-lifecycle
	Web           *web.FlagConfig        // listen addresses, TLS, authentication
	Desk          *Desk                  // nil for none
	Metrics       []prometheus.Collector // more about the exporter itself
	Logger        log.Logger
	Slog          *slog.Logger // the same log, for exporter-toolkit
}

// Desk is the second listener, on which sessions can be ended. It shares no handler with
// the exporter's port.
type Desk struct {
	Handler http.Handler         // everything behind it; it sets its own security headers
	Web     *web.FlagConfig      // --desk.listen-address, --desk.web.config.file
	Metrics prometheus.Collector // nil for none
}

// Sites provides the served sites.
type Sites interface {
	prometheus.Collector // of the metrics about the configuration

	// Use returns the site with the given name. The caller must call done after the
	// scrape has been gathered. If flags describe the only site, its name is "".
	Use(name string) (site Site, done func(), found bool)
	// Names returns the names of the sites.
	Names() []string
	// Format returns the configuration in use.
	Format() ([]byte, error)
	// Reload reloads the configuration.
	Reload() error
	// NamesHidden reports whether the metrics of a site do not contain names of users.
	NamesHidden() bool
}

// Site is a site as scrapes use it.
type Site interface {
	// Collectors returns the names of the enabled collectors.
	Collectors() []string
	// Scrape queries the site until ctx ends. The scrape runs the wanted collectors.
	Scrape(ctx context.Context, wanted func(collector string) bool) Scrape
}

// Scrape holds the metrics of a site at one time.
type Scrape interface {
	prometheus.Gatherer

	// Heard returns the time when the last response of Qlik arrived, or when the
	// exporter stopped waiting for it.
	Heard() time.Time
	// Close releases the memory of a scrape that is not gathered.
	Close()
}

// listener is a port of the exporter: its handler, and the flags of it.
type listener struct {
	listenFlag, configFlag string // without dashes

	web     *web.FlagConfig
	failed  *failedLogins
	handler http.Handler
}

// listeners returns the ports of a configuration.
func listeners(config Config) []listener {
	exporterFailed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "qlik_exporter_failed_logins_total",
		Help: "Requests to the exporter's port with a wrong password since the exporter started.",
	})
	deskFailed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "qlik_desk_failed_logins_total",
		Help: "Requests to the desk with a wrong password since the exporter started.",
	})
	counters := slices.Clone(config.Metrics)
	if *config.Web.WebConfigFile != "" {
		counters = append(counters, exporterFailed)
	}
	if config.Desk != nil {
		counters = append(counters, deskFailed)
		if config.Desk.Metrics != nil {
			counters = append(counters, config.Desk.Metrics)
		}
	}
	handler := newHandler(config, counters...)
	all := []listener{{
		listenFlag: "web.listen-address", configFlag: "web.config.file",
		web: config.Web, failed: newFailedLogins("exporter", exporterFailed, config.Logger), handler: handler,
	}}
	if config.Desk != nil {
		all = append(all, listener{
			listenFlag: "desk.listen-address", configFlag: "desk.web.config.file",
			web: config.Desk.Web, failed: newFailedLogins("desk", deskFailed, config.Logger), handler: limited(config.Desk.Handler),
		})
	}
	return all
}

// Run serves until ctx ends, then waits a short time for the requests in progress. If
// one address cannot be served, it serves none.
func Run(ctx context.Context, config Config) error {
	all := listeners(config)
	open := newConnections(maxConnections(config, maxFiles())) // of all listeners, because they share the files
	var servers []*http.Server
	served := make(chan error)
	reporting, end := context.WithCancel(context.WithoutCancel(ctx)) // until the last request
	var reports sync.WaitGroup
	defer reports.Wait()
	defer end()
	for _, l := range all {
		reports.Go(func() { l.failed.report(reporting) })
		guesses := newPasswords(l.failed)
		for _, flags := range oneAddressEach(l.web) {
			server := newHTTPServer(config, l.handler)
			if *flags.WebConfigFile != "" {
				guesses.configure(server)
			}
			open.configure(server)
			servers = append(servers, server)
			go func() { served <- l.explain(web.ListenAndServe(server, flags, config.Slog)) }()
		}
	}
	running := len(servers)
	var err error
	select {
	case err = <-served:
		running--
		for _, server := range servers {
			_ = server.Close()
		}
	case <-ctx.Done():
		_ = level.Info(config.Logger).Log("msg", "Stopping; waiting for requests in progress")
		err = stop(ctx, servers, open, config.Logger)
	}
	for range running {
		if served := <-served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	return err
}

// oneAddressEach splits flags by listen address. Each address has a server of its own,
// because exporter-toolkit changes a server for each address, although it may already
// serve another one.
func oneAddressEach(flags *web.FlagConfig) []*web.FlagConfig {
	if flags.WebSystemdSocket != nil && *flags.WebSystemdSocket {
		return []*web.FlagConfig{flags}
	}
	var each []*web.FlagConfig
	for _, address := range *flags.WebListenAddresses {
		one := *flags
		one.WebListenAddresses = &[]string{address}
		each = append(each, &one)
	}
	return each
}

// stop stops the servers after their requests in progress, but at most after
// drainTimeout.
func stop(ctx context.Context, servers []*http.Server, open *connections, logger log.Logger) error {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	// Shutdown and Close wait five seconds for each client with TLS that does not read,
	// unless its connection is closed.
	defer context.AfterFunc(drain, open.closeAll)()
	var stopping errgroup.Group
	for _, server := range servers {
		stopping.Go(func() error { return server.Shutdown(drain) })
	}
	err := stopping.Wait()
	if errors.Is(err, context.DeadlineExceeded) {
		_ = level.Warn(logger).Log("msg", "Closing connections although requests are in progress", "waited", drainTimeout)
		err = nil
		open.closeAll()
		for _, server := range servers {
			err = errors.Join(err, server.Close())
		}
	}
	return err
}

// FlagError is an error about the value of a flag.
type FlagError struct {
	Flag string // without dashes
	Err  error
}

func (e *FlagError) Error() string { return "--" + e.Flag + ": " + e.Err.Error() }

func (e *FlagError) Unwrap() error { return e.Err }

// explain names the flag that an error of exporter-toolkit is about.
func (l listener) explain(err error) error {
	var listening *net.OpError
	flag := l.configFlag
	switch {
	case errors.Is(err, http.ErrServerClosed):
		return err
	case l.web.WebSystemdSocket != nil && *l.web.WebSystemdSocket:
		flag = "web.systemd-socket"
	case errors.As(err, &listening), *l.web.WebConfigFile == "":
		flag = l.listenFlag
	}
	return &FlagError{Flag: flag, Err: err}
}

// maxConnections returns the limit of connections. It leaves half of the files that the
// process can have open to connections to Qlik and to log files.
func maxConnections(config Config, files uint64) int {
	limit := config.Connections
	if half := files / 2; files > 0 && half < uint64(limit) { //nolint:gosec // positive
		limit = max(int(half), 1) //nolint:gosec // less than an int
		_ = level.Warn(config.Logger).Log("msg", "The limit of open files allows fewer connections than --web.max-connections", "files", files, "connections", limit)
	}
	return limit
}

// newHTTPServer returns a server with timeouts for slow clients.
func newHTTPServer(config Config, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ErrorLog:          stdlog.New(serverLog{config.Slog}, "", 0),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		// OPTIONS * needs a password too.
		DisableGeneralOptionsHandler: true,
		HTTP2: &http.HTTP2Config{
			// WriteTimeout resets a stream, which a client must read too.
			WriteByteTimeout:              30 * time.Second,
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerConnection: maxBodyBytes, // the minimum
			MaxReceiveBufferPerStream:     maxBodyBytes,
			MaxReadFrameSize:              16 << 10, // the minimum
		},
	}
}

// serverLog is the error log of the HTTP server. It logs failed TLS handshakes at
// level debug, because probes and load balancers cause them all the time.
type serverLog struct{ logger *slog.Logger }

// Write implements io.Writer.
func (l serverLog) Write(line []byte) (int, error) {
	minimum := slog.LevelError
	if bytes.Contains(line, []byte("TLS handshake error")) {
		minimum = slog.LevelDebug
	}
	l.logger.Log(context.Background(), minimum, strings.TrimSpace(string(line))) //nolint:forbidigo // a log has no deadline
	return len(line), nil
}

// newHandler returns the handler of the exporter's port. The additional metrics are about
// the exporter itself.
func newHandler(config Config, additional ...prometheus.Collector) http.Handler {
	process := prometheus.NewRegistry()
	process.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("qlik_exporter"),
		config.Sites,
	)
	process.MustRegister(additional...)
	mux := http.NewServeMux()
	metrics := newMetrics(process, config.Sites, config.TimeoutOffset, config.Responses, slog.NewLogLogger(config.Slog.Handler(), slog.LevelError))
	mux.HandleFunc("GET "+config.TelemetryPath, metrics.own)
	mux.HandleFunc("GET /probe", metrics.probe)
	mux.HandleFunc("GET /sd", discovery(config.Sites, config.ExternalURL))
	mux.HandleFunc("GET /config", configuration(config.Sites))
	mux.Handle("GET /sessions", config.Sessions) // it compresses the page in its turn
	mux.Handle("GET /sessions/", config.Responses.compress(config.Sessions))
	mux.Handle("GET /api/users", config.Sessions)
	reloads := reload(config.Sites, config.Lifecycle)
	mux.HandleFunc("POST /-/reload", reloads)
	mux.HandleFunc("PUT /-/reload", reloads)
	mux.HandleFunc("GET /-/healthy", say("qlik_exporter is healthy.\n"))
	mux.HandleFunc("GET /-/ready", say("qlik_exporter is ready.\n"))
	if config.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", say(strings.Join(config.CommandLine, "\x00")))
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	if config.TelemetryPath != "/" {
		mux.Handle("GET /{$}", config.Responses.compress(config.Landing))
	}
	return protected(limited(below(config.ExternalURL, mux)))
}

// say returns a handler that responds with a fixed text. Readiness does not depend on
// Qlik, because an exporter that reports an outage works as intended.
func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text))
	}
}
