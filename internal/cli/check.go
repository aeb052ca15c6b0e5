package cli

import (
	"context"
	"fmt"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
)

// checkCommand checks one site or all sites.
type checkCommand struct {
	flags  *config.Flags
	site   string
	output string
	facts  factsOptions
}

// Check adds the command check. Facts name the version of the program.
func Check(app *kingpin.Application, flags *config.Flags, version string) Commands {
	c := &checkCommand{flags: flags, facts: factsOptions{program: version}}
	command := app.Command("check", "Test every step from DNS to the sessions of each virtual proxy, and explain each failure and its fix. "+
		"Exit status: 0 if no step failed, even with warnings; 1 if a step failed or the settings are wrong.")
	config.Text(command.Flag("site", "Site of --config.file to check. All sites by default."), &c.site, nil)
	config.Choice(command.Flag("output", "Output format: table, or json with one object per site.").Default(formatTable).NoEnvar(),
		&c.output, formatTable, formatJSON)
	c.facts.flags(command)
	return Commands{"check": c.run}
}

// run checks the sites and writes a report for each. It returns ErrFailed if a step
// failed.
func (c *checkCommand) run(ctx context.Context, streams Streams) error {
	configuration, err := c.flags.Load()
	if err != nil {
		return err
	}
	if err := c.facts.validate(c.output); err != nil {
		return err
	}
	chosen := configuration.Sites
	if c.site != "" || c.facts.file != "" {
		site, err := configuration.Choose(c.site)
		if err != nil {
			return err
		}
		chosen = []config.Site{*site}
	}
	var failed error
	for i := range chosen {
		report, err := checkSite(ctx, configuration, &chosen[i])
		if err != nil {
			return err
		}
		if !report.OK() {
			failed = ErrFailed
		}
		if c.output == formatJSON {
			err = report.WriteJSON(streams.Out)
		} else {
			if i > 0 {
				_, _ = fmt.Fprintln(streams.Out)
			}
			err = report.WriteTable(streams.Out, terminal.Colors(streams.Out))
		}
		if err != nil {
			return err
		}
	}
	if c.facts.file != "" {
		if err := c.facts.askFacts(ctx, streams, c.output, &chosen[0]); err != nil {
			return configuration.Explain(chosen[0].Name, err)
		}
	}
	return failed
}

func checkSite(ctx context.Context, configuration *config.Configuration, settings *config.Site) (*check.Report, error) {
	run := settings.Run()
	report, err := check.Run(ctx, check.Config{
		Qlik:            run.Client,
		SessionLimit:    run.Headroom.Limit,
		Licenses:        run.Licenses,
		Engines:         run.Engines,
		AuditLogs:       settings.AuditLogs(),
		ServiceAccounts: settings.ServiceAccount,
		ServiceUsers:    settings.FindServiceUsers,
		Setting:         func(flag string) string { return configuration.Name(settings.Name, flag) },
	})
	if err != nil {
		return nil, configuration.Explain(settings.Name, err)
	}
	report.Site = settings.Name
	return report, nil
}
