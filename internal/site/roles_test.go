package site

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

const userPath = "/qrs/user/full"

// TestRoles checks that the roles of a user who was refused without a license are known in
// the same snapshot, and that nobody else's are ever read.
func TestRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var output bytes.Buffer
		config := licensed()
		config.Users = append(config.Users, qliktest.User{Directory: "LAB", ID: "root", Admin: true}, qliktest.User{Directory: "LAB", ID: "eve"})
		refusals := qlik.Refusals{}
		server, s := start(t, config, func(c *Config) {
			withLicenses(c)
			c.Logger = log.NewLogfmtLogger(log.NewSyncWriter(&output))
			c.Refused = func(time.Time, *qlik.Licenses) qlik.Refusals { return refusals }
		})
		refuse := func(reason qlik.RefusalReason, ids ...string) {
			for _, id := range ids {
				refusals[qlik.NewUser("LAB", id)] = []qlik.Refusal{{At: time.Now(), Reason: reason}}
			}
		}
		read := 0
		expect := func(name, want string, requests int) {
			t.Helper()
			snapshot := within(t, s, 5*time.Second)
			var got []string
			for _, id := range []string{"root", "eve"} {
				user := snapshot.Of(qlik.NewUser("LAB", id))
				got = append(got, fmt.Sprintf("%s %s", user.Judgment.Cause, user.Judgment.Certainty))
			}
			if text := strings.Join(got, ", "); text != want {
				t.Errorf("%s: got %s", name, text)
			}
			now := server.Requests().Repository[userPath]
			if now-read != requests {
				t.Errorf("%s: %d requests", name, now-read)
			}
			read = now
		}
		const nobody = " ,  "
		expect("nobody is refused", nobody, 0)
		refuse(qlik.RefusedSessionLimit, "root")
		refuse(qlik.RefusedNoLicense, "anna")
		expect("refused with a license, or because of the limit", "unknown unknown,  ", 0)
		refuse(qlik.RefusedNoLicense, "root", "eve")
		const known = "unknown unknown, no_license certain"
		expect("refused", known, 1)
		time.Sleep(time.Minute)
		expect("known", known, 0)
		time.Sleep(rolesValidity)
		expect("read again", known, 1)
		refusals = qlik.Refusals{}
		time.Sleep(rolesValidity)
		expect("not refused any more", nobody, 0)

		refuse(qlik.RefusedNoLicense, "eve")
		server.SetRepositoryAnswer(userPath, []byte(`{"error":"s3cret"}`))
		expect("cannot be read", " , no_license likely", 1)
		time.Sleep(time.Minute)
		expect("not at once again", " , no_license likely", 0)
		if text := output.String(); strings.Count(text, "whether users who were refused are administrators") != 1 || strings.Contains(text, "s3cret") {
			t.Errorf("logged %s", text)
		}
		server.SetRepositoryAnswer(userPath, nil)
		time.Sleep(rolesValidity)
		expect("can be read again", " , no_license certain", 1)
	})
}

// TestRolesOfMany checks that many refused users at once cost one small request at a time.
func TestRolesOfMany(t *testing.T) {
	var r roles
	now := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	var matter []qlik.User
	for i := range 2*qlik.MaxRoles + 1 {
		matter = append(matter, qlik.NewUser("LAB", fmt.Sprint(i)))
	}
	for _, want := range []int{qlik.MaxRoles, qlik.MaxRoles, 1, 0} {
		due := r.due(matter, now)
		if len(due) != want {
			t.Fatalf("%d are due, want %d", len(due), want)
		}
		r.done(due, map[qlik.User]bool{matter[0]: true}, nil, now)
		if again := r.due(matter, now.Add(rolesInterval-1)); len(again) != 0 {
			t.Errorf("%d are due at once", len(again))
		}
		now = now.Add(rolesInterval)
	}
	if len(r.read) != len(matter) || len(r.known) != 1 {
		t.Errorf("%d read, %d known", len(r.read), len(r.known))
	}
	if r.due(nil, now); len(r.read)+len(r.known) != 0 {
		t.Error("users are kept that do not matter")
	}
}
