package server

import (
	"fmt"
	"net/http"
	"net/url"
)

// Limits of a request. They are far above what Prometheus, a browser or a reverse
// proxy sends, and bound the work and the memory of a request of an unknown client.
const (
	maxQueryValue  = 256      // bytes of a name or a value in the query
	maxQuery       = 4 << 10  // bytes of the whole query
	maxHeaderBytes = 64 << 10 // bytes of the header; net/http reads a few more
	maxBodyBytes   = 64 << 10 // bytes of a body; the desk and /debug/pprof/symbol read one
	maxStreams     = 8        // concurrent requests of an HTTP/2 connection
)

// limited rejects requests with an oversized query before any work is done for them.
func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := checkQuery(r.URL); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		next.ServeHTTP(w, r)
	})
}

// checkQuery returns an error if the query of a URL is oversized. The error contains
// no part of it.
func checkQuery(u *url.URL) error {
	if len(u.RawQuery) > maxQuery {
		return fmt.Errorf("the query is longer than %d bytes", maxQuery)
	}
	for name, values := range u.Query() {
		for _, value := range append(values, name) {
			if len(value) > maxQueryValue {
				return fmt.Errorf("a name or a value in the query is longer than %d bytes", maxQueryValue)
			}
		}
	}
	return nil
}

// protected sets the security headers. Responses contain names of users, servers and
// files, so nothing stores them, and browsers neither guess their type nor load
// anything for them. Handlers with a page of their own replace the policy. Headers of
// the web configuration file take precedence.
func protected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		if header.Get("Content-Security-Policy") == "" {
			header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		}
		next.ServeHTTP(w, r)
	})
}
