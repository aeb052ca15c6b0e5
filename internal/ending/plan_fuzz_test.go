package ending_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/ending"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// choices are choices made by a fuzzer. Beyond its data, each choice is 0.
type choices []byte

func (c *choices) of(n int) int {
	if len(*c) == 0 {
		return 0
	}
	first := int((*c)[0]) % n
	*c = (*c)[1:]
	return first
}

// inventedSite returns two snapshots of a site with sessions, usage rows, links that fail,
// and sessions that end in between.
func inventedSite(c *choices) *headroom.Snapshot {
	users := []qlik.User{
		anna, qlik.NewUser("LAB", "ANNA"), qlik.NewUser("LAB", "bert"), qlik.NewUser("LAB", "reload"), qlik.NewUser("LAB", "robot"),
		qlik.NewUser("INTERNAL", "sa_scheduler"), qlik.AnonymousUser,
	}
	links := []qlik.Link{{Node: "qlik1", VirtualProxy: "/"}, {Node: "qlik1", VirtualProxy: "/sales"}, {Node: "qlik2", VirtualProxy: "/sales"}}
	for i := range links {
		links[i].InactivityTimeout = time.Duration(c.of(3)) * 15 * time.Minute
	}
	state := headroom.New(headroom.Config{
		Limit: headroom.DefaultLimit, CoolingTime: headroom.DefaultCoolingTime, Unlimited: []qlik.User{qlik.NewUser("LAB", "robot")},
	})
	type listedSession struct {
		qlik.Session

		link int
		gone bool // ends after the first snapshot
	}
	all := make([]listedSession, c.of(24))
	var rows []qlik.UsageRow
	for i := range all {
		user, link := users[c.of(len(users))], c.of(len(links))
		all[i] = listedSession{qlik.Session{ID: qlik.SessionID(fmt.Sprint(i)), User: user, Link: &links[link]}, link, c.of(4) == 1}
		for range c.of(3) { // none, one, or two rows
			row := qlik.UsageRow{Session: all[i].ID.Key(), User: user, License: qlik.LicenseAnalyzer}
			if idle := c.of(60); idle > 0 {
				row.LastActivity = sessionstest.Noon.Add(10*time.Minute - time.Duration(idle)*time.Minute)
			}
			rows = append(rows, row)
		}
	}
	readsRows, failing, pause := c.of(3) > 0, c.of(2*len(links)), time.Duration(c.of(7))*time.Minute
	var snapshot *headroom.Snapshot
	for n, at := range []time.Time{sessionstest.Noon, sessionstest.Noon.Add(pause)} {
		round := headroom.Round{Asked: at, Heard: at}
		for i, link := range links {
			result := headroom.LinkResult{Link: link}
			for _, s := range all {
				if s.link == i && (n == 0 || !s.gone) {
					result.Sessions = append(result.Sessions, s.Session)
				}
			}
			if n > 0 && i == failing {
				result.Sessions, result.Err = nil, &qlik.Error{Kind: qlik.KindTimeout}
			}
			round.Links = append(round.Links, result)
		}
		if readsRows {
			round.Usage = headroom.NewUsage(rows, at, at)
		}
		snapshot, state = state.Observe(round)
	}
	return snapshot
}

// FuzzPlan checks what no plan may do, whatever the site and the selection: end sessions
// of another user, of a user whose sessions are never ended, of another place, or in use;
// end one of the sessions to keep; end anything that it does not show; or end something
// although waiting is as fast.
func FuzzPlan(f *testing.F) {
	for i := range 64 {
		seed := make([]byte, 160)
		for j := range seed {
			seed[j] = byte((i + 1) * (j + 3) * (j ^ i))
		}
		f.Add(seed)
	}
	serviceAccounts := []qlik.User{qlik.NewUser("LAB", "reload")}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := choices(data)
		selection := ending.Selection{Keep: c.of(5), IdleFor: time.Duration(c.of(3)) * 10 * time.Minute, Rule: ending.Rule(c.of(3)), Whole: c.of(2) == 1}
		if selection.Rule != ending.Chosen {
			selection.Keep, selection.IdleFor = 0, 0
		}
		if selection.Rule == ending.Chosen && c.of(3) == 1 {
			selection.VirtualProxies = []string{[]string{"/", "sales", "/nosuch/"}[c.of(3)]}
		}
		if selection.Rule == ending.Chosen && c.of(3) == 1 {
			selection.Nodes = []string{[]string{"qlik1", "QLIK2", "qlik3"}[c.of(3)]}
		}
		snapshot := inventedSite(&c)
		for _, row := range sessions.Rows(snapshot) {
			checkPlan(t, &row, snapshot, selection, serviceAccounts)
		}
	})
}

func checkPlan(t *testing.T, row *sessions.Row, snapshot *headroom.Snapshot, selection ending.Selection, serviceAccounts []qlik.User) {
	t.Helper()
	plan := ending.NewPlan(row, snapshot, selection, serviceAccounts)
	wrong := func(what string) { t.Errorf("%s, %+v: %s: %+v", row.User, selection, what, plan) }

	own := make(map[qlik.SessionID]bool)
	for _, session := range snapshot.Sessions {
		if session.User == row.User {
			own[session.ID] = true
		}
	}
	shown := make(map[qlik.SessionID]bool)
	for _, session := range plan.Sessions {
		shown[session.ID] = true
		if !own[session.ID] {
			wrong("shows a session of another user")
		}
	}
	if len(shown) != len(own) || len(plan.Sessions) != len(own) {
		wrong("does not show each session of the user once")
	}

	ends := plan.Ending()
	forbidden := row.User == qlik.AnonymousUser || row.User.Directory == "INTERNAL" || slices.Contains(serviceAccounts, row.User) || !row.Limited
	switch {
	case forbidden != (plan.NeverEnded != ""):
		wrong("is about the wrong kind of user")
	case len(ends) == 0:
		return
	case forbidden:
		wrong("ends sessions that are never ended")
	case plan.Undecided != nil:
		wrong("ends sessions although it cannot decide")
	case !plan.Wait.IsZero(), selection.Rule != ending.Chosen && !snapshot.Wait(&row.UserStatus).IsZero():
		wrong("ends sessions although waiting is as fast")
	}
	ended, withSlot := make(map[qlik.SessionID]bool), 0
	for _, session := range ends {
		ended[session.ID] = true
		if !session.Refused {
			withSlot++
		}
		idle := snapshot.Time.Sub(session.LastActivity)
		switch {
		case !shown[session.ID]:
			wrong("ends a session that it does not show")
		case session.Refused && session.HoldsSlot:
			wrong("calls a session refused that holds a slot")
		case !selection.Matches(session.Link.VirtualProxy, session.Link.Node):
			wrong("ends a session of another place")
		case selection.IdleFor > 0 && (session.LastActivity.IsZero() || idle < selection.IdleFor):
			wrong("ends a session that is in use")
		case selection.Rule != ending.Chosen && !session.Refused && session.LastActivity.IsZero():
			wrong("ends a session of unknown activity that nobody chose")
		case selection.Rule == ending.Careful && !session.Refused && idle < ending.IdleTime:
			wrong("ends a session that is in use")
		case selection.Whole && !snapshot.Complete() && !session.Refused:
			wrong("ends a session that was not refused although the data is incomplete")
		}
	}
	if selection.Rule == ending.Careful && withSlot > 1 {
		wrong("ends more than one session with a slot")
	}
	keep := selection.Keep
	if selection.Rule != ending.Chosen && withSlot > 0 {
		keep = 1
	}
	if kept := len(plan.Sessions) - len(ended); kept < min(keep, len(plan.Sessions)) {
		wrong("keeps too few sessions")
	}
	// A session that ends has at least as many sessions to keep that were active later.
	for _, session := range ends {
		later := 0
		for _, other := range plan.Sessions {
			if !ended[other.ID] && !other.LastActivity.Before(session.LastActivity) {
				later++
			}
		}
		if later < keep {
			wrong("ends one of the sessions to keep")
		}
	}
	plan.EndAtMost(1)
	if left := plan.Ending(); len(left) != 1 || withSlot > 0 && left[0].Refused {
		wrong("does not prefer the session with a slot if only one may end")
	}
}
