package exporter

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asked returns what a client gets from a server with the handler.
func asked(t *testing.T, path, site string, handler http.HandlerFunc) (users int, err error) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	base, err := url.Parse(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := New(base, "")
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.Sessions(t.Context(), site)
	if err != nil {
		return 0, err
	}
	return len(list.Users), nil
}

func TestSessions(t *testing.T) {
	users, err := asked(t, "/qlik", `a b&c`, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/qlik/sessions" || r.URL.Query().Get("site") != "a b&c" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("asked for %s, %s", r.URL, r.Header)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = fmt.Fprint(w, `{"time": "2026-11-20T12:00:00Z", "users": [{"user_id": "anna", "future": 1}]}`)
	})
	if err != nil || users != 1 {
		t.Errorf("got %d users, error %v", users, err)
	}
}

// TestOtherAnswers checks that everything but a refusal counts as no answer, and that
// errors contain no control characters and no long texts.
func TestOtherAnswers(t *testing.T) {
	const nasty = "\x1b[31m\r\nlevel=info"
	for _, test := range []struct {
		status      int
		kind, body  string
		words       string
		refused     bool
		sites       []string
		needsSecret bool
	}{
		{status: 200, kind: "text/html", body: "<form>", words: "the answer is text/html, not JSON"},
		{status: 200, kind: "application/json", body: "[1]", words: "not the JSON of an exporter"},
		{status: 200, kind: "application/json", body: "{}", words: "not a list of sessions"},
		{status: 200, kind: "application/json", body: `{"time": "` + "\x1b" + `"}`, words: "not the JSON"},
		{status: 404, kind: "text/plain", body: "404 page not found\n", words: "404 Not Found: 404 page not found"},
		{status: 503, kind: "text/plain", body: nasty, words: "503 Service Unavailable: ‹U+001B›[31m"},
		{status: 500, kind: "application/json", body: `{"error": "no"}`, words: "500 Internal Server Error"},
		{status: 400, kind: "text/plain", body: "Client sent an HTTP request to an HTTPS server.\n", words: "Client sent an HTTP request"},
		{status: 500, kind: "text/plain", body: strings.Repeat("ä", 10_000), words: "ä…"},
		{status: 401, kind: "text/plain", body: "Unauthorized\n", words: "401 Unauthorized", refused: true, needsSecret: true},
		{status: 403, kind: "text/html", body: nasty, words: "403 Forbidden: ‹U+001B›", refused: true},
		{status: 403, kind: "application/json", body: `{"error": "Not for you."}`, words: "403 Forbidden: Not for you", refused: true},
		{status: 400, kind: "application/json", body: `{"error": "x", "sites": ["emea", "a\u001bb", ""]}`, words: "400", refused: true, sites: []string{"emea", "a‹U+001B›b"}},
		{status: 404, kind: "application/json", body: `{"error": "x", "sites": [""]}`, words: "404", refused: true},
	} {
		_, err := asked(t, "", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.kind)
			w.WriteHeader(test.status)
			_, _ = fmt.Fprint(w, test.body)
		})
		if err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%d %s: error %v, want %s", test.status, test.body, err, test.words)
			continue
		}
		if message := err.Error(); len(message) > 1000 || strings.ContainsAny(message, "\x1b\r\n") {
			t.Errorf("%d: error %q", test.status, message)
		}
		refusal, refused := errors.AsType[*RefusedError](err)
		if refused != test.refused {
			t.Errorf("%d %s: refused %v", test.status, test.body, refused)
		}
		if refused && (!slices.Equal(refusal.Sites, test.sites) || refusal.NeedsPassword() != test.needsSecret) {
			t.Errorf("%d: got %+v", test.status, refusal)
		}
	}
}

// TestFile checks that a file can have a byte order mark, that its own paths are relative
// to it, and that an error repeats no value.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("password", "secret")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "anna" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := New(base, file("good.yml", "\ufeffbasic_auth:\r\n  username: anna\r\n  password_file: password\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Sessions(t.Context(), ""); err == nil || strings.Contains(err.Error(), "401") {
		t.Errorf("error %v", err)
	}
	for content, words := range map[string]string{
		"basic_auth: hunter2":                     "line 1: cannot unmarshal",
		"basic_auht: {}":                          "field basic_auht not found",
		"tls_config: {ca_file: nowhere}":          "nowhere",
		"basic_auth: {username: a}\nbearer_token": "bad.yml: yaml:",
		"proxy_url: http://anna:hunter2@%zz":      "invalid URL escape",
		"proxy_url: http://anna:hunter/2@proxy":   "invalid port",
	} {
		_, err := New(base, file("bad.yml", content))
		if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %s", content, err, words)
		}
	}
	if _, err := New(base, filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
