package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// EndOptions selects the sessions of a user to end.
type EndOptions struct {
	Query

	Chosen   bool          // --keep or --all is set
	Keep     int           // number of sessions to keep, most recently active first, if the operator chooses
	IdleFor  time.Duration // minimum time without activity; 0 selects all
	DryRun   bool
	Yes      bool   // do not ask for confirmation
	Force    bool   // allow more than ending.MaxOfOnePerson
	AuditLog string // file of --audit-log-file; "" for none
}

func (c *sessionsCommand) endFlags(end *kingpin.CmdClause) {
	end.Flag("all", "End all sessions.").NoEnvar().BoolVar(&c.all)
	config.Number(end.Flag("keep", "Keep this number of sessions, the most recently active ones, and end all others. The default counts only with another flag that chooses sessions.").
		Default("1").NoEnvar().IsSetByUser(&c.keepIsSet), &c.end.Keep, 0)
	config.Duration(end.Flag("idle-for", "End only sessions without activity for at least this time, such as 30m.").PlaceHolder("TIME").NoEnvar(), &c.end.IdleFor)
	end.Flag("dry-run", "Show which sessions would end, but end none.").NoEnvar().BoolVar(&c.end.DryRun)
	end.Flag("yes", "Do not ask for confirmation. Requires a complete --user, not part of an id or of a display name.").NoEnvar().BoolVar(&c.end.Yes)
	end.Flag("force", "Allow ending more than ten sessions.").NoEnvar().BoolVar(&c.end.Force)
	config.Path(end.Flag("audit-log-file", "File to which the command appends a line with the operator, the user, and the number of ended sessions. This is not Qlik's audit log.").PlaceHolder("FILE"), &c.end.AuditLog)
}

// endSessions ends sessions of one user.
func (c *sessionsCommand) endSessions(ctx context.Context, streams Streams) error {
	c.end.Query = c.query
	if c.all {
		if c.keepIsSet {
			return errors.New("--all: cannot be combined with --keep")
		}
		c.end.Keep = 0
	}
	c.end.Chosen = c.all || c.keepIsSet
	site, err := c.open(ctx, streams)
	if err != nil {
		return err
	}
	defer site.Site.Close()
	return site.End(ctx, c.end)
}

// End shows sessions of one user and ends them. It does not end sessions that start
// in the meantime. It returns ErrIncomplete if some sessions could not be ended, or
// if some links did not respond.
func (c *openSite) End(ctx context.Context, options EndOptions) error {
	if options.User == "" {
		return errors.New("--user: is missing; set it to the user whose sessions are to end")
	}
	snapshot, err := c.read(ctx)
	if err != nil {
		return err
	}
	site := sessions.NewList(snapshot, nil)
	if err := cmp.Or(checkPlaces(&options.Query, site), sayIncomplete(c.Out, site)); err != nil {
		return err
	}
	incomplete := error(nil)
	if !snapshot.Complete() {
		incomplete = ErrIncomplete
	}
	row, err := c.one(ctx, sessions.Rows(snapshot), &options)
	switch {
	case err != nil:
		return err
	case row == nil:
		return cmp.Or(c.printf("%s has no sessions. Nothing to end.\n", text.Visible(options.User)), incomplete)
	}
	selection := ending.Selection{PlaceFilter: options.PlaceFilter, Rule: ending.Gentle}
	if options.Chosen || options.IdleFor > 0 || !options.Everywhere() {
		selection.Rule, selection.Keep, selection.IdleFor = ending.Chosen, options.Keep, options.IdleFor
	}
	plan := ending.NewPlan(row, snapshot, selection, c.ServiceAccounts)
	if err := refuse(row.User, plan.NeverEnded); err != nil {
		return err
	}
	if err := cmp.Or(c.show(row, plan, snapshot), advise(plan.Undecided)); err != nil {
		return err
	}
	number := len(plan.Ending())
	what := text.Count(number, "session") + " of " + text.Visible(row.User.String())
	switch {
	case plan.Unlicensed != "":
		return cmp.Or(c.printf("Nothing to end. %s\nTo end sessions anyway, choose them with --all, --keep, --idle-for, --virtual-proxy, or --node.\n", plan.Unlicensed.Advice()), incomplete)
	case !plan.Wait.IsZero():
		return cmp.Or(c.sayWait(row, plan, snapshot), incomplete)
	case number == 0:
		return cmp.Or(c.printf("Nothing to end.\n"), incomplete)
	case number > ending.MaxOfOnePerson && !options.Force:
		return fmt.Errorf("%s are more than one person normally has; add --force to end them anyway", what)
	case options.DryRun:
		return cmp.Or(c.printf("Dry run: would end %s.\n", what), incomplete)
	}
	if agreed, err := c.agreed(ctx, what, &options); err != nil || !agreed {
		return err
	}
	var audit *auditLog
	begun := time.Now()
	stop := terminal.NewStatus(c.Err).Follow(func() string { return fmt.Sprintf("Ending sessions (%s)", text.Duration(time.Since(begun))) })
	outcome, err := ending.End(ctx, c.Site, plan, c.ServiceAccounts, func([]ending.PlannedSession) (err error) {
		audit, err = c.openAuditLog(options.AuditLog)
		return err
	})
	stop()
	switch {
	case errors.Is(err, ending.ErrUnknown):
		return fmt.Errorf("no session was ended: %w", err)
	case err != nil:
		return err
	}
	return cmp.Or(audit.record(outcome), c.report(outcome))
}

func (c *openSite) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(c.Out, format, args...)
	return err
}

// one returns the row of the selected user. It returns nil if the user was specified
// in full and has no sessions.
func (c *openSite) one(ctx context.Context, rows []sessions.Row, options *EndOptions) (*sessions.Row, error) {
	var users []qlik.User
	for i := range rows {
		users = append(users, rows[i].User)
	}
	those, whole, err := c.match(ctx, users, options.User)
	if err != nil {
		return nil, err
	}
	matching := slices.DeleteFunc(slices.Clone(rows), func(r sessions.Row) bool { return !those[r.User] })
	id := qlik.NewUser("", options.User).ID
	if exactly := slices.DeleteFunc(slices.Clone(matching), func(r sessions.Row) bool { return r.User.ID != id }); len(exactly) > 0 {
		matching, whole = exactly, true
	}
	switch {
	case len(matching) == 0 && whole:
		return nil, nil
	case len(matching) == 0:
		return nil, fmt.Errorf("no user with sessions matches %q", text.Visible(options.User))
	case len(matching) > 1:
		var names []string
		for i := range matching {
			names = append(names, fmt.Sprintf("  %s (%s)", text.Visible(matching[i].User.String()), text.Count(matching[i].Sessions, "session")))
		}
		return nil, fmt.Errorf("%q matches %d users; specify one of them in full:\n%s", text.Visible(options.User), len(matching), strings.Join(names, "\n"))
	case !whole && options.Yes:
		return nil, fmt.Errorf("%q is only part of a name; with --yes, specify the user in full: %s", text.Visible(options.User), text.Visible(matching[0].User.String()))
	}
	return &matching[0], nil
}

// refuse returns an error for users whose sessions are never ended. The kind is the
// kind of such a user; it is "" for all others.
func refuse(user qlik.User, kind string) error {
	name := text.Visible(user.String())
	switch {
	case kind == "":
		return nil
	case user.Anonymous():
		return fmt.Errorf("%s stands for all anonymous users; the limit does not apply to them, and their sessions are never ended", name)
	default:
		return fmt.Errorf("%s is %s; its sessions are never ended", name, kind)
	}
}

// advise adds the remedy to the error of an undecided plan.
func advise(undecided error) error {
	switch {
	case errors.Is(undecided, ending.ErrIdleUnknown):
		return fmt.Errorf("no session was ended: cannot apply --idle-for: %w", undecided)
	case errors.Is(undecided, ending.ErrRecentUnknown):
		return fmt.Errorf("no session was ended: %w; use --all to end all sessions, or select sessions with --virtual-proxy or --node", undecided)
	default:
		return undecided
	}
}

// agreed asks for confirmation.
func (c *openSite) agreed(ctx context.Context, what string, options *EndOptions) (bool, error) {
	if options.Yes {
		return true, nil
	}
	if !c.Terminal {
		return false, errors.New("no session was ended: cannot ask for confirmation without a terminal; add --yes to skip it")
	}
	if yes, err := confirmed(ctx, c.In, c.Out, "End "+what+"?"); err != nil || yes {
		return yes, err
	}
	return false, c.printf("No session was ended.\n")
}
