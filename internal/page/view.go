package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const rowsPerPage = 100

// view is the data of page.html.
type view struct {
	Sites   []choice
	Query   query
	ReadAt  moment
	State   sessions.State
	Summary string // one sentence
	Icon    iconView
	Full    int    // users without a free slot
	Near    int    // users with one free slot
	Users   int    // all users
	Total   int    // all sessions
	Limit   int    // session limit
	Since   moment // start of tracking; sessions that existed then are older than their age
	Program string // words that start the program in commands
	Caveat  string // why free slots are computed differently than usual; "" if they are not

	Filters  []filter
	Filtered bool // the filter may exclude users
	Headers  []header

	Rows                       []rowView
	Matching                   int // users that match the filter
	From, To                   int // range of the matching users on this page
	Page, Pages                int
	Previous, Next             string // URLs; "" if there is no such page
	NoSlot, OneSlot, Everybody string // URLs
	Refresh                    string // URL of this page
	Found, FindURL             string // text of the filter, and URL of the search for it; "" without one
}

// header is the header of a column.
type header struct {
	Key, Name string
	URL       string // sorts by the column; "" if the column cannot be sorted
	Sorted    string // value of aria-sort; "" if the rows are not sorted by the column
	Action    string // description of the URL
}

// moment is a time as text for people and in RFC 3339 for machines.
type moment struct{ Text, Machine string }

func newMoment(t, now time.Time) moment {
	return moment{text.Moment(t, now), t.In(now.Location()).Format(time.RFC3339)}
}

// newView returns the view of a snapshot and its rows.
func newView(snapshot *headroom.Snapshot, rows []sessions.Row, q query, serviceAccounts []qlik.User, program string, now time.Time) *view {
	v := &view{
		Query:   q,
		ReadAt:  newMoment(snapshot.Time, now),
		State:   sessions.NewState(snapshot),
		Users:   len(rows),
		Total:   len(snapshot.Sessions),
		Limit:   snapshot.Limit,
		Since:   newMoment(snapshot.Tracking.Since, now),
		Program: program,
		Caveat:  caveat(snapshot),

		Filters:  filters(snapshot.Links, q),
		Filtered: q.filtered(),
		Refresh:  q.url(),
	}
	if q.Text != "" {
		v.Found, v.FindURL = text.Visible(q.Text), findURL(q.Text, q.Site)
	}
	lower := strings.ToLower(q.Text)
	var matching []*sessions.Row
	for i := range rows {
		row := &rows[i]
		switch slotsLeft(row) {
		case "0":
			v.Full++
		case "1":
			v.Near++
		}
		if q.matches(row, lower) {
			matching = append(matching, row)
		}
	}
	v.Summary = summary(v)
	sortBy(matching, q.Sort)
	v.headers()
	v.paginate(len(matching))
	for _, row := range matching[v.From:v.To] {
		r := newRowView(row, snapshot, now)
		if row.User != qlik.AnonymousUser {
			r.URL = userURL(row.User, q.Site)
		}
		if r.NeverEnded = sessions.NeverEnded(row, serviceAccounts); r.NeverEnded == "" && r.Advice == "" {
			r.Command = sessions.EndCommand(program, row.User, q.Site)
		}
		v.Rows = append(v.Rows, r)
	}
	v.From = min(v.From+1, v.To) // the page counts from 1
	return v
}

// summary returns the title of the page.
func summary(v *view) string {
	if !v.State.Known {
		return "No session data available"
	}
	if !v.State.Complete {
		return fmt.Sprintf("Incomplete: at least %s without a free slot", text.Count(v.Full, "user"))
	}
	return fmt.Sprintf("%s without a free slot, %d with one", text.Count(v.Full, "user"), v.Near)
}

// headers sets the column headers and the URLs that filter by free slots. Each URL
// changes one part of the query and keeps the rest.
func (v *view) headers() {
	to := func(change func(q *query)) string {
		q := v.Query
		q.Page = 0
		change(&q)
		return q.url()
	}
	v.NoSlot = to(func(q *query) { q.Slots = "0" })
	v.OneSlot = to(func(q *query) { q.Slots = "1" })
	v.Everybody = to(func(q *query) { *q = query{Site: q.Site, Sort: q.Sort} })
	by, reverse := strings.CutPrefix(v.Query.Sort, "-")
	for _, c := range columns {
		h := header{Key: c.Key, Name: c.Name}
		if c.compare == nil {
			v.Headers = append(v.Headers, h)
			continue
		}
		wanted, action := c.Key, c.Order
		if by == c.Key {
			h.Sorted = "ascending"
			if c.Descending != reverse {
				h.Sorted = "descending"
			}
			if !reverse {
				wanted, action = "-"+c.Key, c.Reverse
			}
		}
		h.URL, h.Action = to(func(q *query) { q.Sort = wanted }), action
		v.Headers = append(v.Headers, h)
	}
}

// paginate selects the matching rows of the page. A page number beyond the last page
// means the last page, because rows can disappear between two requests.
func (v *view) paginate(matching int) {
	v.Matching = matching
	v.Pages = max(1, (matching+rowsPerPage-1)/rowsPerPage)
	v.Page = min(max(v.Query.Page, 1), v.Pages)
	v.From = (v.Page - 1) * rowsPerPage
	v.To = min(v.From+rowsPerPage, matching)
	q := v.Query
	if v.Page > 1 {
		q.Page = v.Page - 1
		v.Previous = q.url()
	}
	if v.Page < v.Pages {
		q.Page = v.Page + 1
		v.Next = q.url()
	}
}

// caveat returns why free slots are computed differently than usual, or "" if they
// are not.
func caveat(snapshot *headroom.Snapshot) string {
	switch {
	case !snapshot.UsageKnown:
		return "The usage rows of the repository are currently unknown. Free slots are computed from sessions and cooling slots, " +
			"and idle times are unknown."
	case !snapshot.UsagePlausible:
		return "The usage rows of the repository do not match the sessions. Free slots are computed from sessions and cooling slots instead."
	default:
		return ""
	}
}
