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
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

func (c *sessionsCommand) listFlags(list *kingpin.CmdClause) {
	config.Number(list.Flag("at-least", "Only users with at least this many sessions or taken slots.").NoEnvar(), &c.atLeast, 0)
	config.Choice(list.Flag("output", "Output format: table, json, or csv.").Default(formatTable).NoEnvar(),
		&c.output, formatTable, formatJSON, formatCSV)
}

// list lists users and their sessions.
func (c *sessionsCommand) list(ctx context.Context, streams Streams) error {
	site, err := c.open(streams)
	if err != nil {
		return err
	}
	defer site.Site.Close()
	return site.List(ctx, c.query, c.atLeast, c.output)
}

// List writes users with their sessions and free slots. It omits users with fewer
// than atLeast sessions or taken slots. It returns ErrIncomplete if some links did
// not respond.
func (c *openSite) List(ctx context.Context, query Query, atLeast int, format string) error {
	snapshot, err := c.readFor(ctx, &query)
	if err != nil {
		return err
	}
	rows, _, err := c.match(ctx, c.rows(ctx, snapshot), query.User)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(row sessions.Row) bool {
		return max(row.Sessions+row.CoolingSlots, row.LicensedSessions) < atLeast || !query.anywhere(&row)
	})
	switch format {
	case formatJSON:
		err = c.writeJSON(snapshot, rows)
	case formatCSV:
		// The first line of a CSV file must be its header.
		err = cmp.Or(sayIncomplete(c.Err, snapshot), c.writeCSV(snapshot, rows))
	default:
		err = cmp.Or(sayIncomplete(c.Out, snapshot), c.writeTable(snapshot, rows))
	}
	if err == nil && !snapshot.Complete() {
		err = ErrIncomplete
	}
	return err
}

// anywhere returns whether a user has sessions at a selected place.
func (q *Query) anywhere(row *sessions.Row) bool {
	return q.Everywhere() ||
		slices.ContainsFunc(row.Places, func(p sessions.Place) bool { return q.Matches(p.VirtualProxy, p.Node) })
}

// Colors of lines on a terminal.
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

func (c *openSite) writeTable(snapshot *headroom.Snapshot, rows []sessions.Row) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintf(c.Out, "No match among %s with sessions or taken slots.\n", text.Count(len(sessions.Rows(snapshot, nil)), "user"))
		return err
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	columns := []string{"FREE", "USER", "SESSIONS", "COOLING OR LEFT OVER", "LICENSE", "IDLE", "NEXT SLOT BY", "WHERE"}
	refused := slices.ContainsFunc(rows, func(row sessions.Row) bool { return row.RefusedText(snapshot.Time) != "" })
	if refused {
		columns = append(columns, "REFUSED")
	}
	_, _ = fmt.Fprintln(w, strings.Join(columns, "\t"))
	for i := range rows {
		row := &rows[i]
		free, without, idle, next := "no limit", "", "", ""
		switch {
		case row.Unlicensed != "":
			free = row.Unlicensed.Label()
		case row.Limited:
			free = strconv.Itoa(max(row.EffectiveHeadroom, 0)) // as on the page
		}
		if slots, known := takenWithout(row, snapshot); !known {
			without = "?"
		} else if slots > 0 {
			without = strconv.Itoa(slots)
		}
		if !row.LastActivity.IsZero() {
			idle = text.Duration(snapshot.Time.Sub(row.LastActivity))
		}
		if !row.NextSlot.IsZero() {
			next = text.Coming(row.NextSlot, snapshot.Time)
		}
		cells := []string{
			free, text.Visible(row.User.String()), sessionsText(row, snapshot), without,
			strings.ReplaceAll(row.License, "_", " "), idle, next, where(row.Places),
		}
		if refused {
			cells = append(cells, strings.TrimPrefix(row.RefusedText(snapshot.Time), "refused: "))
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
		case rows[i-1].Unlicensed != "":
			line = red + line + plain
		case !rows[i-1].Limited:
		case rows[i-1].EffectiveHeadroom <= 0:
			line = red + line + plain
		case rows[i-1].EffectiveHeadroom == 1:
			line = yellow + line + plain
		}
		if _, err := fmt.Fprintln(c.Out, line); err != nil {
			return err
		}
	}
	if !rowsCount(snapshot) {
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

// list is the JSON output.
type list struct {
	Time       time.Time    `json:"time"`
	Complete   bool         `json:"complete"`
	Missing    []missing    `json:"missing"`
	Limit      int          `json:"limit"`
	UsageKnown bool         `json:"usage_known"` // effective headroom is based on usage rows
	Users      []listedUser `json:"users"`
}

// missing is a link that did not respond.
type missing struct {
	VirtualProxy string    `json:"virtual_proxy"`
	Node         string    `json:"node"`
	Kind         qlik.Kind `json:"kind"`
}

// listedUser is a user in the JSON and CSV output. Values that are unknown or do not
// apply are absent.
type listedUser struct {
	Directory           string           `json:"user_directory"`
	ID                  string           `json:"user_id"`
	EffectiveHeadroom   *int             `json:"effective_headroom,omitempty"`
	Headroom            *int             `json:"headroom,omitempty"`
	Sessions            int              `json:"sessions"`
	SessionsWithSlot    *int             `json:"sessions_with_slot,omitempty"`
	SlotsWithoutSession *int             `json:"slots_without_session,omitempty"` // they cool, or are left over
	License             string           `json:"license,omitempty"`
	LastActivity        time.Time        `json:"last_activity,omitzero"`
	NextSlot            time.Time        `json:"next_slot,omitzero"`
	Places              []sessions.Place `json:"places"`
	// Refused lists the refused logins of the last day, the last one first.
	Refused []refusedLogin `json:"refused,omitempty"`
	// Unlicensed is why the user cannot log in although slots are free.
	Unlicensed sessions.Unlicensed `json:"unlicensed,omitempty"`
}

// refusedLogin is a refused login in the JSON output.
type refusedLogin struct {
	At     time.Time          `json:"at"`
	Reason qlik.RefusalReason `json:"reason"`
}

func newListedUser(row *sessions.Row, snapshot *headroom.Snapshot) listedUser {
	user := listedUser{
		Directory: row.User.Directory, ID: row.User.ID, Sessions: row.Sessions, License: row.License,
		LastActivity: row.LastActivity.UTC(), NextSlot: row.NextSlot.UTC(), Places: append([]sessions.Place{}, row.Places...),
		Unlicensed: row.Unlicensed,
	}
	for _, refusal := range row.Refused {
		user.Refused = append(user.Refused, refusedLogin{refusal.At.UTC(), refusal.Reason})
	}
	if row.Limited {
		user.EffectiveHeadroom, user.Headroom = &row.EffectiveHeadroom, &row.Headroom
	}
	if rowsCount(snapshot) {
		user.SessionsWithSlot = &row.WithSlot
	}
	if without, known := takenWithout(row, snapshot); known {
		user.SlotsWithoutSession = &without
	}
	return user
}

func (c *openSite) writeJSON(snapshot *headroom.Snapshot, rows []sessions.Row) error {
	answer := list{
		Time: snapshot.Time.UTC(), Complete: snapshot.Complete(), Missing: []missing{}, Limit: snapshot.Limit,
		UsageKnown: rowsCount(snapshot), Users: []listedUser{},
	}
	for i := range snapshot.Links {
		if link := &snapshot.Links[i]; link.Err != nil && !link.Stopped {
			answer.Missing = append(answer.Missing, missing{link.VirtualProxy, link.Node, qlik.KindOf(link.Err)})
		}
	}
	for i := range rows {
		answer.Users = append(answer.Users, newListedUser(&rows[i], snapshot))
	}
	document, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "%s\n", text.EscapeJSON(document))
	return err
}

func (c *openSite) writeCSV(snapshot *headroom.Snapshot, rows []sessions.Row) error {
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
	for i := range rows {
		user := newListedUser(&rows[i], snapshot)
		var last refusedLogin
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
