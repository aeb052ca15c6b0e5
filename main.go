// qlik_exporter exports the sessions of the users of a Qlik Sense Enterprise on
// Windows site for Prometheus, and what the session limit leaves to each.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/qlik-exporter/qlik_exporter/alerts"
	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/service"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
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
		_, _ = fmt.Fprintf(stderr, "qlik_exporter: error: %s, try --help\n", cmp.Or(impossibleFlag(app, args), err))
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
	case "demo":
		err = o.demo(ctx, stdout, stderr)
	case "assets":
		err = o.writeAssets(stdout)
	case "sessions list":
		err = o.listSessions(ctx, stdout, stderr)
	case "sessions end":
		err = o.endSessions(ctx, stdout, stderr)
	case "check":
		var passed bool
		if passed, err = o.check(ctx, stdout); err == nil && !passed {
			return 1
		}
	case "service install":
		var arguments []string
		if arguments, err = serviceArguments(app, args); err == nil {
			err = o.installService(arguments, stdout)
		}
	case "service start":
		err = service.Start(ctx)
	case "service stop":
		err = service.Stop(ctx)
	case "service uninstall":
		err = service.Uninstall(ctx)
	default:
		err = o.serve(ctx, stderr)
	}
	if errors.Is(err, sessions.ErrIncomplete) {
		return 2 // has been said
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "qlik_exporter: error: %s\n", err)
		return 1
	}
	return 0
}

// impossibleFlag names the first flag whose value cannot be set, from the
// environment or else from the command line, and says why not; kingpin's own
// message does not name it. It is nil if all can be set.
func impossibleFlag(app *kingpin.Application, args []string) error {
	parsed, err := app.ParseContext(args)
	if err != nil {
		return err // names what it is about
	}
	flags, given := app.Model().Flags, make(map[string]bool)
	for _, element := range parsed.Elements {
		switch clause := element.Clause.(type) {
		case *kingpin.CmdClause:
			flags = append(flags, clause.Model().Flags...)
		case *kingpin.FlagClause:
			given[clause.Model().Name] = true
		}
	}
	for _, flag := range flags {
		if value := os.Getenv(flag.Envar); value != "" && !given[flag.Name] {
			if err := flag.Value.Set(value); err != nil {
				return fmt.Errorf("--%s (%s): %w", flag.Name, flag.Envar, err)
			}
		}
	}
	for _, element := range parsed.Elements {
		if clause, ok := element.Clause.(*kingpin.FlagClause); ok {
			flag := clause.Model()
			if err := flag.Value.Set(*element.Value); err != nil {
				return fmt.Errorf("--%s: %w", flag.Name, err)
			}
		}
	}
	return nil
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
	app.Command("demo", "Start a simulated Qlik Sense site on loopback and serve its metrics.")
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
	end.Flag("audit-log-file", "File to which a line is added: who ended whose sessions, and how many. It is not Qlik's audit log.").StringVar(&o.end.Journal)
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
