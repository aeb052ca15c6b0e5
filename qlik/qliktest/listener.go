package qliktest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// endpoint is the network side of a service of a node: a port, TLS, HTTP, and the faults.
type endpoint struct {
	ctx         context.Context // canceled when the site closes
	site        *Site
	node        Node
	port        int // registered port
	service     service
	certificate tls.Certificate
	server      *http.Server
	address     string         // listening address; it does not change while the port is closed
	running     sync.WaitGroup // goroutines of listeners and connections

	mu       sync.Mutex
	listener net.Listener // nil while the port is closed
	conns    map[net.Conn]struct{}
	fault    Fault
	latency  time.Duration
	stopped  bool // the service is not running
	closed   bool // the site is closed
	faulty   map[Fault]*tls.Certificate
}

// service handles the requests of an endpoint.
type service struct {
	answer   func(*http.Request) answer
	count    func(*http.Request)
	accepted *atomic.Int64 // connections
}

func (s *Site) newEndpoint(ctx context.Context, n Node, port int, behind service, certificate tls.Certificate) (*endpoint, error) {
	e := &endpoint{
		ctx: ctx, site: s, node: n, port: port, service: behind, certificate: certificate,
		address: listenAddress(n, port),
		conns:   map[net.Conn]struct{}{}, faulty: map[Fault]*tls.Certificate{},
	}
	e.server = &http.Server{
		Handler:           e,
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         e.track,
		// Tests of faults cause failed handshakes, so do not log them.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	if s.config.InMemory {
		e.address = net.JoinHostPort(n.Name, strconv.Itoa(port))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.listen(); err != nil {
		return nil, err
	}
	e.address = e.listener.Addr().String() // the same when the port is opened again
	return e, nil
}

// listenAddress returns the address for a service with a port of a real node.
func listenAddress(n Node, port int) string {
	if n.FreePorts {
		port = 0
	}
	if n.Address == "" {
		return "127.0.0.1:0"
	}
	return net.JoinHostPort(n.Address, strconv.Itoa(port))
}

// reportedPort returns the port that the repository reports, if it reports one. Without an address, it is the registered one.
func (e *endpoint) reportedPort() int {
	if e.node.Address == "" {
		return e.port
	}
	_, port, _ := net.SplitHostPort(e.address)
	n, _ := strconv.Atoi(port)
	return n
}

// listen opens the port. The caller holds the lock.
func (e *endpoint) listen() error {
	var listener net.Listener
	if e.site.config.InMemory {
		listener = newMemoryListener(memoryAddress(e.address))
	} else {
		var err error
		if listener, err = new(net.ListenConfig).Listen(e.ctx, "tcp", e.address); err != nil {
			return err
		}
	}
	e.listener = listener
	secure := tls.NewListener(listener, e.tlsConfig())
	e.running.Go(func() { _ = e.server.Serve(secure) }) // always returns an error: closed
	return nil
}

func (e *endpoint) tlsConfig() *tls.Config {
	config := &tls.Config{
		GetCertificate: e.shown,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		MaxVersion:     e.maxVersion(),
		ClientCAs:      e.site.authority.pool(),
		Time:           e.site.config.Now,
		// A resumed session would not use the certificate of a fault.
		SessionTicketsDisabled: true,
	}
	if e.site.config.RequireClientCertificate {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config
}

// shown returns the certificate for a handshake.
func (e *endpoint) shown(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault.inCertificate() {
		if e.faulty[e.fault] == nil {
			certificate, err := e.site.faultyCertificate(e.node, e.fault)
			if err != nil {
				return nil, err
			}
			e.faulty[e.fault] = &certificate
		}
		return e.faulty[e.fault], nil
	}
	return &e.certificate, nil
}

// track keeps the set of connections, so that faults can close them.
func (e *endpoint) track(c net.Conn, state http.ConnState) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch state { //nolint:exhaustive // the other states are in between
	case http.StateNew:
		e.service.accepted.Add(1)
		e.running.Add(1)
		e.conns[c] = struct{}{}
		if e.listener == nil {
			// Accepted just before the port was closed.
			cut(c)
		}
	case http.StateClosed:
		delete(e.conns, c)
		e.running.Done()
	}
}

func (e *endpoint) setFault(f Fault) {
	e.mu.Lock()
	drop := f != e.fault && (f.inTransport() || e.fault.inTransport())
	e.fault = f
	e.openOrClose()
	e.mu.Unlock()
	if drop {
		e.dropConnections()
	}
}

func (e *endpoint) setStopped(stopped bool) {
	e.mu.Lock()
	e.stopped = stopped
	e.openOrClose()
	e.mu.Unlock()
	if stopped {
		e.dropConnections()
	}
}

func (e *endpoint) setLatency(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.latency = d
}

// state returns the fault and the latency for a request.
func (e *endpoint) state() (Fault, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fault, e.latency
}

// openOrClose opens or closes the port as required. The caller holds the lock.
func (e *endpoint) openOrClose() {
	open := !e.closed && !e.stopped && e.fault != Refused
	switch {
	case open && e.listener == nil:
		// An outgoing connection of a client may use the port for a moment.
		var err error
		for range 100 {
			if err = e.listen(); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		panic(fmt.Sprintf("qliktest: cannot listen on %s again: %v", e.address, err))
	case !open && e.listener != nil:
		_ = e.listener.Close()
		e.listener = nil
	}
}

func (e *endpoint) dropConnections() {
	e.mu.Lock()
	var all []net.Conn
	for c := range e.conns {
		all = append(all, c)
	}
	e.mu.Unlock()
	// Not under the lock, because closing a connection calls track.
	for _, c := range all {
		cut(c)
	}
}

// cut closes the TCP connection below TLS. A TLS close alert would wait for a client that does not read, and a crashed service sends
// none.
func cut(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	_ = c.Close()
}

func (e *endpoint) close() {
	e.mu.Lock()
	e.closed = true
	e.openOrClose()
	e.mu.Unlock()
	e.dropConnections()
	_ = e.server.Close()
	e.running.Wait()
}

// dial connects in memory.
func (e *endpoint) dial(ctx context.Context, network string) (net.Conn, error) {
	e.mu.Lock()
	listener, _ := e.listener.(*memoryListener)
	e.mu.Unlock()
	if listener == nil {
		return nil, refused(network, memoryAddress(e.address))
	}
	client, server := memoryPipe("client:0", listener.address)
	select {
	case listener.conns <- server:
		return client, nil
	case <-listener.closed:
		return nil, refused(network, listener.address)
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Addr: listener.address, Err: ctx.Err()}
	}
}

func refused(network string, address net.Addr) error {
	return &net.OpError{Op: "dial", Net: network, Addr: address, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// RepositoryAddress returns the address of a node's repository: an IP address and a port, or "name:4242" in memory.
func (s *Site) RepositoryAddress(node string) string {
	return s.endpointOf(s.repositories, node).address
}

// ProxyAddress returns the address of a node's proxy: an IP address and a port, or the name and the registered port in memory.
func (s *Site) ProxyAddress(node string) string {
	return s.endpointOf(s.proxies, node).address
}

// DialContext connects to the repository of a node at "name:4242", to its engine at "name:4747", or to its proxy at the name and the
// registered port. With Node.FreePorts, these are the free ports. For an unknown name it returns a *net.DNSError; other ports of a node
// refuse the connection. Over TCP it dials an address of the loopback interface unchanged.
func (s *Site) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() && !s.config.InMemory {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	key := strings.ToLower(host)
	proxy, ok := s.proxies[key]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	var e *endpoint
	switch port {
	case strconv.Itoa(s.repositories[key].reportedPort()):
		e = s.repositories[key]
	case strconv.Itoa(proxy.reportedPort()):
		e = proxy
	case strconv.Itoa(s.engines[key].reportedPort()):
		e = s.engines[key]
	default:
		return nil, refused(network, memoryAddress(address))
	}
	if s.config.InMemory {
		return e.dial(ctx, network)
	}
	return new(net.Dialer).DialContext(ctx, network, e.address)
}
