package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/exporter"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func (c *sessionsCommand) listFlags(list *kingpin.CmdClause) {
	config.Number(list.Flag("at-least", "Only users with at least this many sessions or taken slots.").NoEnvar(), &c.atLeast, 0)
	config.Choice(list.Flag("output", "Output format: table, json, or csv.").Default(formatTable).NoEnvar(),
		&c.output, formatTable, formatJSON, formatCSV)
	c.exporter.add(list)
}

// list lists users and their sessions. It asks the running exporter first.
func (c *sessionsCommand) list(ctx context.Context, streams Streams) error {
	var list *sessions.List
	answered, err := c.exporter.ask(streams.Err, c.flags, func(client *exporter.Client) (err error) {
		if list, err = client.Sessions(ctx, c.site); err != nil {
			return err
		}
		_, settings, _ := settingsOf(c.flags, c.site) // the exporter needs none
		return sameSite(settings, list.Hosts)
	})
	if err != nil {
		return err
	}
	if answered && c.query.User == "" {
		return withoutSite(streams).write(ctx, list, c.query, c.atLeast, c.output)
	}
	site, err := c.open(ctx, streams)
	if err == nil {
		defer site.Site.Close()
	}
	switch {
	case answered && err != nil: // only display names and hashes cannot be searched
		return withoutSite(streams).write(ctx, list, c.query, c.atLeast, c.output)
	case answered:
		return site.write(ctx, list, c.query, c.atLeast, c.output)
	case err != nil:
		return err
	}
	if err := sayDirect(streams.Err); err != nil {
		return err
	}
	return site.List(ctx, c.query, c.atLeast, c.output)
}

// List queries the site and writes its users. It returns ErrIncomplete if some links did
// not respond.
func (c *openSite) List(ctx context.Context, query Query, atLeast int, format string) error {
	snapshot, err := c.read(ctx)
	if err != nil {
		return err
	}
	rows := sessions.Rows(snapshot)
	all := make([]*sessions.Row, len(rows))
	for i := range rows {
		all[i] = &rows[i]
	}
	return c.write(ctx, sessions.NewList(snapshot, all), query, atLeast, format)
}

// write writes the users of a list that match a query, with their sessions and free
// slots. It omits users with fewer than atLeast sessions or taken slots. It returns
// ErrIncomplete if the list is incomplete.
func (c *openSite) write(ctx context.Context, list *sessions.List, query Query, atLeast int, format string) error {
	if err := cmp.Or(noData(list), checkPlaces(&query, list)); err != nil {
		return err
	}
	var users []qlik.User
	for i := range list.Users {
		users = append(users, list.Users[i].User())
	}
	matching, _, err := c.match(ctx, users, query.User)
	if err != nil {
		return err
	}
	all := len(list.Users)
	list.Users = slices.DeleteFunc(list.Users, func(user sessions.Listed) bool {
		return !matching[user.User()] || user.Taken() < atLeast || !query.anywhere(&user)
	})
	switch format {
	case formatJSON:
		err = c.writeJSON(list)
	case formatCSV:
		// The first line of a CSV file must be its header.
		err = cmp.Or(sayIncomplete(c.Err, list), c.writeCSV(list))
	default:
		err = cmp.Or(sayIncomplete(c.Out, list), c.writeTable(list, all))
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

// Colors of lines on a terminal.
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// writeTable writes the users of a list. All is the number of users before the selection.
func (c *openSite) writeTable(list *sessions.List, all int) error {
	if len(list.Users) == 0 {
		_, err := fmt.Fprintf(c.Out, "No match among %s with sessions or taken slots.\n", text.Count(all, "user"))
		return err
	}
	at := list.Time.In(time.Local)
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	columns := []string{"FREE", "USER", "SESSIONS", "COOLING OR LEFT OVER", "LICENSE", "IDLE", "NEXT SLOT BY", "WHERE"}
	refused := slices.ContainsFunc(list.Users, func(user sessions.Listed) bool { return user.RefusedText(at) != "" })
	if refused {
		columns = append(columns, "REFUSED")
	}
	_, _ = fmt.Fprintln(w, strings.Join(columns, "\t"))
	for i := range list.Users {
		user := &list.Users[i]
		free, without, idle, next := "no limit", "", "", ""
		switch {
		case user.Unlicensed != "":
			free = user.Unlicensed.Label()
		case user.EffectiveHeadroom != nil:
			free = strconv.Itoa(max(*user.EffectiveHeadroom, 0)) // as on the page
		}
		if user.SlotsWithoutSession == nil {
			without = "?"
		} else if slots := *user.SlotsWithoutSession; slots > 0 {
			without = strconv.Itoa(slots)
		}
		if !user.LastActivity.IsZero() {
			idle = text.Duration(at.Sub(user.LastActivity))
		}
		if !user.NextSlot.IsZero() {
			next = text.Coming(user.NextSlot, at)
		}
		cells := []string{
			free, text.Visible(user.User().String()), sessionsText(user), without,
			text.Visible(strings.ReplaceAll(user.License, "_", " ")), idle, next, where(user.Places),
		}
		if refused {
			cells = append(cells, strings.TrimPrefix(user.RefusedText(at), "refused: "))
		}
		for i := range cells {
			cells[i] = cmp.Or(cells[i], "-")
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush() // into memory
	for i, line := range strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		switch {
		case !c.Color || i == 0:
		case list.Users[i-1].Unlicensed != "":
			line = red + line + plain
		case list.Users[i-1].EffectiveHeadroom == nil:
		case *list.Users[i-1].EffectiveHeadroom <= 0:
			line = red + line + plain
		case *list.Users[i-1].EffectiveHeadroom == 1:
			line = yellow + line + plain
		}
		if _, err := fmt.Fprintln(c.Out, line); err != nil {
			return err
		}
	}
	if !list.UsageKnown {
		_, err := fmt.Fprintln(c.Out, "\nWithout usage rows, FREE is calculated from sessions alone. It misses cooling and leftover slots.")
		return err
	}
	return nil
}

// where formats places as "/ qlik1 (2), /sales qlik2".
func where(places []sessions.Place) string {
	var all []string
	for _, p := range places {
		place := text.Visible(p.VirtualProxy) + " " + text.Visible(p.Node)
		if p.Sessions > 1 {
			place += fmt.Sprintf(" (%d)", p.Sessions)
		}
		all = append(all, place)
	}
	return strings.Join(all, ", ")
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
			text.Cell(where(user.Places)), at(last.At), string(last.Reason), string(user.Unlicensed),
		})
	}
	w.Flush()
	return w.Error()
}
