package page

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers is a site that always returns the same snapshot.
type answers struct {
	snapshot *headroom.Snapshot
	after    time.Duration
	reads    atomic.Int64
}

func (a *answers) Snapshot(ctx context.Context) *headroom.Snapshot {
	a.reads.Add(1)
	if a.after > 0 {
		select {
		case <-time.After(a.after):
		case <-ctx.Done():
		}
	}
	return a.snapshot
}

func (*answers) Status() collector.Status { return collector.Status{} }

func pageOf(site Source) http.Handler {
	recent := NewRecent(site)
	return New(Config{
		Names: func() []string { return []string{""} },
		Use: func(name string) (Site, func(), bool) {
			return Site{Recent: recent, ServiceAccounts: []qlik.User{qlik.NewUser("LAB", "reload")}}, func() {}, name == ""
		},
		Now: func() time.Time { return sessionstest.Noon },
	})
}

func request(tb testing.TB, page http.Handler, target string) *httptest.ResponseRecorder {
	tb.Helper()
	recorder := httptest.NewRecorder()
	page.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, target, http.NoBody))
	return recorder
}

func body(t *testing.T, snapshot *headroom.Snapshot, query string) string {
	t.Helper()
	answer := request(t, pageOf(&answers{snapshot: snapshot}), "/sessions"+query)
	if answer.Code != http.StatusOK {
		t.Fatalf("%s: status %d: %s", query, answer.Code, answer.Body)
	}
	return answer.Body.String()
}

var userCell = regexp.MustCompile(`<th role="rowheader"[^>]*>(?:<a [^>]*>)?<span class="quiet"><bdi>([^<]*)</bdi>\\</span><bdi>([^<]*)</bdi>`)

// users returns the users on the page, in order.
func users(page string) string {
	var all []string
	for _, cell := range userCell.FindAllStringSubmatch(page, -1) {
		all = append(all, cell[1]+`\`+cell[2])
	}
	return strings.Join(all, " ")
}

func TestPageFiltersAndSorts(t *testing.T) {
	snapshot := sessionstest.Snapshot(map[string]int{`A\anna`: 5, `A\ben`: 1, `B\carl`: 4, `B\dora`: 3, `NONE\anonymous1`: 2})
	for query, want := range map[string]string{
		"":                             `A\anna B\carl B\dora A\ben NONE\anonymous`,
		"?sort=-slots":                 `A\ben B\dora B\carl A\anna NONE\anonymous`,
		"?sort=user":                   `A\anna A\ben B\carl B\dora NONE\anonymous`,
		"?sort=-user":                  `NONE\anonymous B\dora B\carl A\ben A\anna`,
		"?sort=sessions":               `A\anna B\carl B\dora NONE\anonymous A\ben`,
		"?sort=-sessions":              `A\ben NONE\anonymous B\dora B\carl A\anna`,
		"?sort=age":                    `NONE\anonymous B\dora B\carl A\ben A\anna`,
		"?sort=where":                  `A\anna B\carl B\dora A\ben NONE\anonymous`, // no such order
		"?slots=near":                  `A\anna B\carl`,
		"?slots=1":                     `B\carl`,
		"?slots=0":                     `A\anna`,
		"?slots=x":                     `A\anna B\carl B\dora A\ben NONE\anonymous`,
		"?q=A%5CAN":                    `A\anna`,
		"?q=a/AN":                      `A\anna`,
		"?q=zz":                        ``,
		"?proxy=/sales":                `A\anna B\carl B\dora NONE\anonymous`,
		"?node=qlik2":                  `A\anna B\carl B\dora`,
		"?proxy=/&node=qlik2":          ``, // no user has a session on this link, although both parts match elsewhere
		"?node=qlik2&slots=near&q=car": `B\carl`,
		"?page=7&q=dora":               `B\dora`,
		"?page=-1&q=dora":              `B\dora`,
	} {
		if got := users(body(t, snapshot, query)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", query, got, want)
		}
	}
}

// TestUnknownComesLast checks that users without a value come last in both sort
// directions.
func TestUnknownComesLast(t *testing.T) {
	rows := []sessions.Row{{}, {LastActivity: sessionstest.Noon}, {LastActivity: sessionstest.Noon.Add(-time.Hour)}}
	for by, want := range map[string][]int{"idle": {2, 1, 0}, "-idle": {1, 2, 0}} {
		order := []*sessions.Row{&rows[0], &rows[1], &rows[2]}
		sortBy(order, by)
		for i := range want {
			if order[i] != &rows[want[i]] {
				t.Errorf("%s: place %d is wrong", by, i)
			}
		}
	}
}

func TestPageTurns(t *testing.T) {
	handler := pageOf(&answers{snapshot: sessionstest.Crowd(10_000)})
	seen := make(map[string]bool)
	query, pages := "", 0
	for next := regexp.MustCompile(`href="([^"]*)" rel="next"`); ; pages++ {
		page := request(t, handler, "/sessions"+query).Body.String()
		for user := range strings.FieldsSeq(users(page)) {
			seen[user] = true
		}
		found := next.FindStringSubmatch(page)
		if found == nil {
			break
		}
		query = html.UnescapeString(found[1])
	}
	if pages != 99 || len(seen) != 10_000 {
		t.Errorf("%d pages after the first, %d users; want 99 and 10000", pages, len(seen))
	}
}

// TestHostileNames checks that a name cannot become markup or change the direction of
// text, and that all of its characters are visible.
func TestHostileNames(t *testing.T) {
	names := map[string]string{ // to the visible id
		`A\<script>alert(1)</script>`:      `<script>alert(1)</script>`,
		`A\"><img src=x onerror=alert(1)>`: `"><img src=x onerror=alert(1)>`,
		"A\\evil\u202egnp.exe":             `evil‹U+202E›gnp.exe`,
		"A\\tab\tbell\aescape\x1b[31m":     `tab‹U+0009›bell‹U+0007›escape‹U+001B›[31m`,
		"A\\zero\u200bwidth\u00a0space":    `zero‹U+200B›width‹U+00A0›space`,
		`A\=cmd|' /C calc'!a0`:             `=cmd|' /c calc'!a0`,
		`A\$(reboot)`:                      `$(reboot)`,
		`A\javascript:alert(1)`:            `javascript:alert(1)`,
		`A\שלום`:                           `שלום`,
		`A\{{.}}`:                          `{{.}}`,
	}
	for name, want := range names {
		page := body(t, sessionstest.Snapshot(map[string]int{name: 5}), "")
		if got := html.UnescapeString(users(page)); got != `A\`+want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
		if strings.Contains(page, "qlik_exporter sessions end --user &#34;") {
			t.Errorf("%q: has a command to paste", name)
		}
		if strings.Contains(page, "<script>") || strings.Contains(page, "<img") || strings.ContainsAny(page, "\u202e\a\x1b") {
			t.Errorf("%q: is in the page as it stands", name)
		}
	}
	// The filter shows the text as typed, and it is harmless too.
	text := `"><script>alert(1)</script>`
	page := body(t, sessionstest.Snapshot(map[string]int{`A\anna`: 1}), "?"+url.Values{"q": {text}, "node": {text}, "proxy": {text}, "sort": {text}}.Encode())
	if strings.Contains(page, "<script>") || !strings.Contains(page, `value="&#34;&gt;&lt;script&gt;`) {
		t.Error("what was asked for is in the page as it stands, or gone")
	}
}

// TestNeverEnded checks that the page shows a reason instead of a command for users
// whose sessions are never ended.
func TestNeverEnded(t *testing.T) {
	for name, want := range map[string]string{
		`LAB\anna`:              "",
		`LAB\reload`:            "Never ended: a service account",
		`INTERNAL\sa_scheduler`: "Never ended: a service account",
		`LAB\robot`:             "Never ended: an unlimited user",
		`NONE\anonymous1`:       "Never ended: all anonymous users",
	} {
		snapshot := sessionstest.Snapshot(map[string]int{name: 2})
		if name == `LAB\robot` {
			snapshot.Users[0].Limited = false
		}
		cells := row(t, body(t, snapshot, ""))
		if offered := strings.Contains(cells, "qlik_exporter sessions end"); offered != (want == "") || !strings.Contains(cells, want) {
			t.Errorf("%s: command offered %t, want %q in %s", name, offered, want, cells)
		}
	}
}

// row returns the cells of the only user as text.
func row(t *testing.T, page string) string {
	t.Helper()
	_, body, found := strings.Cut(page, "<tbody")
	body, _, ended := strings.Cut(body, "</tbody>")
	if !found || !ended {
		t.Fatal("no table")
	}
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString("<"+body, " ")
	return html.UnescapeString(strings.Join(strings.Fields(text), " "))
}

func TestRowSaysWhatIsKnown(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(s *headroom.Snapshot, u *headroom.UserStatus)
		want   []string
	}{
		{"at the limit", func(_ *headroom.Snapshot, u *headroom.UserStatus) {
			u.EffectiveHeadroom, u.NextSlot = 0, sessionstest.Noon.Add(5*time.Minute)
		}, []string{"0 free", "5 of 5", "2 on / qlik1", "2 on /sales qlik1", "1 on /sales qlik2", "12:05:00 UTC in 5 min", `--user "A\anna"`}},
		{"no slot in sight", func(_ *headroom.Snapshot, u *headroom.UserStatus) { u.EffectiveHeadroom = 0 }, []string{"Next slot unknown"}},
		{"cooling", func(_ *headroom.Snapshot, u *headroom.UserStatus) { u.CoolingSlots, u.EffectiveHeadroom = 2, -2 }, []string{"0 free", "2 cooling"}},
		{"there from the start", func(_ *headroom.Snapshot, u *headroom.UserStatus) { u.FirstSeen = sessionstest.Noon.Add(-time.Hour) }, []string{"Oldest session ≥ 1 h 0 min"}},
		{"came since", func(_ *headroom.Snapshot, u *headroom.UserStatus) {
			u.FirstSeen = sessionstest.Noon.Add(-59 * time.Minute)
		}, []string{"Oldest session 59 min"}},
		{"sessions without a slot", func(_ *headroom.Snapshot, u *headroom.UserStatus) { u.EffectiveHeadroom = 2 }, []string{"2 free", "5 of 5 3 slots taken"}},
		{"slots without a session", func(_ *headroom.Snapshot, u *headroom.UserStatus) { u.Sessions, u.EffectiveHeadroom = 1, 3 }, []string{"1 of 5 2 slots taken"}},
		{"beyond the limit", func(_ *headroom.Snapshot, u *headroom.UserStatus) { u.Sessions, u.EffectiveHeadroom = 7, 0 }, []string{"7 of 5 2 over the limit 2 on"}},
		{"sessions beyond the limit that hold no slot", func(_ *headroom.Snapshot, u *headroom.UserStatus) { u.Sessions, u.EffectiveHeadroom = 6, 5 }, []string{"5 free", "Sessions 6 0 slots taken 2 on"}},
		{"unlimited", func(_ *headroom.Snapshot, u *headroom.UserStatus) { u.Limited = false }, []string{"no limit", "Sessions 5"}},
		{"license", func(_ *headroom.Snapshot, u *headroom.UserStatus) { u.License = qlik.LicenseAnalyzerCapacity }, []string{"License analyzer capacity"}},
		{"licenses not read", func(*headroom.Snapshot, *headroom.UserStatus) {}, []string{"License – unknown", "Idle – unknown"}},
	} {
		snapshot := sessionstest.Snapshot(map[string]int{`A\anna`: 5})
		// Two on the first, two on the second, one on the third link.
		test.change(snapshot, &snapshot.Users[0])
		text := row(t, body(t, snapshot, ""))
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in: %s", test.name, want, text)
			}
		}
	}
}

// TestRefusedUsers checks that the page tells a refusal for want of a license from one for
// the limit, also for users without sessions, and offers no command that does not help.
func TestRefusedUsers(t *testing.T) {
	snapshot := sessionstest.Snapshot(map[string]int{`A\anna`: 2, `A\ben`: 2, `A\carl`: 5})
	refusals := func(reason qlik.RefusalReason, before string) []qlik.Refusal {
		return []qlik.Refusal{{At: sessionstest.Noon.Add(-4 * time.Minute), Reason: reason, License: before}}
	}
	dora, emil := qlik.NewUser("A", "dora"), qlik.NewUser("A", "emil")
	snapshot.Licenses = &qlik.Licenses{Holders: map[qlik.User]qlik.LicenseSet{
		qlik.NewUser("A", "ben"): qlik.NewLicenseSet("analyzer"), emil: qlik.NewLicenseSet("analyzer"),
	}}
	snapshot.Users[1].License = qlik.LicenseAnalyzer
	snapshot.Refusals = qlik.Refusals{
		qlik.NewUser("A", "anna"): refusals(qlik.RefusedNoLicense, qlik.LicenseNone),
		qlik.NewUser("A", "ben"):  refusals(qlik.RefusedNoLicense, qlik.LicenseAnalyzer),
		qlik.NewUser("A", "carl"): refusals(qlik.RefusedSessionLimit, qlik.LicenseAnalyzer),
		dora:                      refusals(qlik.RefusedNoLicense, qlik.LicenseNone),
		emil:                      refusals(qlik.RefusedSessionLimit, qlik.LicenseAnalyzer),
	}
	snapshot.Users[0].Judgment.Cause, snapshot.Users[1].Judgment.Cause = headroom.CauseNoLicense, headroom.CauseLicenseService
	refused := snapshot.Of(dora)
	refused.Judgment.Cause = headroom.CauseNoLicense
	snapshot.Users = append(snapshot.Users, refused)
	recent := NewRecent(&answers{snapshot: snapshot})
	page := New(Config{
		Names: func() []string { return []string{""} },
		Use:   func(string) (Site, func(), bool) { return Site{Recent: recent}, func() {}, true },
		Now:   func() time.Time { return sessionstest.Noon },
	})
	for name, test := range map[string]struct{ want, not []string }{
		"anna": {[]string{"no license A", "refused: no license, 11:56:00 UTC (4 min ago)", "Ending sessions does not help. Allocate a license"}, []string{"free A", "--user"}},
		"ben":  {[]string{"license service A", "although the user holds one", "Look at the license service."}, []string{"free A", "--user"}},
		"carl": {[]string{"0 free A", "refused: too many sessions, 11:56:00 UTC (4 min ago)", "--user"}, []string{"does not help"}},
		"dora": {[]string{"no license A", "refused: no license, 11:56:00 UTC (4 min ago)"}, []string{"free A", "--user", "shell"}},
		"emil": {[]string{"5 free A", "refused: too many sessions, 11:56:00 UTC (4 min ago)", "Sessions 0 of 5"}, []string{"--user", "shell"}},
	} {
		text := row(t, request(t, page, "/sessions?q="+name).Body.String())
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in: %s", name, want, text)
			}
		}
		for _, not := range test.not {
			if strings.Contains(text, not) {
				t.Errorf("%s: %q in: %s", name, not, text)
			}
		}
	}
	if got, want := users(request(t, page, "/sessions").Body.String()), `A\carl A\anna A\ben A\dora A\emil`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestUserWithManyPlaces checks that a user with sessions everywhere does not make the
// page much longer.
func TestUserWithManyPlaces(t *testing.T) {
	snapshot := sessionstest.Snapshot(nil)
	links := make([]headroom.LinkResult, 5000)
	for i := range links {
		links[i] = headroom.LinkResult{Link: qlik.Link{Node: "qlik1", VirtualProxy: fmt.Sprintf("/portal%04d", i)}}
		session := qlik.Session{ID: qlik.SessionID(fmt.Sprint(i)), User: qlik.NewUser("A", "anna"), Link: &links[i].Link}
		links[i].Sessions = []qlik.Session{session}
	}
	counted, _ := headroom.New(headroom.Config{Limit: snapshot.Limit}).Observe(headroom.Round{Links: links})
	text := row(t, body(t, counted, ""))
	if strings.Count(text, "on /portal") != maxPlaces || !strings.Contains(text, "1 on /portal0019 qlik1 and 4980 more") {
		t.Errorf("got %.3000s", text)
	}
}

// TestWaitInsteadOfTheCommand checks that the page does not advise to end sessions while
// slots cool, because that would only make more slots cool.
func TestWaitInsteadOfTheCommand(t *testing.T) {
	state := headroom.New(headroom.Config{Limit: 5, CoolingTime: 5 * time.Minute})
	link := qlik.Link{Node: "qlik1", VirtualProxy: "/"}
	observe := func(at time.Time, sessions int) *headroom.Snapshot {
		result := headroom.LinkResult{Link: link}
		for i := range sessions {
			result.Sessions = append(result.Sessions, qlik.Session{ID: qlik.SessionID(fmt.Sprint(i)), User: qlik.NewUser("A", "anna"), Link: &link})
		}
		var snapshot *headroom.Snapshot
		snapshot, state = state.Observe(headroom.Round{Asked: at, Heard: at, Links: []headroom.LinkResult{result}})
		return snapshot
	}
	if text := row(t, body(t, observe(sessionstest.Noon.Add(-3*time.Minute), 5), "")); !strings.Contains(text, `--user "A\anna"`) {
		t.Errorf("five sessions: %s", text)
	}
	observe(sessionstest.Noon.Add(-2*time.Minute), 3)
	text := row(t, body(t, observe(sessionstest.Noon, 3), ""))
	if !strings.Contains(text, "Wait until 12:03:00 UTC (in 3 min): ending sessions would free no slot sooner") || strings.Contains(text, "--user") {
		t.Errorf("two slots cool: %s", text)
	}
}

// TestFailureIsNeverAnEmptyPage checks that the page names links that did not answer,
// and that a page without users says whether the data is complete.
func TestFailureIsNeverAnEmptyPage(t *testing.T) {
	failed := &qlik.Error{Op: "GET", Target: "https://qlik2:4243/qps/sales/session", Kind: qlik.KindNotJSON, Err: io.ErrUnexpectedEOF}
	for _, test := range []struct {
		name   string
		change func(s *headroom.Snapshot)
		want   []string
		not    []string
	}{
		{
			"all answered, nobody there", func(*headroom.Snapshot) {},
			[]string{"Nobody has a session.", "complete: all 3 links answered", "usage rows of the repository are currently unknown"},
			[]string{"Incomplete", "No session data"},
		},
		{
			"one failed, nobody there", func(s *headroom.Snapshot) { s.Links[2].Err = failed },
			[]string{"Incomplete: 2 of 3 links answered", "<bdi>qlik2</bdi></b> <bdi>/sales</bdi>: <bdi>the response is not JSON, so the service is starting or another program responds</bdi>. To do: <bdi>run qlik_exporter check", "The other links may have some", "<title>Incomplete: at least 0 users without"},
			[]string{"Nobody has a session", "complete: all"},
		},
		{
			"one has stopped", func(s *headroom.Snapshot) { s.Links[2].Err, s.Links[2].Stopped = failed, true },
			[]string{"complete: 2 links answered, 1 link of stopped proxies", "Nobody has a session."},
			[]string{"Incomplete", "not json"},
		},
		{"all failed", func(s *headroom.Snapshot) {
			for i := range s.Links {
				s.Links[i].Err = failed
			}
		}, []string{"No session data available", "none of 3 links answered", "<bdi>/</bdi>, <bdi>/sales</bdi>"}, []string{"Nobody has a session", "<form", "without a free slot"}},
		{
			"no link known", func(s *headroom.Snapshot) { s.Links = nil },
			[]string{"No session data available", "no repository answered"},
			[]string{"Nobody has a session", "<form"},
		},
	} {
		snapshot := sessionstest.Snapshot(nil)
		test.change(snapshot)
		page := body(t, snapshot, "")
		for _, want := range test.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q", test.name, want)
			}
		}
		for _, not := range test.not {
			if strings.Contains(page, not) {
				t.Errorf("%s: %q", test.name, not)
			}
		}
	}
}

func TestPageIsReadOnlyAndLoadsNothingElse(t *testing.T) {
	page := pageOf(&answers{snapshot: sessionstest.Snapshot(map[string]int{`A\anna`: 5})})
	for target, contentType := range map[string]string{
		"/sessions": "text/html; charset=utf-8", "/sessions/page.css": "text/css; charset=utf-8", "/sessions/page.js": "text/javascript; charset=utf-8",
	} {
		answer := request(t, page, target)
		header := answer.Header()
		if answer.Code != http.StatusOK || header.Get("Content-Type") != contentType || header.Get("X-Content-Type-Options") != "nosniff" ||
			header.Get("Referrer-Policy") != "no-referrer" || !strings.HasPrefix(header.Get("Content-Security-Policy"), "default-src 'none'; ") {
			t.Errorf("%s: %d %v", target, answer.Code, header)
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			recorder := httptest.NewRecorder()
			page.ServeHTTP(recorder, httptest.NewRequest(method, target, http.NoBody))
			if recorder.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, target, recorder.Code)
			}
		}
	}
	answer := request(t, page, "/sessions")
	if answer.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the page may be cached: %v", answer.Header())
	}
	for _, bad := range []string{" style=", " onclick=", "<style", "http:", "https:"} {
		if strings.Contains(answer.Body.String(), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

func TestHiddenNamesNeedAuthentication(t *testing.T) {
	site := &answers{snapshot: sessionstest.Snapshot(map[string]int{`A\anna`: 5})}
	config := Config{
		Names: func() []string { return []string{"paris", "rome"} },
		Use: func(name string) (Site, func(), bool) {
			return Site{Recent: NewRecent(site), NamesHidden: name == "rome"}, func() {}, name == "paris" || name == "rome"
		},
	}
	open := New(config)
	config.Authenticated = func() bool { return true }
	closed := New(config)
	for _, test := range []struct {
		page   http.Handler
		query  string
		status int
		text   string
	}{
		{open, "", 200, "anna"},
		{open, "?site=paris", 200, `href="?site=rome"`},
		{open, "?site=rome", 403, "--web.config.file"},
		{open, "?site=oslo", 404, "no site"},
		{closed, "?site=rome", 200, `--site &#34;rome&#34;`},
	} {
		answer := request(t, test.page, "/sessions"+test.query)
		if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.text) {
			t.Errorf("%s: %d without %s", test.query, answer.Code, test.text)
		}
	}
	if answer := request(t, open, "/sessions?site=rome"); strings.Contains(answer.Body.String(), "anna") {
		t.Error("the page shows a name without authentication")
	}
}

func BenchmarkPage(b *testing.B) {
	page := pageOf(&answers{snapshot: sessionstest.Crowd(10_000)})
	request(b, page, "/sessions") // counts the rows
	for name, target := range map[string]string{
		"first": "/sessions", "filter": "/sessions?q=user09&proxy=/sales", "sorted by user": "/sessions?sort=-user", "last": "/sessions?page=100",
		"longest filter": "/sessions?sort=-user&q=" + url.QueryEscape(strings.Repeat("Ⱥ", 85)),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if answer := request(b, page, target); answer.Code != http.StatusOK {
					b.Fatal(answer.Code)
				}
			}
		})
	}
	b.Run("rows", func(b *testing.B) {
		snapshot := sessionstest.Crowd(10_000)
		for b.Loop() {
			sessions.Rows(snapshot)
		}
	})
}
