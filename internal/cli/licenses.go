package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/exporter"
	"github.com/qlik-exporter/qlik_exporter/internal/licenses"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// licensesCommand shows who holds a license and does not use it.
type licensesCommand struct {
	flags      *config.Flags
	exporter   runningExporter
	site       string
	format     string
	unused     time.Duration
	costs      []config.Amount
	all, names bool
	limit      int
	limitIsSet bool
}

// Licenses adds the command licenses.
func Licenses(app *kingpin.Application, flags *config.Flags) Commands {
	c := &licensesCommand{flags: flags, exporter: runningExporter{says: "says who was refused"}}
	command := app.Command("licenses", "Show which licenses are wasted: never used, unused for a long time, held by users who left, or held twice. "+
		"It reads and changes nothing. Exit status: 0 if done; 1 on an error; 2 if incomplete, because a part could not be read.")
	config.Text(command.Flag("site", "Site of --config.file. Required if the file describes several sites."), &c.site, nil)
	config.Choice(command.Flag("output", "Output format: table, json, or csv.").Default(formatTable).NoEnvar(), &c.format, formatTable, formatJSON, formatCSV)
	config.Days(command.Flag("unused", "Days without use after which a license is wasted.").Default("90d").NoEnvar(), &c.unused)
	config.Amounts(command.Flag("seat-cost", "Cost of one license, as NAME=AMOUNT, such as professional=70 or analyzer=25.50, to show what is wasted. Repeatable.").PlaceHolder("NAME=AMOUNT").NoEnvar(),
		&c.costs, qlik.AllocatedLicenses()...)
	config.Number(command.Flag("limit", "Show at most this number of lines about users in the table; 0 shows all. By default, all, or on a terminal those that fit its height.").PlaceHolder("NUMBER").
		NoEnvar().IsSetByUser(&c.limitIsSet), &c.limit, 0)
	command.Flag("all", "Show all users with a license, not only those with a finding.").NoEnvar().BoolVar(&c.all)
	command.Flag("names", "Show the names of users even if --user-labels hides them.").NoEnvar().BoolVar(&c.names)
	c.exporter.addFlags(command, "Read the audit logs, instead of asking the running exporter who was refused.")
	return Commands{"licenses": c.run}
}

// run writes the report about the licenses of a site.
func (c *licensesCommand) run(ctx context.Context, streams Streams) error {
	if c.limitIsSet && c.format != formatTable {
		return errLimit
	}
	configuration, settings, err := settingsOf(c.flags, c.site)
	if err != nil {
		return err
	}
	labels, err := settings.Labels()
	if err != nil {
		return configuration.Explain(settings.Name, err)
	}
	if len(settings.Host) == 0 {
		return configuration.Explain(settings.Name, &config.Error{Flag: "qlik.host", Err: errors.New("is missing; the licenses are in the repository")})
	}
	client, err := qlik.NewClient(settings.Run().Client)
	if err != nil {
		return configuration.Explain(settings.Name, err)
	}
	defer client.Close()
	if err := client.Reload(); err != nil {
		return configuration.Explain(settings.Name, err)
	}
	refused, logsRead, err := c.refused(ctx, streams.Err, settings)
	if err != nil {
		return err
	}
	question := &licenses.Question{Refused: refused, Unused: c.unused, Costs: make(map[string]float64), Now: time.Now().UTC()}
	for _, cost := range c.costs {
		question.Costs[cost.Name] = cost.Value
	}
	report, err := readLicenses(ctx, client, question, newSentences(streams.Err, c.flags))
	if err != nil {
		return err
	}
	report.Site = settings.Name
	if !logsRead {
		report.CannotRead("audit logs")
	}
	return c.write(streams, report, labels)
}

// refused returns the last refusal of each user who was refused for want of a license within
// the last day. It asks the running exporter first. It returns nil if nobody knows,
// and whether all audit logs that it needs could be read.
func (c *licensesCommand) refused(ctx context.Context, out io.Writer, settings *config.Site) (refused map[qlik.User]time.Time, logsRead bool, err error) {
	var list *sessions.List
	answered, err := c.exporter.ask(out, c.flags, func(client *exporter.Client) (err error) {
		if list, err = client.Sessions(ctx, c.site); err != nil {
			return err
		}
		return sameSite(settings, list.Hosts)
	})
	switch {
	case err != nil:
		return nil, false, err
	case answered:
		return refusedOf(list, settings.Enabled("denials")), true, nil
	case !settings.Enabled("denials"):
		return nil, true, nil
	}
	logger := newSentences(out, c.flags)
	var globs []string
	for _, log := range settings.AuditLog {
		globs = append(globs, log.Glob)
	}
	past, complete := pastRefusals(ctx, globs, logger, time.Now(), nil)
	if !complete && len(past) == 0 {
		return nil, false, nil
	}
	return past.Last(qlik.RefusedNoLicense), complete, nil
}

// refusedOf returns who was refused according to a running exporter, or nil if it does not
// know. The argument known reports whether the settings have an audit log, which the answer
// does not say.
func refusedOf(list *sessions.List, known bool) map[qlik.User]time.Time {
	if !known && len(list.Unlicensed) == 0 {
		return nil
	}
	refused := make(map[qlik.User]time.Time)
	for _, user := range list.Unlicensed {
		refused[qlik.NewUser(user.Directory, user.ID)] = user.At
	}
	return refused
}

// readLicenses reads the licenses and answers the question about them. It logs why a part
// cannot be read.
func readLicenses(ctx context.Context, client *qlik.Client, question *licenses.Question, logger log.Logger) (*licenses.Report, error) {
	var unread []string
	var err error
	if question.Licenses, question.Accesses, err = client.Accesses(ctx); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, errors.New("interrupted")
		}
		if question.Licenses == nil {
			return nil, fmt.Errorf("the licenses are unknown: %w; run qlik_exporter check to find the cause", err)
		}
		_ = level.Warn(logger).Log("msg", "Cannot read a part of the licenses", "err", err)
		for _, license := range question.Licenses.Unreadable() {
			unread = append(unread, license+" accesses")
		}
		if unread == nil {
			unread = append(unread, "overview or license")
		}
	}
	if question.Former, err = client.FormerUsers(ctx); err != nil {
		_ = level.Warn(logger).Log("msg", "Cannot read which users have left", "err", err)
		unread = append(unread, "users")
	}
	report := licenses.NewReport(question)
	for _, what := range unread {
		report.CannotRead(what)
	}
	for _, source := range []string{qlik.SourceLicenses, qlik.SourceUsers} {
		for _, left := range client.LeftOut(source) {
			report.LeftOut = append(report.LeftOut, licenses.LeftOut{What: text.Visible(left.What), Times: left.Times})
		}
	}
	return report, nil
}

// write writes a report. It returns ErrIncomplete if the report is incomplete.
func (c *licensesCommand) write(streams Streams, report *licenses.Report, labels collector.UserLabels) error {
	if !c.all {
		report.Users = slices.DeleteFunc(report.Users, func(h licenses.Holder) bool { return len(h.Findings) == 0 })
	}
	if !c.names {
		hideNames(report, labels)
	}
	var err error
	switch c.format {
	case formatJSON:
		err = writeLicensesJSON(streams.Out, report)
	case formatCSV:
		// The first line of a CSV file must be its header.
		if err = writeLicensesNotes(streams.Err, report); err == nil {
			err = writeLicensesCSV(streams.Out, report)
		}
	default:
		table := &licensesTable{report: report, all: c.all, limit: noLimit}
		if c.limitIsSet {
			table.limit = c.limit
		}
		table.width, table.height = terminal.Size(streams.Out)
		_, err = io.WriteString(streams.Out, table.text())
	}
	if err == nil && !report.Complete {
		err = ErrIncomplete
	}
	return err
}

// hideNames replaces the names of users as labels do, or removes the users and counts them.
func hideNames(report *licenses.Report, labels collector.UserLabels) {
	shown := func(h licenses.Holder) bool {
		return labels.Mode == collector.UserLabelsPlain || slices.Contains(labels.Plain, h.User())
	}
	if labels.Mode == collector.UserLabelsNone {
		before := len(report.Users)
		report.Users = slices.DeleteFunc(report.Users, func(h licenses.Holder) bool { return !shown(h) })
		report.Hidden = before - len(report.Users)
		return
	}
	for i := range report.Users {
		if h := &report.Users[i]; !shown(*h) {
			h.ID, h.Name = collector.HashUser(labels.Key, h.User()), ""
		}
	}
	// The order must not tell the names.
	slices.SortStableFunc(report.Users, func(a, b licenses.Holder) int { return a.User().Compare(b.User()) })
}
