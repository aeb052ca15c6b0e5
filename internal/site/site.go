// Package site schedules the requests to one Qlik Sense site. It decides when to send
// requests, how long to wait for responses, and which data stays in use if a source
// does not answer. Package qlik sends the requests. Package headroom computes the
// snapshots.
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

// Config is the configuration of a site.
type Config struct {
	Client   qlik.Config // its Now is the clock of the whole site
	Headroom headroom.Config
	Licenses bool // read license holders and usage rows if a repository is configured
	Engines  bool // ask the engines for their health
	// ServiceUsers finds the users that the services of this machine run as. It is called
	// by Refresh, as often as the licenses are read. It may be nil.
	ServiceUsers func() ([]qlik.User, error)
	// Refused returns the refused logins of the last day before a time. The licenses are the
	// last ones that are known, or nil. It may be nil.
	Refused func(now time.Time, licenses *qlik.Licenses) qlik.Refusals

	Logger log.Logger // nil disables logging
	// SessionEnded is called with the lifetime of each ended session whose start was
	// seen. It may be nil.
	SessionEnded func(lifetime time.Duration)
}

// Site is one Qlik Sense site. It is safe for concurrent use.
//
// Lock order: the mutex of rounds is locked before the mutex of asker. All other
// mutexes are locked alone. No mutex is held during a request or while a snapshot is
// computed.
type Site struct {
	client     *qlik.Client
	work       *work
	changes    *changes
	repository *repository
	rounds     *rounds
}

// New returns a site. It reads the certificates but sends no request. The error is a
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
	s.repository.wantEngines = config.Engines
	if config.ServiceUsers != nil {
		s.repository.findServiceUsers = config.ServiceUsers
	}
	if config.Refused != nil {
		s.repository.refused = config.Refused
	}
	s.rounds = newRounds(s.repository, newAsker(client, s.work), s.changes, headroom.New(config.Headroom), config.SessionEnded)
	return s, nil
}

// Close cancels all requests and closes the connections.
func (s *Site) Close() {
	s.work.end()
	s.client.Close()
}

// Run refreshes the data from the repository in the background until ctx ends. Then it
// cancels all requests of the site. Without Run, the site reads the topology and the
// service states once, when it first needs them.
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

// Refresh reads the service states from the repository. It also reads the topology and
// the licenses if they are due, and then finds service accounts.
func (s *Site) Refresh() {
	s.repository.refresh()
	s.repository.refreshAccounts()
}

// ReadAhead reads the due data and the usage rows from the repository and waits for
// them without a limit of its own. It is for programs that need one snapshot, because
// Snapshot waits for usage rows only briefly. If ctx ends during ReadAhead, all
// requests of the site are canceled.
func (s *Site) ReadAhead(ctx context.Context) {
	defer context.AfterFunc(ctx, s.work.cancel)()
	s.repository.refresh()
	<-s.repository.refreshUsage() //nolint:contextcheck // ends with the site
}

// Snapshot reads the sessions of all links, and the health of engines if they are wanted,
// concurrently. It returns when all have answered or when ctx ends. Those without an answer
// are unknown. Overlapping calls
// share the requests, and each call returns at its own deadline. A canceled call or a
// short deadline does not affect the other calls.
func (s *Site) Snapshot(ctx context.Context) *headroom.Snapshot { return s.rounds.snapshot(ctx) }

// ReadNow reads the sessions and the usage rows with requests that are sent after the call.
// It is for a person who waits, so it does not keep the interval between two reads of usage
// rows. It returns when all links have answered or when ctx ends.
func (s *Site) ReadNow(ctx context.Context) *headroom.Snapshot {
	begun := s.repository.now()
	s.repository.readUsageNow(ctx)
	for {
		snapshot := s.rounds.snapshot(ctx)
		if !snapshot.Time.Before(begun) || ctx.Err() != nil { // an earlier one was in progress
			return snapshot
		}
	}
}

// Status returns the current state of the client and of the data from the repository.
func (s *Site) Status() collector.Status {
	links, refreshed := s.repository.status()
	return collector.Status{
		Repositories:    repositories(s.client.Repositories(), links),
		Refreshed:       refreshed,
		Requests:        s.client.Requests(),
		Skipped:         s.client.Skipped(),
		SharedSnapshots: s.rounds.shared.Load(),
		Certificates:    s.client.Certificates(),
		Candidates:      s.repository.candidates(),
	}
}

// ServiceUsers returns the users that the services of this machine run as. Their sessions
// must not be ended.
func (s *Site) ServiceUsers() []qlik.User {
	var users []qlik.User
	for _, candidate := range s.repository.candidates() {
		if candidate.Source == collector.CandidateServices {
			users = append(users, candidate.User)
		}
	}
	return users
}

// Licenses returns the last licenses, or nil if they have not been read.
func (s *Site) Licenses() *qlik.Licenses { return s.repository.lastLicenses() }

// repositories returns the status of the repositories with the node names of the
// links. If a node has several repositories, the name of the others is their address.
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

// CollectorRan logs the result of a collector run if it differs from the previous one.
// Call it after each run.
func (s *Site) CollectorRan(name string, err error) {
	s.changes.log("collector "+name, textOf(err), nil, func(logger log.Logger) {
		_ = level.Error(logger).Log("msg", "Collector failed", "collector", name, "err", err)
	})
}

// FindUsers returns the users in the repository whose id or display name contains a
// text.
func (s *Site) FindUsers(ctx context.Context, text string) ([]qlik.KnownUser, error) {
	users, err := s.client.FindUsers(ctx, text)
	s.repository.logLeftOut(qlik.SourceUsers)
	return users, err
}

// EndSession ends a session on every link of the snapshot that lists it. It returns
// false if the session no longer exists on any of them. The error is a *qlik.Error or
// wraps several.
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
	s.repository.expireUsage()
	return ended, err
}
