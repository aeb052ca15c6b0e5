package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/number"

	"github.com/qlik-exporter/qlik_exporter/internal/licenses"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func writeLicensesJSON(out io.Writer, report *licenses.Report) error {
	document, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text.EscapeJSON(document))
	return err
}

// writeLicensesCSV writes one line for each access. What is unknown is empty.
func writeLicensesCSV(out io.Writer, report *licenses.Report) error {
	w := csv.NewWriter(out)
	_ = w.Write([]string{ // w.Error returns any error
		"user_directory", "user_id", "name", "license", "allocated", "last_used", "never_used", "unused_days", "excess", "quarantined",
		"quarantine_end", "user_state", "last_refused", "findings", "wasted", "wasted_cost",
	})
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	is := func(b *bool) string {
		if b == nil {
			return ""
		}
		return strconv.FormatBool(*b)
	}
	for i := range report.Users {
		h := &report.Users[i]
		days, cost := "", ""
		if h.UnusedDays != nil {
			days = strconv.Itoa(*h.UnusedDays)
		}
		if h.Cost != nil {
			cost = money(*h.Cost)
		}
		_ = w.Write([]string{
			text.Cell(h.Directory), text.Cell(h.ID), text.Cell(h.Name), h.License, at(h.Allocated), at(h.LastUsed), is(h.NeverUsed), days, is(h.Excess), is(h.Quarantined),
			at(h.QuarantineEnd), string(h.UserState), at(h.LastRefused), h.Text(" "), strconv.FormatBool(h.Wasted), cost,
		})
	}
	w.Flush()
	return w.Error()
}

// licensesTable is a report for people.
type licensesTable struct {
	report *licenses.Report
	all    bool // not only users with a finding

	width, height int // of the terminal; 0 for none
	limit         int // maximum number of users; 0 for all, or noLimit
}

// text returns the lines of the report.
func (t *licensesTable) text() string {
	report := t.report
	before := []string{validity(report)}
	if len(report.Licenses) > 0 {
		totals := terminal.NewTable(totalsColumns(report), t.width)
		before = append(before, "")
		before = append(before, totals.Header...)
		before = append(before, totals.Rows...)
		before = append(before, notShown(totals)...)
	}
	if report.Tokens != nil || report.Capacity != nil || len(forecasts(report)) > 0 {
		before = append(before, "")
	}
	if t := report.Tokens; t != nil {
		before = append(before, fmt.Sprintf("Tokens: %s in total, %s for user access, %s for login access (%s used), %s in quarantine, %s available.",
			decimal(t.Total), decimal(t.UserAccess), decimal(t.LoginAccess), decimal(t.UsedLogins), decimal(t.Quarantined), decimal(t.Available)))
	}
	if report.Capacity != nil {
		before = append(before, capacityText(report.Capacity))
	}
	before = append(before, forecasts(report)...)
	before = append(before, "")

	var notes []string
	var text strings.Builder
	_ = writeLicensesNotes(&text, report) // into memory
	if text.Len() > 0 {
		notes = strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	}
	if len(notes) > 0 && (len(report.Users) > 0 || report.Hidden == 0) {
		notes = append([]string{""}, notes...)
	}
	before, notes = wrapped(before, t.width), wrapped(notes, t.width)
	return strings.Join(slices.Concat(before, t.users(len(before)+len(notes)), notes), "\n") + "\n"
}

// wrapped breaks the lines that are wider than the terminal. Lines of tables are not.
func wrapped(lines []string, width int) []string {
	var all []string
	for _, line := range lines {
		all = append(all, strings.Split(terminal.Wrap(line, 0, 0, width), "\n")...)
	}
	return all
}

// users returns the lines about users, beside a number of other lines.
func (t *licensesTable) users(others int) []string {
	report := t.report
	switch {
	case len(report.Users) > 0:
		table := terminal.NewTable(holdersColumns(report.Users), t.width)
		others += len(table.Header) + len(notShown(table)) + 2 // how many more there are, and the prompt
		shown := report.Users
		if most := mostUsers(t.limit, t.height, others); most < len(shown) {
			shown = shown[:most]
			table = terminal.NewTable(holdersColumns(shown), t.width)
		}
		lines := slices.Concat(table.Header, table.Rows)
		if more := len(report.Users) - len(shown); more > 0 {
			lines = append(lines, fmt.Sprintf("... and %s; --limit=0 shows all", text.Count(more, "more line")))
		}
		return append(lines, notShown(table)...)
	case report.Hidden > 0:
		return nil
	case t.all && report.Complete:
		return []string{"No user holds a license."}
	case t.all:
		return []string{"No user is known to hold a license."}
	case report.Certain():
		return []string{"No license of a user is wasted."}
	default:
		return []string{"No license of a user is known to be wasted."}
	}
}

// writeLicensesNotes writes what is missing from a report.
func writeLicensesNotes(out io.Writer, report *licenses.Report) error {
	var b strings.Builder
	if report.Hidden > 0 {
		fmt.Fprintf(&b, "%s not shown, because the setting user-labels hides names. --names shows them.\n", text.Count(report.Hidden, "line"))
	}
	if !report.RefusalsKnown {
		b.WriteString("Who was refused for want of a license is unknown, because no audit log is read.\n")
	}
	for _, end := range report.EndsUnread {
		fmt.Fprintf(&b, "The end of the license is unknown, because %s: look it up in the QMC under License management.\n", text.Visible(end))
	}
	for _, left := range report.LeftOut {
		fmt.Fprintf(&b, "Left out, because it cannot be read: %s (%d)\n", left.What, left.Times)
	}
	if !report.Complete {
		fmt.Fprintf(&b, "Incomplete: this could not be read: %s.\n", strings.Join(report.Unread, ", "))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func validity(report *licenses.Report) string {
	words := "The repository does not say whether the license is valid."
	switch {
	case report.Problem != "":
		words = "The license is not valid: " + text.Visible(report.Problem) + "."
	case report.Valid != nil:
		words = "The license is valid."
	}
	if !report.Ends.IsZero() {
		is := "is"
		if !report.Ends.After(report.Time) {
			is = "was"
		}
		words += fmt.Sprintf(" Its last day %s %s.", is, text.Date(report.Ends.AddDate(0, 0, -1)))
	}
	return words
}

// totalsColumns returns the numbers of each license. Columns that say nothing are left out.
func totalsColumns(report *licenses.Report) []terminal.Column {
	type column struct {
		name     string
		value    func(*licenses.Total) string
		shown    bool
		optional bool // on a narrow terminal
	}
	unknown, costs := false, false
	for i := range report.Licenses {
		t := &report.Licenses[i]
		unknown = unknown || t.LastUseUnknown != nil && *t.LastUseUnknown > 0
		costs = costs || t.SeatCost != nil
	}
	columns := []column{
		{"LICENSE", func(t *licenses.Total) string { return t.License }, true, false},
		{"SEATS", func(t *licenses.Total) string { return seatsText(t, t.Seats) }, true, false},
		{"AVAILABLE", func(t *licenses.Total) string { return seatsText(t, t.Available) }, true, false},
		{"HELD", func(t *licenses.Total) string { return counted(t.Held) }, true, false},
		{"NEVER USED", func(t *licenses.Total) string { return counted(t.NeverUsed) }, true, false},
		{fmt.Sprintf("UNUSED FOR %d D", report.UnusedDays), func(t *licenses.Total) string { return counted(t.Unused) }, true, false},
		{"LAST USE UNKNOWN", func(t *licenses.Total) string { return counted(t.LastUseUnknown) }, unknown, true},
		{"USER LEFT", func(t *licenses.Total) string { return counted(t.Left) }, true, true},
		{"TWO LICENSES", func(t *licenses.Total) string { return counted(t.TwoLicenses) }, true, true},
		{"EXCESS", func(t *licenses.Total) string { return decimal(t.Excess) }, true, true},
		{"QUARANTINED", func(t *licenses.Total) string { return decimal(t.Quarantined) }, true, true},
		{"WASTED", func(t *licenses.Total) string { return counted(t.Wasted) }, true, false},
		{"COST", func(t *licenses.Total) string {
			switch {
			case t.SeatCost == nil:
				return "-"
			case t.WastedCost == nil:
				return "?"
			}
			return amount(*t.WastedCost)
		}, costs, false},
	}
	var shown []terminal.Column
	for _, c := range columns {
		if !c.shown {
			continue
		}
		of := terminal.Column{Title: c.name, Optional: c.optional}
		for i := range report.Licenses {
			of.Cells = append(of.Cells, c.value(&report.Licenses[i]))
		}
		shown = append(shown, of)
	}
	return shown
}

// seatsText writes a number of seats. User access has tokens instead.
func seatsText(t *licenses.Total, n *float64) string {
	if t.License == qlik.LicenseUser {
		return "-"
	}
	return decimal(n)
}

// holdersColumns returns one line for each access.
func holdersColumns(holders []licenses.Holder) []terminal.Column {
	cells := func(cell func(*licenses.Holder) string) []string {
		all := make([]string, len(holders))
		for i := range holders {
			all[i] = cell(&holders[i])
		}
		return all
	}
	return []terminal.Column{
		{Title: "USER", Cells: cells(func(h *licenses.Holder) string { return text.Visible(h.User().String()) }), Cut: terminal.Middle, Enough: 24, Least: 14},
		{Title: "NAME", Cells: cells(func(h *licenses.Holder) string { return text.Visible(h.Name) }), Cut: terminal.End, Enough: 20, Least: 10, Optional: true},
		{Title: "LICENSE", Cells: cells(func(h *licenses.Holder) string { return h.License })},
		{Title: "LAST USED", Cells: cells(func(h *licenses.Holder) string {
			switch {
			case !h.HasAccess():
				return ""
			case h.NeverUsed != nil && *h.NeverUsed:
				return "never"
			case !h.LastUsed.IsZero():
				return text.Date(h.LastUsed)
			}
			return "?"
		})},
		{Title: "NOT USED FOR", Cells: cells(func(h *licenses.Holder) string {
			switch {
			case h.UnusedDays != nil:
				return text.Number(*h.UnusedDays) + " d"
			case !h.HasAccess():
				return ""
			}
			return "?"
		})},
		{Title: "FINDINGS", Cells: cells(func(h *licenses.Holder) string { return strings.ReplaceAll(h.Text(", "), "_", " ") }), Cut: terminal.End, Enough: 30, Least: 14},
		{Title: "WASTED", Cells: cells(func(h *licenses.Holder) string {
			if h.Wasted {
				return "yes"
			}
			return ""
		})},
	}
}

// forecasts returns what runs out within a year.
func forecasts(report *licenses.Report) []string {
	const days = int(licenses.ForecastPeriod / (24 * time.Hour))
	var all []string
	for i := range report.Licenses {
		if t := &report.Licenses[i]; !t.RunsOut.IsZero() {
			all = append(all, fmt.Sprintf("The %s seats last until about %s if users get as many as in the last %d days (%s), and none is given back.",
				t.License, text.Date(t.RunsOut), days, text.Number(*t.Lately)))
		}
	}
	if t := report.Tokens; t != nil && !t.RunsOut.IsZero() {
		all = append(all, fmt.Sprintf("The tokens last until about %s if as many users get access as in the last %d days (%s), and none loses it.",
			text.Date(t.RunsOut), days, text.Number(*t.Lately)))
	}
	return all
}

func capacityText(c *licenses.Capacity) string {
	words := fmt.Sprintf("Capacity: %s of %s minutes are used this month.", decimal(c.Used), decimal(c.Allocated))
	reset := c.Resets.Format(time.DateOnly)
	switch c.Forecast {
	case licenses.UsedUp:
		words += " It is used up until the reset on " + reset + "."
	case licenses.RunsOut:
		words += fmt.Sprintf(" At the rate of this month it runs out on %s, before the reset on %s.", c.RunsOut.In(c.Resets.Location()).Format(time.DateOnly), reset)
	case licenses.Lasts:
		words += " At the rate of this month it lasts until the reset on " + reset + "."
	}
	return words
}

// decimal writes a number that the repository may not say.
func decimal(n *float64) string {
	if n == nil {
		return "?"
	}
	return text.Decimal(*n)
}

func counted(n *int) string {
	if n == nil {
		return "?"
	}
	return text.Number(*n)
}

// amount writes money for people, with cents if there are any.
func amount(money float64) string {
	if money == math.Trunc(money) {
		return text.Decimal(money)
	}
	return text.Decimal(money, number.Scale(2))
}

// money writes an amount for programs, with cents if there are any.
func money(amount float64) string {
	decimals := 2
	if amount == math.Trunc(amount) {
		decimals = 0
	}
	return strconv.FormatFloat(amount, 'f', decimals, 64)
}
