package page

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
)

// query is what was asked of the page.
type query struct {
	Site         string
	Text         string // in the user's name, without case
	Slots        string // free ones: "0", "1", "near" for either, "" for any
	VirtualProxy string
	Node         string
	Sort         string // key of a column, with a minus to turn it round
	Page         int
}

// parseQuery reads a query. What makes no sense in it is left out.
func parseQuery(values url.Values) query {
	q := query{
		Site:         values.Get("site"),
		Text:         strings.TrimSpace(values.Get("q")),
		VirtualProxy: values.Get("proxy"),
		Node:         values.Get("node"),
		Sort:         columns[0].Key,
	}
	if slots := values.Get("slots"); slices.Contains([]string{"0", "1", "near"}, slots) {
		q.Slots = slots
	}
	if sort := values.Get("sort"); slices.ContainsFunc(columns, func(c column) bool { return c.compare != nil && c.Key == strings.TrimPrefix(sort, "-") }) {
		q.Sort = sort
	}
	q.Page, _ = strconv.Atoi(values.Get("page")) // nonsense is the first page
	return q
}

// url returns the address of what was asked for. It is relative, so that it holds
// behind a reverse proxy, too.
func (q query) url() string {
	values := make(url.Values)
	for key, value := range map[string]string{"site": q.Site, "q": q.Text, "slots": q.Slots, "proxy": q.VirtualProxy, "node": q.Node, "sort": q.Sort} {
		if value != "" && (key != "sort" || value != columns[0].Key) {
			values.Set(key, value)
		}
	}
	if q.Page > 1 {
		values.Set("page", strconv.Itoa(q.Page))
	}
	return "?" + values.Encode()
}

// filtered says whether users may be left out.
func (q query) filtered() bool {
	return q.Text != "" || q.Slots != "" || q.VirtualProxy != "" || q.Node != ""
}

// slotsLeft is "0" or "1" for a user near the limit, else "".
func slotsLeft(row *sessions.Row) string {
	switch {
	case !row.Limited || row.EffectiveHeadroom > 1:
		return ""
	case row.EffectiveHeadroom == 1:
		return "1"
	default:
		return "0"
	}
}

// admits says whether a user is among those who were asked for.
func (q query) admits(row *sessions.Row) bool {
	if q.Text != "" && !strings.Contains(strings.ToLower(row.User.String()), strings.ToLower(q.Text)) {
		return false
	}
	left := slotsLeft(row)
	if q.Slots != "" && q.Slots != left && (q.Slots != "near" || left == "") {
		return false
	}
	return q.VirtualProxy == "" && q.Node == "" || slices.ContainsFunc(row.Places, func(p sessions.Place) bool {
		return (q.VirtualProxy == "" || p.VirtualProxy == q.VirtualProxy) && (q.Node == "" || p.Node == q.Node)
	})
}
