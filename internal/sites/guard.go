package sites

import (
	"context"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/guard"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Guarding is what the guards of all sites share.
type Guarding struct {
	Journal  guard.Journal // nil for none; then guards only make dry runs
	StopFile string        // "" for none
}

// newGuard returns the guard of a site, or nil if it is off.
func newGuard(s *Site, guarding Guarding) *guard.Guard {
	if s.Config.Guard != config.GuardDryRun && s.Config.Guard != config.GuardOn {
		return nil
	}
	return guard.New(guard.Config{
		DryRun: s.Config.Guard == config.GuardDryRun, Idle: s.Config.GuardIdle, CoolingTime: s.Config.CoolingTime,
		Places: sessions.PlaceFilter{VirtualProxies: s.Config.GuardVirtualProxy},
		Name:   s.Config.Name, StopFile: guarding.StopFile, Journal: guarding.Journal, Logger: s.logger,
	})
}

// scrapes is the site as scrapes read it. It shows their snapshots to the guard.
type scrapes struct {
	*page.Recent

	guard *guard.Guard
}

// Snapshot implements collector.Site.
func (s scrapes) Snapshot(ctx context.Context) *headroom.Snapshot {
	snapshot := s.Recent.Snapshot(ctx)
	s.guard.Saw(snapshot)
	return snapshot
}
