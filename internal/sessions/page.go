package sessions

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const rowsPerPage = 100

// PageConfig is what the page shows, and to whom.
type PageConfig struct {
	// Names lists the sites, of which the query parameter site chooses; the first
	// is the default. A single one may be without name.
	Names func() []string
	// Use returns the site of that name, which must be told when it is done with.
	Use func(name string) (site PageSite, done func(), found bool)
	// Authenticated says whether everybody who asks had to authenticate; nil is
	// no.
	Authenticated func() bool
	Now           func() time.Time // nil is time.Now; times are shown in its zone
}

// PageSite is a site on the page.
type PageSite struct {
	*Recent

	// ServiceAccounts are users whose sessions are never ended.
	ServiceAccounts []qlik.User
	// NamesHidden says that the metrics of the site do not show who its users are.
	// Then the page, which does, is only for those who have authenticated.
	NamesHidden bool
}

//go:embed page.html page.css page.js
var files embed.FS

type page struct {
	config   PageConfig
	template *template.Template
}

// NewPage returns the handler of /sessions and of what is below it.
func NewPage(config PageConfig) http.Handler {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Authenticated == nil {
		config.Authenticated = func() bool { return false }
	}
	p := &page{config: config, template: template.Must(template.ParseFS(files, "page.html"))}
	mux := http.NewServeMux()
	mux.Handle("GET /sessions", p)
	mux.Handle("GET /sessions/page.css", asset("page.css", "text/css; charset=utf-8"))
	mux.Handle("GET /sessions/page.js", asset("page.js", "text/javascript; charset=utf-8"))
	return protected(mux)
}

// protected tells browsers to load and run nothing but what is served here, and
// to pass nothing on.
func protected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func asset(name, contentType string) http.Handler {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache") // kept, and asked for whether it has changed
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := parseQuery(r.URL.Query())
	names := p.config.Names()
	if query.Site == "" && len(names) > 0 {
		query.Site = names[0]
	}
	site, done, found := p.config.Use(query.Site)
	if !found {
		http.Error(w, "There is no site of that name.", http.StatusNotFound)
		return
	}
	defer done()
	if site.NamesHidden && !p.config.Authenticated() {
		http.Error(w, "This page shows who the users are, which --user-labels hides in the metrics: to see it, "+
			"set basic_auth_users, or client_auth_type: RequireAndVerifyClientCert, in the file of --web.config.file.", http.StatusForbidden)
		return
	}
	answer := site.recently(r.Context())
	v := newView(answer.Snapshot, answer.rows(), query, site.ServiceAccounts, p.config.Now())
	if len(names) > 1 {
		for _, name := range names {
			v.Sites = append(v.Sites, choice{Value: pageQuery{Site: name}.url(), Text: text.Visible(name), Selected: name == query.Site})
		}
	}
	var body bytes.Buffer
	if err := p.template.Execute(&body, v); err != nil {
		http.Error(w, "The page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = body.WriteTo(w)
}

// pageQuery is what was asked of the page.
type pageQuery struct {
	Site         string
	Text         string // in the user's name, without case
	Slots        string // free ones: "0", "1", "near" for either, "" for any
	VirtualProxy string
	Node         string
	Sort         string // key of a column, with a minus to turn it round
	Page         int
}

func parseQuery(values url.Values) pageQuery {
	q := pageQuery{
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

// url is relative, so that it holds behind a reverse proxy, too.
func (q pageQuery) url() string {
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
func (q pageQuery) filtered() bool {
	return q.Text != "" || q.Slots != "" || q.VirtualProxy != "" || q.Node != ""
}

// slotsLeft is "0" or "1" for a user near the limit, else "".
func slotsLeft(row *Row) string {
	switch {
	case !row.Limited || row.EffectiveHeadroom > 1:
		return ""
	case row.EffectiveHeadroom == 1:
		return "1"
	default:
		return "0"
	}
}

func (q pageQuery) admits(row *Row) bool {
	if q.Text != "" && !strings.Contains(strings.ToLower(row.User.String()), strings.ToLower(q.Text)) {
		return false
	}
	left := slotsLeft(row)
	if q.Slots != "" && q.Slots != left && (q.Slots != "near" || left == "") {
		return false
	}
	return q.VirtualProxy == "" && q.Node == "" || slices.ContainsFunc(row.Places, func(p Place) bool {
		return (q.VirtualProxy == "" || p.VirtualProxy == q.VirtualProxy) && (q.Node == "" || p.Node == q.Node)
	})
}
