package collector

import (
	"context"
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

var serviceState = prometheus.NewDesc(
	prometheus.BuildFQName(namespace, "service", "state"),
	"1 for the state in which the repository reports the service to be, 0 for the others. From the repository, which is asked every 30 s.",
	[]string{"node", "qlik_service", "state"}, nil)

type services struct{}

var _ Collector = services{}

func newServices(_ Config, _ *userSelection) Collector { return services{} }

// Describe implements Collector.
func (services) Describe(ch chan<- *prometheus.Desc) { ch <- serviceState }

var errNoServices = errors.New("the repository has not reported the states of services yet")

// Update implements Collector.
func (services) Update(_ context.Context, v *view, ch chan<- prometheus.Metric) error {
	if len(v.snapshot.Services) == 0 {
		return errNoServices
	}
	for _, service := range v.snapshot.Services {
		states := qlik.ServiceStates()
		if !slices.Contains(states, service.State) { // of a release to come
			states = append(states, service.State)
		}
		for _, state := range states {
			ch <- gauge(serviceState, boolean(state == service.State), service.Node, service.Service, state)
		}
	}
	return nil
}
