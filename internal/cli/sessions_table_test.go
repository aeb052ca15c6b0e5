package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// crowded returns a list of users, of whom the first ones have no free slot.
func crowded(users, stuck int) *sessions.List {
	list := &sessions.List{Time: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Complete: true, UsageKnown: true}
	for i := range users {
		headroom, sessionsOf, hold, without := 4, 1, 1, 0
		user := sessions.Listed{
			Directory: "ACME", ID: fmt.Sprintf("somebody.with-a-long-name%d", i), License: "professional", LastActivity: list.Time.Add(-90 * time.Second),
			Places: []sessions.Place{{VirtualProxy: "/", Node: "qlik-central.acme.example", Sessions: 1}},
		}
		if i < stuck {
			headroom, sessionsOf, hold, without = 0, 1411, 3, 2
			user.Refused = []sessions.RefusedLogin{{At: list.Time.Add(-time.Minute), Reason: qlik.RefusedSessionLimit}}
			user.NextSlot = list.Time.Add(5 * time.Minute)
			user.Places = append(user.Places, sessions.Place{VirtualProxy: "/portal", Node: "qlik-node2.acme.example", Sessions: 1410})
		}
		user.EffectiveHeadroom, user.Sessions, user.SessionsWithSlot, user.SlotsOfSessions, user.SlotsWithoutSession = &headroom, sessionsOf, &hold, &hold, &without
		list.Users = append(list.Users, user)
	}
	return list
}

// TestTableFits checks that no line is wider than the terminal, from the narrowest one on
// that people have.
func TestTableFits(t *testing.T) {
	for width := 80; width < 250; width++ {
		list := crowded(30, 3)
		list.Users[1].Unlicensed = sessions.NoLicense
		changed := map[qlik.User]string{list.Users[0].User(): "+1, no slot"}
		table := &listTable{list: list, all: 30, at: list.Time, width: width, limit: noLimit, changed: changed}
		for _, watched := range []bool{false, true} {
			table.watched = watched
			for line := range strings.Lines(table.text()) {
				if n := uniseg.StringWidth(strings.TrimSuffix(line, "\n")); n > width {
					t.Fatalf("width %d: %d characters in %s", width, n, line)
				}
			}
		}
	}
}

func TestTableOfANarrowTerminal(t *testing.T) {
	list := crowded(2024, 14)
	table := &listTable{list: list, all: 2024, at: list.Time, width: 80, limit: 2}
	compare(t, table.text(), `                                                 COOLING
                                                 OR LEFT  NEXT
FREE  USER                        SESSIONS       OVER     SLOT BY   REFUSED
0     ACME\somebody…a-long-name0  1,411, 3 hold  2        in 5 min  limit, 1 min
0     ACME\somebody…a-long-name1  1,411, 3 hold  2        in 5 min  limit, 1 min
... and 2,022 more users, 12 of them without a free slot; --limit=0 shows all
The terminal is too narrow for LICENSE, IDLE, WHERE.
`)
	table.width = 120
	compare(t, table.text(), `                                            COOLING
                                            OR LEFT                       NEXT
FREE  USER                   SESSIONS       OVER     LICENSE       IDLE   SLOT BY   WHERE                   REFUSED
0     ACME\someb…long-name0  1,411, 3 hold  2        professional  1 min  in 5 min  / qlik-central.acme.e…  limit, 1 min
0     ACME\someb…long-name1  1,411, 3 hold  2        professional  1 min  in 5 min  / qlik-central.acme.e…  limit, 1 min
... and 2,022 more users, 12 of them without a free slot; --limit=0 shows all
`)
}

// TestLimit checks that nobody is left out silently.
func TestLimit(t *testing.T) {
	for _, test := range []struct {
		users, stuck, limit, height, shown int
		last                               string
	}{
		{2024, 0, 0, 24, 2024, ""},
		{2024, 0, noLimit, 0, 2024, ""}, // no terminal
		{2024, 14, 10, 24, 10, "... and 2,014 more users, 4 of them without a free slot; --limit=0 shows all"},
		{2024, 14, 10, 0, 10, "... and 2,014 more users, 4 of them without a free slot; --limit=0 shows all"},
		{2024, 14, noLimit, 24, 20, "... and 2,004 more users; --limit=0 shows all"},
		{2024, 14, noLimit, 5, minUsers, "... and 2,014 more users, 4 of them without a free slot; --limit=0 shows all"},
		{20, 0, noLimit, 24, 20, ""},
		{11, 0, 10, 24, 10, "... and 1 more user; --limit=0 shows all"},
	} {
		list := crowded(test.users, test.stuck)
		table := &listTable{list: list, all: test.users, at: list.Time, height: test.height, limit: test.limit}
		lines := strings.Split(strings.TrimSuffix(table.text(), "\n"), "\n")
		last := ""
		if !strings.Contains(lines[len(lines)-1], "ACME") {
			last = lines[len(lines)-1]
			lines = lines[:len(lines)-1]
		}
		if shown := len(lines) - 1; shown != test.shown || last != test.last {
			t.Errorf("%+v: %d users are shown; %s", test, shown, last)
		}
	}
	for limit, want := range map[int]int{noLimit: 8, 0: 8, 5: 5, 20: 8} {
		list := crowded(20, 0)
		table := &listTable{list: list, all: 20, at: list.Time, height: 10, limit: limit, watched: true}
		text := table.text()
		if shown := strings.Count(text, "ACME"); shown != want || !strings.HasSuffix(text, fmt.Sprintf("\n... and %d more users\n", 20-want)) {
			t.Errorf("watched with limit %d: got\n%s", limit, text)
		}
	}
}
