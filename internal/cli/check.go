package cli

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
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

// run checks the sites and writes the results of each. It returns ErrFailed if a step
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
		if i > 0 && c.output == formatTable {
			_, _ = fmt.Fprintln(streams.Out)
		}
		report, err := c.checkSite(ctx, streams, configuration, &chosen[i])
		if err != nil {
			return err
		}
		if !report.OK() {
			failed = ErrFailed
		}
	}
	if c.facts.file != "" {
		if err := c.facts.askFacts(ctx, streams, c.output, &chosen[0]); err != nil {
			return configuration.Explain(chosen[0].Name, err)
		}
	}
	return failed
}

// overtake is how long the results of a node wait for those of a slower one on a terminal.
// A person then sees the healthy nodes. A file gets all results in order.
const overtake = time.Second

// checkSite checks a site. It writes each result as soon as it is known, or the report as
// JSON.
func (c *checkCommand) checkSite(ctx context.Context, streams Streams, configuration *config.Configuration, settings *config.Site) (*check.Report, error) {
	run := settings.Run()
	asked := check.Config{
		Qlik:            run.Client,
		SessionLimit:    run.Headroom.Limit,
		Licenses:        run.Licenses,
		Engines:         run.Engines,
		AuditLogs:       settings.AuditLogs(),
		ServiceAccounts: settings.ServiceAccount,
		ServiceUsers:    settings.FindServiceUsers,
		Setting:         func(flag string) string { return configuration.Name(settings.Name, flag) },
		Progress:        new(check.Progress),
	}
	status := terminal.NewStatus(streams.Err)
	defer status.Follow(func() string { return waitingForStep(asked.Progress.Running()) })()
	columns, _ := terminal.Size(streams.Out)
	table := check.NewTable(streams.Out, terminal.Colors(streams.Out), columns, settings.Hosts()...)
	if c.output == formatTable {
		heading := sync.OnceFunc(func() { table.Heading(settings.Name) })
		asked.Report = func(results ...check.Result) {
			status.Above(func() {
				heading()
				table.Add(results...)
			})
		}
	}
	if terminal.Is(streams.Out) {
		asked.Patience = overtake
	}
	report, err := check.Run(ctx, asked)
	if err != nil {
		return nil, configuration.Explain(settings.Name, err)
	}
	report.Site = settings.Name
	status.Above(func() {
		if c.output == formatJSON {
			err = report.WriteJSON(streams.Out)
		} else {
			err = table.End(report)
		}
	})
	return report, err
}

// waitingForStep says which step takes long.
func waitingForStep(running []check.Running) string {
	if len(running) == 0 {
		return ""
	}
	longest := running[0]
	line := fmt.Sprintf("Waiting for %s: %s (%s)", text.Visible(longest.Target), longest.Step, text.Duration(time.Since(longest.Since)))
	if more := len(running) - 1; more > 0 {
		line += fmt.Sprintf(" and %s", text.Count(more, "other"))
	}
	return line
}
