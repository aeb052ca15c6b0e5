package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"

	"github.com/qlik-exporter/qlik_exporter/alerts"
	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/dashboards"
	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/demo"
	"github.com/qlik-exporter/qlik_exporter/internal/server"
	"github.com/qlik-exporter/qlik_exporter/internal/service"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/internal/sites"
	"github.com/qlik-exporter/qlik_exporter/internal/slogbridge"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// The commands: what each does with the flags that it was given.

// serve serves the sites that are configured.
func (o *options) serve(ctx context.Context, stderr io.Writer) error {
	return o.serveSites(ctx, o.sites, stderr)
}

// serveSites serves the sites that load returns until ctx ends.
func (o *options) serveSites(ctx context.Context, load func() (*config.File, error), stderr io.Writer) error {
	if o.timeoutOffset < 0 {
		return fmt.Errorf("--timeout-offset: must not be negative, not %s", o.timeoutOffset)
	}
	if o.lifecycle && o.configFile == "" {
		return errors.New("--web.enable-lifecycle: there is nothing to reload without --config.file")
	}
	logger, slogger := newLoggers(stderr, o.logLevel, o.logFormat)
	set, err := sites.Open(load, logger) //nolint:contextcheck // sites outlive ctx, so that the last scrapes end with true numbers
	if err != nil {
		return err
	}
	defer set.Close()
	for _, found := range o.foundLocally {
		_ = level.Info(logger).Log("msg", "This machine is a Qlik Sense node", "using", found)
	}
	_ = level.Info(logger).Log("msg", "Starting qlik_exporter", "version", version.Info(), "build_context", version.BuildContext())
	if o.configFile != "" {
		defer reloadOnHangup(set)() //nolint:contextcheck // as above
	}
	return server.Run(ctx, server.Config{
		Sites:         servedSites{set},
		Sessions:      o.sessionsPage(set),
		TelemetryPath: o.telemetryPath,
		TimeoutOffset: o.timeoutOffset,
		Pprof:         o.pprof,
		Lifecycle:     o.lifecycle,
		Web:           o.web,
		Logger:        logger,
		Slog:          slogger,
	})
}

// reloadOnHangup reloads the configuration at each SIGHUP until stop is called.
func reloadOnHangup(set *sites.Set) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var reloading sync.WaitGroup
	reloading.Go(func() {
		for range hangups {
			_ = set.Reload() // is logged
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups)
		reloading.Wait()
	}
}

// servedSites are the sites as the server wants them.
type servedSites struct{ *sites.Set }

func (s servedSites) Use(name string) (scrape func(context.Context) server.Scrape, done func(), found bool) {
	site, done, found := s.Set.Use(name)
	if !found {
		return nil, nil, false
	}
	return func(ctx context.Context) server.Scrape { return site.Exporter.Scrape(ctx) }, done, true
}

// sessionsPage is the page that shows the sites to people.
func (o *options) sessionsPage(set *sites.Set) http.Handler {
	return sessions.NewPage(sessions.PageConfig{
		Names: set.Names,
		Use: func(name string) (page sessions.PageSite, done func(), found bool) {
			site, done, found := set.Use(name)
			if !found {
				return sessions.PageSite{}, nil, false
			}
			return sessions.PageSite{
				Recent:          site.Recent,
				ServiceAccounts: site.ServiceAccounts,
				NamesHidden:     site.Config.UserLabels != collector.UserLabelsPlain,
			}, done, true
		},
		Authenticated: func() bool { return server.Authenticates(*o.web.WebConfigFile) },
	})
}

// demo serves a simulated site.
func (o *options) demo(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if o.configFile != "" {
		return errors.New("--config.file: is not for the demo, which has a site of its own")
	}
	if err := o.site.Validate(); err != nil {
		return err
	}
	d, err := demo.Start() //nolint:contextcheck // ended by Close, after the exporter
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	program := os.Args[0]
	if strings.Contains(program, "go-build") {
		program = "go run ." // which is what was typed
	}
	if err := d.Introduce(stdout, program, (*o.web.WebListenAddresses)[0], o.telemetryPath); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	var people sync.WaitGroup
	people.Go(func() { d.Run(ctx) })
	defer people.Wait()
	defer cancel()
	simulated := &config.File{Sites: []config.Site{d.Site(o.site)}}
	return o.serveSites(ctx, func() (*config.File, error) { return simulated, nil }, stderr)
}

// check writes what works and what does not, of one site or of all, and returns
// whether all does.
func (o *options) check(ctx context.Context, stdout io.Writer) (passed bool, err error) {
	file, err := o.sites()
	if err != nil {
		return false, err
	}
	chosen := file.Sites
	if o.siteName != "" || o.configFile == "" {
		site, err := o.chosenSite(file)
		if err != nil {
			return false, err
		}
		chosen = []config.Site{site}
	}
	passed = true
	for i := range chosen {
		report, err := checkSite(ctx, &chosen[i])
		if err != nil {
			return false, file.Locate(chosen[i].Name, err)
		}
		passed = passed && report.OK()
		if o.output == "json" {
			err = report.WriteJSON(stdout)
		} else {
			if i > 0 {
				_, _ = fmt.Fprintln(stdout)
			}
			err = report.WriteTable(stdout, terminal.Colors(stdout))
		}
		if err != nil {
			return false, err
		}
	}
	return passed, nil
}

func checkSite(ctx context.Context, settings *config.Site) (*check.Report, error) {
	run, err := settings.Run()
	if err != nil {
		return nil, err
	}
	checked := check.Config{Qlik: run.Client, SessionLimit: run.Headroom.Limit, Licenses: run.Licenses}
	if checked.AuditLogs, err = settings.AuditLogs(); err != nil {
		return nil, err
	}
	if checked.ServiceAccounts, err = settings.ServiceAccounts(); err != nil {
		return nil, err
	}
	report, err := check.Run(ctx, checked)
	if err != nil {
		return nil, err
	}
	report.Site = settings.Name
	return report, nil
}

// listSessions shows who has which sessions.
func (o *options) listSessions(ctx context.Context, stdout, stderr io.Writer) error {
	c, err := o.sessionsCommands(stdout, stderr)
	if err != nil {
		return err
	}
	defer c.Site.Close()
	return c.List(ctx, o.query, o.atLeast, o.output)
}

// endSessions ends those of one user.
func (o *options) endSessions(ctx context.Context, stdout, stderr io.Writer) error {
	o.end.Query = o.query
	if o.endAll {
		if o.keepIsSet {
			return errors.New("--all: lets none stay, so that --keep makes no sense")
		}
		o.end.Keep = 0
	}
	c, err := o.sessionsCommands(stdout, stderr)
	if err != nil {
		return err
	}
	defer c.Site.Close()
	return c.End(ctx, o.end)
}

// sessionsCommands opens the site that the commands about sessions are for. The
// caller must close it.
func (o *options) sessionsCommands(stdout, stderr io.Writer) (*sessions.Commands, error) {
	file, err := o.sites()
	if err != nil {
		return nil, err
	}
	settings, err := o.chosenSite(file)
	if err != nil {
		return nil, err
	}
	run, err := settings.Run()
	if err != nil {
		return nil, err
	}
	labels, err := settings.Labels()
	if err != nil {
		return nil, err
	}
	serviceAccounts, err := settings.ServiceAccounts()
	if err != nil {
		return nil, err
	}
	logger, _ := newLoggers(stderr, o.logLevel, o.logFormat)
	ofSite := o.logLevel
	if ofSite == "info" {
		ofSite = "warn" // what goes well is in the answer
	}
	run.Logger, _ = newLoggers(stderr, ofSite, o.logFormat)
	opened, err := site.New(run)
	if err != nil {
		return nil, file.Locate(settings.Name, err)
	}
	c := &sessions.Commands{
		Site: opened, Logger: logger, CoolingTime: run.Headroom.CoolingTime, ServiceAccounts: serviceAccounts,
		In: os.Stdin, Out: stdout, Err: stderr,
		Terminal: terminal.Is(os.Stdin) && terminal.Is(stdout),
		Color:    terminal.Colors(stdout),
	}
	if labels.Key != nil {
		c.Hash = func(user qlik.User) string { return collector.HashUser(labels.Key, user) }
	}
	return c, nil
}

// sites returns the sites of the configuration file, or the only one of the flags.
func (o *options) sites() (*config.File, error) {
	if o.configFile != "" {
		return config.Load(o.configFile)
	}
	o.foundLocally = o.site.UseLocalNode(os.Getenv("ProgramData"))
	if err := o.site.Validate(); err != nil {
		return nil, err
	}
	return &config.File{Sites: []config.Site{o.site}}, nil
}

// chosenSite returns the only site, or that of --site.
func (o *options) chosenSite(file *config.File) (config.Site, error) {
	var names []string
	for _, site := range file.Sites {
		if site.Name == o.siteName || o.siteName == "" && len(file.Sites) == 1 {
			return site, nil
		}
		names = append(names, site.Name)
	}
	if o.configFile == "" {
		return config.Site{}, errors.New("--site: is for the sites of --config.file")
	}
	return config.Site{}, fmt.Errorf("--site: must be one of %s, not %q", strings.Join(names, ", "), o.siteName)
}

func (o *options) writeAssets(stdout io.Writer) error {
	if err := alerts.Write(o.assetsDir, o.assets); err != nil {
		return err
	}
	if err := dashboards.Write(o.assetsDir, dashboards.Options{Job: o.assets.Job}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "Wrote rules, Alertmanager example, templates, runbook, dashboards and their provisioning to %s.\n", o.assetsDir)
	return err
}

// installService installs the service, which runs with these flags.
func (o *options) installService(arguments []string, stdout io.Writer) error {
	if err := service.Install(o.serviceAccount, arguments); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "Installed the service %s, which runs as %s with these flags: %s. "+
		"Let that account read the certificates, then start it: docs/windows.md.\n",
		service.Name, o.serviceAccount, strings.Join(arguments, " "))
	return err
}

// newLoggers returns the program's logger, and the same log for libraries that
// use log/slog.
func newLoggers(w io.Writer, minimum, format string) (log.Logger, *slog.Logger) {
	newLogger := log.NewLogfmtLogger
	if format == "json" {
		newLogger = log.NewJSONLogger
	}
	levels := map[string]struct {
		gokit level.Option
		slog  slog.Level
	}{
		"debug": {level.AllowDebug(), slog.LevelDebug},
		"info":  {level.AllowInfo(), slog.LevelInfo},
		"warn":  {level.AllowWarn(), slog.LevelWarn},
		"error": {level.AllowError(), slog.LevelError},
	}
	base := log.With(newLogger(log.NewSyncWriter(w)), "ts", log.DefaultTimestampUTC)
	// Five frames lie between the caller and the format when it goes through
	// level.Info and the filter.
	logger := level.NewFilter(log.With(base, "caller", log.Caller(5)), levels[minimum].gokit)
	return logger, slog.New(slogbridge.NewHandler(base, levels[minimum].slog))
}
