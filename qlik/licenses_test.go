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
		"/professionalaccesstype": list(access("a", 0, ""), access("b", 2, ""), access("c", 20, ""), access("d", 80, ""), access("e", 100, ""), access("f", -2, "")),
		"/analyzeraccesstype":     list(`{"user":{"userDirectory":"LAB","userId":"f"},"lastUsed":"1753-01-01T00:00:00.000Z"}`),
		"/accesstypeoverview": `{"professionalAccess":{"enabled":true,"total":10,"allocated":5,"used":4,"available":5,"excess":0,"quarantined":1},
			"analyzerAccess":{"enabled":false,"total":0},"analyzerTimeAccess":{"enabled":true,"allocatedMinutes":600,"usedMinutes":60,"unavailableMinutes":6}}`,
		"": `{"key":"secret","lef":"","keyDetails":"Allotment professional: 10\r\nValid To: 2027-05-14\r\n"}`,
	}.client().Licenses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]Seats{LicenseProfessional: {Total: new(10.0), Allocated: new(5.0), Used: new(4.0), Available: new(5.0), Excess: new(0.0), Quarantined: new(1.0)}}; !reflect.DeepEqual(licenses.Seats, want) {
		t.Errorf("seats: %v", licenses.Seats)
	}
	want := map[string]map[string]int{
		LicenseProfessional: {"1d": 1, "7d": 2, "30d": 3, "90d": 4},
		LicenseAnalyzer:     {"1d": 0, "7d": 0, "30d": 0, "90d": 0},
	}
	if !reflect.DeepEqual(licenses.Active, want) {
		t.Errorf("active: %v", licenses.Active)
	}
	if !reflect.DeepEqual(licenses.Capacity, &Capacity{new(10 * time.Hour), new(time.Hour), new(6 * time.Minute)}) {
		t.Errorf("capacity: %v", licenses.Capacity)
	}
	if !licenses.Expiry.Equal(time.Date(2027, 5, 15, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("expiry: %v", licenses.Expiry)
	}
}

// TestCertainlyUnlicensed checks when a user who is in no list certainly holds no license.
func TestCertainlyUnlicensed(t *testing.T) {
	holders := list(access("anna", 0, ""))
	for _, test := range []struct {
		name    string
		answers answers
		want    string
	}{
		{"capacity is off", answers{"/analyzeraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":{"enabled":false}}`}, LicenseNone},
		{"capacity without minutes", answers{"/analyzeraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":{"allocatedMinutes":0}}`}, LicenseNone},
		{"capacity is on", answers{"/analyzeraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":{"enabled":true,"allocatedMinutes":0}}`}, LicenseUnknown},
		{"capacity with minutes", answers{"/analyzeraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":{"allocatedMinutes":60}}`}, LicenseUnknown},
		{"capacity that does not say", answers{"/analyzeraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":{}}`}, LicenseUnknown},
		{"capacity that cannot be read", answers{"/analyzeraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":7}`}, LicenseUnknown},
		{"capacity of which a part cannot be read", answers{"/analyzeraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":{"enabled":"no"}}`}, LicenseUnknown},
		{"an overview without capacity", answers{"/analyzeraccesstype": holders, "/accesstypeoverview": `{}`}, LicenseUnknown},
		{"an overview without capacity, and no rule for it", answers{"/analyzeraccesstype": holders, "/analyzertimeaccesstype": "[]", "/accesstypeoverview": `{}`}, LicenseNone},
		{"a rule for capacity", answers{"/analyzeraccesstype": holders, "/analyzertimeaccesstype": `[{"name":"everybody"}]`, "/accesstypeoverview": `{}`}, LicenseUnknown},
		{"a rule for capacity that cannot be read", answers{"/analyzeraccesstype": holders, "/analyzertimeaccesstype": `[7]`, "/accesstypeoverview": `{}`}, LicenseUnknown},
		{"an overview with login access, of a release without its list", answers{"/useraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":{"enabled":false},"loginAccess":{"enabled":true,"allocatedTokens":2}}`}, LicenseUnknown},
		{"an overview without login access", answers{"/useraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":{"enabled":false},"loginAccess":{"enabled":true,"allocatedTokens":0}}`}, LicenseNone},
		{"login access that cannot be read", answers{"/useraccesstype": holders, "/accesstypeoverview": `{"analyzerTimeAccess":{"enabled":false},"loginAccess":{"allocatedTokens":"2"}}`}, LicenseUnknown},
		{"all lists are empty", answers{"/professionalaccesstype": "[]", "/analyzeraccesstype": "[]"}, LicenseUnknown},
		{"a license for cores", answers{"/analyzeraccesstype": holders, "": `{"numberOfCores":16}`}, LicenseUnknown},
		{"a number of cores that cannot be read", answers{"/analyzeraccesstype": holders, "": `{"numberOfCores":"16"}`}, LicenseUnknown},
		{"a license that is not for cores", answers{"/analyzeraccesstype": holders, "": `{"numberOfCores":-1}`}, LicenseNone},
		{"an access that cannot be read", answers{"/analyzeraccesstype": list(access("anna", 0, ""), `{"user":{"userDirectory":"LAB","userId":7}}`)}, LicenseUnknown},
		{"an access of half a user", answers{"/analyzeraccesstype": list(access("anna", 0, ""), `{"user":{"userId":"stranger"}}`)}, LicenseUnknown},
		{"an access of a deleted user", answers{"/analyzeraccesstype": list(access("anna", 0, ""), `{"user":null,"deletedUserId":"zoe","deletedUserDirectory":"LAB"}`)}, LicenseNone},
		{"an access of nobody", answers{"/analyzeraccesstype": list(access("anna", 0, ""), `{"user":null,"deletedUserId":""}`)}, LicenseUnknown},
	} {
		licenses, err := test.answers.client().Licenses(t.Context())
		if test.name != "a rule for capacity that cannot be read" && err != nil || licenses == nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := licenses.Of(NewUser("LAB", "stranger")); got != test.want || !licenses.Holds(NewUser("LAB", "anna"), LicenseAnalyzer) && test.answers["/useraccesstype"] == "" && test.answers["/analyzeraccesstype"] != "[]" {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	odd, err := answers{"/analyzeraccesstype": list(access("anna", 0, `,"quarantined":"no"`), access("bert", 0, `,"quarantined":null`))}.client().Licenses(t.Context())
	if err != nil || odd.Of(NewUser("LAB", "anna")) != LicenseUnknown || odd.Of(NewUser("LAB", "bert")) != LicenseAnalyzer {
		t.Errorf("quarantine that cannot be read: %s, %v", odd.Of(NewUser("LAB", "anna")), err)
	}
}

// TestLicenseValidity checks that only the typed fields say whether the license is
// valid, and that a date that contradicts them is not the end of the license.
func TestLicenseValidity(t *testing.T) {
	for _, test := range []struct {
		name, license string
		valid         *bool
		problem       string
		expiry        string
		unread        int
	}{
		{"valid", `{"isExpired":false,"expiredReason":"","isInvalid":false,"isBlacklisted":false,"keyDetails":"Valid To: 2027-03-16"}`, new(true), "", "2027-03-17", 0},
		{"of a release with one of the fields", `{"isExpired":false}`, new(true), "", "", 0},
		{"expired", `{"isExpired":true,"expiredReason":"License has expired","isInvalid":false,"isBlacklisted":false,"keyDetails":"Valid To: 3/16/2026 12:00:00 AM"}`, new(false), "it is expired (License has expired)", "2026-03-17", 0},
		{"expired, with a date that can be read in two ways", `{"isExpired":true,"keyDetails":"Valid To: 3/4/2031"}`, new(false), "it is expired", "", 1},
		{"all at once", `{"isExpired":true,"isInvalid":true,"isBlacklisted":true}`, new(false), "it is expired, it is invalid, it is blacklisted", "", 0},
		{"invalid, and the rest cannot be read", `{"isExpired":7,"isInvalid":true,"isBlacklisted":"no"}`, new(false), "it is invalid", "", 0},
		{"nothing said", `{"lef":"TIMELIMIT;;;2027-03-16"}`, nil, "", "2027-03-17", 0},
		{"not readable", `{"isExpired":"false","isInvalid":false}`, nil, "", "", 0},
		{"a reason without the typed field", `{"isExpired":null,"expiredReason":"expired"}`, nil, "", "", 0},
		{"null", `null`, nil, "there is none", "", 0},
		{"maintenance", `{"isExpired":false,"lef":"PRODUCTLEVEL;50;;2019-06-30"}`, new(true), "", "", 0},
		{"a text that contradicts", `{"isExpired":false,"lef":"TIMELIMIT;;;2025-06-30"}`, new(true), "", "", 1},
		{"a text that contradicts, and another", `{"isExpired":false,"lef":"TIMELIMIT;;;2025-06-30","keyDetails":"Valid To: 2027-03-16"}`, new(true), "", "2027-03-17", 1},
		{"on the last day, in another time zone", `{"isExpired":false,"lef":"TIMELIMIT;;;2026-03-01"}`, new(true), "", "2026-03-02", 0},
		{"the earliest end", `{"lef":"TIMELIMIT;;;2028-06-30","keyDetails":"Valid To: 2027-03-16\r\nValid To: 2029-03-16"}`, nil, "", "2027-03-17", 0},
		{"texts that are no texts", `{"isExpired":false,"lef":["TIMELIMIT;;;2028-06-30"],"keyDetails":7,"expiredReason":{}}`, new(true), "", "", 0},
	} {
		licenses, err := answers{"/analyzeraccesstype": list(access("anna", 0, "")), "": test.license}.client().Licenses(t.Context())
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		expiry := ""
		if !licenses.Expiry.IsZero() {
			expiry = licenses.Expiry.Format(time.DateOnly)
		}
		if !reflect.DeepEqual(licenses.Valid, test.valid) || licenses.Problem != test.problem || expiry != test.expiry || len(licenses.Unread) != test.unread {
			t.Errorf("%s: got %v, %q, %q, %q", test.name, licenses.Valid, licenses.Problem, expiry, licenses.Unread)
		}
	}
	if licenses, err := (answers{"/analyzeraccesstype": "[]"}).client().Licenses(t.Context()); err != nil || licenses.Valid != nil || licenses.Problem != "" {
		t.Errorf("a release without it: %+v, %v", licenses, err)
	}
}

// TestTokens checks that a license without tokens has no numbers of them, and that an
// unknown number is not zero.
func TestTokens(t *testing.T) {
	for overview, want := range map[string]*Tokens{
		`{"tokensEnabled":true,"totalTokens":50,"availableTokens":27.5,"userAccess":{"allocatedTokens":20},"loginAccess":{"allocatedTokens":2}}`: {Total: new(50.0), UserAccess: new(20.0), LoginAccess: new(2.0), Available: new(27.5)},
		`{"totalTokens":50,"availableTokens":"many","userAccess":7}`:                                                                             {Total: new(50.0)},
		`{"tokensEnabled":true}`: {},
		`{"tokensEnabled":false,"totalTokens":50,"availableTokens":50}`:              nil,
		`{"totalTokens":0,"availableTokens":0,"userAccess":{"allocatedTokens":0}}`:   nil,
		`{"tokensEnabled":null,"totalTokens":null,"userAccess":{"enabled":false}}`:   nil,
		`{"professionalAccess":{"enabled":true,"total":10},"tokensEnabled":"false"}`: nil,
	} {
		licenses, err := answers{"/useraccesstype": list(access("anna", 0, "")), "/accesstypeoverview": overview}.client().Licenses(t.Context())
		if err != nil || !reflect.DeepEqual(licenses.Tokens, want) {
			t.Errorf("%s: got %+v, %v", overview, licenses.Tokens, err)
		}
	}
}

// TestOverviewInPart checks that what the overview does not say, or says in a form that
// cannot be read, is unknown and not zero.
func TestOverviewInPart(t *testing.T) {
	c := answers{
		"/analyzeraccesstype": list(access("anna", 0, "")),
		"/accesstypeoverview": `{"professionalAccess":{"total":10,"allocated":5.0,"used":"4","available":null,"quarantined":1e999},"analyzerAccess":7,
			"userAccess":{"enabled":true,"tokenCost":0.1},"loginAccess":{"tokenCost":0.1},
			"analyzerTimeAccess":{"enabled":true,"allocatedMinutes":600,"usedMinutes":1e300,"unavailableMinutes":-1}}`,
	}.client()
	licenses, err := c.Licenses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]Seats{LicenseProfessional: {Total: new(10.0), Allocated: new(5.0)}}; !reflect.DeepEqual(licenses.Seats, want) {
		t.Errorf("seats: %+v", licenses.Seats)
	}
	if want := (&Capacity{Allocated: new(10 * time.Hour)}); !reflect.DeepEqual(licenses.Capacity, want) {
		t.Errorf("capacity: %+v", licenses.Capacity)
	}
	const of = " of license/accesstypeoverview"
	want := []LeftOut{{"analyzerAccess" + of, 1}, {"quarantined" + of, 1}, {"unavailableMinutes" + of, 1}, {"used" + of, 1}, {"usedMinutes" + of, 1}}
	if got := c.LeftOut(SourceLicenses); !reflect.DeepEqual(got, want) {
		t.Errorf("left out: %v", got)
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
			{"id":"r1","sessionID":"s1","modifiedByUserName":"LAB\\anna","latestActivity":"2026-03-02T11:59:00.000Z","useStartTime":"2026-03-02T11:50:00.000Z"},
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
		{key("s1"), anna, LicenseProfessional, today.Add(-time.Minute), today.Add(-10 * time.Minute)},
		{key("s2"), User{}, LicenseProfessional, time.Time{}, time.Time{}},
		{key("gone"), anna, LicenseProfessional, time.Time{}, time.Time{}},
		{key("s1"), anna, LicenseAnalyzer, time.Time{}, time.Time{}},
		{key("s1"), anna, LicenseAnalyzer, time.Time{}, time.Time{}},
		{key("s3"), bert, LicenseLogin, today.Add(-2 * time.Minute), time.Time{}},
		{key("s4"), bert, LicenseLogin, time.Time{}, time.Time{}},
		{key("s5"), AnonymousUser, LicenseLogin, time.Time{}, time.Time{}},
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("got  %v\nwant %v", rows, want)
	}
}

// FuzzRepository checks that no response of the repository causes a panic or hangs.
func FuzzRepository(f *testing.F) {
	for _, seed := range []string{
		`[{"deletedUserId":"a","deletedUserDirectory":"b","lastUsed":"9999-12-31T00:00:00Z","createdDate":"0001-01-01T00:00:00Z"}]`,
		`{"tokensEnabled":true,"totalTokens":1e300,"userAccess":{"allocatedTokens":-1},"loginAccess":7}`, `[{"userDirectory":"a","userId":"b","inactive":true}]`,
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
		if _, accesses, err := c.Accesses(t.Context()); err == nil {
			for i := range accesses {
				if a := &accesses[i]; a.User.Directory == "" || a.User.ID == "" || a.NeverUsed && !a.LastUsed.IsZero() || a.LastUsed.After(today) {
					t.Errorf("%+v", a)
				}
			}
		}
		_, _ = clientOf(everyPath(body)).FormerUsers(t.Context())
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

// TestLicenseBefore checks that only lists from before a time say what a user held then,
// and that an access in excess of the seats says nothing.
func TestLicenseBefore(t *testing.T) {
	l, err := answers{"/analyzeraccesstype": list(access("anna", 0, `,"excess":false`), access("bert", 0, `,"excess":true`), access("carl", 0, `,"excess":"?"`))}.client().Licenses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]string{"anna": LicenseAnalyzer, "bert": LicenseUnknown, "carl": LicenseUnknown, "dora": l.Of(NewUser("LAB", "dora"))} {
		if got := l.Before(l.ReadAt.Add(1), NewUser("LAB", user)); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
		if got := l.Before(l.ReadAt, NewUser("LAB", user)); got != LicenseUnknown {
			t.Errorf("%s, list read later: %s", user, got)
		}
	}
	if l.Of(NewUser("LAB", "bert")) != LicenseAnalyzer {
		t.Error("an access in excess is none")
	}
	var unread *Licenses
	if got := unread.Before(time.Now(), NewUser("LAB", "anna")); got != LicenseUnknown {
		t.Errorf("without lists: %s", got)
	}
}

// TestHaveRows checks that rows say nothing with a license for cores.
func TestHaveRows(t *testing.T) {
	for name, test := range map[string]struct {
		licenses *Licenses
		want     bool
	}{
		"nobody holds an access":            {&Licenses{}, true},
		"cores":                             {&Licenses{cores: true}, false},
		"an access, whatever the cores are": {&Licenses{cores: true, inUse: licenseTypes[:1]}, true},
	} {
		if got := test.licenses.HaveRows(); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
