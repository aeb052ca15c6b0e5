package cli

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestOneUser checks which texts name a user whom only the repository knows.
func TestOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, site := sessionstest.Start(t, nil)
		c := commands(site)
		bert := qlik.NewUser("LAB", "bert")
		for text, found := range map[string]bool{
			"bert": true, "BERT": true, "ert": true, "bert berg": true, "berg bert": true, `LAB\bert`: true, "lab/Bert": true,
			`OTHER\bert`: false, `LAB\ber`: false, "berg": false, "nobody": false,
		} {
			user, err := c.oneUser(t.Context(), nil, text)
			if (err == nil) != found || found && user != bert {
				t.Errorf("%s: %v, %v", text, user, err)
			}
		}
	})
}

// TestTheOne checks which user is meant if several match, and who is similar if nobody does.
func TestTheOne(t *testing.T) {
	users := func(ids ...string) (all []qlik.User) {
		for _, id := range ids {
			directory, id, _ := strings.Cut(id, "/")
			all = append(all, qlik.NewUser(directory, id))
		}
		return all
	}
	for _, test := range []struct {
		searched string
		matching []qlik.User
		more     bool
		want     string // the user, or a part of the error
	}{
		{"anna", users("LAB/anna", "LAB/annabell"), false, `LAB\anna`},
		{"ANNA", users("LAB/anna", "LAB/annabell"), true, `LAB\anna`},
		{`lab\Anna`, users("LAB/anna", "LAB/annabell"), false, `LAB\anna`},
		{"lab/anna", users("LAB/anna", "LAB/annabell"), false, `LAB\anna`},
		{"anna", users("LAB/anna", "OTHER/anna"), false, `several users match: LAB\anna, OTHER\anna`},
		{"ann", users("LAB/anna", "LAB/annabell"), false, "several users match"},
		{"ann", users("LAB/anna"), true, "more than 1 users match"},
		{"nab", users("LAB/annabell"), false, `LAB\annabell`},
		{"x", nil, false, "nobody with this name"},
	} {
		user, err := theOne(test.matching, test.searched, test.more)
		got := user.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) || (err == nil) != (got == test.want) {
			t.Errorf("%s: %s, want %s", test.searched, got, test.want)
		}
	}
	for searched, want := range map[string]string{
		"zimermann": `no; similar: LAB\eva.zimmer, LAB\zimt`, `LAB\zimmers`: `no; similar: LAB\eva.zimmer`, "zoe": "no", "zi": "no", "": "no",
	} {
		if got := addSimilar(errors.New("no"), users("LAB/zimt", "LAB/eva.zimmer", "LAB/anna"), searched).Error(); got != want {
			t.Errorf("%s: %s, want %s", searched, got, want)
		}
	}
}
