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

// MaxConnectionsPerNode bounds the requests that one node is asked at once.
const MaxConnectionsPerNode = 64

var errNoCertificates = errors.New("the certificates have not been loaded")

// transport is the connection pool of a site: mutual TLS with certificates that
// follow their files. Each node is verified against the name in the URL, which
// is the name it registered itself under.
type transport struct {
	dir, passphraseFile, serverName string
	open                            func(ctx context.Context, network, address string) (net.Conn, error)
	redirect                        func(address string) string // where a node is reached

	reloading    sync.Mutex        // held while the files are read; taken before mu
	mu           sync.Mutex        // guards what follows, and is never held for long
	files        *certificateFiles // that http is made of
	http         *http.Transport   // nil before the first reload
	certificates Certificates
	failed       *certificateFiles // that made no credentials, so that they are not tried again
	failure      error             // why
}

// newTransport reads nothing yet: reload does.
func newTransport(config *Config) *transport {
	return &transport{
		dir: config.CertDir, passphraseFile: config.KeyPassphraseFile, serverName: config.ServerName,
		open:     config.DialContext,
		redirect: redirection(config.NodeAddresses, config.Hosts),
	}
}

// reload reads the certificate files and takes them into use if they have
// changed. When they cannot be read or do not fit together, as in the middle of
// a rotation, the last good ones stay in use.
func (t *transport) reload() error {
	t.reloading.Lock()
	defer t.reloading.Unlock()
	files, err := readCertificateFiles(t.dir, t.passphraseFile)
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
		MaxIdleConnsPerHost: MaxConnectionsPerNode, // every link's connection is kept for the next scrape
		IdleConnTimeout:     5 * time.Minute,       // longer than any scrape interval
		// Answers are a few hundred kilobytes at most and come in one go; small
		// buffers matter with hundreds of connections.
		ReadBufferSize:  4 << 10,
		WriteBufferSize: 1 << 10,
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

// dial connects to a node, given its registered address.
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

// redirection returns where a node is reached instead of under its registered
// name. A repository keeps its own port: the port of a NodeAddress is the
// proxy's.
func redirection(nodes map[string]NodeAddress, repositories []string) func(address string) string {
	byName := make(map[string]NodeAddress, len(nodes))
	for name, address := range nodes {
		byName[strings.ToLower(name)] = address
	}
	isRepository := make(map[string]bool, len(repositories))
	for _, address := range repositories {
		isRepository[strings.ToLower(address)] = true
	}
	return func(address string) string {
		address = strings.ToLower(address)
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return address // which dialling will say
		}
		if node, ok := byName[host]; ok {
			host = node.Host
			if node.Port != "" && !isRepository[address] {
				port = node.Port
			}
		}
		return net.JoinHostPort(host, port)
	}
}
