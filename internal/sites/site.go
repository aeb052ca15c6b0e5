// Package sites runs the configured sites. Each site has a client, collectors, and
// followers of its audit logs. A new configuration replaces only the sites that
// changed.
package sites

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/guard"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Site is a served site.
type Site struct {
	Config   config.Site
	Client   *site.Site
	Recent   *page.Recent // wraps the client for scrapes and the sessions page
	Exporter *collector.Exporter

	followers []*auditlog.Follower
	denials   *collector.Denials
	guard     *guard.Guard // nil if it is off
	logger    log.Logger
	key       []byte // for hashing users; nil if there is none

	stop, stopGuard     context.CancelFunc
	background, guarded sync.WaitGroup // what stop and stopGuard stop
	inUse               sync.WaitGroup // requests that use the site
}

// open creates everything that a site needs, but starts nothing. An error names the
// setting to change.
func open(settings config.Site, guarding Guarding, logger log.Logger) (*Site, error) {
	if settings.Name != "" {
		logger = log.With(logger, "site", settings.Name)
	}
	run := settings.Run()
	metrics, err := settings.Metrics()
	if err != nil {
		return nil, err
	}
	s := &Site{Config: settings, logger: logger, key: metrics.Users.Labels.Key}
	byNode := make(map[string]collector.AuditLog)
	for node, glob := range settings.AuditLogs() {
		follower, err := auditlog.New(auditlog.Config{Node: node, Glob: glob, Logger: logger})
		if err != nil {
			return nil, &config.Error{Flag: "qlik.audit-log", Err: err}
		}
		s.followers = append(s.followers, follower)
		byNode[node] = follower
	}
	s.denials = collector.NewDenials(byNode)
	metrics.Denials = s.denials
	metrics.Lifetimes = collector.NewSessionDuration()
	run.Logger = logger
	run.SessionEnded = metrics.Lifetimes.Ended
	run.Refused = func(now time.Time, _ *qlik.Licenses) qlik.Refusals { return s.denials.Refused(now) }
	if s.Client, err = site.New(run); err != nil {
		return nil, err
	}
	metrics.Ran = s.Client.CollectorRan
	s.Recent = page.NewRecent(s.Client)
	var scraped collector.Site = s.Recent
	if s.guard = newGuard(s, guarding); s.guard != nil {
		scraped, metrics.Guard = scrapes{s.Recent, s.guard}, s.guard.Counts
	}
	if s.Exporter, err = collector.NewExporter(scraped, metrics); err != nil {
		s.Client.Close()
		return nil, err
	}
	return s, nil
}

// start starts the background work, which runs until close.
func (s *Site) start() {
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background()) //nolint:forbidigo // close cancels it
	s.background.Go(func() { s.Client.Run(ctx) })
	if s.guard != nil {
		var ofGuard context.Context
		ofGuard, s.stopGuard = context.WithCancel(ctx)
		s.guarded.Go(func() { s.guard.Run(ofGuard, s) })
	}
	if !s.Config.Enabled("denials") {
		return
	}
	for _, follower := range s.followers {
		s.background.Go(func() { follower.Run(ctx, s.denied) })
	}
	started := time.Now()
	s.background.Go(func() { s.recall(ctx, started) })
}

// recall adds the refused logins of the day before the start, one log after the other. The
// followers report the later ones.
func (s *Site) recall(ctx context.Context, started time.Time) {
	for node, glob := range s.Config.AuditLogs() {
		err := auditlog.Past(ctx, glob, started.Add(-24*time.Hour), func(denial auditlog.Denial) {
			if !denial.Time.After(started) {
				s.denials.Recall(denial)
			}
		})
		if errors.Is(err, auditlog.ErrPast) { // the follower logs all other errors
			_ = level.Info(s.logger).Log("msg", "The audit log is too large to find all refused logins of the day before the start", "node", node, "file", glob)
		}
	}
}

// denied counts a refused login.
func (s *Site) denied(denial auditlog.Denial) {
	s.denials.Denied(denial, s.Client.Licenses().Before(denial.Time, denial.User.Counted()))
}

// close stops the guard at once, because its settings are no longer in use. It waits for the
// requests in progress, so that they return correct numbers, and then stops everything else
// that the site runs.
func (s *Site) close() {
	if s.stopGuard != nil {
		s.stopGuard()
	}
	s.inUse.Wait()
	if s.stop != nil {
		s.stop()
	}
	s.background.Wait()
	s.guarded.Wait()
	s.Client.Close()
}

// ServiceAccounts returns the users whose sessions are never ended: those that are named, and
// those that the services of this machine run as.
func (s *Site) ServiceAccounts() []qlik.User {
	return slices.Concat(s.Config.ServiceAccount, s.Client.ServiceUsers())
}

// ReadNow reads the site with requests that are sent after the call. The pages then show the
// result.
func (s *Site) ReadNow(ctx context.Context) *headroom.Snapshot {
	snapshot := s.Client.ReadNow(ctx)
	s.Recent.Show(snapshot)
	return snapshot
}

// EndSession ends a session on every link of the snapshot that lists it.
func (s *Site) EndSession(ctx context.Context, snapshot *headroom.Snapshot, id qlik.SessionID) (ended bool, err error) {
	return s.Client.EndSession(ctx, snapshot, id)
}

// Page returns the site for the sessions page.
func (s *Site) Page() page.Site {
	shown := page.Site{
		Recent:          s.Recent,
		Hosts:           s.Config.Hosts(),
		ServiceAccounts: s.ServiceAccounts(),
		NamesHidden:     s.Config.NamesHidden(),
		AuditLog:        len(s.followers) > 0 && s.Config.Enabled("denials"),
	}
	if len(s.Config.Host) > 0 {
		shown.Find = s.Client.FindUsers
	}
	if s.key != nil {
		shown.Hash = func(user qlik.User) string { return collector.HashUser(s.key, user) }
	}
	return shown
}
