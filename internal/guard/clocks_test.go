package guard

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// noon is the time of all clocks at the start.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// world is a site with two clocks: that of the exporter and that of the repository. Its
// snapshots are made by hand.
type world struct {
	t         *testing.T
	guard     *Guard
	state     *headroom.State
	real      time.Duration // since the start, whatever the clocks say
	suspended time.Duration // of it, for which the machine of the exporter was suspended

	exporter, repository time.Duration // by which the clocks are ahead

	timeout time.Duration // of the virtual proxy
	noRows  bool          // the repository does not answer
	windows []*window
	next    int // number of the next window
	reads   int
	between func()    // before the second read; nil for nothing
	ending  func()    // before a session ends; nil for nothing
	printed io.Writer // gets the user of each ended session; nil for nothing

	mu    sync.Mutex // guards windows and ended while sessions end
	ended []ended
}

// ended is a session that has ended.
type ended struct {
	window

	at time.Duration // since the start
}

// window is a session of a user, with one usage row.
type window struct {
	id, user string
	node     int
	recorded time.Time     // last activity in the row
	used     time.Duration // when it was really used
	open     bool          // an open dashboard: it does not time out
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, timeout: 30 * time.Minute, state: headroom.New(headroom.Config{Limit: headroom.DefaultLimit, CoolingTime: headroom.DefaultCoolingTime})}
	config := Config{
		Idle: 10 * time.Minute, CoolingTime: headroom.DefaultCoolingTime, Logger: log.NewNopLogger(),
		Journal: &memoryJournal{now: w.now}, Now: w.now, Uptime: func() time.Duration { return w.real - w.suspended },
	}
	if change != nil {
		change(&config)
	}
	w.guard = New(config)
	w.guard.site = w
	for i := range 12 {
		w.login(fmt.Sprint("busy", i))
	}
	return w
}

// now returns the time by the clock of the exporter, without a monotonic clock, which would
// hide its jumps.
func (w *world) now() time.Time { return noon.Add(w.real + w.exporter) }

func (w *world) login(user string) *window {
	w.next++
	opened := &window{id: fmt.Sprint("session", w.next), user: user, node: w.next % 2}
	w.windows = append(w.windows, opened)
	w.use(opened)
	return opened
}

func (w *world) use(each *window) {
	each.used, each.recorded = w.real, noon.Add(w.real+w.repository)
}

// of returns the windows of a user.
func (w *world) of(user string) []*window {
	var all []*window
	for _, each := range w.windows {
		if each.user == user {
			all = append(all, each)
		}
	}
	return all
}

// pass lets time pass. Windows time out. Twelve users act every thirty seconds, and the guard looks as often.
func (w *world) pass(d time.Duration, each func()) {
	for end := w.real + d; w.real < end; w.real += 30 * time.Second {
		w.windows = slices.DeleteFunc(w.windows, func(each *window) bool { return w.real-each.used > w.timeout && !each.open })
		for i := range 12 {
			for _, busy := range w.of(fmt.Sprint("busy", i)) {
				w.use(busy)
			}
		}
		if each != nil {
			each()
		}
		w.guard.look(w.t.Context(), w.observe())
	}
}

func (w *world) observe() *headroom.Snapshot {
	now := w.now()
	round := headroom.Round{Asked: now, Heard: now, Licenses: &qlik.Licenses{ReadAt: now, Certain: true, Holders: make(map[qlik.User]qlik.LicenseSet)}}
	for _, node := range []string{"qlik1", "qlik2"} {
		round.Links = append(round.Links, headroom.LinkResult{Link: qlik.Link{Node: node, VirtualProxy: "/", InactivityTimeout: w.timeout}})
	}
	var rows []qlik.UsageRow
	for _, each := range w.windows {
		link, user := &round.Links[each.node], qlik.NewUser("LAB", each.user)
		link.Sessions = append(link.Sessions, qlik.Session{ID: qlik.SessionID(each.id), User: user, Link: &link.Link})
		rows = append(rows, qlik.UsageRow{Session: qlik.SessionID(each.id).Key(), User: user, License: qlik.LicenseAnalyzer, LastActivity: each.recorded, Started: noon})
		round.Licenses.Holders[user] = qlik.NewLicenseSet(qlik.LicenseAnalyzer)
	}
	if !w.noRows {
		round.Usage = headroom.NewUsage(rows, now, now)
	}
	snapshot, state := w.state.Observe(round)
	w.state = state
	return snapshot
}

// ReadNow implements Site.
func (w *world) ReadNow(context.Context) *headroom.Snapshot {
	w.reads++
	if w.between != nil {
		w.between()
	}
	return w.observe()
}

// clocksMayDiffer is by how much less than the idle time a session may really have been idle:
// activity that is recorded late by less counts as recorded at once.
const clocksMayDiffer = time.Minute

// EndSession implements Site. It checks that the session was not in use.
func (w *world) EndSession(_ context.Context, _ *headroom.Snapshot, id qlik.SessionID) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending != nil {
		w.ending()
	}
	for i, each := range w.windows {
		if each.id != string(id) {
			continue
		}
		if idle := w.real - each.used; idle < w.guard.config.Idle-clocksMayDiffer {
			w.t.Errorf("after %s, %s of %s ended, which was used %s ago", w.real, each.id, each.user, idle)
		}
		w.windows = slices.Delete(w.windows, i, i+1)
		w.ended = append(w.ended, ended{*each, w.real})
		if w.printed != nil {
			_, _ = fmt.Fprintln(w.printed, "ended", each.user)
		}
		return true, nil
	}
	return false, nil
}

// ServiceAccounts implements Site.
func (w *world) ServiceAccounts() []qlik.User { return nil }

// TestClocks checks that no session ends that was used lately, when a clock jumps. Anna opens
// four windows and uses each of them every seven minutes, until the clocks jump and a while
// longer.
func TestClocks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		jump func(w *world, by time.Duration)
	}{
		{"no jump", func(*world, time.Duration) {}},
		{"the exporter ahead", func(w *world, by time.Duration) { w.exporter += by }}, // the repository is late
		{"the exporter back", func(w *world, by time.Duration) { w.exporter -= by }},
		{"the repository ahead", func(w *world, by time.Duration) { w.repository += by }},
		{"the repository back", func(w *world, by time.Duration) { w.repository -= by }},
		{"both ahead", func(w *world, by time.Duration) { w.exporter += by; w.repository += by }},
		{"both back", func(w *world, by time.Duration) { w.exporter -= by; w.repository -= by }},
		{"both a minute ahead", func(w *world, _ time.Duration) { w.exporter += time.Minute; w.repository += time.Minute }},
		{"the machine of the exporter suspended", func(w *world, by time.Duration) { w.suspended += by; w.real += by }},
		{"the exporter ahead and back", func(w *world, by time.Duration) {
			w.exporter += by
			w.pass(time.Minute, nil)
			w.exporter -= by
		}},
		{"the repository late for a while", func(w *world, by time.Duration) {
			w.repository -= by
			w.pass(10*time.Minute, nil)
			w.repository += by
		}},
	} {
		for i := range 4 {
			by, between := 15*time.Minute, i%2 == 1
			if i >= 2 {
				by = time.Hour
			}
			t.Run(fmt.Sprint(test.name, " by ", by, ", between the reads ", between), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil)
				w.pass(70*time.Minute, nil)
				for range 4 {
					w.login("anna")
					w.pass(time.Minute, nil)
				}
				n := -1
				use := func() {
					if n++; n%14 < len(w.of("anna")) {
						w.use(w.of("anna")[n%14])
					}
				}
				w.pass(30*time.Minute, use)
				if len(w.ended) > 0 {
					t.Fatalf("%v have ended before the jump", w.ended)
				}
				if between {
					// Bert has a window that may end, so that there is a second read.
					for range 3 {
						w.login("bert")
					}
					w.pass(12*time.Minute, func() { w.use(w.of("bert")[2]); use() })
					w.between = func() {
						w.between = nil
						test.jump(w, by)
					}
					w.login("bert")
					w.pass(time.Minute, use)
					if w.reads == 0 {
						t.Fatal("there was no second read")
					}
				} else {
					test.jump(w, by)
				}
				before := len(w.ended)
				w.pass(25*time.Minute, use)
				for len(w.of("anna")) < 4 {
					w.login("anna")
				}
				last := w.of("anna")[3]
				w.pass(30*time.Minute, func() { w.use(last) })
				if test.name == "no jump" && len(w.ended) == before {
					t.Errorf("no window ended that Anna has left; held back %v", w.guard.Counts().HeldBack)
				}
			})
		}
	}
}

// TestCreepingClock checks that many small steps of the clock count as a jump.
func TestCreepingClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.pass(70*time.Minute, nil)
	for range 4 {
		w.login("anna")
		w.pass(time.Minute, nil)
	}
	n := 0
	w.pass(2*time.Hour, func() {
		w.exporter += 4 * time.Second
		w.repository += 4 * time.Second
		if n++; n%18 < len(w.of("anna")) { // every nine minutes
			w.use(w.of("anna")[n%18])
		}
	})
	if held := w.guard.Counts().HeldBack[string(ClockJumped)]; len(w.ended) > 0 || held == 0 {
		t.Errorf("%v have ended, held back %d times", w.ended, held)
	}
}

// TestRandomClocks lets clocks jump at random.
func TestRandomClocks(t *testing.T) {
	t.Parallel()
	seeds := 24
	if testing.Short() {
		seeds = 4
	}
	ended := 0
	for seed := range seeds {
		random := rand.New(rand.NewPCG(uint64(seed), 21))
		w := newWorld(t, nil)
		jump := func() {
			by := time.Duration((random.Float64()*2 - 1) * float64([]time.Duration{20 * time.Second, 5 * time.Minute, 2 * time.Hour}[random.IntN(3)]))
			switch random.IntN(4) {
			case 0:
				w.exporter += by
			case 1:
				w.repository += by
			case 2:
				w.exporter += by
				w.repository += by
			default:
				w.exporter, w.repository = 0, 0 // somebody corrects the clocks
			}
		}
		w.between = func() {
			if random.IntN(10) == 0 {
				jump()
			}
		}
		w.pass(70*time.Minute, nil)
		w.pass(6*time.Hour, func() {
			for i := range 6 {
				user := fmt.Sprint("user", i)
				switch windows := w.of(user); {
				case random.IntN(8) > 0:
				case len(windows) < 4 || len(windows) < 5 && random.IntN(20) == 0:
					w.login(user)
				default:
					w.use(windows[random.IntN(len(windows))])
				}
			}
			if seed%3 > 0 && random.IntN(200) == 0 {
				jump()
			}
		})
		ended += len(w.ended)
	}
	t.Logf("%d sessions ended in %d days", ended, seeds)
	if ended == 0 {
		t.Error("no session has ended")
	}
}
