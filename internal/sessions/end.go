package sessions

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	// maxUnforced is how many sessions can be ended without --force: no person has
	// more.
	maxUnforced = 10
	// maxEndedAtOnce bounds the requests that end sessions.
	maxEndedAtOnce = 8
)

// EndOptions say which sessions of a user end.
type EndOptions struct {
	Query

	Keep    int           // so many stay, the most recently active ones
	IdleFor time.Duration // only those without activity for so long; 0 is all
	DryRun  bool
	Yes     bool   // do not ask
	Force   bool   // even more than maxUnforced
	Journal string // file to which a line is added, --audit-log-file; "" for none
}

// held is a session of the user in question.
type held struct {
	qlik.Session

	slot         bool
	lastActivity time.Time // zero if unknown
	chosen       bool      // to be ended
}

// place names the session without its id.
func (h *held) place() string {
	return text.Visible(h.Link.VirtualProxy) + " at " + text.Visible(h.Link.Node)
}

// End ends sessions of one user: those that it shows first, whatever begins
// meanwhile. The error is ErrIncomplete where not all could be ended or known.
func (c *Commands) End(ctx context.Context, options EndOptions) error {
	switch {
	case options.User == "":
		return errors.New("--user: is missing; say whose sessions are to end")
	case options.Keep < 0:
		return fmt.Errorf("--keep: must not be negative, not %d", options.Keep)
	case options.IdleFor < 0:
		return fmt.Errorf("--idle-for: must not be negative, not %s", options.IdleFor)
	}
	snapshot, err := c.read(ctx)
	if err != nil {
		return err
	}
	if err := sayIncomplete(c.Out, snapshot); err != nil {
		return err
	}
	incomplete := error(nil)
	if !snapshot.Complete() {
		incomplete = ErrIncomplete
	}
	row, err := c.one(ctx, Rows(snapshot), &options)
	switch {
	case err != nil:
		return err
	case row == nil:
		return cmp.Or(c.printf("%s has no session; nothing to end.\n", text.Visible(options.User)), incomplete)
	}
	if err := c.refuse(row); err != nil {
		return err
	}
	sessions := sessionsOf(row.User, snapshot)
	undecided := choose(sessions, &options, snapshot.Time)
	if err := cmp.Or(c.show(row, sessions, snapshot), undecided); err != nil {
		return err
	}
	chosen := slices.DeleteFunc(slices.Clone(sessions), func(h held) bool { return !h.chosen })
	what := text.Count(len(chosen), "session") + " of " + text.Visible(row.User.String())
	switch {
	case len(chosen) == 0:
		return cmp.Or(c.printf("Nothing to end.\n"), incomplete)
	case len(chosen) > maxUnforced && !options.Force:
		return fmt.Errorf("%s are more than a person has; to end them all the same, add --force", what)
	case options.DryRun:
		return cmp.Or(c.printf("Dry run: %s would be ended.\n", what), incomplete)
	}
	if agreed, err := c.agreed(ctx, what, &options); err != nil || !agreed {
		return err
	}
	journal, err := c.openJournal(options.Journal)
	if err != nil {
		return err
	}
	results := c.endAll(ctx, snapshot, chosen)
	recorded := journal.record(row.User, results)
	return cmp.Or(recorded, c.report(ctx, row.User, sessions, results))
}

func (c *Commands) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(c.Out, format, args...)
	return err
}

// one returns the row of the only user who is meant; nil if the user was named
// in full and is not there.
func (c *Commands) one(ctx context.Context, rows []Row, options *EndOptions) (*Row, error) {
	matching, whole := c.match(ctx, rows, options.User)
	id := qlik.NewUser("", options.User).ID
	if exactly := only(matching, func(u qlik.User) bool { return u.ID == id }); len(exactly) > 0 {
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
		return nil, fmt.Errorf("%q matches %d users; write one of them in full:\n%s", text.Visible(options.User), len(matching), strings.Join(names, "\n"))
	case !whole && options.Yes:
		return nil, fmt.Errorf("%q is a part of a name; with --yes write the user in full: %s", text.Visible(options.User), text.Visible(matching[0].User.String()))
	}
	return &matching[0], nil
}

// refuse refuses users whose sessions are not a person's to lose.
func (c *Commands) refuse(row *Row) error {
	name, kind := text.Visible(row.User.String()), neverEnded(row, c.ServiceAccounts)
	switch {
	case kind == "":
		return nil
	case row.User.Anonymous():
		return fmt.Errorf("%s stands for all anonymous users, to whom the limit does not apply; their sessions are not ended", name)
	default:
		return fmt.Errorf("%s is %s; its sessions are not ended", name, kind)
	}
}

// neverEnded says what a user is whose sessions are not ended; "" for all others.
func neverEnded(row *Row, serviceAccounts []qlik.User) string {
	switch {
	case row.User.Anonymous():
		return "all anonymous users"
	case row.User.Directory == "INTERNAL", slices.Contains(serviceAccounts, row.User):
		return "a service account"
	case !row.Limited:
		return "an unlimited user"
	default:
		return ""
	}
}

// sessionsOf returns the sessions of a user, most recently active first and those
// without known activity last.
func sessionsOf(user qlik.User, snapshot *headroom.Snapshot) []held {
	var sessions []held
	usage := snapshot.Usage()
	for i := range snapshot.Sessions {
		if session := snapshot.Sessions[i]; session.User == user {
			row, slot := usage[session.ID]
			sessions = append(sessions, held{Session: session, slot: slot, lastActivity: row.LastActivity})
		}
	}
	slices.SortStableFunc(sessions, func(a, b held) int { return b.lastActivity.Compare(a.lastActivity) })
	return sessions
}

// choose marks the sessions to end. Those that stay are the most recently active
// of all, wherever they are. Where that is not known, it chooses only if a choice
// of places leaves enough of them.
func choose(sessions []held, options *EndOptions, now time.Time) error {
	known := 0
	for known < len(sessions) && !sessions[known].lastActivity.IsZero() {
		known++
	}
	if known == 0 && options.IdleFor > 0 {
		return errors.New("how long the sessions have been idle is not known, so --idle-for cannot choose; nothing was ended")
	}
	left := 0
	for i := range sessions {
		h := &sessions[i]
		h.chosen = options.at(h.Link.VirtualProxy, h.Link.Node) &&
			(options.IdleFor == 0 || i < known && now.Sub(h.lastActivity) >= options.IdleFor)
		if !h.chosen {
			left++
		}
	}
	stay := min(options.Keep, len(sessions))
	var err error
	if stay > known && stay < len(sessions) { // nobody knows which
		if left >= stay {
			return nil
		}
		stay = len(sessions)
		err = errors.New("which sessions were active last is not known, so it cannot be said which to keep; " +
			"end all with --all, or those of a place with --virtual-proxy or --node; nothing was ended")
	}
	for i := range stay {
		sessions[i].chosen = false
	}
	return err
}

// agreed asks whether to go on.
func (c *Commands) agreed(ctx context.Context, what string, options *EndOptions) (bool, error) {
	if options.Yes {
		return true, nil
	}
	if !c.Terminal {
		return false, errors.New("there is no terminal to ask on; to end them without being asked, add --yes; nothing was ended")
	}
	if err := c.printf("End %s? [y/N] ", what); err != nil {
		return false, err
	}
	// Reading from a terminal cannot be called off: on an interrupt the reader is
	// left to end with the program.
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(c.In).ReadString('\n')
		answered <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case answer := <-answered:
		if answer == "y" || answer == "yes" {
			return true, nil
		}
	case <-ctx.Done():
	}
	return false, c.printf("Nothing was ended.\n")
}

// result is how the end of a session went: ended, or failed, or else it was gone
// already.
type result struct {
	held

	ended bool
	err   error
}

func (c *Commands) endAll(ctx context.Context, snapshot *headroom.Snapshot, chosen []held) []result {
	results := make([]result, len(chosen))
	var requests errgroup.Group
	requests.SetLimit(maxEndedAtOnce)
	for i := range chosen {
		results[i].held = chosen[i]
		requests.Go(func() error {
			results[i].ended, results[i].err = c.Site.EndSession(ctx, snapshot, chosen[i].ID)
			return nil // the outcome is in the result
		})
	}
	_ = requests.Wait()
	return results
}

func tally(results []result) (ended, gone, failed int) {
	for i := range results {
		switch {
		case results[i].err != nil:
			failed++
		case results[i].ended:
			ended++
		default:
			gone++
		}
	}
	return ended, gone, failed
}
