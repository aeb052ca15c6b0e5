package main

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// shownUser is what an administrator reads about a user.
type shownUser struct{ free, next, license string }

// TestOneAnswer checks that the page, its JSON, the table and the JSON of the command
// say the same about every user of a busy site, also about those with cooling slots.
func TestOneAnswer(t *testing.T) {
	now := time.Now()
	clock := qliktest.NewClock(now.Add(-3 * time.Hour))
	company := qliktest.Company(300)
	company.Now, company.Seed = clock.Now, 1
	site, flags := startSite(t, company)
	qliktest.NewPeople(site, 1).WarmUp(clock, now)
	clock.Follow()
	for i := range 6 { // a user beyond the limit
		if _, err := site.Login(qliktest.CompanyDirectory, "anna.albers", "device"+strconv.Itoa(i), "", "qlik-central"); err != nil {
			t.Fatal(err)
		}
	}
	metrics := startExporter(t, flags...)
	scrape(t, metrics)
	for _, session := range site.Sessions() { // their slots cool
		if session.UserID == "anna.albers" {
			site.Logout(session.ID)
		}
	}
	exporter := strings.TrimSuffix(metrics, "/metrics")
	for try := range 20 {
		page, pageTime := readPages(t, exporter)
		twin := readList(t, get(t, exporter+"/sessions", "application/json"))
		list := readList(t, runCommand(t, flags, "sessions", "--output=json", "--exporter-url="+exporter))
		table := string(runCommand(t, flags, "sessions", "--exporter-url="+exporter))
		last := readList(t, get(t, exporter+"/sessions", "application/json"))
		if !twin.Time.Equal(list.Time) || !twin.Time.Equal(last.Time) || pageTime != twin.Time.In(time.Local).Format(time.RFC3339) {
			t.Logf("try %d: the site was read again between the requests", try)
			continue
		}
		if len(page) < 100 || len(page) != len(twin.Users) || len(page) != len(list.Users) {
			t.Fatalf("%d users on the page, %d in its JSON, %d in the command", len(page), len(twin.Users), len(list.Users))
		}
		cooling := 0
		for i := range list.Users {
			user := &list.Users[i]
			name := user.User().String()
			cooling += user.CoolingSlots
			want := shownOf(user)
			if got := page[name]; got != want {
				t.Errorf("%s: the page shows %+v, the command %+v", name, got, want)
			}
			if got := shownOf(&twin.Users[i]); got != want || twin.Users[i].User() != user.User() {
				t.Errorf("%s: the JSON of the page has %+v, the command %+v", name, got, want)
			}
			free := want.free
			if free == "" {
				free = "no limit"
			}
			if line := regexp.MustCompile(`(?m)^` + free + ` +` + regexp.QuoteMeta(name) + ` .*$`).FindString(table); !strings.Contains(line, "  "+want.license+"  ") {
				t.Errorf("%s: the table has %q, not %+v", name, line, want)
			}
		}
		if cooling == 0 {
			t.Error("no slot is cooling")
		}
		return
	}
	t.Fatal("the site was read again each time")
}

func shownOf(user *sessions.Listed) shownUser {
	shown := shownUser{license: strings.ReplaceAll(user.License, "_", " ")}
	if user.EffectiveHeadroom != nil {
		shown.free = strconv.Itoa(max(*user.EffectiveHeadroom, 0))
	}
	if !user.NextSlot.IsZero() {
		shown.next = user.NextSlot.In(time.Local).Format(time.RFC3339)
	}
	return shown
}

var (
	pageRow     = regexp.MustCompile(`(?s)<tr role="row" class="[a-z]+">.*?</tr>`)
	pageUser    = regexp.MustCompile(`class="user">(?:<a [^>]*>)?<span class="quiet"><bdi>([^<]*)</bdi>\\</span><bdi>([^<]*)</bdi>`)
	pageFree    = regexp.MustCompile(`class="badge">(\d+) free`)
	pageNext    = regexp.MustCompile(`<span class="label">Next slot </span><time datetime="([^"]*)"`)
	pageLicense = regexp.MustCompile(`<span class="label">License </span>([a-z ]*)`)
	pageRead    = regexp.MustCompile(`class="read-at">Read at <time datetime="([^"]*)"`)
	pageNumbers = regexp.MustCompile(`<span>Page \d+ of (\d+)</span>`)
)

// readPages reads all pages. It returns no time if the site was read again in between.
func readPages(t *testing.T, exporter string) (users map[string]shownUser, read string) {
	t.Helper()
	users = make(map[string]shownUser)
	for page, pages := 1, 1; page <= pages; page++ {
		text := string(get(t, exporter+"/sessions?page="+strconv.Itoa(page), "text/html"))
		pages, _ = strconv.Atoi(firstMatch(pageNumbers, text))
		at := firstMatch(pageRead, text)
		if page > 1 && at != read {
			return users, ""
		}
		read = at
		maps.Copy(users, shownUsers(t, text))
	}
	return users, read
}

// shownUsers returns the users on a page of the list.
func shownUsers(t *testing.T, text string) map[string]shownUser {
	t.Helper()
	users := make(map[string]shownUser)
	for _, row := range pageRow.FindAllString(text, -1) {
		name := pageUser.FindStringSubmatch(row)
		if name == nil {
			t.Fatalf("a row without a user: %s", row)
		}
		users[html.UnescapeString(name[1]+`\`+name[2])] = shownUser{
			firstMatch(pageFree, row), firstMatch(pageNext, row), strings.TrimSpace(firstMatch(pageLicense, row)),
		}
	}
	return users
}

// firstMatch returns the text in the parentheses of a pattern, or "".
func firstMatch(pattern *regexp.Regexp, text string) string {
	if match := pattern.FindStringSubmatch(text); match != nil {
		return html.UnescapeString(match[1])
	}
	return ""
}

func get(t *testing.T, url, accept string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", url, response.Status, err, body)
	}
	return body
}

func readList(t *testing.T, document []byte) *sessions.List {
	t.Helper()
	list := new(sessions.List)
	if err := json.Unmarshal(document, list); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	return list
}

// runCommand returns the output of a command that the running exporter answers.
func runCommand(t *testing.T, flags []string, args ...string) []byte {
	t.Helper()
	asking := command(t, append(args, flags...)...)
	var said bytes.Buffer
	asking.Stderr = &said
	output, err := asking.Output()
	if err != nil || !strings.Contains(said.String(), " answers.\n") {
		t.Fatalf("%q: %v: %s", args, err, &said)
	}
	return output
}
