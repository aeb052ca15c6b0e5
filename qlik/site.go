// Package qlik is a client for a Qlik Sense Enterprise on Windows site. It finds
// out which virtual proxies the site has, asks all of them at once who has
// sessions, and counts what the licence's session limit counts.
//
// What it relies on of Qlik's interfaces, from which source and how sure, is
// written in docs/qlik.md.
package qlik

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"golang.org/x/sync/singleflight"
)

// Site is a client of one site. It is safe for use by several goroutines.
type Site struct {
	config     Config
	logger     log.Logger
	transport  *transport
	client     *client
	repository *repository // nil where only proxies are configured
	unlimited  map[User]bool

	ctx     context.Context // of the flights, which belong to no caller
	cancel  context.CancelFunc
	flights sync.WaitGroup

	flightMu sync.Mutex
	flight   *flight // under way, or nil
	shared   atomic.Uint64

	loading singleflight.Group // of the topology, of the licences
	usage   usageReader
	// licensesWanted says that somebody may be at the limit who came after the
	// licences were read.
	licensesWanted atomic.Bool

	trackMu  sync.Mutex
	tracker  *tracker
	observed time.Time // start of the latest flight that the tracker saw

	mu        sync.Mutex
	links     []Link    // nil until known
	licenses  *Licenses // nil until known
	states    []ServiceState
	answered  map[string]time.Time // by node, of the last answer
	refreshed map[string]time.Time // by source, of the last success
	failing   map[string]Kind      // links, as last logged
	unread    map[string]Kind      // why a source could not be read, as last logged
}

// New makes a client. It reads the certificates and asks nobody. The error is a
// *ConfigError. The caller must Close the site.
func New(config Config) (*Site, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Site{
		config:    config,
		logger:    config.Logger,
		transport: newTransport(&config),
		links:     staticLinks(config.Proxies, config.VirtualProxies),
		unlimited: make(map[User]bool),
		answered:  make(map[string]time.Time),
		refreshed: make(map[string]time.Time),
		failing:   make(map[string]Kind),
		unread:    make(map[string]Kind),
	}
	if err := s.transport.reload(); err != nil {
		return nil, err
	}
	s.client = newClient(s.transport, config.User, config.Timeout)
	if len(config.Hosts) > 0 {
		s.repository = newRepository(s.client, config.Hosts)
	}
	for _, user := range config.UnlimitedUsers {
		s.unlimited[user] = true
	}
	s.tracker = newTracker(config.SessionLimit, config.CoolingTime, s.unlimited)
	s.tracker.ended = config.SessionEnded
	s.ctx, s.cancel = context.WithCancel(context.Background()) //nolint:forbidigo // of the flights, ended by Close
	return s, nil
}

// Close ends what is under way and closes the connections.
func (s *Site) Close() {
	s.cancel()
	s.flights.Wait()
	s.transport.close()
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

// reloadCertificates follows the certificate files and says so when it cannot.
func (s *Site) reloadCertificates() {
	if err := s.transport.reload(); err != nil {
		_ = level.Error(s.logger).Log("msg", "Certificates changed and cannot be used; the last good ones stay in use", "err", err)
	}
}

// describe adds to a snapshot what only the site knows. The caller holds
// s.trackMu.
func (s *Site) describe(snapshot *Snapshot, whole bool) {
	s.mu.Lock()
	snapshot.Licenses = s.licenses
	for _, state := range s.states {
		state.Node = nodeOf(state.Host, s.links)
		snapshot.Services = append(snapshot.Services, state)
	}
	s.mu.Unlock()
	snapshot.Limit = s.config.SessionLimit
	snapshot.Tracking = s.tracker.tracking()
	s.describeUsers(snapshot, whole)
}

// noteLinks logs what changed in the links since the last snapshot: one line
// when a link begins to fail or fails for another reason, one when it is back.
func (s *Site) noteLinks(snapshot *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return // closing
	}
	failing := make(map[string]Kind)
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		key := link.Node + link.VirtualProxy
		before, now := s.failing[key], KindOf(link.Err)
		if now != "" {
			failing[key] = now
		}
		switch now {
		case before:
		case "":
			_ = level.Info(s.logger).Log("msg", "Virtual proxy answers again", "node", link.Node, "virtual_proxy", link.VirtualProxy)
		default:
			_ = level.Warn(s.logger).Log("msg", "Virtual proxy does not answer", "node", link.Node, "virtual_proxy", link.VirtualProxy,
				"kind", now, "duration", link.Duration, "err", link.Err)
		}
	}
	s.failing = failing
}

// Status is what the client knows of itself and of the repository.
type Status struct {
	Repositories    []RepositoryStatus   // those tried so far
	Refreshed       map[string]time.Time // last success by source; absent before the first
	Requests        RequestCounts
	SharedSnapshots uint64 // snapshots that took part in a flight under way
	Certificates    Certificates
}

// Status returns the state of the client now.
func (s *Site) Status() Status {
	status := Status{
		Requests:        s.client.counts(),
		SharedSnapshots: s.shared.Load(),
		Certificates:    s.transport.inUse(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status.Refreshed = maps.Clone(s.refreshed)
	if s.repository != nil {
		status.Repositories = s.repository.statuses(s.links)
	}
	return status
}
