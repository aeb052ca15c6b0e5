// qlik_exporter exports the sessions of the users of a Qlik Sense Enterprise on
// Windows site for Prometheus, and what the session limit leaves to each.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/qlik-exporter/qlik_exporter/alerts"
	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/demo"
	"github.com/qlik-exporter/qlik_exporter/internal/server"
	"github.com/qlik-exporter/qlik_exporter/internal/slogbridge"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
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
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the exit, so that deferred work is done.
func run(args []string, stdout, stderr io.Writer) int {
	app, o := newApp()
	app.UsageWriter(stdout)
	app.ErrorWriter(stderr)
	command, err := app.Parse(args)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "qlik_exporter: error: %s%s, try --help\n", impossibleFlag(app, args), err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once

	switch command {
	case "demo":
		err = o.demo(ctx, stdout, stderr)
	case "assets":
		if err = alerts.Write(o.assetsDir, o.assets); err == nil {
			_, err = fmt.Fprintf(stdout, "Wrote rules, Alertmanager example, templates and runbook to %s.\n", o.assetsDir)
		}
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

// options are the values of all flags.
type options struct {
	web           *web.FlagConfig
	telemetryPath string
	pprof         bool
	timeoutOffset time.Duration
	logLevel      string
	logFormat     string

	hosts, proxies, virtualProxies  []string
	certDir, passphraseFile         string
	serverName                      string
	nodeAddresses                   []string
	user                            string
	serviceAccounts, unlimitedUsers []string
	sessionLimit                    int
	coolingTime                     time.Duration
	timeout                         time.Duration
	userLabels, userLabelsKeyFile   string
	collectors                      map[string]*bool
	minSessions, maxUsers           int
	auditLogs                       []string

	assetsDir    string
	assets       alerts.Options
	excludeUsers []string
}

func newApp() (*kingpin.Application, *options) {
	app := kingpin.New("qlik_exporter",
		"Prometheus exporter for the sessions of Qlik Sense Enterprise on Windows: who is about to reach the session limit, and where.")
	app.Version(version.Print("qlik_exporter"))
	app.HelpFlag.Short('h')
	app.DefaultEnvars()
	app.Command("serve", "Serve the metrics of a site (the default command).").Default()
	app.Command("demo", "Start a simulated Qlik Sense site on loopback and serve its metrics.")

	o := &options{collectors: make(map[string]*bool)}
	o.assetFlags(app.Command("assets", "Write Prometheus rules, an Alertmanager example with templates, and the runbook into a folder."))

	app.Flag("qlik.host", "Registered host name of a node with a repository, HOST or HOST:PORT (4242). Repeatable: tried in order.").
		StringsVar(&o.hosts)
	app.Flag("qlik.cert-dir", "Folder with client.pem, client_key.pem and root.pem as the QMC exports them.").
		StringVar(&o.certDir)
	app.Flag("qlik.key-passphrase-file", "File with the passphrase of an encrypted client_key.pem.").
		StringVar(&o.passphraseFile)
	app.Flag("qlik.server-name", "Name expected in the certificate of every node, where it is not the registered one.").
		StringVar(&o.serverName)
	app.Flag("qlik.node-address", `Reach a node elsewhere than under its registered name: NODE=HOST[:PORT], PORT being its proxy's. Repeatable.`).
		StringsVar(&o.nodeAddresses)
	app.Flag("qlik.user", `User in whose name Qlik is asked, DIRECTORY\id.`).
		Default(qlik.DefaultUser).StringVar(&o.user)
	app.Flag("qlik.session-limit", "Sessions that the licence grants one user at once.").
		Default(fmt.Sprint(qlik.DefaultSessionLimit)).IntVar(&o.sessionLimit)
	app.Flag("qlik.cooling-time", "How long the slot of a session that ended at the limit stays taken.").
		Default(qlik.DefaultCoolingTime.String()).DurationVar(&o.coolingTime)
	app.Flag("qlik.proxy", "Ask this proxy, HOST or HOST:PORT (4243), instead of those in the repository. Repeatable.").
		StringsVar(&o.proxies)
	app.Flag("qlik.virtual-proxy", "Ask for this virtual proxy (its prefix; / is the default one) instead of all. Repeatable.").
		StringsVar(&o.virtualProxies)
	app.Flag("qlik.service-account", `Service account, DIRECTORY\id: watched for a licence, and shown plain where others are hashed. Repeatable.`).
		StringsVar(&o.serviceAccounts)
	app.Flag("qlik.unlimited-user", `Technical user, DIRECTORY\id, to whom the limit does not apply: has series but no headroom. Repeatable.`).
		StringsVar(&o.unlimitedUsers)
	app.Flag("qlik.timeout", "Upper bound for one request to Qlik; the deadline of the scrape comes first.").
		Default(qlik.DefaultTimeout.String()).DurationVar(&o.timeout)

	app.Flag("qlik.audit-log", `Audit security log of a node's repository, NODE=GLOB; the pattern may be a UNC path. Repeatable.`).
		StringsVar(&o.auditLogs)

	app.Flag("user-labels", "How users appear in labels: plain, hashed (user_id is a keyed hash) or none (no series per user).").
		Default(collector.UserLabelsPlain).EnumVar(&o.userLabels, collector.UserLabelsPlain, collector.UserLabelsHashed, collector.UserLabelsNone)
	app.Flag("user-labels.key-file", "File with the key of the hash, at least 16 bytes.").
		StringVar(&o.userLabelsKeyFile)
	for _, c := range collector.All() {
		o.collectors[c.Name] = app.Flag("collector."+c.Name, "Collector: "+c.Help+".").
			Default(fmt.Sprint(c.Default)).Bool()
	}
	app.Flag("collector.sessions.min-sessions", "Series only for users with at least so many sessions and cooling slots, or usage rows.").
		Default("1").IntVar(&o.minSessions)
	app.Flag("collector.sessions.max-users", "Series for at most so many users, those with most sessions first.").
		Default("20000").IntVar(&o.maxUsers)
	app.Flag("collector.sessions.exclude-user", `No series for users that match this anchored regular expression on DIRECTORY\id. Repeatable.`).
		StringsVar(&o.excludeUsers)

	o.web = kingpinflag.AddFlags(app, ":9986")
	app.Flag("web.telemetry-path", "Path of the metrics.").Default("/metrics").StringVar(&o.telemetryPath)
	app.Flag("web.enable-pprof", "Serve profiles of the exporter under /debug/pprof/.").BoolVar(&o.pprof)
	app.Flag("timeout-offset", "What a scrape must leave of the timeout that Prometheus grants it.").
		Default("0.25s").DurationVar(&o.timeoutOffset)
	app.Flag("log.level", "Only log messages of this severity or above: debug, info, warn or error.").
		Default("info").EnumVar(&o.logLevel, "debug", "info", "warn", "error")
	app.Flag("log.format", "Format of the log: logfmt or json.").
		Default("logfmt").EnumVar(&o.logFormat, "logfmt", "json")
	return app, o
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

// serve serves the site that the flags describe.
func (o *options) serve(ctx context.Context, stderr io.Writer) error {
	config, err := o.siteConfig()
	if err != nil {
		return err
	}
	auditLogs, err := parseAuditLogs(o.auditLogs)
	if err != nil {
		return err
	}
	return o.serveSite(ctx, config, auditLogs, stderr)
}

// demo serves a simulated site.
func (o *options) demo(ctx context.Context, stdout, stderr io.Writer) (err error) {
	config, err := o.siteConfig()
	if err != nil {
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
	return o.serveSite(ctx, d.Site(config), d.AuditLogs(), stderr)
}

// serveSite serves until ctx ends. The audit logs are patterns by node.
func (o *options) serveSite(ctx context.Context, config qlik.Config, auditLogs map[string]string, stderr io.Writer) error {
	if o.timeoutOffset < 0 {
		return fmt.Errorf("--timeout-offset: must not be negative, not %s", o.timeoutOffset)
	}
	logger, slogger := newLoggers(stderr, o.logLevel, o.logFormat)
	lifetimes := collector.NewSessionDuration()
	config.Logger = logger
	config.SessionEnded = lifetimes.Ended
	config.Licenses = *o.collectors["licenses"]
	site, err := qlik.New(config)
	if err != nil {
		return err
	}
	defer site.Close()
	collectors, err := o.collectorConfig(len(config.Hosts) > 0)
	if err != nil {
		return err
	}
	collectors.Lifetimes = lifetimes
	collectors.Enabled["denials"] = collectors.Enabled["denials"] && len(auditLogs) > 0
	followers, denials, err := newFollowers(auditLogs, logger)
	if err != nil {
		return err
	}
	collectors.Denials = denials
	exporter, err := collector.NewExporter(site, collectors, logger)
	if err != nil {
		return err
	}

	_ = level.Info(logger).Log("msg", "Starting qlik_exporter", "version", version.Info(), "build_context", version.BuildContext())
	// The site outlives ctx, so that scrapes under way at the signal to stop end
	// with true numbers.
	siteCtx, stopSite := context.WithCancel(context.WithoutCancel(ctx))
	var background sync.WaitGroup
	background.Go(func() { site.Run(siteCtx) })
	if collectors.Enabled["denials"] {
		for _, follower := range followers {
			background.Go(func() { follower.Run(siteCtx, denials.Denied) })
		}
	}
	defer background.Wait()
	defer stopSite()
	return server.Run(ctx, server.Config{
		Site:          func(ctx context.Context) server.Scrape { return exporter.Scrape(ctx) },
		TelemetryPath: o.telemetryPath,
		TimeoutOffset: o.timeoutOffset,
		Pprof:         o.pprof,
		Web:           o.web,
		Logger:        logger,
		Slog:          slogger,
	})
}

// siteConfig turns flags into the configuration of a site.
func (o *options) siteConfig() (qlik.Config, error) {
	config := qlik.Config{
		Hosts:             o.hosts,
		CertDir:           o.certDir,
		KeyPassphraseFile: o.passphraseFile,
		ServerName:        o.serverName,
		NodeAddresses:     make(map[string]qlik.NodeAddress),
		SessionLimit:      o.sessionLimit,
		CoolingTime:       o.coolingTime,
		Proxies:           o.proxies,
		VirtualProxies:    o.virtualProxies,
		Timeout:           o.timeout,
	}
	if o.sessionLimit < 1 {
		return qlik.Config{}, fmt.Errorf("--qlik.session-limit: must be at least 1, not %d", o.sessionLimit)
	}
	if o.coolingTime <= 0 {
		return qlik.Config{}, fmt.Errorf("--qlik.cooling-time: must be longer than 0s, not %s", o.coolingTime)
	}
	if o.timeout <= 0 {
		return qlik.Config{}, fmt.Errorf("--qlik.timeout: must be longer than 0s, not %s", o.timeout)
	}
	var err error
	if config.User, err = qlik.ParseUser(o.user); err != nil {
		return qlik.Config{}, fmt.Errorf("--qlik.user: %w", err)
	}
	if config.UnlimitedUsers, err = parseUsers(o.unlimitedUsers); err != nil {
		return qlik.Config{}, fmt.Errorf("--qlik.unlimited-user: %w", err)
	}
	for _, s := range o.nodeAddresses {
		node, address, err := qlik.ParseNodeAddress(s)
		if err != nil {
			return qlik.Config{}, err
		}
		config.NodeAddresses[node] = address
	}
	return config, nil
}

// collectorConfig turns flags into the configuration of the collectors, some of
// which need a repository.
func (o *options) collectorConfig(repository bool) (collector.Config, error) {
	labels := collector.UserLabels{Mode: o.userLabels}
	serviceAccounts, err := parseUsers(o.serviceAccounts)
	if err != nil {
		return collector.Config{}, fmt.Errorf("--qlik.service-account: %w", err)
	}
	labels.Plain = serviceAccounts
	if o.userLabels == collector.UserLabelsHashed {
		if o.userLabelsKeyFile == "" {
			return collector.Config{}, errors.New("--user-labels.key-file: is missing; --user-labels=hashed needs a file with the key of the hash")
		}
		key, err := os.ReadFile(o.userLabelsKeyFile)
		if err != nil {
			return collector.Config{}, fmt.Errorf("--user-labels.key-file: %w", err)
		}
		labels.Key = []byte(strings.TrimRight(string(key), "\r\n"))
	}
	enabled := make(map[string]bool)
	for name, on := range o.collectors {
		needsRepository := name == "licenses" || name == "services"
		enabled[name] = *on && (repository || !needsRepository)
	}
	return collector.Config{
		Enabled:         enabled,
		ServiceAccounts: serviceAccounts,
		Users: collector.UsersConfig{
			Labels:       labels,
			MinSessions:  o.minSessions,
			MaxUsers:     o.maxUsers,
			ExcludeUsers: o.excludeUsers,
		},
	}, nil
}

// parseAuditLogs reads NODE=GLOB.
func parseAuditLogs(values []string) (map[string]string, error) {
	logs := make(map[string]string)
	for _, value := range values {
		node, glob, _ := strings.Cut(value, "=")
		if node == "" || glob == "" {
			return nil, fmt.Errorf("--qlik.audit-log: %q: write NODE=GLOB", value)
		}
		if _, twice := logs[node]; twice {
			return nil, fmt.Errorf("--qlik.audit-log: %s is given twice", node)
		}
		logs[node] = glob
	}
	return logs, nil
}

// newFollowers makes a follower of each log, and what counts their denials.
func newFollowers(logs map[string]string, logger log.Logger) ([]*auditlog.Follower, *collector.Denials, error) {
	var followers []*auditlog.Follower
	byNode := make(map[string]collector.AuditLog)
	for node, glob := range logs {
		follower, err := auditlog.New(auditlog.Config{Node: node, Glob: glob, Logger: logger})
		if err != nil {
			return nil, nil, fmt.Errorf("--qlik.audit-log: %w", err)
		}
		followers = append(followers, follower)
		byNode[node] = follower
	}
	return followers, collector.NewDenials(byNode), nil
}

func parseUsers(names []string) ([]qlik.User, error) {
	users := make([]qlik.User, 0, len(names))
	for _, name := range names {
		user, err := qlik.ParseUser(name)
		if err != nil {
			return nil, err
		}
		users = append(users, user)
	}
	return users, nil
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
