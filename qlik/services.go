package qlik

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// The services that are asked, and the states with a meaning for them (docs/qlik.md,
// "Service states").
const (
	ServiceProxy  = "Proxy"
	ServiceEngine = "Engine"
	StateRunning  = "Running"
	StateDisabled = "Disabled"
)

// ServiceStates lists the states that the repository can report.
func ServiceStates() []string { return slices.Clone(serviceStates) }

// ServiceState is the state of a service on a node as reported by the repository.
type ServiceState struct {
	Host    string // registered host name of the node
	Node    string // node name as in Link; "" while the links are unknown
	Service string // such as "Proxy"
	State   string // such as "Running"
}

// Services reads the states of all services from a repository. The result is ordered
// by host and service.
func (c *Client) Services(ctx context.Context) ([]ServiceState, error) {
	var states []ServiceState
	left, room := make(leftOut), newRoom(maxServices, maxLinkNames)
	err := listEntities(ctx, c, c.repositories.lastFirst(), "servicestatus", left, room,
		func() { states = []ServiceState{} },
		func(r *serviceStatusRecord) {
			room.take(string(r.Node.HostName), r.Type.name, r.State.name)
			states = append(states, ServiceState{
				Host:    string(r.Node.HostName),
				Service: r.Type.in(serviceTypes),
				State:   r.State.in(serviceStates),
			})
		})
	c.skipped.record(SourceServices, left, err)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(states, compareServices)
	return slices.CompactFunc(states, func(a, b ServiceState) bool { return compareServices(a, b) == 0 }), nil
}

func compareServices(a, b ServiceState) int {
	return cmp.Or(strings.Compare(strings.ToLower(a.Host), strings.ToLower(b.Host)), strings.Compare(a.Service, b.Service))
}

// WithoutDisabled returns the links without links of proxies in state Disabled. An
// administrator disabled these proxies, and they have no sessions.
func WithoutDisabled(links []Link, states []ServiceState) []Link {
	return slices.DeleteFunc(slices.Clone(links), func(l Link) bool {
		return slices.ContainsFunc(states, func(s ServiceState) bool {
			return s.Service == ServiceProxy && s.State == StateDisabled && strings.EqualFold(s.Host, l.Host())
		})
	})
}
