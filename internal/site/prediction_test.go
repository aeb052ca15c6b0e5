package site

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var predict = flag.Duration("predict", 2*time.Hour, "simulated time of each variant of TestPrediction")

// TestPrediction compares the exporter's prediction for each user with the result
// of the site's license check at the next login, over simulated days. With usage rows a
// prediction may only be wrong if something happened since the last scrape. Without them
// at most 1 % of the predictions may promise a slot that is not free.
func TestPrediction(t *testing.T) {
	t.Parallel()
	for _, variant := range []struct {
		name     string
		rows     bool // there are usage rows; otherwise proxies are configured and there is no repository
		empty    bool // there is a repository, but it writes no rows
		tail     qliktest.Tail
		interval time.Duration
	}{
		{"rows, tail at the limit", true, false, qliktest.TailAtLimit, 15 * time.Second},
		{"rows, tail always", true, false, qliktest.TailAlways, 30 * time.Second},
		{"no rows, tail at the limit", false, false, qliktest.TailAtLimit, 15 * time.Second},
		{"no rows, tail at the limit, every 30 s", false, false, qliktest.TailAtLimit, 30 * time.Second},
		{"a release without rows", false, true, qliktest.TailAtLimit, 15 * time.Second},
	} {
		t.Run(variant.name, func(t *testing.T) {
			t.Parallel()
			// In a bubble, no request exceeds its time limit because the machine is busy.
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, variant.rows, variant.empty, variant.tail, 7)
				w.run(*predict, variant.interval)
				w.report()
			})
		})
	}
}

// world is a site with people and an exporter that observes it.
type world struct {
	t        *testing.T
	rows     bool
	empty    bool
	random   *rand.Rand
	server   *qliktest.Site
	dir      string
	exporter *Site
	users    []string
	nodes    []string
	prefixes []string

	snapshot   *headroom.Snapshot
	refreshed  time.Time
	before     map[string]fingerprint // of each user at the snapshot
	faultUntil time.Time
	faulty     string
	logins     map[string]map[string]time.Time // sessions by user and id, with the login; zero once listed
	misled     map[string]map[misled]time.Time // by user: when the exporter last missed something

	right, explained int
	promised         int // explained ones that promise a slot that is not free
	why              map[string]int
}

// misled is what the exporter cannot know without usage rows. It is wrong about
// cooling slots for as long as slots cool. It is wrong for longer while more
// sessions end, because whether their slots cool depends on the others.
type misled struct {
	because   string
	tooMuch   bool // it may report a slot that is not free
	tooLittle bool // it may miss a slot that is free
}

var (
	restarted = misled{"the exporter was restarted less than the cooling time ago", true, true}
	outage    = misled{"an outage ended less than the cooling time ago", true, true}
	tooShort  = misled{"a session that ended less than the cooling time ago was too short to be seen", true, false}
	noOrder   = misled{"less than the cooling time ago a session began and another ended between the same two answers", false, true}
	noSlot    = misled{"a session without slot is alive, or was less than the cooling time ago", false, true}
)

// fingerprint changes with every event of a user.
type fingerprint struct {
	sessions string
	rows     int
	canOpen  bool
}

const coolingTime = 5 * time.Minute

func newWorld(t *testing.T, rows, empty bool, tail qliktest.Tail, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, rows: rows, empty: empty,
		random:   rand.New(rand.NewPCG(seed, seed)),
		dir:      t.TempDir(),
		nodes:    []string{"qlik1", "qlik2"},
		prefixes: []string{"", "sales", "qmc"},
		before:   make(map[string]fingerprint),
		logins:   make(map[string]map[string]time.Time),
		misled:   make(map[string]map[misled]time.Time),
		why:      make(map[string]int),
	}
	config := qliktest.Config{
		InMemory: true, Seed: seed, Tail: tail, CoolingTime: coolingTime, KeepRowsOnRestart: rows, NoUsageRows: empty,
		Nodes: []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}},
		VirtualProxies: []qliktest.VirtualProxy{
			{}, {Prefix: "sales", InactivityTimeout: 10 * time.Minute}, {Prefix: "qmc", InactivityTimeout: 20 * time.Minute},
		},
	}
	for i := range 8 {
		license := qliktest.Analyzer
		if i%2 == 0 {
			license = qliktest.Professional
		}
		w.users = append(w.users, fmt.Sprint("user", i))
		w.misled[w.users[i]] = make(map[misled]time.Time)
		w.logins[w.users[i]] = make(map[string]time.Time)
		config.Users = append(config.Users, qliktest.User{Directory: "LAB", ID: w.users[i], License: license})
	}
	server, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	w.server = server
	if err := server.WriteCertificates(w.dir); err != nil {
		t.Fatal(err)
	}
	w.restart()
	t.Cleanup(func() { w.exporter.Close() })
	return w
}

// restart starts a new exporter.
func (w *world) restart() {
	if w.exporter != nil {
		w.exporter.Close()
	}
	config := Config{
		Client:   qlik.Config{CertDir: w.dir, DialContext: w.server.DialContext},
		Headroom: headroom.Config{CoolingTime: coolingTime}, Licenses: w.rows || w.empty,
	}
	if config.Licenses {
		config.Client.Hosts = []string{"qlik1"}
	} else {
		config.Client.Proxies, config.Client.VirtualProxies = w.nodes, w.prefixes
	}
	exporter, err := New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.exporter, w.refreshed = exporter, time.Time{}
	for _, user := range w.users {
		w.misled[user][restarted] = time.Now()
	}
}

// run simulates the people and takes a snapshot at every interval. It sleeps in the
// simulated time of the bubble.
func (w *world) run(span, interval time.Duration) {
	end := time.Now().Add(span)
	for now := time.Now(); now.Before(end); now = time.Now() {
		w.scrape()
		w.check("at the snapshot")
		// Some events happen at random times before the next snapshot.
		left := interval
		for left > 0 {
			step := min(left, time.Duration(1+w.random.IntN(int(interval/time.Second)))*time.Second)
			time.Sleep(step)
			if left -= step; left > 0 {
				w.act()
				w.check("between snapshots")
			}
		}
	}
}

// scrape takes a snapshot like a Prometheus server.
func (w *world) scrape() {
	now := time.Now()
	if now.Sub(w.refreshed) >= 30*time.Second {
		w.exporter.Refresh()
		w.refreshed = now
	}
	// A snapshot waits for the rows only briefly.
	<-w.exporter.repository.refreshUsage()
	timeout := 10 * time.Second
	ctx, cancel := context.WithTimeout(w.t.Context(), timeout)
	defer cancel()
	w.snapshot = w.exporter.Snapshot(ctx)
	w.noteMisled(now)
	for _, user := range w.users {
		w.before[user] = w.look(user)
	}
}

// act simulates one event.
func (w *world) act() {
	now := time.Now()
	if w.faulty != "" && now.After(w.faultUntil) {
		w.server.SetProxyFault(w.faulty, qliktest.NoFault)
		w.faulty = ""
	}
	user := w.users[w.random.IntN(len(w.users))]
	var own []qliktest.Session
	for _, session := range w.server.Sessions() {
		if session.UserID == user {
			own = append(own, session)
		}
	}
	someSession := func() qliktest.Session { return own[w.random.IntN(len(own))] }
	switch n := w.random.IntN(1000); {
	case n < 330: // a browser that may have a cookie already
		w.login(user, fmt.Sprint("device", w.random.IntN(6)))
	case n < 400: // a client that drops its cookies
		w.login(user, fmt.Sprint("new", now.UnixNano()))
	case n < 550 && len(own) > 0:
		w.server.Logout(someSession().ID)
	case n < 900 && len(own) > 0:
		w.server.Touch(someSession().ID)
	case n < 903:
		w.server.RestartProxy(w.nodes[w.random.IntN(2)])
	case n < 906 && w.faulty == "":
		w.faulty = w.nodes[w.random.IntN(2)]
		w.faultUntil = now.Add(time.Duration(w.random.IntN(600)) * time.Second)
		faults := []qliktest.Fault{qliktest.Refused, qliktest.ServerError, qliktest.HTMLPage, qliktest.Object, qliktest.Forbidden}
		w.server.SetProxyFault(w.faulty, faults[w.random.IntN(len(faults))])
	case n < 908:
		w.restart()
	case n < 912 && w.rows:
		w.server.AddLeftoverRow("LAB", user)
	case n < 920 && w.rows:
		w.server.RemoveLeftoverRows("LAB", user)
	}
}

func (w *world) login(user, device string) {
	session, err := w.server.Login("LAB", user, device, w.prefixes[w.random.IntN(3)], w.nodes[w.random.IntN(2)])
	if err != nil {
		w.t.Fatal(err)
	}
	if _, known := w.logins[user][session.ID]; !known {
		w.logins[user][session.ID] = time.Now()
	}
}

func (w *world) look(user string) fingerprint {
	f := fingerprint{rows: w.server.UsageRows("LAB", user), canOpen: w.server.CanOpen("LAB", user)}
	for _, session := range w.server.Sessions() {
		if session.UserID == user {
			f.sessions += fmt.Sprint(session.ID, session.Granted)
		}
	}
	return f
}

// noteMisled records events before a snapshot that the snapshot does not show.
func (w *world) noteMisled(now time.Time) {
	alive := make(map[string]qliktest.Session)
	for _, session := range w.server.Sessions() {
		alive[session.ID] = session
	}
	for user, sessions := range w.logins {
		began, ended := false, false
		for id, at := range sessions {
			session, lives := alive[id]
			isNew := !at.IsZero()
			sessions[id] = time.Time{}
			switch {
			case isNew && !lives:
				w.misled[user][tooShort] = now
			case isNew:
				began = true
			case !lives:
				ended = true
			}
			if !lives {
				delete(sessions, id)
			} else if !session.Granted {
				w.misled[user][noSlot] = now
			}
		}
		if ended {
			for because, at := range w.misled[user] {
				if lasts(at, now) {
					w.misled[user][because] = now
				}
			}
		}
		if began && ended {
			w.misled[user][noOrder] = now
		}
		if !w.snapshot.Complete() {
			w.misled[user][outage] = now
		}
	}
}

// lasts reports whether an event that misled the exporter still does.
func lasts(at, now time.Time) bool {
	const interval = 30 * time.Second // the end of a session is seen that much later
	return !at.IsZero() && now.Sub(at) <= coolingTime+interval
}

// check compares the prediction with the truth for every user.
func (w *world) check(moment string) {
	now := time.Now()
	for _, id := range w.users {
		user := qlik.NewUser("LAB", id)
		i := slices.IndexFunc(w.snapshot.Users, func(u headroom.UserStatus) bool { return u.User == user })
		if i < 0 || !w.snapshot.Users[i].Present() || !w.snapshot.Complete() {
			continue // a user that is not in the snapshot has no prediction
		}
		predicted, granted := w.snapshot.Users[i].EffectiveHeadroom > 0, w.server.CanOpen("LAB", id)
		if predicted == granted {
			w.right++
			continue
		}
		if reason := w.explain(id, predicted, now); reason != "" {
			w.explained++
			w.why[reason]++
			if predicted {
				w.promised++
			}
			continue
		}
		w.t.Fatalf("%s %s: %+v, but a login is granted: %t (%d rows)", now.Format(time.DateTime), moment, w.snapshot.Users[i], granted, w.server.UsageRows("LAB", id))
	}
}

// explain returns the event, unknown to the exporter, that makes a prediction
// wrong, or "".
func (w *world) explain(user string, predicted bool, now time.Time) string {
	if w.look(user) != w.before[user] {
		return "something happened since the last answer"
	}
	if w.rows && w.snapshot.UsageKnown && w.snapshot.UsagePlausible {
		return ""
	}
	for _, m := range []misled{restarted, outage, tooShort, noOrder, noSlot} {
		if lasts(w.misled[user][m], now) && (predicted && m.tooMuch || !predicted && m.tooLittle) {
			return m.because
		}
	}
	return ""
}

func (w *world) report() {
	total := w.right + w.explained
	percent := func(n int) float64 { return 100 * float64(n) / float64(total) }
	w.t.Logf("%.2f %% of %d predictions right; %.2f %% promise a slot that is not free", percent(w.right), total, percent(w.promised))
	if percent(w.promised) > 1 {
		w.t.Errorf("%.2f %% of predictions promise a slot that is not free, want at most 1 %%", percent(w.promised))
	}
	for _, reason := range slices.Sorted(maps.Keys(w.why)) {
		w.t.Logf("%7d wrong because %s", w.why[reason], reason)
	}
	if total < 1000 {
		w.t.Errorf("only %d predictions", total)
	}
}
