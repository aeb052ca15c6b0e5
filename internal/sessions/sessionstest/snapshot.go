// Package sessionstest provides snapshots and simulated sites for tests of package
// sessions, of the sessions page, and of the commands that end sessions.
package sessionstest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Noon is the time of all snapshots.
var Noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

var links = []headroom.LinkResult{
	{Link: qlik.Link{Node: "qlik1", VirtualProxy: "/"}},
	{Link: qlik.Link{Node: "qlik1", VirtualProxy: "/sales"}},
	{Link: qlik.Link{Node: "qlik2", VirtualProxy: "/sales"}},
}

// Snapshot returns a snapshot with the given number of sessions for each user, named
// DIRECTORY\id. The sessions of a user alternate between three links.
func Snapshot(sessions map[string]int) *headroom.Snapshot {
	s := &headroom.Snapshot{Time: Noon, Limit: 5, Links: slices.Clone(links), UsagePlausible: true}
	s.Tracking.Since = Noon.Add(-time.Hour)
	for name, n := range sessions {
		directory, id, _ := strings.Cut(name, `\`)
		user := qlik.NewUser(directory, id)
		for i := range n {
			s.Sessions = append(s.Sessions, qlik.Session{ID: qlik.SessionID(fmt.Sprint(name, i)), User: user.Counted(), Link: &s.Links[i%len(s.Links)].Link})
		}
	}
	for i := range s.Links {
		link := &s.Links[i]
		link.Sessions = slices.DeleteFunc(slices.Clone(s.Sessions), func(session qlik.Session) bool { return session.Link != &link.Link })
	}
	counted, _ := headroom.New(headroom.Config{Limit: s.Limit}).Observe(headroom.Round{Asked: Noon, Heard: Noon, Links: s.Links})
	counted.Time, counted.Tracking, counted.UsagePlausible, counted.Sessions = s.Time, s.Tracking, s.UsagePlausible, s.Sessions
	s = counted
	for i := range s.Users {
		s.Users[i].EffectiveHeadroom = s.Users[i].Headroom
		s.Users[i].FirstSeen = Noon.Add(-time.Duration(i) * time.Minute)
	}
	return s
}

// Crowd returns a snapshot of the given number of users with one to six sessions
// each.
func Crowd(users int) *headroom.Snapshot {
	sessions := make(map[string]int, users)
	for i := range users {
		sessions[fmt.Sprintf(`ACME\user%05d`, i)] = 1 + i%97%6
	}
	return Snapshot(sessions)
}
