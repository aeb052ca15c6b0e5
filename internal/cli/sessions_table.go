package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Colors of lines on a terminal.
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	bold   = "\x1b[1m"
	plain  = "\x1b[0m"
)

// noLimit means that the table shows all users, or on a terminal those who fit its height.
const noLimit = -1

// minUsers is the number of users that a terminal of any height shows.
const minUsers = 10

// listTable is the table of the users of a list.
type listTable struct {
	list *sessions.List
	all  int       // number of users before the selection
	at   time.Time // what is shown is as of then

	width, height int // of the terminal; 0 for none
	limit         int // maximum number of users; 0 for all, or noLimit
	color         bool

	watched bool                 // the table is shown again and again
	changed map[qlik.User]string // since the last look
}

// text returns the lines of the table.
func (t *listTable) text() string {
	users := t.list.Users
	if len(users) == 0 {
		return fmt.Sprintf("No match among %s with sessions or taken slots.\n", text.Count(t.all, "user"))
	}
	table := terminal.NewTable(t.columns(users), t.width)
	after := t.after(table)
	if shown := t.fitting(len(table.Header) + strings.Count(after, "\n")); shown < len(users) {
		users = users[:shown]
		table = terminal.NewTable(t.columns(users), t.width)
		after = t.after(table)
	}
	var b strings.Builder
	for _, line := range table.Header {
		b.WriteString(line + "\n")
	}
	for i, line := range table.Rows {
		b.WriteString(colored(line, t.colorOf(&users[i])) + "\n")
	}
	if more := t.list.Users[len(users):]; len(more) > 0 {
		fmt.Fprintf(&b, "... and %s", text.Count(len(more), "more user"))
		if stuck := countStuck(more); stuck > 0 {
			fmt.Fprintf(&b, ", %s of them without a free slot", text.Number(stuck))
		}
		if !t.watched {
			b.WriteString("; --limit=0 shows all")
		}
		b.WriteString("\n")
	}
	return b.String() + after
}

// after returns the lines after the users.
func (t *listTable) after(table *terminal.Table) string {
	var b strings.Builder
	for _, line := range notShown(table) {
		b.WriteString(line + "\n")
	}
	if !t.list.UsageKnown {
		b.WriteString("\n" + terminal.Wrap("Without usage rows, FREE is calculated from sessions alone. It misses cooling and leftover slots.", 0, 0, t.width) + "\n")
	}
	return b.String()
}

// fitting returns the number of users to show, beside a number of other lines.
func (t *listTable) fitting(others int) int {
	others++                       // how many more users there are
	if t.watched && t.height > 0 { // the terminal must not scroll
		fit := max(t.height-others, 1)
		if t.limit > 0 {
			fit = min(fit, t.limit)
		}
		return fit
	}
	return mostUsers(t.limit, t.height, others+2) // who answered, and the prompt
}

// mostUsers returns the maximum number of users in a table on a terminal, beside a number of
// other lines.
func mostUsers(limit, height, others int) int {
	switch {
	case limit > 0:
		return limit
	case limit == 0 || height == 0:
		return math.MaxInt
	}
	return max(height-others, minUsers)
}

// notShown returns the line about columns that are left out, if any.
func notShown(table *terminal.Table) []string {
	if len(table.LeftOut) == 0 {
		return nil
	}
	return []string{"The terminal is too narrow for " + strings.Join(table.LeftOut, ", ") + "."}
}

func countStuck(users []sessions.Listed) int {
	n := 0
	for i := range users {
		if isStuck(&users[i]) {
			n++
		}
	}
	return n
}

// isStuck returns whether the next login of a user is refused.
func isStuck(user *sessions.Listed) bool {
	return user.Unlicensed != "" || user.EffectiveHeadroom != nil && *user.EffectiveHeadroom <= 0
}

func (t *listTable) colorOf(user *sessions.Listed) string {
	if !t.color {
		return ""
	}
	color := ""
	switch {
	case isStuck(user):
		color = red
	case user.EffectiveHeadroom != nil && *user.EffectiveHeadroom == 1:
		color = yellow
	}
	if t.changed[user.User()] != "" {
		color += bold
	}
	return color
}

func (t *listTable) columns(users []sessions.Listed) []terminal.Column {
	cells := func(cell func(*sessions.Listed) string) []string {
		all := make([]string, len(users))
		for i := range users {
			all[i] = cell(&users[i])
		}
		return all
	}
	columns := []terminal.Column{
		{Title: "FREE", Cells: cells(freeText)},
		{Title: "USER", Cells: cells(func(u *sessions.Listed) string { return text.Visible(u.User().String()) }), Cut: terminal.Middle, Enough: 24, Least: 18},
		{Title: "SESSIONS", Cells: cells(sessionsText), Short: cells(shortSessionsText)},
		{Title: "COOLING OR LEFT OVER", Cells: cells(withoutText), Optional: true},
		{Title: "LICENSE", Cells: cells(func(u *sessions.Listed) string { return text.Visible(strings.ReplaceAll(u.License, "_", " ")) }), Cut: terminal.End, Enough: 12, Least: 9, Optional: true},
		{Title: "IDLE", Cells: cells(t.idleText), Optional: true},
		{Title: "NEXT SLOT BY", Cells: cells(t.nextText), Short: cells(t.shortNextText)},
		{Title: "WHERE", Cells: cells(func(u *sessions.Listed) string { return where(u.Places, text.Number) }), Cut: terminal.End, Enough: 24, Least: 12, Optional: true},
	}
	if slices.ContainsFunc(t.list.Users, func(u sessions.Listed) bool { return t.refusedText(&u) != "" }) {
		columns = append(columns, terminal.Column{Title: "REFUSED", Cells: cells(t.refusedText), Short: cells(t.shortRefusedText), Cut: terminal.End, Enough: 24, Least: 12})
	}
	if t.watched {
		columns = slices.Insert(columns, 0, terminal.Column{Title: "CHANGE", Cells: cells(func(u *sessions.Listed) string { return t.changed[u.User()] })})
	}
	return columns
}

func freeText(user *sessions.Listed) string {
	switch {
	case user.Unlicensed != "":
		return user.Unlicensed.Label()
	case user.EffectiveHeadroom != nil:
		return text.Number(max(*user.EffectiveHeadroom, 0)) // as on the page
	default:
		return "no limit"
	}
}

func withoutText(user *sessions.Listed) string {
	switch {
	case user.SlotsWithoutSession == nil:
		return "?"
	case *user.SlotsWithoutSession > 0:
		return text.Number(*user.SlotsWithoutSession)
	default:
		return ""
	}
}

func (t *listTable) idleText(user *sessions.Listed) string {
	if user.LastActivity.IsZero() {
		return ""
	}
	return text.Duration(t.at.Sub(user.LastActivity))
}

func (t *listTable) nextText(user *sessions.Listed) string {
	switch {
	case user.NextSlot.IsZero():
		return ""
	case t.watched:
		return text.Moment(user.NextSlot, t.at) + " (" + countdown(user.NextSlot.Sub(t.at)) + ")"
	default:
		return text.Coming(user.NextSlot, t.at)
	}
}

func (t *listTable) shortNextText(user *sessions.Listed) string {
	switch {
	case user.NextSlot.IsZero():
		return ""
	case t.watched:
		return countdown(user.NextSlot.Sub(t.at))
	default:
		return text.In(user.NextSlot, t.at)
	}
}

func (t *listTable) refusedText(user *sessions.Listed) string {
	return strings.TrimPrefix(user.RefusedText(t.at), "refused: ")
}

// shortRefusedText says of the time only how long ago it was, like IDLE.
func (t *listTable) shortRefusedText(user *sessions.Listed) string {
	refused := t.refusedText(user)
	comma, open := strings.LastIndex(refused, ", "), strings.LastIndex(refused, "(")
	if comma < 0 || open < comma {
		return refused
	}
	what := strings.ReplaceAll(refused[:comma], "too many sessions", "limit")
	return what + ", " + strings.TrimSuffix(strings.Trim(refused[open:], "()"), " ago")
}

// countdown returns a time to wait, such as "4:12".
func countdown(d time.Duration) string {
	if d <= 0 {
		return "now"
	}
	seconds := int((d + time.Second - 1) / time.Second) // it reaches 0:00 with the slot
	if hours := seconds / 3600; hours > 0 {
		return fmt.Sprintf("%d:%02d:%02d", hours, seconds/60%60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}

// shortSessionsText is sessionsText for a narrow terminal.
func shortSessionsText(user *sessions.Listed) string {
	count := text.Number(user.Sessions)
	if sessionsText(user) == count {
		return count
	}
	if with, slots := *user.SessionsWithSlot, *user.SlotsOfSessions; slots <= with {
		return count + ", " + text.Number(with) + " hold"
	}
	return count + ", " + text.Count(*user.SlotsOfSessions, "slot")
}

// where formats places as "/ qlik1 (2), /sales qlik2".
func where(places []sessions.Place, number func(int) string) string {
	var all []string
	for _, p := range places {
		place := text.Visible(p.VirtualProxy) + " " + text.Visible(p.Node)
		if p.Sessions > 1 {
			place += " (" + number(p.Sessions) + ")"
		}
		all = append(all, place)
	}
	return strings.Join(all, ", ")
}
