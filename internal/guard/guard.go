// Package guard ends idle sessions before Qlik refuses a login: the longest idle session of
// each user with exactly one slot left. In a dry run it only tells what it would end.
//
// The guard looks at snapshots that scrapes made. It does nothing unless the snapshot is
// complete and tells for certain which sessions are idle. Before it ends a session, it reads
// the site again, and it ends only what both reads choose. What it ends is recorded in a
// journal before it ends.
package guard

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	// lookInterval is the minimum time between two looks, however often the site is scraped.
	lookInterval = 15 * time.Second
	// endTimeout is how long the second read and everything that ends may take, so that
	// nothing ends by an old read.
	endTimeout = 20 * time.Second
	// maxPerLook is the maximum number of sessions that end in one look. The others end in
	// the next one.
	maxPerLook = 50
	// maxAtOnce limits the concurrent requests that end sessions.
	maxAtOnce = 8
)

// By and ByDryRun are the names of the guard in the journal.
const (
	By       = "guard"
	ByDryRun = "guard-dry-run"
)

// Site is a site on which sessions end.
type Site interface {
	// ReadNow reads the sessions and the usage rows with requests that are sent after the
	// call.
	ReadNow(ctx context.Context) *headroom.Snapshot
	// EndSession ends a session on every link of the snapshot that lists it. It returns false
	// if it no longer exists.
	EndSession(ctx context.Context, snapshot *headroom.Snapshot, id qlik.SessionID) (ended bool, err error)
	// ServiceAccounts returns the users whose sessions are never ended.
	ServiceAccounts() []qlik.User
}

// Journal records what ends.
type Journal interface {
	// Begin records what is about to end, unless allow returns an error. Nothing may end
	// before it returns.
	Begin(intent journal.Intent, allow func([]journal.Recent) error) (id string, err error)
	// Finish records what happened.
	Finish(id string, result journal.Result) error
	// Recent returns the endings of the last hour.
	Recent() []journal.Recent
	// Check returns an error if nothing could be recorded now.
	Check() error
}

// Config configures a guard.
type Config struct {
	DryRun      bool
	Idle        time.Duration        // how long a session has not been used that ends
	CoolingTime time.Duration        // how long the slot of a session that ended at the limit stays taken
	Places      sessions.PlaceFilter // where sessions end; everywhere if it is empty
	Name        string               // of the site, in the journal
	StopFile    string               // nothing ends while it exists; "" for none
	Journal     Journal              // may be nil in a dry run
	Logger      log.Logger

	Now    func() time.Time     // nil for time.Now
	Uptime func() time.Duration // time since some start, whatever the clock says; nil for the real one
}

// Guard is the guard of a site. Its methods may be called concurrently with Run.
type Guard struct {
	config Config
	newest atomic.Pointer[headroom.Snapshot]
	seen   chan struct{} // tells Run of a new snapshot

	// The following fields belong to the goroutine of Run.
	site     Site
	clock    clock
	watched  time.Time // when plausible usage rows were first seen
	shadows  shadows
	episodes map[qlik.User]map[Reason]bool // of users with one slot left: the reasons that were counted
	dryRun   []journal.Recent              // what the dry run would have ended within the hour

	counts *counts
}

// New returns a guard, which does nothing before Run.
func New(config Config) *Guard {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Uptime == nil {
		start := time.Now()
		config.Uptime = func() time.Duration { return time.Since(start) }
	}
	return &Guard{
		config: config, seen: make(chan struct{}, 1),
		shadows:  shadows{cooling: config.CoolingTime, dryRun: config.DryRun, users: make(map[qlik.User]*shadow)},
		episodes: make(map[qlik.User]map[Reason]bool),
		counts:   newCounts(config.DryRun),
	}
}

// Counts returns what the guard did.
func (g *Guard) Counts() collector.GuardCounts { return g.counts.get() }

// Saw tells the guard of a snapshot that a scrape made.
func (g *Guard) Saw(snapshot *headroom.Snapshot) {
	g.newest.Store(snapshot)
	select {
	case g.seen <- struct{}{}:
	default: // Run will look at the newest one
	}
}

// Run guards a site until ctx ends.
func (g *Guard) Run(ctx context.Context, site Site) {
	g.site = site
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.seen:
		}
		snapshot := g.newest.Swap(nil)
		if snapshot == nil {
			continue // the look before has already seen it
		}
		g.look(ctx, snapshot)
		wait := time.NewTimer(lookInterval)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// look guards the users of a snapshot.
func (g *Guard) look(ctx context.Context, snapshot *headroom.Snapshot) {
	if !snapshot.Up() {
		return
	}
	if g.watched.IsZero() && snapshot.UsageKnown && snapshot.UsagePlausible {
		g.watched = snapshot.Time
	}
	rules := g.rules()
	why := g.hold(rules, snapshot)
	users := g.near(snapshot)
	facts := snapshot.FactsOf(users)
	if why == "" {
		g.counts.add(g.shadows.update(facts))
	}
	var choices []choice
	last := make(map[qlik.User]bool) // users with one slot left
	listed := rules.listedSessions(snapshot, facts)
	for _, user := range users {
		status, of := snapshot.Of(user), facts[user]
		if !g.hasOneLeft(&status, of) {
			continue
		}
		last[user] = true
		if why != "" {
			g.heldBack(user, why)
		} else if chosen, not := rules.choose(&status, of, listed, g.shadows.goneOf(user), snapshot); not != "" {
			g.heldBack(user, not)
		} else {
			choices = append(choices, chosen)
		}
	}
	if snapshot.Complete() {
		for user := range g.episodes {
			if !last[user] {
				delete(g.episodes, user)
			}
		}
	}
	if len(choices) == 0 {
		return
	}
	longestIdleFirst(choices)
	if g.config.DryRun {
		g.pretend(ctx, choices, snapshot)
		return
	}
	if choices = g.allowed(choices, snapshot); len(choices) > 0 {
		g.end(ctx, rules, choices[:min(len(choices), maxPerLook)])
	}
}

// hasOneLeft reports whether a user has one slot left without the sessions that are gone. The
// facts may be nil. Users whom Qlik refuses at any number of sessions, or at none, have none.
func (g *Guard) hasOneLeft(user *headroom.UserStatus, facts *headroom.Facts) bool {
	return facts != nil && user.Limited && user.License != qlik.LicenseNone && g.shadows.left(user.User, facts) == 1
}

// allowed returns the choices that no limit forbids now, and none while nothing can be
// recorded, so that the site is not read again in vain.
func (g *Guard) allowed(choices []choice, snapshot *headroom.Snapshot) []choice {
	recent, users := g.config.Journal.Recent(), usersWithSessions(snapshot)
	unwritable := g.config.Journal.Check() != nil // the journal logs why
	return slices.DeleteFunc(choices, func(chosen choice) bool {
		intent := g.intent(&chosen, By)
		why := limitReached(recent, &intent, users)
		if why == "" && unwritable {
			why = NotRecorded
		}
		if why != "" {
			g.heldBack(chosen.user, why)
		}
		return why != ""
	})
}

func (g *Guard) rules() *rules {
	return &rules{idle: g.config.Idle, places: g.config.Places, serviceAccounts: g.site.ServiceAccounts(), watchedSince: g.watched}
}

// hold returns why nothing may end now, or "".
func (g *Guard) hold(rules *rules, snapshot *headroom.Snapshot) Reason {
	jumped := g.clock.jumped(g.config.Now(), g.config.Uptime(), g.config.Idle)
	switch {
	case journal.Stopped(g.config.StopFile):
		return StopFile
	case jumped:
		return ClockJumped
	default:
		return rules.hold(snapshot)
	}
}

// near returns the users that may have one slot left, and those for whom the guard ended a
// session lately, or would have.
func (g *Guard) near(snapshot *headroom.Snapshot) []qlik.User {
	var users []qlik.User
	for i := range snapshot.Users {
		user := &snapshot.Users[i]
		one := user.Limited && user.EffectiveHeadroom == 1 && user.License != qlik.LicenseNone
		if _, known := g.shadows.users[user.User]; known || one {
			users = append(users, user.User)
		}
	}
	return users
}

// heldBack counts that nothing is done for a user, once until the user no longer has one
// slot left.
func (g *Guard) heldBack(user qlik.User, why Reason) {
	if g.episodes[user][why] {
		return
	}
	if g.episodes[user] == nil {
		g.episodes[user] = make(map[Reason]bool)
	}
	g.episodes[user][why] = true
	g.counts.heldBack(why)
	_ = level.Debug(g.config.Logger).Log("msg", "The guard does nothing for a user with one slot left", "reason", why)
}

func (g *Guard) intent(chosen *choice, by string) journal.Intent {
	return journal.Intent{
		By: by, Site: g.config.Name, User: chosen.user.String(), Sessions: 1, IdleSeconds: int(chosen.idle.Seconds()),
		Places: []journal.Place{{VirtualProxy: chosen.session.Link.VirtualProxy, Node: chosen.session.Link.Node}},
	}
}

func usersWithSessions(snapshot *headroom.Snapshot) int {
	n := 0
	for i := range snapshot.Users {
		if snapshot.Users[i].Sessions > 0 {
			n++
		}
	}
	return n
}
