package check

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// verdictWait is the minimum time to wait for a server to reject the client
// certificate before the first request.
const verdictWait = 100 * time.Millisecond

// server is a repository, a proxy or an engine with the results of its steps so far.
type server struct {
	site    *site
	address string // as registered
	api     qlik.API
	flag    string                                           // flag that names the server; "" if the repository names it
	ask     func(*server, context.Context) ([]Result, error) // sends the request of the step "request"

	deadline    time.Time // for the connection and the handshake
	conn        net.Conn
	dialErr     error
	certificate *x509.Certificate // nil until it is verified
	refusal     error             // rejection of the client certificate during the handshake
	answers     bool              // the request succeeded; for a proxy, at least one link responded
	ahead       *time.Duration    // how far the server's clock is ahead of this machine's; nil while unknown

	links       []*headroom.LinkResult // only for a proxy
	linkResults []Result
}

func (s *server) host() string { return qlik.HostOf(s.address) }

// reachedHost returns the host that the client connects to. It differs from host if
// Config.Qlik.NodeAddresses has an entry for it.
func (s *server) reachedHost() string { return qlik.HostOf(s.reached()) }

// reached returns the address that the client connects to, as far as it is known.
func (s *server) reached() string {
	if s.site.client == nil {
		return s.address
	}
	return s.site.client.Reached(s.address)
}

func hostAndPort(s *server) string { return s.address }

func isProxy(s *server) bool { return s.api == qlik.APIProxy }

func isUnknownName(err error) bool {
	_, unknown := errors.AsType[*net.DNSError](err)
	return unknown
}

func knownName(s *server) string {
	if isUnknownName(s.dialErr) {
		return "the name does not resolve"
	}
	return ""
}

func openPort(s *server) string {
	if s.dialErr != nil {
		return "the port is not reachable"
	}
	return ""
}

func knownAuthority(s *server) string {
	if len(s.site.credentials.Roots) == 0 {
		return filesUnusable
	}
	return ""
}

func acceptedCertificate(s *server) string {
	if s.certificate == nil {
		return "the server's certificate was not verified"
	}
	return ""
}

func usableFiles(s *server) string {
	if !s.site.clientUsable || !s.site.authoritiesUsable {
		return filesUnusable
	}
	return ""
}

const filesUnusable = "the certificate files cannot be used"

// resolveAndDial opens a connection and returns the address of the server. It fails
// only if the name does not resolve; the next step reports other errors.
func (s *server) resolveAndDial(ctx context.Context) ([]Result, error) {
	s.deadline = time.Now().Add(s.site.Qlik.Timeout)
	ctx, cancel := context.WithDeadline(ctx, s.deadline)
	defer cancel()
	s.conn, s.dialErr = s.site.client.Dial(ctx, s.address)
	if isUnknownName(s.dialErr) {
		return nil, s.dialErr
	}
	reached := s.reachedHost()
	address := reached
	if op, ok := errors.AsType[*net.OpError](s.dialErr); ok && op.Addr != nil {
		address = op.Addr.String()
	} else if s.conn != nil {
		address = s.conn.RemoteAddr().String()
	}
	address = qlik.HostOf(address)
	switch {
	case !strings.EqualFold(reached, s.host()):
		return passed("%s, set by %s", address, s.site.Setting("qlik.node-address")), nil
	case net.ParseIP(reached) != nil:
		return passed("is an IP address"), nil
	}
	return passed("%s", address), nil
}

// checkPort reports whether the connection was opened.
func (s *server) checkPort(context.Context) ([]Result, error) {
	if s.dialErr != nil {
		return nil, s.dialErr
	}
	if reached := s.site.client.Reached(s.address); !strings.EqualFold(reached, s.address) {
		return passed("open at %s", reached), nil
	}
	return passed("open"), nil
}

func (s *server) closeConnection() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// checkCertificate verifies the certificate of the server. It closes the connection,
// so that no connection is idle while others carry requests.
func (s *server) checkCertificate(ctx context.Context) ([]Result, error) {
	defer s.closeConnection()
	ctx, cancel := context.WithDeadline(ctx, s.deadline)
	defer cancel()
	shown, err := s.handshake(ctx)
	if shown == nil {
		return nil, err
	}
	s.certificate = shown
	if refusalReason(err) != "" {
		s.refusal = err
	}
	if s.site.endsSoon(shown.NotAfter) {
		return warned("%s from %s; expires on %s: %s", names(shown), issuer(shown), text.Date(shown.NotAfter), renew), nil
	}
	return passed("%s from %s; valid until %s", names(shown), issuer(shown), text.Date(shown.NotAfter)), nil
}

// handshake returns the certificate of the server if it is verified. An error
// together with a certificate concerns the client certificate.
func (s *server) handshake(ctx context.Context) (accepted *x509.Certificate, err error) {
	pool := x509.NewCertPool()
	for _, root := range s.site.credentials.Roots {
		pool.AddCert(root)
	}
	config := &tls.Config{
		RootCAs:    pool,
		ServerName: s.expectedName(),
		MinVersion: tls.VersionTLS12,
		Time:       s.site.Qlik.Now,
		VerifyConnection: func(state tls.ConnectionState) error {
			accepted = state.PeerCertificates[0]
			return nil
		},
	}
	if usableFiles(s) == "" {
		config.Certificates = []tls.Certificate{s.site.credentials.Client}
	}
	client, begin := tls.Client(s.conn, config), time.Now()
	err = client.HandshakeContext(ctx)
	if err == nil && client.ConnectionState().Version >= tls.VersionTLS13 {
		// With TLS 1.3 the server verifies the client certificate after the
		// handshake. Its alert can get lost once a request is in progress.
		_ = client.SetReadDeadline(time.Now().Add(max(verdictWait, 2*time.Since(begin))))
		_, err = client.Read(make([]byte, 1))
	}
	return accepted, err
}

// expectedName returns the name that the server's certificate must contain.
func (s *server) expectedName() string { return cmp.Or(s.site.Qlik.ServerName, s.host()) }

// refusalReason returns the reason in the TLS alert of the server, or "" if the
// server sent none.
func refusalReason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return ""
}

// request sends the request, unless the server has already rejected the client
// certificate.
func (s *server) request(ctx context.Context) ([]Result, error) {
	if s.refusal != nil {
		return nil, s.refusal
	}
	return s.ask(s, ctx)
}

// observe records the clock of the server from the first dated response.
func (s *server) observe(answer qlik.Answer) {
	if answer.Dated && s.ahead == nil {
		s.ahead = &answer.Ahead
	}
}

// withPage marks the error of a response that is an HTML page.
func withPage(answer qlik.Answer, err error) error {
	if err != nil && answer.HTML {
		return &pageError{err}
	}
	return err
}

type pageError struct{ error }

func (e *pageError) Unwrap() error { return e.error }
