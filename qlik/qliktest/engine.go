package qliktest

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"time"
)

// enginePort is the default port of engines (docs/qlik.md, "Engine health").
const enginePort = 4747

// engine is the part of an engine's state that its health check shows. Site.mu guards it.
type engine struct {
	started   time.Time
	calls     uint64 // since the start, like the next two
	selects   uint64
	lookups   uint64
	saturated bool
}

// Assumptions about the work of an engine. They only make its numbers move like real ones.
const (
	callsPerActivity    = 9
	selectsPerActivity  = 2
	lookupsPerActivity  = 12
	activeFor           = time.Minute // a session is active for so long after its last activity
	megabytesPerApp     = 350
	megabytesPerSession = 12
	physicalMegabytes   = 65_536
	appsOfEngine        = 40
)

// worked records an activity.
func (e *engine) worked() {
	e.calls += callsPerActivity
	e.selects += selectsPerActivity
	e.lookups += lookupsPerActivity
}

func (s *Site) engineService(n *node) service {
	return service{s.answerEngine(n), s.requests.countEngine, &s.requests.engineConnections}
}

// answerEngine returns the health check of the engine of a node (docs/qlik.md, "Engine health").
func (s *Site) answerEngine(n *node) func(*http.Request) answer {
	return func(r *http.Request) answer {
		switch strings.ToLower(strings.TrimSuffix(r.URL.Path, "/")) {
		case "/engine/healthcheck", "/healthcheck":
		default:
			return text(http.StatusNotFound, "Not found")
		}
		if r.Method != http.MethodGet {
			return text(http.StatusMethodNotAllowed, "Method not allowed")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if n.engineAnswer != nil {
			return answer{http.StatusOK, contentJSON, n.engineAnswer}
		}
		return ok(s.engineHealth(n))
	}
}

// engineHealth returns the health of the engine of a node. Every proxy session that was granted has one engine session, with one app.
// The caller holds the lock.
func (s *Site) engineHealth(n *node) object {
	now := s.advance()
	var sessions, active int
	users, activeUsers := map[*account]bool{}, map[*account]bool{}
	loaded, activeApps := map[int]bool{}, map[int]bool{}
	for _, l := range n.links {
		for each := range values[*session](l.sessions) {
			if !each.Granted {
				continue
			}
			app := appOf(each.ID)
			sessions++
			users[each.account], loaded[app] = true, true
			if now.Sub(each.LastActivity) < activeFor {
				active++
				activeUsers[each.account], activeApps[app] = true, true
			}
		}
	}
	inMemory := min(len(loaded)+3, appsOfEngine) // apps that nobody uses any more
	committed := 1200 + megabytesPerApp*inMemory + megabytesPerSession*sessions
	ids := func(apps map[int]bool) []string {
		all := []string{}
		for app := range appsOfEngine {
			if apps[app] {
				all = append(all, appID(app))
			}
		}
		return all
	}
	memory := ids(loaded)
	for app := 0; len(memory) < inMemory; app++ {
		if !loaded[app] {
			memory = append(memory, appID(app))
		}
	}
	cpu := min(3+active/2, 100)
	if n.engine.saturated {
		cpu = 100
	}
	e := &n.engine
	return object{
		"version": engineVersion, "started": e.started.UTC().Format("20060102T150405.000+0000"),
		"mem": object{
			"committed": committed, "allocated": committed + committed/8, "free": max(physicalMegabytes-committed, 0),
			"totalPhysical": physicalMegabytes,
		},
		"cpu": object{"total": cpu}, "session": object{"active": active, "total": sessions},
		"apps": object{
			"active_docs": ids(activeApps), "loaded_docs": ids(loaded), "in_memory_docs": memory,
			"calls": e.calls, "selections": e.selects,
		},
		"users": object{"active": len(activeUsers), "total": len(users)},
		"cache": object{
			"hits": e.lookups / 4 * 3, "lookups": e.lookups, "added": e.lookups / 4, "replaced": e.lookups / 40,
			"bytes_added": e.lookups / 4 * 20_000,
		},
		"saturated": e.saturated,
	}
}

const engineVersion = "12.2310.0"

func appOf(session string) int {
	h := fnv.New32a()
	h.Write([]byte(session))
	return int(h.Sum32() % appsOfEngine)
}

func appID(app int) string { return stableID("app", fmt.Sprint("simulated ", app)) }

// EngineAddress returns the address of a node's engine: an IP address and a port, or "name:4747" in memory.
func (s *Site) EngineAddress(node string) string {
	return s.endpointOf(s.engines, node).address
}

// SetEngineFault makes the engine of a node fail.
func (s *Site) SetEngineFault(node string, fault Fault) {
	s.endpointOf(s.engines, node).setFault(fault)
}

// SetEngineLatency delays each response of a node's engine.
func (s *Site) SetEngineLatency(node string, d time.Duration) {
	s.endpointOf(s.engines, node).setLatency(d)
}

// SetEngineSaturated lets the engine of a node report that it is saturated.
func (s *Site) SetEngineSaturated(node string, saturated bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node(node).engine.saturated = saturated
}

// SetEngineAnswer makes the engine of a node respond with body to health checks. A nil body restores the normal response.
func (s *Site) SetEngineAnswer(node string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node(node).engineAnswer = body
}

// RestartEngine restarts the engine of a node: its counters start again. The sessions stay, because they belong to the proxy.
func (s *Site) RestartEngine(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node(node).engine = engine{started: s.now()}
}
