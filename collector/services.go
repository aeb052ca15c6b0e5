package collector

import (
	"errors"
	"slices"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

var serviceStateDesc = gaugeDesc("qlik_service_state",
	"1 for the state that the repository reports for the service, 0 for all other states. Refreshed from the repository every 30 seconds.",
	"qlik_node", "qlik_service", "state")

type servicesCollector struct{}

func newServicesCollector(Config, *userSelection) Collector { return servicesCollector{} }

var errNoServices = errors.New("the service states have not been read from the repository yet")

// Update implements Collector.
func (servicesCollector) Update(v *view, w *writer) error {
	if len(v.snapshot.Services) == 0 {
		return errNoServices
	}
	for _, service := range v.snapshot.Services {
		states := qlik.ServiceStates()
		if !slices.Contains(states, service.State) { // of a future Qlik release
			states = append(states, service.State)
		}
		for _, state := range states {
			w.write(serviceStateDesc, boolean(state == service.State), service.Node, service.Service, state)
		}
	}
	return nil
}
