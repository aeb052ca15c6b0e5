package headroom

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestRefusedLoginsOfASite compares the counter with the refused logins of a simulated site.
// People act at most once a minute, so that each session is listed. They try again in refused
// windows, which the audit log reports, too.
func TestRefusedLoginsOfASite(t *testing.T) {
	t.Parallel()
	const hours = 12
	for _, log := range []bool{false, true} {
		t.Run(fmt.Sprintf("log %t", log), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			clock := qliktest.NewClock(morning)
			config := qliktest.Config{InMemory: true, Now: clock.Now, Seed: 1}
			licenses := &qlik.Licenses{ReadAt: morning.Add(-time.Hour), Certain: true, Holders: make(map[qlik.User]qlik.LicenseSet)}
			acted := make(map[string]time.Time)
			for i := range 8 {
				id := fmt.Sprint("user", i)
				config.Users = append(config.Users, qliktest.User{Directory: "LAB", ID: id, License: qliktest.Analyzer})
				licenses.Holders[lab(id)] = qlik.NewLicenseSet(qlik.LicenseAnalyzer)
				acted[id] = morning
			}
			site, err := qliktest.Start(config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(site.Close)
			link := qlik.Link{Node: "qlik1", Address: "qlik1:4243", VirtualProxy: "/", InactivityTimeout: 30 * time.Minute}
			state := New(Config{Limit: DefaultLimit, CoolingTime: DefaultCoolingTime})
			refusals := qlik.Refusals{}
			deny := func(id string) {
				if user := lab(id); log {
					all := append([]qlik.Refusal{{At: clock.Now(), Reason: qlik.RefusedSessionLimit}}, refusals[user]...)
					refusals[user] = all[:min(len(all), 10)]
				}
			}
			truth, device, counted := 0, 0, 0
			for step := range hours * 60 * 12 {
				clock.Advance(5 * time.Second)
				id := fmt.Sprint("user", random.IntN(8))
				if step > 12 && clock.Now().Sub(acted[id]) >= time.Minute && random.IntN(4) == 0 {
					acted[id] = clock.Now()
					sessions := slices.DeleteFunc(site.Sessions(), func(s qliktest.Session) bool { return s.UserID != id })
					switch what := random.IntN(8); {
					case what < 3 || len(sessions) == 0:
						device++
						session, err := site.Login("LAB", id, fmt.Sprint("device", device), "", "qlik1")
						if err != nil {
							t.Fatal(err)
						}
						if !session.Granted {
							truth++
							deny(id)
						}
					case what == 3:
						site.Logout(sessions[random.IntN(len(sessions))].ID)
					default:
						session := sessions[random.IntN(len(sessions))]
						site.Touch(session.ID)
						if again := slices.IndexFunc(site.Sessions(), func(s qliktest.Session) bool { return s.ID == session.ID && !s.Granted }); again >= 0 {
							deny(id)
						}
					}
				}
				if step%3 != 0 {
					continue
				}
				round := Round{Asked: clock.Now(), Heard: clock.Now(), Licenses: licenses, Links: []LinkResult{{Link: link}}, Refusals: qlik.Refusals{}}
				maps.Copy(round.Refusals, refusals)
				for _, session := range site.Sessions() {
					round.Links[0].Sessions = append(round.Links[0].Sessions, qlik.Session{ID: qlik.SessionID(session.ID), User: lab(session.UserID), Link: &link})
				}
				var rows []qlik.UsageRow
				for _, r := range site.AllUsageRows() {
					rows = append(rows, row(r.SessionID, r.UserID, qlik.LicenseAnalyzer, r.LatestActivity))
				}
				round.Usage = NewUsage(rows, clock.Now(), clock.Now())
				var snapshot *Snapshot
				snapshot, state = state.Observe(round)
				checkRefused(t, snapshot)
				counted = int(snapshot.Tracking.Refused[string(qlik.RefusedSessionLimit)])
			}
			t.Logf("%d refused logins, %d counted", truth, counted)
			if difference := counted - truth; truth < 100 || difference > truth/50 || difference < -truth/50 {
				t.Errorf("%d refused logins, %d counted", truth, counted)
			}
		})
	}
}
