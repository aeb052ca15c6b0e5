package qlik

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAccesses checks what is read of accesses. What the repository does not say is
// unknown.
func TestAccesses(t *testing.T) {
	user := func(id, more string) string {
		return fmt.Sprintf(`{"user":{"userDirectory":"lab","userId":%q}%s}`, id, more)
	}
	a := answers{
		"/professionalaccesstype": list(
			user("Bert", `,"lastUsed":"0001-01-01T00:00:00.000Z","createdDate":"2026-01-01T00:00:00Z","excess":false,"quarantined":false,"quarantineEnd":"1753-01-01T00:00:00.000Z"`),
			`{"user":{"userDirectory":"LAB","userId":"anna","name":"=Anna"},"lastUsed":"2026-03-01T12:00:00.000Z","excess":true,"quarantined":true,"quarantineEnd":"2026-03-08T12:00:00Z"}`,
			user("carla", `,"lastUsed":"1753-01-01T00:00:00.000Z"`),
			user("dora", ``),
			user("emil", `,"lastUsed":null`),
			user("fritz", `,"lastUsed":"yesterday","excess":"?"`),
			user("gina", `,"lastUsed":"2026-03-03T11:00:00.000Z"`), // a clock that is ahead
			user("hans", `,"lastUsed":"2031-03-03T11:00:00.000Z","createdDate":"9999-12-31T00:00:00Z"`),
			`{"user":null,"deletedUserId":"Ida","deletedUserDirectory":"LAB"}`,
			`{"user":null}`,
			`{"user":7}`,
		),
		"/analyzeraccesstype":     list(user("ANNA", `,"lastUsed":"2026-03-02T11:00:00Z"`)),
		"/useraccesstype":         "!broken",
		"/loginaccesstype":        `[{"name":"everybody"}]`,
		"/analyzertimeaccesstype": `[{"name":"everybody"}]`,
	}
	c := a.client()
	licenses, accesses, err := c.Accesses(t.Context())
	if err == nil || !slices.Equal(licenses.Unreadable(), []string{LicenseUser}) {
		t.Errorf("unreadable: %v, error %v", licenses.Unreadable(), err)
	}
	yes, no := new(true), new(false)
	day := func(d int) time.Time { return today.AddDate(0, 0, d) }
	of := func(id string) User { return NewUser("LAB", id) }
	want := []Access{
		{User: of("anna"), Name: "=Anna", License: LicenseProfessional, LastUsed: day(-1), Excess: yes, Quarantined: yes, QuarantineEnd: day(6)},
		{User: of("anna"), License: LicenseAnalyzer, LastUsed: today.Add(-time.Hour)},
		{User: of("bert"), License: LicenseProfessional, NeverUsed: true, Allocated: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Excess: no, Quarantined: no},
		{User: of("carla"), License: LicenseProfessional, NeverUsed: true},
		{User: of("dora"), License: LicenseProfessional},
		{User: of("emil"), License: LicenseProfessional},
		{User: of("fritz"), License: LicenseProfessional},
		{User: of("gina"), License: LicenseProfessional, LastUsed: today},
		{User: of("hans"), License: LicenseProfessional},
		{User: of("ida"), License: LicenseProfessional, Deleted: true},
	}
	if len(accesses) != len(want) {
		t.Fatalf("%d accesses, want %d", len(accesses), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(accesses[i], want[i]) {
			t.Errorf("got  %+v\nwant %+v", accesses[i], want[i])
		}
	}
	const list = " of license/professionalaccesstype"
	var left []string
	for _, l := range c.LeftOut(SourceLicenses) {
		left = append(left, fmt.Sprint(l.What, " ", l.Times))
	}
	if want := []string{"createdDate in the future" + list + " 1", "element" + list + " 1", "excess" + list + " 1", "lastUsed in the future" + list + " 1", "lastUsed" + list + " 1", "user" + list + " 1"}; !slices.Equal(left, want) {
		t.Errorf("left out %q", left)
	}
	// Somebody without an access may use the capacity.
	if licenses.Of(of("stranger")) != LicenseUnknown {
		t.Error("a stranger is certainly unlicensed")
	}
}

// TestAccessesAreReadOnce checks that the accesses need no more requests than the licenses.
func TestAccessesAreReadOnce(t *testing.T) {
	requests := make(map[string]int)
	c := clientOf(counting{requests, everyPath("[]")})
	_, _, _ = c.Accesses(t.Context())
	with := maps.Clone(requests)
	clear(requests)
	_, _ = c.Licenses(t.Context())
	if !maps.Equal(with, requests) || len(requests) != len(licenseTypes)+2 {
		t.Errorf("with accesses %v, without %v", with, requests)
	}
}

type counting struct {
	requests map[string]int
	site     http.RoundTripper
}

func (c counting) RoundTrip(request *http.Request) (*http.Response, error) {
	c.requests[request.URL.Path]++
	return c.site.RoundTrip(request)
}

// TestAccessesAreBounded checks that neither the number of accesses nor their names exceed
// the memory for a source.
func TestAccessesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("reads hundreds of megabytes")
	}
	for name, element := range map[string]string{
		"users":   `{"user":{"userDirectory":"a","userId":"b"}}`,
		"deleted": `{"deletedUserDirectory":"a","deletedUserId":"b"}`,
		"names":   fmt.Sprintf(`{"user":{"userDirectory":"a","userId":"b","name":%q}}`, strings.Repeat("x", maxLabel)),
	} {
		t.Run(name, func(t *testing.T) {
			overfull := "[" + strings.Repeat(element+",", maxElements) + element + "]"
			c := answers{"/professionalaccesstype": overfull, "/analyzeraccesstype": "[]"}.client()
			c.config.Timeout = time.Minute // generous for a slow machine
			licenses, accesses, err := c.Accesses(t.Context())
			if KindOf(err) != KindTooLarge || !slices.Equal(licenses.Unreadable(), []string{LicenseProfessional}) || len(accesses) != 0 {
				t.Errorf("%d accesses, error %v", len(accesses), err)
			}
		})
	}
}

// TestTokensInUse checks the numbers of tokens that only the command licenses shows.
func TestTokensInUse(t *testing.T) {
	const overview = `{"tokensEnabled":true,"userAccess":{"quarantinedTokens":1},"loginAccess":{"usedTokens":0.1}}`
	licenses, err := answers{"/accesstypeoverview": overview}.client().Licenses(t.Context())
	if want := (&Tokens{UsedLogins: new(0.1), Quarantined: new(1.0)}); err != nil || !reflect.DeepEqual(licenses.Tokens, want) {
		t.Errorf("got %+v, %v", licenses.Tokens, err)
	}
}

// TestFormerUsers checks that only users that are said to have left are returned, even by a
// repository that ignores the filter.
func TestFormerUsers(t *testing.T) {
	former, err := clientOf(everyPath(`[
		{"userDirectory":"lab","userId":"Anna","inactive":true,"removedExternally":false},
		{"userDirectory":"LAB","userId":"bert","removedExternally":true},
		{"userDirectory":"LAB","userId":"carla","inactive":false},
		{"userDirectory":"LAB","userId":"dora","inactive":"?"},
		{"userId":"nobody","inactive":true}]`)).FormerUsers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := map[User]UserState{NewUser("LAB", "anna"): {Inactive: true}, NewUser("LAB", "bert"): {Removed: true}}; !maps.Equal(former, want) {
		t.Errorf("got %v", former)
	}
	if former, err := clientOf(everyPath("{}")).FormerUsers(t.Context()); err == nil || former != nil {
		t.Errorf("got %v from an object", former)
	}
}
