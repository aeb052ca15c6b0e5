package qlik

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
)

// answers is a repository that answers by path; anything else is 404.
type answers map[string]string

func (a answers) RoundTrip(request *http.Request) (*http.Response, error) {
	body, known := a[strings.TrimSuffix(strings.TrimPrefix(request.URL.Path, "/qrs/license"), "/full")]
	status := http.StatusOK
	switch {
	case !known:
		status, body = http.StatusNotFound, "not found"
	case strings.HasPrefix(body, "!"):
		status = http.StatusInternalServerError
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
}

func (a answers) repository() *repository {
	return newRepository(newClient(a, NewUser("INTERNAL", "sa_api"), time.Second), []string{"qlik1:4242"})
}

var discard = log.NewNopLogger()

var today = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func access(user string, daysAgo int, more string) string {
	return fmt.Sprintf(`{"user":{"userDirectory":"LAB","userId":%q},"lastUsed":%q%s}`, user, today.AddDate(0, 0, -daysAgo).Format(time.RFC3339), more)
}

func list(elements ...string) string { return "[" + strings.Join(elements, ",") + "]" }

func TestLicensesOfUsers(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers answers
		want    map[string]string
	}{
		{
			"of several the first counts, whatever the spelling",
			answers{"/professionalaccesstype": list(access("Anna", 0, "")), "/analyzeraccesstype": list(access("ANNA", 0, ""), access("bert", 0, ""))},
			map[string]string{"anna": LicenseProfessional, "bert": LicenseAnalyzer, "carla": LicenseNone},
		},
		{
			"a token release, without the newer lists",
			answers{"/useraccesstype": list(access("anna", 0, "")), "/loginaccesstype": "[]"},
			map[string]string{"anna": LicenseUser, "bert": LicenseNone},
		},
		{
			"a rule for login access may apply to anybody",
			answers{"/analyzeraccesstype": list(access("anna", 0, "")), "/loginaccesstype": `[{"name":"everybody"}]`},
			map[string]string{"anna": LicenseAnalyzer, "bert": LicenseUnknown},
		},
		{
			"so may capacity",
			answers{"/analyzeraccesstype": list(access("anna", 0, "")), "/accesstypeoverview": `{"analyzerTimeAccess":{"enabled":true,"allocatedMinutes":60}}`},
			map[string]string{"anna": LicenseAnalyzer, "bert": LicenseUnknown},
		},
		{
			"an access in quarantine is neither held nor certainly gone",
			answers{"/professionalaccesstype": list(access("anna", 0, `,"quarantined":true`), access("bert", 0, `,"quarantined":true`)), "/analyzeraccesstype": list(access("bert", 0, ""))},
			map[string]string{"anna": LicenseUnknown, "bert": LicenseAnalyzer, "carla": LicenseNone},
		},
		{
			"dates that nobody understands",
			answers{"/analyzeraccesstype": `[{"user":{"userDirectory":"LAB","userId":"anna"},"lastUsed":"yesterday"},{"user":{"userDirectory":"LAB","userId":"bert"},"lastUsed":null}]`},
			map[string]string{"anna": LicenseAnalyzer, "bert": LicenseAnalyzer},
		},
		{
			"an access whose user cannot be read",
			answers{"/professionalaccesstype": `[{"user":null},{"owner":{"userId":"anna"}}]`},
			map[string]string{"anna": LicenseUnknown},
		},
		{"a release without any of it", answers{}, map[string]string{"anna": LicenseUnknown}},
	} {
		licenses, err := test.answers.repository().licenses(t.Context(), today, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := make(map[string]string)
		for user := range test.want {
			got[user] = licenses.Of(NewUser("lab", user))
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
		if of := licenses.Of(NewUser("NONE", "anonymous1")); of != LicenseUnknown {
			t.Errorf("%s: anonymous users have the licence %s", test.name, of)
		}
	}
}

func TestLicensesHoldsBoth(t *testing.T) {
	licenses, err := answers{"/professionalaccesstype": list(access("anna", 0, "")), "/analyzeraccesstype": list(access("anna", 0, ""))}.repository().licenses(t.Context(), today, nil)
	if err != nil {
		t.Fatal(err)
	}
	anna := NewUser("LAB", "anna")
	if !licenses.Holds(anna, LicenseProfessional) || !licenses.Holds(anna, LicenseAnalyzer) || licenses.Holds(anna, LicenseUser) || licenses.Holds(anna, "rubbish") {
		t.Error("wrong licences")
	}
}

func TestLicenseNumbers(t *testing.T) {
	licenses, err := answers{
		"/professionalaccesstype": list(access("a", 0, ""), access("b", 2, ""), access("c", 20, ""), access("d", 80, ""), access("e", 100, "")),
		"/analyzeraccesstype":     list(`{"user":{"userDirectory":"LAB","userId":"f"},"lastUsed":"1753-01-01T00:00:00.000Z"}`),
		"/accesstypeoverview": `{"professionalAccess":{"enabled":true,"total":10,"allocated":5,"used":4,"available":5,"excess":0,"quarantined":1},
			"analyzerAccess":{"enabled":false,"total":0},"analyzerTimeAccess":{"enabled":true,"allocatedMinutes":600,"usedMinutes":60,"unavailableMinutes":6}}`,
		"": `{"key":"secret","lef":"","keyDetails":"Allotment professional: 10\r\nValid To: 2027-05-14\r\n"}`,
	}.repository().licenses(t.Context(), today, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]Seats{LicenseProfessional: {Total: 10, Allocated: 5, Used: 4, Available: 5, Quarantined: 1}}; !reflect.DeepEqual(licenses.Seats, want) {
		t.Errorf("seats: %v", licenses.Seats)
	}
	want := map[string]map[string]int{
		LicenseProfessional: {"1d": 1, "7d": 2, "30d": 3, "90d": 4},
		LicenseAnalyzer:     {"1d": 0, "7d": 0, "30d": 0, "90d": 0},
	}
	if !reflect.DeepEqual(licenses.Active, want) {
		t.Errorf("active: %v", licenses.Active)
	}
	if *licenses.Capacity != (Capacity{10 * time.Hour, time.Hour, 6 * time.Minute}) {
		t.Errorf("capacity: %v", licenses.Capacity)
	}
	if !licenses.Expiry.Equal(time.Date(2027, 5, 15, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("expiry: %v", licenses.Expiry)
	}
}

func TestLicenseExpiry(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"no date":                  "",
		"Created: 2020-01-01":      "",
		"Valid To: 2027-05-14\r\n": "2027-05-15",
		"valid_to=2027-05-14":      "2027-05-15",
		"PRODUCTLEVEL;50;;2025-12-31\nTIMELIMIT;VALUE;;2025-06-30\nOVERAGE": "2025-07-01",
		"Expires: 2027-02-30":        "",
		"Expiration date 2028-02-29": "2028-03-01",
	} {
		got := ""
		if expiry := licenseExpiry(text); !expiry.IsZero() {
			got = expiry.Format(time.DateOnly)
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// TestLicensesInPart: what cannot be read costs itself, and certainty.
func TestLicensesInPart(t *testing.T) {
	both := answers{"/professionalaccesstype": list(access("anna", 0, "")), "/analyzeraccesstype": list(access("bert", 0, ""))}
	last, err := both.repository().licenses(t.Context(), today, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change answers
		last   *Licenses
		want   map[string]string
	}{
		{"a list, for the first time", answers{"/analyzeraccesstype": "!"}, nil, map[string]string{"anna": LicenseProfessional, "bert": LicenseUnknown, "carla": LicenseUnknown}},
		{"a list that was known", answers{"/analyzeraccesstype": "<html>"}, last, map[string]string{"anna": LicenseProfessional, "bert": LicenseAnalyzer, "carla": LicenseUnknown}},
		{"the overview", answers{"/accesstypeoverview": "[]"}, last, map[string]string{"anna": LicenseProfessional, "bert": LicenseAnalyzer, "carla": LicenseUnknown}},
		{"the licence", answers{"": "!"}, last, map[string]string{"anna": LicenseProfessional, "bert": LicenseAnalyzer, "carla": LicenseNone}},
	} {
		a := maps.Clone(both)
		maps.Copy(a, test.change)
		licenses, err := a.repository().licenses(t.Context(), today, test.last)
		if err == nil || licenses == nil {
			t.Errorf("%s: got %v, %v; want what could be read, and an error", test.name, licenses, err)
			continue
		}
		for user, want := range test.want {
			if got := licenses.Of(NewUser("LAB", user)); got != want {
				t.Errorf("%s: %s has %s, want %s", test.name, user, got, want)
			}
		}
	}
	nothing := answers{}
	for _, license := range licenseTypes {
		nothing[strings.TrimPrefix(license.access, "license")] = "!"
	}
	if licenses, err := nothing.repository().licenses(t.Context(), today, last); err == nil || licenses != nil {
		t.Error("no list could be read, and yet there is something new")
	}
	// A site without licence answers null.
	if _, err := (answers{"": "null", "/accesstypeoverview": "null"}).repository().licenses(t.Context(), today, nil); err != nil {
		t.Errorf("null: %v", err)
	}
}

func TestUsageRows(t *testing.T) {
	a := answers{
		"/professionalaccessusage": `[
			{"sessionID":"s1","modifiedByUserName":"LAB\\anna","latestActivity":"2026-03-02T11:59:00.000Z","useStartTime":"x"},
			{"sessionID":"s2","modifiedByUserName":"INTERNAL\\sa_repository"},
			{"modifiedByUserName":"LAB\\nobody"},
			{"sessionID":"gone","modifiedByUserName":"lab\\ANNA","latestActivity":null}]`,
		"/analyzeraccessusage": `[{"sessionID":"s1","modifiedByUserName":"LAB\\anna"}]`, // the same session again
		"/loginaccessusage":    `[{"user":{"userDirectory":"LAB","userId":"Bert"},"sessions":[{"sessionID":"s3","latestActivity":"2026-03-02T11:58:00Z"},{"sessionID":"s4"}]}]`,
	}
	tracked := newTracker(5, time.Minute, nil)
	hash := tracked.hash
	rows, err := a.repository().usage(t.Context(), []licenseType{licenseTypes[0], licenseTypes[1], licenseTypes[3]}, hash)
	if err != nil {
		t.Fatal(err)
	}
	anna, bert := NewUser("LAB", "anna"), NewUser("LAB", "bert")
	want := []usageRow{
		{hash("s1"), anna, LicenseProfessional, today.Add(-time.Minute)},
		{hash("s2"), User{}, LicenseProfessional, time.Time{}},
		{hash("gone"), anna, LicenseProfessional, time.Time{}},
		{hash("s3"), bert, LicenseLogin, today.Add(-2 * time.Minute)},
		{hash("s4"), bert, LicenseLogin, time.Time{}},
	}
	if !reflect.DeepEqual(rows, want) {
		t.Fatalf("got  %v\nwant %v", rows, want)
	}

	hub := &Link{VirtualProxy: "/"}
	tracked.observe([]LinkResult{{Link: *hub, Sessions: []Session{
		session("s1", "LAB", "anna", hub), session("s2", "LAB", "carla", hub), session("s5", "LAB", "bert", hub),
	}}}, today)
	got := make(map[string]int)
	for _, owner := range tracked.owners(rows) {
		got[owner.user.ID]++
	}
	if want := (map[string]int{"anna": 2, "carla": 1, "bert": 2}); !reflect.DeepEqual(got, want) {
		t.Errorf("by user: got %v, want %v", got, want)
	}
}

func TestUsageReader(t *testing.T) {
	var u usageReader
	now := today
	if !u.due(now) || u.due(now.Add(14*time.Second)) || !u.due(now.Add(15*time.Second)) {
		t.Error("not read every 15 s")
	}
	now = now.Add(15 * time.Second)
	u.note([]usageRow{{}}, nil, now, discard)
	if _, ok := u.known(now.Add(15 * time.Second)); !ok {
		t.Error("not known after 15 s")
	}
	if _, ok := u.known(now.Add(16 * time.Second)); ok {
		t.Error("known after 16 s")
	}
}

func TestUsageBacksOff(t *testing.T) {
	var u usageReader
	now := today
	timeout := &Error{Kind: KindTimeout}
	for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		if !u.due(now) {
			t.Fatalf("not due before a pause of %s", want)
		}
		u.note(nil, timeout, now, discard)
		if _, ok := u.known(now); ok {
			t.Error("rows are known after a timeout")
		}
		if now = now.Add(want - time.Second); u.due(now) {
			t.Errorf("due before a pause of %s has passed", want)
		}
		now = now.Add(time.Second)
	}
	if !u.due(now) {
		t.Fatal("not due")
	}
	u.note(nil, nil, now, discard)
	if now = now.Add(usageInterval); !u.due(now) {
		t.Error("a success does not end the pauses")
	}
}

func TestUsagePlausible(t *testing.T) {
	long, short := today.Add(-time.Hour), today.Add(-time.Second)
	type user struct {
		license              string
		sessions, rows, live int // rows in all, and those of sessions that are there
		since                time.Time
	}
	judge := func(u *usageReader, users ...user) bool {
		var statuses []UserStatus
		var live []int
		for _, x := range users {
			statuses = append(statuses, UserStatus{License: x.license, Sessions: x.sessions, LicensedSessions: x.rows, FirstSeen: x.since})
			live = append(live, x.live)
		}
		u.at = today
		u.judge(statuses, live, 5, today)
		return u.plausible()
	}
	for _, test := range []struct {
		name  string
		users []user
		want  bool
	}{
		{"nobody", nil, true},
		{"a session with its row", []user{{LicenseAnalyzer, 1, 1, 1, long}}, true},
		{"one with, one without", []user{{LicenseAnalyzer, 1, 1, 1, long}, {LicenseAnalyzer, 1, 0, 0, long}}, true},
		{"a few without", []user{{LicenseAnalyzer, 1, 1, 1, long}, {LicenseAnalyzer, 1, 0, 0, long}, {LicenseUser, 1, 0, 0, long}}, true},
		{"most without", append(slices.Repeat([]user{{LicenseAnalyzer, 1, 0, 0, long}}, 9), user{LicenseAnalyzer, 1, 1, 1, long}), false},
		{"a new session may not have its row yet", []user{{LicenseAnalyzer, 1, 0, 0, short}}, true},
		{"an old one should", []user{{LicenseAnalyzer, 1, 0, 0, long}}, false},
		{"so should one of five new ones", []user{{LicenseProfessional, 3, 0, 0, short}, {LicenseAnalyzer, 2, 0, 0, short}}, false},
		{"a row that was left over speaks for nothing", []user{{LicenseProfessional, 5, 1, 0, long}, {LicenseAnalyzer, 5, 0, 0, long}}, false},
		{"leftover rows in all slots explain why sessions have none", []user{{LicenseProfessional, 2, 5, 0, long}}, true},
		{"users without licence have no rows", []user{{LicenseNone, 9, 0, 0, long}, {LicenseUnknown, 9, 0, 0, long}}, true},
		{"sessions that began after the rows were read", []user{{LicenseProfessional, 9, 0, 0, today.Add(time.Second)}}, true},
		{"nobody knows since when", []user{{LicenseAnalyzer, 1, 0, 0, time.Time{}}}, true},
	} {
		if got := judge(new(usageReader), test.users...); got != test.want {
			t.Errorf("%s: plausible %t", test.name, got)
		}
	}
	var u usageReader
	judge(&u, user{LicenseAnalyzer, 1, 0, 0, long})
	if judge(&u) {
		t.Error("what was evident is forgotten")
	}
	if !judge(&u, user{LicenseAnalyzer, 1, 1, 1, long}) {
		t.Error("a row that fits does not count")
	}
	if !judge(&u, user{LicenseAnalyzer, 1, 0, 0, long}) {
		t.Error("one user is enough against rows that were right a moment ago")
	}
	for activity, want := range map[time.Time]bool{today.Add(-time.Hour): true, today.AddDate(-4, 0, 0): false, today.Add(time.Hour): false} {
		var u usageReader
		u.note([]usageRow{{activity: activity}}, nil, today, discard)
		if got := judge(&u, user{LicenseAnalyzer, 1, 0, 0, long}); got != want {
			t.Errorf("the latest row is of %s: plausible %t", activity, got)
		}
	}
}

func TestStoppedProxies(t *testing.T) {
	report := func(state string) []ServiceState {
		return []ServiceState{{Host: "qlik1", Service: "Engine", State: stateRunning}, {Host: "qlik1", Service: "Proxy", State: state}}
	}
	states := report(stateRunning)
	for i, step := range []struct {
		elapsed time.Duration
		state   string
		want    bool
	}{
		{30 * time.Second, "NoCommunication", false},
		{4 * time.Minute, "NoCommunication", false},
		{50 * time.Second, "Unknown", false},
		{10 * time.Second, "NoCommunication", true},
		{30 * time.Second, stateRunning, false},
		{10 * time.Minute, "NoCommunication", false}, // nobody knows since when
	} {
		states = sinceLast(report(step.state), states, step.elapsed)
		if got := stopped(states, "QLIK1"); got != step.want {
			t.Errorf("step %d: stopped %t", i, got)
		}
	}
	if stopped(states, "elsewhere") {
		t.Error("a proxy that is not reported has not stopped")
	}
}

// FuzzRepository: no answer of the repository panics or hangs.
func FuzzRepository(f *testing.F) {
	for _, seed := range []string{
		`[]`, `null`, `{}`, list(access("anna", 1, "")), `[{"user":null}]`, `[{"sessions":[{"sessionID":"s"}],"sessionID":"t","modifiedByUserName":"A\\b"}]`,
		`[{"serverNodeConfiguration":{"hostName":"a"},"serviceType":"Proxy","serviceState":99,"settings":{"restListenPort":-1,"virtualProxies":[{"id":"1"}]},"id":"1","prefix":"/a//b/"}]`,
		`{"professionalAccess":{"enabled":true,"total":1e300},"analyzerTimeAccess":{"enabled":true,"allocatedMinutes":1e300},"keyDetails":"Valid To: 9999-99-99"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		all := answers{"": body, "/accesstypeoverview": body}
		for _, license := range licenseTypes {
			all[strings.TrimPrefix(license.access, "license")] = body
			all[strings.TrimPrefix(license.usage, "license")] = body
		}
		r := all.repository()
		if licenses, err := r.licenses(t.Context(), today, nil); err == nil {
			licenses.Of(NewUser("LAB", "anna"))
		}
		_, _ = r.usage(t.Context(), licenseTypes, func(SessionID) sessionHash { return 1 })
		every := newRepository(newClient(everyPath(body), NewUser("A", "b"), time.Second), []string{"qlik1:4242"})
		links, _ := every.topology(t.Context())
		states, _ := every.services(t.Context())
		for _, link := range withoutDisabled(links, states) {
			_ = link.path()
			stopped(states, hostOf(link.Address))
		}
	})
}

// everyPath answers every question with the same body.
type everyPath string

func (p everyPath) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(p))), Request: request}, nil
}
