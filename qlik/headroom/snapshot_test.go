package headroom

import (
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func TestUpAndComplete(t *testing.T) {
	answered, failed := LinkResult{}, LinkResult{Err: errDown}
	stopped := LinkResult{Err: errDown, Stopped: true}
	for _, test := range []struct {
		name         string
		links        []LinkResult
		up, complete bool
	}{
		{"no link", nil, false, false},
		{"all answered", []LinkResult{answered, answered}, true, true},
		{"one failed", []LinkResult{answered, failed}, true, false},
		{"all failed", []LinkResult{failed, failed}, false, false},
		{"one has stopped", []LinkResult{answered, stopped}, true, true},
		{"one has stopped, another failed", []LinkResult{answered, stopped, failed}, true, false},
		{"all have stopped", []LinkResult{stopped}, false, false},
	} {
		snapshot := &Snapshot{Links: test.links}
		if up, complete := snapshot.Up(), snapshot.Complete(); up != test.up || complete != test.complete {
			t.Errorf("%s: up %t, complete %t", test.name, up, complete)
		}
	}
}

func TestUsersByHeadroom(t *testing.T) {
	snapshot := &Snapshot{Limit: 3}
	for _, headroom := range []int{-2, -1, 0, 0, 0, 1, 2, 3} {
		snapshot.Users = append(snapshot.Users, UserStatus{Limited: true, Headroom: headroom}, UserStatus{})
	}
	over, left := snapshot.UsersByHeadroom()
	compare(t, "beyond the limit", over, 2)
	compare(t, "by what is left", left, []int{3, 1, 1})
}

func TestUsageOfSessions(t *testing.T) {
	link := new(qlik.Link)
	snapshot := &Snapshot{Sessions: []qlik.Session{{ID: "1", Link: link}, {ID: "2", Link: link}, {ID: "3", Link: link}}}
	if snapshot.Usage() != nil {
		t.Error("there is usage without rows")
	}
	rows := []qlik.UsageRow{row("1", "", "", morning), row("3", "", "", time.Time{}), row("gone", "", "", morning)}
	snapshot.usage = NewUsage(rows, morning, morning)
	if snapshot.Usage() != nil {
		t.Error("there is usage by rows that are not plausible")
	}
	snapshot.UsagePlausible = true
	compare(t, "usage", snapshot.Usage(), map[qlik.SessionID]SessionUsage{"1": {Slots: 1, LastActivity: morning}, "3": {Slots: 1}})
}

// TestOf checks the state of users with and without sessions.
func TestOf(t *testing.T) {
	robot, anna, zoe := qlik.NewUser("LAB", "robot"), qlik.NewUser("LAB", "anna"), qlik.NewUser("LAB", "zoe")
	link := qlik.Link{Node: "qlik1", VirtualProxy: "/"}
	s, _ := New(Config{Limit: 5, Unlimited: []qlik.User{robot}}).Observe(Round{
		Links:    []LinkResult{{Link: link, Sessions: []qlik.Session{{ID: "1", User: anna, Link: &link}}}},
		Licenses: &qlik.Licenses{Certain: true},
	})
	for _, test := range []struct {
		user               qlik.User
		limited            bool
		sessions, headroom int
		license            string
	}{
		{anna, true, 1, 4, qlik.LicenseNone},
		{zoe, true, 0, 5, qlik.LicenseNone},
		{robot, false, 0, 0, qlik.LicenseNone},
		{qlik.AnonymousUser, false, 0, 0, qlik.LicenseUnknown},
	} {
		got := s.Of(test.user)
		if got.User != test.user || got.Limited != test.limited || got.Sessions != test.sessions || got.EffectiveHeadroom != test.headroom || got.License != test.license {
			t.Errorf("%+v, want %+v", got, test)
		}
	}
}
