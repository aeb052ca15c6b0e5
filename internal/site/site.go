// Package site runs one Qlik Sense site: when it is asked what, who waits for how
// long, and what stays in use while it does not answer. How to ask is the business
// of package qlik, what follows from the answers that of package headroom.
package site

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Config is how a site is reached and counted.
type Config struct {
	Client   qlik.Config // its Now is the clock of the whole site
	Headroom headroom.Config
	Licenses bool // read who holds a license, and usage rows, if there is a repository

	Logger log.Logger // nil logs nothing
	// SessionEnded is told how long a session lived that ended, if its start was
	// seen. May be nil.
	SessionEnded func(life time.Duration)
}

// Site is a site that runs. It is safe for use by several goroutines.
//
// Of the mutexes below it, that of flights is taken before that of links. Each of
// the others is held alone, and none while Qlik is asked or a snapshot is made.
type Site struct {
	client     *qlik.Client
	work       *work
	changes    *changes
	repository *repository
	flights    *flights
}

// New makes a site. It reads the certificates and asks nobody. The error is a
// *qlik.ConfigError. The caller must Close the site.
func New(config Config) (*Site, error) {
	if config.Headroom.Limit == 0 {
		config.Headroom.Limit = headroom.DefaultLimit
	}
	if config.Headroom.CoolingTime == 0 {
		config.Headroom.CoolingTime = headroom.DefaultCoolingTime
	}
	if config.Logger == nil {
		config.Logger = log.NewNopLogger()
	}
	client, err := qlik.NewClient(config.Client)
	if err != nil {
		return nil, err
	}
	if err := client.Reload(); err != nil {
		return nil, err
	}
	s := &Site{client: client, work: newWork(), changes: &changes{logger: config.Logger}}
	s.repository = newRepository(client, s.work, s.changes, config.Licenses)
	s.flights = newFlights(s.repository, newLinks(client, s.work), s.changes, headroom.New(config.Headroom), config.SessionEnded)
	return s, nil
}

// Close ends what is under way and closes the connections.
func (s *Site) Close() {
	s.work.end()
	s.client.Close()
}

// Run keeps the topology and the service states fresh until ctx ends, and ends
// with it whatever the site has under way. Without Run they are read when first
// needed, and stay as they are.
func (s *Site) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, s.work.cancel)()
	ticker := time.NewTicker(servicesInterval)
	defer ticker.Stop()
	for {
		s.Refresh()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Refresh reads from the repository what is due: the service states always, the
// topology and the licenses when they are old.
func (s *Site) Refresh() { s.repository.refresh() }

// ReadAhead reads what is due from the repository, usage rows included, and waits
// for it, which Snapshot does only for a moment. It is for a program that asks
// once: when ctx ends meanwhile, so does whatever the site has under way.
func (s *Site) ReadAhead(ctx context.Context) {
	defer context.AfterFunc(ctx, s.work.cancel)()
	s.repository.refresh()
	<-s.repository.refreshUsage() //nolint:contextcheck // ends with the site
}

// Snapshot asks all links of the site at once and returns when all have
// answered, or when ctx ends, with what is known by then. Overlapping calls
// share one flight, each taking from it what is there at its own deadline; a
// caller that leaves or is in a hurry takes nothing from the others.
func (s *Site) Snapshot(ctx context.Context) *headroom.Snapshot { return s.flights.snapshot(ctx) }

// Status returns what is known of the client and of the repository now.
func (s *Site) Status() collector.Status {
	links, refreshed := s.repository.status()
	return collector.Status{
		Repositories:    repositories(s.client.Repositories(), links),
		Refreshed:       refreshed,
		Requests:        s.client.Requests(),
		Skipped:         s.client.Skipped(),
		SharedSnapshots: s.flights.shared.Load(),
		Certificates:    s.client.Certificates(),
	}
}

// repositories names the hosts as the nodes of links are named; where a host has
// several repositories, by their addresses.
func repositories(hosts []qlik.RepositoryStatus, links []qlik.Link) []collector.RepositoryStatus {
	statuses := make([]collector.RepositoryStatus, 0, len(hosts))
	for _, host := range hosts {
		node := qlik.NodeOf(qlik.HostOf(host.Host), links)
		if slices.ContainsFunc(statuses, func(s collector.RepositoryStatus) bool { return s.Node == node }) {
			node = host.Host
		}
		statuses = append(statuses, collector.RepositoryStatus{Node: node, Up: host.Up, CertificateExpiry: host.CertificateExpiry})
	}
	return statuses
}

// CollectorRan is to be told how each run of a collector went. It logs what
// changes.
func (s *Site) CollectorRan(name string, err error) {
	s.changes.log("collector "+name, textOf(err), nil, func(logger log.Logger) {
		_ = level.Error(logger).Log("msg", "Collector failed", "collector", name, "err", err)
	})
}

// FindUsers asks the repository for users by a part of their names.
func (s *Site) FindUsers(ctx context.Context, text string) ([]qlik.KnownUser, error) {
	return s.client.FindUsers(ctx, text)
}

// EndSession ends a session on every link of the snapshot that lists it. It
// returns false if none of them knew the session any more. An error is one
// *qlik.Error or wraps several.
func (s *Site) EndSession(ctx context.Context, snapshot *headroom.Snapshot, id qlik.SessionID) (ended bool, err error) {
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		if !slices.ContainsFunc(link.Sessions, func(session qlik.Session) bool { return session.ID == id }) {
			continue
		}
		here, failure := s.client.EndSession(ctx, &link.Link, id)
		ended = ended || here
		if failure != nil && err != nil {
			failure = fmt.Errorf("%w; %w", err, failure)
		}
		if failure != nil {
			err = failure
		}
	}
	s.repository.hurryUsage()
	return ended, err
}
