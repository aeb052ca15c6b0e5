package desk

import (
	"net/http"
	"slices"
	"testing"
)

// named are sites of which only some can be used: the others were removed meanwhile.
type named struct{ names, usable []string }

func (n named) Names() []string { return n.names }

func (n named) Use(name string) (_ Site, done func(), found bool) {
	return Site{}, func() {}, slices.Contains(n.usable, name)
}

// TestSite checks that only a site that exists is used, and that a single one may be left out.
func TestSite(t *testing.T) {
	t.Parallel()
	both := []string{"emea", "apac"}
	for _, test := range []struct {
		names, usable []string
		ask, want     string
		status        int
	}{
		{[]string{""}, []string{""}, "", "", 0},
		{[]string{""}, []string{""}, "emea", "", http.StatusNotFound},
		{[]string{"emea"}, []string{"emea"}, "", "emea", 0},
		{[]string{"emea"}, []string{"emea"}, "EMEA", "", http.StatusNotFound},
		{both, both, "", "", http.StatusBadRequest},
		{both, both, "apac", "apac", 0},
		{both, []string{"emea"}, "apac", "", http.StatusNotFound},
		{nil, nil, "", "", http.StatusNotFound},
		{nil, nil, "emea", "", http.StatusNotFound},
	} {
		d := &Desk{config: Config{Sites: named{test.names, test.usable}}}
		_, name, _, err := d.site(test.ask)
		if err != nil && err.status != test.status || err == nil && (test.status != 0 || name != test.want) {
			t.Errorf("%q of %q: %q, %v", test.ask, test.names, name, err)
		}
	}
}
