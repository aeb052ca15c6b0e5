package qlik

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log/level"
)

// The sources that are not read in every snapshot.
const (
	SourceTopology = "topology"
	SourceLicenses = "licenses"
	SourceServices = "services"
	SourceUsage    = "usage"
)

// How often the repository is read in the background. A failed reading of the
// topology is tried again as often as the services are read.
const (
	topologyInterval = 5 * time.Minute
	licensesInterval = 5 * time.Minute
	servicesInterval = 30 * time.Second
)

// Refresh reads from the repository what is due: the service states always, the
// topology and the licences when they are old.
func (s *Site) Refresh() {
	if s.repository == nil {
		return
	}
	var reading sync.WaitGroup
	if !s.config.static() && s.due(SourceTopology, topologyInterval) {
		reading.Go(s.loadTopology)
	} else {
		reading.Go(s.loadServices)
	}
	if s.config.Licenses && (s.licensesWanted.Swap(false) || s.due(SourceLicenses, licensesInterval)) {
		reading.Go(s.loadLicenses)
	}
	reading.Wait()
}

// due says whether it is time to read a source again. One that failed is due at
// the next turn.
func (s *Site) due(source string, interval time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Now().Sub(s.refreshed[source]) >= interval
}

// noteRead notes that a source was read, or says once why it could not be; once
// more when it can be read again. The caller holds s.mu.
func (s *Site) noteRead(source string, err error) {
	before, now := s.unread[source], KindOf(err)
	s.unread[source] = now
	if err == nil {
		s.refreshed[source] = s.config.Now()
	}
	switch now {
	case before:
	case "":
		_ = level.Info(s.logger).Log("msg", "Reads from the repository again", "source", source)
	default:
		_ = level.Error(s.logger).Log("msg", "Cannot read from the repository; what was read last stays in use", "source", source, "kind", now, "err", err)
	}
}

// expectedLinks returns the links to ask, or none while they are not known. A
// scrape that comes before the topology waits for it.
//
// hasStopped says whether the proxy of a node has stopped for so long that Qlik
// has ended its sessions: by a recent report, and not if it answered since.
func (s *Site) expectedLinks() (links []Link, hasStopped func(node string) bool) {
	s.mu.Lock()
	unknown := s.links == nil
	s.mu.Unlock()
	if unknown {
		s.loadTopology()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reported := s.refreshed[SourceServices]
	recent := s.config.Now().Sub(reported) < 2*servicesInterval
	gone := make(map[string]bool)
	for i := range s.links {
		link := &s.links[i]
		gone[link.Node] = recent && stopped(s.states, hostOf(link.Address)) && s.answered[link.Node].Before(reported)
	}
	return withoutDisabled(s.links, s.states), func(node string) bool { return gone[node] }
}

// noteAnswers remembers which nodes have answered.
func (s *Site) noteAnswers(snapshot *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range snapshot.Links {
		if snapshot.Links[i].Err == nil {
			s.answered[snapshot.Links[i].Node] = s.config.Now()
		}
	}
}

// loadTopology reads the topology, and the service states with it. On failure
// the last ones stay in use. Overlapping calls share one reading.
func (s *Site) loadTopology() {
	_, _, _ = s.loading.Do(SourceTopology, func() (any, error) {
		s.reloadCertificates()
		var services sync.WaitGroup
		services.Go(s.loadServices)
		links, err := s.repository.inOrder().topology(s.ctx)
		services.Wait()
		if s.ctx.Err() != nil {
			return nil, nil // closing
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.noteRead(SourceTopology, err); err == nil {
			s.useTopology(filterLinks(links, s.config.Proxies, s.config.VirtualProxies))
		}
		return nil, nil
	})
}

// useTopology takes links into use. The caller holds s.mu.
func (s *Site) useTopology(links []Link) {
	switch {
	case s.links != nil && slices.Equal(links, s.links):
	case len(links) == 0:
		_ = level.Error(s.logger).Log("msg", "The repository names no virtual proxy that is linked to a proxy and not left out by --qlik.proxy and --qlik.virtual-proxy")
	default:
		_ = level.Info(s.logger).Log("msg", "Read the topology from the repository", "links", len(links))
	}
	s.links = append([]Link{}, links...) // never nil, even if there are none
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
		s.mu.Lock()
		last := s.licenses
		s.mu.Unlock()
		licenses, err := s.repository.licenses(s.ctx, s.config.Now(), last)
		if s.ctx.Err() != nil {
			return nil, nil // closing
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.noteRead(SourceLicenses, err)
		if licenses != nil { // in part at least
			s.licenses = licenses
		}
		return nil, nil
	})
}

// refreshUsage begins to read the usage rows if it is time to, and the licences
// before if they are not known yet. The channel is closed when that is done. It
// is done whoever waits, so that an impatient caller does not look like a slow
// repository.
func (s *Site) refreshUsage() (done <-chan struct{}) {
	read := make(chan struct{})
	if !s.config.Licenses {
		close(read)
		return read
	}
	s.flights.Go(func() {
		defer close(read)
		s.mu.Lock()
		licenses, failed := s.licenses, s.unread[SourceLicenses] != ""
		s.mu.Unlock()
		if licenses == nil && !failed {
			s.loadLicenses()
		}
		s.loadUsage()
	})
	return read
}

// ReadAhead reads what is due from the repository, usage rows included, and waits
// for it, which Snapshot does only for a moment. It is for a program that asks
// once: when ctx ends meanwhile, so does whatever the site has under way.
func (s *Site) ReadAhead(ctx context.Context) {
	defer context.AfterFunc(ctx, s.cancel)()
	s.Refresh()
	<-s.refreshUsage() //nolint:contextcheck // ends with the site
}

// loadUsage reads the usage rows of the licences in use, if it is time to.
func (s *Site) loadUsage() {
	s.mu.Lock()
	licenses := s.licenses
	s.mu.Unlock()
	now := s.config.Now()
	if licenses == nil || !s.usage.due(now) {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, usageTimeout)
	defer cancel()
	rows, err := s.repository.usage(ctx, licenses.inUse, s.tracker.hash)
	if s.ctx.Err() != nil {
		return // closing
	}
	now = s.config.Now()
	s.usage.note(rows, err, now, s.logger)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refreshed[SourceUsage] = now
	}
}
