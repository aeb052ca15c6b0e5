package headroom

import (
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// stoppedAfter is how long the repository must have called a proxy anything but
	// Running before its sessions count as lost.
	stoppedAfter = 5 * time.Minute
	// reportValidity is how long a report of the services says something of now: as
	// long as one that is read every 30 s may miss a turn.
	reportValidity = time.Minute
)

// Services is a report of the states of all services.
type Services struct {
	States []qlik.ServiceState
	ReadAt time.Time

	// proxies are those that were not Running, by host in lower case: for how long,
	// up to this report.
	proxies map[string]time.Duration
}

// NewServices returns a report that follows on the last one, which may be nil. Time
// between the two counts for a proxy only if neither calls it Running.
func NewServices(states []qlik.ServiceState, readAt time.Time, last *Services) *Services {
	report := &Services{States: states, ReadAt: readAt, proxies: make(map[string]time.Duration)}
	for _, state := range states {
		if state.Service != qlik.ServiceProxy || state.State == qlik.StateRunning {
			continue
		}
		host := strings.ToLower(state.Host)
		report.proxies[host] = 0
		if last == nil {
			continue
		}
		if before, known := last.proxies[host]; known {
			report.proxies[host] = before + readAt.Sub(last.ReadAt)
		}
	}
	return report
}

// Named returns the report with the name of each node as links have it; nil for nil.
func (s *Services) Named(links []qlik.Link) *Services {
	if s == nil {
		return nil
	}
	named := *s
	named.States = slices.Clone(s.States)
	for i := range named.States {
		named.States[i].Node = qlik.NodeOf(named.States[i].Host, links)
	}
	return &named
}

// stopped says whether the proxy of a node has stopped for so long that Qlik has
// ended its sessions. A proxy that only we cannot reach is reported as Running,
// and its sessions stay unknown; so do those of a proxy that answered after the
// report, and all of them once the report is old.
func (s *Services) stopped(host string, answered, now time.Time) bool {
	if s == nil || now.Sub(s.ReadAt) >= reportValidity {
		return false
	}
	return s.proxies[strings.ToLower(host)] >= stoppedAfter && answered.Before(s.ReadAt)
}
