package cli

import (
	"context"
	"errors"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/logging"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// sessionsCommand shows sessions, or ends those of a user.
type sessionsCommand struct {
	flags     *config.Flags
	site      string
	query     sessions.Query
	atLeast   int
	output    string
	end       sessions.EndOptions
	all       bool
	keepIsSet bool
}

// Sessions adds the commands sessions and sessions end. Whose sessions end, and how
// many, never comes from the environment.
func Sessions(app *kingpin.Application, flags *config.Flags) Commands {
	c := &sessionsCommand{flags: flags}
	command := app.Command("sessions", "Show who has which sessions, and end those of a user. "+
		"Exit status: 0 done, or not wanted; 1 an error; 2 incomplete: some virtual proxies did not answer, or some sessions could not be ended.")
	command.Flag("site", "Site of --config.file, where that describes several.").StringVar(&c.site)
	command.Flag("user", `User, as DIRECTORY\id, id, part of an id or of a display name, or the hash from a label.`).
		NoEnvar().StringVar(&c.query.User)
	command.Flag("virtual-proxy", "Only sessions on this virtual proxy (its prefix; / is the default one). Repeatable.").
		NoEnvar().StringsVar(&c.query.VirtualProxies)
	command.Flag("node", "Only sessions on this node. Repeatable.").
		NoEnvar().StringsVar(&c.query.Nodes)

	list := command.Command("list", "Show users and what the limit leaves to them, the fewest free slots first (the default).").Default()
	list.Flag("at-least", "Only users with at least so many sessions or taken slots.").
		NoEnvar().IntVar(&c.atLeast)
	list.Flag("output", "Format: table, json or csv.").
		Default(formatTable).NoEnvar().EnumVar(&c.output, formatTable, formatJSON, formatCSV)

	end := command.Command("end", "End sessions of one user, and nobody else's. It shows them and asks first. Unless told otherwise the most recently "+
		"active one stays, because who loses all at the limit cannot log in again for five minutes.")
	end.Flag("all", "Let none stay.").NoEnvar().BoolVar(&c.all)
	end.Flag("keep", "Let so many stay, the most recently active ones.").
		Default("1").NoEnvar().IsSetByUser(&c.keepIsSet).IntVar(&c.end.Keep)
	end.Flag("idle-for", "Only sessions without activity for so long.").NoEnvar().DurationVar(&c.end.IdleFor)
	end.Flag("dry-run", "Show what would end, and end nothing.").NoEnvar().BoolVar(&c.end.DryRun)
	end.Flag("yes", "Do not ask. Needs the user in full.").NoEnvar().BoolVar(&c.end.Yes)
	end.Flag("force", "End even more than ten sessions.").NoEnvar().BoolVar(&c.end.Force)
	end.Flag("audit-log-file", "File to which a line is added: who ended whose sessions, and how many. It is not Qlik's audit log.").StringVar(&c.end.Journal)
	return Commands{"sessions list": c.list, "sessions end": c.endSessions}
}

// list shows who has which sessions.
func (c *sessionsCommand) list(ctx context.Context, streams Streams) error {
	commands, err := c.open(streams)
	if err != nil {
		return err
	}
	defer commands.Site.Close()
	return commands.List(ctx, c.query, c.atLeast, c.output)
}

// endSessions ends those of one user.
func (c *sessionsCommand) endSessions(ctx context.Context, streams Streams) error {
	c.end.Query = c.query
	if c.all {
		if c.keepIsSet {
			return errors.New("--all: lets none stay, so that --keep makes no sense")
		}
		c.end.Keep = 0
	}
	commands, err := c.open(streams)
	if err != nil {
		return err
	}
	defer commands.Site.Close()
	return commands.End(ctx, c.end)
}

// open opens the site that the command is about. The caller must close it.
func (c *sessionsCommand) open(streams Streams) (*sessions.Commands, error) {
	configuration, err := c.flags.Load()
	if err != nil {
		return nil, err
	}
	settings, err := configuration.Choose(c.site)
	if err != nil {
		return nil, err
	}
	labels, err := settings.Labels()
	if err != nil {
		return nil, configuration.Explain(settings.Name, err)
	}
	logger, _ := logging.New(streams.Err, c.flags.LogLevel, c.flags.LogFormat)
	ofSite := c.flags.LogLevel
	if ofSite == "info" {
		ofSite = "warn" // what goes well is in the answer
	}
	run := settings.Run()
	run.Logger, _ = logging.New(streams.Err, ofSite, c.flags.LogFormat)
	opened, err := site.New(run)
	if err != nil {
		return nil, configuration.Explain(settings.Name, err)
	}
	commands := &sessions.Commands{
		Site: opened, Logger: logger, CoolingTime: run.Headroom.CoolingTime, ServiceAccounts: settings.ServiceAccount,
		In: streams.In, Out: streams.Out, Err: streams.Err,
		Terminal: terminal.Is(streams.In) && terminal.Is(streams.Out),
		Color:    terminal.Colors(streams.Out),
	}
	if labels.Key != nil {
		commands.Hash = func(user qlik.User) string { return collector.HashUser(labels.Key, user) }
	}
	return commands, nil
}
