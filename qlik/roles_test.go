package qlik

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// usersWithRoles is a repository that responds with users.
type usersWithRoles struct {
	status int
	body   string
	filter string
}

func (u *usersWithRoles) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path != "/qrs/user/full" {
		return nil, fmt.Errorf("a request for %s", request.URL.Path)
	}
	u.filter = request.URL.Query().Get("filter")
	return &http.Response{StatusCode: u.status, Body: io.NopCloser(strings.NewReader(u.body)), Request: request}, nil
}

func TestAdministrators(t *testing.T) {
	user := func(directory, roles string) string {
		return fmt.Sprintf(`{"id":"1","userId":"Ada","userDirectory":%q,"name":"Ada","roles":%s,"attributes":[{"attributeType":"email"}]}`, directory, roles)
	}
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   string
		left   uint64
		failed bool
	}{
		{name: "a root administrator", status: 200, body: list(user("LAB", `["RootAdmin"]`)), want: `map[LAB\ada:true]`},
		{name: "another administrator", status: 200, body: list(user("lab", `["Reader","contentadmin"]`)), want: `map[LAB\ada:true]`},
		{name: "objects", status: 200, body: list(user("LAB", `[{"id":"7","name":"AuditAdmin","privileges":null}]`)), want: `map[LAB\ada:true]`},
		{name: "a text", status: 200, body: list(user("LAB", `"SecurityAdmin"`)), want: `map[LAB\ada:true]`},
		{name: "no role", status: 200, body: list(user("LAB", `[]`)), want: `map[LAB\ada:false]`},
		{name: "null", status: 200, body: list(user("LAB", `null`)), want: `map[LAB\ada:false]`},
		{name: "an administrator of the hub", status: 200, body: list(user("LAB", `["HubAdmin"]`)), want: `map[LAB\ada:false]`},
		{name: "of the hub and the site", status: 200, body: list(user("LAB", `["HubAdmin","RootAdmin"]`)), want: `map[LAB\ada:true]`},
		{name: "a role of the site", status: 200, body: list(user("LAB", `["Help desk"]`)), want: `map[]`},
		{name: "odd roles", status: 200, body: list(user("LAB", `[7]`)), want: `map[]`, left: 1},
		{name: "an odd role beside an administrator's", status: 200, body: list(user("LAB", `[7,"RootAdmin"]`)), want: `map[LAB\ada:true]`, left: 1},
		{name: "another directory", status: 200, body: list(user("PARTNER", `["RootAdmin"]`)), want: `map[]`},
		{name: "not listed", status: 200, body: `[]`, want: `map[]`},
		{name: "an odd element", status: 200, body: list("7", user("LAB", `[]`)), want: `map[LAB\ada:false]`, left: 1},
		{name: "no rights", status: 403, body: "", want: `map[]`, failed: true},
		{name: "broken", status: 200, body: `[{"userId":"Ada"`, want: `map[]`, failed: true},
		{name: "another shape", status: 200, body: `{}`, want: `map[]`, failed: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			site := &usersWithRoles{status: test.status, body: test.body}
			c := clientOf(site)
			known, err := c.Administrators(t.Context(), []User{NewUser("LAB", "ada")})
			if got := fmt.Sprint(known); got != test.want || (err != nil) != test.failed {
				t.Errorf("got %s, %v", got, err)
			}
			if left := c.Skipped()[SourceUsers]; left != test.left {
				t.Errorf("left out %d: %v", left, c.LeftOut(SourceUsers))
			}
			if site.filter != "userId eq 'ada'" {
				t.Errorf("filter %q", site.filter)
			}
		})
	}
}

// TestRolesFilter checks that the filter has a limited size and no id with a quote.
func TestRolesFilter(t *testing.T) {
	if got := rolesFilter([]User{NewUser("A", "o'neil"), NewUser("A", "b"), NewUser("B", "c")}); got != "userId eq 'b' or userId eq 'c'" {
		t.Errorf("got %s", got)
	}
	var many []User
	for range MaxRoles {
		many = append(many, NewUser("A", strings.Repeat("x", 500)))
	}
	if got := len(rolesFilter(many)); got > maxRolesFilter+4 || got < maxRolesFilter/2 {
		t.Errorf("%d bytes", got)
	}
	site := &usersWithRoles{status: 200, body: "[]"}
	if known, err := clientOf(site).Administrators(t.Context(), []User{NewUser("A", "o'neil")}); known != nil || err != nil || site.filter != "" {
		t.Errorf("got %v, %v", known, err)
	}
}
