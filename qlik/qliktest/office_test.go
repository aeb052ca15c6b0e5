package qliktest

import (
	"reflect"
	"testing"
	"time"
)

// monday is a midnight.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// startOffice starts an office on a Monday, with a timeout on all virtual proxies.
func startOffice(t *testing.T, users int, seed uint64, timeout time.Duration) (*Site, *Clock, *Office) {
	t.Helper()
	config, clock := Company(users), NewClock(monday)
	for i := range config.VirtualProxies {
		config.VirtualProxies[i].InactivityTimeout = timeout
	}
	config.Now, config.InMemory = clock.Now, true
	site := start(t, config)
	return site, clock, NewOffice(site, seed)
}

func TestOfficeReachesLimit(t *testing.T) {
	t.Parallel()
	logins, refused := 0, 0
	const days = 5
	for seed := range uint64(days) {
		_, clock, office := startOffice(t, 400, seed, 30*time.Minute)
		office.Advance(clock, monday.AddDate(0, 0, 1))
		logins += office.Logins()
		refused += office.Refused()
	}
	if logins < 3400*days || logins > 4200*days || refused < logins*2/100 || refused > logins*4/100 {
		t.Errorf("%d of %d logins refused in %d days, want 3 %% of 3,900 a day", refused, logins, days)
	}
	t.Logf("%d of %d logins refused in %d days", refused, logins, days)
}

func TestOfficeRestsAtNightAndOnWeekends(t *testing.T) {
	t.Parallel()
	site, clock, office := startOffice(t, 100, 1, 30*time.Minute)
	var days [7]int
	for day := range days {
		night := monday.AddDate(0, 0, day).Add(20 * time.Hour)
		before := office.Logins()
		office.Advance(clock, night)
		if n := len(site.Sessions()); n > 0 {
			t.Errorf("%d sessions at %s", n, night)
		}
		days[day] = office.Logins() - before
	}
	if days[4] < 500 || days[5] > days[4]/10 || days[6] > days[4]/10 {
		t.Errorf("logins by day: %v", days)
	}
}

func TestOfficeIsDeterministic(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) [2]int {
		_, clock, office := startOffice(t, 100, seed, 30*time.Minute)
		office.Advance(clock, monday.AddDate(0, 0, 2))
		return [2]int{office.Logins(), office.Refused()}
	}
	first, again, other := run(1), run(1), run(2)
	if first != again || first == other {
		t.Errorf("logins and refusals: %v, again %v, with another seed %v", first, again, other)
	}
}

// TestOfficeIntendsTheSame runs a day three times: as it is, with a short timeout, and with an administrator who ends every session now
// and then. Afterward, the people intend the same.
func TestOfficeIntendsTheSame(t *testing.T) {
	t.Parallel()
	var first [][]*stay
	firstLogins := 0
	for name, test := range map[string]struct {
		timeout time.Duration
		ends    bool
	}{
		"as it is":         {30 * time.Minute, false},
		"short timeout":    {10 * time.Minute, false},
		"sessions are cut": {30 * time.Minute, true},
	} {
		site, clock, office := startOffice(t, 60, 7, test.timeout)
		for clock.Now().Before(monday.Add(23 * time.Hour)) {
			office.Advance(clock, clock.Now().Add(20*time.Minute))
			for _, each := range site.Sessions() {
				if test.ends {
					site.Logout(each.ID)
				}
			}
		}
		var stays [][]*stay
		for _, who := range office.workers {
			all := who.day(monday.AddDate(0, 0, 1))
			for _, s := range all {
				s.who = nil
			}
			stays = append(stays, all)
		}
		switch {
		case first == nil:
			first, firstLogins = stays, office.Logins()
		case !reflect.DeepEqual(stays, first):
			t.Errorf("%s: people intend something else on the next day", name)
		case office.Logins() == firstLogins:
			t.Errorf("%s: as many logins", name)
		}
	}
}

// TestOfficeTriesAgain checks that a refused login counts once, and that people log in after a slot becomes free.
func TestOfficeTriesAgain(t *testing.T) {
	t.Parallel()
	config, clock := Config{Users: testUsers[:1]}, NewClock(monday)
	config.Now, config.InMemory, config.SessionLimit = clock.Now, true, 1
	site := start(t, config)
	office := &Office{site: site}
	who := &worker{User: testUsers[0]}
	first, err := site.Login(who.Directory, who.ID, "phone", "", "")
	if err != nil {
		t.Fatal(err)
	}
	at := func(minutes float64) time.Time { return monday.Add(time.Duration(minutes * float64(time.Minute))) }
	s := &stay{who: who, where: place{"laptop", ""}, from: at(0), until: at(20), uses: []time.Time{at(1), at(10)}, retries: []time.Duration{time.Minute, time.Minute}}
	office.agenda.push(s.from, func(now time.Time) { office.begin(s, now) })
	check := func(minutes float64, logins, refused int, granted bool) {
		t.Helper()
		office.Advance(clock, at(minutes))
		if office.Logins() != logins || office.Refused() != refused || (s.window != nil) != granted {
			t.Errorf("after %v minutes: %d logins, %d refused, a window %t", minutes, office.Logins(), office.Refused(), s.window != nil)
		}
	}
	check(0.5, 1, 1, false)
	check(1.5, 1, 1, false)
	if site.Logout(first.ID); site.CanOpen(who.Directory, who.ID) {
		t.Fatal("the slot does not cool")
	}
	check(3, 1, 1, false)
	again := &stay{who: who, where: s.where, from: at(8), until: at(20)}
	office.agenda.push(again.from, func(now time.Time) { office.begin(again, now) })
	s = again
	check(9, 1, 1, true)
}
