// qlik_exporter exports the sessions of Qlik Sense Enterprise on Windows users, and
// their headroom below the session limit, to Prometheus.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"

	"github.com/qlik-exporter/qlik_exporter/internal/cli"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/demo"
	"github.com/qlik-exporter/qlik_exporter/internal/logging"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/internal/server"
	"github.com/qlik-exporter/qlik_exporter/internal/service"
	"github.com/qlik-exporter/qlik_exporter/internal/sites"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

func main() {
	if build, ok := debug.ReadBuildInfo(); ok && version.Version == "" {
		version.Version = build.Main.Version // not set by the linker: go run, go install
	}
	if os.Getenv("GOGC") == "" {
		// A scrape produces much garbage, and little memory is needed between scrapes.
		// With the default, the garbage of one scrape is half of the memory in use.
		debug.SetGCPercent(50)
	}
	os.Exit(service.Run(context.Background(), run))
}

// flagsFile is the file with the flags of the installed exporter. Tests replace it.
var flagsFile = config.FlagsFile

// clock is the clock of commands; nil means time.Now. Tests replace it.
var clock func() time.Time

// run is main without os.Exit, so that deferred calls run.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	args, places, err := config.ExpandFiles(args)
	app, flags, commands := newApp(args)
	flags.Places = places
	app.UsageWriter(stdout)
	app.ErrorWriter(stderr)
	var command string
	if err == nil {
		args, err = flags.Add(args, flagsFile(), cli.UsesFlagsFile, stderr)
	}
	if err == nil {
		command, err = flags.Parse(args)
	}
	switch {
	case err != nil: // reported below
	case flags.ConfigCheck && command != "serve":
		err = &config.Error{Flag: "config.check", Err: errors.New("works only with the command serve; other commands always check their settings")}
	case flags.ConfigCheck:
		err = checkConfiguration(flags, stdout)
	default:
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal ends the program at once
		err = cli.InTime(ctx, func() error {
			return commands[command](ctx, cli.Streams{In: os.Stdin, Out: stdout, Err: stderr})
		})
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, cli.ErrIncomplete):
		return 2
	case errors.Is(err, cli.ErrFailed):
		return 1
	}
	// Make characters visible that editors, shells, and web pages leave in a value.
	lines := strings.Split(flags.Explain(err).Error(), "\n")
	for i := range lines {
		lines[i] = text.Visible(lines[i])
	}
	_, _ = fmt.Fprintf(stderr, "qlik_exporter: error: %s\n", strings.Join(lines, "\n"))
	return 1
}

// newApp returns the command line of the program, its flags, and its commands.
func newApp(args []string) (*kingpin.Application, *config.Flags, cli.Commands) {
	app := kingpin.New("qlik_exporter",
		"Prometheus exporter for the sessions of Qlik Sense Enterprise on Windows. It shows which users are about to reach the session limit, and where.")
	app.Version(version.Print("qlik_exporter"))
	app.HelpFlag.Short('h').NoEnvar()
	app.VersionFlag.NoEnvar()
	app.DefaultEnvars()

	flags := config.Register(app)
	flags.Now = clock
	e := &exporter{flags}
	app.Command("serve", "Serve the metrics (the default command).").Default()
	app.Command("demo", "Start a simulated Qlik Sense site on the loopback interface and serve its metrics.")
	commands := cli.Commands{"serve": e.serve, "demo": e.demo}
	for _, more := range []cli.Commands{
		cli.Check(app, flags), cli.Sessions(app, flags), cli.Why(app, flags), cli.Licenses(app, flags), cli.Assets(app), cli.Desk(app), cli.Service(app, flags, args, flagsFile()),
	} {
		maps.Copy(commands, more)
	}
	return app, flags, commands
}

// exporter implements the commands that serve metrics.
type exporter struct{ flags *config.Flags }

// serve serves the configured sites until ctx ends.
func (e *exporter) serve(ctx context.Context, streams cli.Streams) error {
	return e.serveSites(ctx, e.flags.Load, streams.Err)
}

// checkConfiguration performs the same checks as serve, but starts nothing.
func checkConfiguration(flags *config.Flags, stdout io.Writer) error {
	configuration, err := flags.Load()
	if err != nil {
		return err
	}
	if err := sites.Check(configuration); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "The configuration is valid.")
	return err
}

func (e *exporter) serveSites(ctx context.Context, load func() (*config.Configuration, error), stderr io.Writer) error {
	logger, slogger := logging.New(stderr, e.flags.LogLevel, e.flags.LogFormat)
	set, err := sites.Open(load, logger) //nolint:contextcheck // sites outlive ctx, so that the last scrapes return correct numbers
	if err != nil {
		return err
	}
	defer set.Close()
	_ = level.Info(logger).Log("msg", "Starting qlik_exporter", "version", version.Info(), "build_context", version.BuildContext())
	if e.flags.ConfigFile != "" {
		defer reloadOnHangup(set)() //nolint:contextcheck // as above
	}
	responses := server.NewResponses()
	err = server.Run(ctx, server.Config{
		Sites:         servedSites{set},
		Sessions:      e.sessionsPage(set, responses),
		Responses:     responses,
		TelemetryPath: e.flags.TelemetryPath,
		ExternalURL:   e.flags.ExternalURL,
		TimeoutOffset: e.flags.TimeoutOffset,
		Connections:   e.flags.MaxConnections,
		Pprof:         e.flags.Pprof,
		CommandLine:   e.flags.CommandLine(os.Args),
		Lifecycle:     e.flags.Lifecycle,
		Web:           e.flags.Web,
		Logger:        logger,
		Slog:          slogger,
	})
	if wrong, ok := errors.AsType[*server.FlagError](err); ok {
		return &config.Error{Flag: wrong.Flag, Err: wrong.Err} // named as it was given
	}
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

func (s servedSites) Use(name string) (scrape func(context.Context) server.Scrape, done func(), found bool) {
	site, done, found := s.Set.Use(name)
	if !found {
		return nil, nil, false
	}
	return func(ctx context.Context) server.Scrape { return site.Exporter.Scrape(ctx) }, done, true
}

// sessionsPage returns the handler of the sessions page.
func (e *exporter) sessionsPage(set *sites.Set, responses *server.Responses) http.Handler {
	return page.New(page.Config{
		Names: set.Names,
		Use: func(name string) (shown page.Site, done func(), found bool) {
			site, done, found := set.Use(name)
			if !found {
				return page.Site{}, nil, false
			}
			return site.Page(), done, true
		},
		Program:       e.flags.Command,
		Respond:       responses.Respond,
		Authenticated: func() bool { return server.Authenticates(*e.flags.Web.WebConfigFile) },
	})
}

// demo serves a simulated site.
func (e *exporter) demo(ctx context.Context, streams cli.Streams) (err error) {
	if e.flags.ConfigFile != "" {
		return &config.Error{Flag: "config.file", Err: errors.New("cannot be combined with demo, which starts a site of its own")}
	}
	d, err := demo.Start() //nolint:contextcheck // Close stops it, after the exporter
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	simulated := func() (*config.Configuration, error) { return e.flags.Only(d.Site(e.flags.Site())) }
	if _, err := simulated(); err != nil {
		return err
	}
	program := os.Args[0]
	if strings.Contains(program, "go-build") {
		program = "go run ." // the command that the user typed
	}
	if e.flags.Command == config.DefaultCommand {
		e.flags.Command = program + " @" + d.FlagsFile()
	}
	if err := d.Introduce(streams.Out, program, (*e.flags.Web.WebListenAddresses)[0], e.flags.TelemetryPath); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	var people sync.WaitGroup
	people.Go(func() { d.Run(ctx) })
	defer people.Wait()
	defer cancel()
	return e.serveSites(ctx, simulated, streams.Err)
}
