package qliktest

import (
	"container/list"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Site is a simulated Qlik Sense site. Its methods are safe for concurrent use.
type Site struct {
	config    Config
	authority *authority
	client    tls.Certificate
	started   time.Time

	proxies, repositories, engines map[string]*endpoint // by lower-case node name
	stop                           context.CancelFunc   // cancels waiting requests
	requests                       requestCounts

	mu             sync.Mutex
	closed         bool
	random         *rand.Rand
	nodes          []*node
	nodesByName    map[string]*node // by lower-case name
	virtualProxies []*virtualProxy
	accounts       map[string]*account // by accountKey
	accountOrder   []*account          // accounts in the repository's table of users
	sessions       map[string]*session
	usage          map[License]*list.List // of *usageRow, oldest first
	due            queue[due]
	logins         uint64
	capacity       capacityUse
	tickets        map[string]ticket
	passes         []*pass // of login access, those that have not returned, oldest first

	licenseServiceFails bool

	repositoryAnswers map[string][]byte // set by SetRepositoryAnswer, by path in lower case
}

// node is a server of the site with the sessions of its proxy.
type node struct {
	Node
	id       string
	running  bool
	states   map[string]int // of its services, by name
	links    map[string]*link
	answers  map[string][]byte // set by SetAnswer, by prefix
	auditLog *auditLog

	traceLines int // number of lines in its trace logs

	engine       engine
	enginePort   int
	engineAnswer []byte // set by SetEngineAnswer
}

// virtualProxy is an entry point of the site.
type virtualProxy struct {
	VirtualProxy
	id string
}

// link is a virtual proxy served by a node. Each link has its own session list.
type link struct {
	node         *node
	virtualProxy *virtualProxy
	sessions     *list.List // of *session, oldest first
}

// Start starts a site. The site listens when Start returns. The caller must call Close.
func Start(config Config) (*Site, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	now := config.Now()
	s := &Site{
		config:       config,
		started:      now,
		proxies:      map[string]*endpoint{},
		repositories: map[string]*endpoint{},
		engines:      map[string]*endpoint{},
		random:       rand.New(rand.NewPCG(config.Seed, 0x716c696b)),
		nodesByName:  map[string]*node{},
		accounts:     map[string]*account{},
		sessions:     map[string]*session{},
		usage:        map[License]*list.List{},

		repositoryAnswers: map[string][]byte{},
	}
	s.capacityUsed(now)
	s.capacity.minutes = config.CapacityUsed
	for _, license := range licenses {
		s.usage[license] = list.New()
	}
	for _, n := range config.Nodes {
		state := &node{
			Node: n, id: stableID("node", n.Name), running: true,
			states: map[string]int{}, links: map[string]*link{}, answers: map[string][]byte{}, engine: engine{started: now},
		}
		for _, service := range services {
			state.states[service.name] = stateRunning
		}
		s.nodes = append(s.nodes, state)
		s.nodesByName[strings.ToLower(n.Name)] = state
	}
	if err := s.linkVirtualProxies(config.VirtualProxies); err != nil {
		return nil, err
	}
	for _, u := range config.Users {
		if err := s.addUser(u); err != nil {
			return nil, err
		}
	}
	if s.authority, err = newAuthority(s.centralNode().Name, now); err != nil {
		return nil, err
	}
	if s.client, err = s.authority.issue("QlikClient", nil, now.Add(-24*time.Hour), now.Add(certificateLife)); err != nil {
		return nil, err
	}
	if config.AuditLogDir != "" {
		for _, n := range s.nodes {
			if n.auditLog, err = newAuditLog(config, n.Name, now); err != nil {
				s.Close()
				return nil, err
			}
		}
	}
	if config.TraceLogDir != "" {
		if err := s.startTraceLogs(); err != nil {
			s.Close()
			return nil, err
		}
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background()) //nolint:forbidigo // ends with Close, not with a caller
	for _, n := range s.nodes {
		if err := s.startServices(ctx, n); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// startServices starts the services of a node that listen. They share one certificate (docs/qlik.md, "Certificates").
func (s *Site) startServices(ctx context.Context, n *node) error {
	certificate, err := s.authority.service(n.Node, s.now())
	if err != nil {
		return err
	}
	for _, each := range []struct {
		endpoints map[string]*endpoint
		port      int
		service   service
	}{
		{s.proxies, n.RESTListenPort, s.proxyService(n)},
		{s.repositories, repositoryPort, s.repositoryService(n)},
		{s.engines, enginePort, s.engineService(n)},
	} {
		e, err := s.newEndpoint(ctx, n.Node, each.port, each.service, certificate)
		if err != nil {
			return err
		}
		each.endpoints[strings.ToLower(n.Name)] = e
	}
	// The ports are free ones, perhaps. Requests are possible from now on.
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.ToLower(n.Name)
	n.RESTListenPort, n.enginePort = s.proxies[key].reportedPort(), s.engines[key].reportedPort()
	return nil
}

// Close closes all listeners and connections, cancels all requests, and waits for them.
func (s *Site) Close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	if s.stop != nil {
		s.stop()
	}
	for _, endpoints := range []map[string]*endpoint{s.proxies, s.repositories, s.engines} {
		for _, e := range endpoints {
			e.close()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		if n.auditLog != nil {
			n.auditLog.close()
		}
	}
}

// Client returns an HTTP client for the site. It connects to services by name: https://qlik1:4242, https://qlik1:4243. Each client has
// its own connections; the caller closes them with CloseIdleConnections.
func (s *Site) Client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: s.DialContext, TLSClientConfig: s.TLSConfig()},
		// Following redirects would hide that a service responds with one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *Site) now() time.Time { return s.config.Now() }

func (s *Site) centralNode() *node {
	for _, n := range s.nodes {
		if n.Central {
			return n
		}
	}
	return s.nodes[0]
}

// node returns the node with a name. It panics if there is none, because that is a mistake in the test.
func (s *Site) node(name string) *node {
	n, ok := s.nodesByName[strings.ToLower(name)]
	if !ok {
		panic(fmt.Sprintf("qliktest: the site has no node %q", name))
	}
	return n
}

// VirtualProxies returns the current virtual proxies.
func (s *Site) VirtualProxies() []VirtualProxy {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []VirtualProxy
	for _, v := range s.virtualProxies {
		copied := v.VirtualProxy
		copied.Nodes = slices.Clone(v.Nodes)
		all = append(all, copied)
	}
	return all
}

// SetVirtualProxies replaces the virtual proxies. Sessions of removed links end; sessions of other links stay. It panics if a node
// serves two virtual proxies with the same prefix or if a node is unknown.
func (s *Site) SetVirtualProxies(virtualProxies []VirtualProxy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	before := map[*node]map[string]*link{}
	for _, n := range s.nodes {
		before[n] = n.links
	}
	if err := s.linkVirtualProxies(virtualProxies); err != nil {
		panic(err)
	}
	var ended []*session
	for _, n := range s.nodes {
		for prefix, old := range before[n] {
			if _, stays := n.links[prefix]; !stays {
				ended = append(ended, sessionsOf(old)...)
			}
		}
	}
	s.endAll(ended, now, endByItself)
	s.requeue()
}

// linkVirtualProxies rebuilds the links of all nodes. Existing links keep their sessions.
func (s *Site) linkVirtualProxies(virtualProxies []VirtualProxy) error {
	var all []*virtualProxy
	links := map[*node]map[string]*link{}
	for _, n := range s.nodes {
		links[n] = map[string]*link{}
	}
	same := map[string]int{}
	for _, v := range virtualProxies {
		v = v.withDefaults()
		v.Nodes = slices.Clone(v.Nodes)
		if strings.HasPrefix(v.Prefix, "/") || strings.HasSuffix(v.Prefix, "/") || strings.ContainsAny(v.Prefix, "#?%") {
			return fmt.Errorf("qliktest: %q cannot be the prefix of a virtual proxy", v.Prefix)
		}
		// Two virtual proxies on different nodes can have the same prefix (docs/qlik.md, "Several nodes").
		vp := &virtualProxy{v, stableID("virtual proxy", fmt.Sprint(v.Prefix, "#", same[v.Prefix]))}
		same[v.Prefix]++
		all = append(all, vp)
		names := v.Nodes
		if names == nil {
			for _, n := range s.nodes {
				names = append(names, n.Name)
			}
		}
		for _, name := range names {
			n, ok := s.nodesByName[strings.ToLower(name)]
			if !ok {
				return fmt.Errorf("qliktest: virtual proxy %q is linked to node %q, which the site does not have", v.Prefix, name)
			}
			if links[n][v.Prefix] != nil {
				return fmt.Errorf("qliktest: two virtual proxies %q on node %q", v.Prefix, name)
			}
			l := n.links[v.Prefix]
			if l == nil {
				l = &link{node: n, sessions: list.New()}
			}
			l.virtualProxy = vp
			links[n][v.Prefix] = l
		}
	}
	s.virtualProxies = all
	for _, n := range s.nodes {
		n.links = links[n]
	}
	return nil
}

// RestartProxy ends all sessions of the node's proxy and closes its connections. It starts a stopped proxy.
func (s *Site) RestartProxy(name string) {
	s.endSessionsOfNode(name, true)
	e := s.proxies[strings.ToLower(name)]
	e.setStopped(false)
	e.dropConnections()
}

// StopProxy ends all sessions of the node's proxy and closes its port. The repository reports the service as NoCommunication.
func (s *Site) StopProxy(name string) {
	s.endSessionsOfNode(name, false)
	s.proxies[strings.ToLower(name)].setStopped(true)
}

// StartProxy starts a stopped proxy.
func (s *Site) StartProxy(name string) {
	s.setRunning(name, true)
	s.proxies[strings.ToLower(name)].setStopped(false)
}

func (s *Site) setRunning(name string, running bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.node(name)
	n.running = running
	n.states["Proxy"] = stateNoCommunication
	if running {
		n.states["Proxy"] = stateRunning
		s.traceStart(n, "Proxy")
	}
}

func (s *Site) endSessionsOfNode(name string, running bool) {
	s.setRunning(name, running)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.advance()
	n := s.node(name)
	var ended []*session
	for _, l := range n.links {
		ended = append(ended, sessionsOf(l)...)
	}
	s.endAll(ended, now, endWithProxy)
}

// SetServiceState sets the state that the repository reports for a service of a node. The service is Repository, Proxy, Scheduler,
// Engine or Printing. The state is a code from docs/qlik.md, "Service states". The service itself does not change.
func (s *Site) SetServiceState(node, service string, state int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.node(node)
	if _, ok := n.states[service]; !ok {
		panic(fmt.Sprintf("qliktest: no service %q", service))
	}
	n.states[service] = state
}

// SetProxyFault makes the proxy of a node fail.
func (s *Site) SetProxyFault(node string, fault Fault) {
	s.endpointOf(s.proxies, node).setFault(fault)
}

// SetRepositoryFault makes the repository of a node fail.
func (s *Site) SetRepositoryFault(node string, fault Fault) {
	s.endpointOf(s.repositories, node).setFault(fault)
}

// SetProxyLatency delays each response of a node's proxy. Real proxies take 100 to 200 milliseconds (docs/qlik.md, "Session list").
func (s *Site) SetProxyLatency(node string, d time.Duration) {
	s.endpointOf(s.proxies, node).setLatency(d)
}

// SetRepositoryLatency delays each response of a node's repository.
func (s *Site) SetRepositoryLatency(node string, d time.Duration) {
	s.endpointOf(s.repositories, node).setLatency(d)
}

// SetAnswer makes the proxy of a node respond with body to requests for the sessions of prefix. A nil body restores the normal
// response. The virtual proxy does not have to exist.
func (s *Site) SetAnswer(node, prefix string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.node(node)
	if body == nil {
		delete(n.answers, prefix)
		return
	}
	n.answers[prefix] = slices.Clone(body)
}

// SetRepositoryAnswer makes all repositories respond with body to requests for a path, such as "/qrs/license". A nil body restores the
// normal response.
func (s *Site) SetRepositoryAnswer(path string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path = strings.ToLower(path)
	if body == nil {
		delete(s.repositoryAnswers, path)
		return
	}
	s.repositoryAnswers[path] = slices.Clone(body)
}

func (s *Site) endpointOf(endpoints map[string]*endpoint, node string) *endpoint {
	s.node(node)
	return endpoints[strings.ToLower(node)]
}

// stableID returns the id of an entity of the repository. It is the same in every response and every run.
func stableID(kind, name string) string {
	h := fnv.New128a()
	h.Write([]byte(kind + "\x00" + strings.ToLower(name)))
	return formatID(h.Sum(nil))
}

// newID returns a random identifier. The caller holds the lock.
func (s *Site) newID() string {
	return randomID(s.random)
}

func randomID(random *rand.Rand) string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], random.Uint64())
	binary.LittleEndian.PutUint64(b[8:], random.Uint64())
	return formatID(b[:])
}

func formatID(b []byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
