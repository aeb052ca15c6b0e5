// Package serve runs the commands that serve metrics: it opens the sites, and connects them
// to the server, to the pages, and to the desk.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/cli"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/logging"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/internal/server"
	"github.com/qlik-exporter/qlik_exporter/internal/sites"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// Exporter implements the commands that serve metrics.
type Exporter struct{ Flags *config.Flags }

// Serve serves the configured sites until ctx ends.
func (e *Exporter) Serve(ctx context.Context, streams cli.Streams) error {
	return e.serveSites(ctx, e.Flags.Load, streams.Err)
}

func (e *Exporter) serveSites(ctx context.Context, load func() (*config.Configuration, error), stderr io.Writer) (ended error) {
	if path := e.Flags.LogFile; path != "" {
		file := logging.NewWithFile(stderr, path, e.Flags.LogFormat)
		defer func() { file.Close(e.Flags.Explain(ended)) }()
		stderr = file
	}
	logger, slogger := logging.New(stderr, e.Flags.LogLevel, e.Flags.LogFormat)
	for _, sentence := range e.Flags.Unread() {
		_ = level.Warn(logger).Log("msg", sentence)
	}
	record, closeJournal, err := e.journal(logger)
	if err != nil {
		return err
	}
	defer closeJournal()
	set, err := sites.Open(load, e.guarding(record), logger) //nolint:contextcheck // sites outlive ctx, so that the last scrapes return correct numbers
	if err != nil {
		return err
	}
	defer set.Close()
	_ = level.Info(logger).Log("msg", "Starting qlik_exporter", "version", version.Info(), "build_context", version.BuildContext())
	if e.Flags.ConfigFile != "" {
		defer reloadOnHangup(set)() //nolint:contextcheck // as above
	}
	responses := server.NewResponses()
	pages := e.pages(set, responses)
	second, closeDesk, err := e.openDesk(set, record, responses, logger)
	if err != nil {
		return err
	}
	defer closeDesk()
	err = server.Run(ctx, server.Config{
		Sites:         servedSites{set},
		Sessions:      page.New(pages),
		Landing:       page.NewLanding(pages, e.landing()),
		Responses:     responses,
		TelemetryPath: e.Flags.TelemetryPath,
		ExternalURL:   e.Flags.ExternalURL,
		TimeoutOffset: e.Flags.TimeoutOffset,
		Connections:   e.Flags.MaxConnections,
		Pprof:         e.Flags.Pprof,
		CommandLine:   e.Flags.CommandLine(os.Args),
		Lifecycle:     e.Flags.Lifecycle,
		Web:           e.Flags.Web,
		Desk:          second,
		Metrics:       record.metrics(),
		Logger:        logger,
		Slog:          slogger,
	})
	if wrong, ok := errors.AsType[*server.FlagError](err); ok {
		return &config.Error{Flag: wrong.Flag, Err: wrong.Err} // named as it was given
	}
	return err
}

// Check performs the same checks as serve, but starts nothing.
func Check(flags *config.Flags, stdout io.Writer) error {
	configuration, err := flags.Load()
	if err != nil {
		return err
	}
	if err := sites.Check(configuration); err != nil {
		return err
	}
	if err := checkJournal(&flags.Desk); err != nil {
		return err
	}
	if err := checkDesk(&flags.Desk); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "The configuration is valid.")
	return err
}

// reloadOnHangup reloads the configuration at each SIGHUP until stop is called.
func reloadOnHangup(set *sites.Set) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var reloading sync.WaitGroup
	reloading.Go(func() {
		for range hangups {
			_ = set.Reload() // the set logs the error
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups)
		reloading.Wait()
	}
}

// servedSites adapts the sites to the interface of the server.
type servedSites struct{ *sites.Set }

func (s servedSites) Use(name string) (served server.Site, done func(), found bool) {
	site, done, found := s.Set.Use(name)
	if !found {
		return nil, nil, false
	}
	return servedSite{site.Exporter}, done, true
}

// servedSite adapts a site to the interface of the server.
type servedSite struct{ *collector.Exporter }

func (s servedSite) Scrape(ctx context.Context, wanted func(string) bool) server.Scrape {
	return s.ScrapeOnly(ctx, wanted)
}

// landing returns the links of the landing page.
func (e *Exporter) landing() page.Landing {
	links := page.Landing{TelemetryPath: e.Flags.TelemetryPath, Pprof: e.Flags.Pprof, Version: version.Version}
	if e.Flags.Desk.ListenAddress != "" && e.Flags.ExternalURL == nil {
		links.Desk = func(r *http.Request) string { return deskURL(e.Flags.Desk.ListenAddress, r) }
	}
	return links
}

// deskURL returns the URL of the desk for a browser that sends a request to the exporter. A
// desk that listens on all addresses has the same name as the exporter. A desk that listens
// on the loopback interface has no URL for other machines.
func deskURL(listenAddress string, r *http.Request) string {
	host, port, err := net.SplitHostPort(listenAddress)
	if err != nil {
		return ""
	}
	asked := (&url.URL{Host: r.Host}).Hostname()
	switch ip, err := netip.ParseAddr(host); {
	case host == "" || err == nil && ip.IsUnspecified():
		host = asked
	case err == nil && ip.IsLoopback() && asked != host && asked != "localhost":
		return ""
	}
	return (&url.URL{Scheme: "https", Host: net.JoinHostPort(host, port), Path: "/"}).String()
}

// Reload reloads the configuration. Its error is for people.
func (s servedSites) Reload() error {
	if err := s.Set.Reload(); err != nil {
		return errors.New(text.Error(err))
	}
	return nil
}

// pages returns the configuration of the pages on the exporter's port.
func (e *Exporter) pages(set *sites.Set, responses *server.Responses) page.Config {
	return page.Config{
		Names: set.Names,
		Use: func(name string) (shown page.Site, done func(), found bool) {
			site, done, found := set.Use(name)
			if !found {
				return page.Site{}, nil, false
			}
			return site.Page(), done, true
		},
		Program:       e.Flags.Command,
		Respond:       responses.Respond,
		Authenticated: func() bool { return server.Authenticates(*e.Flags.Web.WebConfigFile) },
	}
}
