package cli

import (
	"context"
	"slices"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// sessionsCommand lists sessions, or ends sessions of one user.
type sessionsCommand struct {
	flags     *config.Flags
	exporter  runningExporter
	site      string
	query     Query
	atLeast   int
	output    string
	end       EndOptions
	all       bool
	keepIsSet bool

	limit                     int
	watch                     bool
	interval                  time.Duration
	limitIsSet, intervalIsSet bool
}

// Sessions adds the commands sessions list and sessions end. The flags that select
// the sessions to end have no environment variables.
func Sessions(app *kingpin.Application, flags *config.Flags) Commands {
	c := &sessionsCommand{flags: flags}
	command := app.Command("sessions", "Show the sessions of users, and end sessions of one user. "+
		"Exit status: 0 if done or declined; 1 on an error; 2 if incomplete, because some virtual proxies did not respond or some sessions could not be ended.")
	config.Text(command.Flag("site", "Site of --config.file. Required if the file describes several sites."), &c.site, nil)
	config.Text(command.Flag("user", `User: DIRECTORY\id or DIRECTORY/id, an id, part of an id or of a display name, or the hash from a label.`).NoEnvar(),
		&c.query.User, nil)
	config.VirtualProxies(command.Flag("virtual-proxy", "Only sessions on the virtual proxy with this prefix; / is the default virtual proxy. Repeatable.").PlaceHolder("PROXY").NoEnvar(),
		&c.query.VirtualProxies)
	config.Nodes(command.Flag("node", "Only sessions on this node. Repeatable.").NoEnvar(), &c.query.Nodes)

	c.listFlags(command.Command("list", "List users with their free slots and sessions, fewest free slots first (the default command).").Default())
	c.endFlags(command.Command("end", "End sessions of one user. The command shows the sessions and asks for confirmation first. By default, it ends what Qlik refused and what has been idle for five minutes, at least one, but never the most "+
		"recently active session. If a slot becomes free by itself as soon, it ends nothing. It never ends sessions of other users."))
	return Commands{"sessions list": c.list, "sessions end": c.endSessions}
}

// settingsOf returns the settings of the selected site.
func settingsOf(flags *config.Flags, site string) (*config.Configuration, *config.Site, error) {
	configuration, err := flags.Load()
	if err != nil {
		return nil, nil, err
	}
	settings, err := configuration.Choose(site)
	return configuration, settings, err
}

// open opens the selected site. The caller must close it.
func (c *sessionsCommand) open(ctx context.Context, streams Streams) (*openSite, error) {
	configuration, settings, err := settingsOf(c.flags, c.site)
	if err != nil {
		return nil, err
	}
	labels, err := settings.Labels()
	if err != nil {
		return nil, configuration.Explain(settings.Name, err)
	}
	logger := newSentences(streams.Err, c.flags)
	run := settings.Run()
	run.Client.Now, run.Logger = c.flags.Now, logger
	if settings.Enabled("denials") {
		var globs []string
		for _, log := range settings.AuditLog {
			globs = append(globs, log.Glob)
		}
		run.Refused = PastRefusals(ctx, globs, logger)
	}
	opened, err := site.New(run)
	if err != nil {
		return nil, configuration.Explain(settings.Name, err)
	}
	asked := withoutSite(streams)
	asked.Site, asked.Logger, asked.Record = opened, logger, recordLogger(streams.Err, c.flags)
	running, err := settings.FindServiceUsers()
	if err != nil {
		_ = level.Warn(logger).Log("msg", "Cannot read a Trace log to find the account that the services run as", "err", err)
	}
	asked.ServiceAccounts = slices.Concat(settings.ServiceAccount, running)
	if labels.Key != nil {
		asked.Hash = func(user qlik.User) string { return collector.HashUser(labels.Key, user) }
	}
	return asked, nil
}

// withoutSite returns the terminal of the operator for an answer that needs no site.
func withoutSite(streams Streams) *openSite {
	return &openSite{
		In: streams.In, Out: streams.Out, Err: streams.Err,
		Terminal: terminal.Is(streams.In) && terminal.Is(streams.Out),
		Color:    terminal.Colors(streams.Out),
	}
}
