package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/alerts"
	"github.com/qlik-exporter/qlik_exporter/dashboards"
	"github.com/qlik-exporter/qlik_exporter/internal/assets"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
)

// assetsCommand writes files for Prometheus, Alertmanager, and Grafana.
type assetsCommand struct {
	dir     string
	options alerts.Options
	test    testAlert
}

// Assets adds the command assets.
func Assets(app *kingpin.Application) Commands {
	c := new(assetsCommand)
	command := app.Command("assets", "Write Grafana dashboards, Prometheus rules, an Alertmanager example with templates, and the runbook to a folder.")
	command.Arg("dir", "Folder to write to. Required without --test-alert.").StringVar(&c.dir)
	config.Text(command.Flag("runbook-url", "URL at which runbook.md is published. Alerts and dashboards append # and a section.").
		Default(alerts.DefaultRunbookURL), &c.options.RunbookURL, alerts.CheckAddress)
	config.Text(command.Flag("dashboard-url", "URL of Grafana. Alerts append /d/ and the dashboard.").
		Default(alerts.DefaultDashboardURL), &c.options.DashboardURL, alerts.CheckAddress)
	config.Text(command.Flag("sessions-url", "URL of the exporter's sessions page. Alerts and dashboards append /user and the user.").
		Default(alerts.DefaultSessionsURL), &c.options.SessionsURL, alerts.CheckAddress)
	config.Text(command.Flag("job", "Name of the Prometheus job that scrapes the exporter.").
		Default(alerts.DefaultJob), &c.options.Job, nil)
	config.Text(command.Flag("command", "Words that start the program in the commands of alerts and runbook, as in --web.command.").
		Default(alerts.DefaultCommand), &c.options.Command, alerts.CheckCommand)
	command.Flag("several-sites", "The exporter has several sites, so that the commands of alerts name the site.").BoolVar(&c.options.SeveralSites)
	config.Choice(command.Flag("reached-severity", "Severity of the alert QlikUserSessionLimitReached.").
		Default(alerts.DefaultReachedSeverity), &c.options.ReachedSeverity, alerts.Severities()...)
	config.Choice(command.Flag("alertmanager", "Oldest version of Alertmanager that must read alertmanager.yml: 0.28, or 0.25 for Debian 12.").
		Default(alerts.DefaultAlertmanager), &c.options.Alertmanager, alerts.DefaultAlertmanager, alerts.OldAlertmanager)
	config.Text(command.Flag("grafana-data-source", "UID of the Prometheus data source in Grafana, for the alerts in provisioning/alerting.").
		Default(alerts.DefaultDataSource), &c.options.DataSource, alerts.CheckDataSource)
	preset := alerts.DefaultThresholds()
	thresholds := &c.options.Thresholds
	config.Number(command.Flag("many-users", "Users without a slot from which QlikManyUsersNearLimit fires.").Default(strconv.Itoa(preset.ManyUsers)), &thresholds.ManyUsers, 1)
	config.Share(command.Flag("many-share", "Share of all users above which QlikManyUsersNearLimit fires.").Default(percent(preset.ManyShare)), &thresholds.ManyShare)
	config.Number(command.Flag("burst", "Sessions more than two minutes ago from which QlikUserSessionBurst fires.").Default(strconv.Itoa(preset.Burst)), &thresholds.Burst, 1)
	config.Number(command.Flag("runaway-growth", "Growth within five minutes above which QlikSessionRunaway fires, as a multiple of the session limit. It counts the sessions of a virtual proxy beyond one for each of its users.").
		Default(strconv.Itoa(preset.RunawayGrowth)), &thresholds.RunawayGrowth, 1)
	config.Number(command.Flag("runaway-sessions", "Sessions of one user above which QlikSessionRunaway fires.").Default(strconv.Itoa(preset.RunawaySessions)), &thresholds.RunawaySessions, 1)
	config.Share(command.Flag("refusal-objective", "Share of logins that the session limit must not refuse, for QlikSessionRefusalBudget.").Default(percent(preset.RefusalObjective)), &thresholds.RefusalObjective)
	config.Names(command.Flag("keep-label", "Label of the targets that tells sites apart, in addition to job and site. Rules, groups, and inhibitions keep it. Repeatable.").PlaceHolder("LABEL"),
		&c.options.KeepLabels, alerts.CheckKeepLabel)
	command.Flag("watchdog", "Add the alert QlikWatchdog, which always fires. If its messages stop, the way of the alerts is broken.").BoolVar(&c.options.Watchdog)
	config.URL(command.Flag("test-alert", "URL of an Alertmanager. Send it a test alert and wait until it has notified a receiver, instead of writing files.").PlaceHolder("URL").NoEnvar(), &c.test.url)
	config.Path(command.Flag("test-http-config-file", "File with the TLS settings and the password for the Alertmanager, in the format of the HTTP clients of Prometheus.").PlaceHolder("FILE"), &c.test.file)
	config.Choice(command.Flag("test-scope", "Scope of the test alert: site, for the people on call, or user, for the service desk.").Default("site").NoEnvar(), &c.test.scope, "site", "user")
	config.Choice(command.Flag("test-severity", "Severity of the test alert.").Default("critical").NoEnvar(), &c.test.severity, alerts.Severities()...)
	config.Duration(command.Flag("test-timeout", "Time to wait for the notification. It must be longer than group_wait of the route.").Default("2m").NoEnvar(), &c.test.timeout)
	return Commands{"assets": c.run}
}

var (
	errNoFolder      = errors.New("the folder to write to is empty; write . for the current folder")
	errFolderAndTest = errors.New("--test-alert writes no files; remove the folder, or run the command twice")
)

func (c *assetsCommand) run(ctx context.Context, streams Streams) error {
	switch {
	case c.test.url != nil && c.dir != "":
		return errFolderAndTest
	case c.test.url != nil:
		return c.test.run(ctx, c.options.Job, streams)
	}
	if strings.TrimSpace(c.dir) == "" { // as from an unset variable in a script
		return errNoFolder
	}
	files, err := alerts.Files(c.options)
	if err != nil {
		return err
	}
	forGrafana, err := dashboards.Files(dashboards.Options{Job: c.options.Job, SessionsURL: c.options.SessionsURL, RunbookURL: c.options.RunbookURL})
	if err != nil {
		return err
	}
	maps.Copy(files, forGrafana)
	edited, err := assets.Write(c.dir, files)
	if err != nil {
		return err
	}
	delete(files, alerts.RulesJSON) // has those of the rules
	delete(files, alerts.GrafanaAlerts)
	placeholders, err := assets.Placeholders(c.dir, files)
	if err != nil {
		return err
	}
	return c.report(streams.Out, edited, placeholders)
}

func percent(share float64) string { return fmt.Sprintf("%g%%", 100*share) }

// report says what the command wrote, and what is left to do.
func (c *assetsCommand) report(out io.Writer, edited []assets.Edited, placeholders []assets.Placeholder) error {
	var text strings.Builder
	fmt.Fprintf(&text, "Wrote the rules, Alertmanager example, templates, runbook, dashboards, Grafana provisioning, and jsonnet mixin to %s.\n", c.dir)
	for _, file := range edited {
		fmt.Fprintf(&text, "Kept %s, because somebody has edited it. The new version is %s.\n", file.Path, file.New)
	}
	if len(placeholders) > 0 {
		text.WriteString("Replace these values of the example:\n")
	}
	for _, p := range placeholders {
		remedy := ""
		switch p.Value {
		case alerts.DefaultDashboardURL:
			remedy = " (set --dashboard-url)"
		case alerts.DefaultSessionsURL:
			remedy = " (set --sessions-url)"
		}
		fmt.Fprintf(&text, "  %s%s\n", p, remedy)
	}
	_, err := io.WriteString(out, text.String())
	return err
}
