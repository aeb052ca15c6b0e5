package guard

import (
	"context"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// pretend notes what would have ended: in one look as many sessions as would end in it.
func (g *Guard) pretend(ctx context.Context, choices []choice, snapshot *headroom.Snapshot) {
	left := maxPerLook
	users, now := usersWithSessions(snapshot), g.config.Now()
	g.dryRun = slices.DeleteFunc(g.dryRun, func(r journal.Recent) bool { return now.Sub(r.At) > limitedFor })
	for i := range choices {
		if left == 0 || ctx.Err() != nil {
			return
		}
		chosen := &choices[i]
		intent := g.intent(chosen, ByDryRun)
		if why := limitReached(g.dryRun, &intent, users); why != "" {
			g.heldBack(chosen.user, why)
			continue
		}
		left--
		g.dryRun = append(g.dryRun, journal.Recent{At: now, By: intent.By, Site: intent.Site, User: intent.User, Sessions: 1})
		g.shadows.add(chosen, snapshot.Time, false)
		g.counts.ended()
		_ = level.Info(g.config.Logger).Log("msg", "The guard would have ended an idle session", "node", chosen.session.Link.Node,
			"virtual_proxy", chosen.session.Link.VirtualProxy, "idle", chosen.idle.Round(time.Second))
		if g.config.Journal == nil {
			continue
		}
		id, err := g.config.Journal.Begin(intent, nil)
		if err == nil {
			err = g.config.Journal.Finish(id, journal.Result{LeftAlone: 1})
		}
		if err != nil {
			_ = level.Error(g.config.Logger).Log("msg", "What the guard would have ended could not be recorded", "err", err)
		}
	}
}
