package headroom

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func TestUsersAreCounted(t *testing.T) {
	s := newScenario(t, "n1/", "n1/sales", "n2/")
	s.state = New(Config{Limit: 2, CoolingTime: time.Minute, Unlimited: []qlik.User{qlik.NewUser("apps", "Robot")}})
	for _, each := range []struct{ id, directory, user, link string }{
		{"1", "LAB", "Goran", "n1/sales"},
		{"2", "lab", "goran", "n1/"},
		{"3", "Lab", "GORAN", "n2/"},
		{"4", "NONE", "anonymous0815", "n1/"},
		{"5", "NONE", "anonymous4711", "n1/"},
		{"6", "APPS", "robot", "n1/"},
		{"7", "LAB", "anna", "n1/"},
	} {
		link := s.link(each.link)
		link.Sessions = append(link.Sessions, session(each.id, each.directory, each.user, &link.Link))
	}
	s.usage = NewUsage([]qlik.UsageRow{
		row("gone", "absent", qlik.LicenseAnalyzer, s.now),
		row("1", "goran", qlik.LicenseProfessional, s.now),
		row("2", "", qlik.LicenseProfessional, s.now), // the user of the session counts, not the name in the row
	}, s.now, s.now)
	s.scrape(0)

	hub := func(n int, several bool) []VirtualProxyCount {
		return []VirtualProxyCount{{VirtualProxy: "/", Sessions: n, Node: "n1", SeveralNodes: several}}
	}
	for i := range s.snapshot.Users {
		s.snapshot.Users[i].Judgment = Judgment{} // see TestCauses
	}
	s.expect("users", s.snapshot.Users, []UserStatus{
		{User: qlik.NewUser("APPS", "robot"), Sessions: 1, VirtualProxies: hub(1, false), FirstSeen: s.now},
		{User: lab("absent"), Limited: true, Headroom: 2, EffectiveHeadroom: 1, License: qlik.LicenseAnalyzer, LicensedSessions: 1},
		{User: lab("anna"), Sessions: 1, VirtualProxies: hub(1, false), FirstSeen: s.now, Limited: true, Headroom: 1, EffectiveHeadroom: 2},
		{
			User: lab("goran"), Sessions: 3, FirstSeen: s.now, Limited: true, Headroom: -1,
			VirtualProxies:   append(hub(2, true), VirtualProxyCount{VirtualProxy: "/sales", Sessions: 1, Node: "n1"}),
			LicensedSessions: 2, License: qlik.LicenseProfessional,
		},
		{User: qlik.AnonymousUser, Sessions: 2, VirtualProxies: hub(2, false), FirstSeen: s.now},
	})

	over, left := s.snapshot.UsersByHeadroom()
	s.expect("users beyond the limit", over, 1)
	s.expect("users by headroom; absent has all of it", left, []int{0, 1})
}

// TestVirtualProxiesOfUsersAreApart checks that the counts of users do not mix, although
// they share memory.
func TestVirtualProxiesOfUsersAreApart(t *testing.T) {
	s := newScenario(t, "n1/c", "n1/a", "n1/b")
	s.login("n1/c", "anna1", "bert1")
	s.login("n1/a", "anna2", "bert2")
	s.login("n1/b", "anna3", "bert3")
	s.scrape(0)
	for _, user := range []string{"anna", "bert"} {
		s.expect(user, s.user(user).VirtualProxies, []VirtualProxyCount{{"/a", 1, "n1", false}, {"/b", 1, "n1", false}, {"/c", 1, "n1", false}})
	}
}

func TestUsersOnSeveralNodes(t *testing.T) {
	s := newScenario(t, "n1/", "n1/sales", "n2/", "n3/")
	s.login("n1/", "anna1", "bert1")
	s.login("n2/", "anna2")
	s.login("n3/", "anna3")      // the third node does not count anna again
	s.login("n1/sales", "bert2") // another virtual proxy on the same node
	for _, link := range []string{"n1/", "n2/"} {
		l := s.link(link)
		l.Sessions = append(l.Sessions, session(link, "NONE", "anonymous"+link, &l.Link)) // two browsers
	}
	s.scrape(0)
	s.expect("users on several nodes", s.snapshot.UsersOnSeveralNodes(), map[string]int{"/": 1, "/sales": 0})
}

// TestSlotsAtLimit checks that the slots of users without a free slot are counted: rows, if
// they are known, without the refused session and the ended one; otherwise sessions.
func TestSlotsAtLimit(t *testing.T) {
	s := newScenario(t, "n1/", "n1/sales", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "bert1")
	s.login("n1/sales", "anna4", "anna5", "anna6", "bert2")
	s.scrape(0)
	s.expect("sessions of anna, who has no free slot", s.snapshot.SlotsAtLimit, map[string]int{"/": 3, "/sales": 3})
	s.link("n1/sales").Err = errDown
	s.scrape(time.Minute)
	s.expect("anna may have a free slot", s.snapshot.SlotsAtLimit, map[string]int{"/": 0, "/sales": 0})
	s.link("n1/sales").Err = nil

	s.rows("anna1", "anna2", "anna3", "anna4", "anna7", "bert1", "bert2") // anna7 has no session, anna5 and anna6 no slot
	s.scrape(10 * time.Second)
	s.expect("slots of anna", s.snapshot.SlotsAtLimit, map[string]int{"/": 3, "/sales": 1})
}

func TestFirstSeen(t *testing.T) {
	s := newScenario(t, "n1/", "n2/")
	s.login("n2/", "anna1")
	s.scrape(0)
	first := s.now
	s.login("n1/", "anna2")
	s.scrape(time.Minute)
	second := s.now
	s.expect("oldest", s.user("anna").FirstSeen, first)
	s.link("n2/").Err = errDown
	s.scrape(time.Minute)
	s.expect("oldest, which is unknown", s.user("anna").FirstSeen, first)
	s.link("n2/").Err = nil
	s.logout("n2/", "anna1")
	s.scrape(time.Minute)
	s.expect("oldest of those left", s.user("anna").FirstSeen, second)
	s.logout("n1/", "anna2")
	s.rows("anna2")
	s.scrape(time.Minute)
	s.expect("without session", s.user("anna").FirstSeen, time.Time{})
}

// TestUsersThatAreShown checks that a user without sessions is in the snapshot while a slot
// cools, a usage row is left, or the state remembers that the user reached the limit.
func TestUsersThatAreShown(t *testing.T) {
	for _, test := range []struct {
		name    string
		status  UserStatus
		present bool
	}{
		{"a session", UserStatus{Sessions: 1}, true},
		{"a cooling slot", UserStatus{CoolingSlots: 1}, true},
		{"a row", UserStatus{LicensedSessions: 1}, true},
		{"a memory", UserStatus{LimitReached: 1}, false},
	} {
		if test.status.Present() != test.present {
			t.Errorf("%s: present %t", test.name, !test.present)
		}
	}

	s := newScenario(t, "n1/", "n2/")
	s.login("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.login("n2/", "bert1")
	s.scrape(0)
	s.logout("n1/", "anna1", "anna2", "anna3", "anna4", "anna5")
	s.scrape(time.Minute)
	s.expect("cooling", s.user("anna"), UserStatus{
		User: lab("anna"), Limited: true, Headroom: 5, CoolingSlots: 5, NextSlot: s.now.Add(5 * time.Minute),
		Judgment: Judgment{CauseProxyRestart, Likely, s.now},
	})
	s.scrape(5 * time.Minute)
	s.expect("users", len(s.snapshot.Users), 1)

	// A session on a link that failed is unknown; its row is not.
	s.link("n2/").Err = errDown
	s.scrape(time.Minute)
	s.expect("users while a link fails", len(s.snapshot.Users), 0)
	s.rows("bert1")
	s.scrape(0)
	s.expect("bert", s.user("bert"), UserStatus{
		User: lab("bert"), Limited: true, Headroom: 5, EffectiveHeadroom: 4, License: qlik.LicenseAnalyzer, LicensedSessions: 1,
	})

	// While a session is unknown, a slot that has cooled is kept but not shown.
	s = outageScenario(t)
	s.logout("n1/", "anna3")
	s.logout("n3/", "anna5")
	s.scrape(time.Minute)
	s.expect("cooling slots", s.user("anna").CoolingSlots, 4)
	s.scrape(5 * time.Minute)
	s.expect("slots that are kept", len(s.state.remembered[lab("anna")].cooling), 4)
	s.expect("users", len(s.snapshot.Users), 0)
}
