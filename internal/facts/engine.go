package facts

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// engine is what the engine of a node answered to a health check.
type engine struct {
	health, path string
	tls          uint16

	physical, committed, started, withoutKey string
}

const (
	healthCheck = "/engine/healthcheck"
	misspelled  = "comitted" //nolint:misspell // so in an old example by Qlik
)

// askEngine asks the engine of one node for its health, with and without a slash at the
// end.
func (s *site) askEngine(ctx context.Context) {
	e := &s.engine
	var states []qlik.ServiceState
	for _, host := range s.repository.engineHosts {
		states = append(states, qlik.ServiceState{Host: host, Service: qlik.ServiceEngine})
	}
	engines := s.engines(states)
	for i := range engines[:min(len(engines), maxFailures)] {
		address := engines[i].Address
		var seen bool
		health := func(path string) response {
			return s.get(ctx, request{url: "https://" + address + path}, single(func(answer element) {
				seen = answer.object("mem") != nil || answer.object("session") != nil
				e.see(answer)
			}))
		}
		without := health(healthCheck)
		if without.status == 0 {
			if e.health = without.failure; without.unreachable {
				e.health = "no_connection"
			}
			continue
		}
		with := health(healthCheck + "/")
		e.tls, e.health = without.tls, without.outcome()
		switch {
		case without.ok() && with.ok():
			e.path = "both"
		case without.ok():
			e.path = "without_slash"
		case with.ok():
			e.path = "with_slash"
		}
		if without.status == http.StatusOK || with.status == http.StatusOK {
			e.health = other
		}
		if e.path != "" && seen {
			e.health = "answers"
		}
		path := healthCheck
		if e.path == "with_slash" {
			path += "/"
		}
		odd := s.get(ctx, request{url: "https://" + address + path, noKey: true}, nil)
		e.withoutKey = odd.answered()
		return
	}
}

// engines returns the engines at the ports that the settings name, or those that the
// repository lists.
func (s *site) engines(states []qlik.ServiceState) []qlik.Engine {
	if len(s.Qlik.EnginePorts) == 0 && len(s.repository.enginePorts) > 0 {
		config := s.Qlik
		config.EnginePorts = s.repository.enginePorts
		if client, err := qlik.NewClient(config); err == nil {
			s.client.Close()
			s.client = client
		}
	}
	return s.client.Engines(states)
}

// see records the form of the answer.
func (e *engine) see(answer element) {
	memory := answer.object("mem")
	e.physical = "missing"
	if memory.field("totalPhysical") != nil {
		e.physical = "present"
	}
	right, wrong := memory.field("committed") != nil, memory.field(misspelled) != nil
	switch {
	case right && wrong:
		e.committed = "both"
	case right:
		e.committed = "two_m"
	case wrong:
		e.committed = "one_m"
	default:
		e.committed = "neither"
	}
	started := answer.text("started")
	switch {
	case answer.field("started") == nil:
		e.started = "missing"
	case readable("20060102T150405Z0700", started):
		e.started = "basic"
	case readable(time.RFC3339, started):
		e.started = "extended"
	default:
		e.started = other
	}
}

func readable(layout, text string) bool {
	_, err := time.Parse(layout, strings.TrimSpace(text))
	return err == nil
}
