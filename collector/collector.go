// Package collector turns what is known of a Qlik Sense site into Prometheus
// metrics: one file per collector. All collectors of a scrape read the same
// snapshot of the site.
package collector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const namespace = "qlik"

// Site is what the collectors need of a Qlik Sense site.
type Site interface {
	// Snapshot asks all links; what has not answered when ctx ends is unknown.
	Snapshot(ctx context.Context) *headroom.Snapshot
	// Status is what is known of the client and of the repository.
	Status() Status
}

// Status is what is known of the client of a site and of its repository.
type Status struct {
	Repositories    []RepositoryStatus   // those tried so far
	Refreshed       map[string]time.Time // last success by source; absent before the first
	Requests        qlik.RequestCounts
	SharedSnapshots uint64 // snapshots that took part in a round of questions under way
	Certificates    qlik.Certificates
}

// RepositoryStatus is how the last request to a repository went.
type RepositoryStatus struct {
	Node              string // as in qlik.Link, or host:port where the host has several repositories
	Up                bool   // it answered as it should
	CertificateExpiry time.Time
}

// view is everything that the collectors of one scrape read.
type view struct {
	snapshot *headroom.Snapshot
	status   Status
	users    []userRow // that get series, in the order of their labels
	dropped  int       // users that the cap left without

	families []*userFamily // what the collectors say of users
}

// Collector is one group of metrics that can be switched off.
type Collector interface {
	// Describe sends the descriptors of all metrics that Update may send.
	Describe(ch chan<- *prometheus.Desc)
	// Update sends the metrics of one scrape; those of users it adds to the view,
	// in the order of their labels. It returns an error when the collector as a
	// whole has nothing true to say; what failed in part shows in metrics of its
	// own.
	Update(ctx context.Context, v *view, ch chan<- prometheus.Metric) error
}

// Available is a collector that can be switched on or off.
type Available struct {
	Name    string
	Help    string
	Default bool // on, if not said otherwise

	create func(config Config, users *userSelection) Collector
}

// All lists the collectors in the order in which they run.
func All() []Available {
	return []Available{
		{"sessions", "sessions per user and virtual proxy, headroom, state of the virtual proxies", true, newSessions},
		{"licenses", "who holds which licence, usage rows, seats (off without a repository)", true, newLicenses},
		{"services", "states of the services as the repository reports them (off without a repository)", true, newServices},
		{"denials", "refused logins from the repositories' audit security logs (off where no log is configured)", true, newDenials},
		{"certificates", "ends of validity of the client, root and server certificates", true, newCertificates},
	}
}

// Config says which metrics a site gets.
type Config struct {
	Enabled         map[string]bool // by collector name; one that is not named has its default
	Users           UsersConfig
	ServiceAccounts []qlik.User      // watched for a licence
	Lifetimes       *SessionDuration // observed lives of sessions; nil for none
	Denials         *Denials         // refused logins; must be there if that collector is enabled
	// Ran is told how each run of a collector went. May be nil.
	Ran func(collector string, err error)
}

func configErrorf(field, format string, args ...any) error {
	return &qlik.ConfigError{Field: field, Err: fmt.Errorf(format, args...)}
}

// Exporter collects the metrics of one site.
type Exporter struct {
	site       Site
	users      *userSelection
	own        siteCollector
	names      []string
	collectors []Collector
	ran        func(collector string, err error)
}

// NewExporter makes the collectors of a site. The error is a *qlik.ConfigError.
func NewExporter(site Site, config Config) (*Exporter, error) {
	users, err := newUserSelection(config.Users)
	if err != nil {
		return nil, err
	}
	e := &Exporter{site: site, users: users, ran: config.Ran}
	if e.ran == nil {
		e.ran = func(string, error) {}
	}
	for _, available := range All() {
		enabled, said := config.Enabled[available.Name]
		if said && !enabled || !said && !available.Default {
			continue
		}
		e.names = append(e.names, available.Name)
		e.collectors = append(e.collectors, available.create(config, users))
	}
	return e, nil
}

// Scrape asks the links of the site and returns what is known then, to be gathered
// once. What has not answered when ctx ends is reported as unknown.
func (e *Exporter) Scrape(ctx context.Context) *Scrape {
	s := &Scrape{ctx: ctx, exporter: e, view: view{snapshot: e.site.Snapshot(ctx)}}
	s.view.status = e.site.Status()
	return s
}

var (
	scrapeSuccess = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "scrape", "collector_success"),
		"1 if the collector could say something true, 0 if it failed as a whole.",
		[]string{"collector"}, nil)
	scrapeDuration = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "scrape", "collector_duration_seconds"),
		"How long the collector took to turn what is known into metrics, not counting the questions to Qlik that all collectors share.",
		[]string{"collector"}, nil)
)

// Scrape is the metrics of one scrape. It holds the context of the request because
// prometheus.Gatherer has no place for one.
type Scrape struct {
	exporter *Exporter
	ctx      context.Context //nolint:containedctx // see above
	view     view
}

var _ prometheus.Gatherer = (*Scrape)(nil)

// Heard returns when the last answer of Qlik was in, or waiting for it ended.
func (s *Scrape) Heard() time.Time { return s.view.snapshot.Heard }

// Gather implements prometheus.Gatherer.
func (s *Scrape) Gather() ([]*dto.MetricFamily, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collection{s})
	families, err := registry.Gather()
	for _, family := range s.view.families {
		if len(family.Metric) > 0 {
			families = append(families, &family.MetricFamily)
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, err
}

// Describe sends the descriptors of all metrics that a scrape may have.
func (s *Scrape) Describe(ch chan<- *prometheus.Desc) {
	ch <- scrapeSuccess
	ch <- scrapeDuration
	s.exporter.own.Describe(ch)
	for _, c := range s.exporter.collectors {
		c.Describe(ch)
	}
}

// collection is a Scrape as a prometheus.Collector of what is not about users.
type collection struct{ *Scrape }

// Collect implements prometheus.Collector.
func (s collection) Collect(ch chan<- prometheus.Metric) {
	e, v := s.exporter, &s.view
	v.users, v.dropped = e.users.rows(v.snapshot.Users)
	e.own.update(v, ch)
	for i, c := range e.collectors {
		start := time.Now()
		err := update(s.ctx, c, v, ch)
		e.ran(e.names[i], err)
		ch <- gauge(scrapeSuccess, boolean(err == nil), e.names[i])
		ch <- gauge(scrapeDuration, time.Since(start).Seconds(), e.names[i])
	}
}

// update runs one collector. A panic in it is a defect, but must not take the
// metrics of the others with it.
func update(ctx context.Context, c Collector, v *view, ch chan<- prometheus.Metric) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return c.Update(ctx, v, ch)
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func counter(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, value, labels...)
}

// timestamp is a gauge with a moment in Unix seconds.
func timestamp(desc *prometheus.Desc, at time.Time, labels ...string) prometheus.Metric {
	return gauge(desc, seconds(at), labels...)
}

// seconds is a moment in Unix seconds.
func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1e3 }

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
