package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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
}

// Assets adds the command assets.
func Assets(app *kingpin.Application) Commands {
	c := new(assetsCommand)
	command := app.Command("assets", "Write Grafana dashboards, Prometheus rules, an Alertmanager example with templates, and the runbook to a folder.")
	command.Arg("dir", "Folder to write to.").Required().StringVar(&c.dir)
	config.Text(command.Flag("runbook-url", "URL at which runbook.md is published. Alerts append #alertname.").
		Default(alerts.DefaultRunbookURL), &c.options.RunbookURL, alerts.CheckAddress)
	config.Text(command.Flag("dashboard-url", "URL of Grafana. Alerts append /d/ and the dashboard.").
		Default(alerts.DefaultDashboardURL), &c.options.DashboardURL, alerts.CheckAddress)
	config.Text(command.Flag("sessions-url", "URL of the exporter's sessions page. Alerts and dashboards append /user and the user.").
		Default(alerts.DefaultSessionsURL), &c.options.SessionsURL, alerts.CheckAddress)
	config.Text(command.Flag("job", "Name of the Prometheus job that scrapes the exporter.").
		Default(alerts.DefaultJob), &c.options.Job, nil)
	config.Choice(command.Flag("reached-severity", "Severity of the alert QlikUserSessionLimitReached.").
		Default(alerts.DefaultReachedSeverity), &c.options.ReachedSeverity, alerts.Severities()...)
	return Commands{"assets": c.run}
}

var errNoFolder = errors.New("the folder to write to is empty; write . for the current folder")

func (c *assetsCommand) run(_ context.Context, streams Streams) error {
	if strings.TrimSpace(c.dir) == "" { // as from an unset variable in a script
		return errNoFolder
	}
	files, err := alerts.Files(c.options)
	if err != nil {
		return err
	}
	forGrafana, err := dashboards.Files(dashboards.Options{Job: c.options.Job, SessionsURL: c.options.SessionsURL})
	if err != nil {
		return err
	}
	maps.Copy(files, forGrafana)
	edited, err := assets.Write(c.dir, files)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "Wrote the rules, Alertmanager example, templates, runbook, dashboards, and dashboard provisioning to %s.\n", c.dir)
	for _, file := range edited {
		_, failed := fmt.Fprintf(streams.Out, "Kept %s, because somebody has edited it. The new version is %s.\n", file.Path, file.New)
		err = cmp.Or(err, failed)
	}
	return err
}
