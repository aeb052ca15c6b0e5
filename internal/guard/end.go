package guard

import (
	"context"
	"errors"
	"time"

	"github.com/go-kit/log/level"
	"golang.org/x/sync/errgroup"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// end reads the site again, and ends what it still chooses.
func (g *Guard) end(ctx context.Context, rules *rules, choices []choice) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	begun := g.config.Now()
	snapshot := g.site.ReadNow(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the exporter is stopping
	}
	again, why := g.chooseAgain(rules, choices, snapshot, begun)
	if ctx.Err() != nil {
		why = Incomplete // the read took too long
	}
	var requests errgroup.Group
	requests.SetLimit(maxAtOnce)
	failures := make([]Reason, len(choices))
	users := usersWithSessions(snapshot)
	for i, chosen := range choices {
		switch now, is := again[chosen.user]; {
		case why != "":
			failures[i] = why
		case !is || now.session.ID != chosen.session.ID || !now.last.Equal(chosen.last):
			failures[i] = Changed
		default:
			requests.Go(func() error {
				failures[i] = g.endOne(ctx, &now, snapshot, users, begun)
				return nil // the reason is kept
			})
		}
	}
	_ = requests.Wait()
	for i, chosen := range choices {
		if failures[i] != "" {
			g.heldBack(chosen.user, failures[i])
		}
		if failures[i] == "" || failures[i] == Failed {
			g.shadows.add(&chosen, g.config.Now(), failures[i] == Failed)
		}
	}
}

// chooseAgain chooses for the same users by a second read.
func (g *Guard) chooseAgain(rules *rules, before []choice, snapshot *headroom.Snapshot, begun time.Time) (map[qlik.User]choice, Reason) {
	if !snapshot.Up() {
		return nil, Incomplete
	}
	if why := g.hold(rules, snapshot); why != "" {
		return nil, why
	}
	if snapshot.UsageAskedAt().Before(begun) || snapshot.Time.Before(begun) {
		return nil, RowsUnknown
	}
	var users []qlik.User
	for i := range before {
		users = append(users, before[i].user)
	}
	facts := snapshot.FactsOf(users)
	listed := rules.listedSessions(snapshot, facts)
	again := make(map[qlik.User]choice)
	for user, of := range facts {
		status := snapshot.Of(user)
		if !g.hasOneLeft(&status, of) {
			continue
		}
		if chosen, why := rules.choose(&status, of, listed, g.shadows.goneOf(user), snapshot); why == "" {
			again[user] = chosen
		}
	}
	return again, ""
}

// endOne records that a session ends, and ends it. It returns why it did not end, or "". The
// second read began at begun.
func (g *Guard) endOne(ctx context.Context, chosen *choice, snapshot *headroom.Snapshot, users int, begun time.Time) Reason {
	intent := g.intent(chosen, By)
	id, err := g.config.Journal.Begin(intent, func(recent []journal.Recent) error {
		if journal.Stopped(g.config.StopFile) {
			return heldBackError(StopFile)
		}
		if why := limitReached(recent, &intent, users); why != "" {
			return heldBackError(why)
		}
		if endedSince(recent, &intent, begun.Add(-lookInterval)) {
			return heldBackError(Changed)
		}
		return ctx.Err() // the read is too old, or the exporter is stopping
	})
	switch why, isReason := errors.AsType[heldBackError](err); {
	case isReason:
		return Reason(why)
	case ctx.Err() != nil && err != nil:
		return Changed
	case err != nil:
		_ = level.Error(g.config.Logger).Log("msg", "The guard ended nothing, because it could not be recorded", "err", err)
		return NotRecorded
	}
	ended, err := g.site.EndSession(ctx, snapshot, chosen.session.ID)
	var result journal.Result
	what := "The guard ended an idle session"
	switch {
	case err != nil:
		result.Failed = 1
		what = "The guard could not end an idle session"
	case ended:
		result.Ended = 1
		g.counts.ended()
	default:
		result.AlreadyGone = 1
		what = "An idle session ended before the guard could end it"
	}
	_ = level.Info(g.config.Logger).Log("msg", what, "node", chosen.session.Link.Node, "virtual_proxy", chosen.session.Link.VirtualProxy,
		"idle", chosen.idle.Round(time.Second), "err", err)
	if err := g.config.Journal.Finish(id, result); err != nil {
		_ = level.Error(g.config.Logger).Log("msg", "The result of an ending could not be recorded", "err", err)
	}
	if result.Failed > 0 {
		return Failed
	}
	return ""
}
