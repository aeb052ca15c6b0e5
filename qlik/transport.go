package qlik

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// MaxConnectionsPerNode is the maximum number of concurrent requests to a node.
const MaxConnectionsPerNode = 64

var errNoCertificates = errors.New("the certificates have not been loaded")

// transport is the connection pool of a site. It uses mutual TLS and follows changes
// of the certificate files. It verifies each node against the host in the URL, which
// is the registered host name of the node.
type transport struct {
	dir, serverName string
	open            func(ctx context.Context, network, address string) (net.Conn, error)
	redirect        func(address string) string // returns the address to dial

	reloading    sync.Mutex         // held while the files are read; locked before mu
	reader       *certificateReader // guarded by reloading
	mu           sync.Mutex         // guards the fields below; only held briefly
	files        *certificateFiles  // files of the certificates in http
	http         *http.Transport    // nil before the first reload
	certificates Certificates
	failed       *certificateFiles // last invalid files, so that they are not parsed again
	failure      error             // error of failed
}

// newTransport returns a transport without certificates. Call reload before use.
func newTransport(config *Config) *transport {
	return &transport{
		dir: config.CertDir, serverName: config.ServerName,
		reader:   newCertificateReader(config.CertDir, config.KeyPassphraseFile),
		open:     config.DialContext,
		redirect: redirection(config),
	}
}

// reload implements Client.Reload.
func (t *transport) reload() error {
	t.reloading.Lock()
	defer t.reloading.Unlock()
	files, err := t.reader.read()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case files.equal(t.files):
		return nil
	case files.equal(t.failed):
		return t.failure
	}
	config, certificates, err := files.tlsConfig(t.dir)
	if err != nil {
		t.failed, t.failure = files, err
		return err
	}
	config.ServerName = t.serverName
	old := t.http
	t.files, t.failed, t.failure, t.certificates = files, nil, nil, certificates
	t.http = &http.Transport{
		DialContext:         t.dial,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxConnsPerHost:     MaxConnectionsPerNode,
		MaxIdleConnsPerHost: MaxConnectionsPerNode, // keep the connections of all links for the next scrape
		IdleConnTimeout:     5 * time.Minute,       // longer than any scrape interval
		// Small buffers save memory with hundreds of connections. Responses are at most
		// a few hundred kilobytes and arrive at once.
		ReadBufferSize:  4 << 10,
		WriteBufferSize: 1 << 10,
		// By default, the header of each response could take 10 MB.
		MaxResponseHeaderBytes: 64 << 10,
	}
	if old != nil {
		old.CloseIdleConnections()
	}
	return nil
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	t.mu.Lock()
	current := t.http
	t.mu.Unlock()
	if current == nil {
		return nil, errNoCertificates
	}
	return current.RoundTrip(request)
}

// dial opens a connection to a node, given its registered address.
func (t *transport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return t.open(ctx, network, t.redirect(address))
}

func (t *transport) inUse() Certificates {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.certificates
}

func (t *transport) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.http != nil {
		t.http.CloseIdleConnections()
	}
}

// redirection returns a function from the registered address of a node to the address
// to dial. Repositories and engines keep their ports, because the port of a NodeAddress is
// the proxy's.
func redirection(config *Config) func(address string) string {
	byName := make(map[string]NodeAddress, len(config.NodeAddresses))
	for name, address := range config.NodeAddresses {
		byName[strings.ToLower(name)] = address
	}
	isRepository := make(map[string]bool, len(config.Hosts))
	for _, address := range config.Hosts {
		isRepository[strings.ToLower(address)] = true
	}
	return func(address string) string {
		address = strings.ToLower(address)
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return address // dialing returns the error
		}
		if node, ok := byName[host]; ok {
			keeps := isRepository[address] || port == config.enginePort(host)
			host = node.Host
			if node.Port != "" && !keeps {
				port = node.Port
			}
		}
		return net.JoinHostPort(host, port)
	}
}
