package qliktest

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

var testUsers = []User{
	{Directory: "LAB", ID: "goran", Name: "Goran", License: Professional},
	{Directory: "LAB", ID: "ida", Name: "Ida", License: Analyzer},
	{Directory: "LAB", ID: "root", Admin: true},
}

func TestLimitAndTails(t *testing.T) {
	type step struct {
		do    string // open N, close N, wait minutes
		n     int
		rows  int // after the step
		opens bool
	}
	for _, test := range []struct {
		name   string
		config Config
		steps  []step
	}{
		{"below the limit a slot is free at once", Config{}, []step{
			{"open", 4, 4, true}, {"close", 1, 3, true}, {"open", 1, 4, true},
		}},
		{"at the limit a slot cools", Config{}, []step{
			{"open", 5, 5, false}, {"close", 1, 5, false}, {"wait", 4, 5, false}, {"wait", 1, 4, true},
		}},
		{"all slots that end while rows are at the limit cool", Config{}, []step{
			{"open", 5, 5, false}, {"close", 3, 5, false}, {"wait", 5, 2, true},
		}},
		{"a sixth session is refused and holds no slot", Config{}, []step{
			{"open", 6, 5, false}, {"close", 6, 5, false}, {"wait", 5, 0, true},
		}},
		{"every slot cools with TailAlways", Config{Tail: TailAlways}, []step{
			{"open", 2, 2, true}, {"close", 1, 2, true}, {"wait", 4, 2, true}, {"wait", 1, 1, true},
		}},
		{"another limit and cooling time", Config{SessionLimit: 2, CoolingTime: time.Minute}, []step{
			{"open", 2, 2, false}, {"close", 1, 2, false}, {"wait", 1, 1, true},
		}},
		{"inactivity ends sessions at the limit, which cool", Config{}, []step{
			{"open", 5, 5, false}, {"wait", 29, 5, false}, {"wait", 1, 5, false}, {"wait", 4, 5, false}, {"wait", 1, 0, true},
		}},
		{"the clock may jump over both", Config{}, []step{{"open", 5, 5, false}, {"wait", 35, 0, true}}},
		{"but not short of the second", Config{}, []step{{"open", 5, 5, false}, {"wait", 34, 5, false}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.Users = testUsers
			site, clock := startClocked(t, test.config)
			var ids []string
			opened := 0
			for i, step := range test.steps {
				for range step.n {
					switch step.do {
					case "open":
						opened++
						ids = append(ids, login(t, site, "goran", fmt.Sprint("device", opened), "", "").ID)
					case "close":
						if !site.Logout(ids[0]) {
							t.Errorf("step %d: session was not alive", i)
						}
						ids = ids[1:]
					case "wait":
						clock.Advance(time.Minute)
					}
				}
				if rows := site.UsageRows("lab", "GORAN"); rows != step.rows {
					t.Errorf("step %d (%s %d): %d rows, want %d", i, step.do, step.n, rows, step.rows)
				}
				if opens := site.CanOpen("lab", "GORAN"); opens != step.opens {
					t.Errorf("step %d (%s %d): CanOpen %v", i, step.do, step.n, opens)
				}
			}
		})
	}
}

func TestClockJumpKeepsTheOrderOfEvents(t *testing.T) {
	// The first session ends at 9:45 at the limit, so its slot cools until 9:50. The second one ends at 9:52, when four rows were left, so
	// its slot is free at once. The site processes both at 9:53.
	site, clock := startClocked(t, Config{Users: testUsers})
	login(t, site, "goran", "first", "", "")
	clock.Advance(7 * time.Minute)
	login(t, site, "goran", "second", "", "")
	clock.Advance(10 * time.Minute)
	for i := range 3 {
		login(t, site, "goran", fmt.Sprint(i), "", "")
	}
	clock.Advance(21 * time.Minute)
	if rows := site.UsageRows("LAB", "goran"); rows != 3 {
		t.Errorf("%d rows, want 3", rows)
	}
}

func TestCookies(t *testing.T) {
	site, clock := startClocked(t, Config{
		Nodes:          []Node{{Name: "a"}, {Name: "b"}},
		VirtualProxies: []VirtualProxy{{}, {Prefix: "sales", Nodes: []string{"b"}}, {Prefix: "lonely", Nodes: []string{}}},
		Users:          testUsers,
	})
	first := login(t, site, "goran", "laptop", "", "a")
	clock.Advance(20 * time.Minute)
	again := login(t, site, "GORAN", "laptop", "", "a")
	if again.ID != first.ID || !again.LastActivity.Equal(clock.Now()) || !again.Started.Equal(testStart) {
		t.Errorf("the cookie was not used again: %+v, then %+v", first, again)
	}
	for _, other := range []Session{
		login(t, site, "goran", "phone", "", "a"), login(t, site, "goran", "laptop", "", "b"),
		login(t, site, "goran", "laptop", "sales", ""), login(t, site, "ida", "laptop", "", "a"),
	} {
		if other.ID == first.ID || !other.Granted {
			t.Errorf("%+v", other)
		}
	}
	clock.Advance(29 * time.Minute)
	if !site.Touch(first.ID) {
		t.Error("timed out in spite of activity")
	}
	clock.Advance(30 * time.Minute)
	if site.Touch(first.ID) || site.Logout(first.ID) || len(site.Sessions()) != 0 {
		t.Errorf("still alive: %v", site.Sessions())
	}
	if login(t, site, "goran", "laptop", "", "a").ID == first.ID {
		t.Error("a dead session came back")
	}
	for _, where := range [][2]string{{"nosuch", ""}, {"sales", "a"}, {"", "c"}, {"lonely", ""}} {
		if _, err := site.Login("LAB", "goran", "laptop", where[0], where[1]); err == nil {
			t.Errorf("login at %q on %q", where[0], where[1])
		}
	}
}

func TestWhoIsRefused(t *testing.T) {
	site, clock := startClocked(t, Config{
		Users:          testUsers,
		VirtualProxies: []VirtualProxy{{}, {Prefix: "public", AnonymousAccess: 2}},
	})
	for i := range 7 {
		if !login(t, site, "root", fmt.Sprint(i), "", "").Granted {
			t.Error("an administrator without license was refused")
		}
	}
	stranger := login(t, site, "stranger", "laptop", "", "")
	if stranger.Granted || site.CanOpen("LAB", "stranger") || site.CanOpen("LAB", "never seen") || !site.CanOpen("LAB", "root") {
		t.Error("license check of users without license")
	}
	if s, err := site.Login("NONE", "anonymous1", "browser", "public", ""); err != nil || !s.Granted {
		t.Error(s, err)
	}
	if site.UsageRows("LAB", "root") != 0 || site.UsageRows("LAB", "stranger") != 0 || site.UsageRows("x", "y") != 0 {
		t.Error("usage rows without license")
	}
	if n := len(site.Sessions()); n != 9 {
		t.Errorf("%d sessions; refused ones are listed too", n)
	}

	// The next activity in a refused session repeats the license check.
	var ids []string
	for i := range 6 {
		s := login(t, site, "goran", fmt.Sprint(i), "", "")
		if s.Granted != (i < 5) {
			t.Errorf("login %d: granted %v", i, s.Granted)
		}
		ids = append(ids, s.ID)
	}
	site.Logout(ids[0])
	site.Touch(ids[5])
	if site.UsageRows("LAB", "goran") != 5 || granted(site, ids[5]) {
		t.Error("a slot that cools was given away")
	}
	clock.Advance(5 * time.Minute)
	site.Touch(ids[5])
	if !granted(site, ids[5]) {
		t.Error("refused although a slot was free")
	}
}

func granted(site *Site, id string) bool {
	return slices.ContainsFunc(site.Sessions(), func(s Session) bool { return s.ID == id && s.Granted })
}

func TestLeftoverRows(t *testing.T) {
	site, _ := startClocked(t, Config{Users: testUsers})
	for range 5 {
		site.AddLeftoverRow("lab", "ida")
	}
	if login(t, site, "ida", "laptop", "", "").Granted {
		t.Error("leftover rows do not count")
	}
	site.RestartProxy("qlik1")
	if site.UsageRows("LAB", "ida") != 5 || site.RemoveLeftoverRows("LAB", "ida") != 5 || !site.CanOpen("LAB", "ida") {
		t.Error("leftover rows after a restart")
	}
	if site.RemoveLeftoverRows("no", "body") != 0 {
		t.Error("rows of nobody")
	}
}

func TestRestartAndStop(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("KeepRowsOnRestart ", keep), func(t *testing.T) {
			site, clock := startClocked(t, Config{Nodes: []Node{{Name: "a"}, {Name: "b"}}, Users: testUsers, KeepRowsOnRestart: keep})
			for i := range 5 {
				login(t, site, "goran", fmt.Sprint(i), "", []string{"a", "a", "a", "b", "b"}[i])
			}
			login(t, site, "ida", "laptop", "", "a")
			site.RestartProxy("a")
			if n := len(site.Sessions()); n != 2 {
				t.Errorf("%d sessions after the restart, want 2", n)
			}
			clock.Advance(5 * time.Minute)
			want := map[bool]int{false: 2, true: 5}[keep]
			if rows := site.UsageRows("LAB", "goran"); rows != want {
				t.Errorf("%d rows, want %d", rows, want)
			}
			site.StopProxy("b")
			if _, err := site.Login("LAB", "ida", "laptop", "", "b"); err == nil {
				t.Error("login on a stopped proxy")
			}
			for i := range 10 {
				if s := login(t, site, "ida", fmt.Sprint(i), "", ""); s.Node != "a" {
					t.Errorf("the load balancer chose %s", s.Node)
				}
			}
			site.StartProxy("b")
			login(t, site, "ida", "phone", "", "b")
		})
	}
}

func TestLoadBalancerIsSticky(t *testing.T) {
	site, clock := startClocked(t, Config{Nodes: []Node{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
	count := map[string]int{}
	for i := range 300 {
		first := login(t, site, fmt.Sprint("user", i), "laptop", "", "")
		count[first.Node]++
		clock.Advance(time.Second)
		if again := login(t, site, fmt.Sprint("user", i), "laptop", "", ""); again.ID != first.ID {
			t.Fatal("not sticky")
		}
	}
	for _, node := range []string{"a", "b", "c"} {
		if n := count[node]; n < 50 {
			t.Errorf("node %s got %d of 300", node, n)
		}
	}
}

func TestSetVirtualProxies(t *testing.T) {
	site, clock := startClocked(t, Config{
		Users: testUsers, VirtualProxies: []VirtualProxy{{}, {Prefix: "old"}},
	})
	stays := login(t, site, "goran", "laptop", "", "")
	login(t, site, "goran", "laptop", "old", "")
	site.SetVirtualProxies([]VirtualProxy{{InactivityTimeout: 5 * time.Minute}, {Prefix: "new"}})
	if all := site.Sessions(); len(all) != 1 || all[0].ID != stays.ID {
		t.Errorf("sessions %v", all)
	}
	login(t, site, "goran", "laptop", "new", "")
	clock.Advance(6 * time.Minute)
	if all := site.Sessions(); len(all) != 1 || all[0].VirtualProxy != "new" {
		t.Errorf("the shorter timeout does not work: %v", all)
	}
	if got := site.VirtualProxies(); len(got) != 2 || got[0].InactivityTimeout != 5*time.Minute || got[1].SessionCookie != "X-Qlik-Session-new" {
		t.Errorf("%+v", got)
	}
}

func TestSessionsFollowFromTheSeed(t *testing.T) {
	run := func(seed uint64) []Session {
		clock := NewClock(testStart)
		config := Company(60)
		config.Seed, config.Now, config.InMemory = seed, clock.Now, true
		site, err := Start(config)
		if err != nil {
			t.Fatal(err)
		}
		defer site.Close()
		people := NewPeople(site, seed)
		people.WarmUp(clock, testStart.Add(time.Hour))
		people.Hurry()
		people.WarmUp(clock, testStart.Add(65*time.Minute))
		return site.Sessions()
	}
	one, two, other := run(1), run(1), run(2)
	if len(one) == 0 || !slices.Equal(one, two) {
		t.Error("the same seed gave other sessions")
	}
	if slices.Equal(one, other) {
		t.Error("another seed gave the same sessions")
	}
}

func BenchmarkLogin(b *testing.B) {
	site, _ := startClocked(b, Config{Users: testUsers})
	i := 0
	for b.Loop() {
		i++
		if _, err := site.Login("LAB", fmt.Sprint("user", i), "laptop", "", ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListTenThousandSessions(b *testing.B) {
	site, _ := startClocked(b, Config{})
	for i := range 10_000 {
		if _, err := site.Login("LAB", fmt.Sprint("user", i), "laptop", "", ""); err != nil {
			b.Fatal(err)
		}
	}
	l := site.node("qlik1").links[""]
	for b.Loop() {
		listLink(l)
	}
}
