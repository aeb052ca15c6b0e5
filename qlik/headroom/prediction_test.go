package headroom

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

const week = 7 * 24 * time.Hour

var predict = flag.Duration("predict", defaultPredict(), "simulated time of each variant of TestPrediction, with each of two seeds")

func defaultPredict() time.Duration {
	if raceDetector {
		return week / 14
	}
	return week / 7
}

// TestPrediction compares effective headroom with the result of the next login on a
// simulated site, over simulated weeks.
//
// Two things excuse a wrong prediction: an event after the requests to the links, and a
// slot with a state that cannot be known (see ledger). Effective headroom must not be wrong
// by more slots than the ledger has reasons.
//
// With usage rows, no prediction may be wrong for longer than a scrape interval, plus the
// age of the rows and the time that a slow response takes. In addition, a user without a
// free slot must get one at the predicted time at the latest, unless something happens to
// the user before. A row that is left over may look like a slot that cools.
//
// Without usage rows, at most 1 % of predictions may promise a slot that is not free.
//
// The tighter bounds of a variant hold over a week (-predict 168h). They come from 28
// seeds for each variant, a week each. With usage rows at least 99.72 % of predictions
// were right, and at most 0.14 % promised a slot that was not free. Without them it was
// 96.3 % and 0.24 % every 30 s, and 88.7 % and 0.49 % every 15 s, because people act twice
// as often in that variant.
func TestPrediction(t *testing.T) {
	t.Parallel()
	// After a round, all of its memory is garbage. Collecting it every 4 MB would take half
	// of the test's time.
	before := debug.SetGCPercent(800)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for i, v := range []variant{
		{"rows, tail at the limit", true, false, qliktest.TailAtLimit, 15 * time.Second, 99.5, 0.2},
		{"rows, tail always", true, false, qliktest.TailAlways, 30 * time.Second, 99.5, 0.2},
		{"no rows, tail at the limit", false, false, qliktest.TailAtLimit, 15 * time.Second, 85, 0.6},
		{"no rows, tail at the limit, every 30 s", false, false, qliktest.TailAtLimit, 30 * time.Second, 95, 0.4},
		{"a release without rows", false, true, qliktest.TailAtLimit, 15 * time.Second, 85, 0.6},
	} {
		for n := range 2 {
			seed := uint64(2*i + n)
			t.Run(fmt.Sprintf("%s, seed %d", v.name, seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, v, seed)
				w.run(*predict)
				w.report()
			})
		}
	}
}

type variant struct {
	name     string
	rows     bool // usage rows are read; if false, there is no repository
	empty    bool // usage rows are read, but the site writes none
	tail     qliktest.Tail
	interval time.Duration // between rounds
	right    float64       // minimum share of right predictions, in percent
	promised float64       // maximum share of predictions of a slot that is not free, in percent
}

// world is a site with people, and an exporter that observes it.
type world struct {
	variant

	t        *testing.T
	random   *rand.Rand
	clock    *qliktest.Clock
	site     *qliktest.Site
	nodes    []string
	prefixes []string
	links    []qlik.Link // those of the first node, then those of the second
	people   []*person   // by number
	down     int         // index of the node with failing links; -1 for none
	downTill time.Time
	restarts bool // the exporter restarts before the next round

	state    *State
	snapshot *Snapshot
	licenses *qlik.Licenses // nil without a repository
	usage    *Usage
	answers  answers

	rights, wrongs int            // predictions
	promises       int            // wrong predictions of a free slot
	because        map[string]int // wrong predictions by excuse
	longest        time.Duration  // for which a prediction was wrong
	kept, broken   int            // predicted next slots that were free in time, or not
	leftOver       int            // predicted next slots that were not, of users with leftover rows
}

// slowestAnswer is the longest time that a node takes to answer.
const slowestAnswer = 10 * time.Second

// person is a user of the site.
type person struct {
	ledger

	id     string
	user   qlik.User
	status *UserStatus // in the snapshot; nil if it predicts nothing
	excuse string      // why the prediction may be wrong

	refused, granted bool // a login at some time since the requests to the links would have been

	wrongSince time.Time // zero while the prediction is right
	promised   bool      // the wrong prediction promises a slot
	nextSlot   time.Time // predicted since something happened to the user; zero if unknown
	disturbed  time.Time // when something last happened to the user

	orphans map[string]time.Time // rows without session, and since when
}

func newWorld(t *testing.T, v variant, seed uint64) *world {
	t.Helper()
	w := &world{
		variant: v, t: t,
		random:   rand.New(rand.NewPCG(seed, seed)),
		clock:    qliktest.NewClock(time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)),
		nodes:    []string{"qlik1", "qlik2"},
		prefixes: []string{"", "sales", "qmc"},
		down:     -1, restarts: true,
		because: make(map[string]int),
	}
	config := qliktest.Config{
		InMemory: true, Now: w.clock.Now, Seed: seed, Tail: v.tail, KeepRowsOnRestart: v.rows, NoUsageRows: v.empty,
		Nodes: []qliktest.Node{{Name: w.nodes[0], Central: true}, {Name: w.nodes[1]}},
		VirtualProxies: []qliktest.VirtualProxy{
			{}, {Prefix: "sales", InactivityTimeout: 10 * time.Minute}, {Prefix: "qmc", InactivityTimeout: 20 * time.Minute},
		},
	}
	if v.rows || v.empty {
		w.licenses = &qlik.Licenses{ReadAt: w.clock.Now(), Certain: true, Holders: make(map[qlik.User]qlik.LicenseSet)}
	}
	for i := range 8 {
		license := []qliktest.License{qliktest.Professional, qliktest.Analyzer}[i%2]
		p := &person{id: fmt.Sprint("user", i), user: lab(fmt.Sprint("user", i))}
		w.people = append(w.people, p)
		config.Users = append(config.Users, qliktest.User{Directory: "LAB", ID: p.id, License: license})
		if w.licenses != nil {
			w.licenses.Holders[p.user] = qlik.NewLicenseSet(licenseNames[license])
		}
	}
	var err error
	if w.site, err = qliktest.Start(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.site.Close)
	for _, node := range w.nodes {
		for _, v := range w.site.VirtualProxies() {
			w.links = append(w.links, qlik.Link{Node: node, Address: node + ":4243", VirtualProxy: "/" + v.Prefix, InactivityTimeout: v.InactivityTimeout})
		}
	}
	return w
}

var licenseNames = map[qliktest.License]string{qliktest.Professional: qlik.LicenseProfessional, qliktest.Analyzer: qlik.LicenseAnalyzer}

// person returns the person with an id.
func (w *world) person(id string) *person { return w.people[id[len("user")]-'0'] }

// run lets people act, and observes the site at every interval.
func (w *world) run(span time.Duration) {
	for end := w.clock.Now().Add(span); w.clock.Now().Before(end) && !w.t.Failed(); {
		w.observe()
		// Let people act at random times before the next round.
		for left := w.interval; left > 0; {
			step := min(left, time.Duration(1+w.random.IntN(int(w.interval/time.Second)))*time.Second)
			w.clock.Advance(step)
			if left -= step; left <= 0 {
				break
			}
			w.act()
			w.check()
			if w.rows && w.random.IntN(4) == 0 {
				w.observe() // a scrape by another Prometheus, possibly with older rows
			}
		}
	}
}

// observe queries the site and checks the snapshot. Sometimes the second node responds
// later than the first node and the repository, and people act in between.
func (w *world) observe() {
	a := &w.answers
	a.last, a.failedBefore, a.asked = a.asked, a.failed, w.clock.Now()
	if w.restarts {
		w.restarts = false
		w.state, w.usage, a.last = New(Config{Limit: DefaultLimit, CoolingTime: DefaultCoolingTime}), nil, time.Time{}
	}
	if w.down >= 0 && a.asked.After(w.downTill) {
		w.down = -1
	}
	for _, p := range w.people {
		p.refused, p.granted, p.listed = false, false, p.listed[:0]
		w.tryLogin(p)
	}
	round := Round{Asked: a.asked, Licenses: w.licenses, Links: make([]LinkResult, len(w.links))}
	early, rows := w.site.Sessions(), w.site.AllUsageRows()
	if w.licenses != nil && !w.usage.validAt(a.asked.Add(1)) {
		w.readUsage(rows)
	}
	round.Usage = w.usage
	w.list(&round, early, 0)
	late, rowsBefore := early, rows
	if w.random.IntN(4) == 0 {
		w.clock.Advance(time.Duration(1 + w.random.Int64N(int64(slowestAnswer))).Round(time.Millisecond))
		if w.random.IntN(2) == 0 {
			w.act()
		}
		late, rows = w.site.Sessions(), w.site.AllUsageRows()
	}
	w.list(&round, late, 1)
	a.heard = w.clock.Now()
	round.Heard = a.heard
	w.snapshot, w.state = w.state.Observe(round)
	checkRefused(w.t, w.snapshot)

	w.look(late, rows)
	for _, p := range w.people {
		p.settle(a)
		p.excuse = ""
		if p.status == nil {
			continue
		}
		if tooMany := p.status.EffectiveHeadroom - (DefaultLimit - len(p.rows)); tooMany != 0 {
			hasMoved := func() bool { return hasMoved(p.id, early, late, rowsBefore, rows) }
			if p.excuse = w.explain(p, tooMany, hasMoved); p.excuse == "" {
				w.fail(p, "cannot be explained")
			}
		}
	}
	w.check()
	for _, p := range w.people {
		knows := a.asked.After(p.disturbed) && (w.usage == nil || w.usage.askedAt.After(p.disturbed))
		if p.nextSlot.IsZero() && p.status != nil && knows {
			p.nextSlot = p.status.NextSlot
		}
	}
}

// readUsage reads the usage rows.
func (w *world) readUsage(kept []qliktest.UsageRow) {
	for _, p := range w.people {
		p.read = p.read[:0]
	}
	var rows []qlik.UsageRow
	if !w.empty {
		rows = make([]qlik.UsageRow, len(kept))
		for i, each := range kept {
			p := w.person(each.UserID)
			rows[i] = qlik.UsageRow{
				Session: qlik.SessionID(each.SessionID).Key(), User: p.user,
				License: licenseNames[each.License], LastActivity: each.LatestActivity,
			}
			p.read = append(p.read, each.SessionID)
		}
	}
	w.usage = NewUsage(rows, w.clock.Now(), w.clock.Now())
}

// list adds the responses of a node's links to a round.
func (w *world) list(round *Round, sessions []qliktest.Session, node int) {
	first := node * len(w.prefixes)
	links := round.Links[first : first+len(w.prefixes)]
	w.answers.failed[node] = node == w.down
	for i := range links {
		links[i].Link = w.links[first+i]
		if node == w.down {
			links[i].Err = errDown
		}
	}
	for i := range sessions {
		each := &sessions[i]
		if node == w.down || each.Node != w.nodes[node] {
			continue
		}
		p, link := w.person(each.UserID), &links[slices.Index(w.prefixes, each.VirtualProxy)]
		link.Sessions = append(link.Sessions, qlik.Session{ID: qlik.SessionID(each.ID), User: p.user, Link: &link.Link})
		p.listed = append(p.listed, each.ID)
	}
}

// look stores, for each person, the status in the snapshot and the true state.
func (w *world) look(sessions []qliktest.Session, rows []qliktest.UsageRow) {
	for _, p := range w.people {
		p.status, p.alive, p.rows = nil, p.alive[:0], p.rows[:0]
	}
	for i := range w.snapshot.Users {
		if user := &w.snapshot.Users[i]; w.snapshot.Complete() && user.Present() {
			w.person(user.User.ID).status = user
		}
	}
	for i := range sessions {
		p := w.person(sessions[i].UserID)
		p.alive = append(p.alive, &sessions[i])
	}
	for i := range rows {
		p := w.person(rows[i].UserID)
		p.rows = append(p.rows, rows[i].SessionID)
	}
	for _, p := range w.people {
		orphans := make(map[string]time.Time)
		for _, id := range p.rows {
			if p.find(id) >= 0 {
				continue
			}
			since, known := p.orphans[id]
			if !known {
				since = w.answers.heard
			}
			orphans[id] = since
		}
		p.orphans = orphans
	}
}

// hasLeftoverRow reports whether a row without session has been there for too long for a
// slot that cools.
func (p *person) hasLeftoverRow(now time.Time) bool {
	for _, since := range p.orphans {
		if now.Sub(since) > DefaultCoolingTime-2*UsageValidity {
			return true
		}
	}
	return false
}

const (
	notJudged = "it is too soon to tell that the rows do not reflect sessions"
	changed   = "something happened after the links were asked"
)

// explain returns why effective headroom is too high by tooMany slots, or too low if
// tooMany is negative. It returns "" if there is no reason.
func (w *world) explain(p *person, tooMany int, hasMoved func() bool) string {
	switch {
	case w.rows:
		return p.excuseOfRows(tooMany, w.usage.readAt)
	case hasMoved():
		return apart
	case !w.empty || !w.snapshot.UsagePlausible:
		return p.excuseOfLists(tooMany, w.answers.heard)
	case tooMany > 0 && !w.canJudge():
		return notJudged
	}
	return ""
}

// canJudge reports whether there is evidence against empty rows: a session that has been
// listed for two minutes, or five sessions that were listed when the rows were read.
func (w *world) canJudge() bool {
	sessions := 0
	for i := range w.snapshot.Users {
		user := &w.snapshot.Users[i]
		if user.Sessions == 0 || user.FirstSeen.After(w.usage.readAt) {
			continue
		}
		if w.answers.heard.Sub(user.FirstSeen) >= 2*time.Minute {
			return true
		}
		sessions += user.Sessions
	}
	return sessions >= 5
}

// hasMoved reports whether the sessions or slots of a user changed between the responses.
func hasMoved(user string, early, late []qliktest.Session, rowsBefore, rows []qliktest.UsageRow) bool {
	sessions := func(all []qliktest.Session) (own []string) {
		for i := range all {
			if all[i].UserID == user {
				own = append(own, fmt.Sprint(all[i].ID, all[i].Granted))
			}
		}
		return own
	}
	slots := func(all []qliktest.UsageRow) (own []string) {
		for i := range all {
			if all[i].UserID == user {
				own = append(own, all[i].SessionID)
			}
		}
		return own
	}
	return !slices.Equal(sessions(early), sessions(late)) || !slices.Equal(slots(rowsBefore), slots(rows))
}

// act performs one random action.
func (w *world) act() {
	p := w.people[w.random.IntN(len(w.people))]
	// Between two actions, slots can only become free. Checks before and after each action
	// therefore see every change in whether a login is granted.
	w.tryLogin(p)
	defer w.tryLogin(p)
	w.disturb(p)
	someSession := func() string { return p.lives[w.random.IntN(len(p.lives))].id }
	switch n := w.random.IntN(1000); {
	case n < 330: // a browser that may have a cookie already
		w.login(p, fmt.Sprint("device", w.random.IntN(6)))
	case n < 400: // a client that drops its cookies
		w.login(p, fmt.Sprint("new", w.clock.Now().UnixNano()))
	case n < 550 && len(p.lives) > 0:
		w.site.Logout(someSession())
	case n < 900 && len(p.lives) > 0:
		w.site.Touch(someSession())
	case n < 903:
		w.disturb(w.people...)
		w.site.RestartProxy(w.nodes[w.random.IntN(2)])
	case n < 906 && w.down < 0:
		w.disturb(w.people...)
		w.down = w.random.IntN(2)
		w.downTill = w.clock.Now().Add(time.Duration(w.random.IntN(600)) * time.Second)
	case n < 908:
		w.disturb(w.people...)
		w.restarts = true
	case n < 912 && w.rows:
		w.site.AddLeftoverRow("LAB", p.id)
	case n < 920 && w.rows:
		w.site.RemoveLeftoverRows("LAB", p.id)
	}
}

// disturb ends the predictions of next slots: something happens to these users.
func (w *world) disturb(people ...*person) {
	for _, p := range people {
		p.nextSlot, p.disturbed = time.Time{}, w.clock.Now()
	}
}

func (w *world) login(p *person, device string) {
	node := w.random.IntN(2)
	session, err := w.site.Login("LAB", p.id, device, w.prefixes[w.random.IntN(3)], w.nodes[node])
	if err != nil {
		w.t.Fatal(err)
	}
	if !slices.ContainsFunc(p.lives, func(x *life) bool { return x.id == session.ID }) {
		p.lives = append(p.lives, &life{id: session.ID, node: node, refused: !session.Granted})
	}
}

// tryLogin reports and records whether the next login would be granted.
func (w *world) tryLogin(p *person) bool {
	granted := w.site.CanOpen("LAB", p.id)
	p.granted = p.granted || granted
	p.refused = p.refused || !granted
	return granted
}

// check compares the prediction for each person with the truth.
func (w *world) check() {
	for _, p := range w.people {
		if p.status == nil {
			p.wrongSince = time.Time{}
			continue // absence predicts nothing
		}
		predicted, granted := p.status.EffectiveHeadroom > 0, w.tryLogin(p)
		if now := w.clock.Now(); !p.nextSlot.IsZero() && !now.Before(p.nextSlot) {
			switch {
			case granted:
				w.kept++
			case p.hasLeftoverRow(now):
				w.leftOver++
			case p.excuse != "", !w.rows && p.hasHiddenSlot(): // not all slots are known
			default:
				w.broken++
			}
			w.disturb(p)
		}
		if predicted == granted {
			w.rights++
			p.wrongSince = time.Time{}
			continue
		}
		if p.wrongSince.IsZero() || p.promised != predicted {
			p.wrongSince, p.promised = w.clock.Now(), predicted
		}
		w.longest = max(w.longest, w.clock.Now().Sub(p.wrongSince))
		w.wrongs++
		if predicted {
			w.promises++
		}
		switch {
		case p.refused && p.granted:
			w.because[changed]++
		case p.excuse != "":
			w.because[p.excuse]++
		default:
			w.fail(p, fmt.Sprintf("are predicted, but a login is granted: %t", granted))
		}
	}
}

func (w *world) fail(p *person, what string) {
	w.t.Errorf("%s: %d slots of %s (%d sessions, %d cooling, %d rows) %s: %d rows are there", w.clock.Now().Format(time.DateTime),
		p.status.EffectiveHeadroom, p.user, p.status.Sessions, p.status.CoolingSlots, p.status.LicensedSessions, what, w.site.UsageRows("LAB", p.id))
}

func (w *world) report() {
	total := w.rights + w.wrongs
	percent := func(n int) float64 { return 100 * float64(n) / float64(total) }
	right, promised := percent(w.rights), percent(w.promises)
	w.t.Logf("%.2f %% of %d predictions are right; %.2f %% promise a slot that is not free", right, total, promised)
	for _, reason := range slices.Sorted(maps.Keys(w.because)) {
		w.t.Logf("%8d wrong: %s", w.because[reason], reason)
	}
	w.t.Logf("longest wrong prediction: %s; predicted next slots: %d free in time, %d not, %d not beside leftover rows", w.longest, w.kept, w.broken, w.leftOver)
	if w.rows && w.longest > w.interval+UsageValidity+slowestAnswer {
		w.t.Errorf("a prediction is wrong for %s", w.longest)
	}
	if w.broken > 0 {
		w.t.Errorf("%d predicted next slots are not free in time", w.broken)
	}
	if rounds := int(*predict / w.interval); total < rounds {
		w.t.Errorf("only %d predictions in %d rounds", total, rounds)
	}
	if promised > 1 {
		w.t.Errorf("%.2f %% of predictions promise a slot that is not free, want at most 1 %%", promised)
	}
	if *predict < week {
		return // the shares of shorter runs vary more
	}
	if right < w.right {
		w.t.Errorf("%.2f %% of predictions are right, want at least %.1f %%", right, w.right)
	}
	if promised > w.promised {
		w.t.Errorf("%.2f %% of predictions promise a slot that is not free, want at most %.1f %%", promised, w.promised)
	}
}
