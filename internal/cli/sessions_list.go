package cli

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/exporter"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

func (c *sessionsCommand) listFlags(list *kingpin.CmdClause) {
	config.Number(list.Flag("at-least", "Only users with at least this many sessions or taken slots.").PlaceHolder("NUMBER").NoEnvar(), &c.atLeast, 0)
	config.Number(list.Flag("limit", "Show at most this number of users in the table; 0 shows all. By default, all users, or on a terminal those who fit its height.").PlaceHolder("NUMBER").
		NoEnvar().IsSetByUser(&c.limitIsSet), &c.limit, 0)
	list.Flag("watch", "Show the table again and again until Ctrl-C, with what has changed and the time to the next free slot. Requires a terminal.").NoEnvar().BoolVar(&c.watch)
	config.Duration(list.Flag("interval", "Time between two looks of --watch, at least 5s.").Default("10s").NoEnvar().IsSetByUser(&c.intervalIsSet), &c.interval)
	config.Choice(list.Flag("output", "Output format: table, json, or csv.").Default(formatTable).NoEnvar(),
		&c.output, formatTable, formatJSON, formatCSV)
	c.exporter.add(list)
}

// errLimit keeps programs from missing users.
var errLimit = errors.New("--limit: applies only to --output=table; other formats have all users")

// list lists users and their sessions.
func (c *sessionsCommand) list(ctx context.Context, streams Streams) error {
	look := &look{command: c, streams: streams}
	defer look.close()
	if c.watch {
		return c.watchList(ctx, look, streams)
	}
	switch {
	case c.intervalIsSet:
		return errors.New("--interval: requires --watch")
	case c.limitIsSet && c.output != formatTable:
		return errLimit
	}
	limit := noLimit
	if c.limitIsSet {
		limit = c.limit
	}
	list, from, err := look.at(ctx)
	if err != nil {
		return err
	}
	return from.write(ctx, list, c.query, c.atLeast, limit, c.output)
}

// look reads the users of a site, once or again and again.
type look struct {
	command *sessionsCommand
	streams Streams
	opened  *openSite // nil until it is needed
}

func (l *look) close() {
	if l.opened != nil {
		l.opened.Site.Close()
	}
}

// at returns the users and their sessions. It asks the running exporter first. The site
// knows display names and hashes, if the settings describe it.
func (l *look) at(ctx context.Context) (*sessions.List, *openSite, error) {
	c := l.command
	var list *sessions.List
	answered, err := c.exporter.ask(l.streams.Err, c.flags, func(client *exporter.Client) (err error) {
		if list, err = client.Sessions(ctx, c.site); err != nil {
			return err
		}
		_, settings, _ := settingsOf(c.flags, c.site) // the exporter needs none
		return sameSite(settings, list.Hosts)
	})
	if err != nil {
		return nil, nil, err
	}
	if answered && c.query.User == "" {
		return list, withoutSite(l.streams), nil
	}
	if l.opened == nil {
		opened, openErr := c.open(ctx, l.streams)
		switch {
		case openErr == nil:
			l.opened = opened
		case answered: // only display names and hashes cannot be searched
			return list, withoutSite(l.streams), nil
		default:
			return nil, nil, openErr
		}
	}
	if answered {
		return list, l.opened, nil
	}
	if err := sayDirect(l.streams.Err); err != nil {
		return nil, nil, err
	}
	snapshot, err := l.opened.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	return listOf(snapshot), l.opened, nil
}

// listOf returns all users of a snapshot.
func listOf(snapshot *headroom.Snapshot) *sessions.List {
	rows := sessions.Rows(snapshot)
	all := make([]*sessions.Row, len(rows))
	for i := range rows {
		all[i] = &rows[i]
	}
	return sessions.NewList(snapshot, all)
}

// List queries the site and writes its users. It returns ErrIncomplete if some links did
// not respond.
func (c *openSite) List(ctx context.Context, query Query, atLeast int, format string) error {
	snapshot, err := c.read(ctx)
	if err != nil {
		return err
	}
	return c.write(ctx, listOf(snapshot), query, atLeast, noLimit, format)
}

// choose leaves the users of a list that match a query and have at least a number of
// sessions or taken slots. It returns how many users there are in all.
func (c *openSite) choose(ctx context.Context, list *sessions.List, query Query, atLeast int) (all int, err error) {
	if err := cmp.Or(noData(list), checkPlaces(&query, list)); err != nil {
		return 0, err
	}
	var users []qlik.User
	for i := range list.Users {
		users = append(users, list.Users[i].User())
	}
	matching, _, err := c.match(ctx, users, query.User)
	if err != nil {
		return 0, err
	}
	all = len(list.Users)
	list.Users = slices.DeleteFunc(list.Users, func(user sessions.Listed) bool {
		return !matching[user.User()] || user.Taken() < atLeast || !query.anywhere(&user)
	})
	return all, nil
}

// write writes the users of a list that match a query, with their sessions and free
// slots. It omits users with fewer than atLeast sessions or taken slots. It returns
// ErrIncomplete if the list is incomplete.
func (c *openSite) write(ctx context.Context, list *sessions.List, query Query, atLeast, limit int, format string) error {
	all, err := c.choose(ctx, list, query, atLeast)
	if err != nil {
		return err
	}
	switch format {
	case formatJSON:
		err = c.writeJSON(list)
	case formatCSV:
		// The first line of a CSV file must be its header.
		err = cmp.Or(sayIncomplete(c.Err, list), c.writeCSV(list))
	default:
		columns, rows := terminal.Size(c.Out)
		table := &listTable{list: list, all: all, at: list.Time.In(time.Local), width: columns, height: rows, limit: limit, color: c.Color}
		err = cmp.Or(sayIncomplete(c.Out, list), c.printf("%s", table.text()))
	}
	if err == nil && !list.Complete {
		err = ErrIncomplete
	}
	return err
}

// anywhere returns whether a user has sessions at a selected place.
func (q *Query) anywhere(user *sessions.Listed) bool {
	return q.Everywhere() ||
		slices.ContainsFunc(user.Places, func(p sessions.Place) bool { return q.Matches(p.VirtualProxy, p.Node) })
}

func (c *openSite) writeJSON(list *sessions.List) error {
	document, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "%s\n", text.EscapeJSON(document))
	return err
}

func (c *openSite) writeCSV(list *sessions.List) error {
	w := csv.NewWriter(c.Out)
	_ = w.Write([]string{ // w.Error returns any error
		"user_directory", "user_id", "effective_headroom", "headroom", "sessions", "sessions_with_slot", "slots_without_session",
		"license", "last_activity", "next_slot", "places", "last_refused", "last_refused_reason", "unlicensed",
	})
	number := func(n *int) string {
		if n == nil {
			return ""
		}
		return strconv.Itoa(*n)
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	for i := range list.Users {
		user := &list.Users[i]
		var last sessions.RefusedLogin
		if len(user.Refused) > 0 {
			last = user.Refused[0]
		}
		_ = w.Write([]string{
			text.Cell(user.Directory), text.Cell(user.ID), number(user.EffectiveHeadroom), number(user.Headroom), strconv.Itoa(user.Sessions),
			number(user.SessionsWithSlot), number(user.SlotsWithoutSession), text.Cell(user.License), at(user.LastActivity), at(user.NextSlot),
			text.Cell(where(user.Places, strconv.Itoa)), at(last.At), string(last.Reason), string(user.Unlicensed),
		})
	}
	w.Flush()
	return w.Error()
}
