package desk_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/desk"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// The dimensions of the matrix of executions.
var (
	surfaces = []string{"api", "page"}
	actions  = []string{"free by helpdesk", "free by admin", "keep one", "end all"}
	origins  = []string{"none", "own", "foreign", "same site"}
	plans    = []string{"valid", "expired", "used", "of another operator", "of another user", "tampered", "before a restart"}
	states   = []string{"complete", "incomplete", "became active", "session gone", "stop file", "limit reached"}
	senders  = []string{"the operator", "nobody", "a viewer", "without a role"}
)

// cell is an execution of a plan.
type cell struct{ surface, action, origin, plan, state, sender string }

// cells returns all cells. Those that somebody else sends are fewer, because they are refused
// before anything else is looked at.
func cells() []cell {
	var all []cell
	for _, surface := range surfaces {
		for _, action := range actions {
			for _, origin := range origins {
				for _, plan := range plans {
					for _, state := range states {
						all = append(all, cell{surface, action, origin, plan, state, senders[0]})
					}
				}
				if action != actions[0] {
					continue
				}
				for _, state := range states {
					for _, sender := range senders[1:] {
						all = append(all, cell{surface, action, origin, "valid", state, sender})
					}
				}
			}
		}
	}
	return all
}

// operator returns who makes the plan.
func (c *cell) operator() string {
	if c.action == "free by helpdesk" {
		return "kim"
	}
	return "ada"
}

// refusal returns the status and the reason of the refusal, or 200.
func (c *cell) refusal() (status int, reason string) {
	switch c.sender {
	case "nobody":
		return http.StatusUnauthorized, ""
	case "without a role":
		return http.StatusForbidden, "no_role"
	}
	switch {
	case c.origin == "foreign" || c.origin == "same site":
		return http.StatusForbidden, "foreign_origin"
	case c.sender == "a viewer":
		return http.StatusForbidden, "role"
	case c.state == "stop file":
		return http.StatusConflict, "stop_file"
	}
	switch c.plan {
	case "expired":
		return http.StatusForbidden, "plan_expired"
	case "used":
		return http.StatusForbidden, "plan_used"
	case "of another operator":
		return http.StatusForbidden, "plan_of_another"
	case "of another user", "tampered", "before a restart":
		return http.StatusForbidden, "plan_invalid"
	}
	if c.state == "limit reached" {
		return http.StatusConflict, "limit"
	}
	return http.StatusOK, ""
}

// fates returns what becomes of the sessions that the plan ends, as in the response.
func (c *cell) fates(u *user) map[string][]string {
	fates := map[string][]string{"ended": {u.idle, u.refused}}
	if c.action == "end all" {
		fates["ended"] = u.sessions()
	}
	move := func(to string, ids ...string) {
		for _, id := range ids {
			if i := slices.Index(fates["ended"], id); i >= 0 {
				fates["ended"] = slices.Delete(slices.Clone(fates["ended"]), i, i+1)
				fates[to] = append(fates[to], id)
			}
		}
	}
	switch c.state {
	case "incomplete": // a node without sessions of the user
		move("left_alone", u.idle, u.used)
	case "became active":
		if c.action != "end all" {
			move("left_alone", u.idle)
		}
	case "session gone":
		move("already_gone", u.idle)
	}
	return fates
}

// TestMatrix executes plans in every combination of surface, action, origin, plan, and state
// of the site. It checks that exactly the allowed ones end exactly the planned sessions, and
// that the response, the journal, and the metrics agree with what the site saw.
func TestMatrix(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	const atOnce = 8
	ended := 0
	all := cells()
	if testing.Short() { // with the race detector, all of them take most of a minute
		n := 0
		all = slices.DeleteFunc(all, func(cell) bool { n++; return n%7 != 0 })
	}
	for i, batch := range slices.Collect(slices.Chunk(all, atOnce)) {
		if i%10 == 9 { // a measurement counts for a day
			b.work()
		}
		users := b.open(atOnce + 1) // the last one is the other user
		for i := range batch {
			c := &batch[i]
			ended += b.try(c, users[i], users[atOnce])
			if t.Failed() {
				t.Fatalf("%+v", *c)
			}
		}
		b.closeUsers(users)
	}
	if report := b.verify(); len(report.Open) > 0 || report.Unknown > 0 {
		t.Errorf("%d open intents, %d unknown results", len(report.Open), report.Unknown)
	}
	deletes := b.server.Requests().Deletes
	counters := b.counters()
	for name, value := range b.gathered() {
		if counters[name] != value {
			t.Errorf("/metrics has %s %v, want %v", name, counters[name], value)
		}
	}
	if total := counters["ended_sessions_total helpdesk"] + counters["ended_sessions_total admin"]; int(total) != ended || deletes != ended {
		t.Errorf("%v are counted, the site saw %d, %d ended", total, deletes, ended)
	}
	t.Logf("%d cells, %d sessions ended", len(all), ended)
}

// prepare makes the plan of a cell. If the plan is to be used, it carries it out.
func (b *bench) prepare(c *cell, u, other *user) (plan string, ended int) {
	b.Helper()
	operator := c.operator()
	if c.plan == "of another operator" {
		operator = map[string]string{"kim": "ada", "ada": "kim"}[operator]
		if c.action != actions[0] && c.action != actions[1] {
			operator = "lee" // may not choose, so the plan is a careful one
		}
	}
	q := &request{method: http.MethodPost, url: b.deskURL, user: operator, password: password}
	if c.plan == "before a restart" {
		q.url = b.earlier.URL
	}
	chooses := operator == "ada"
	form := url.Values{"user": {u.String()}}
	fields := fmt.Sprintf(`{"user":%q`, u.String())
	switch {
	case chooses && c.action == "keep one":
		form.Set("keep", "1")
		fields += `,"keep":1`
	case chooses && c.action == "end all":
		form.Set("keep", "all")
		fields += `,"all":true`
	}
	if c.surface == "api" {
		q.url, q.body = q.url+"/api/plan", fields+"}"
	} else {
		q.url, q.body = q.url+"/sessions/plan", form.Encode()
	}
	status, _, text := b.send(b.client, q)
	if plan = planIn(text); status != http.StatusOK || plan == "" {
		b.Fatalf("no plan: %d %s", status, text)
	}
	switch c.plan {
	case "expired":
		b.clock.Advance(time.Minute)
	case "used":
		before := len(b.listed())
		if status, text := b.carryOut(operator, plan); status != http.StatusOK {
			b.Fatalf("the first execution fails: %d %s", status, text)
		}
		ended = before - len(b.listed())
	case "of another user":
		plan = forge(b, plan, func(p map[string]any) { p["user"] = other.String() })
	case "tampered":
		plan = plan[:len(plan)-2] + map[bool]string{true: "AA", false: "BA"}[!strings.HasSuffix(plan, "AA")]
	}
	return plan, ended
}

// happen brings the site into the state of a cell.
func (b *bench) happen(c *cell, u *user) (undo func()) {
	b.Helper()
	undo = func() {}
	switch c.state {
	case "incomplete":
		b.server.SetProxyFault("qlik3", qliktest.ServerError)
		undo = func() { b.server.SetProxyFault("qlik3", qliktest.NoFault) }
	case "became active":
		b.server.Touch(u.idle)
		b.clock.Advance(time.Second)
		b.server.Touch(u.used)
	case "session gone":
		b.server.Logout(u.idle)
	case "stop file":
		b.file("stop", "")
		undo = func() {
			if err := os.Remove(b.stopFile); err != nil {
				b.Error(err)
			}
		}
	case "limit reached":
		id, err := b.journal.Begin(journal.Intent{By: desk.By, Operator: "user:lee", User: qlik.NewUser("LAB", u.name).String(), Sessions: 3}, nil)
		if err == nil {
			err = b.journal.Finish(id, journal.Result{Ended: 2, Failed: 1})
		}
		if err != nil {
			b.Error(err)
		}
	}
	return undo
}

// try executes a cell and returns how many sessions ended.
func (b *bench) try(c *cell, u, other *user) (ended int) {
	b.Helper()
	plan, used := b.prepare(c, u, other)
	undo := b.happen(c, u)
	defer undo()
	sessions, counters, deletes := b.listed(), b.gathered(), b.server.Requests().Deletes
	journalEnd := b.journalSize()

	q := &request{method: http.MethodPost, user: c.operator(), password: password, header: b.origin(c.origin)}
	switch c.sender {
	case "nobody":
		q.user = ""
	case "a viewer":
		q.user = "vera"
	case "without a role":
		q.user = "noa"
	}
	if c.surface == "api" {
		q.url, q.body = b.deskURL+"/api/free", fmt.Sprintf(`{"plan":%q}`, plan)
	} else { // the user of the form only leads back to a page
		q.url, q.body = b.deskURL+"/sessions/free", url.Values{"plan": {plan}, "user": {other.String()}, "ticket": {"T-1"}}.Encode()
	}
	status, header, text := b.send(b.client, q)

	want, reason := c.refusal()
	if status != want {
		b.Errorf("status %d, want %d: %s", status, want, text)
	}
	if want != http.StatusUnauthorized && header.Get("Cache-Control") != "no-store" {
		b.Error("the response may be stored")
	}
	fates := map[string][]string{}
	if want == http.StatusOK {
		fates = c.fates(u)
	}
	for id := range b.listed() {
		delete(sessions, id)
	}
	lost := slices.Sorted(maps.Keys(sessions))
	if slices.Sort(fates["ended"]); !slices.Equal(lost, fates["ended"]) {
		b.Errorf("the site lost %v, want %v of %+v", lost, fates["ended"], *u)
	}
	if sent := b.server.Requests().Deletes - deletes; sent != len(fates["ended"]) {
		b.Errorf("the site saw %d requests to end sessions", sent)
	}
	if c.surface == "api" {
		b.checkAnswer(text, want, fates)
	}
	b.checkJournal(c, u, journalEnd, fates)
	entries := 0
	if len(fates["ended"]) > 0 {
		entries = 2
	}
	role := map[string]string{"kim": "helpdesk", "ada": "admin"}[c.operator()]
	now := b.gathered()
	for name, value := range now {
		grown, expected := int(value-counters[name]), 0
		switch name {
		case "journal_entries":
			expected = entries
		case "ended_sessions_total " + role:
			expected = len(lost)
		case "refused_total " + reason:
			expected = 1
		}
		if grown != expected {
			b.Errorf("%s grew by %d, want %d", name, grown, expected)
		}
	}
	return used + len(lost)
}

// origin returns the headers that a browser sends.
func (b *bench) origin(name string) http.Header {
	switch name {
	case "own":
		return http.Header{"Origin": {b.deskURL}, "Sec-Fetch-Site": {"same-origin"}}
	case "foreign":
		return http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
	case "same site":
		return http.Header{"Origin": {"https://wiki.desk.example"}, "Sec-Fetch-Site": {"same-site"}}
	}
	return nil
}

// checkAnswer checks the response of the interface for programs.
func (b *bench) checkAnswer(text string, status int, fates map[string][]string) {
	b.Helper()
	if status == http.StatusUnauthorized {
		return
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		b.Fatalf("%v in %s", err, text)
	}
	if said, _ := answer["error"].(string); status != http.StatusOK {
		checkSentence(b.T, said)
		return
	}
	for _, fate := range []string{"ended", "already_gone", "left_alone", "failed"} {
		if list, ok := answer[fate].([]any); !ok || len(list) != len(fates[fate]) {
			b.Errorf("%s: got %v, want %d", fate, answer[fate], len(fates[fate]))
		}
	}
}

// checkJournal checks the lines that an execution added to the journal.
func (b *bench) checkJournal(c *cell, u *user, begin int64, fates map[string][]string) {
	b.Helper()
	lines, text := b.journalFrom(begin)
	for _, id := range u.sessions() {
		if strings.Contains(text, id) {
			b.Error("the journal contains the id of a session")
		}
	}
	n := len(fates["ended"])
	if n == 0 {
		if len(lines) > 0 {
			b.Errorf("the journal has %+v", lines)
		}
		return
	}
	if len(lines) != 2 {
		b.Fatalf("the journal has %+v", lines)
	}
	intent, result := lines[0], lines[1]
	ticket, role := "", "helpdesk"
	if c.surface == "page" {
		ticket = "T-1"
	}
	if c.operator() == "ada" {
		role = "admin"
	}
	wanted := entry{
		Kind: "intent", ID: intent.ID, By: "desk", Operator: "user:" + c.operator(), Role: role, Address: "127.0.0.1", Ticket: ticket,
		User: qlik.NewUser("LAB", u.name).String(), Sessions: n, Places: intent.Places,
	}
	if fmt.Sprint(intent) != fmt.Sprint(wanted) || len(intent.Places) != n {
		b.Errorf("intent %+v, want %+v", intent, wanted)
	}
	wanted = entry{Kind: "result", ID: intent.ID, Ended: n, AlreadyGone: len(fates["already_gone"]), LeftAlone: len(fates["left_alone"])}
	if fmt.Sprint(result) != fmt.Sprint(wanted) {
		b.Errorf("result %+v, want %+v", result, wanted)
	}
}

// forge changes a plan and keeps its signature.
func forge(b *bench, plan string, change func(map[string]any)) string {
	b.Helper()
	first, second, _ := strings.Cut(plan, ".")
	payload, err := encoding.DecodeString(first)
	if err != nil {
		b.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		b.Fatal(err)
	}
	change(fields)
	if payload, err = json.Marshal(fields); err != nil {
		b.Fatal(err)
	}
	return encoding.EncodeToString(payload) + "." + second
}
