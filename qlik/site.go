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
	licensesInterval = 5 * time.Minute
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

	loading singleflight.Group // of the topology, of the licences
	usage   usageReader

	trackMu sync.Mutex
	tracker *tracker

	mu        sync.Mutex
	links     []Link    // nil until known
	licenses  *Licenses // nil until known
	states    []ServiceState
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
		config: config,
		logger: config.Logger,
		transport: &transport{
			dir: config.CertDir, passphraseFile: config.KeyPassphraseFile, serverName: config.ServerName,
			dial: redirectingDialer(config.DialContext, config.NodeAddresses, config.Hosts),
		},
		unlimited: make(map[User]bool),
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
	if len(config.Proxies) > 0 && len(config.VirtualProxies) > 0 {
		s.links = staticLinks(config.Proxies, config.VirtualProxies)
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

// Refresh reads from the repository what is due: the service states always, the
// topology and the licences when they are old.
func (s *Site) Refresh() {
	if s.repository == nil {
		return
	}
	var reading sync.WaitGroup
	if !s.static() && s.due(SourceTopology, topologyInterval) {
		reading.Go(s.loadTopology)
	} else {
		reading.Go(s.loadServices)
	}
	if s.config.Licenses && s.due(SourceLicenses, licensesInterval) {
		reading.Go(s.loadLicenses)
	}
	reading.Wait()
}

// reloadCertificates follows the certificate files and says so when it cannot.
func (s *Site) reloadCertificates() {
	if err := s.transport.reload(); err != nil {
		_ = level.Error(s.logger).Log("msg", "Certificates changed and cannot be used; the last good ones stay in use", "err", err)
	}
}

func (s *Site) static() bool { return len(s.config.Proxies) > 0 && len(s.config.VirtualProxies) > 0 }

// due says whether it is time to read a source again. One that failed is due at
// the next turn.
func (s *Site) due(source string, interval time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Now().Sub(s.refreshed[source]) >= interval
}

// expectedLinks returns the links to ask, or none while they are not known. A
// scrape that comes before the topology waits for it.
func (s *Site) expectedLinks() ([]Link, []ServiceState) {
	links, states := s.known()
	if links == nil {
		s.loadTopology()
		links, states = s.known()
	}
	return withoutDisabled(links, states), states
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
	if again := s.noteRead(SourceTopology, err); err != nil {
		return
	} else if links = filterLinks(links, s.config.Proxies, s.config.VirtualProxies); !again && s.links != nil && slices.Equal(links, s.links) {
		return
	}
	s.links = links
	if len(links) == 0 {
		_ = level.Error(s.logger).Log("msg", "The repository names no virtual proxy that is linked to a proxy and not left out by --qlik.proxy and --qlik.virtual-proxy")
		return
	}
	_ = level.Info(s.logger).Log("msg", "Read the topology from the repository", "links", len(links))
}

// noteRead notes that a source was read, or says once why it could not be. It
// returns whether this is the first success after a failure. The caller holds
// s.mu.
func (s *Site) noteRead(source string, err error) (again bool) {
	before := s.unread[source]
	s.unread[source] = KindOf(err)
	if err == nil {
		s.refreshed[source] = s.config.Now()
		return before != ""
	}
	if s.unread[source] != before {
		_ = level.Error(s.logger).Log("msg", "Cannot read from the repository; what was read last stays in use", "source", source, "kind", s.unread[source], "err", err)
	}
	return false
}

// loadServices reads the service states.
func (s *Site) loadServices() {
	states, err := s.repository.services(s.ctx)
	if s.ctx.Err() != nil {
		return // closing
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.refreshed[SourceServices]
	if s.noteRead(SourceServices, err); err == nil {
		s.states = sinceLast(states, s.states, s.refreshed[SourceServices].Sub(last))
	}
}

// loadLicenses reads who holds which licence. Overlapping calls share one
// reading.
func (s *Site) loadLicenses() {
	_, _, _ = s.loading.Do(SourceLicenses, func() (any, error) {
		licenses, err := s.repository.licenses(s.ctx, s.config.Now())
		if s.ctx.Err() != nil {
			return nil, nil // closing
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.noteRead(SourceLicenses, err); err == nil {
			s.licenses = licenses
		}
		return nil, nil
	})
}

// awaitLicenses returns what is known of licences. The first snapshot waits for
// the first reading, though not for long.
func (s *Site) awaitLicenses(ctx context.Context) *Licenses {
	known := func() (licenses *Licenses, failed bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.licenses, s.unread[SourceLicenses] != ""
	}
	if licenses, failed := known(); licenses != nil || failed {
		return licenses
	}
	read := make(chan struct{})
	s.flights.Go(func() {
		s.loadLicenses()
		close(read)
	})
	select {
	case <-read:
	case <-ctx.Done():
	case <-time.After(usageTimeout):
	}
	licenses, _ := known()
	return licenses
}

// refreshUsage reads the usage rows if it is time to.
func (s *Site) refreshUsage(ctx context.Context) {
	licenses := s.awaitLicenses(ctx)
	now := s.config.Now()
	if licenses == nil || !s.usage.due(now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	rows, err := s.repository.usage(ctx, licenses.inUse, s.tracker.hash)
	s.usage.note(rows, err, now, s.logger)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refreshed[SourceUsage] = now
	}
}

// describe adds to a snapshot what only the site knows. The caller holds
// s.trackMu.
func (s *Site) describe(snapshot *Snapshot) {
	s.mu.Lock()
	snapshot.Licenses = s.licenses
	for _, state := range s.states {
		state.Node = nodeOf(state.Host, s.links)
		snapshot.Services = append(snapshot.Services, state)
	}
	s.mu.Unlock()
	snapshot.Limit = s.config.SessionLimit
	snapshot.Tracking = s.tracker.tracking()
	s.describeUsers(snapshot)
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
	SourceLicenses = "licenses"
	SourceServices = "services"
	SourceUsage    = "usage"
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
