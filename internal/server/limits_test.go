package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestOversizedQuery checks that a request with an oversized query gets status 400
// on every path, and that no other work is done for it.
func TestOversizedQuery(t *testing.T) {
	worked := false
	h := handler(t, Config{TelemetryPath: "/metrics", Pprof: true, ExternalURL: &url.URL{Path: "/qlik"}, Sessions: http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) { worked = true })})
	long := strings.Repeat("a", maxQueryValue)
	for query, status := range map[string]int{
		"q=" + long: http.StatusOK,
		"q=" + strings.Repeat("%61", maxQueryValue): http.StatusOK,
		"q=" + long + "a":                        http.StatusBadRequest,
		"q=a&q=" + long + "a":                    http.StatusBadRequest,
		long + "a=q":                             http.StatusBadRequest,
		"q=" + strings.Repeat("%C3%84", 128):     http.StatusOK,
		"q=" + strings.Repeat("%C3%84", 129):     http.StatusBadRequest,
		strings.Repeat("a=a&", maxQuery/4):       http.StatusOK,
		strings.Repeat("a=a&", maxQuery/4) + "b": http.StatusBadRequest,
		"q=" + strings.Repeat("a", 900_000):      http.StatusBadRequest,
	} {
		for _, path := range []string{"/sessions", "/qlik/sessions"} {
			worked = false
			answer := get(h, path+"?"+query)
			if answer.Code != status || worked != (status == http.StatusOK) {
				t.Errorf("%s with a query of %d bytes, %.10s: %d, worked %t, want %d", path, len(query), query, answer.Code, worked, status)
			}
			if status != http.StatusOK && strings.Contains(answer.Body.String(), "aaa") {
				t.Errorf("the response repeats the query: %.100s", answer.Body)
			}
		}
	}
	for _, path := range []string{"/", "/metrics", "/probe", "/sd", "/config", "/-/healthy", "/-/ready", "/debug/pprof/", "/debug/pprof/cmdline", "/nowhere", "/qlik//sd"} {
		if answer := get(h, path+"?target="+long+"a"); answer.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
}

// TestEveryResponseIsProtected checks the security headers of every endpoint, errors
// and redirects included.
func TestEveryResponseIsProtected(t *testing.T) {
	h := handler(t, Config{TelemetryPath: "/metrics", Sites: two{}, Pprof: true, Lifecycle: true, ExternalURL: &url.URL{Path: "/qlik"}})
	for _, path := range []string{
		"/", "/metrics", "/probe", "/probe?target=emea", "/probe?target=nowhere", "/sd", "/config", "/sessions", "/-/healthy", "/-/ready", "/-/reload",
		"/debug/pprof/", "/debug/pprof/cmdline", "/nowhere", "//sd", "/qlik", "/qlik/config", "/sd?a=" + strings.Repeat("a", 300),
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, httptest.NewRequest(method, "http://exporter"+path, http.NoBody))
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			} {
				if got := answer.Header().Get(name); got != want {
					t.Errorf("%s %s: status %d with %s %q, want %q", method, path, answer.Code, name, got, want)
				}
			}
		}
	}
	// The web configuration file may have a policy of its own.
	answer := httptest.NewRecorder()
	answer.Header().Set("Content-Security-Policy", "sandbox")
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/config", http.NoBody))
	if got := answer.Header()["Content-Security-Policy"]; len(got) != 1 || got[0] != "sandbox" {
		t.Errorf("the configured policy became %q", got)
	}
}

// TestOversizedBody checks that no handler reads more than a small body.
func TestOversizedBody(t *testing.T) {
	read := int64(0)
	h := limited(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { read, _ = io.Copy(io.Discard, r.Body) }))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", io.LimitReader(zeros{}, 1<<30)))
	if read != maxBodyBytes {
		t.Errorf("read %d bytes, want %d", read, maxBodyBytes)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
