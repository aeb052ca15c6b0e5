package page

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// readable is a site with a status.
type readable struct {
	answers

	status collector.Status
}

func (r *readable) Status() collector.Status { return r.status }

// landingOf returns the landing page of sites, and their sessions pages. The sites are read
// once if they have a snapshot.
func landingOf(t *testing.T, sites map[string]*readable, change func(name string, site *Site), landing Landing, names ...string) (page, sessions http.Handler) {
	t.Helper()
	recent := make(map[string]*Recent)
	for name, site := range sites {
		recent[name] = NewRecent(site)
		if site.snapshot != nil {
			recent[name].Snapshot(t.Context())
		}
	}
	config := Config{
		Names: func() []string { return names },
		Use: func(name string) (Site, func(), bool) {
			site := Site{Recent: recent[name], Hosts: []string{"qlik1.example:4242"}}
			if change != nil {
				change(name, &site)
			}
			return site, func() {}, recent[name] != nil
		},
		Now: func() time.Time { return sessionstest.Noon.Add(30 * time.Second) },
	}
	return NewLanding(config, landing), New(config)
}

// textOf returns the text of a page.
func textOf(page string) string {
	_, page, _ = strings.Cut(page, "<main>")
	page = regexp.MustCompile(`<span class="unseen">[^<]*</span>|<[^>]*>`).ReplaceAllString(page, " ")
	return strings.Join(strings.Fields(html.UnescapeString(page)), " ")
}

var (
	link     = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	iconLink = regexp.MustCompile(`id="icon" href="([^"]*)" data-now="([^"]*)"`)
)

// iconOf returns the two URLs of the icon of a page.
func iconOf(page string) string {
	return strings.Join(append(iconLink.FindStringSubmatch(page), "", "", "")[1:3], " ")
}

func TestLanding(t *testing.T) {
	busy := map[string]int{`A\anna`: 5, `A\bert`: 7, `A\carl`: 4, `A\dora`: 1}
	broken := func(answered int) *headroom.Snapshot {
		snapshot := sessionstest.Snapshot(busy)
		for i := answered; i < len(snapshot.Links); i++ {
			snapshot.Links[i].Err = &qlik.Error{Kind: qlik.KindTimeout, Err: errors.New("no answer in 10s")}
		}
		return snapshot
	}
	expiring := collector.Status{
		Certificates: qlik.Certificates{ClientExpiry: sessionstest.Noon.Add(12*24*time.Hour + time.Hour), RootExpiry: sessionstest.Noon.Add(365 * 24 * time.Hour)},
		Repositories: []collector.RepositoryStatus{{Node: "qlik1", Up: true}, {Node: "qlik2"}},
	}
	old := sessionstest.Snapshot(busy)
	old.Time = old.Time.Add(-10 * time.Minute)
	refused := sessionstest.Snapshot(busy)
	refused.Refusals = qlik.Refusals{qlik.NewUser("A", "anna"): {
		{At: sessionstest.Noon.Add(-time.Minute), Reason: qlik.RefusedSessionLimit}, {At: sessionstest.Noon.Add(-2 * time.Minute), Reason: qlik.RefusedSessionLimit}, {At: sessionstest.Noon.Add(-time.Hour), Reason: qlik.RefusedSessionLimit},
	}}
	for name, test := range map[string]struct {
		snapshot           *headroom.Snapshot
		status             collector.Status
		audit              bool
		level, title, icon string
		says               []string
	}{
		"not scraped": {nil, collector.Status{}, true, "unknown", "Not scraped yet", "0", []string{"qlik1.example Not scraped yet."}},
		"busy": {sessionstest.Snapshot(busy), collector.Status{}, false, "full", "2 users without a free slot", "2", []string{
			"Read at 12:00:00 UTC , 30 s ago; all 3 links answered. 2 users without a free slot 1 user with one free slot 17 sessions of 4 users Sessions Metrics",
		}},
		"quiet":   {sessionstest.Snapshot(map[string]int{`A\anna`: 1}), collector.Status{}, true, "free", "0 users without a free slot", "0", []string{"1 session of 1 user 0 refused logins in the last 15 min"}},
		"refused": {refused, collector.Status{}, true, "full", "2 users without a free slot", "2", []string{"2 refused logins in the last 15 min"}},
		"incomplete": {broken(2), collector.Status{}, false, "full", "Incomplete: at least 2 users without a free slot", "2", []string{
			"2 of 3 links answered. No sessions from qlik2 on /sales: the server does not respond in time.", "≥ 2 users without a free slot", "≥ 17 sessions of 4 users",
		}},
		"nothing": {broken(0), collector.Status{}, false, "full", "No session data available", "unknown", []string{
			"0 of 3 links answered. No sessions from qlik1 on /, /sales: the server does not respond in time. The sessions page shows 1 other failure. Sessions Metrics",
		}},
		"no topology": {&headroom.Snapshot{Time: sessionstest.Noon}, collector.Status{}, false, "full", "No session data available", "unknown", []string{
			"Read at 12:00:00 UTC , 30 s ago. No repository has answered, so the virtual proxies are unknown.",
		}},
		"old": {old, collector.Status{}, false, "near", "No session data available", "unknown", []string{"Nothing has scraped this site for 10 min. Check Prometheus."}},
		"expiring": {sessionstest.Snapshot(busy), expiring, false, "full", "2 users without a free slot", "2", []string{
			"The repository of qlik2 does not answer. The client certificate expires in 12 d 0 h, on 2026-12-02. 2 users",
		}},
	} {
		site := &readable{answers: answers{snapshot: test.snapshot}, status: test.status}
		page, _ := landingOf(t, map[string]*readable{"": site}, func(_ string, site *Site) { site.AuditLog = test.audit }, Landing{TelemetryPath: "/metrics", Version: "1.2.3"}, "")
		reads := site.reads.Load()
		answer := request(t, page, "/")
		body := answer.Body.String()
		if answer.Code != http.StatusOK || !strings.Contains(body, `<section class="site `+test.level+`"`) || !strings.Contains(body, "<title>"+test.title+" –") {
			t.Errorf("%s: status %d, %s", name, answer.Code, body)
		}
		if got, want := iconOf(body), "sessions/favicon.svg?users="+test.icon+" sessions/favicon.svg"; got != want {
			t.Errorf("%s: the icon is %q, want %q", name, got, want)
		}
		for _, says := range append(test.says, "qlik_exporter 1.2.3.") {
			if got := textOf(body); !strings.Contains(got, says) {
				t.Errorf("%s: no %q in %s", name, says, got)
			}
		}
		if site.reads.Load() != reads {
			t.Errorf("%s: the page has read the site", name)
		}
	}
}

// TestLandingOfSeveralSites checks that the page has links to everything of each site, that
// all links to the exporter are relative, and that the icon counts all sites.
func TestLandingOfSeveralSites(t *testing.T) {
	sites := map[string]*readable{
		"emea":      {answers: answers{snapshot: sessionstest.Snapshot(map[string]int{`A\anna`: 5, `A\ben`: 5})}},
		"a&b <i>c/": {answers: answers{snapshot: sessionstest.Snapshot(map[string]int{`A\anna`: 5})}},
		"apac":      {},
	}
	landing := Landing{TelemetryPath: "/a:b c", Pprof: true, Desk: func(*http.Request) string { return "https://desk.example:9987/" }}
	page, sessions := landingOf(t, sites, nil, landing, "emea", "a&b <i>c/", "apac")
	body := request(t, page, "/").Body.String()
	links := make(map[string]bool)
	for _, found := range link.FindAllStringSubmatch(body, -1) {
		to := html.UnescapeString(found[1])
		links[to] = true
		u, err := url.Parse(to)
		external := strings.HasPrefix(to, "https://github.com/qlik-exporter/qlik_exporter") || to == "https://desk.example:9987/"
		if err != nil || !external && (u.IsAbs() || strings.HasPrefix(to, "/")) {
			t.Errorf("link to %s, %v", to, err)
		}
	}
	for _, want := range []string{
		"./a:b%20c", "sd", "config", "-/healthy", "-/ready", "debug/pprof/", "https://desk.example:9987/", "sessions/user", "sessions/page.css", "sessions/page.js",
		"sessions?site=emea", "sessions?site=emea&slots=0", "sessions?site=emea&slots=1", "probe?target=emea",
		"sessions?site=a%26b+%3Ci%3Ec%2F", "probe?target=a%26b+%3Ci%3Ec%2F", "sessions?site=apac", "probe?target=apac",
		"sessions/favicon.svg?users=3",
	} {
		if !links[want] {
			t.Errorf("no link to %s among %v", want, links)
		}
	}
	if strings.Contains(body, "<i>") || strings.Contains(body, "anna") {
		t.Errorf("a tag out of a name, or a user: %s", body)
	}
	for target, want := range map[string]string{
		"/sessions/favicon.svg":                           "favicon.svg?users=3",
		"/sessions/favicon.svg?site=emea":                 "favicon.svg?users=2",
		"/sessions/favicon.svg?site=a%26b+%3Ci%3Ec%2F":    "favicon.svg?users=1",
		"/sessions/favicon.svg?site=apac":                 "favicon.svg?users=0",
		"/sessions/favicon.svg?site=https://evil.example": "favicon.svg?users=0",
	} {
		if answer := request(t, sessions, target); answer.Code != http.StatusSeeOther || answer.Header().Get("Location") != want {
			t.Errorf("%s: %d leads to %q, want %q", target, answer.Code, answer.Header().Get("Location"), want)
		}
	}
}

// TestLandingOfHostileSite checks that the texts of a site do nothing on the page.
func TestLandingOfHostileSite(t *testing.T) {
	const name = "<script>alert(1)</script>\u202e\x1b"
	snapshot := sessionstest.Snapshot(map[string]int{`A\anna`: 5})
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		link.Node, link.VirtualProxy, link.CertificateExpiry = name+"node", name+"proxy", sessionstest.Noon
		link.Err = errors.New(name + "error")
	}
	snapshot.Links[0].Err = nil
	site := &readable{answers: answers{snapshot: snapshot}, status: collector.Status{Repositories: []collector.RepositoryStatus{{Node: name + "repository"}}}}
	page, _ := landingOf(t, map[string]*readable{name: site}, nil, Landing{TelemetryPath: "/metrics"}, name)
	body := request(t, page, "/").Body.String()
	if strings.Contains(body, "<script>") || strings.ContainsAny(textOf(body), "\u202e\x1b") {
		t.Errorf("dangerous characters in %s", body)
	}
	for _, shown := range []string{"node", "proxy", "error", "repository", ""} {
		if !strings.Contains(textOf(body), "<script>alert(1)</script>‹U+202E›‹U+001B›"+shown) {
			t.Errorf("no %q in %s", shown, textOf(body))
		}
	}
}

// TestLandingHidesNames checks that the page has neither names nor links that are refused
// if the metrics hide names and nobody must authenticate.
func TestLandingHidesNames(t *testing.T) {
	for _, authenticated := range []bool{false, true} {
		recent := NewRecent(&answers{snapshot: sessionstest.Snapshot(map[string]int{`A\anna`: 5})})
		recent.Snapshot(t.Context())
		page := NewLanding(Config{
			Names:         func() []string { return []string{""} },
			Use:           func(string) (Site, func(), bool) { return Site{Recent: recent, NamesHidden: true}, func() {}, true },
			Authenticated: func() bool { return authenticated },
			Now:           func() time.Time { return sessionstest.Noon },
		}, Landing{TelemetryPath: "/metrics"})
		body := request(t, page, "/").Body.String()
		linked := strings.Contains(body, `href="sessions?`) && strings.Contains(body, `action="sessions/user"`)
		if got := textOf(body); strings.Contains(body, "anna") || linked != authenticated || !strings.Contains(got, "1 user without a free slot") ||
			strings.Contains(got, "requires authentication") == authenticated {
			t.Errorf("authenticated %t: %s", authenticated, got)
		}
	}
}

func TestIcon(t *testing.T) {
	page := pageOf(&answers{snapshot: sessionstest.Snapshot(map[string]int{`A\anna`: 5})})
	const red = `fill="#c5221f"`
	for users, want := range map[string]string{
		"0": "", "": "", "-3": "", "x": "", "<script>": "", "1e9": "",
		"1": ">1</text>", "12": ">12</text>", "99": ">99</text>", "100": ">99+</text>", "2147483647": ">99+</text>", "unknown": ">?</text>",
	} {
		answer := request(t, page, "/sessions/favicon.svg?users="+url.QueryEscape(users))
		got := answer.Body.String()
		if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(got, "<svg ") ||
			strings.Contains(got, red) != (want != "" && users != "unknown") || !strings.Contains(got, want) || strings.Contains(got, "script") {
			t.Errorf("%q: %d %s", users, answer.Code, got)
		}
	}
	// The pages of the site link to its icon.
	if got := iconOf(request(t, page, "/sessions").Body.String()); got != "sessions/favicon.svg?users=1 sessions/favicon.svg" {
		t.Errorf("on the list: %q", got)
	}
	for _, target := range []string{`/sessions/user?user=A\anna`, "/sessions/user"} {
		if got := iconOf(request(t, page, target).Body.String()); got != "favicon.svg?users=1 favicon.svg" {
			t.Errorf("on %s: %q", target, got)
		}
	}
	if policy := request(t, page, "/sessions").Header().Get("Content-Security-Policy"); !strings.Contains(policy, "img-src 'self'") {
		t.Errorf("the policy %s forbids the icon", policy)
	}
}

func TestSlashAfterSessions(t *testing.T) {
	page := pageOf(&answers{snapshot: sessionstest.Snapshot(nil)})
	for target, want := range map[string]string{"/sessions/": "../sessions", "/sessions/?slots=0&q=%26": "../sessions?slots=0&q=%26"} {
		if answer := request(t, page, target); answer.Code != http.StatusMovedPermanently || answer.Header().Get("Location") != want {
			t.Errorf("%s: %d leads to %q", target, answer.Code, answer.Header().Get("Location"))
		}
	}
}

// TestOverviewIsOfTheBestSnapshot checks that neither a scrape with a short timeout nor a
// client that has disconnected makes the landing page worse.
func TestOverviewIsOfTheBestSnapshot(t *testing.T) {
	complete, partly := sessionstest.Snapshot(map[string]int{`A\anna`: 5}), sessionstest.Snapshot(map[string]int{`A\anna`: 1})
	partly.Links[2].Err = errors.New("not yet")
	later := sessionstest.Snapshot(nil)
	later.Time = later.Time.Add(time.Second)
	later.Links[0].Err = errors.New("fails")
	site := &answers{}
	recent := NewRecent(site)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, step := range []struct {
		name     string
		ctx      context.Context
		snapshot *headroom.Snapshot
		want     string
	}{
		{"a client that is gone", canceled, &headroom.Snapshot{}, "nothing"},
		{"a short timeout", t.Context(), partly, "2 links, 0 full"},
		{"the rest of it", t.Context(), complete, "3 links, 1 full"},
		{"another short timeout", t.Context(), partly, "3 links, 1 full"},
		{"another client that is gone", canceled, &headroom.Snapshot{}, "3 links, 1 full"},
		{"the next scrape", t.Context(), later, "2 links, 0 full"},
	} {
		site.snapshot = step.snapshot
		recent.Snapshot(step.ctx)
		got := "nothing"
		if last := recent.last.Load(); last != nil {
			got = fmt.Sprintf("%d links, %d full", last.state.Answered, last.NoSlot)
		}
		if got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
}
