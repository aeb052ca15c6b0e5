package page

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
)

func accept(page http.Handler, target, accepted string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
	r.Header.Set("Accept", accepted)
	recorder := httptest.NewRecorder()
	page.ServeHTTP(recorder, r)
	return recorder
}

// TestJSON checks that a program gets the users that the page shows, in the same order,
// and that a browser gets the page.
func TestJSON(t *testing.T) {
	snapshot := sessionstest.Snapshot(map[string]int{`A\anna`: 5, `A\ben`: 1, `B\carl`: 4, `NONE\anonymous1`: 2})
	page := pageOf(&answers{snapshot: snapshot})
	for _, query := range []string{"", "?slots=near", "?sort=-user", "?q=zz", "?node=qlik2&page=3"} {
		answer := accept(page, "/sessions"+query, "application/json")
		var list sessions.List
		if err := json.Unmarshal(answer.Body.Bytes(), &list); err != nil || answer.Code != http.StatusOK {
			t.Fatalf("%s: status %d, %v", query, answer.Code, err)
		}
		var names []string
		for i := range list.Users {
			names = append(names, list.Users[i].User().String())
		}
		if got, want := strings.Join(names, " "), users(body(t, snapshot, query)); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
		if !list.Time.Equal(snapshot.Time) || list.Limit != 5 || !slices.Contains(list.Nodes, "qlik2") {
			t.Errorf("%s: got %+v", query, list)
		}
		if header := answer.Header(); header.Get("Content-Type") != "application/json" || header.Get("Vary") != "Accept" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("header %v", header)
		}
	}
	for _, accepted := range []string{"", "*/*", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8", "application/jsonx", "image/png"} {
		if got := accept(page, "/sessions", accepted).Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("Accept: %s: got %s", accepted, got)
		}
	}
}

// TestJSONFailures checks that a program must name one of several sites, and that the
// protection of the page also protects its names in JSON.
func TestJSONFailures(t *testing.T) {
	site := Site{Recent: NewRecent(&answers{snapshot: sessionstest.Snapshot(map[string]int{`A\anna`: 5})}), Hosts: []string{"qlik1"}}
	names, authenticated := []string{"emea", "apac"}, false
	page := New(Config{
		Names:         func() []string { return names },
		Use:           func(name string) (Site, func(), bool) { return site, func() {}, slices.Contains(names, name) },
		Authenticated: func() bool { return authenticated },
	})
	check := func(target string, status int, words string) {
		t.Helper()
		answer := accept(page, target, "text/plain;q=0.5, application/json")
		if body := answer.Body.String(); answer.Code != status || !strings.Contains(body, words) || !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%s: got %d %s, want %d %s", target, answer.Code, body, status, words)
		}
	}
	check("/sessions", http.StatusBadRequest, `"sites":["emea","apac"]`)
	check("/sessions?site=amer", http.StatusNotFound, `"sites":["emea","apac"]`)
	check("/sessions?site=apac", http.StatusOK, `"site":"apac","hosts":["qlik1"]`)
	site.NamesHidden = true
	check("/sessions?site=apac", http.StatusForbidden, "requires authentication")
	if answer := accept(page, "/sessions?site=apac", "application/json").Body.String(); strings.Contains(answer, "anna") {
		t.Errorf("names without authentication: %s", answer)
	}
	authenticated = true
	check("/sessions?site=apac", http.StatusOK, "anna")
	names = names[:1]
	check("/sessions", http.StatusOK, `"site":"emea"`)
}
