// Package site runs one Qlik Sense site: when it is asked what, who waits for how
// long, and what stays in use while it does not answer. How to ask is the business
// of package qlik, what follows from the answers that of package headroom.
package site

import (
	"context"
	"sync"
	"sync/atomic"
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
// Neither of its mutexes is held while the other one is taken, and neither while
// Qlik is asked or a snapshot is made.
type Site struct {
	config  Config
	client  *qlik.Client
	now     func() time.Time
	logger  log.Logger
	changes changes

	ctx    context.Context // of the work, which belongs to no caller
	cancel context.CancelFunc
	work   sync.WaitGroup

	// state is what the flights have seen. They come one after the other, and only
	// they replace it. Whoever is in a hurry reads it without waiting for them.
	state atomic.Pointer[headroom.State]

	mu      sync.Mutex // guards what follows
	known   known
	loading map[string]chan struct{} // sources that are being read; closed when done
	usage   usageSchedule
	// wantLicenses says that a snapshot asked for newer licenses, licensesFailed that
	// they could not be read when last tried.
	wantLicenses, licensesFailed bool

	flightMu sync.Mutex // guards what follows, and what is in the flight
	flight   *flight    // under way, or nil
	watches  map[linkKey]*watch

	shared atomic.Uint64
}

// known is what was last read from the repository. What its pointers lead to is
// never altered.
type known struct {
	links     []qlik.Link // nil until known
	licenses  *qlik.Licenses
	services  *headroom.Services
	usage     *headroom.Usage      // nil also after a failure: old rows are no use
	refreshed map[string]time.Time // by source, of the last success
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
	config.Client = client.Config()
	config.Licenses = config.Licenses && len(config.Client.Hosts) > 0
	s := &Site{
		config: config, client: client, now: config.Client.Now, logger: config.Logger,
		changes: changes{logger: config.Logger},
		known:   known{links: client.ConfiguredLinks(), refreshed: make(map[string]time.Time)},
		loading: make(map[string]chan struct{}),
		watches: make(map[linkKey]*watch),
	}
	s.state.Store(headroom.New(config.Headroom))
	s.ctx, s.cancel = context.WithCancel(context.Background()) //nolint:forbidigo // of the work, ended by Close
	return s, nil
}

// Close ends what is under way and closes the connections.
func (s *Site) Close() {
	s.cancel()
	s.work.Wait()
	s.client.Close()
}

// Run keeps the topology and the service states fresh until ctx ends, and ends
// with it whatever the site has under way. Without Run they are read when first
// needed, and stay as they are.
func (s *Site) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, s.cancel)()
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

// CollectorRan is to be told how each run of a collector went. It logs what
// changes.
func (s *Site) CollectorRan(name string, err error) {
	s.changes.note("collector "+name, textOf(err), func(log.Logger) {}, func(logger log.Logger) {
		_ = level.Error(logger).Log("msg", "Collector failed", "collector", name, "err", err)
	})
}

// Status returns what is known of the client and of the repository now.
func (s *Site) Status() collector.Status {
	s.mu.Lock()
	links, refreshed := s.known.links, make(map[string]time.Time)
	for source, at := range s.known.refreshed {
		refreshed[source] = at
	}
	s.mu.Unlock()
	return collector.Status{
		Repositories:    repositories(s.client.Repositories(), links),
		Refreshed:       refreshed,
		Requests:        s.client.Requests(),
		SharedSnapshots: s.shared.Load(),
		Certificates:    s.client.Certificates(),
	}
}

// repositories names the hosts as the nodes of links are named; where a host has
// several repositories, by their addresses.
func repositories(hosts []qlik.RepositoryStatus, links []qlik.Link) []collector.RepositoryStatus {
	statuses := make([]collector.RepositoryStatus, 0, len(hosts))
	named := make(map[string]bool)
	for _, host := range hosts {
		status := collector.RepositoryStatus{
			Node: qlik.NodeOf(qlik.HostOf(host.Host), links), Up: host.Up, CertificateExpiry: host.CertificateExpiry,
		}
		if named[status.Node] {
			status.Node = host.Host
		}
		named[status.Node] = true
		statuses = append(statuses, status)
	}
	return statuses
}

// FindUsers asks the repository for users by a part of their names.
func (s *Site) FindUsers(ctx context.Context, text string) ([]qlik.KnownUser, error) {
	return s.client.FindUsers(ctx, text)
}
