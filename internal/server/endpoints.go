package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// targetGroup is an element of what Prometheus expects of HTTP service
// discovery.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// discovery lists the sites for Prometheus: each is probed at the external URL or,
// where there is none, at the address that was asked for the list. It gets its name
// as the label site.
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
		groups := []targetGroup{} // an empty list where flags describe the only site
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

// configuration shows the configuration in force. Secrets are in files of their
// own, of which it has the names.
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

// reload takes the configuration file into use as it is now.
func reload(sites Sites, allowed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !allowed {
			http.Error(w, "Reloading over HTTP is disabled. Set --web.enable-lifecycle to enable it.", http.StatusForbidden)
			return
		}
		if err := sites.Reload(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("Configuration reloaded.\n"))
	}
}

// below also answers requests below the path of the external URL: a reverse proxy
// may pass that path on, or not.
func below(external *url.URL, next http.Handler) http.Handler {
	if external == nil || external.Path == "" {
		return next
	}
	stripped := http.StripPrefix(external.Path, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == external.Path: // links on the landing page are relative to its folder
			http.Redirect(w, r, external.Path+"/", http.StatusMovedPermanently)
		case strings.HasPrefix(r.URL.Path, external.Path+"/"):
			stripped.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// linked serves the landing page, which finds out under which path it is asked for.
// Its links are relative, so that they hold behind any reverse proxy.
func linked(landing http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = relativeRoot
		landing.ServeHTTP(w, r)
	}
}
