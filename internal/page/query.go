package page

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// query holds the query parameters of the page.
type query struct {
	Site         string
	User         string // DIRECTORY\id, on the page of one user
	Text         string // part of the user's name; case is ignored
	Slots        string // number of free slots: "0", "1", "near" for both, "" for any
	VirtualProxy string
	Node         string
	Sort         string // key of a column; a leading minus reverses the order
	Page         int
}

// parseQuery reads the query parameters. It ignores invalid values.
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
	q.Page, _ = strconv.Atoi(values.Get("page")) // an invalid number means the first page
	return q
}

// url returns the URL of the query. It is relative, so that it also works behind a
// reverse proxy.
func (q query) url() string {
	values := make(url.Values)
	for key, value := range map[string]string{"site": q.Site, "user": q.User, "q": q.Text, "slots": q.Slots, "proxy": q.VirtualProxy, "node": q.Node, "sort": q.Sort} {
		if value != "" && (key != "sort" || value != columns[0].Key) {
			values.Set(key, value)
		}
	}
	if q.Page > 1 {
		values.Set("page", strconv.Itoa(q.Page))
	}
	return "?" + values.Encode()
}

// filtered reports whether the query may exclude users.
func (q query) filtered() bool {
	return q.Text != "" || q.Slots != "" || q.VirtualProxy != "" || q.Node != ""
}

// slotsLeft returns "0" or "1" for a user near the limit and "" for other users.
func slotsLeft(row *sessions.Row) string {
	free, near := row.NearLimit()
	if !near {
		return ""
	}
	return strconv.Itoa(free)
}

// named reports whether a text in lower case is part of DIRECTORY\id or DIRECTORY/id.
func named(user qlik.User, part string) bool {
	return strings.Contains(strings.ToLower(user.String()), part) || strings.Contains(strings.ToLower(user.Directory+"/"+user.ID), part)
}

// matches reports whether a user matches the query. The argument lower is the text of
// the query in lower case.
func (q query) matches(row *sessions.Row, lower string) bool {
	if lower != "" && !named(row.User, lower) {
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
