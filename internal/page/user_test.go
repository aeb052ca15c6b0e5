package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// directory is the repository of a test. It counts the searches.
type directory struct {
	users    []qlik.KnownUser
	searches []string
	err      error
}

func (d *directory) find(_ context.Context, text string) (found []qlik.KnownUser, err error) {
	d.searches = append(d.searches, text)
	for _, user := range d.users {
		all := true
		for word := range strings.FieldsSeq(text) {
			all = all && strings.Contains(strings.ToLower(user.User.ID+"\n"+user.Name), word)
		}
		if all {
			found = append(found, user)
		}
	}
	return found, d.err
}

func person(id, name string) qlik.KnownUser {
	return qlik.KnownUser{User: qlik.NewUser("LAB", id), Name: name}
}

// hash is a hash of the form of those in labels.
func hash(user qlik.User) string { return fmt.Sprintf("%016x", len(user.ID)+256*int(user.ID[0])) }

// pageWith returns the page of sites with a repository.
func pageWith(d *directory, sessions map[string]int, names ...string) (http.Handler, *Site) {
	site := &Site{Recent: NewRecent(&answers{snapshot: sessionstest.Snapshot(sessions)}), Find: d.find, Hash: hash}
	return New(Config{
		Names: func() []string { return names },
		Use: func(name string) (Site, func(), bool) {
			if !slices.Contains(names, name) {
				return Site{}, nil, false
			}
			return *site, func() {}, true
		},
		Now: func() time.Time { return sessionstest.Noon },
	}), site
}

// TestUserPage checks the status of the page of a user and of its JSON.
func TestUserPage(t *testing.T) {
	anna := qlik.NewUser("LAB", "anna")
	d := &directory{users: []qlik.KnownUser{person("anna", "Anna Berg"), person("bert", "Bert Berg")}}
	page, _ := pageWith(d, map[string]int{`LAB\anna`: 5}, "")
	for _, test := range []struct {
		user   string
		page   int // status
		json   int
		want   string // on the page
		leadTo string
	}{
		{`LAB\anna`, 200, 200, `LAB\anna cannot log in: all 5 slots are taken.`, ""},
		{`lab/ANNA`, 200, 200, `LAB\anna cannot log in: all 5 slots are taken.`, ""},
		{hash(anna), 200, 200, `LAB\anna cannot log in`, ""},
		{`lab\` + strings.ToUpper(hash(anna)), 200, 200, `LAB\anna cannot log in`, ""},
		{`ACME\` + hash(anna), 404, 404, "is not in the repository", ""},
		{`LAB\bert`, 200, 200, `LAB\bert has no sessions`, ""},
		{`LAB\nobody`, 404, 404, `LAB\nobody has no sessions, was not refused, and is not in the repository.`, ""},
		{`OTHER\bert`, 404, 404, `OTHER\bert has no sessions`, ""},
		{`NONE\anonymous123`, 200, 200, "Anonymous users have no session limit.", ""},
		{"anna", 303, 400, "", `user?user=LAB%5Canna`},
		{"berg", 200, 400, "2 users match.", ""},
		{"", 200, 400, "Type a part of the user", ""},
		{strings.Repeat("x", 10_000), 400, 400, "too long", ""},
		{`LAB\` + strings.Repeat("x", 10_000), 200, 200, "has no sessions", ""}, // too long to ask for
	} {
		what := fmt.Sprintf("%.40q", test.user)
		target := "/sessions/user?" + url.Values{"user": {test.user}}.Encode()
		shown, program := accept(page, target, "text/html"), accept(page, target, "application/json")
		if shown.Code != test.page || !strings.Contains(shown.Body.String(), test.want) || shown.Header().Get("Location") != test.leadTo {
			t.Errorf("%s: status %d, Location %q: %s", what, shown.Code, shown.Header().Get("Location"), shown.Body)
		}
		if program.Code != test.json || !json.Valid(program.Body.Bytes()) || program.Header().Get("Content-Type") != jsonType {
			t.Errorf("%s: JSON with status %d: %s", what, program.Code, program.Body)
		}
		for _, answer := range []http.Header{shown.Header(), program.Header()} {
			if answer.Get("Cache-Control") != "no-store" || answer.Get("Vary") != "Accept" || answer.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: header %v", what, answer)
			}
		}
	}
	if len(d.searches) > 6 { // each text at most once
		t.Errorf("the repository was asked for %q", d.searches)
	}
}

// TestUserPageOfSites checks that a program must name one of several sites, that links keep
// the site, and that names that the metrics hide need authentication.
func TestUserPageOfSites(t *testing.T) {
	page, site := pageWith(&directory{users: []qlik.KnownUser{person("anna", "Anna Berg")}}, map[string]int{`LAB\anna`: 2}, "emea", "apac & co")
	check := func(target, accepted string, status int, words string) {
		t.Helper()
		answer := accept(page, target, accepted)
		if body := answer.Body.String() + answer.Header().Get("Location"); answer.Code != status || !strings.Contains(body, words) {
			t.Errorf("%s: got %d %s, want %d %s", target, answer.Code, body, status, words)
		}
	}
	const html, program = "text/html", "application/json"
	for target, found := range map[string]string{"/sessions/user?user=LAB%5Canna": `"user":"LAB\\anna"`, "/api/users?q=anna": `"user":"LAB\\anna"`} {
		check(target, program, 400, `"sites":["emea","apac \u0026 co"]`)
		check(target+"&site=nowhere", program, 404, `"sites":["emea"`)
		check(target+"&site=emea", program, 200, found)
		check(target+"&site=emea", program, 200, `"site":"emea"`)
	}
	check("/api/users?q=anna&site=emea", html, 200, `"user":"LAB\\anna"`) // it is never a page
	check("/sessions/user?user=LAB%5Canna", html, 200, `href="../sessions?site=emea"`)
	check("/sessions/user?user=LAB%5Canna&site=apac+%26+co", html, 200, `href="../sessions?site=apac&#43;%26&#43;co"`)
	check("/sessions/user?q=anna&site=apac+%26+co", html, 303, "user?site=apac+%26+co&user=LAB%5Canna")
	check("/sessions/user?q=anna&site=nowhere", html, 404, "no site")
	site.NamesHidden = true
	for _, target := range []string{"/sessions/user?user=LAB%5Canna&site=emea", "/sessions/user?q=an&site=emea", "/sessions/user?site=emea", "/api/users?q=an&site=emea"} {
		for _, accepted := range []string{html, program} {
			if answer := accept(page, target, accepted); answer.Code != 403 || strings.Contains(answer.Body.String(), "anna") {
				t.Errorf("%s: %d %s", target, answer.Code, answer.Body)
			}
		}
	}
}

// TestNameOfTheOnlySite checks that links from alerts work if only Prometheus has a name
// for the site.
func TestNameOfTheOnlySite(t *testing.T) {
	page, _ := pageWith(&directory{}, map[string]int{`LAB\anna`: 5}, "")
	for target, status := range map[string]int{"/sessions/user?user=LAB%5Canna&site=emea": 200, "/sessions?site=emea": 200} {
		if answer := accept(page, target, "text/html"); answer.Code != status || strings.Contains(answer.Body.String(), "emea") {
			t.Errorf("%s: %d %s", target, answer.Code, answer.Body)
		}
		if answer := accept(page, target, "application/json"); answer.Code != http.StatusNotFound {
			t.Errorf("%s: %d for a program", target, answer.Code)
		}
	}
}

// TestFind checks who is found by a name, in which order, and when the search leads
// straight to the user.
func TestFind(t *testing.T) {
	d := &directory{users: []qlik.KnownUser{
		person("anna", "Anna Berg"), person("abe", "Berg, Anna"), person("joanna", ""), person("zoe", "Zoë Müller"), person("o'hara", "O'Hara"),
	}}
	page, _ := pageWith(d, map[string]int{`LAB\anna`: 5, `LAB\joanna`: 1, `ACME\anna`: 4, `LAB\gone`: 2}, "")
	for searched, want := range map[string]string{
		"anna":                              `ACME\anna LAB\anna LAB\joanna LAB\abe`,
		"ANNA berg":                         `LAB\anna LAB\abe`,
		"berg anna":                         `LAB\anna LAB\abe`,
		`lab\anna`:                          `LAB\anna`,
		"lab/an":                            `LAB\anna`,
		"joan":                              `LAB\joanna`,
		"müller":                            `LAB\zoe`,
		"MÜLLER":                            `LAB\zoe`,
		"o'hara":                            `LAB\o'hara`,
		"gone":                              `LAB\gone`,
		"zz":                                ``,
		"berg zz":                           ``,
		hash(qlik.NewUser("LAB", "joanna")): `LAB\joanna`,
		"0123456789abcdef":                  ``,
	} {
		answer := request(t, page, "/api/users?"+url.Values{"q": {searched}}.Encode())
		var found sessions.Found
		if err := json.Unmarshal(answer.Body.Bytes(), &found); err != nil || answer.Code != http.StatusOK || found.Users == nil || found.More || !found.Everybody {
			t.Fatalf("%s: %d %v %s", searched, answer.Code, err, answer.Body)
		}
		var users []string
		for _, user := range found.Users {
			users = append(users, user.User)
		}
		if got := strings.Join(users, " "); strings.ReplaceAll(got, `LAB\anna ACME\anna`, `ACME\anna LAB\anna`) != want {
			t.Errorf("%s: got %s, want %s", searched, got, want)
		}
		shown := request(t, page, "/sessions/user?"+url.Values{"q": {searched}}.Encode())
		straight := len(users) == 1
		if leads := shown.Code == http.StatusSeeOther; leads != straight {
			t.Errorf("%s: status %d", searched, shown.Code)
		}
		for _, user := range users {
			if !straight && !strings.Contains(shown.Body.String(), "<bdi>"+strings.ReplaceAll(user, "'", "&#39;")+"</bdi>") {
				t.Errorf("%s: the page does not list %s", searched, user)
			}
		}
	}
	shown := request(t, page, "/sessions/user?q=anna").Body.String()
	for _, want := range []string{
		"4 users match.", `<a class="full" href="user?user=LAB%5Canna"><span class="badge">0 free</span>`, `<a class="near" href="user?user=ACME%5Canna"`,
		"no sessions</span> <b><bdi>LAB\\abe</bdi></b> <span class=\"quiet\"><bdi>Berg, Anna</bdi>",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %s in %s", want, shown)
		}
	}
	for _, bad := range []string{"/api/users", "/api/users?q=+", "/api/users?q=" + strings.Repeat("x", 300)} {
		if answer := request(t, page, bad); answer.Code != http.StatusBadRequest || !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%.20s: %d %s", bad, answer.Code, answer.Body)
		}
	}
}

// TestFindInACrowd checks that a search returns a bounded number of users.
func TestFindInACrowd(t *testing.T) {
	page := pageOf(&answers{snapshot: sessionstest.Crowd(1000)})
	var found sessions.Found
	answer := request(t, page, "/api/users?q=user")
	if err := json.Unmarshal(answer.Body.Bytes(), &found); err != nil || len(found.Users) != maxFound || !found.More || found.Everybody {
		t.Errorf("%v: %d users, more %t", err, len(found.Users), found.More)
	}
	if shown := request(t, page, "/sessions/user?q=user").Body.String(); !strings.Contains(shown, "50 users of many that match.") || !strings.Contains(shown, "Users without sessions are not listed") {
		t.Error(shown)
	}
}

// TestRepositoryIsSpared checks that the repository is asked once for a text, once at a
// time, not for a single letter, and not longer than a short time.
func TestRepositoryIsSpared(t *testing.T) {
	d := &directory{users: []qlik.KnownUser{person("anna", "")}}
	page, site := pageWith(d, nil, "")
	for range 3 {
		request(t, page, "/api/users?q=an")
		request(t, page, "/sessions/user?q=AN")
		request(t, page, "/api/users?q=a")
		request(t, page, `/sessions/user?user=LAB\anna`)
	}
	if got := strings.Join(d.searches, ", "); got != "an, anna" {
		t.Errorf("the repository was asked for %s", got)
	}
	d.err = errors.New("no answer")
	if answer := request(t, page, "/api/users?q=berg").Body.String(); !strings.Contains(answer, `"everybody":false`) {
		t.Error(answer)
	}
	if answer := request(t, page, `/sessions/user?user=LAB\xaver`); answer.Code != http.StatusOK {
		t.Errorf("without a repository, status %d: %s", answer.Code, answer.Body)
	}
	synctest.Test(t, func(t *testing.T) {
		running, most := 0, 0
		site.Find = func(ctx context.Context, _ string) ([]qlik.KnownUser, error) {
			running++
			most = max(most, running)
			<-ctx.Done() // a repository that hangs
			running--
			return nil, ctx.Err()
		}
		site.Recent = NewRecent(&answers{snapshot: sessionstest.Snapshot(nil)})
		begin := time.Now()
		done := make(chan string)
		for i := range 5 {
			go func() { done <- request(t, page, fmt.Sprintf("/api/users?q=carl%d", i)).Body.String() }()
		}
		for range 5 {
			if answer := <-done; !strings.Contains(answer, `"everybody":false`) {
				t.Error(answer)
			}
		}
		if took := time.Since(begin); most != 1 || took != findTimeout {
			t.Errorf("%d at a time, %s", most, took)
		}
		time.Sleep(cacheTime) // until the timer of the cache ends
	})
}
