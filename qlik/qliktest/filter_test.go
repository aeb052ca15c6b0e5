package qliktest

import (
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	o := object{
		"name": "Monday's", "userId": "Ann", "serviceType": 3, "isCentral": true, "load": 0.5, "calls": uint64(7), "none": nil,
		"createdDate": "2026-03-01T08:00:00.000Z", "roles": []string{"RootAdmin", "HubAdmin"}, "empty": []object{},
		"app":  object{"name": "Sales", "stream": object{"name": "Everyone"}, "owner": nil},
		"tags": []object{{"name": "a"}, {"name": "b"}}, "rows": []any{map[string]any{"id": "x"}},
	}
	all := []*entity{{built: o}}
	for _, test := range []struct {
		filter string
		want   string // yes, no, or bad
	}{
		{"userId eq 'ann'", "yes"},
		{"UserId EQ 'ANN'", "yes"},
		{"(userId eq 'ann')", "yes"},
		{"((userId eq 'ann') )", "yes"},
		{" userId  eq  ann ", "yes"},
		{"userId ne 'ann'", "no"},
		{"userId sw 'A'", "yes"},
		{"userId ew 'n'", "yes"},
		{"userId so 'n'", "yes"},
		{"userId so 'x'", "no"},
		{"userId gt 'a'", "bad"}, // texts have no order
		{"serviceType sw '3'", "bad"},
		{"serviceType eq 3", "yes"},
		{"serviceType eq Engine", "yes"},
		{"ServiceType ne 'proxy'", "yes"},
		{"serviceType eq Nosuch", "bad"},
		{"serviceType ge 3 and serviceType le 3 and serviceType gt 2 and serviceType lt 4", "yes"},
		{"calls eq 7", "yes"},
		{"load lt 0.6", "yes"},
		{"isCentral eq true", "yes"},
		{"isCentral eq 'False'", "no"},
		{"isCentral ne False", "yes"},
		{"isCentral gt false", "bad"},
		{"isCentral eq maybe", "bad"},
		{"none eq null", "yes"},
		{"userId eq null", "no"},
		{"userId ne null", "yes"},
		{"userId gt null", "bad"},
		{"none eq 'x'", "no"},
		{"none ne 'x'", "yes"},
		{"createdDate eq '2026-03-01T09:00:00+01:00'", "yes"},
		{"createdDate gt '2026-02-28 23:59:59'", "yes"},
		{"createdDate lt '2026-03-01'", "no"},
		{"createdDate ge 2026-03-01T08:00:00.000Z", "yes"},
		{"createdDate sw '2026-'", "yes"},
		{"app.name eq 'sales'", "yes"},
		{"app.stream.name eq 'everyone'", "yes"},
		{"app.owner.name eq 'x'", "no"}, // null on the way
		{"app eq 'x'", "bad"},
		{"tags.name eq 'b'", "yes"},
		{"tags.name eq 'c'", "no"},
		{"rows.id eq 'x'", "yes"},
		{"roles eq 'RootAdmin'", "yes"},
		{"roles eq 'x'", "no"},
		{"empty.name eq 'x'", "no"},
		{"nosuch eq 'x'", "bad"},
		{"app.nosuch eq 'x'", "bad"},
		{"userId.nosuch eq 'x'", "bad"},
		{"userId eq 'x' and nosuch eq 'x'", "bad"},
		// And before or.
		{"userId eq 'ann' or userId eq 'x' and userId eq 'y'", "yes"},
		{"(userId eq 'ann' or userId eq 'x') and userId eq 'y'", "no"},
		{"userId eq 'x' or (userId eq 'ann' and isCentral eq true)", "yes"},
		{"name eq 'Monday's'", "bad"},
		{"", "bad"},
		{"()", "bad"},
		{"(userId eq 'ann'", "bad"},
		{"userId eq 'ann')", "bad"},
		{"userId", "bad"},
		{"userId eq", "bad"},
		{"userId 'eq' 'x'", "bad"},
		{"userId like 'x'", "bad"},
		{"'userId' eq 'x'", "bad"},
		{"@Department eq 'x'", "bad"},
		{"userId eq 'ann' and", "bad"},
		{"userId eq 'ann' userId eq 'ann'", "bad"},
		{"userId eq 'ann'and isCentral eq true", "bad"},
		{"3 eq 3", "bad"},
		{"userId eq 'ann", "bad"},
		{strings.Repeat("(", 100) + "userId eq 'ann'" + strings.Repeat(")", 100), "yes"},
		{strings.Repeat("(", 101) + "userId eq 'ann'" + strings.Repeat(")", 101), "bad"},
	} {
		got := "bad"
		if parsed, err := parseFilter(test.filter); err == nil && parsed.comparisons(func(c *comparison) bool { return haveField(all, c.path) }) {
			if match, err := parsed.matches(all[0]); err == nil {
				got = map[bool]string{true: "yes", false: "no"}[match]
			}
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.filter, got, test.want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"(userId eq 'ann')", "a.b eq 1 and (c ne Engine or d ge '2026-03-01 08:00:00') or roles so ''", strings.Repeat("(", 200), "x eq 'o'neill'", "\x00'",
	} {
		f.Add(seed)
	}
	e := &entity{built: object{"userId": "Ann", "c": 3, "d": "2026-03-01T08:00:00.000Z", "a": []object{{"b": 1.0}}, "roles": []string{"x"}}}
	f.Fuzz(func(t *testing.T, expression string) {
		parsed, err := parseFilter(expression)
		if err != nil {
			return
		}
		if wrapped, err := parseFilter("(" + expression + ")"); err == nil {
			match, matchErr := parsed.matches(e)
			again, againErr := wrapped.matches(e)
			if match != again || (matchErr == nil) != (againErr == nil) {
				t.Errorf("%q differs in parentheses", expression)
			}
		}
	})
}
