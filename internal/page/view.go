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

// view is what page.html shows.
type view struct {
	Sites   []choice
	Query   query
	Asked   moment
	State   sessions.State
	Summary string // in one sentence
	Full    int    // users without a slot
	Near    int    // users with one slot
	Users   int    // all
	Total   int    // sessions
	Limit   int
	Since   moment // what was there then is older than its age
	But     string // what the numbers rest on, where that is not as usual

	Filters  []filter
	Filtered bool // users may be left out
	Headers  []header

	Rows                       []rowView
	Matching                   int
	From, To                   int // of the matching
	Page, Pages                int
	Previous, Next             string // addresses; "" where there is none
	NoSlot, OneSlot, Everybody string // addresses
	Refresh                    string // address of what is shown
}

// header is the head of a column.
type header struct {
	Key, Name string
	URL       string // sorts by it; "" where that makes no sense
	Sorted    string // for aria-sort; "" if it is not
	Action    string // what the URL does
}

// moment is a time for people and for machines.
type moment struct{ Text, Machine string }

func newMoment(t, now time.Time) moment {
	return moment{text.Moment(t, now), t.In(now.Location()).Format(time.RFC3339)}
}

// newView arranges the rows of a snapshot.
func newView(snapshot *headroom.Snapshot, rows []sessions.Row, q query, serviceAccounts []qlik.User, now time.Time) *view {
	v := &view{
		Query: q,
		Asked: newMoment(snapshot.Time, now),
		State: sessions.NewState(snapshot),
		Users: len(rows),
		Total: len(snapshot.Sessions),
		Limit: snapshot.Limit,
		Since: newMoment(snapshot.Tracking.Since, now),
		But:   reservation(snapshot),

		Filters:  filters(snapshot.Links, q),
		Filtered: q.filtered(),
		Refresh:  q.url(),
	}
	var matching []*sessions.Row
	for i := range rows {
		row := &rows[i]
		switch slotsLeft(row) {
		case "0":
			v.Full++
		case "1":
			v.Near++
		}
		if q.admits(row) {
			matching = append(matching, row)
		}
	}
	v.Summary = summary(v)
	sortBy(matching, q.Sort)
	v.headers()
	v.paginate(len(matching))
	for _, row := range matching[v.From:v.To] {
		r := newRowView(row, snapshot, now)
		if r.NeverEnded = sessions.NeverEnded(row, serviceAccounts); r.NeverEnded == "" {
			r.Command = sessions.EndCommand(row.User, q.Site)
		}
		v.Rows = append(v.Rows, r)
	}
	v.From = min(v.From+1, v.To) // people count from 1
	return v
}

// summary is the title of the page.
func summary(v *view) string {
	if !v.State.Known {
		return "Nothing is known of the sessions"
	}
	if !v.State.Complete {
		return fmt.Sprintf("Incomplete: at least %s without a free slot", text.Count(v.Full, "user"))
	}
	return fmt.Sprintf("%s without a free slot, %d with one", text.Count(v.Full, "user"), v.Near)
}

// headers makes the heads of the columns, and the addresses that filter by free
// slots. All of them keep what else was asked for.
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

// paginate says which of the matching rows are on the page. A page beyond the
// last is the last: rows go while people turn pages.
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

// reservation says what the numbers rest on where that is not as usual.
func reservation(snapshot *headroom.Snapshot) string {
	switch {
	case !snapshot.UsageKnown:
		return "The usage rows of the repository are not known now: free slots are counted from sessions and cooling slots, " +
			"and how long users have been idle is not known."
	case !snapshot.UsagePlausible:
		return "The usage rows of the repository evidently do not reflect the sessions: free slots are counted from sessions and cooling slots."
	default:
		return ""
	}
}
