package site

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Intervals of reads from the repository. The topology is read again after
// servicesInterval if a read failed or if a link could not be read.
const (
	topologyInterval = 5 * time.Minute
	licensesInterval = 5 * time.Minute
	servicesInterval = 30 * time.Second
)

// certificatesGrace is the maximum time to wait for the certificate files.
const certificatesGrace = 500 * time.Millisecond

// repository reads the data of the repository, each source in its own interval. It
// keeps the last data of each source.
type repository struct {
	client   *qlik.Client
	work     *work
	changes  *changes
	now      func() time.Time
	licenses bool // read licenses and usage rows

	wantEngines bool // ask the engines for their health

	findServiceUsers func() ([]qlik.User, error)
	refused          func(now time.Time, licenses *qlik.Licenses) qlik.Refusals

	mu             sync.Mutex // guards the fields below
	known          known
	loading        map[string]chan struct{} // by source that is being read; closed when the read is done
	usage          usageSchedule
	roles          roles
	withRows       []string  // licenses that had usage rows when these were last read
	wantLicenses   bool      // a snapshot needs newer licenses
	licensesFailed bool      // the last read of the licenses failed
	accountsSought time.Time // last time that service accounts were sought
}

// known is the last data of each source. The data behind its pointers is immutable.
type known struct {
	links     []qlik.Link // nil while unknown
	unread    bool        // the last topology has links that could not be read
	licenses  *qlik.Licenses
	services  *headroom.Services
	named     *headroom.Services   // services with the node names of the links
	usage     *headroom.Usage      // also nil after a failure, because old rows are useless
	refreshed map[string]time.Time // time of the last success by source

	serviceUsers    []qlik.User // that the services of this machine run as
	monitoringUsers []qlik.User // that the reloads of the monitoring apps log in as
}

func newRepository(client *qlik.Client, work *work, changes *changes, licenses bool) *repository {
	return &repository{
		client: client, work: work, changes: changes, now: client.Config().Now,
		licenses: licenses && len(client.Config().Hosts) > 0,
		known:    known{links: client.ConfiguredLinks(), refreshed: make(map[string]time.Time)},
		loading:  make(map[string]chan struct{}),

		findServiceUsers: func() ([]qlik.User, error) { return nil, nil },
		refused:          func(time.Time, *qlik.Licenses) qlik.Refusals { return nil },
	}
}

// refresh implements Site.Refresh.
func (r *repository) refresh() {
	if len(r.client.Config().Hosts) == 0 {
		return
	}
	r.mu.Lock()
	age := func(source string) time.Duration { return r.now().Sub(r.known.refreshed[source]) }
	interval := topologyInterval
	if r.known.unread {
		interval = servicesInterval / 2 // the next time; a read ends a little after its start
	}
	topology := r.client.ConfiguredLinks() == nil && age(qlik.SourceTopology) >= interval
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

// load starts a read of a source unless one is in progress. The channel is closed when
// the read is done.
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

// store updates the known data after a read of a source and records the result of the
// read. It does nothing while the site is closing.
func (r *repository) store(source string, err error, update func(*known)) {
	if r.work.ending() {
		return
	}
	r.changes.log("source "+source, string(qlik.KindOf(err)),
		func(logger log.Logger) {
			_ = level.Info(logger).Log("msg", "Repository can be read again", "source", source)
		},
		func(logger log.Logger) {
			_ = level.Error(logger).Log("msg", "Cannot read from the repository; the last data stays in use",
				"source", source, "kind", qlik.KindOf(err), "err", err)
		})
	r.logLeftOut(source)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.known.refreshed[source] = r.now()
	}
	update(&r.known)
	r.known.named = r.known.services.Named(r.known.links)
}

// logLeftOut logs what the last read of a source left out.
func (r *repository) logLeftOut(source string) {
	var names []string
	for _, left := range r.client.LeftOut(source) {
		names = append(names, left.What)
	}
	what := strings.Join(names, ", ")
	r.changes.log("left out of "+source, what,
		func(logger log.Logger) {
			_ = level.Info(logger).Log("msg", "The response can be read completely again", "source", source)
		},
		func(logger log.Logger) {
			_ = level.Warn(logger).Log("msg", "A part of the response cannot be read; the rest is used", "source", source, "left_out", what)
		})
}

// loadTopology reads the topology and the service states. After a failure the last data
// stays in use.
func (r *repository) loadTopology() {
	r.reloadCertificates()
	var services sync.WaitGroup
	services.Go(r.loadServices)
	links, err := r.client.Topology(r.work.ctx)
	services.Wait()
	r.store(qlik.SourceTopology, err, func(k *known) {
		if err != nil {
			return
		}
		k.unread = slices.ContainsFunc(links, func(l qlik.Link) bool { return l.Unread })
		links = qlik.WithLast(links, k.links)
		switch {
		case k.links != nil && slices.Equal(links, k.links):
		case len(links) == 0:
			_ = level.Error(r.changes.logger).Log("msg", "The repository has no virtual proxy that is linked to a proxy and matches the configured filters")
		default:
			_ = level.Info(r.changes.logger).Log("msg", "Read the topology from the repository", "links", len(links))
		}
		k.links = append([]qlik.Link{}, links...) // not nil, even if there are no links
	})
}

// loadServices reads the service states.
func (r *repository) loadServices() {
	states, err := r.client.Services(r.work.ctx)
	r.store(qlik.SourceServices, err, func(k *known) {
		if err == nil {
			k.services = headroom.NewServices(states, k.refreshed[qlik.SourceServices], k.services)
		}
	})
}

// loadLicenses reads the licenses.
func (r *repository) loadLicenses() {
	licenses, err := r.client.Licenses(r.work.ctx)
	r.store(qlik.SourceLicenses, err, func(k *known) {
		r.licensesFailed = err != nil
		if licenses != nil { // at least a part could be read
			licenses.CarryOver(k.licenses)
			k.licenses = licenses
			r.wantLicenses = false
		}
	})
}

// refreshAccounts finds the users that look like service accounts if they are due. While
// the licenses cannot be read, it does nothing, because nobody knows what they hold.
func (r *repository) refreshAccounts() {
	r.mu.Lock()
	due := r.known.licenses != nil && !r.licensesFailed && r.now().Sub(r.accountsSought) >= licensesInterval
	if due {
		r.accountsSought = r.now()
	}
	r.mu.Unlock()
	if due {
		r.loadServiceUsers()
		<-r.load(qlik.SourceDataConnections, r.loadMonitoringUsers)
	}
}

// loadServiceUsers finds the users that the services of this machine run as. After a
// failure those that were found before stay.
func (r *repository) loadServiceUsers() {
	users, err := r.findServiceUsers()
	r.changes.log("service users", textOf(err), nil, func(logger log.Logger) {
		_ = level.Warn(logger).Log("msg", "Cannot read a Trace log to find the account that the services run as", "err", err)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil || len(users) > 0 {
		r.known.serviceUsers = users
	}
}

// loadMonitoringUsers reads the users of the data connections of the monitoring apps.
// After a failure the last ones stay.
func (r *repository) loadMonitoringUsers() {
	users, err := r.client.MonitoringUsers(r.work.ctx)
	r.store(qlik.SourceDataConnections, err, func(k *known) {
		if err == nil {
			k.monitoringUsers = users
		}
	})
}

// candidates returns the users that look like service accounts.
func (r *repository) candidates() []collector.Candidate {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []collector.Candidate
	for _, user := range r.known.serviceUsers {
		all = append(all, collector.Candidate{User: user, Source: collector.CandidateServices})
	}
	for _, user := range r.known.monitoringUsers {
		all = append(all, collector.Candidate{User: user, Source: collector.CandidateDataConnections})
	}
	return all
}

// refreshUsage starts a read of the usage rows, and of roles, if they are due. If the
// licenses are unknown, it reads them first. The channel is closed when the read is done. The read
// does not depend on a caller, so that the short deadline of a caller does not count as
// a timeout of the repository.
func (r *repository) refreshUsage() <-chan struct{} {
	done := make(chan struct{})
	if !r.licenses {
		close(done)
		return done
	}
	r.work.start(func() {
		defer close(done)
		r.mu.Lock()
		never := r.known.licenses == nil && !r.licensesFailed
		r.mu.Unlock()
		if never {
			<-r.load(qlik.SourceLicenses, r.loadLicenses)
		}
		var reading sync.WaitGroup
		reading.Go(r.loadRoles)
		r.loadUsage()
		reading.Wait()
	})
	return done
}

// loadUsage reads the usage rows of the licenses in use if they are due. With a license
// for cores, the rows are unknown, not empty.
func (r *repository) loadUsage() {
	r.mu.Lock()
	licenses, withRows := r.known.licenses, r.withRows
	if licenses != nil && !licenses.HaveRows() && len(withRows) == 0 {
		r.known.usage, licenses = nil, nil
	}
	due := licenses != nil && r.usage.due(r.now())
	r.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(r.work.ctx, usageTimeout)
	defer cancel()
	asked := r.now()
	rows, err := r.client.UsageRows(ctx, licenses, withRows...)
	if r.work.ending() {
		return
	}
	r.changes.log("source "+qlik.SourceUsage, string(qlik.KindOf(err)), nil, func(logger log.Logger) {
		_ = level.Warn(logger).Log("msg", "Cannot read usage rows; effective headroom is computed from sessions", "kind", qlik.KindOf(err), "err", err)
	})
	r.logLeftOut(qlik.SourceUsage)
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.usage.done(err, now)
	if err != nil {
		r.known.usage = nil
		return
	}
	r.withRows = nil
	for i := range rows {
		if license := rows[i].License; !slices.Contains(r.withRows, license) {
			r.withRows = append(r.withRows, license)
		}
	}
	r.known.usage = headroom.NewUsage(rows, asked, now)
	r.known.refreshed[qlik.SourceUsage] = now
}

// readUsageNow reads the usage rows with requests that are sent after the call, except during
// back-off. It returns when they are read or when ctx ends.
func (r *repository) readUsageNow(ctx context.Context) {
	begun := r.now()
	for range maxUsageReads {
		r.expireUsage()
		select {
		case <-r.refreshUsage(): //nolint:contextcheck // ends with the site
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		read := r.known.usage == nil || !r.known.usage.AskedAt().Before(begun)
		r.mu.Unlock()
		if read {
			return
		}
	}
}

// maxUsageReads bounds the reads of readUsageNow. A scrape may have begun one just before,
// which ends later.
const maxUsageReads = 3

// expireUsage makes the next snapshot read the usage rows again.
func (r *repository) expireUsage() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.usage.expire()
}

// expireLicenses makes the next refresh read the licenses again.
func (r *repository) expireLicenses() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wantLicenses = true
}

// expectedLinks returns the links to read, or none if they are unknown. If the topology
// has not been read yet, it waits for it until over is closed.
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

// engines returns the engines to ask, none if they are not wanted.
func (r *repository) engines() []qlik.Engine {
	if !r.wantEngines {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known.named == nil {
		return r.client.Engines(nil)
	}
	return r.client.Engines(r.known.named.States)
}

// round returns the answers of the targets together with the known data.
func (r *repository) round(asked time.Time, answers []answer) headroom.Round {
	links, engines := results(answers)
	refusals := r.refused(asked, r.lastLicenses())
	r.mu.Lock()
	defer r.mu.Unlock()
	round := headroom.Round{
		Asked: asked, Heard: r.now(), Links: links, Engines: engines,
		Usage: r.known.usage, Licenses: r.known.licenses, Services: r.known.named,
		Refusals: refusals, ServiceAccounts: make(map[qlik.User]headroom.ServiceAccount), Administrators: r.roles.known,
	}
	for _, user := range r.known.monitoringUsers {
		round.ServiceAccounts[user] = headroom.ConnectsReloads
	}
	for _, user := range r.known.serviceUsers {
		round.ServiceAccounts[user] = headroom.RunsServices
	}
	return round
}

// status returns the links and the time of the last successful read of each source.
func (r *repository) status() (links []qlik.Link, refreshed map[string]time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known.links, maps.Clone(r.known.refreshed)
}

func (r *repository) lastLicenses() *qlik.Licenses {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known.licenses
}

// reloadCertificates reads the certificate files again. If they are on a network share
// that hangs, it stops waiting, and the last valid certificates stay in use.
func (r *repository) reloadCertificates() {
	timer := time.NewTimer(certificatesGrace)
	defer timer.Stop()
	select {
	case <-r.load("certificates", r.loadCertificates):
	case <-timer.C:
	case <-r.work.ctx.Done():
	}
}

// loadCertificates reads the certificate files and logs an error.
func (r *repository) loadCertificates() {
	err := r.client.Reload()
	if wrong, ok := errors.AsType[*qlik.ConfigError](err); ok {
		err = wrong.Err // contains the path of the file
	}
	r.changes.log("certificates", textOf(err), nil, func(logger log.Logger) {
		_ = level.Error(logger).Log("msg", "Certificates changed and cannot be used; the last good ones stay in use", "err", err)
	})
}
