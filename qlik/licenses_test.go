package qlik

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// answers is a repository with a response for each path. Other paths return 404.
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

// client returns a client for this repository.
func (a answers) client() *Client { return clientOf(a) }

// clientOf returns a client for a site with these responses.
func clientOf(site http.RoundTripper) *Client {
	c, err := NewClient(Config{Hosts: []string{"qlik1"}, CertDir: "unused", Timeout: time.Second, Now: func() time.Time { return today }})
	if err != nil {
		panic(err)
	}
	c.http.Transport = site
	return c
}

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
		licenses, err := test.answers.client().Licenses(t.Context())
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
			t.Errorf("%s: anonymous users have the license %s", test.name, of)
		}
	}
}

func TestLicensesHoldsBoth(t *testing.T) {
	licenses, err := answers{"/professionalaccesstype": list(access("anna", 0, "")), "/analyzeraccesstype": list(access("anna", 0, ""))}.client().Licenses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	anna := NewUser("LAB", "anna")
	if !licenses.Holds(anna, LicenseProfessional) || !licenses.Holds(anna, LicenseAnalyzer) || licenses.Holds(anna, LicenseUser) || licenses.Holds(anna, "rubbish") {
		t.Error("wrong licenses")
	}
}

func TestLicenseNumbers(t *testing.T) {
	licenses, err := answers{
		"/professionalaccesstype": list(access("a", 0, ""), access("b", 2, ""), access("c", 20, ""), access("d", 80, ""), access("e", 100, "")),
		"/analyzeraccesstype":     list(`{"user":{"userDirectory":"LAB","userId":"f"},"lastUsed":"1753-01-01T00:00:00.000Z"}`),
		"/accesstypeoverview": `{"professionalAccess":{"enabled":true,"total":10,"allocated":5,"used":4,"available":5,"excess":0,"quarantined":1},
			"analyzerAccess":{"enabled":false,"total":0},"analyzerTimeAccess":{"enabled":true,"allocatedMinutes":600,"usedMinutes":60,"unavailableMinutes":6}}`,
		"": `{"key":"secret","lef":"","keyDetails":"Allotment professional: 10\r\nValid To: 2027-05-14\r\n"}`,
	}.client().Licenses(t.Context())
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

// TestLicensesInPart checks that a list that cannot be read only affects its own data
// and the certainty.
func TestLicensesInPart(t *testing.T) {
	both := answers{"/professionalaccesstype": list(access("anna", 0, "")), "/analyzeraccesstype": list(access("bert", 0, ""))}
	last, err := both.client().Licenses(t.Context())
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
		{"the license", answers{"": "!"}, last, map[string]string{"anna": LicenseProfessional, "bert": LicenseAnalyzer, "carla": LicenseNone}},
	} {
		a := maps.Clone(both)
		maps.Copy(a, test.change)
		licenses, err := a.client().Licenses(t.Context())
		if err == nil || licenses == nil {
			t.Errorf("%s: got %v, %v; want what could be read, and an error", test.name, licenses, err)
			continue
		}
		licenses.CarryOver(test.last)
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
	if licenses, err := nothing.client().Licenses(t.Context()); err == nil || licenses != nil {
		t.Error("no list could be read, and yet there is something new")
	}
	// A site without a license returns null.
	if _, err := (answers{"": "null", "/accesstypeoverview": "null"}).client().Licenses(t.Context()); err != nil {
		t.Errorf("null: %v", err)
	}
}

func TestUsageRows(t *testing.T) {
	a := answers{
		"/professionalaccesstype": list(access("anna", 0, "")), "/analyzeraccesstype": list(access("anna", 0, "")), "/loginaccesstype": `[{"name":"everybody"}]`,
		"/professionalaccessusage": `[
			{"id":"r1","sessionID":"s1","modifiedByUserName":"LAB\\anna","latestActivity":"2026-03-02T11:59:00.000Z","useStartTime":"x"},
			{"sessionID":"s2","modifiedByUserName":"INTERNAL\\sa_repository"},
			{"modifiedByUserName":"LAB\\nobody"},
			{"sessionID":"gone","modifiedByUserName":"lab\\ANNA","latestActivity":null}]`,
		// The same row again, and other rows of the same session: each may take a slot.
		"/analyzeraccessusage": `[{"id":"r1","sessionID":"s1","modifiedByUserName":"LAB\\anna"},
			{"id":"r2","sessionID":"s1","modifiedByUserName":"LAB\\anna"},
			{"sessionID":"s1","modifiedByUserName":"LAB\\anna"}]`,
		"/loginaccessusage": `[{"user":{"userDirectory":"LAB","userId":"Bert"},"sessionID":"s3","latestActivity":"2026-03-02T11:58:00Z",
				"sessions":[{"sessionID":"s3","latestActivity":"2026-03-02T11:58:00Z"},{"sessionID":"s4"}]},
			{"user":{"userDirectory":"none","userId":"anonymous1234"},"sessions":[{"sessionID":"s5"}]}]`,
	}
	licenses, err := a.client().Licenses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := a.client().UsageRows(t.Context(), licenses)
	if err != nil {
		t.Fatal(err)
	}
	anna, bert := NewUser("LAB", "anna"), NewUser("LAB", "bert")
	key := func(id string) SessionKey { return SessionID(id).Key() }
	want := []UsageRow{
		{key("s1"), anna, LicenseProfessional, today.Add(-time.Minute)},
		{key("s2"), User{}, LicenseProfessional, time.Time{}},
		{key("gone"), anna, LicenseProfessional, time.Time{}},
		{key("s1"), anna, LicenseAnalyzer, time.Time{}},
		{key("s1"), anna, LicenseAnalyzer, time.Time{}},
		{key("s3"), bert, LicenseLogin, today.Add(-2 * time.Minute)},
		{key("s4"), bert, LicenseLogin, time.Time{}},
		{key("s5"), AnonymousUser, LicenseLogin, time.Time{}},
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("got  %v\nwant %v", rows, want)
	}
}

// FuzzRepository checks that no response of the repository causes a panic or hangs.
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
		c := all.client()
		if licenses, err := c.Licenses(t.Context()); err == nil {
			licenses.Of(NewUser("LAB", "anna"))
		}
		_, _ = c.UsageRows(t.Context(), &Licenses{inUse: licenseTypes})
		every := clientOf(everyPath(body))
		links, _ := every.Topology(t.Context())
		states, _ := every.Services(t.Context())
		for _, link := range WithoutDisabled(links, states) {
			_ = link.URL()
		}
	})
}

// everyPath returns the same body for every path.
type everyPath string

func (p everyPath) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(p))), Request: request}, nil
}
