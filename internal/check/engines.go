package check

import (
	"context"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func wantsEngines(s *site) bool { return s.Engines }

func knownEngines(s *site) string {
	if len(s.client.Engines(s.states)) == 0 {
		return "no node with an engine is known"
	}
	return ""
}

// tryEngines tests the engine of every node that has one.
func (s *site) tryEngines(ctx context.Context) ([]Result, error) {
	var engines []*server
	for _, engine := range s.client.Engines(s.states) {
		engines = append(engines, &server{site: s, address: engine.Address, api: qlik.APIEngine, ask: (*server).readHealth})
	}
	s.servers = append(s.servers, engines...)
	return s.tryServers(ctx, engines), nil
}

func (s *server) readHealth(ctx context.Context) ([]Result, error) {
	health, answer, err := s.site.client.EngineHealth(ctx, &qlik.Engine{Node: s.host(), Address: s.address}, nil)
	s.observe(answer)
	if err != nil {
		return nil, withPage(answer, err)
	}
	s.answers = true
	if health.Saturated != nil && *health.Saturated {
		return warned("the engine reports that it is saturated: look at the memory and the processors of the node, and at the apps that are open"), nil
	}
	if health.Sessions == nil {
		return passed("health check answered, %s", milliseconds(answer.Took)), nil
	}
	return passed("health check answered, %s, %s", text.Count(int(*health.Sessions), "engine session"), milliseconds(answer.Took)), nil
}
