package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// targetGroup is an element of the response for HTTP service discovery of
// Prometheus.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// discovery lists the sites for Prometheus. The target of each site is the external
// URL, or without one, the address of the request. The label site is the name of the
// site.
func discovery(sites Sites, external *url.URL) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		at := external
		switch {
		case at != nil:
		case r.TLS != nil:
			at = &url.URL{Scheme: "https", Host: r.Host}
		default:
			at = &url.URL{Scheme: "http", Host: r.Host}
		}
		groups := []targetGroup{} // an empty list, not null, if flags describe the only site
		for _, name := range sites.Names() {
			if name == "" {
				continue
			}
			groups = append(groups, targetGroup{
				Targets: []string{at.Host},
				Labels: map[string]string{
					"__scheme__":       at.Scheme,
					"__metrics_path__": at.Path + "/probe",
					"__param_target":   name,
					"site":             name,
				},
			})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(groups)
	}
}

// configuration shows the configuration in use. It contains no secrets, only the
// names of the files that hold them.
func configuration(sites Sites) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		content, err := sites.Format()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(content)
	}
}

// reloadTimeout is how long a request waits for the end of another reload, which can
// hang in a file system that does not respond.
const reloadTimeout = 10 * time.Second

// reload reloads the configuration file, one request at a time.
func reload(sites Sites, allowed bool) http.HandlerFunc {
	reloading := make(chan struct{}, 1)
	return func(w http.ResponseWriter, r *http.Request) {
		if !allowed {
			http.Error(w, "Reloading over HTTP is disabled. Set --web.enable-lifecycle to enable it.", http.StatusForbidden)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), reloadTimeout)
		defer cancel()
		select {
		case reloading <- struct{}{}:
			defer func() { <-reloading }()
		case <-ctx.Done():
			http.Error(w, "An earlier reload is still in progress. It probably waits for a file system that does not respond.", http.StatusServiceUnavailable)
			return
		}
		hidden := sites.NamesHidden()
		if err := sites.Reload(); err != nil {
			text := err.Error()
			if hidden { // the error may repeat a name from the file
				text = "The configuration was rejected. The log contains the reason."
			}
			http.Error(w, text, http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("Configuration reloaded.\n"))
	}
}

// below also serves requests below the path of the external URL, because a reverse
// proxy may or may not forward this path. Redirects always lead below it.
func below(external *url.URL, next http.Handler) http.Handler {
	if external == nil || external.Path == "" {
		return next
	}
	stripped := http.StripPrefix(external.Path, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w = redirectsBelow{w, external.Path}
		switch {
		case r.URL.Path == external.Path: // the links of the landing page are relative to this path
			http.Redirect(w, r, external.Path+"/", http.StatusMovedPermanently)
		case strings.HasPrefix(r.URL.Path, external.Path+"/"):
			stripped.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// redirectsBelow is a response whose redirects lead below a path. The redirects of
// http.ServeMux, for example of //sd, do not know this path.
type redirectsBelow struct {
	http.ResponseWriter

	path string
}

// WriteHeader implements http.ResponseWriter.
func (w redirectsBelow) WriteHeader(status int) {
	if to := w.Header().Get("Location"); strings.HasPrefix(to, "/") && !strings.HasPrefix(to, w.path+"/") {
		w.Header().Set("Location", w.path+to)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w redirectsBelow) Unwrap() http.ResponseWriter { return w.ResponseWriter }
