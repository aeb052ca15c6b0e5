package site

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// How often the repository is read in the background. A failed reading of the
// topology is tried again as often as the services are read.
const (
	topologyInterval = 5 * time.Minute
	licensesInterval = 5 * time.Minute
	servicesInterval = 30 * time.Second
)

// certificatesGrace is how long the certificate files are waited for.
const certificatesGrace = 500 * time.Millisecond

// repository reads what the repository knows, each source in its time, and keeps
// what was read last.
type repository struct {
	client   *qlik.Client
	work     *work
	changes  *changes
	now      func() time.Time
	licenses bool // licenses and usage rows are read

	mu      sync.Mutex // guards what follows
	known   known
	loading map[string]chan struct{} // sources that are being read; closed when done
	usage   usageSchedule
	// wantLicenses says that a snapshot asked for newer licenses, licensesFailed that
	// they could not be read when last tried.
	wantLicenses, licensesFailed bool
}

// known is what was read last. What its pointers lead to is never altered.
type known struct {
	links     []qlik.Link // nil until known
	licenses  *qlik.Licenses
	services  *headroom.Services
	named     *headroom.Services   // the same, with the nodes named as by the links
	usage     *headroom.Usage      // nil also after a failure: old rows are no use
	refreshed map[string]time.Time // by source, of the last success
}

func newRepository(client *qlik.Client, work *work, changes *changes, licenses bool) *repository {
	return &repository{
		client: client, work: work, changes: changes, now: client.Config().Now,
		licenses: licenses && len(client.Config().Hosts) > 0,
		known:    known{links: client.ConfiguredLinks(), refreshed: make(map[string]time.Time)},
		loading:  make(map[string]chan struct{}),
	}
}

// refresh reads what is due.
func (r *repository) refresh() {
	if len(r.client.Config().Hosts) == 0 {
		return
	}
	r.mu.Lock()
	age := func(source string) time.Duration { return r.now().Sub(r.known.refreshed[source]) }
	topology := r.client.ConfiguredLinks() == nil && age(qlik.SourceTopology) >= topologyInterval
	licenses := r.licenses && (r.wantLicenses || age(qlik.SourceLicenses) >= licensesInterval)
	r.mu.Unlock()
	var reading sync.WaitGroup
	if topology {
		reading.Go(func() { <-r.load(qlik.SourceTopology, r.loadTopology) })
	} else {
		reading.Go(r.loadServices)
	}
	if licenses {
		reading.Go(func() { <-r.load(qlik.SourceLicenses, r.loadLicenses) })
	}
	reading.Wait()
}

// load begins to read a source, unless that is being done. The channel is closed
// when it is read.
func (r *repository) load(source string, read func()) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if done := r.loading[source]; done != nil {
		return done
	}
	done := make(chan struct{})
	r.loading[source] = done
	r.work.start(func() {
		read()
		r.mu.Lock()
		delete(r.loading, source)
		r.mu.Unlock()
		close(done)
	})
	return done
}

// use takes what was read into use, unless the site is closing, and notes whether
// the source can be read.
func (r *repository) use(source string, err error, take func(*known)) {
	if r.work.ending() {
		return
	}
	r.changes.log("source "+source, string(qlik.KindOf(err)),
		func(logger log.Logger) {
			_ = level.Info(logger).Log("msg", "Reads from the repository again", "source", source)
		},
		func(logger log.Logger) {
			_ = level.Error(logger).Log("msg", "Cannot read from the repository; what was read last stays in use",
				"source", source, "kind", qlik.KindOf(err), "err", err)
		})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.known.refreshed[source] = r.now()
	}
	take(&r.known)
	r.known.named = r.known.services.Named(r.known.links)
}

// loadTopology reads the topology, and the service states with it. On failure the
// last ones stay in use.
func (r *repository) loadTopology() {
	r.reloadCertificates()
	var services sync.WaitGroup
	services.Go(r.loadServices)
	links, err := r.client.Topology(r.work.ctx)
	services.Wait()
	r.use(qlik.SourceTopology, err, func(k *known) {
		if err != nil {
			return
		}
		switch {
		case k.links != nil && slices.Equal(links, k.links):
		case len(links) == 0:
			_ = level.Error(r.changes.logger).Log("msg", "The repository names no virtual proxy that is linked to a proxy and passes the configured filters")
		default:
			_ = level.Info(r.changes.logger).Log("msg", "Read the topology from the repository", "links", len(links))
		}
		k.links = append([]qlik.Link{}, links...) // never nil, even if there are none
	})
}

// loadServices reads the service states.
func (r *repository) loadServices() {
	states, err := r.client.Services(r.work.ctx)
	r.use(qlik.SourceServices, err, func(k *known) {
		if err == nil {
			k.services = headroom.NewServices(states, k.refreshed[qlik.SourceServices], k.services)
		}
	})
}

// loadLicenses reads who holds which license.
func (r *repository) loadLicenses() {
	licenses, err := r.client.Licenses(r.work.ctx)
	r.use(qlik.SourceLicenses, err, func(k *known) {
		r.licensesFailed = err != nil
		if licenses != nil { // in part at least
			licenses.CarryOver(k.licenses)
			k.licenses = licenses
			r.wantLicenses = false
		}
	})
}

// refreshUsage begins to read the usage rows if they are due, after the licenses if
// those are not known yet. The channel is closed when that is done. The reading does
// not end with a caller, so that a caller in a hurry does not look like a slow
// repository.
func (r *repository) refreshUsage() (done <-chan struct{}) {
	read := make(chan struct{})
	if !r.licenses {
		close(read)
		return read
	}
	r.work.start(func() {
		defer close(read)
		r.mu.Lock()
		never := r.known.licenses == nil && !r.licensesFailed
		r.mu.Unlock()
		if never {
			<-r.load(qlik.SourceLicenses, r.loadLicenses)
		}
		r.loadUsage()
	})
	return read
}

// loadUsage reads the usage rows of the licenses in use, if it is time to.
func (r *repository) loadUsage() {
	r.mu.Lock()
	licenses := r.known.licenses
	due := licenses != nil && r.usage.due(r.now())
	r.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(r.work.ctx, usageTimeout)
	defer cancel()
	asked := r.now()
	rows, err := r.client.UsageRows(ctx, licenses)
	if r.work.ending() {
		return
	}
	r.changes.log("source "+qlik.SourceUsage, string(qlik.KindOf(err)), nil, func(logger log.Logger) {
		_ = level.Warn(logger).Log("msg", "Cannot read usage rows; effective headroom is counted from sessions", "kind", qlik.KindOf(err), "err", err)
	})
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.usage.done(err, now)
	if err != nil {
		r.known.usage = nil
		return
	}
	r.known.usage = headroom.NewUsage(rows, asked, now)
	r.known.refreshed[qlik.SourceUsage] = now
}

// hurryUsage has the usage rows read again by the next who wants them.
func (r *repository) hurryUsage() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.usage.hurry()
}

// hurryLicenses has the licenses read again at the next refresh.
func (r *repository) hurryLicenses() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wantLicenses = true
}

// expectedLinks returns the links to ask, or none while they are not known. Who
// comes before the topology waits for it, at most until over is closed.
func (r *repository) expectedLinks(over <-chan struct{}) []qlik.Link {
	r.mu.Lock()
	unknown := r.known.links == nil
	r.mu.Unlock()
	if unknown {
		select {
		case <-r.load(qlik.SourceTopology, r.loadTopology):
		case <-over:
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known.services == nil {
		return r.known.links
	}
	return qlik.WithoutDisabled(r.known.links, r.known.services.States)
}

// round adds what is known to what links answered.
func (r *repository) round(asked time.Time, links []headroom.LinkResult) headroom.Round {
	r.mu.Lock()
	defer r.mu.Unlock()
	return headroom.Round{
		Asked: asked, Heard: r.now(), Links: links,
		Usage: r.known.usage, Licenses: r.known.licenses, Services: r.known.named,
	}
}

// status returns the links, and when each source was last read.
func (r *repository) status() (links []qlik.Link, refreshed map[string]time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known.links, maps.Clone(r.known.refreshed)
}

// reloadCertificates follows the certificate files. Those on a share that hangs are
// not waited for: the last good ones stay in use.
func (r *repository) reloadCertificates() {
	timer := time.NewTimer(certificatesGrace)
	defer timer.Stop()
	select {
	case <-r.load("certificates", r.loadCertificates):
	case <-timer.C:
	case <-r.work.ctx.Done():
	}
}

// loadCertificates reads the certificate files and says so when it cannot.
func (r *repository) loadCertificates() {
	err := r.client.Reload()
	if wrong, ok := errors.AsType[*qlik.ConfigError](err); ok {
		err = wrong.Err // names the file
	}
	r.changes.log("certificates", textOf(err), nil, func(logger log.Logger) {
		_ = level.Error(logger).Log("msg", "Certificates changed and cannot be used; the last good ones stay in use", "err", err)
	})
}
