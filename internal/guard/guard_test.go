package guard

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guarded is a simulated site with a guard. Ten users act every thirty seconds, and the site
// is scraped as often.
type guarded struct {
	*site.Site

	t        *testing.T
	server   *qliktest.Site
	guard    *Guard
	journal  *journal.Journal
	stopFile string
	busy     []string // sessions of users who act
	accounts []qlik.User
	stopRun  func() // stops the guard, and returns when it has stopped

	// What happens around the second reads and the endings; nil for nothing.
	between, afterRead func(n int) // n counts the second reads from 1
	ending             func(n int) // n counts the endings from 1
	reads              atomic.Int64
	checked            bool // endings are checked

	mu      sync.Mutex // guards the fields below
	endings []time.Time
}

// ReadNow implements Site.
func (g *guarded) ReadNow(ctx context.Context) *headroom.Snapshot {
	n := int(g.reads.Add(1))
	if g.between != nil {
		g.between(n)
	}
	snapshot := g.Site.ReadNow(ctx)
	if g.afterRead != nil {
		g.afterRead(n)
	}
	return snapshot
}

// EndSession implements Site. It checks that the session may end.
func (g *guarded) EndSession(ctx context.Context, snapshot *headroom.Snapshot, id qlik.SessionID) (bool, error) {
	g.mu.Lock()
	g.endings = append(g.endings, time.Now())
	n := len(g.endings)
	g.mu.Unlock()
	if g.ending != nil {
		g.ending(n)
	}
	if g.checked {
		g.check(string(id))
	}
	return g.Site.EndSession(ctx, snapshot, id)
}

// check checks that a session was not used for ten minutes, that its user has one slot left
// and used another session later, and that the journal says that it ends.
func (g *guarded) check(id string) {
	all := g.server.Sessions()
	i := slices.IndexFunc(all, func(s qliktest.Session) bool { return s.ID == id })
	if i < 0 {
		g.t.Errorf("a session ends that does not exist")
		return
	}
	ended := all[i]
	if idle := time.Since(ended.LastActivity); idle < 10*time.Minute {
		g.t.Errorf("a session of %s ends that was used %s ago", ended.UserID, idle)
	}
	if rows := g.server.UsageRows(ended.Directory, ended.UserID); rows != 4 {
		g.t.Errorf("a session of %s ends, who takes %d slots", ended.UserID, rows)
	}
	user := qlik.NewUser(ended.Directory, ended.UserID)
	if !slices.ContainsFunc(all, func(s qliktest.Session) bool {
		return qlik.NewUser(s.Directory, s.UserID) == user && s.LastActivity.After(ended.LastActivity)
	}) {
		g.t.Errorf("the most recent session of %s ends", ended.UserID)
	}
	if !slices.ContainsFunc(g.journal.Recent(), func(r journal.Recent) bool { return r.User == user.String() && r.By == By }) {
		g.t.Errorf("the journal does not say that a session of %s ends", ended.UserID)
	}
}

// ServiceAccounts implements Site.
func (g *guarded) ServiceAccounts() []qlik.User { return g.accounts }

// start starts a site with a guard, and watches it until the guard may act. It must be
// called in synctest.
func start(t *testing.T, change func(*Config), site func(*qliktest.Config, *site.Config)) *guarded {
	t.Helper()
	dir := t.TempDir()
	g := &guarded{t: t, checked: true, stopFile: filepath.Join(dir, "stop")}
	g.server, g.Site = sessionstest.Start(t, site)
	var err error
	if g.journal, err = journal.Open(journal.Config{Path: filepath.Join(dir, "journal.jsonl"), Logger: log.NewNopLogger()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.journal.Close() })
	config := Config{
		Idle: 10 * time.Minute, CoolingTime: 5 * time.Minute, Places: sessions.PlaceFilter{VirtualProxies: []string{"/", "/sales"}},
		StopFile: g.stopFile, Journal: g.journal, Logger: log.NewNopLogger(),
	}
	if change != nil {
		change(&config)
	}
	g.guard = New(config)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		g.guard.Run(ctx, g)
	}()
	g.stopRun = func() {
		cancel()
		<-done
	}
	t.Cleanup(g.stopRun)
	for i := range 10 {
		g.busy = append(g.busy, g.login(fmt.Sprint("busy", i), "desk", ""))
	}
	g.pass(36 * time.Minute)
	return g
}

// login opens a window.
func (g *guarded) login(id, device, prefix string) string {
	g.t.Helper()
	return sessionstest.Login(g.t, g.server, id, device, prefix, "qlik1").ID
}

// pass lets time pass. The windows in use are used all the time.
func (g *guarded) pass(d time.Duration, inUse ...string) {
	g.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(30 * time.Second) {
		for _, id := range slices.Concat(g.busy, inUse) {
			g.server.Touch(id)
		}
		g.scrape()
	}
}

func (g *guarded) scrape() {
	g.guard.Saw(g.Snapshot(g.t.Context()))
	synctest.Wait()
}

// exists returns which of some windows exist, as a list of their numbers.
func (g *guarded) exist(windows []string) string {
	exists := make(map[string]bool)
	for _, session := range g.server.Sessions() {
		exists[session.ID] = true
	}
	var left []string
	for i, id := range windows {
		if exists[id] {
			left = append(left, fmt.Sprint(i))
		}
	}
	return strings.Join(left, " ")
}

// heldBack returns the reasons that were counted.
func (g *guarded) heldBack() string {
	var why []string
	counts := g.guard.Counts().HeldBack
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		if counts[reason] > 0 {
			why = append(why, fmt.Sprint(reason, " ", counts[reason]))
		}
	}
	return strings.Join(why, ", ")
}

// TestGuard checks which windows the guard ends. Anna opens them a minute apart, and uses
// only the last one.
func TestGuard(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		windows  int
		change   func(*Config)
		site     func(*qliktest.Config, *site.Config)
		before   func(g *guarded)
		left     string // windows
		ended    uint64
		heldBack string
	}{
		{name: "three windows", windows: 3, left: "0 1 2"},
		{name: "four windows", windows: 4, left: "1 2 3", ended: 1, heldBack: "in_use 1"},
		{name: "five windows", windows: 5, left: "0 1 2 3 4", heldBack: "in_use 1"},
		{name: "dry run", windows: 4, change: func(c *Config) { c.DryRun = true }, left: "0 1 2 3", ended: 1, heldBack: "in_use 1"},
		{
			name: "another virtual proxy", windows: 4, change: func(c *Config) { c.Places.VirtualProxies = []string{"sales"} },
			left: "0 1 2 3", heldBack: "in_use 1, virtual_proxy 1",
		},
		{
			name: "a service account", windows: 4, before: func(g *guarded) { g.accounts = []qlik.User{qlik.NewUser("LAB", "anna")} },
			left: "0 1 2 3", heldBack: "never_ended 1",
		},
		{
			name: "the stop file", windows: 4, before: func(g *guarded) {
				if err := os.WriteFile(g.stopFile, nil, 0o600); err != nil {
					g.t.Fatal(err)
				}
			}, left: "0 1 2 3", heldBack: "stop_file 1",
		},
		{
			name: "a node fails", windows: 4, before: func(g *guarded) { g.server.SetProxyFault("qlik3", qliktest.ServerError) },
			left: "0 1 2 3", heldBack: "incomplete 1",
		},
		{
			name: "no usage rows", windows: 4, before: func(g *guarded) { g.server.SetRepositoryFault("qlik1", qliktest.ServerError) },
			left: "0 1 2 3", heldBack: "rows_unknown 1",
		},
		{
			name: "activity every ten minutes", windows: 4, site: func(c *qliktest.Config, _ *site.Config) { c.Activity = qliktest.ActivityEvery10Minutes },
			left: "0 1 2 3", heldBack: "activity_rare 1",
		},
		{
			name: "activity at the start only", windows: 4, site: func(c *qliktest.Config, _ *site.Config) { c.Activity = qliktest.ActivityAtStart },
			left: "0 1 2 3", heldBack: "activity_rare 1, activity_unknown 1",
		},
		{
			name: "a full journal", windows: 4, before: func(g *guarded) { _ = g.journal.Close() },
			left: "0 1 2 3", heldBack: "in_use 1, not_recorded 1",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := start(t, test.change, test.site)
				if test.before != nil {
					test.before(g)
				}
				var windows []string
				for i := range test.windows {
					windows = append(windows, g.login("anna", fmt.Sprint(i), ""))
					g.pass(time.Minute, windows[i])
				}
				g.pass(15*time.Minute, windows[test.windows-1])
				if left := g.exist(windows); left != test.left {
					t.Errorf("the windows %s are left, want %s", left, test.left)
				}
				if ended := g.guard.Counts().Ended; ended != test.ended {
					t.Errorf("%d sessions ended, want %d", ended, test.ended)
				}
				if why := g.heldBack(); why != test.heldBack {
					t.Errorf("held back: %s, want %s", why, test.heldBack)
				}
			})
		})
	}
}
