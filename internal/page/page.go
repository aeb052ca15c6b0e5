// Package page serves the page that lists users and their sessions, as HTML or as JSON.
// The pages are read-only. The desk adds a button that leads to its own pages.
package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Config defines the sites of the page and the access to it.
type Config struct {
	// Names lists the sites. The query parameter site selects one; the first is the
	// default. If there is only one site, its name may be empty.
	Names func() []string
	// Use returns the site with a name. The caller must call done when it no longer
	// uses the site.
	Use func(name string) (site Site, done func(), found bool)
	// Authenticated reports whether every request must be authenticated. Nil means
	// no.
	Authenticated func() bool
	// Respond calls build when the page may be built, and sends what build writes. It
	// limits how many pages are built at once. Nil means no limit.
	Respond func(w http.ResponseWriter, r *http.Request, build http.HandlerFunc)
	// Free reports whether the person who sends a request may free slots. Then the page of a
	// user has a button for it. Nil means no.
	Free func(r *http.Request) bool
	// Program is the words that start the program in the commands on the page. "" means
	// qlik_exporter.
	Program string
	Now     func() time.Time // nil means time.Now; the page shows times in its time zone
}

// Site is a site on the page.
type Site struct {
	*Recent

	// Hosts are the configured hosts of the site. A client recognizes the site by them.
	Hosts []string
	// ServiceAccounts are users whose sessions are never ended.
	ServiceAccounts []qlik.User
	// Find returns the users in the repository that match a text. It is nil if the site has
	// no repository.
	Find func(ctx context.Context, text string) ([]qlik.KnownUser, error)
	// Hash returns the hash of a user in labels. It is nil if no key is known.
	Hash func(qlik.User) string
	// NamesHidden means that the metrics of the site do not contain user names. The
	// page does, so it then requires authentication.
	NamesHidden bool
	// AuditLog means that refused logins are read from audit logs.
	AuditLog bool
}

//go:embed page.html user.html find.html landing.html refresh.html page.css page.js
var files embed.FS

// handler serves the page.
type handler struct {
	config   Config
	template *template.Template
}

func newHandler(config Config) *handler {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Authenticated == nil {
		config.Authenticated = func() bool { return false }
	}
	if config.Respond == nil {
		config.Respond = func(w http.ResponseWriter, r *http.Request, build http.HandlerFunc) { build(w, r) }
	}
	if config.Free == nil {
		config.Free = func(*http.Request) bool { return false }
	}
	if config.Program == "" {
		config.Program = "qlik_exporter"
	}
	return &handler{config: config, template: template.Must(template.ParseFS(files, "*.html"))}
}

// New returns the handler of /sessions and of the paths below it, of /api/users, and of
// /api/user.
func New(config Config) http.Handler {
	h := newHandler(config)
	mux := http.NewServeMux()
	mux.Handle("GET /sessions", h)
	mux.HandleFunc("GET /sessions/user", h.serveUser)
	mux.HandleFunc("GET /sessions/favicon.svg", h.serveIcon)
	mux.HandleFunc("GET /sessions/{$}", func(w http.ResponseWriter, r *http.Request) {
		to := "../sessions" // relative, so that it works behind any reverse proxy
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusMovedPermanently)
	})
	mux.HandleFunc("GET /api/users", h.serveUsers)
	mux.HandleFunc("GET /api/user", func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Accept", jsonType)
		h.serveUser(w, r)
	})
	mux.Handle("GET /sessions/page.css", asset("page.css", "text/css; charset=utf-8"))
	mux.Handle("GET /sessions/page.js", asset("page.js", "text/javascript; charset=utf-8"))
	return Protected(mux)
}

// Protected sets the security headers. Browsers then load and run only content from
// this server and send no referrer to others.
func Protected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "+
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
		panic(err) // cannot happen: the file is embedded
	}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache") // cache it, but revalidate with the ETag
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	build := h.build
	if wantsJSON(r) {
		build = h.buildJSON
	}
	o, ok := h.open(w, r, parseQuery(r.URL.Query()), wantsJSON(r))
	if !ok {
		return
	}
	defer o.done()
	h.config.Respond(w, r, func(w http.ResponseWriter, r *http.Request) {
		build(w, r, o)
		o.built()
	})
}

// opened is a site with its newest snapshot, for a request that may see them.
type opened struct {
	names  []string // of all sites
	query  query    // with the name of the site
	site   Site
	newest func() *cachedSnapshot
	built  func() // the snapshot is no longer needed
	done   func() // the site is no longer needed
}

// named returns the name of the site for a URL. It is "" if there is only one site.
func (o *opened) named() string {
	if len(o.names) > 1 {
		return o.query.Site
	}
	return ""
}

// open returns the site of a query. If the request may not see it, or if the client is
// gone, ok is false and the response is complete. The caller must call done.
func (h *handler) open(w http.ResponseWriter, r *http.Request, q query, json bool) (o *opened, ok bool) {
	w.Header().Add("Vary", "Accept")
	fail := http.Error
	names := h.config.Names()
	if json {
		fail = failJSON(names)
		if q.Site == "" && len(names) > 1 { // a program must not take one site for another
			fail(w, "The parameter site is missing.", http.StatusBadRequest)
			return nil, false
		}
	}
	switch {
	case q.Site == "" && len(names) > 0:
		q.Site = names[0]
	case !json && len(names) == 1 && names[0] == "":
		q.Site = "" // flags describe the only site, which only Prometheus gives a name
	}
	site, done, found := h.config.Use(q.Site)
	if !found {
		fail(w, "There is no site with this name.", http.StatusNotFound)
		return nil, false
	}
	if site.NamesHidden && !h.config.Authenticated() {
		done()
		fail(w, "The metrics of this site hide user names, but this page shows them. Therefore it requires authentication. "+
			"Set basic_auth_users, or client_auth_type: RequireAndVerifyClientCert, in the file of --web.config.file.", http.StatusForbidden)
		return nil, false
	}
	newest, built, err := site.view(r.Context())
	if err != nil { // the client is gone
		done()
		return nil, false
	}
	return &opened{names, q, site, newest, built, func() { built(); done() }}, true
}

// render writes a page.
func (h *handler) render(w http.ResponseWriter, template string, view any, status int) {
	var body bytes.Buffer
	if err := h.template.ExecuteTemplate(&body, template, view); err != nil {
		http.Error(w, "Rendering the page failed: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}

// build writes the list. It stops between its parts if the client is gone.
func (h *handler) build(w http.ResponseWriter, r *http.Request, o *opened) {
	answer := o.newest()
	rows := answer.rows()
	if r.Context().Err() != nil {
		return
	}
	v := newView(answer.Snapshot, rows, o.query, o.site.ServiceAccounts, h.config.Program, h.config.Now())
	v.Icon = icon{users: v.Full, incomplete: !v.State.Complete}.view("sessions/", o.query.Site)
	if len(o.names) > 1 {
		for _, name := range o.names {
			v.Sites = append(v.Sites, choice{Value: query{Site: name}.url(), Text: text.Visible(name), Selected: name == o.query.Site})
		}
	}
	if r.Context().Err() != nil {
		return
	}
	h.render(w, "page.html", v, http.StatusOK)
}
