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
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"golang.org/x/sync/singleflight"
)

// How often the repository is read in the background. A failed reading of the
// topology is tried again as often as the services are read.
const (
	topologyInterval = 5 * time.Minute
	servicesInterval = 30 * time.Second
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

	loading singleflight.Group // of the topology

	mu        sync.Mutex
	links     []Link // nil until known
	states    []ServiceState
	refreshed map[string]time.Time // by source, of the last success
	failing   map[string]Kind      // links, as last logged
	unread    Kind                 // why the topology could not be read, as last logged
}

// New makes a client. It reads the certificates and asks nobody. The error is a
// *ConfigError. The caller must Close the site.
func New(config Config) (*Site, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Site{
		config: config,
		logger: config.Logger,
		transport: &transport{
			dir: config.CertDir, passphraseFile: config.KeyPassphraseFile, serverName: config.ServerName,
			dial: redirectingDialer(config.DialContext, config.NodeAddresses, config.Hosts),
		},
		unlimited: make(map[User]bool),
		refreshed: make(map[string]time.Time),
		failing:   make(map[string]Kind),
	}
	if err := s.transport.reload(); err != nil {
		return nil, err
	}
	s.client = newClient(s.transport, config.User, config.Timeout)
	if len(config.Hosts) > 0 {
		s.repository = newRepository(s.client, config.Hosts)
	}
	if len(config.Proxies) > 0 && len(config.VirtualProxies) > 0 {
		s.links = staticLinks(config.Proxies, config.VirtualProxies)
	}
	for _, user := range config.UnlimitedUsers {
		s.unlimited[user] = true
	}
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
	if s.repository == nil {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(servicesInterval)
	defer ticker.Stop()
	for {
		if s.topologyDue() {
			s.loadTopology()
		} else {
			s.loadServices()
		}
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

func (s *Site) static() bool { return len(s.config.Proxies) > 0 && len(s.config.VirtualProxies) > 0 }

func (s *Site) topologyDue() bool {
	if s.static() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.refreshed[SourceTopology]) >= topologyInterval
}

// expectedLinks returns the links to ask, or none while they are not known. A
// scrape that comes before the topology waits for it.
func (s *Site) expectedLinks() []Link {
	links, states := s.known()
	if links == nil {
		s.loadTopology()
		links, states = s.known()
	}
	return withoutDisabled(links, states)
}

func (s *Site) known() ([]Link, []ServiceState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links, s.states
}

// loadTopology reads the topology, and the service states with it. On failure
// the last ones stay in use. Overlapping calls share one reading.
func (s *Site) loadTopology() {
	_, _, _ = s.loading.Do(SourceTopology, func() (any, error) {
		s.reloadCertificates()
		var services sync.WaitGroup
		services.Go(s.loadServices)
		links, err := s.repository.topology(s.ctx)
		services.Wait()
		if s.ctx.Err() == nil { // not closing
			s.noteTopology(links, err)
		}
		return nil, nil
	})
}

// noteTopology takes a topology into use, or says once why there is none.
func (s *Site) noteTopology(links []Link, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unread := s.unread
	if s.unread = KindOf(err); err != nil {
		if s.unread != unread {
			_ = level.Error(s.logger).Log("msg", "Cannot read the topology from the repository; the last one stays in use", "kind", s.unread, "err", err)
		}
		return
	}
	links = filterLinks(links, s.config.Proxies, s.config.VirtualProxies)
	s.refreshed[SourceTopology] = time.Now()
	if unread == "" && s.links != nil && slices.Equal(links, s.links) {
		return
	}
	s.links = links
	if len(links) == 0 {
		_ = level.Error(s.logger).Log("msg", "The repository names no virtual proxy that is linked to a proxy and not left out by --qlik.proxy and --qlik.virtual-proxy")
		return
	}
	_ = level.Info(s.logger).Log("msg", "Read the topology from the repository", "links", len(links))
}

// loadServices reads the service states. They only explain failures, so that a
// repository which does not give them is no error worth more than a debug line.
func (s *Site) loadServices() {
	states, err := s.repository.serviceStates(s.ctx)
	if err != nil {
		_ = level.Debug(s.logger).Log("msg", "Cannot read the service states from the repository", "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = states
	s.refreshed[SourceServices] = time.Now()
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

// The sources that are not read in every snapshot.
const (
	SourceTopology = "topology"
	SourceServices = "services"
)

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

// Users counts the sessions of a snapshot by user, by this site's limit.
func (s *Site) Users(snapshot *Snapshot) []UserCount {
	return CountUsers(snapshot.Sessions, s.config.SessionLimit, s.unlimited)
}

// SessionLimit returns how many sessions a user may have at once.
func (s *Site) SessionLimit() int { return s.config.SessionLimit }
