package qlik

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The benchmarks compare, for 10,000 sessions of 7,500 users on 50 links, what
// it costs to read the lists and what the exporter adds to them.
const (
	benchmarkSessions = 10_000
	benchmarkUsers    = 7_500
	benchmarkLinks    = 50
)

// benchmarkSite is a site whose transport answers at once.
func benchmarkSite(b *testing.B) (*Site, []LinkResult, []usageRow) {
	b.Helper()
	links := make([]LinkResult, benchmarkLinks)
	bodies := make(answersByPath)
	for i := range links {
		links[i].Link = newLink(fmt.Sprint("qlik", i%5), proxyPort, fmt.Sprint("vp", i/5))
		links[i].InactivityTimeout = 30 * time.Minute
	}
	config, err := Config{Hosts: []string{"qlik0"}, CertDir: "unused"}.withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	s := &Site{config: config, tracker: newTracker(config.SessionLimit, config.CoolingTime, nil)}
	var rows []usageRow
	for i := range benchmarkSessions {
		link := &links[i%benchmarkLinks]
		id, user := fmt.Sprintf("%08d-dbad-4b1f-851d-cb06a73e10a7", i), fmt.Sprintf("user%05d", i%benchmarkUsers)
		bodies[link.Node+link.path()] += fmt.Sprintf(`,{"UserDirectory":"COMPANY","UserId":%q,"Attributes":[],"SessionId":%q,"UserName":null}`, user, id)
		rows = append(rows, usageRow{s.tracker.hash(SessionID(id)), NewUser("COMPANY", user), LicenseAnalyzer, today})
	}
	for path, body := range bodies {
		bodies[path] = "[" + body[1:] + "]"
	}
	s.client = newClient(bodies, config.User, config.Timeout)
	return s, links, rows
}

type answersByPath map[string]string

func (a answersByPath) RoundTrip(request *http.Request) (*http.Response, error) {
	body := a[request.URL.Hostname()+request.URL.Path]
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
}

func collect(b *testing.B, s *Site, links []LinkResult) {
	b.Helper()
	for i := range links {
		var err error
		if links[i].Sessions, _, err = s.client.listSessions(b.Context(), &links[i].Link); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCollectSessions reads and parses the lists: what every exporter has
// to do.
func BenchmarkCollectSessions(b *testing.B) {
	s, links, _ := benchmarkSite(b)
	b.ReportAllocs()
	for b.Loop() {
		collect(b, s, links)
	}
}

// BenchmarkTrackAndJoin compares with the snapshot before, counts by user, and
// joins usage rows and licences.
func BenchmarkTrackAndJoin(b *testing.B) {
	s, links, rows := benchmarkSite(b)
	collect(b, s, links)
	now := today
	s.usage.rows = rows
	s.licenses = &Licenses{holders: make(map[User]licenseSet), certain: true}
	for _, row := range rows {
		s.licenses.holders[row.user] = 2
	}
	s.config.Now = func() time.Time { return now }
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(15 * time.Second)
		s.usage.at = now
		s.tracker.observe(links, now)
		snapshot := newSnapshot(now, links)
		s.describe(snapshot, true)
		if len(snapshot.Users) != benchmarkUsers || snapshot.Users[0].LicensedSessions == 0 {
			b.Fatalf("%d users, the first: %+v", len(snapshot.Users), snapshot.Users[0])
		}
	}
}
