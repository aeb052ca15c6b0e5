package sessions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// column is one of the table.
type column struct {
	Key, Name  string
	Order      string              // how sorting by it is called
	Reverse    string              // how the other way round is called
	Descending bool                // largest first, unless reversed
	compare    func(a, b *Row) int // ascending; nil where nothing is to be sorted
	unknown    func(row *Row) bool // those come last either way; nil where all is known
}

var columns = []column{
	{
		Key: "slots", Name: "Free slots", Order: "fewest free slots first", Reverse: "most free slots first",
		compare: func(a, b *Row) int { return cmp.Compare(a.EffectiveHeadroom, b.EffectiveHeadroom) },
		unknown: func(r *Row) bool { return !r.Limited },
	},
	{
		Key: "user", Name: "User", Order: "users from A to Z", Reverse: "users from Z to A",
		compare: func(a, b *Row) int { return a.User.Compare(b.User) },
	},
	{
		Key: "sessions", Name: "Sessions", Order: "most sessions first", Reverse: "fewest sessions first", Descending: true,
		compare: func(a, b *Row) int { return cmp.Compare(a.Sessions, b.Sessions) },
	},
	{Key: "where", Name: "Where"},
	{
		Key: "age", Name: "Oldest", Order: "oldest session first", Reverse: "youngest session first", Descending: true,
		compare: func(a, b *Row) int { return b.FirstSeen.Compare(a.FirstSeen) },
		unknown: func(r *Row) bool { return r.FirstSeen.IsZero() },
	},
	{
		Key: "idle", Name: "Idle", Order: "longest idle first", Reverse: "last active first", Descending: true,
		compare: func(a, b *Row) int { return b.LastActivity.Compare(a.LastActivity) },
		unknown: func(r *Row) bool { return r.LastActivity.IsZero() },
	},
	{
		Key: "licence", Name: "Licence", Order: "licences from A to Z", Reverse: "licences from Z to A",
		compare: func(a, b *Row) int { return strings.Compare(a.License, b.License) },
		unknown: func(r *Row) bool { return r.License == "" },
	},
	{
		Key: "next", Name: "Next slot", Order: "soonest next slot first", Reverse: "latest next slot first",
		compare: func(a, b *Row) int { return a.NextSlot.Compare(b.NextSlot) },
		unknown: func(r *Row) bool { return r.NextSlot.IsZero() },
	},
	{Key: "free", Name: "Free a slot"},
}

// sorted returns rows in the wanted order; equal ones stay in the order of Rows.
func sorted(rows []*Row, by string) {
	if by == columns[0].Key {
		return // as Rows does
	}
	key, reverse := strings.CutPrefix(by, "-")
	c := &columns[slices.IndexFunc(columns, func(c column) bool { return c.Key == key })]
	slices.SortStableFunc(rows, func(a, b *Row) int {
		if c.unknown != nil {
			switch ua, ub := c.unknown(a), c.unknown(b); {
			case ua && ub:
				return 0
			case ua:
				return 1
			case ub:
				return -1
			}
		}
		if c.Descending != reverse {
			a, b = b, a
		}
		return c.compare(a, b)
	})
}

// view is what page.html shows.
type view struct {
	Sites   []choice
	Query   pageQuery
	Asked   moment
	State   State
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

// choice is an option of a list, or a link.
type choice struct {
	Value, Text string
	Selected    bool
}

// filter is a list to choose from. The order is one, too, because a phone has no
// room for headers.
type filter struct {
	Name, Label string
	Choices     []choice
}

type header struct {
	Key, Name string
	URL       string // sorts by it; "" where that makes no sense
	Sorted    string // for aria-sort; "" if it is not
	Action    string // what the URL does
}

// moment is a time for people and for machines.
type moment struct{ Text, Machine string }

type rowView struct {
	Name          string // of the row, for the script
	Directory, ID string
	Anonymous     bool
	Level         string   // class: full, near, free or unlimited
	Slots         string   // "0 free"
	Meter         []string // classes of the slots, nil where they are too many to draw
	Sessions      string   // "5 of 5"
	Notes         []note
	Places        []placeView
	Age, Idle     string
	Licence       string
	Next          *moment
	In            string // until then
	NextUnknown   bool
	NeverEnded    string // what the user is, where its sessions are not ended
	Command       string // "" where the name is not safe to paste
}

type note struct{ Class, Text string }

type placeView struct {
	VirtualProxy, Node string
	Sessions           int
}

// newView arranges the rows of a snapshot.
func newView(snapshot *headroom.Snapshot, rows []Row, query pageQuery, serviceAccounts []qlik.User, now time.Time) *view {
	v := &view{
		Query: query,
		Asked: newMoment(snapshot.Time, now),
		State: NewState(snapshot),
		Users: len(rows),
		Total: len(snapshot.Sessions),
		Limit: snapshot.Limit,
		Since: newMoment(snapshot.Tracking.Since, now),
		But:   reservation(snapshot),

		Filtered: query.filtered(),
		Refresh:  query.url(),
	}
	var virtualProxies, nodes []string
	for i := range snapshot.Links {
		virtualProxies = append(virtualProxies, snapshot.Links[i].VirtualProxy)
		nodes = append(nodes, snapshot.Links[i].Node)
	}
	v.Filters = []filter{
		{"slots", "Free slots", []choice{
			{"", "Any", query.Slots == ""},
			{"near", "None or one", query.Slots == "near"},
			{"0", "None", query.Slots == "0"},
			{"1", "One", query.Slots == "1"},
		}},
		{"proxy", "Virtual proxy", choices(virtualProxies, query.VirtualProxy)},
		{"node", "Node", choices(nodes, query.Node)},
		{"sort", "Order", orders(query.Sort)},
	}

	var matching []*Row
	for i := range rows {
		row := &rows[i]
		switch slotsLeft(row) {
		case "0":
			v.Full++
		case "1":
			v.Near++
		}
		if query.admits(row) {
			matching = append(matching, row)
		}
	}
	v.Summary = summary(v)
	sorted(matching, query.Sort)
	v.headers()
	v.paginate(len(matching))
	for _, row := range matching[v.From:v.To] {
		r := newRowView(row, snapshot, now)
		if r.NeverEnded = NeverEnded(row, serviceAccounts); r.NeverEnded == "" {
			r.Command = EndCommand(row.User, query.Site)
		}
		v.Rows = append(v.Rows, r)
	}
	v.From = min(v.From+1, v.To) // people count from 1
	return v
}

func summary(v *view) string {
	if !v.State.Known {
		return "Nothing is known of the sessions"
	}
	if !v.State.Complete {
		return fmt.Sprintf("Incomplete: at least %s without a free slot", text.Count(v.Full, "user"))
	}
	return fmt.Sprintf("%s without a free slot, %d with one", text.Count(v.Full, "user"), v.Near)
}

// headers and addresses keep what else was asked for.
func (v *view) headers() {
	to := func(change func(q *pageQuery)) string {
		q := v.Query
		q.Page = 0
		change(&q)
		return q.url()
	}
	v.NoSlot = to(func(q *pageQuery) { q.Slots = "0" })
	v.OneSlot = to(func(q *pageQuery) { q.Slots = "1" })
	v.Everybody = to(func(q *pageQuery) { *q = pageQuery{Site: q.Site, Sort: q.Sort} })
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
		h.URL, h.Action = to(func(q *pageQuery) { q.Sort = wanted }), action
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

// choices are the values of a filter. One that is not there any more can still
// be chosen.
func choices(values []string, selected string) []choice {
	if selected != "" {
		values = append(values, selected)
	}
	slices.Sort(values)
	all := []choice{{"", "All", selected == ""}}
	for _, value := range slices.Compact(values) {
		all = append(all, choice{value, text.Visible(value), value == selected})
	}
	return all
}

// orders are the ways to sort.
func orders(selected string) []choice {
	var all []choice
	for _, c := range columns {
		if c.compare != nil {
			all = append(all, choice{c.Key, c.Order, c.Key == selected}, choice{"-" + c.Key, c.Reverse, "-"+c.Key == selected})
		}
	}
	return all
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

// maxDrawn is up to how many slots are drawn.
const maxDrawn = 10

func newRowView(row *Row, snapshot *headroom.Snapshot, now time.Time) rowView {
	r := rowView{
		Name:      text.Visible(row.User.String()),
		Directory: text.Visible(row.User.Directory),
		ID:        text.Visible(row.User.ID),
		Anonymous: row.User == qlik.AnonymousUser,
		Level:     "unlimited",
		Sessions:  fmt.Sprint(row.Sessions),
		Licence:   strings.ReplaceAll(row.License, "_", " "),
	}
	for _, p := range row.Places {
		r.Places = append(r.Places, placeView{text.Visible(p.VirtualProxy), text.Visible(p.Node), p.Sessions})
	}
	if !row.FirstSeen.IsZero() {
		r.Age = text.Duration(now.Sub(row.FirstSeen))
		if !row.FirstSeen.After(snapshot.Tracking.Since) {
			r.Age = "≥ " + r.Age
		}
	}
	if !row.LastActivity.IsZero() {
		r.Idle = text.Duration(now.Sub(row.LastActivity))
	}
	if !row.Limited {
		return r
	}

	r.Slots = fmt.Sprintf("%d free", max(row.EffectiveHeadroom, 0))
	r.Sessions = fmt.Sprintf("%d of %d", row.Sessions, snapshot.Limit)
	r.Meter = meter(row, snapshot.Limit)
	switch slotsLeft(row) {
	case "0":
		r.Level = "full"
		if r.NextUnknown = row.NextSlot.IsZero(); !r.NextUnknown {
			next := newMoment(row.NextSlot, now)
			r.Next, r.In = &next, "in "+text.Duration(row.NextSlot.Sub(now))
		}
	case "1":
		r.Level = "near"
	default:
		r.Level = "free"
	}
	if row.Sessions > snapshot.Limit {
		r.Notes = append(r.Notes, note{"over", fmt.Sprintf("%d over the limit", row.Sessions-snapshot.Limit)})
	}
	if row.CoolingSlots > 0 {
		r.Notes = append(r.Notes, note{"cooling", fmt.Sprintf("%d cooling", row.CoolingSlots)})
	}
	// Usage rows may know of fewer slots than there are sessions, or of more.
	taken, counted := snapshot.Limit-row.EffectiveHeadroom, row.Sessions+row.CoolingSlots
	if taken != counted && taken != min(counted, snapshot.Limit) {
		r.Notes = append(r.Notes, note{"rows", text.Count(taken, "slot") + " taken"})
	}
	return r
}

// meter draws the slots of a user: taken, cooling and open.
func meter(row *Row, limit int) []string {
	if limit > maxDrawn {
		return nil
	}
	slots := make([]string, limit)
	taken := limit - row.EffectiveHeadroom
	for i := range slots {
		switch {
		case i >= taken:
			slots[i] = "open"
		case i >= taken-row.CoolingSlots:
			slots[i] = "cooling"
		default:
			slots[i] = "taken"
		}
	}
	return slots
}

func newMoment(t, now time.Time) moment {
	return moment{text.Moment(t, now), t.In(now.Location()).Format(time.RFC3339)}
}
