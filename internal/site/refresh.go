package site

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// The sources that are not read in every snapshot: values of the label source.
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
// topology and the licenses when they are old.
func (s *Site) Refresh() {
	if len(s.config.Client.Hosts) == 0 {
		return
	}
	var reading sync.WaitGroup
	if s.discovers() && s.due(SourceTopology, topologyInterval) {
		reading.Go(func() { <-s.load(SourceTopology, s.loadTopology) })
	} else {
		reading.Go(s.loadServices)
	}
	if s.config.Licenses && (s.licensesWanted() || s.due(SourceLicenses, licensesInterval)) {
		reading.Go(func() { <-s.load(SourceLicenses, s.loadLicenses) })
	}
	reading.Wait()
}

// discovers says whether the repository tells which links there are.
func (s *Site) discovers() bool { return s.client.ConfiguredLinks() == nil }

// due says whether it is time to read a source again. One that failed is due at
// the next turn.
func (s *Site) due(source string, interval time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Sub(s.known.refreshed[source]) >= interval
}

// licensesWanted says whether a snapshot asked for newer licenses since they were
// read.
func (s *Site) licensesWanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wantLicenses
}

// load begins to read a source, unless that is being done. The channel is closed
// when it is read.
func (s *Site) load(source string, read func()) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done := s.loading[source]; done != nil {
		return done
	}
	done := make(chan struct{})
	s.loading[source] = done
	s.work.Go(func() {
		read()
		s.mu.Lock()
		delete(s.loading, source)
		s.mu.Unlock()
		close(done)
	})
	return done
}

// use takes what was read into use, unless the site is closing, and notes whether
// the source can be read.
func (s *Site) use(source string, err error, take func(*known)) {
	if s.ctx.Err() != nil {
		return
	}
	s.changes.note("source "+source, string(qlik.KindOf(err)),
		func(logger log.Logger) {
			_ = level.Info(logger).Log("msg", "Reads from the repository again", "source", source)
		},
		func(logger log.Logger) {
			_ = level.Error(logger).Log("msg", "Cannot read from the repository; what was read last stays in use",
				"source", source, "kind", qlik.KindOf(err), "err", err)
		})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.known.refreshed[source] = s.now()
	}
	take(&s.known)
}

// expectedLinks returns the links to ask, or none while they are not known. A
// scrape that comes before the topology waits for it as long as it can.
func (s *Site) expectedLinks(over <-chan struct{}) []qlik.Link {
	s.mu.Lock()
	unknown := s.known.links == nil
	s.mu.Unlock()
	if unknown {
		select {
		case <-s.load(SourceTopology, s.loadTopology):
		case <-over:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known.services == nil {
		return s.known.links
	}
	return qlik.WithoutDisabled(s.known.links, s.known.services.States)
}

// loadTopology reads the topology, and the service states with it. On failure the
// last ones stay in use.
func (s *Site) loadTopology() {
	s.reloadCertificates()
	var services sync.WaitGroup
	services.Go(s.loadServices)
	links, err := s.client.Topology(s.ctx)
	services.Wait()
	s.use(SourceTopology, err, func(k *known) {
		if err != nil {
			return
		}
		s.noteTopology(links, k.links)
		k.links = append([]qlik.Link{}, links...) // never nil, even if there are none
	})
}

// noteTopology logs a topology if it is another one than before.
func (s *Site) noteTopology(links, before []qlik.Link) {
	switch {
	case before != nil && slices.Equal(links, before):
	case len(links) == 0:
		_ = level.Error(s.logger).Log("msg", "The repository names no virtual proxy that is linked to a proxy and passes the configured filters")
	default:
		_ = level.Info(s.logger).Log("msg", "Read the topology from the repository", "links", len(links))
	}
}

// loadServices reads the service states.
func (s *Site) loadServices() {
	states, err := s.client.Services(s.ctx)
	s.use(SourceServices, err, func(k *known) {
		if err == nil {
			k.services = headroom.NewServices(states, k.refreshed[SourceServices], k.services)
		}
	})
}

// loadLicenses reads who holds which license.
func (s *Site) loadLicenses() {
	licenses, err := s.client.Licenses(s.ctx)
	s.use(SourceLicenses, err, func(k *known) {
		s.licensesFailed = err != nil
		if licenses != nil { // in part at least
			licenses.CarryOver(k.licenses)
			k.licenses = licenses
			s.wantLicenses = false
		}
	})
}

// refreshUsage begins to read the usage rows if it is time to, and the licenses
// before if they are not known yet. The channel is closed when that is done. It
// is done whoever waits, so that an impatient caller does not look like a slow
// repository.
func (s *Site) refreshUsage() (done <-chan struct{}) {
	read := make(chan struct{})
	if !s.config.Licenses {
		close(read)
		return read
	}
	s.work.Go(func() {
		defer close(read)
		s.mu.Lock()
		never := s.known.licenses == nil && !s.licensesFailed
		s.mu.Unlock()
		if never {
			<-s.load(SourceLicenses, s.loadLicenses)
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

// reloadCertificates follows the certificate files and says so when it cannot.
func (s *Site) reloadCertificates() {
	err := s.client.Reload()
	s.changes.note("certificates", textOf(err), func(log.Logger) {}, func(logger log.Logger) {
		_ = level.Error(logger).Log("msg", "Certificates changed and cannot be used; the last good ones stay in use", "err", err)
	})
}

// joined adds an error to others.
func joined(errs, err error) error {
	switch {
	case err == nil:
		return errs
	case errs == nil:
		return err
	default:
		return fmt.Errorf("%w; %w", errs, err)
	}
}
