package headroom

import (
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// stoppedAfter is how long the repository must report a proxy in a state other than
	// Running before its sessions count as ended.
	stoppedAfter = 5 * time.Minute
	// reportValidity is how long a report of the services is valid. Reports are read
	// every 30 s, so one of them may fail.
	reportValidity = time.Minute
)

// Services is a report of the states of all services.
type Services struct {
	States []qlik.ServiceState
	ReadAt time.Time

	// proxies has an entry for each proxy that is not Running: how long it has not been
	// Running up to this report. The key is the host in lower case.
	proxies map[string]time.Duration
}

// NewServices returns the report that follows last, which may be nil. The time
// between the two reports counts for a proxy only if it is not Running in both.
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

// Named returns a copy of the report with the node names of the links. It returns nil
// if s is nil.
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

// stopped reports whether the proxy of a host has been stopped long enough that its
// sessions have ended. It returns false, so that the sessions stay unknown, in these
// cases:
//   - The repository reports the proxy as Running; then only the exporter cannot reach
//     it.
//   - The proxy answered after the report.
//   - The report is too old.
func (s *Services) stopped(host string, answered, now time.Time) bool {
	if s == nil || now.Sub(s.ReadAt) >= reportValidity {
		return false
	}
	return s.proxies[strings.ToLower(host)] >= stoppedAfter && answered.Before(s.ReadAt)
}
