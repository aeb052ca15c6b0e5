package qliktest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is a company after three hours.
func crowd(t *testing.T, users int, seed uint64) (*Site, *Clock, *People) {
	t.Helper()
	config := Company(users)
	config.AuditLogDir = t.TempDir()
	site, clock := startClocked(t, config)
	people := NewPeople(site, seed)
	people.WarmUp(clock, testStart.Add(3*time.Hour))
	return site, clock, people
}

// census counts users by their number of sessions, without the service account and administrators.
func census(site *Site) (total int, refused int, users map[int]int) {
	sessions := map[string]int{}
	all := site.Sessions()
	for _, s := range all {
		if s.UserID == CompanyAdmin || s.UserID == CompanyServiceAccount || s.Directory == "NONE" {
			continue
		}
		sessions[accountKey(s.Directory, s.UserID)]++
		site.mu.Lock()
		if !s.Granted && site.account(s.Directory, s.UserID).held() != nil {
			refused++
		}
		site.mu.Unlock()
	}
	users = map[int]int{}
	for _, n := range sessions {
		users[n]++
	}
	return len(all), refused, users
}

func TestWarmUp(t *testing.T) {
	began := time.Now()
	site, _, _ := crowd(t, 500, 1)
	took := time.Since(began)
	total, _, users := census(site)
	people := 0
	for _, n := range users {
		people += n
	}
	t.Logf("%v: %d sessions of %d users: %v", took, total, people, users)
	if people < 250 || people > 350 || total < 350 || total > 700 {
		t.Errorf("%d sessions of %d users", total, people)
	}
	if few := users[1] + users[2]; few < people*9/10 || users[4]+users[5] > 0 {
		t.Errorf("users by sessions: %v", users)
	}
}

func TestHurriedPeople(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		site, clock, people := crowd(t, 300, seed)
		before, _, _ := census(site)
		people.Hurry()
		people.Hurry()
		reached, refusedOnce, cooling, restarted := map[int]bool{}, false, false, false
		nodes := 0
		step := func(until time.Duration) {
			for range until / time.Second {
				people.WarmUp(clock, clock.Now().Add(time.Second))
				_, refused, users := census(site)
				for n := range users {
					reached[n] = true
				}
				refusedOnce = refusedOnce || refused > 0
				now := 0
				for _, s := range site.Sessions() {
					if s.Node == "qlik-node2" {
						now++
					}
				}
				restarted = restarted || now < nodes/2
				nodes = now
				for _, who := range people.hurried {
					if len(who.visits) < site.UsageRows(who.Directory, who.ID) {
						cooling = true
					}
				}
			}
		}
		step(85 * time.Second)
		if restarted {
			t.Errorf("seed %d: restarted early", seed)
		}
		step(35 * time.Second)
		if !reached[4] || !reached[5] || !reached[6] || !refusedOnce || !cooling || !restarted {
			t.Errorf("seed %d: after two minutes reached %v, refused %v, cooling %v, restarted %v", seed, reached, refusedOnce, cooling, restarted)
		}
		least, most, refusals := before, before, 0
		// A restart also ends sessions of users at the limit.
		for minute := range 20 {
			people.WarmUp(clock, clock.Now().Add(time.Minute))
			total, refused, users := census(site)
			least, most = min(least, total), max(most, total)
			refusals += refused
			if (users[4] == 0 || users[5] == 0) && clock.Now().Sub(people.restarted) > time.Minute {
				t.Errorf("seed %d, minute %d: users by sessions %v", seed, minute, users)
			}
		}
		if least < before/2 || most > before*2 || refusals == 0 {
			t.Errorf("seed %d: from %d sessions to between %d and %d, %d refused", seed, before, least, most, refusals)
		}
		t.Logf("seed %d: from %d sessions to between %d and %d; refused sessions seen %d", seed, before, least, most, refusals)
	}
}

func TestPeopleOfAnySite(t *testing.T) {
	for name, test := range map[string]struct {
		config Config
		comes  bool // somebody has a session at some time
	}{
		"nobody":            {Config{}, false},
		"one user":          {Config{Users: testUsers[:1]}, true},
		"no hub":            {Config{Users: testUsers, VirtualProxies: []VirtualProxy{{AnonymousAccess: 2}}}, true},
		"no linked node":    {Config{Users: testUsers, VirtualProxies: []VirtualProxy{{Nodes: []string{}}}}, false},
		"a very high limit": {Config{Users: testUsers, SessionLimit: 40}, true},
	} {
		t.Run(name, func(t *testing.T) {
			site, clock := startClocked(t, test.config)
			people := NewPeople(site, 1)
			people.Hurry()
			came := 0
			for range 3 * 60 {
				people.WarmUp(clock, clock.Now().Add(time.Minute))
				came = max(came, len(site.Sessions()))
			}
			if (came > 0) != test.comes {
				t.Errorf("at most %d sessions at once", came)
			}
		})
	}
}

// TestRun follows the wall clock of a bubble, after a warm-up in the past.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := NewClock(time.Now().Add(-3 * time.Hour))
		config := Company(200)
		config.InMemory, config.Now = true, clock.Now
		site, err := Start(config)
		if err != nil {
			t.Fatal(err)
		}
		defer site.Close()
		people := NewPeople(site, 1)
		people.WarmUp(clock, time.Now())
		clock.Follow()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := people.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, _, users := census(site); users[4] == 0 || users[5] == 0 {
			t.Errorf("users by sessions: %v", users)
		}
	})
}
