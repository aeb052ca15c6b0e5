package cli

import (
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
