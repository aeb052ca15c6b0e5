// Package collector turns the state of a Qlik Sense site into Prometheus metrics,
// with one file per collector. All collectors of a scrape read the same snapshot
// of the site.
package collector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Site is the part of a Qlik Sense site that the collectors use.
type Site interface {
	// Snapshot queries all links. Links that have not responded when ctx ends are
	// unknown.
	Snapshot(ctx context.Context) *headroom.Snapshot
	// Status returns the state of the client and of the repository.
	Status() Status
}

// Status is the state of the client of a site and of its repository.
type Status struct {
	Repositories    []RepositoryStatus   // those queried so far
	Refreshed       map[string]time.Time // time of the last success, by source; absent before the first
	Requests        qlik.RequestCounts
	Skipped         map[string]uint64 // skipped elements, by source
	SharedSnapshots uint64            // snapshots that shared requests in progress
	Certificates    qlik.Certificates
	Candidates      []Candidate // users that look like service accounts
}

// Candidate is a user that looks like a service account.
type Candidate struct {
	User   qlik.User
	Source string // CandidateServices or CandidateDataConnections
}

// The sources of candidates. They are values of the label source.
const (
	CandidateServices        = "services"         // the services run as the user
	CandidateDataConnections = "data_connections" // the reloads of the monitoring apps log in as the user
)

// RepositoryStatus is the outcome of the last request to a repository.
type RepositoryStatus struct {
	Node              string // as in qlik.Link, or host:port if the host has several repositories
	Up                bool   // the request succeeded
	CertificateExpiry time.Time
}

// view is the input of the collectors of one scrape.
type view struct {
	snapshot *headroom.Snapshot
	status   Status
	// users returns the users with series, in the order of their labels, and the number of
	// users without series because of the maximum.
	users func() (rows []userRow, dropped int)
}

// Collector is one group of metrics that can be disabled.
type Collector interface {
	// Update writes the metrics of one scrape. It returns an error if the
	// collector failed as a whole. Partial failures show in other metrics.
	Update(v *view, w *writer) error
}

// Available is a collector that can be enabled or disabled.
type Available struct {
	Name    string
	Help    string
	Default bool // enabled unless configured otherwise

	create func(config Config, users *userSelection) Collector
}

// All returns the collectors in the order in which they run.
func All() []Available {
	return []Available{
		{"sessions", "sessions per user and virtual proxy, headroom, and virtual proxy state", true, newSessionsCollector},
		{"licenses", "licenses of users, usage rows, and seats (off if no repository is configured)", true, newLicensesCollector},
		{"services", "service states reported by the repository (off if no repository is configured)", true, newServicesCollector},
		{"denials", "refused logins from the audit security logs of the repositories (off if no log is configured)", true, newDenialsCollector},
		{"certificates", "expiry of the client, root, and server certificates", true, newCertificatesCollector},
		{"engine", "health of the engines: sessions, users, apps, memory, CPU, and cache (asks each node on its engine port)", false, newEngineCollector},
	}
}

// Config selects the metrics of a site.
type Config struct {
	Enabled         map[string]bool // by collector name; absent means the default
	Users           UsersConfig
	ServiceAccounts []qlik.User        // their licenses are exported
	Lifetimes       *SessionDuration   // observed lifetimes of sessions; nil for none
	Denials         *Denials           // refused logins; required if that collector is enabled
	Guard           func() GuardCounts // what the guard did; nil without a guard
	// Ran is called with the outcome of each run of a collector. It may be nil.
	Ran func(collector string, err error)
}

func configErrorf(field, format string, args ...any) error {
	return &qlik.ConfigError{Field: field, Err: fmt.Errorf(format, args...)}
}

// Exporter collects the metrics of one site.
type Exporter struct {
	site       Site
	users      *userSelection
	always     []Collector // cannot be disabled
	names      []string
	collectors []Collector
	ran        func(collector string, err error)
	waiting    waiting
}

// NewExporter returns an exporter with the enabled collectors. The error is a
// *qlik.ConfigError.
func NewExporter(site Site, config Config) (*Exporter, error) {
	users, err := newUserSelection(config.Users)
	if err != nil {
		return nil, err
	}
	e := &Exporter{site: site, users: users, ran: config.Ran, always: []Collector{siteCollector{}}}
	if config.Guard != nil {
		e.always = append(e.always, guardCollector{config.Guard})
	}
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

// Collectors returns the names of the enabled collectors.
func (e *Exporter) Collectors() []string { return slices.Clone(e.names) }

// seconds returns a time in Unix seconds.
func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1e3 }

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
