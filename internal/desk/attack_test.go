package desk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/desk"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// userField is the field of a request with a user.
func userField(u *user) string { return fmt.Sprintf(`"user":%q`, u) }

// TestOnceAtATime checks that a plan is carried out once, however many requests carry it out
// at the same time.
func TestOnceAtATime(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	for i, u := range b.open(2) {
		plan := b.makePlan("kim", userField(u))
		deletes := b.server.Requests().Deletes
		count := make(map[int]int)
		var mu sync.Mutex
		var requests sync.WaitGroup
		for range 8 {
			requests.Go(func() {
				path, body := "/api/free", fmt.Sprintf(`{"plan":%q}`, plan)
				if i == 1 { // the page shows the others what the first one did
					path, body = "/sessions/free", url.Values{"plan": {plan}}.Encode()
				}
				status, _ := b.post("kim", path, body)
				mu.Lock()
				defer mu.Unlock()
				count[status]++
			})
		}
		requests.Wait()
		if n := b.server.Requests().Deletes - deletes; count[http.StatusOK] != 1 || count[http.StatusForbidden] != 7 || n != 2 {
			t.Errorf("%v, %d sessions ended", count, n)
		}
	}
	b.verify()
}

// TestLimitAtOnce checks that executions at the same time keep the limit of a user together.
func TestLimitAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	users := b.open(4)
	for _, u := range users {
		for i := range 2 { // five sessions, three of them were refused
			b.login(u.name, fmt.Sprint("more", i), "sales", "qlik1")
		}
	}
	for _, u := range users {
		before := len(b.listed())
		plans := map[string]string{"kim": b.makePlan("kim", userField(u)), "ada": b.makePlan("ada", userField(u)+`,"keep":2`), "lee": b.makePlan("lee", userField(u))}
		var requests sync.WaitGroup
		for operator, plan := range plans {
			requests.Go(func() {
				if status, text := b.carryOut(operator, plan); status != http.StatusOK && status != http.StatusConflict {
					t.Errorf("%s: %d %s", operator, status, text)
				}
			})
		}
		requests.Wait()
		if ended := before - len(b.listed()); ended < 1 || ended > 3 {
			t.Errorf("%d sessions of %s ended", ended, u)
		}
	}
	b.verify()
}

// TestLimitOfEverySpelling checks that the limit of a user does not depend on how an operator
// writes the user, nor on the operator.
func TestLimitOfEverySpelling(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	plan := b.makePlan("kim", fmt.Sprintf(`"user":%q`, "lab/ANNA0"))
	b.happen(&cell{state: "limit reached"}, u)
	for _, operator := range []string{"kim", "ada"} {
		for _, spelling := range []string{u.String(), "lab/ANNA0", `LAB\ANNA0`, "Lab/anna0"} {
			if status, text := b.post(operator, "/api/plan", fmt.Sprintf(`{"user":%q}`, spelling)); status != http.StatusConflict {
				t.Errorf("%s: %d %s", spelling, status, text)
			}
		}
	}
	if status, text := b.carryOut("kim", plan); status != http.StatusConflict || b.server.Requests().Deletes > 0 {
		t.Errorf("%d %s", status, text)
	}
	b.clock.Advance(time.Hour)
	if status, text := b.post("kim", "/api/plan", fmt.Sprintf(`{"user":%q}`, u)); status == http.StatusConflict {
		t.Errorf("an hour later: %d %s", status, text)
	}
}

// TestNearLimit checks that a plan of the help desk ends no more than the limit still allows,
// first what frees a slot, and that an administrator does not get less than was chosen.
func TestNearLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	id, err := b.journal.Begin(journal.Intent{By: desk.By, Operator: "user:lee", User: u.String(), Sessions: 2}, nil)
	if err == nil {
		err = b.journal.Finish(id, journal.Result{Ended: 2})
	}
	if err != nil {
		t.Fatal(err)
	}
	if status, text := b.post("ada", "/api/plan", "{"+userField(u)+`,"all":true}`); status != http.StatusConflict || !strings.Contains(text, "only 1 more may end") {
		t.Errorf("of an administrator: %d %s", status, text)
	} else {
		checkSentence(t, errorIn(text))
	}
	if status, text := b.carryOut("kim", b.makePlan("kim", userField(u))); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
	if left := b.listed(); left[u.idle] || !left[u.refused] || !left[u.used] {
		t.Errorf("%v are left of %+v", left, *u)
	}
	if status, text := b.post("kim", "/api/plan", "{"+userField(u)+"}"); status == http.StatusOK {
		t.Errorf("at the limit: %d %s", status, text)
	}
}

// TestHelpDeskIsCareful checks that the help desk ends nothing that may be in use: neither a
// session that was used a short time ago, nor one that looks idle on a site of which it is
// unknown how often it records activity, nor one of a user with free slots. An administrator
// may end more.
func TestHelpDeskIsCareful(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	plan := func(operator, user, more string, want int, says string) {
		t.Helper()
		status, text := b.post(operator, "/api/plan", fmt.Sprintf(`{"user":"LAB\\%s"%s}`, user, more))
		if status != want || !strings.Contains(text, says) {
			t.Errorf("%s for %s%s: %d, want %d, %q: %s", operator, user, more, status, want, says, text)
		}
	}
	b.login("anna0", "1", "", "qlik1")
	b.clock.Advance(4 * time.Minute)
	b.login("anna0", "2", "sales", "qlik2")
	plan("kim", "anna0", "", http.StatusUnprocessableEntity, "has been idle for five minutes")
	plan("ada", "anna0", "", http.StatusUnprocessableEntity, "has been idle for five minutes")
	plan("ada", "anna0", `,"keep":1`, http.StatusOK, "")
	b.clock.Advance(time.Minute)
	plan("kim", "anna0", "", http.StatusOK, "")
	b.login("bert", "1", "", "qlik1") // without a license, a session takes no slot
	plan("kim", "bert", "", http.StatusUnprocessableEntity, "2 slots are free")

	b.clock.Advance(25 * time.Hour) // a measurement counts for a day
	b.login("anna1", "1", "", "qlik1")
	b.clock.Advance(10 * time.Minute)
	b.login("anna1", "2", "sales", "qlik2")
	plan("kim", "anna1", "", http.StatusUnprocessableEntity, "not known closely enough")
	plan("ada", "anna1", `,"keep":1`, http.StatusOK, "")
	b.login("anna1", "3", "", "qlik2")
	plan("kim", "anna1", "", http.StatusOK, `"state":"refused"`)
	if deletes := b.server.Requests().Deletes; deletes > 0 {
		t.Errorf("%d sessions ended", deletes)
	}
}

// TestBecameServiceAccount checks that a plan for a user who has become a service account
// ends nothing, for any operator.
func TestBecameServiceAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	users := b.open(2)
	plans := []string{b.makePlan("kim", userField(users[0])), b.makePlan("ada", userField(users[1])+`,"all":true`)}
	b.site.set(func(s *benchSite) { s.accounts = append(s.accounts, newUser("anna0"), newUser("anna1")) })
	begin := b.journalSize()
	for i, operator := range []string{"kim", "ada"} {
		if status, text := b.carryOut(operator, plans[i]); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", operator, status, text)
		} else {
			checkSentence(t, errorIn(text))
		}
	}
	if lines, _ := b.journalFrom(begin); len(lines) > 0 || b.server.Requests().Deletes > 0 {
		t.Errorf("%d sessions ended, the journal has %+v", b.server.Requests().Deletes, lines)
	}
}

// TestNotRecorded checks that nothing ends that cannot be recorded.
func TestNotRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	plan := b.makePlan("ada", userField(u)+`,"all":true`)
	b.journal.full.Store(true)
	status, text := b.carryOut("ada", plan)
	if status != http.StatusServiceUnavailable || b.server.Requests().Deletes > 0 || b.counters()["refused_total not_recorded"] != 1 {
		t.Errorf("%d, %d sessions ended: %s", status, b.server.Requests().Deletes, text)
	}
	checkSentence(t, errorIn(text))
	if !strings.Contains(b.log.String(), "no space left") || strings.Contains(text, "no space left") {
		t.Error("the log does not tell why, or the response does")
	}
}

// TestSessionOfAnotherUser checks that a planned session is left alone that now belongs to
// another user.
func TestSessionOfAnotherUser(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	plan := b.makePlan("ada", userField(u)+`,"all":true`)
	b.server.SetAnswer("qlik1", "", fmt.Appendf(nil, `[{"UserDirectory":"LAB","UserId":"chief","SessionId":%q,"Attributes":[]}]`, u.idle))
	if status, text := b.carryOut("ada", plan); status != http.StatusOK || !b.listed()[u.idle] || b.server.Requests().Deletes != 2 {
		t.Errorf("%d, %d requests: %s", status, b.server.Requests().Deletes, text)
	}
}

// TestUnknownMeanwhile checks that nothing of a careful plan ends if the usage rows are no
// longer known: a session may have been used, and a refused one may have got a slot.
func TestUnknownMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	users := b.open(2)
	for i, of := range []struct{ operator, more string }{{"kim", ""}, {"ada", `,"keep":1`}} {
		plan := b.makePlan(of.operator, userField(users[i])+of.more)
		b.server.SetRepositoryFault("qlik1", qliktest.ServerError)
		status, text := b.carryOut(of.operator, plan)
		if status != http.StatusOK || b.server.Requests().Deletes != 0 || strings.Count(text, `"why"`) != 2 {
			t.Errorf("%s: %d, %d sessions ended: %s", of.operator, status, b.server.Requests().Deletes, text)
		}
		b.server.SetRepositoryFault("qlik1", qliktest.NoFault)
	}
}

// TestBodies checks bodies that are too long or strange.
func TestBodies(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	long := strings.Repeat("A", 60<<10)
	var fields strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&fields, "f%d=1&", i)
	}
	for _, test := range []struct {
		name, path, body string
		status           int
	}{
		{"a long plan", "/api/free", fmt.Sprintf(`{"plan":%q}`, long), http.StatusForbidden},
		{"a long plan in a form", "/sessions/free", "plan=" + long, http.StatusForbidden},
		{"a plan of two long parts", "/api/free", fmt.Sprintf(`{"plan":%q}`, long[:30<<10]+"."+long[:30<<10]), http.StatusForbidden},
		{"too long", "/api/free", fmt.Sprintf(`{"plan":%q}`, long+long), http.StatusRequestEntityTooLarge},
		{"too long, plan", "/api/plan", fmt.Sprintf(`{"user":%q}`, long+long), http.StatusRequestEntityTooLarge},
		{"a form that is too long", "/sessions/free", "plan=" + long + long, http.StatusRequestEntityTooLarge},
		{"a form that is too long, plan", "/sessions/plan", "user=" + long + long, http.StatusRequestEntityTooLarge},
		{"many fields", "/sessions/free", fields.String() + "plan=x", http.StatusForbidden},
		{"many fields, plan", "/sessions/plan", fields.String() + "user=" + url.QueryEscape(u.String()), http.StatusOK},
		{"a form that is none", "/sessions/free", "plan=%zz", http.StatusBadRequest},
		{"two objects", "/api/free", `{"plan":"x"}{"plan":"y"}`, http.StatusBadRequest},
		{"half an object", "/api/free", `{"plan":"x"`, http.StatusBadRequest},
		{"an empty object", "/api/free", `{}`, http.StatusForbidden},
		{"an unknown field", "/api/free", `{"plan":"x","user":"LAB\\anna0"}`, http.StatusBadRequest},
		{"a list", "/api/free", `{"plan":["x"]}`, http.StatusBadRequest},
		{"a deep object", "/api/free", `{"plan":` + strings.Repeat("[", 60<<10), http.StatusBadRequest},
		{"not JSON", "/api/free", "plan=x", http.StatusUnsupportedMediaType},
		{"nothing", "/api/free", "", http.StatusUnsupportedMediaType},
		{"JSON in a form", "/sessions/free", `{"plan":"x"}`, http.StatusForbidden},
	} {
		status, text := b.post("ada", test.path, test.body)
		if status != test.status {
			t.Errorf("%s: %d, want %d: %.300s", test.name, status, test.status, text)
		}
		if strings.HasPrefix(test.path, "/api") && status != http.StatusOK {
			checkSentence(t, errorIn(text))
		}
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if status, _, text := b.send(b.client, &request{method: http.MethodPost, url: b.deskURL + "/api/free", user: "ada", password: password, header: header}); status != http.StatusBadRequest {
		t.Errorf("an empty body: %d %s", status, text)
	}
	// A plan does not depend on the body that carries it out.
	plan := b.makePlan("kim", userField(u))
	for i := 0; i < len(plan); i++ {
		changed := plan[:i] + string(rune(plan[i]^1)) + plan[i+1:]
		if status, text := b.post("kim", "/sessions/free", url.Values{"plan": {changed}}.Encode()); status != http.StatusForbidden {
			t.Fatalf("a plan with another byte %d: %d %s", i, status, text)
		}
	}
	payload, signature, _ := strings.Cut(plan, ".")
	for _, changed := range []string{plan + "\n", plan + "." + plan, plan + ".", " " + plan, payload, payload + ".", "." + signature, "."} {
		if status, text := b.post("kim", "/sessions/free", url.Values{"plan": {changed}}.Encode()); status != http.StatusForbidden {
			t.Errorf("%.20q: %d %s", changed, status, text)
		}
	}
	if deletes := b.server.Requests().Deletes; deletes > 0 {
		t.Errorf("%d sessions ended", deletes)
	}
}

// TestClientLeaves checks that an execution continues and is recorded if its client leaves in
// the middle.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	plan := b.makePlan("kim", userField(u))
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	b.site.set(func(s *benchSite) {
		s.ending = func(context.Context) {
			leave()
			<-gone
			time.Sleep(10 * time.Millisecond) // a context of the client would have ended by now
		}
	})
	begin := b.journalSize()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.deskURL+"/api/free", strings.NewReader(fmt.Sprintf(`{"plan":%q}`, plan)))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("kim", password)
	r.Header.Set("Content-Type", "application/json")
	if response, err := b.client.Do(r); err == nil {
		response.Body.Close()
		t.Error("the client did not leave")
	}
	close(gone)
	var lines []entry
	for range 1000 {
		if lines, _ = b.journalFrom(begin); len(lines) == 2 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if len(lines) != 2 || lines[1].Ended != 2 || b.listed()[u.idle] || b.listed()[u.refused] || !b.listed()[u.used] {
		t.Errorf("%+v", lines)
	}
}

// TestStopInTheMiddle checks that an execution in progress ends with the desk, and that the
// journal has its result.
func TestStopInTheMiddle(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	plan, later := b.makePlan("kim", userField(u)), b.makePlan("kim", userField(u))
	began := make(chan struct{}, 2)
	b.site.set(func(s *benchSite) {
		s.ending = func(ctx context.Context) {
			began <- struct{}{}
			<-ctx.Done() // Qlik does not answer
		}
	})
	begin := b.journalSize()
	var executing sync.WaitGroup
	executing.Go(func() {
		if status, text := b.carryOut("kim", plan); status != http.StatusOK || strings.Count(text, `"why"`) != 2 {
			t.Errorf("%d %s", status, text)
		}
	})
	<-began
	<-began
	b.desk.Close()
	lines, _ := b.journalFrom(begin)
	if len(lines) != 2 || lines[1].Failed != 2 || lines[1].ID != lines[0].ID {
		t.Errorf("the journal has %+v", lines)
	}
	executing.Wait()
	if status, text := b.carryOut("kim", later); status != http.StatusServiceUnavailable {
		t.Errorf("after the end: %d %s", status, text)
	}
	if report := b.verify(); len(report.Open) > 0 || b.server.Requests().Deletes > 0 {
		t.Errorf("%+v, %d sessions ended", report.Open, b.server.Requests().Deletes)
	}
}

// TestSecrets checks that neither responses nor the log nor the journal contain the id of a
// session, a password, or a hash, also if ending a session fails. What an operator or a user
// is called breaks neither a page nor a line.
func TestSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	users := b.open(2)
	for i, surface := range []string{"api", "page"} {
		u := users[i]
		plan := b.makePlan("kim", userField(u)+`,"ticket":"T-1\n\"level\":\"error\" <script>"`)
		b.site.set(func(s *benchSite) {
			s.ending = func(context.Context) { b.server.SetProxyFault("qlik1", qliktest.ServerError) }
		})
		var status int
		var text string
		if surface == "api" {
			status, text = b.carryOut("kim", plan)
		} else {
			status, text = b.post("kim", "/sessions/free", url.Values{"plan": {plan}}.Encode())
		}
		b.server.SetProxyFault("qlik1", qliktest.NoFault)
		if status != http.StatusOK || !strings.Contains(text, "status 500") && !strings.Contains(text, "500") {
			t.Errorf("%s: the failure is not shown: %d %s", surface, status, text)
		}
		b.leaks(surface, text, u)
	}
	b.site.set(func(s *benchSite) { s.ending = nil })
	if _, err := b.server.Login("LAB", `<script>alert(1)</script>`, "1", "", "qlik1"); err != nil {
		t.Fatal(err)
	}
	for _, action := range []string{"plan", "free"} {
		_, text := b.post("ada", "/sessions/"+action, url.Values{"user": {`LAB\<script>alert(1)</script>`}, "keep": {"all"}, "plan": {"<script>"}, "site": {`"><script>`}}.Encode())
		if strings.Contains(text, "<script") {
			t.Errorf("%s: %s", action, text)
		}
	}
	for line := range strings.SplitSeq(b.log.String(), "\n") {
		if strings.HasPrefix(line, `"level"`) {
			t.Errorf("a ticket broke the log: %s", line)
		}
	}
	_, text := b.journalFrom(0)
	for _, u := range users {
		b.leaks("journal", text, u)
		b.leaks("log", b.log.String(), u)
	}
	b.verify()
}

// leaks checks that a text contains no secret.
func (b *bench) leaks(where, text string, u *user) {
	b.Helper()
	for _, secret := range append(u.sessions(), password, "$2a$") {
		if strings.Contains(text, secret) {
			b.Errorf("%s contains %s", where, secret)
		}
	}
}

// TestTakenTogether checks the promise of the interface for programs: the plan says what the
// execution does, and the user can open a window when it says so.
func TestTakenTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	_, text := b.post("kim", "/api/plan", "{"+userField(u)+"}")
	var plan, freed struct {
		Plan        string
		Ends, Keeps []map[string]any
		Ended       []map[string]any
		Works       time.Time `json:"new_window_works_at"`
		Say         map[string]string
	}
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatal(err)
	}
	_, text = b.carryOut("kim", plan.Plan)
	if err := json.Unmarshal([]byte(text), &freed); err != nil {
		t.Fatal(err)
	}
	if len(plan.Ends) != 2 || len(plan.Keeps) != 1 || len(freed.Ended) != 2 || !plan.Works.Equal(freed.Works) || len(freed.Say) != 3 {
		t.Errorf("%+v, %+v", plan, freed)
	}
	b.clock.Set(plan.Works.Add(-time.Second))
	if b.server.CanOpen("LAB", u.name) {
		t.Error("a window works earlier")
	}
	b.clock.Set(plan.Works)
	if !b.server.CanOpen("LAB", u.name) {
		t.Error("no window works")
	}
}
