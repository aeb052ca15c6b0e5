package qlik

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// A service and the states that mean something for the sessions of a node.
const (
	ServiceProxy  = "Proxy"
	StateRunning  = "Running"
	StateDisabled = "Disabled"
)

// ServiceStates lists the states that the repository can report.
func ServiceStates() []string { return slices.Clone(serviceStates) }

// ServiceState is the state of a service of a node, as the repository reports it.
type ServiceState struct {
	Host    string // registered host name of the node
	Node    string // as in Link; empty while nobody knows the links
	Service string // e.g. "Proxy"
	State   string // e.g. "Running"
}

// Services asks a repository for the states of all services, ordered by host and
// service.
func (c *Client) Services(ctx context.Context) ([]ServiceState, error) {
	records, err := collectEntities[serviceStatusRecord](ctx, c, c.repositories.lastFirst(), "servicestatus")
	if err != nil {
		return nil, err
	}
	states := make([]ServiceState, 0, len(records))
	for _, record := range records {
		if !record.Type.set || !record.State.set { // says nothing
			c.skipped[SourceServices].Add(1)
			continue
		}
		states = append(states, ServiceState{
			Host:    record.Node.HostName,
			Service: record.Type.in(serviceTypes),
			State:   record.State.in(serviceStates),
		})
	}
	slices.SortStableFunc(states, compareServices)
	return slices.CompactFunc(states, func(a, b ServiceState) bool { return compareServices(a, b) == 0 }), nil
}

func compareServices(a, b ServiceState) int {
	return cmp.Or(strings.Compare(strings.ToLower(a.Host), strings.ToLower(b.Host)), strings.Compare(a.Service, b.Service))
}

// WithoutDisabled returns the links without those of proxies that the repository
// calls Disabled: they are switched off on purpose and list no sessions.
func WithoutDisabled(links []Link, states []ServiceState) []Link {
	return slices.DeleteFunc(slices.Clone(links), func(l Link) bool {
		return slices.ContainsFunc(states, func(s ServiceState) bool {
			return s.Service == ServiceProxy && s.State == StateDisabled && strings.EqualFold(s.Host, l.Host())
		})
	})
}
