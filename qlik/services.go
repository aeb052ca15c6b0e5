package qlik

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// stoppedAfter is how long the repository must have called a proxy anything but
// Running before its sessions count as lost.
const stoppedAfter = 5 * time.Minute

const (
	serviceProxy  = "Proxy"
	stateRunning  = "Running"
	stateDisabled = "Disabled"
)

// ServiceStates lists the states that the repository can report.
func ServiceStates() []string { return slices.Clone(serviceStates) }

// ServiceState is the state of a service of a node, as the repository reports it.
type ServiceState struct {
	Host    string // registered host name of the node
	Node    string // as in Link
	Service string // e.g. "Proxy"
	State   string // e.g. "Running"

	notRunning time.Duration // for how long it was reported as anything but Running, up to the last report
}

// services asks the repository for the states of all services.
func (r *repository) services(ctx context.Context) ([]ServiceState, error) {
	records, err := collectEntities[serviceStatusRecord](ctx, r, "servicestatus")
	if err != nil {
		return nil, err
	}
	states := make([]ServiceState, 0, len(records))
	for _, record := range records {
		if !record.Type.set || !record.State.set {
			continue // says nothing
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

// sinceLast carries over from the last report for how long services have not
// been running. Time without reports counts only between two that agree.
func sinceLast(states, last []ServiceState, elapsed time.Duration) []ServiceState {
	for i := range states {
		before, found := slices.BinarySearchFunc(last, states[i], compareServices)
		if found && states[i].State != stateRunning && last[before].State != stateRunning {
			states[i].notRunning = last[before].notRunning + elapsed
		}
	}
	return states
}

// proxyState returns what was reported of the proxy of a node.
func proxyState(states []ServiceState, host string) (ServiceState, bool) {
	i := slices.IndexFunc(states, func(s ServiceState) bool {
		return s.Service == serviceProxy && strings.EqualFold(s.Host, host)
	})
	if i < 0 {
		return ServiceState{}, false
	}
	return states[i], true
}

// withoutDisabled drops the links of proxies that the repository calls
// Disabled: they are switched off on purpose and list no sessions.
func withoutDisabled(links []Link, states []ServiceState) []Link {
	return slices.DeleteFunc(slices.Clone(links), func(l Link) bool {
		proxy, known := proxyState(states, hostOf(l.Address))
		return known && proxy.State == stateDisabled
	})
}

// stopped says whether the proxy of a node has stopped for so long that Qlik has
// ended its sessions. A proxy that only we cannot reach is reported as Running,
// and its sessions stay unknown.
func stopped(states []ServiceState, host string) bool {
	proxy, known := proxyState(states, host)
	return known && proxy.notRunning >= stoppedAfter
}
