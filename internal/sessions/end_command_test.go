package sessions_test

import (
	"strings"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func TestEndCommand(t *testing.T) {
	for _, test := range []struct{ user, site, want string }{
		{`ACME\anna.berg`, "", `qlik_exporter sessions end --user "ACME\anna.berg"`},
		{`ACME\anna berg@acme.com`, "", `qlik_exporter sessions end --user "ACME\anna berg@acme.com"`},
		{`ACME\anna`, "paris", `qlik_exporter sessions end --user "ACME\anna" --site "paris"`},
		{`ACME\anna`, "pa$ris", ""},
		{`ACME\anna"; reboot`, "", ""},
		{"ACME\\anna\nreboot", "", ""},
		{`ACME\an!na`, "", ""},
		{`ACME\an%PATH%na`, "", ""},
		{`--help\anna`, "", ""},
		{`ÄCME\anna`, "", ""},
	} {
		directory, id, _ := strings.Cut(test.user, `\`)
		if got := sessions.EndCommand("qlik_exporter", qlik.NewUser(directory, id), test.site); got != test.want {
			t.Errorf("%q: got %s, want %s", test.user, got, test.want)
		}
	}
	const want = `docker exec -it qlik qlik_exporter sessions end --user "ACME\anna"`
	if got := sessions.EndCommand("docker exec -it qlik qlik_exporter", qlik.NewUser("ACME", "anna"), ""); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
