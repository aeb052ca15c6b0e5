// Package page is the HTML page that shows people who has which sessions. The page
// changes nothing.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Config is what the page shows, and to whom.
type Config struct {
	// Names lists the sites, of which the query parameter site chooses; the first
	// is the default. A single one may be without name.
	Names func() []string
	// Use returns the site of that name, which must be told when it is done with.
	Use func(name string) (site Site, done func(), found bool)
	// Authenticated says whether everybody who asks had to authenticate; nil is
	// no.
	Authenticated func() bool
	Now           func() time.Time // nil is time.Now; times are shown in its zone
}

// Site is a site on the page.
type Site struct {
	*Recent

	// ServiceAccounts are users whose sessions are never ended.
	ServiceAccounts []qlik.User
	// NamesHidden says that the metrics of the site do not show who its users are.
	// Then the page, which does, is only for those who have authenticated.
	NamesHidden bool
}

//go:embed page.html page.css page.js
var files embed.FS

// handler makes the page.
type handler struct {
	config   Config
	template *template.Template
}

// New returns the handler of /sessions and of what is below it.
func New(config Config) http.Handler {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Authenticated == nil {
		config.Authenticated = func() bool { return false }
	}
	h := &handler{config: config, template: template.Must(template.ParseFS(files, "page.html"))}
	mux := http.NewServeMux()
	mux.Handle("GET /sessions", h)
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
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := parseQuery(r.URL.Query())
	names := h.config.Names()
	if q.Site == "" && len(names) > 0 {
		q.Site = names[0]
	}
	site, done, found := h.config.Use(q.Site)
	if !found {
		http.Error(w, "There is no site of that name.", http.StatusNotFound)
		return
	}
	defer done()
	if site.NamesHidden && !h.config.Authenticated() {
		http.Error(w, "This page shows who the users are, which the metrics of this site hide. To see it, "+
			"set basic_auth_users, or client_auth_type: RequireAndVerifyClientCert, in the file of --web.config.file.", http.StatusForbidden)
		return
	}
	answer := site.recently(r.Context())
	v := newView(answer.Snapshot, answer.rows(), q, site.ServiceAccounts, h.config.Now())
	if len(names) > 1 {
		for _, name := range names {
			v.Sites = append(v.Sites, choice{Value: query{Site: name}.url(), Text: text.Visible(name), Selected: name == q.Site})
		}
	}
	var body bytes.Buffer
	if err := h.template.Execute(&body, v); err != nil {
		http.Error(w, "The page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = body.WriteTo(w)
}
