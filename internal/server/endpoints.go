package server

import (
	"encoding/json"
	"net/http"
)

// targetGroup is an element of what Prometheus expects of HTTP service
// discovery.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// discovery lists the sites for Prometheus: each is probed at the address that
// was asked for the list, and gets its name as the label site.
func discovery(sites Sites) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		groups := []targetGroup{} // an empty list where flags describe the only site
		for _, name := range sites.Names() {
			if name == "" {
				continue
			}
			groups = append(groups, targetGroup{
				Targets: []string{r.Host},
				Labels: map[string]string{
					"__scheme__":       scheme,
					"__metrics_path__": "/probe",
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
			http.Error(w, "Reloading over HTTP is off; --web.enable-lifecycle allows it.", http.StatusForbidden)
			return
		}
		if err := sites.Reload(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("Configuration reloaded.\n"))
	}
}
