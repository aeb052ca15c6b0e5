package qliktest

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// Requests counts the requests and connections to the services of a site, with or without a response.
type Requests struct {
	// SessionLists are requests for session lists. OtherProxy are all other requests to proxies.
	SessionLists, OtherProxy int
	// Deletes are requests with the method DELETE to any service. Writes are those with any method that could change something.
	Deletes, Writes int
	// Repository are requests to repositories, by path in lower case, such as "/qrs/about".
	Repository map[string]int
	// Engine are requests to engines.
	Engine int
	// ProxyConnections, RepositoryConnections and EngineConnections are accepted connections. Each starts with a TLS handshake.
	ProxyConnections, RepositoryConnections, EngineConnections int
}

type requestCounts struct {
	sessionLists, otherProxy                atomic.Int64
	deletes, writes                         atomic.Int64
	engine                                  atomic.Int64
	proxyConnections, repositoryConnections atomic.Int64
	engineConnections                       atomic.Int64

	mu         sync.Mutex
	repository map[string]int
}

func (c *requestCounts) countProxy(r *http.Request) {
	c.countMethod(r)
	path, found := parseProxyPath(r.URL.EscapedPath())
	if found && r.Method == http.MethodGet && path.isList() {
		c.sessionLists.Add(1)
		return
	}
	c.otherProxy.Add(1)
}

func (c *requestCounts) countEngine(r *http.Request) {
	c.countMethod(r)
	c.engine.Add(1)
}

func (c *requestCounts) countMethod(r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return
	case http.MethodDelete:
		c.deletes.Add(1)
	}
	c.writes.Add(1)
}

func (c *requestCounts) countRepository(r *http.Request) {
	c.countMethod(r)
	path := strings.ToLower(r.URL.Path)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.repository == nil {
		c.repository = map[string]int{}
	}
	c.repository[path]++
}

// Requests returns the counts since the start of the site.
func (s *Site) Requests() Requests {
	c := &s.requests
	r := Requests{
		SessionLists:          int(c.sessionLists.Load()),
		OtherProxy:            int(c.otherProxy.Load()),
		Deletes:               int(c.deletes.Load()),
		Writes:                int(c.writes.Load()),
		ProxyConnections:      int(c.proxyConnections.Load()),
		RepositoryConnections: int(c.repositoryConnections.Load()),
		Engine:                int(c.engine.Load()),
		EngineConnections:     int(c.engineConnections.Load()),
		Repository:            map[string]int{},
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(r.Repository, c.repository)
	return r
}
