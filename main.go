// qlik_exporter exports the sessions of the users of a Qlik Sense Enterprise on
// Windows site for Prometheus, and what the session limit leaves to each.
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
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/qlik-exporter/qlik_exporter/alerts"
	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/dashboards"
	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/demo"
	"github.com/qlik-exporter/qlik_exporter/internal/server"
	"github.com/qlik-exporter/qlik_exporter/internal/service"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sites"
	"github.com/qlik-exporter/qlik_exporter/internal/slogbridge"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func main() {
	if build, ok := debug.ReadBuildInfo(); ok && version.Version == "" {
		version.Version = build.Main.Version // not set by the linker: go run, go install
	}
	if os.Getenv("GOGC") == "" {
		// Between scrapes there is little to keep, in a scrape much to throw away:
		// without this the garbage of one scrape is half of the memory in use.
		debug.SetGCPercent(50)
	}
	os.Exit(service.Run(context.Background(), run))
}

// run is main without the exit, so that deferred work is done.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app, o := newApp()
	app.UsageWriter(stdout)
	app.ErrorWriter(stderr)
	command, err := app.Parse(args)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "qlik_exporter: error: %s%s, try --help\n", impossibleFlag(app, args), err)
		return 1
	}
	if err := o.besideFile(app, args); err != nil {
		_, _ = fmt.Fprintf(stderr, "qlik_exporter: error: %s\n", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once

	switch command {
	case "demo serve":
		err = o.demo(ctx, stdout, stderr)
	case "demo history":
		err = o.writeHistory(stdout)
	case "assets":
		err = o.writeAssets(stdout)
	case "sessions list", "sessions end":
		if err = o.showOrEnd(ctx, command, stdout, stderr); errors.Is(err, sessions.ErrIncomplete) {
			return 2 // has been said
		}
	case "check":
		var passed bool
		if passed, err = o.check(ctx, stdout); err == nil && !passed {
			return 1
		}
	case "service install":
		err = o.installService(app, args, stdout)
	case "service start":
		err = service.Start(ctx)
	case "service stop":
		err = service.Stop(ctx)
	case "service uninstall":
		err = service.Uninstall(ctx)
	default:
		err = o.serve(ctx, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "qlik_exporter: error: %s\n", err)
		return 1
	}
	return 0
}

// impossibleFlag returns "--flag: " for the first flag whose value cannot be set,
// from the command line or else from the environment, and "" if there is none.
// Kingpin's own message does not name it.
func impossibleFlag(app *kingpin.Application, args []string) string {
	parsed, err := app.ParseContext(args)
	if err != nil {
		return "" // not a value, and named by the message
	}
	given := make(map[string]bool)
	for _, element := range parsed.Elements {
		flag, ok := element.Clause.(*kingpin.FlagClause)
		if !ok || element.Value == nil {
			continue
		}
		model := flag.Model()
		given[model.Name] = true
		if model.Value.Set(*element.Value) != nil {
			return "--" + model.Name + ": "
		}
	}
	for _, model := range app.Model().Flags {
		if value := os.Getenv(model.Envar); model.Envar != "" && value != "" && !given[model.Name] && model.Value.Set(value) != nil {
			return "--" + model.Name + " (" + model.Envar + "): "
		}
	}
	return ""
}

// besideFile refuses settings of a site on the command line where a configuration
// file has them: to ignore them silently could show names that were to be hidden.
func (o *options) besideFile(app *kingpin.Application, args []string) error {
	if o.configFile == "" {
		return nil
	}
	parsed, err := app.ParseContext(args)
	if err != nil {
		return err
	}
	for _, element := range parsed.Elements {
		if flag, ok := element.Clause.(*kingpin.FlagClause); ok && config.IsSetting(flag.Model().Name) {
			return fmt.Errorf("--%s: is not used where there is a --config.file; write it into the file", flag.Model().Name)
		}
	}
	return nil
}

// options are the values of all flags.
type options struct {
	site         config.Site
	foundLocally []string // of its settings, a sentence each
	configFile   string

	web           *web.FlagConfig
	telemetryPath string
	pprof         bool
	lifecycle     bool
	timeoutOffset time.Duration
	logLevel      string
	logFormat     string

	assetsDir string
	assets    alerts.Options

	history    demo.HistoryOptions
	historyEnd string

	serviceAccount string

	siteName  string // the one that a command is about
	query     sessions.Query
	atLeast   int
	output    string
	end       sessions.EndOptions
	endAll    bool
	keepIsSet bool
}

func newApp() (*kingpin.Application, *options) {
	app := kingpin.New("qlik_exporter",
		"Prometheus exporter for the sessions of Qlik Sense Enterprise on Windows: who is about to reach the session limit, and where.")
	app.Version(version.Print("qlik_exporter"))
	app.HelpFlag.Short('h').NoEnvar()
	app.VersionFlag.NoEnvar()
	app.DefaultEnvars()
	app.Command("serve", "Serve the metrics of a site (the default command).").Default()

	o := &options{site: config.Default()}
	o.demoFlags(app.Command("demo", "Start a simulated Qlik Sense site on loopback and serve its metrics."))
	o.assetFlags(app.Command("assets", "Write Grafana dashboards, Prometheus rules, an Alertmanager example with templates, and the runbook into a folder."))
	o.sessionsFlags(app.Command("sessions", "Show who has which sessions, and end those of a user. "+
		"Exit status: 0 done, or not wanted; 1 an error; 2 incomplete: some virtual proxies did not answer, or some sessions could not be ended."))
	o.checkFlags(app.Command("check", "Try everything from the name of a server to the sessions of each virtual proxy, and say of what fails why, and what to do. "+
		"Exit status: 0 if nothing failed, whatever was warned of; 1 if something did, or if the flags are wrong."))
	o.serviceFlags(app.Command("service", "Install, start, stop or uninstall the Windows service."))
	o.siteFlags(app)
	app.Flag("config.file", "File that describes several sites, instead of the flags for one.").
		StringVar(&o.configFile)

	o.web = kingpinflag.AddFlags(app, ":9986")
	app.Flag("web.telemetry-path", "Path of the metrics.").Default("/metrics").StringVar(&o.telemetryPath)
	app.Flag("web.enable-lifecycle", "Allow to reload the configuration file by POST /-/reload.").BoolVar(&o.lifecycle)
	app.Flag("web.enable-pprof", "Serve profiles of the exporter under /debug/pprof/.").BoolVar(&o.pprof)
	app.Flag("timeout-offset", "What a scrape must leave of the timeout that Prometheus grants it.").
		Default("0.25s").DurationVar(&o.timeoutOffset)
	app.Flag("log.level", "Only log messages of this severity or above: debug, info, warn or error.").
		Default("info").EnumVar(&o.logLevel, "debug", "info", "warn", "error")
	app.Flag("log.format", "Format of the log: logfmt or json.").
		Default("logfmt").EnumVar(&o.logFormat, "logfmt", "json")
	return app, o
}

// siteFlags are the settings of the only site.
func (o *options) siteFlags(app *kingpin.Application) {
	site := &o.site
	app.Flag("qlik.host", "Registered host name of a node with a repository, HOST or HOST:PORT (4242). Repeatable: tried in order.").
		StringsVar(&site.Host)
	app.Flag("qlik.cert-dir", "Folder with client.pem, client_key.pem and root.pem as the QMC exports them.").
		StringVar(&site.CertDir)
	app.Flag("qlik.key-passphrase-file", "File with the passphrase of an encrypted client_key.pem.").
		StringVar(&site.KeyPassphraseFile)
	app.Flag("qlik.server-name", "Name expected in the certificate of every node, where it is not the registered one.").
		StringVar(&site.ServerName)
	app.Flag("qlik.node-address", `Reach a node elsewhere than under its registered name: NODE=HOST[:PORT], PORT being its proxy's. Repeatable.`).
		StringsVar(&site.NodeAddress)
	app.Flag("qlik.user", `User in whose name Qlik is asked, DIRECTORY\id.`).
		Default(site.User).StringVar(&site.User)
	app.Flag("qlik.session-limit", "Sessions that the licence grants one user at once.").
		Default(fmt.Sprint(site.SessionLimit)).IntVar(&site.SessionLimit)
	app.Flag("qlik.cooling-time", "How long the slot of a session that ended at the limit stays taken.").
		Default(site.CoolingTime.String()).DurationVar(&site.CoolingTime)
	app.Flag("qlik.proxy", "Ask this proxy, HOST or HOST:PORT (4243), instead of those in the repository. Repeatable.").
		StringsVar(&site.Proxy)
	app.Flag("qlik.virtual-proxy", "Ask for this virtual proxy (its prefix; / is the default one) instead of all. Repeatable.").
		StringsVar(&site.VirtualProxy)
	app.Flag("qlik.service-account", `Service account, DIRECTORY\id: watched for a licence, shown plain where others are hashed, and never ended. Repeatable.`).
		StringsVar(&site.ServiceAccount)
	app.Flag("qlik.unlimited-user", `Technical user, DIRECTORY\id, to whom the limit does not apply: has series but no headroom, and is never ended. Repeatable.`).
		StringsVar(&site.UnlimitedUser)
	app.Flag("qlik.timeout", "Upper bound for one request to Qlik; the deadline of the scrape comes first.").
		Default(site.Timeout.String()).DurationVar(&site.Timeout)
	app.Flag("qlik.audit-log", `Audit security log of a node's repository, NODE=GLOB; the pattern may be a UNC path. Repeatable.`).
		StringsVar(&site.AuditLog)

	app.Flag("user-labels", "How users appear in labels: plain, hashed (user_id is a keyed hash) or none (no series per user).").
		Default(site.UserLabels).EnumVar(&site.UserLabels, collector.UserLabelsPlain, collector.UserLabelsHashed, collector.UserLabelsNone)
	app.Flag("user-labels.key-file", "File with the key of the hash, at least 16 bytes.").
		StringVar(&site.UserLabelsKeyFile)
	for _, c := range collector.All() {
		app.Flag("collector."+c.Name, "Collector: "+c.Help+".").
			Default(fmt.Sprint(c.Default)).BoolVar(site.Collector[c.Name])
	}
	app.Flag("collector.sessions.min-sessions", "Series only for users with at least so many sessions and cooling slots, or usage rows.").
		Default(fmt.Sprint(site.MinSessions)).IntVar(&site.MinSessions)
	app.Flag("collector.sessions.max-users", "Series for at most so many users, those with most sessions or taken slots first.").
		Default(fmt.Sprint(site.MaxUsers)).IntVar(&site.MaxUsers)
	app.Flag("collector.sessions.exclude-user", `No series for users that match this anchored regular expression on DIRECTORY\id. Repeatable.`).
		StringsVar(&site.ExcludeUser)
}

func (o *options) demoFlags(command *kingpin.CmdClause) {
	command.Command("serve", "Start the simulated site and serve its metrics (the default).").Default()
	history := command.Command("history", "Write a plausible past of the simulated site to standard output, as OpenMetrics text for promtool tsdb create-blocks-from.")
	history.Flag("days", "How far back it goes.").Default("365").NoEnvar().IntVar(&o.history.Days)
	history.Flag("end", "When it ends, as in 2026-09-30T18:00:00Z; now unless given.").NoEnvar().StringVar(&o.historyEnd)
	history.Flag("users", "Users at the end of it; 0 is as many as the simulated site has.").Default("0").NoEnvar().IntVar(&o.history.Users)
	history.Flag("site", "Target label site of all series; empty for none.").NoEnvar().StringVar(&o.history.Site)
}

// assetFlags are what the written files can be adjusted to.
func (o *options) assetFlags(command *kingpin.CmdClause) {
	command.Arg("dir", "Folder to write to.").Required().StringVar(&o.assetsDir)
	command.Flag("runbook-url", "Address of the page that runbook.md becomes; alerts append #alertname.").
		Default(alerts.DefaultRunbookURL).StringVar(&o.assets.RunbookURL)
	command.Flag("dashboard-url", "Address of Grafana; alerts append /d/ and the dashboard.").
		Default(alerts.DefaultDashboardURL).StringVar(&o.assets.DashboardURL)
	command.Flag("job", "Job under which Prometheus scrapes the exporter.").
		Default(alerts.DefaultJob).StringVar(&o.assets.Job)
	command.Flag("reached-severity", "Severity of QlikUserSessionLimitReached.").
		Default(alerts.DefaultReachedSeverity).EnumVar(&o.assets.ReachedSeverity, alerts.Severities()...)
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

// sessionsFlags: whose sessions end, and how many, never comes from the
// environment.
func (o *options) sessionsFlags(command *kingpin.CmdClause) {
	command.Flag("site", "Site of --config.file, where that describes several.").StringVar(&o.siteName)
	command.Flag("user", `User, as DIRECTORY\id, id, part of an id or of a display name, or the hash from a label.`).
		NoEnvar().StringVar(&o.query.User)
	command.Flag("virtual-proxy", "Only sessions on this virtual proxy (its prefix; / is the default one). Repeatable.").
		NoEnvar().StringsVar(&o.query.VirtualProxies)
	command.Flag("node", "Only sessions on this node. Repeatable.").
		NoEnvar().StringsVar(&o.query.Nodes)

	list := command.Command("list", "Show users and what the limit leaves to them, the fewest free slots first (the default).").Default()
	list.Flag("at-least", "Only users with at least so many sessions or taken slots.").
		NoEnvar().IntVar(&o.atLeast)
	list.Flag("output", "Format: table, json or csv.").
		Default(sessions.FormatTable).NoEnvar().EnumVar(&o.output, sessions.FormatTable, sessions.FormatJSON, sessions.FormatCSV)

	end := command.Command("end", "End sessions of one user, and nobody else's. It shows them and asks first. Unless told otherwise the most recently "+
		"active one stays, because who loses all at the limit cannot log in again for five minutes.")
	end.Flag("all", "Let none stay.").NoEnvar().BoolVar(&o.endAll)
	end.Flag("keep", "Let so many stay, the most recently active ones.").
		Default("1").NoEnvar().IsSetByUser(&o.keepIsSet).IntVar(&o.end.Keep)
	end.Flag("idle-for", "Only sessions without activity for so long.").NoEnvar().DurationVar(&o.end.IdleFor)
	end.Flag("dry-run", "Show what would end, and end nothing.").NoEnvar().BoolVar(&o.end.DryRun)
	end.Flag("yes", "Do not ask. Needs the user in full.").NoEnvar().BoolVar(&o.end.Yes)
	end.Flag("force", "End even more than ten sessions.").NoEnvar().BoolVar(&o.end.Force)
	end.Flag("audit-log-file", "File to which a line is added: who ended whose sessions, and how many. It is not Qlik's audit log.").StringVar(&o.end.AuditLogFile)
}

func (o *options) checkFlags(command *kingpin.CmdClause) {
	command.Flag("site", "Site of --config.file; all of them unless given.").StringVar(&o.siteName)
	command.Flag("output", "Form of the report: table or json, one object for each site.").Default("table").NoEnvar().EnumVar(&o.output, "table", "json")
}

func (o *options) serviceFlags(command *kingpin.CmdClause) {
	install := command.Command("install", "Install the service; all other flags given here are those that it runs with.")
	install.Flag("service.account", "Account of the service: a virtual, managed or built-in one, which have no password.").
		Default(service.DefaultAccount).StringVar(&o.serviceAccount)
	command.Command("start", "Start the service.")
	command.Command("stop", "Stop the service.")
	command.Command("uninstall", "Stop and remove the service.")
}

// serve serves the sites that are configured.
func (o *options) serve(ctx context.Context, stderr io.Writer) error {
	return o.serveSites(ctx, o.sites, stderr)
}

// installService installs the service with the flags on the command line.
func (o *options) installService(app *kingpin.Application, args []string, stdout io.Writer) error {
	arguments, err := serviceArguments(app, args)
	if err != nil {
		return err
	}
	if err := service.Install(o.serviceAccount, arguments); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "Installed the service %s, which runs as %s with these flags: %s. "+
		"Let that account read the certificates, then start it: docs/windows.md.\n",
		service.Name, o.serviceAccount, strings.Join(arguments, " "))
	return err
}

// serviceArguments returns the flags that the service runs with: all that are given
// but those of the command itself.
func serviceArguments(app *kingpin.Application, args []string) ([]string, error) {
	parsed, err := app.ParseContext(args)
	if err != nil {
		return nil, err
	}
	var arguments []string
	for _, element := range parsed.Elements {
		flag, ok := element.Clause.(*kingpin.FlagClause)
		if !ok || element.Value == nil {
			continue
		}
		model := flag.Model()
		switch {
		case model.Name == "service.account":
		case model.IsBoolFlag() && *element.Value == "false":
			arguments = append(arguments, "--no-"+model.Name)
		case model.IsBoolFlag():
			arguments = append(arguments, "--"+model.Name)
		default:
			value, err := service.Argument(model.Name, *element.Value)
			if err != nil {
				return nil, err
			}
			arguments = append(arguments, "--"+model.Name+"="+value)
		}
	}
	return arguments, nil
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

func checkSite(ctx context.Context, site *config.Site) (*check.Report, error) {
	var checked check.Config
	var err error
	if checked.Site, err = site.Qlik(); err != nil {
		return nil, err
	}
	if checked.AuditLogs, err = site.AuditLogs(); err != nil {
		return nil, err
	}
	if checked.ServiceAccounts, err = site.ServiceAccounts(); err != nil {
		return nil, err
	}
	report, err := check.Run(ctx, checked)
	if err != nil {
		return nil, err
	}
	report.Site = site.Name
	return report, nil
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

// writeHistory writes the past of the simulated site.
func (o *options) writeHistory(w io.Writer) error {
	o.history.End = time.Now()
	if o.historyEnd != "" {
		end, err := time.Parse(time.RFC3339, o.historyEnd)
		if err != nil {
			return fmt.Errorf("--end: %w", err)
		}
		o.history.End = end
	}
	return demo.WriteHistory(w, o.history)
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

func (s servedSites) Use(name string) (scrape func(context.Context) prometheus.Gatherer, done func(), found bool) {
	site, done, found := s.Set.Use(name)
	if !found {
		return nil, nil, false
	}
	return func(ctx context.Context) prometheus.Gatherer { return site.Exporter.Scrape(ctx) }, done, true
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
			return sessions.PageSite{Recent: site.Recent, NamesHidden: site.Config.UserLabels != collector.UserLabelsPlain}, done, true
		},
		Authenticated: func() bool { return server.Authenticates(*o.web.WebConfigFile) },
	})
}

// showOrEnd runs the commands about sessions.
func (o *options) showOrEnd(ctx context.Context, command string, stdout, stderr io.Writer) error {
	file, err := o.sites()
	if err != nil {
		return err
	}
	settings, err := o.chosenSite(file)
	if err != nil {
		return err
	}
	client, err := settings.Qlik()
	if err != nil {
		return err
	}
	labels, err := settings.Labels()
	if err != nil {
		return err
	}
	serviceAccounts, err := settings.ServiceAccounts()
	if err != nil {
		return err
	}
	logger, _ := newLoggers(stderr, o.logLevel, o.logFormat)
	ofSite := o.logLevel
	if ofSite == "info" {
		ofSite = "warn" // what goes well is in the answer
	}
	client.Logger, _ = newLoggers(stderr, ofSite, o.logFormat)
	site, err := qlik.New(client)
	if err != nil {
		return file.Locate(settings.Name, err)
	}
	defer site.Close()
	c := &sessions.Commands{
		Site: site, Logger: logger, CoolingTime: client.CoolingTime, ServiceAccounts: serviceAccounts,
		In: os.Stdin, Out: stdout, Err: stderr,
		Terminal: terminal.Is(os.Stdin) && terminal.Is(stdout),
		Color:    terminal.Colors(stdout),
	}
	if labels.Key != nil {
		c.Hash = func(user qlik.User) string { return collector.HashUser(labels.Key, user) }
	}
	if command == "sessions list" {
		return c.List(ctx, o.query, o.atLeast, o.output)
	}
	o.end.Query = o.query
	if o.endAll {
		if o.keepIsSet {
			return errors.New("--all: lets none stay, so that --keep makes no sense")
		}
		o.end.Keep = 0
	}
	return c.End(ctx, o.end)
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
