// Package collector turns what is known of a Qlik Sense site into Prometheus
// metrics: one file per collector. All collectors of a scrape read the same
// snapshot of the site.
package collector

import (
	"context"
	"fmt"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

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
	Skipped         map[string]uint64 // elements that were left out, by source
	SharedSnapshots uint64            // snapshots that took part in a round of questions under way
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
}

// Collector is one group of metrics that can be switched off.
type Collector interface {
	// Update writes the metrics of one scrape. It returns an error when the
	// collector as a whole has nothing true to say; what failed in part shows in
	// metrics of its own.
	Update(v *view, w *writer) error
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
		{"sessions", "sessions per user and virtual proxy, headroom, and virtual proxy state", true, newSessionsCollector},
		{"licenses", "licenses of users, usage rows, and seats (off if no repository is configured)", true, newLicensesCollector},
		{"services", "service states reported by the repository (off if no repository is configured)", true, newServicesCollector},
		{"denials", "refused logins from the audit security logs of the repositories (off if no log is configured)", true, newDenialsCollector},
		{"certificates", "expiry of the client, root, and server certificates", true, newCertificatesCollector},
	}
}

// Config says which metrics a site gets.
type Config struct {
	Enabled         map[string]bool // by collector name; one that is not named has its default
	Users           UsersConfig
	ServiceAccounts []qlik.User      // watched for a license
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

// seconds is a moment in Unix seconds.
func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1e3 }

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
