package cli

import (
	"context"
	"fmt"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/alerts"
	"github.com/qlik-exporter/qlik_exporter/dashboards"
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
	command.Flag("runbook-url", "URL at which runbook.md is published. Alerts append #alertname.").
		Default(alerts.DefaultRunbookURL).StringVar(&c.options.RunbookURL)
	command.Flag("dashboard-url", "URL of Grafana. Alerts append /d/ and the dashboard.").
		Default(alerts.DefaultDashboardURL).StringVar(&c.options.DashboardURL)
	command.Flag("job", "Name of the Prometheus job that scrapes the exporter.").
		Default(alerts.DefaultJob).StringVar(&c.options.Job)
	command.Flag("reached-severity", "Severity of the alert QlikUserSessionLimitReached.").
		Default(alerts.DefaultReachedSeverity).EnumVar(&c.options.ReachedSeverity, alerts.Severities()...)
	return Commands{"assets": c.run}
}

func (c *assetsCommand) run(_ context.Context, streams Streams) error {
	if err := alerts.Write(c.dir, c.options); err != nil {
		return err
	}
	if err := dashboards.Write(c.dir, dashboards.Options{Job: c.options.Job}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(streams.Out, "Wrote the rules, Alertmanager example, templates, runbook, dashboards, and dashboard provisioning to %s.\n", c.dir)
	return err
}
