package cli

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestEndOnlyWhatWasShown ends sessions with random options on random sites, while
// sessions begin and end before the operator answers. Only sessions of the user that the
// command showed as ending may end, and never the most recently active one to keep.
func TestEndOnlyWhatWasShown(t *testing.T) {
	ended := 0
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, seed))
			server, site := sessionstest.Start(t, nil)
			prefixes := []string{"", "sales", "qmc"}
			login := func() {
				user := []string{"anna", "anna", "anna", "bert"}[random.IntN(4)]
				sessionstest.Login(t, server, user, fmt.Sprint("device", random.IntN(8)), prefixes[random.IntN(3)], fmt.Sprint("qlik", 1+random.IntN(3)))
			}
			for range random.IntN(12) {
				login()
				time.Sleep(time.Duration(random.IntN(300)) * time.Second)
			}
			all := make(map[string]qliktest.Session) // when the operator answers
			c := commands(site)
			c.Terminal = true
			shown := 0
			var latest qliktest.Session
			for _, session := range server.Sessions() {
				if session.UserID == "anna" && session.Granted && session.LastActivity.After(latest.LastActivity) {
					latest = session
				}
			}
			c.In = readerFunc(func(p []byte) (int, error) {
				shown = strings.Count(c.out.String(), "\nend ")
				before := make(map[string]bool)
				for _, session := range server.Sessions() {
					before[session.ID] = true
				}
				for range random.IntN(4) {
					login()
				}
				if own := server.Sessions(); len(own) > 0 && random.IntN(3) == 0 {
					if session := own[random.IntN(len(own))]; session.ID != latest.ID {
						server.Logout(session.ID)
					}
				}
				for _, session := range server.Sessions() {
					if !before[session.ID] {
						session.Device = "began" // after the command showed what ends
					}
					all[session.ID] = session
				}
				return copy(p, "y\n"), io.EOF
			})
			keep := random.IntN(4)
			text, err := c.end(t, `LAB\anna`, func(o *EndOptions) {
				o.Keep, o.Chosen, o.Yes, o.Force = keep, random.IntN(2) == 0, false, true
				if random.IntN(3) == 0 {
					o.IdleFor = time.Duration(1+random.IntN(10)) * time.Minute
				}
				if random.IntN(3) == 0 {
					o.VirtualProxies = []string{"/" + prefixes[random.IntN(3)]}
				}
			})
			if err != nil && !strings.Contains(err.Error(), "no session was ended") {
				t.Errorf("seed %d: %v: %s", seed, err, text)
			}
			for _, session := range server.Sessions() {
				delete(all, session.ID)
			}
			if len(all) > shown {
				t.Errorf("seed %d: %d sessions ended, but %d were shown:\n%s", seed, len(all), shown, text)
			}
			for _, session := range all {
				ended++
				switch {
				case session.UserID != "anna":
					t.Errorf("seed %d: a session of %s ended:\n%s", seed, session.UserID, text)
				case session.Device == "began":
					t.Errorf("seed %d: a session ended that had not been shown:\n%s", seed, text)
				case keep > 0 && session.ID == latest.ID:
					t.Errorf("seed %d: the most recently active session ended:\n%s", seed, text)
				}
			}
		})
	}
	if ended < 20 {
		t.Errorf("only %d sessions ended", ended)
	}
}
