package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// typed is a command together with its output.
type typed struct {
	openSite

	out, err, log bytes.Buffer
}

func commands(site *site.Site) *typed {
	c := new(typed)
	c.openSite = openSite{
		Site: site, Logger: &sentences{out: &c.err, said: make(map[string]bool)}, Record: log.NewLogfmtLogger(&c.log), In: strings.NewReader(""), Out: &c.out, Err: &c.err,
		ServiceAccounts: []qlik.User{qlik.NewUser("LAB", "reload")},
	}
	return c
}

func (c *typed) list(t *testing.T, query Query, atLeast int, format string) string {
	t.Helper()
	c.out.Reset()
	if err := c.List(t.Context(), query, atLeast, format); err != nil && !errors.Is(err, ErrIncomplete) {
		t.Fatal(err)
	}
	return c.out.String()
}

// end ends sessions of a user. It keeps the most recently active one unless change
// sets other options.
func (c *typed) end(t *testing.T, user string, change func(*EndOptions)) (string, error) {
	t.Helper()
	options := EndOptions{Query: Query{User: user}, Keep: 1, Yes: true}
	if change != nil {
		change(&options)
	}
	c.out.Reset()
	err := c.End(t.Context(), options)
	return c.out.String(), err
}

func all(o *EndOptions) { o.Keep, o.Chosen = 0, true }

func withoutRows(_ *qliktest.Config, run *site.Config) { run.Licenses = false }

func users(table string) []string {
	var names []string
	for line := range strings.Lines(table) {
		if _, name, found := strings.Cut(line, `\`); found {
			names = append(names, strings.Fields(name)[0])
		}
	}
	return names
}

func compare(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// minutes returns the time in a number of minutes as the commands write it.
func minutes(n int) string {
	return fmt.Sprintf("%s (in %d min)", time.Now().Add(time.Duration(n)*time.Minute).Format("15:04:05 MST"), n)
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		for i := range 6 {
			sessionstest.Login(t, server, "bert", fmt.Sprint("device", i), "", "qlik3")
		}
		for i := range 2 {
			sessionstest.Login(t, server, "anna", fmt.Sprint("device", i), "sales", "qlik2")
			sessionstest.Login(t, server, "anna", fmt.Sprint("device", i), "qmc", "qlik1")
		}
		sessionstest.Login(t, server, "robot", "script", "qmc", "qlik1")
		sessionstest.Login(t, server, "anonymous1f", "browser", "portal", "qlik1")
		sessionstest.Login(t, server, "stranger", "laptop", "", "qlik1")
		server.AddLeftoverRow("LAB", "carla")
		time.Sleep(3 * time.Minute)
		c := commands(site)
		compare(t, c.list(t, Query{}, 0, formatTable), fmt.Sprintf(
			`FREE      USER            SESSIONS              COOLING OR LEFT OVER  LICENSE   IDLE   NEXT SLOT BY              WHERE
0         LAB\bert        6, 5 hold a slot      -                     analyzer  3 min  %s  / qlik3 (6)
1         LAB\anna        4                     -                     analyzer  3 min  -                         /qmc qlik1 (2), /sales qlik2 (2)
4         LAB\carla       0                     1                     analyzer  -      -                         -
5         LAB\stranger    1, none holds a slot  -                     none      -      -                         / qlik1
no limit  LAB\robot       1                     -                     analyzer  3 min  -                         /qmc qlik1
no limit  NONE\anonymous  1                     -                     unknown   -      -                         /portal qlik1
`, minutes(32)))

		for _, test := range []struct {
			query   Query
			atLeast int
			want    string
		}{
			{Query{User: `lab\ANNA`}, 0, "anna"},
			{Query{User: `lab/ANNA`}, 0, "anna"},
			{Query{User: `LABanna`}, 0, "anna"}, // a shell has removed the backslash
			{Query{User: `LAB/nobody`}, 0, ""},
			{Query{User: "ann"}, 0, "anna"},
			{Query{User: "Bert Be"}, 0, "bert"}, // by display name
			{Query{User: "berg"}, 0, "bert anna carla robot"},
			{Query{User: "nobody"}, 0, ""},
			{Query{}, 4, "bert anna"},
			{Query{PlaceFilter: sessions.PlaceFilter{VirtualProxies: []string{"qmc"}}}, 0, "anna robot"},
			{Query{PlaceFilter: sessions.PlaceFilter{VirtualProxies: []string{"/"}}}, 0, "bert stranger"},
			{Query{PlaceFilter: sessions.PlaceFilter{VirtualProxies: []string{"/qmc", "/portal"}, Nodes: []string{"QLIK1"}}}, 3, "anna"},
			{Query{PlaceFilter: sessions.PlaceFilter{VirtualProxies: []string{"/qmc"}, Nodes: []string{"qlik2"}}}, 0, ""}, // never both at one place
		} {
			got := strings.Join(users(c.list(t, test.query, test.atLeast, formatTable)), " ")
			if got != test.want {
				t.Errorf("%+v, at least %d: got %q, want %q", test.query, test.atLeast, got, test.want)
			}
		}
		compare(t, c.list(t, Query{User: "nobody"}, 0, formatTable),
			"No match among 6 users with sessions or taken slots.\n")

		c.Hash = func(user qlik.User) string { return "0123456789abcde" + user.ID[:1] }
		if got := users(c.list(t, Query{User: "0123456789ABCDEB"}, 0, formatTable)); !slices.Equal(got, []string{"bert"}) {
			t.Errorf("by hash: %q", got)
		}

		c.Color = true
		lines := strings.Split(c.list(t, Query{}, 0, formatTable), "\n")
		for i, color := range []string{"FREE", "\x1b[31m0 ", "\x1b[33m1 ", "4 ", "5 ", "no limit", "no limit"} {
			if !strings.HasPrefix(lines[i], color) || strings.Contains(color, "\x1b") != strings.HasSuffix(lines[i], "\x1b[0m") {
				t.Errorf("%q, want it to begin with %q", lines[i], color)
			}
		}
	})
}

// TestListCooling checks that cooling slots are listed on the basis of usage rows if
// the command did not see the sessions end.
func TestListCooling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		for i := range 5 {
			sessionstest.Login(t, server, "anna", fmt.Sprint("device", i), "", "qlik1")
		}
		for _, session := range server.Sessions()[:2] {
			server.Logout(session.ID)
		}
		compare(t, commands(site).list(t, Query{}, 0, formatTable),
			`FREE  USER      SESSIONS  COOLING OR LEFT OVER  LICENSE   IDLE  NEXT SLOT BY             WHERE
0     LAB\anna  3         2                     analyzer  0 s   `+minutes(5)+`  / qlik1 (3)
`)
		time.Sleep(5*time.Minute - time.Second)
		if server.CanOpen("LAB", "anna") {
			t.Error("a slot is free too early")
		}
		time.Sleep(time.Second)
		if !server.CanOpen("LAB", "anna") {
			t.Error("no slot is free at the time that was promised")
		}
	})
}

// TestUnknownPlaces checks that a node or virtual proxy that does not exist is an error,
// not an empty list.
func TestUnknownPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		sessionstest.Login(t, server, "anna", "laptop", "", "qlik1")
		server.SetProxyFault("qlik3", qliktest.Refused) // a node that does not answer exists, too
		const virtualProxies = "; there are /, /portal, /qmc, /sales"
		for _, test := range []struct {
			places sessions.PlaceFilter
			want   string
		}{
			{sessions.PlaceFilter{Nodes: []string{"QLIK1", "typo"}}, "--node: no node typo; there are qlik1, qlik2, qlik3"},
			{sessions.PlaceFilter{Nodes: []string{"qlik1:4243"}}, "--node: no node qlik1:4243; there are qlik1, qlik2, qlik3"},
			{sessions.PlaceFilter{VirtualProxies: []string{"sales/", "sale"}}, "--virtual-proxy: no virtual proxy sale" + virtualProxies},
			{sessions.PlaceFilter{VirtualProxies: []string{"a\x1b"}}, "--virtual-proxy: no virtual proxy a‹U+001B›" + virtualProxies},
			{sessions.PlaceFilter{Nodes: []string{"qlik3"}, VirtualProxies: []string{"/"}}, ""},
		} {
			c := commands(site)
			for what, err := range map[string]error{
				"list": c.List(t.Context(), Query{PlaceFilter: test.places}, 0, formatTable),
				"end":  c.End(t.Context(), EndOptions{Query: Query{User: "anna", PlaceFilter: test.places}, Yes: true, DryRun: true}),
			} {
				if test.want == "" && !errors.Is(err, ErrIncomplete) || test.want != "" && (err == nil || err.Error() != test.want) {
					t.Errorf("%s %+v: got %v, want %s", what, test.places, err, test.want)
				}
			}
		}
		if left := len(server.Sessions()); left != 1 {
			t.Errorf("%d sessions are left", left)
		}
	})
}

// TestNextSlotBesideRefusedSessions checks that all outputs show the same next slot: the
// one that cooled first, although the user keeps trying.
func TestNextSlotBesideRefusedSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		for i := range 5 {
			sessionstest.Login(t, server, "anna", fmt.Sprint("device", i), "", "qlik1")
		}
		c := commands(site)
		c.list(t, Query{}, 0, formatTable)
		time.Sleep(time.Minute)
		for _, session := range server.Sessions() {
			server.Logout(session.ID)
		}
		ended := time.Now()
		c.list(t, Query{}, 0, formatTable) // the rows are read again within two minutes
		for i := range 5 {
			time.Sleep(24 * time.Second)
			sessionstest.Login(t, server, "anna", fmt.Sprint("try", i), "", "qlik1")
		}
		if table := c.list(t, Query{}, 0, formatTable); !strings.Contains(table, "5, none holds a slot  5 ") || !strings.Contains(table, minutes(3)) {
			t.Errorf("got\n%s\nwant %s", table, minutes(3))
		}
		next := ended.Add(5 * time.Minute).UTC().Format(time.RFC3339)
		if document := c.list(t, Query{}, 0, formatJSON); !strings.Contains(document, `"next_slot": "`+next+`"`) {
			t.Errorf("got\n%s\nwant %s", document, next)
		}
		if csv := c.list(t, Query{}, 0, formatCSV); !strings.Contains(csv, ","+next+",") {
			t.Errorf("got\n%s\nwant %s", csv, next)
		}
		text, err := c.end(t, "anna", nil)
		if err != nil || !strings.Contains(text, "Nothing to end. Wait until "+minutes(3)+": a slot becomes free by itself") {
			t.Errorf("%v: %s", err, text)
		}
		time.Sleep(3*time.Minute - time.Second)
		if server.CanOpen("LAB", "anna") {
			t.Error("a slot is free too early")
		}
		time.Sleep(time.Second)
		if !server.CanOpen("LAB", "anna") {
			t.Error("no slot is free at the time that was promised")
		}
	})
}

// TestEndWaits checks that no session ends by default while waiting brings a free slot as
// soon, and that the operator can choose otherwise.
func TestEndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		for i := range 5 {
			sessionstest.Login(t, server, "anna", fmt.Sprint("device", i), "", "qlik1")
		}
		for _, session := range server.Sessions()[:2] {
			server.Logout(session.ID)
		}
		c := commands(site)
		text, err := c.end(t, "anna", nil)
		compare(t, text, `LAB\anna: no slot is free, 2 cooling or left over; sessions: 3; license: analyzer

      VIRTUAL PROXY  NODE   LAST ACTIVE  HOLDS A SLOT
keep  /              qlik1  0 s ago      yes
keep  /              qlik1  0 s ago      yes
keep  /              qlik1  0 s ago      yes

Nothing to end. Wait until `+minutes(5)+`: a slot becomes free by itself, unless it is left over. Ending a session now would not free one sooner.
To end sessions anyway, choose them with --all, --keep, --idle-for, --virtual-proxy, or --node.
`)
		if err != nil || len(server.Sessions()) != 3 {
			t.Errorf("%v; %d sessions are left", err, len(server.Sessions()))
		}
		text, err = c.end(t, "anna", func(o *EndOptions) { o.Keep, o.Chosen = 2, true })
		if err != nil || len(server.Sessions()) != 2 {
			t.Errorf("%v: %s", err, text)
		}
		for _, session := range server.Sessions() {
			server.Logout(session.ID)
		}
		time.Sleep(time.Minute)
		for what, change := range map[string]func(*EndOptions){
			"by default": nil, "all": all, "idle": func(o *EndOptions) { o.IdleFor = time.Minute },
		} {
			text, err := c.end(t, "anna", change)
			if err != nil || !strings.Contains(text, "\nNothing to end.") {
				t.Errorf("slots without sessions, %s: %v: %s", what, err, text)
			}
		}
	})
}

// TestListRefused checks that the list tells why users were refused, also of those who
// are gone, and that a refusal for want of a license does not look healthy.
func TestListRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		dir := t.TempDir()
		globs := []string{filepath.Join(dir, "qlik1_*.txt"), filepath.Join(dir, "qlik2_*.txt"), filepath.Join(dir, "qlik3_*.txt"), filepath.Join(dir, "nosuch.txt")}
		var logged bytes.Buffer
		server, site := sessionstest.Start(t, func(config *qliktest.Config, run *site.Config) {
			config.AuditLogDir, config.Now = dir, time.Now
			run.Refused = PastRefusals(t.Context(), globs, log.NewLogfmtLogger(&logged))
		})
		for i := range 6 {
			sessionstest.Login(t, server, "bert", fmt.Sprint("device", i), "", "qlik3")
		}
		sessionstest.Login(t, server, "stranger", "laptop", "", "qlik1")
		gone := sessionstest.Login(t, server, "visitor", "laptop", "", "qlik1")
		if !server.Logout(gone.ID) {
			t.Fatal("no session of visitor")
		}
		time.Sleep(3 * time.Minute)
		c := commands(site)
		at := began.Format("15:04:05 MST") + " (3 min ago)"
		compare(t, c.list(t, Query{}, 0, formatTable), strings.ReplaceAll(fmt.Sprintf(
			`FREE        USER          SESSIONS              COOLING OR LEFT OVER  LICENSE   IDLE   NEXT SLOT BY              WHERE        REFUSED
0           LAB\bert      6, 5 hold a slot      -                     analyzer  3 min  %s  / qlik3 (6)  too many sessions, AT
no license  LAB\stranger  1, none holds a slot  -                     none      -      -                         / qlik1      no license, AT
no license  LAB\visitor   0                     -                     none      -      -                         -            no license, AT
`, minutes(32)), "AT", at))
		text := c.list(t, Query{User: "visitor"}, 0, formatJSON)
		when := began.UTC().Format(time.RFC3339)
		for _, want := range []string{`"at": "` + when + `"`, `"reason": "no_license"`, `"unlicensed": "no_license"`} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
		if text := c.list(t, Query{User: "visitor"}, 0, formatCSV); !strings.HasSuffix(text, "\nLAB,visitor,5,5,0,0,0,none,,,,"+when+",no_license,no_license\n") {
			t.Error(text)
		}
		text, err := c.end(t, "stranger", nil)
		if err != nil || !strings.Contains(text, "Nothing to end. Qlik refused the user because of a missing license. Ending sessions does not help.") {
			t.Errorf("%v: %s", err, text)
		}

		time.Sleep(headroom.RecentRefusal)
		text = c.list(t, Query{}, 0, formatTable)
		if strings.Contains(text, "visitor") || strings.Contains(text, "too many") || !strings.Contains(text, `no license  LAB\stranger`) {
			t.Errorf("a quarter of an hour later:\n%s", text)
		}

		if !strings.Contains(logged.String(), "nosuch.txt") {
			t.Errorf("the log that is missing is not named: %s", &logged)
		}
	})
}

// TestListWithoutRows checks that unknown values are not shown as known ones.
func TestListWithoutRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, withoutRows)
		sessionstest.Login(t, server, "anna", "laptop", "", "qlik1")
		c := commands(site)
		compare(t, c.list(t, Query{}, 0, formatTable), `FREE  USER      SESSIONS  COOLING OR LEFT OVER  LICENSE  IDLE  NEXT SLOT BY  WHERE
4     LAB\anna  1         ?                     -        -     -             / qlik1

Without usage rows, FREE is calculated from sessions alone. It misses cooling and leftover slots.
`)
		compare(t, c.list(t, Query{}, 0, formatCSV),
			"user_directory,user_id,effective_headroom,headroom,sessions,sessions_with_slot,slots_without_session,license,last_activity,next_slot,places,last_refused,last_refused_reason,unlicensed\n"+
				"LAB,anna,4,4,1,,,,,,/ qlik1,,,\n")

		for i := range 7 {
			sessionstest.Login(t, server, "bert", fmt.Sprint("device", i), "", "qlik1")
		}
		if table := c.list(t, Query{User: "bert"}, 0, formatTable); !strings.Contains(table, "\n0     LAB\\bert  7 ") {
			t.Errorf("no slot is free, as on the page:\n%s", table)
		}
	})
}

func TestListForPrograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		began := time.Now().UTC().Format(time.RFC3339)
		for i := range 6 {
			sessionstest.Login(t, server, "anna", fmt.Sprint("device", i), "", "qlik1")
		}
		sessionstest.Login(t, server, "robot", "script", "qmc", "qlik2")
		c := commands(site)
		next := time.Now().Add(35 * time.Minute).UTC().Format(time.RFC3339)
		compare(t, c.list(t, Query{}, 0, formatCSV),
			"user_directory,user_id,effective_headroom,headroom,sessions,sessions_with_slot,slots_without_session,license,last_activity,next_slot,places,last_refused,last_refused_reason,unlicensed\n"+
				"LAB,anna,0,-1,6,5,0,analyzer,"+began+","+next+",/ qlik1 (6),,,\n"+
				"LAB,robot,,,1,1,0,analyzer,"+began+",,/qmc qlik2,,,\n")

		server.SetProxyFault("qlik3", qliktest.Refused)
		compare(t, c.list(t, Query{User: "robot"}, 0, formatJSON), `{
  "time": "`+time.Now().UTC().Format(time.RFC3339)+`",
  "tracking_since": "`+began+`",
  "complete": false,
  "virtual_proxies": [
    "/",
    "/portal",
    "/qmc",
    "/sales"
  ],
  "nodes": [
    "qlik1",
    "qlik2",
    "qlik3"
  ],
  "links": 12,
  "links_answered": 8,
  "missing": [
    {
      "virtual_proxy": "/",
      "node": "qlik3",
      "kind": "refused",
      "cause": "qlik3:4243 refuses the connection",
      "remedy": "start the Qlik Sense Proxy Service on the node, or open port 4243 in the node's firewall"
    },
    {
      "virtual_proxy": "/portal",
      "node": "qlik3",
      "kind": "refused",
      "cause": "qlik3:4243 refuses the connection",
      "remedy": "start the Qlik Sense Proxy Service on the node, or open port 4243 in the node's firewall"
    },
    {
      "virtual_proxy": "/qmc",
      "node": "qlik3",
      "kind": "refused",
      "cause": "qlik3:4243 refuses the connection",
      "remedy": "start the Qlik Sense Proxy Service on the node, or open port 4243 in the node's firewall"
    },
    {
      "virtual_proxy": "/sales",
      "node": "qlik3",
      "kind": "refused",
      "cause": "qlik3:4243 refuses the connection",
      "remedy": "start the Qlik Sense Proxy Service on the node, or open port 4243 in the node's firewall"
    }
  ],
  "limit": 5,
  "usage_known": true,
  "users": [
    {
      "user_directory": "LAB",
      "user_id": "robot",
      "sessions": 1,
      "sessions_with_slot": 1,
      "slots_of_sessions": 1,
      "cooling_slots": 0,
      "usage_rows": 1,
      "license": "analyzer",
      "first_seen": "`+began+`",
      "last_activity": "`+began+`",
      "places": [
        {
          "virtual_proxy": "/qmc",
          "node": "qlik2",
          "sessions": 1
        }
      ]
    }
  ]
}
`)
	})
}

// TestIncomplete checks that the first line reports missing links, except in CSV, where
// the error output reports them.
func TestIncomplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		sessionstest.Login(t, server, "anna", "laptop", "", "qlik1")
		hidden := sessionstest.Login(t, server, "anna", "phone", "", "qlik3")
		server.SetProxyFault("qlik3", qliktest.ServerError)
		const first = "Incomplete: 8 of 12 links (virtual proxies on nodes) responded. There may be more sessions and fewer free slots.\n" +
			"  qlik3 / /portal /qmc /sales: the response is 500 Internal Server Error, so the service or something in front of it has a problem\n" +
			"    To do: check the log of the Qlik Sense Proxy Service on the node, and run qlik_exporter check in a few minutes; a restart would end every session on the node and is not known to help\n\n"
		c := commands(site)
		err := c.List(t.Context(), Query{}, 0, formatTable)
		// The slot of a session that is not listed must not look like a cooling slot.
		if !errors.Is(err, ErrIncomplete) || !strings.HasPrefix(c.out.String(), first+"FREE") ||
			!regexp.MustCompile(`\n3 +LAB\\anna +1 +\? +analyzer`).Match(c.out.Bytes()) {
			t.Errorf("%v: %s", err, &c.out)
		}
		c = commands(site)
		err = c.List(t.Context(), Query{}, 0, formatCSV)
		if !errors.Is(err, ErrIncomplete) || !strings.HasPrefix(c.out.String(), "user_directory,") || c.err.String() != first {
			t.Errorf("%v: %s", err, &c.err)
		}
		text, err := c.end(t, "anna", all)
		if !errors.Is(err, ErrIncomplete) || !strings.HasPrefix(text, first) || len(server.Sessions()) != 1 || server.Sessions()[0].ID != hidden.ID {
			t.Errorf("%v: %s", err, text)
		}

		for _, node := range []string{"qlik1", "qlik2"} {
			server.SetProxyFault(node, qliktest.Refused)
		}
		err = c.List(t.Context(), Query{}, 0, formatTable)
		if err == nil || errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "no virtual proxy responded (qlik1: qlik1:4243 refuses the connection; ") {
			t.Errorf("all down: %v", err)
		}
	})
}

// TestEndKeepsTheMostRecent checks that by default, the user's most recently active
// session keeps working.
func TestEndKeepsTheMostRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		for i, prefix := range []string{"", "sales", "qmc", "sales", "", "sales", ""} {
			sessionstest.Login(t, server, "anna", fmt.Sprint("device", i), prefix, fmt.Sprint("qlik", 1+i%3))
			time.Sleep(time.Minute)
		}
		bert := sessionstest.Login(t, server, "bert", "laptop", "", "qlik1")
		last := server.Sessions()[2] // of /, on qlik2
		server.Touch(last.ID)
		time.Sleep(10 * time.Second)

		c := commands(site)
		got, err := c.end(t, "anna", nil)
		if err != nil {
			t.Error(err)
		}
		compare(t, got, fmt.Sprintf(`LAB\anna: no slot is free; sessions: 7, 5 hold a slot; license: analyzer

      VIRTUAL PROXY  NODE   LAST ACTIVE  HOLDS A SLOT
keep  /              qlik2  10 s ago     yes
keep  /sales         qlik1  4 min ago    yes
end   /qmc           qlik3  5 min ago    yes
end   /sales         qlik2  6 min ago    yes
end   /              qlik1  7 min ago    yes
end   /              qlik1  unknown      no
end   /sales         qlik3  unknown      no

Ended 5 sessions of LAB\anna.
The session on / at qlik2 keeps working.
The session on /sales at qlik1 keeps working.
The user can start a new session from %s on. Until then, slots that were freed at the limit stay taken.
`, minutes(5)))
		left := server.Sessions()
		if len(left) != 3 || left[0].ID != last.ID || left[1].VirtualProxy != "sales" || left[2].ID != bert.ID {
			t.Errorf("left: %+v", left)
		}
		if server.CanOpen("LAB", "anna") {
			t.Error("a new session works already")
		}
		time.Sleep(5 * time.Minute)
		if !server.CanOpen("LAB", "anna") {
			t.Error("a new session does not work at the promised time")
		}

		got, err = c.end(t, "anna", nil) // the other one is idle now
		if err != nil || !strings.HasSuffix(got, "The user can start a new session now: 4 slots are free.\n") {
			t.Errorf("%v: %s", err, got)
		}
		// Repeating the command is harmless.
		got, err = c.end(t, "anna", nil)
		if err != nil || !strings.HasSuffix(got, "Nothing to end.\n") || len(server.Sessions()) != 2 {
			t.Errorf("%v: %s", err, got)
		}
		if got, err = c.end(t, `LAB\anna`, all); err != nil || !strings.HasSuffix(got, "Ended 1 session of LAB\\anna.\nThe user can start a new session now: 5 slots are free.\n") {
			t.Errorf("%v: %s", err, got)
		}
		if got, err = c.end(t, `LAB\anna`, all); err != nil || got != "LAB\\anna has no sessions. Nothing to end.\n" {
			t.Errorf("%v: %s", err, got)
		}
	})
}

func TestEndChoices(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*EndOptions)
		want   string // devices of the kept sessions; 0 is the oldest
	}{
		{"default", nil, "4"},
		{"all", all, ""},
		{"keep", func(o *EndOptions) { o.Keep, o.Chosen = 2, true }, "3 4"},
		{"keep more than there are", func(o *EndOptions) { o.Keep, o.Chosen = 9, true }, "0 1 2 3 4"},
		{"idle", func(o *EndOptions) { o.IdleFor = 16 * time.Minute }, "2 3 4"},
		{"idle for less than the last one", func(o *EndOptions) { o.IdleFor = time.Minute }, "4"},
		{"idle, all", func(o *EndOptions) { o.IdleFor, o.Keep = time.Minute, 0 }, ""},
		{"virtual proxy", func(o *EndOptions) { o.VirtualProxies = []string{"sales"} }, "0 2 4"},
		{"virtual proxy of the last one", func(o *EndOptions) { o.VirtualProxies = []string{"/"} }, "1 3 4"},
		{"virtual proxy, all", func(o *EndOptions) { o.VirtualProxies, o.Keep = []string{"/"}, 0 }, "1 3"},
		{"node", func(o *EndOptions) { o.Nodes = []string{"qlik2"} }, "0 2 3 4"},
		{"dry run", func(o *EndOptions) { o.Keep, o.Chosen, o.DryRun = 0, true, true }, "0 1 2 3 4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, site := sessionstest.Start(t, nil)
				for i, prefix := range []string{"", "sales", "", "sales", ""} {
					sessionstest.Login(t, server, "anna", fmt.Sprint(i), prefix, fmt.Sprint("qlik", 1+i%3))
					time.Sleep(5 * time.Minute)
				}
				if text, err := commands(site).end(t, "anna", test.change); err != nil {
					t.Errorf("%v: %s", err, text)
				}
				var left []string
				for _, session := range server.Sessions() {
					left = append(left, session.Device)
				}
				slices.Sort(left)
				if got := strings.Join(left, " "); got != test.want {
					t.Errorf("left: %q, want %q", got, test.want)
				}
			})
		})
	}
}

// TestEndUnknownActivity checks that the operator must choose the sessions if there
// are no usage rows, because it is unknown which session is in use.
func TestEndUnknownActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, withoutRows)
		for i, prefix := range []string{"", "sales", "sales", "", "qmc"} {
			sessionstest.Login(t, server, "anna", fmt.Sprint(i), prefix, "qlik1")
		}
		c := commands(site)
		for what, change := range map[string]func(*EndOptions){
			"with --virtual-proxy or --node": nil,
			"use --all to end all sessions":  func(o *EndOptions) { o.Keep = 2; o.VirtualProxies = []string{"/", "/sales"} },
			"cannot apply --idle-for":        func(o *EndOptions) { o.IdleFor = time.Minute },
		} {
			text, err := c.end(t, "anna", change)
			if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(text, "\nkeep  /qmc           qlik1  unknown ") {
				t.Errorf("%s: %v\n%s", what, err, text)
			}
		}
		if left := len(server.Sessions()); left != 5 {
			t.Errorf("%d left", left)
		}
		text, err := c.end(t, "anna", func(o *EndOptions) { o.VirtualProxies = []string{"/sales"} })
		if err != nil || len(server.Sessions()) != 3 {
			t.Errorf("%v, %d left: %s", err, len(server.Sessions()), text)
		}
		text, err = c.end(t, "anna", func(o *EndOptions) { o.Keep = 0; o.VirtualProxies = []string{"/"} })
		if err != nil || !strings.HasSuffix(text, `Ended 2 sessions of LAB\anna.
The session on /qmc at qlik1 keeps working, unless it was refused before.
The user can start a new session from `+minutes(5)+` on. Until then, slots that were freed at the limit stay taken.
Without usage rows, this is calculated from sessions alone. It misses slots that were freed earlier or are left over.
`) {
			t.Errorf("%v: %s", err, text)
		}
	})
}

// TestEndRefuses checks that unintended actions are rejected or need more than a name.
func TestEndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		for _, id := range []string{"anna", "bert", "robot", "reload", "anonymous1f"} {
			sessionstest.Login(t, server, id, "laptop", "portal", "qlik1")
		}
		if _, err := server.Login("INTERNAL", "sa_scheduler", "task", "", "qlik1"); err != nil {
			t.Fatal(err)
		}
		for i := range 11 {
			sessionstest.Login(t, server, "carla", fmt.Sprint(i), "", "qlik1")
		}
		before := len(server.Sessions())
		for _, test := range []struct {
			user   string
			change func(*EndOptions)
			want   string
		}{
			{`LAB\robot`, all, `LAB\robot is an unlimited user`},
			{`LAB\reload`, all, `LAB\reload is a service account`},
			{"sa_scheduler", all, `INTERNAL\sa_scheduler is a service account`},
			{"anonymous", all, `NONE\anonymous stands for all anonymous users`},
			{"carla", all, `11 sessions of LAB\carla are more than one person normally has; add --force to end them anyway`},
			{"berg", all, "\"berg\" matches 5 users; specify one of them in full:\n  LAB\\carla (11 sessions)\n"},
			{"nobody", all, `no user with sessions matches "nobody"`},
			{`LAB\anna,LAB\bert`, all, `--user: LAB\anna,LAB\bert is not a user as DIRECTORY\id: write a single user`},
			{`LAB\\anna`, all, `--user: LAB\\anna is not a user as DIRECTORY\id: write a single backslash`},
			{`LAB/anna,LAB/bert`, all, `no user with sessions matches "LAB/anna,LAB/bert"`},
			{"LABanna", all, `"LABanna" is only part of a name; with --yes, specify the user in full: LAB\anna`},
			{"ann", all, `"ann" is only part of a name; with --yes, specify the user in full: LAB\anna`},
			{"anna", func(o *EndOptions) { o.Keep, o.Chosen, o.Yes = 0, true, false }, "no session was ended: cannot ask for confirmation without a terminal; add --yes to skip it"},
			{"anna", func(o *EndOptions) { o.Keep, o.Chosen, o.AuditLog = 0, true, "/nowhere/audit.log" }, "--audit-log-file: no session was ended: open /nowhere/audit.log"},
		} {
			c := commands(site)
			text, err := c.end(t, test.user, test.change)
			if err == nil || errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q\n%s", test.user, err, test.want, text)
			}
			if c.log.Len() > 0 {
				t.Errorf("%s: %s", test.user, &c.log)
			}
		}
		if left := len(server.Sessions()); left != before {
			t.Errorf("%d of %d left", left, before)
		}
		if text, err := commands(site).end(t, "carla", func(o *EndOptions) { o.Keep, o.Chosen, o.Force = 0, true, true }); err != nil || len(server.Sessions()) != before-11 {
			t.Errorf("%v: %s", err, text)
		}
	})
}

// readerFunc simulates an operator at the terminal.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestEndAsks checks that on a terminal, no session is ended without confirmation, and
// that a session started before the answer is not ended.
func TestEndAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		first := sessionstest.Login(t, server, "anna", "laptop", "", "qlik1")
		time.Sleep(time.Second)
		second := sessionstest.Login(t, server, "anna", "phone", "", "qlik2")
		c := commands(site)
		c.Terminal = true
		ask := func(o *EndOptions) { o.Yes = false }

		for _, answer := range []string{"", "\n", "n\n", "yesterday\n"} {
			c.In = strings.NewReader(answer)
			text, err := c.end(t, "ann", ask)
			if err != nil || !strings.HasSuffix(text, "\n\nEnd 1 session of LAB\\anna? [y/N] No session was ended.\n") || len(server.Sessions()) != 2 {
				t.Errorf("%q: %v: %s", answer, err, text)
			}
		}
		var third qliktest.Session
		c.In = readerFunc(func(p []byte) (int, error) {
			server.Logout(first.ID)
			third = sessionstest.Login(t, server, "anna", "tablet", "sales", "qlik3")
			return copy(p, "Y\n"), io.EOF
		})
		text, err := c.end(t, "ann", ask)
		if err != nil || !strings.HasSuffix(text, `Ended 0 sessions of LAB\anna; 1 had already ended.
The session on / at qlik2 keeps working.
Not ended: 1 session that started in the meantime.
The user can start a new session now: 3 slots are free.
`) {
			t.Errorf("%v: %s", err, text)
		}
		if left := server.Sessions(); len(left) != 2 || left[0].ID != second.ID || left[1].ID != third.ID {
			t.Errorf("left: %+v", left)
		}
	})
}

// TestEndWithOneProxyDown checks that other sessions are ended, and that the failures
// are reported.
func TestEndWithOneProxyDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		for i := range 5 {
			sessionstest.Login(t, server, "anna", fmt.Sprint(i), "", fmt.Sprint("qlik", 1+i%3))
		}
		c := commands(site)
		c.Terminal = true
		c.In = readerFunc(func(p []byte) (int, error) {
			server.SetProxyFault("qlik2", qliktest.ServerError)
			return copy(p, "y\n"), nil
		})
		text, err := c.end(t, "anna", func(o *EndOptions) { o.Keep, o.Chosen, o.Yes = 0, true, false })
		if !errors.Is(err, ErrIncomplete) || !strings.Contains(text, "Ended 3 sessions of LAB\\anna.\n"+
			"Not ended: / at qlik2: a node does not answer.\nNot ended: / at qlik2: ") {
			t.Errorf("%v: %s", err, text)
		}
		if left := server.Sessions(); len(left) != 2 || left[0].Node != "qlik2" {
			t.Errorf("left: %+v", left)
		}
		for _, session := range server.Sessions() {
			if strings.Contains(text+c.log.String(), session.ID) {
				t.Error("the output contains a session id")
			}
		}
		for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
			server.SetProxyFault(node, qliktest.NoFault)
		}
		c.In = readerFunc(func(p []byte) (int, error) {
			for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
				server.SetProxyFault(node, qliktest.Refused)
			}
			return copy(p, "y\n"), nil
		})
		text, err = c.end(t, "anna", func(o *EndOptions) { o.Keep, o.Chosen, o.Yes = 0, true, false })
		if err == nil || err.Error() != "no session was ended: the sessions are unknown, because no virtual proxy answers" {
			t.Errorf("%v: %s", err, text)
		}
	})
}

// TestEndStillListed checks that a session counts as failed if the proxy confirms its
// end but still lists it.
func TestEndStillListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		session := sessionstest.Login(t, server, "anna", "laptop", "", "qlik1")
		server.SetAnswer("qlik1", "", fmt.Appendf(nil, `[{"UserDirectory":"LAB","UserId":"anna","SessionId":%q}]`, session.ID))
		text, err := commands(site).end(t, "anna", all)
		if !errors.Is(err, ErrIncomplete) || !strings.Contains(text, "Ended 0 sessions of LAB\\anna.\nFailed: / at qlik1: the session is still listed\n") {
			t.Errorf("%v: %s", err, text)
		}
	})
}

// TestAuditLog checks that each run that ended sessions adds a line with the operator,
// the user, and the number of sessions, but without session ids.
func TestAuditLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		var ids []string
		c := commands(site)
		t.Setenv("SUDO_USER", "kim")
		for range 2 {
			for i := range 3 {
				ids = append(ids, sessionstest.Login(t, server, "anna", fmt.Sprint("device", i), "", "qlik1").ID)
			}
			if _, err := c.end(t, "anna", func(o *EndOptions) { o.Keep, o.Chosen, o.AuditLog = 0, true, path }); err != nil {
				t.Error(err)
			}
		}
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		const line = `msg="Ended sessions" by="kim as [^"]+@[^"]+" user=LAB\\anna ended=3 already_gone=0 left_alone=0 failed=0\n`
		if !regexp.MustCompile(`^(ts=\S+Z ` + line + `){2}$`).Match(written) {
			t.Errorf("file:\n%s", written)
		}
		if !regexp.MustCompile(`^(level=info ` + line + `){2}$`).Match(c.log.Bytes()) {
			t.Errorf("log:\n%s", &c.log)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%v, %v", info, err)
		}
		for _, id := range ids {
			if bytes.Contains(written, []byte(id)) || strings.Contains(c.log.String(), id) {
				t.Error("the output contains a session id")
			}
		}
	})
}

// TestHarmless checks that user names cannot have an effect on programs that read the
// output.
func TestHarmless(t *testing.T) {
	const directory = "LAB"
	names := []string{
		"<script>alert(1)</script>", `=cmd|' /c calc'!a1`, "+1", "-1", "@sum(a1)", "\t=1", "\r=1",
		"\x1b[2j\x1b]0;title\a", "abc\u202etxt.exe", "c1\u009b2j", "line\nfeed", "a,b\"c", "tag\U000e0041",
	}
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		for _, name := range names {
			if _, err := server.Login(directory, name, "laptop", "", "qlik1"); err != nil {
				t.Fatal(err)
			}
		}
		c := commands(site)
		table := c.list(t, Query{}, 0, formatTable)
		csv := c.list(t, Query{}, 0, formatCSV)
		answer := c.list(t, Query{}, 0, formatJSON)
		var prompts string
		for _, name := range names {
			text, err := c.end(t, directory+`\`+name, func(o *EndOptions) { o.Keep, o.Chosen, o.DryRun = 0, true, true })
			if err != nil {
				t.Errorf("%q: %v", name, err)
			}
			prompts += text
		}
		text, err := c.end(t, directory+`\`+names[7], all)
		if err != nil || !strings.Contains(c.log.String(), "‹U+001B›") {
			t.Errorf("%v: %s", err, &c.log)
		}
		_, ambiguous := c.end(t, "a", nil)

		for what, text := range map[string]string{
			"table": table, "csv": csv, "json": answer, "prompts": prompts, "report": text, "log": c.log.String(), "error": ambiguous.Error(),
		} {
			for _, unsafe := range []string{"\x1b", "\a", "\r", "\u202e", "\u009b", "\U000e0041"} {
				if strings.Contains(text, unsafe) {
					t.Errorf("%s contains %q", what, unsafe)
				}
			}
		}
		if lines := strings.Count(table, "\n"); lines != 1+len(names) {
			t.Errorf("the table has %d lines:\n%s", lines, table)
		}
		for _, want := range []string{
			",<script>alert(1)</script>,", ",'=cmd|' /c calc'!a1,", ",'+1,", ",'-1,", ",'@sum(a1),", ",'‹U+0009›=1,", ",'‹U+000D›=1,",
			",‹U+001B›[2j‹U+001B›]0;title‹U+0007›,", `,"a,b""c",`,
		} {
			if !strings.Contains(csv, "\nLAB"+want) {
				t.Errorf("csv has no %s:\n%s", want, csv)
			}
		}
		var parsed struct {
			Users []struct {
				ID string `json:"user_id"`
			} `json:"users"`
		}
		if err := json.Unmarshal([]byte(answer), &parsed); err != nil {
			t.Fatal(err)
		}
		for _, user := range parsed.Users {
			if !slices.Contains(names, user.ID) {
				t.Errorf("json changes a name to %q", user.ID)
			}
		}
		if len(parsed.Users) != len(names) {
			t.Errorf("%d users in json", len(parsed.Users))
		}
	})
}

// TestWaiting checks what a person reads while a node hangs, and that the list comes without
// the node at the timeout.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		sessionstest.Login(t, server, "anna", "laptop", "", "qlik1")
		server.SetProxyFault("qlik2", qliktest.Hanging)
		c := commands(site)
		begun := time.Now()
		if got := waitingForLinks(site, begun.Add(-2*time.Second)); got != "Waiting for the repository (2 s)" {
			t.Errorf("before the links are asked: %s", got)
		}
		said := make(chan string, 1)
		time.AfterFunc(8*time.Second, func() { said <- waitingForLinks(site, begun) })
		list := c.list(t, Query{}, 0, formatTable)
		compare(t, <-said, "8 of 12 links answered; waiting for qlik2 (8 s)")
		if took := time.Since(begun); took.Round(time.Second) != 10*time.Second {
			t.Errorf("the list came after %s", took)
		}
		if !strings.HasPrefix(list, "Incomplete: 8 of 12 links ") || !strings.Contains(list, `LAB\anna`) {
			t.Errorf("got\n%s", list)
		}
	})
}
