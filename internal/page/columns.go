package page

import (
	"cmp"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
)

// column is a column of the table.
type column struct {
	Key, Name  string
	Order      string                       // name of the sort order
	Reverse    string                       // name of the reverse order
	Descending bool                         // the sort order is largest first
	compare    func(a, b *sessions.Row) int // ascending; nil if the column cannot be sorted
	unknown    func(row *sessions.Row) bool // rows without a value come last in both orders; nil if every row has one
}

// columns are the columns in the order of the table. Rows are sorted by the first one
// by default.
var columns = []column{
	{
		Key: "slots", Name: "Free slots", Order: "fewest free slots first", Reverse: "most free slots first",
		compare: func(a, b *sessions.Row) int { return cmp.Compare(a.EffectiveHeadroom, b.EffectiveHeadroom) },
		unknown: func(r *sessions.Row) bool { return !r.Limited },
	},
	{
		Key: "user", Name: "User", Order: "users from A to Z", Reverse: "users from Z to A",
		compare: func(a, b *sessions.Row) int { return a.User.Compare(b.User) },
	},
	{
		Key: "sessions", Name: "Sessions", Order: "most sessions first", Reverse: "fewest sessions first", Descending: true,
		compare: func(a, b *sessions.Row) int { return cmp.Compare(a.Sessions, b.Sessions) },
	},
	{Key: "where", Name: "Where"},
	{
		Key: "age", Name: "Oldest", Order: "oldest session first", Reverse: "newest session first", Descending: true,
		compare: func(a, b *sessions.Row) int { return b.FirstSeen.Compare(a.FirstSeen) },
		unknown: func(r *sessions.Row) bool { return r.FirstSeen.IsZero() },
	},
	{
		Key: "idle", Name: "Idle", Order: "longest idle first", Reverse: "most recently active first", Descending: true,
		compare: func(a, b *sessions.Row) int { return b.LastActivity.Compare(a.LastActivity) },
		unknown: func(r *sessions.Row) bool { return r.LastActivity.IsZero() },
	},
	{
		Key: "license", Name: "License", Order: "licenses from A to Z", Reverse: "licenses from Z to A",
		compare: func(a, b *sessions.Row) int { return strings.Compare(a.License, b.License) },
		unknown: func(r *sessions.Row) bool { return r.License == "" },
	},
	{
		Key: "next", Name: "Next slot", Order: "soonest next slot first", Reverse: "latest next slot first",
		compare: func(a, b *sessions.Row) int { return a.NextSlot.Compare(b.NextSlot) },
		unknown: func(r *sessions.Row) bool { return r.NextSlot.IsZero() },
	},
	{Key: "free", Name: "Free a slot"},
}

// sortBy sorts rows by the key of a column. A leading minus reverses the order. Equal
// rows stay in the order of sessions.Rows.
func sortBy(rows []*sessions.Row, by string) {
	if by == columns[0].Key {
		return // sessions.Rows has this order
	}
	key, reverse := strings.CutPrefix(by, "-")
	c := &columns[slices.IndexFunc(columns, func(c column) bool { return c.Key == key })]
	slices.SortStableFunc(rows, func(a, b *sessions.Row) int {
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
