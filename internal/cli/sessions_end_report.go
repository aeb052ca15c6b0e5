package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/terminal"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// show prints the user's sessions and the planned action for each.
func (c *openSite) show(row *sessions.Row, plan *ending.Plan, snapshot *headroom.Snapshot) error {
	listed := sessions.NewListed(row, snapshot)
	heading := text.Visible(row.User.String()) + ": " + free(row.EffectiveHeadroom)
	if slots := withoutSession(&listed); slots > 0 {
		heading += fmt.Sprintf(", %d cooling or left over", slots)
	}
	heading += "; sessions: " + sessionsText(&listed)
	if row.License != "" {
		heading += "; license: " + strings.ReplaceAll(row.License, "_", " ")
	}
	if len(plan.Sessions) == 0 {
		return c.printf("%s\n", heading)
	}
	columns, _ := terminal.Size(c.Out)
	table := terminal.NewTable(planColumns(plan, snapshot.Time, listed.SessionsWithSlot != nil), columns)
	return c.printf("%s\n\n%s\n\n", terminal.Wrap(heading, 0, 0, columns), strings.Join(slices.Concat(table.Header, table.Rows), "\n"))
}

// planColumns returns one line for each session of a plan.
func planColumns(plan *ending.Plan, now time.Time, slotsKnown bool) []terminal.Column {
	cells := func(cell func(*ending.PlannedSession) string) []string {
		all := make([]string, len(plan.Sessions))
		for i := range plan.Sessions {
			all[i] = cell(&plan.Sessions[i])
		}
		return all
	}
	return []terminal.Column{
		{Cells: cells(func(s *ending.PlannedSession) string { return map[bool]string{true: "end", false: "keep"}[s.Ends()] })},
		{Title: "VIRTUAL PROXY", Cells: cells(func(s *ending.PlannedSession) string { return text.Visible(s.Link.VirtualProxy) }), Cut: terminal.Middle, Least: 14},
		{Title: "NODE", Cells: cells(func(s *ending.PlannedSession) string { return text.Visible(s.Link.Node) }), Cut: terminal.Middle, Least: 14},
		{Title: "LAST ACTIVE", Cells: cells(func(s *ending.PlannedSession) string {
			if s.LastActivity.IsZero() {
				return "unknown"
			}
			return text.Duration(now.Sub(s.LastActivity)) + " ago"
		})},
		{Title: "HOLDS A SLOT", Cells: cells(func(s *ending.PlannedSession) string {
			if !slotsKnown {
				return "unknown"
			}
			return map[bool]string{true: "yes", false: "no"}[s.HoldsSlot]
		})},
	}
}

// sayWait prints that waiting is better than ending sessions.
func (c *openSite) sayWait(row *sessions.Row, plan *ending.Plan, snapshot *headroom.Snapshot) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Nothing to end. Wait until %s: a slot becomes free by itself", text.Coming(plan.Wait, snapshot.Time))
	if listed := sessions.NewListed(row, snapshot); withoutSession(&listed) > 0 {
		b.WriteString(", unless it is left over")
	}
	b.WriteString(".")
	if len(plan.Sessions) > 0 {
		b.WriteString(" Ending a session now would not free one sooner.\nTo end sessions anyway, choose them with --all, --keep, --idle-for, --virtual-proxy, or --node.")
	}
	return c.printf("%s\n", b.String())
}

// report prints the results and what the user can do now.
func (c *openSite) report(outcome *ending.Outcome) error {
	after, user := outcome.After, outcome.Plan.User
	unread := noData(sessions.NewList(after, nil))
	failed := outcome.Of(ending.Failed)
	var b strings.Builder
	fmt.Fprintf(&b, "Ended %s of %s", text.Count(len(outcome.Of(ending.Ended)), "session"), text.Visible(user.String()))
	if gone := len(outcome.Of(ending.AlreadyGone)); gone > 0 {
		fmt.Fprintf(&b, "; %d had already ended", gone)
	}
	b.WriteString(".\n")
	for _, r := range outcome.Of(ending.LeftAlone) {
		fmt.Fprintf(&b, "Not ended: %s: %s.\n", place(r.Link), r.Left)
	}
	for _, r := range failed {
		fmt.Fprintf(&b, "Failed: %s: %s\n", place(r.Link), text.Visible(r.Err.Error()))
	}
	if unread != nil {
		fmt.Fprintf(&b, "The user's free slots are unknown: %s\n", text.Visible(unread.Error()))
	} else {
		outlook(&b, outcome)
	}
	if err := c.printf("%s", b.String()); err != nil {
		return err
	}
	if len(failed) > 0 || !after.Complete() {
		return ErrIncomplete
	}
	return nil
}

// outlook prints which sessions keep working, and when the user can start a new one.
func outlook(b *strings.Builder, outcome *ending.Outcome) {
	after := outcome.After
	began, usageKnown := 0, sessions.NewList(after, nil).UsageKnown
	for _, session := range sessions.OfUser(outcome.Plan.User, after) {
		switch {
		case !slices.ContainsFunc(outcome.Plan.Sessions, func(s ending.PlannedSession) bool { return s.ID == session.ID }):
			began++
		case session.HoldsSlot:
			fmt.Fprintf(b, "The session on %s keeps working.\n", place(session.Link))
		case usageKnown:
			fmt.Fprintf(b, "The session on %s holds no slot. It works as soon as a slot is free.\n", place(session.Link))
		default:
			fmt.Fprintf(b, "The session on %s keeps working, unless it was refused before.\n", place(session.Link))
		}
	}
	if began > 0 {
		fmt.Fprintf(b, "Not ended: %s that started in the meantime.\n", text.Count(began, "session"))
	}
	row := outcome.Row()
	next := text.Coming(row.NextSlot, after.Time)
	listed := sessions.NewListed(row, after)
	without := withoutSession(&listed)
	switch {
	case row.License == qlik.LicenseNone:
		b.WriteString("The user holds no license, so the limit does not apply.\n")
		return
	case row.EffectiveHeadroom > 0:
		fmt.Fprintf(b, "The user can start a new session now: %s.\n", free(row.EffectiveHeadroom))
	case row.NextSlot.IsZero():
		b.WriteString("The user cannot start a new session now. It is unknown when this will be possible.\n")
	case row.CoolingSlots > 0 && row.CoolingSlots >= without:
		fmt.Fprintf(b, "The user can start a new session from %s on. Until then, slots that were freed at the limit stay taken.\n", next)
	case without > 0:
		fmt.Fprintf(b, "The user can start a new session at %s at the latest, unless slots are left over. Slots taken without a session: %d.\n", next, without)
	default:
		fmt.Fprintf(b, "The user can start a new session at %s at the latest, when a session has timed out.\n", next)
	}
	if !usageKnown {
		b.WriteString("Without usage rows, this is calculated from sessions alone. It misses slots that were freed earlier or are left over.\n")
	}
}

// free returns a text with the number of free slots.
func free(slots int) string {
	switch {
	case slots <= 0:
		return "no slot is free"
	case slots == 1:
		return "1 slot is free"
	default:
		return text.Count(slots, "slot") + " are free"
	}
}

// place describes a session by its location, without its id.
func place(link *qlik.Link) string {
	return text.Visible(link.VirtualProxy) + " at " + text.Visible(link.Node)
}
