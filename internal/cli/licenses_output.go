package cli

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/licenses"
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

// writeLicensesTable writes a report for people.
func writeLicensesTable(out io.Writer, report *licenses.Report, all bool) error {
	var b bytes.Buffer
	b.WriteString(validity(report) + "\n")
	if len(report.Licenses) > 0 {
		b.WriteString("\n")
		writeTotals(&b, report)
	}
	if report.Tokens != nil || report.Capacity != nil || len(forecasts(report)) > 0 {
		b.WriteString("\n")
	}
	if t := report.Tokens; t != nil {
		fmt.Fprintf(&b, "Tokens: %s in total, %s for user access, %s for login access (%s used), %s in quarantine, %s available.\n",
			number(t.Total), number(t.UserAccess), number(t.LoginAccess), number(t.UsedLogins), number(t.Quarantined), number(t.Available))
	}
	if report.Capacity != nil {
		b.WriteString(capacityText(report.Capacity) + "\n")
	}
	for _, forecast := range forecasts(report) {
		b.WriteString(forecast + "\n")
	}
	b.WriteString("\n")
	switch {
	case len(report.Users) > 0:
		writeHolders(&b, report)
	case report.Hidden > 0:
	case all && report.Complete:
		b.WriteString("No user holds a license.\n")
	case all:
		b.WriteString("No user is known to hold a license.\n")
	case report.Certain():
		b.WriteString("No license of a user is wasted.\n")
	default:
		b.WriteString("No license of a user is known to be wasted.\n")
	}
	var notes bytes.Buffer
	_ = writeLicensesNotes(&notes, report) // into memory
	if notes.Len() > 0 && (len(report.Users) > 0 || report.Hidden == 0) {
		b.WriteString("\n")
	}
	b.Write(notes.Bytes())
	_, err := out.Write(b.Bytes())
	return err
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

// writeTotals writes the numbers of each license. Columns that say nothing are left out.
func writeTotals(b *bytes.Buffer, report *licenses.Report) {
	type column struct {
		name  string
		value func(*licenses.Total) string
		shown bool
	}
	unknown, costs := false, false
	for i := range report.Licenses {
		t := &report.Licenses[i]
		unknown = unknown || t.LastUseUnknown != nil && *t.LastUseUnknown > 0
		costs = costs || t.SeatCost != nil
	}
	columns := []column{
		{"LICENSE", func(t *licenses.Total) string { return t.License }, true},
		{"SEATS", func(t *licenses.Total) string { return seatsText(t, t.Seats) }, true},
		{"AVAILABLE", func(t *licenses.Total) string { return seatsText(t, t.Available) }, true},
		{"HELD", func(t *licenses.Total) string { return counted(t.Held) }, true},
		{"NEVER USED", func(t *licenses.Total) string { return counted(t.NeverUsed) }, true},
		{fmt.Sprintf("UNUSED FOR %d D", report.UnusedDays), func(t *licenses.Total) string { return counted(t.Unused) }, true},
		{"LAST USE UNKNOWN", func(t *licenses.Total) string { return counted(t.LastUseUnknown) }, unknown},
		{"USER LEFT", func(t *licenses.Total) string { return counted(t.Left) }, true},
		{"TWO LICENSES", func(t *licenses.Total) string { return counted(t.TwoLicenses) }, true},
		{"EXCESS", func(t *licenses.Total) string { return number(t.Excess) }, true},
		{"QUARANTINED", func(t *licenses.Total) string { return number(t.Quarantined) }, true},
		{"WASTED", func(t *licenses.Total) string { return counted(t.Wasted) }, true},
		{"COST", func(t *licenses.Total) string {
			switch {
			case t.SeatCost == nil:
				return "-"
			case t.WastedCost == nil:
				return "?"
			}
			return money(*t.WastedCost)
		}, costs},
	}
	var rows [][]string
	for i := -1; i < len(report.Licenses); i++ {
		var cells []string
		for _, c := range columns {
			switch {
			case !c.shown:
			case i < 0:
				cells = append(cells, c.name)
			default:
				cells = append(cells, c.value(&report.Licenses[i]))
			}
		}
		rows = append(rows, cells)
	}
	writeRows(b, rows)
}

// seatsText writes a number of seats. User access has tokens instead.
func seatsText(t *licenses.Total, n *float64) string {
	if t.License == qlik.LicenseUser {
		return "-"
	}
	return number(n)
}

// writeHolders writes one line for each access.
func writeHolders(b *bytes.Buffer, report *licenses.Report) {
	rows := [][]string{{"USER", "NAME", "LICENSE", "LAST USED", "NOT USED FOR", "FINDINGS", "WASTED"}}
	for i := range report.Users {
		h := &report.Users[i]
		used, idle, wasted := "?", "?", ""
		switch {
		case !h.HasAccess():
			used, idle = "-", "-"
		case h.NeverUsed != nil && *h.NeverUsed:
			used = "never"
		case !h.LastUsed.IsZero():
			used = text.Date(h.LastUsed)
		}
		if h.UnusedDays != nil {
			idle = fmt.Sprintf("%d d", *h.UnusedDays)
		}
		if h.Wasted {
			wasted = "yes"
		}
		rows = append(rows, []string{
			text.Visible(h.User().String()), text.Visible(h.Name), h.License, used, idle, strings.ReplaceAll(h.Text(", "), "_", " "), wasted,
		})
	}
	writeRows(b, rows)
}

func writeRows(b *bytes.Buffer, rows [][]string) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, cells := range rows {
		for i := range cells {
			cells[i] = cmp.Or(cells[i], "-")
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush() // into memory
}

// forecasts returns what runs out within a year.
func forecasts(report *licenses.Report) []string {
	const days = int(licenses.ForecastPeriod / (24 * time.Hour))
	var all []string
	for i := range report.Licenses {
		if t := &report.Licenses[i]; !t.RunsOut.IsZero() {
			all = append(all, fmt.Sprintf("The %s seats last until about %s if users get as many as in the last %d days (%d), and none is given back.",
				t.License, text.Date(t.RunsOut), days, *t.Lately))
		}
	}
	if t := report.Tokens; t != nil && !t.RunsOut.IsZero() {
		all = append(all, fmt.Sprintf("The tokens last until about %s if as many users get access as in the last %d days (%d), and none loses it.",
			text.Date(t.RunsOut), days, *t.Lately))
	}
	return all
}

func capacityText(c *licenses.Capacity) string {
	words := fmt.Sprintf("Capacity: %s of %s minutes are used this month.", number(c.Used), number(c.Allocated))
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

// number writes a number that the repository may not say.
func number(n *float64) string {
	if n == nil {
		return "?"
	}
	return strconv.FormatFloat(*n, 'f', -1, 64)
}

func counted(n *int) string {
	if n == nil {
		return "?"
	}
	return strconv.Itoa(*n)
}

// money writes an amount, with cents if there are any.
func money(amount float64) string {
	decimals := 2
	if amount == math.Trunc(amount) {
		decimals = 0
	}
	return strconv.FormatFloat(amount, 'f', decimals, 64)
}
