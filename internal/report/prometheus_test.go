package report

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// serverOf returns a client of a server that always gives the same answer.
func serverOf(t *testing.T, status int, body string) *Prometheus {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return clientOf(t, server.URL, "")
}

func clientOf(t *testing.T, address, file string) *Prometheus {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPrometheus(u, file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestErrors checks that the answers of servers that cannot answer become one sentence, and
// which of them a shorter query may not get.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
		limit  bool
	}{
		"password":       {401, "Unauthorized", "the Prometheus at URL requires a password or refuses the one given (status 401); check --prometheus.http-config-file", false},
		"forbidden":      {403, "no", "the Prometheus at URL forbids queries (status 403); check --prometheus.http-config-file", false},
		"other path":     {404, "404 page not found", "there is no Prometheus API at URL (status 404); check --prometheus.url, which may need a path such as /prometheus", false},
		"other client":   {429, "too many\nrequests", "the Prometheus at URL refuses a query with status 429: too many requests", false},
		"starting":       {503, "Service Unavailable", "the Prometheus at URL reports status 503: Service Unavailable", true},
		"gateway":        {504, "<html>timeout</html>", "the Prometheus at URL reports status 504: a web page", true},
		"too many":       {422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}`, "the Prometheus at URL refuses a query: query processing would load too many samples into memory in query execution", true},
		"too long":       {400, `{"status":"error","errorType":"bad_data","error":"the query time range exceeds the limit"}`, "the Prometheus at URL refuses a query: the query time range exceeds the limit", true},
		"hostile":        {422, `{"status":"error","errorType":"execution","error":"\u001b[31m` + strings.Repeat("x", 500) + `"}`, `the Prometheus at URL refuses a query: ‹U+001B›[31m` + strings.Repeat("x", 195) + "...", true},
		"login page":     {200, "<html>", "the server at URL does not answer like a Prometheus; check --prometheus.url", false},
		"no matrix":      {200, `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`, "URL does not answer like a Prometheus: the answer is not a matrix", false},
		"other program":  {200, `{"version":1}`, "URL does not answer like a Prometheus", false},
		"empty failure":  {500, " ", "the Prometheus at URL reports status 500: an empty answer", true},
		"empty":          {200, "", "the server at URL does not answer like a Prometheus; check --prometheus.url", false},
		"status of JSON": {200, `{"status":"error"}`, "the server at URL does not answer like a Prometheus; check --prometheus.url", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := serverOf(t, test.status, test.body)
			_, _, err := p.query(t.Context(), "up", monday, monday, time.Hour)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), p.String(), "URL"); !strings.HasPrefix(got, test.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if _, limit := errors.AsType[limitError](err); limit != test.limit {
				t.Errorf("a limit: %v", limit)
			}
		})
	}
}

// TestConnectionErrors checks that servers that do not answer become one sentence.
func TestConnectionErrors(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(cut.Close)
	for name, test := range map[string]struct{ address, want string }{
		"nobody listens":      {closed.URL, " refuses the connection; check --prometheus.url"},
		"unknown certificate": {secure.URL, "; set tls_config with ca_file in --prometheus.http-config-file"},
		"cut off":             {cut.URL, ": the connection was closed; check --prometheus.url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := clientOf(t, test.address, "").query(t.Context(), "up", monday, monday, time.Hour)
			if err == nil || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestEndlessAnswer checks that an answer does not fill the memory, and that a shorter query is
// tried.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for part := make([]byte, 1<<20); ; {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	_, _, err := clientOf(t, server.URL, "").query(t.Context(), "up", monday, monday, time.Hour)
	if _, limit := errors.AsType[limitError](err); !limit || !strings.Contains(err.Error(), " is too large; ") {
		t.Errorf("got %v", err)
	}
}

// TestHangingServer checks that a query that gets no answer is not split, because each part
// would take as long.
func TestHangingServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // a server notices that a client has gone once it has read the request
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	client, err := api.NewClient(api.Config{Address: server.URL, Client: &http.Client{Timeout: 10 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	p := clientOf(t, server.URL, "")
	p.api = prometheusv1.NewAPI(client)
	_, _, err = p.query(t.Context(), "up", monday, monday, time.Hour)
	if err == nil || !strings.Contains(err.Error(), " did not answer within ") {
		t.Errorf("got %v", err)
	}
	if _, limit := errors.AsType[limitError](err); limit {
		t.Error("the query is split")
	}
}

// TestPassword checks that the password of the file is sent.
func TestPassword(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "reader" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["partial"]}`))
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "http.yml")
	if err := os.WriteFile(file, []byte("basic_auth: {username: reader, password: secret}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := clientOf(t, server.URL, file).query(t.Context(), "up", monday, monday, time.Hour)
	if err != nil || len(warnings) != 1 {
		t.Error(warnings, err)
	}
}
