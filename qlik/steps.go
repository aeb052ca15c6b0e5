package qlik

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"hash/maphash"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Steps asks a site one thing at a time, for whoever wants to know at which step
// something goes wrong. A Site is for everything else.
type Steps struct {
	config    Config
	transport *transport
}

// NewSteps looks at nothing but the configuration. The error is a *ConfigError.
// The caller must Close the steps.
func NewSteps(config Config) (*Steps, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Steps{config: config, transport: newTransport(&config)}, nil
}

// Close closes the connections.
func (s *Steps) Close() {
	if s.transport.http != nil {
		s.transport.close()
	}
}

// Config returns the configuration with all defaults.
func (s *Steps) Config() Config { return s.config }

// Links returns the links that are configured instead of discovered, if they are.
func (s *Steps) Links() []Link { return staticLinks(s.config.Proxies, s.config.VirtualProxies) }

// Credentials are the certificate files, read. What is wrong with one of them
// does not hide the others.
type Credentials struct {
	ClientFile, KeyFile, RootFile string

	Client      tls.Certificate
	ClientError error
	Roots       []*x509.Certificate
	RootError   error
}

// Credentials reads the certificate files. Without them nothing can be asked but
// Dial.
func (s *Steps) Credentials() (*Credentials, error) {
	dir := s.config.CertDir
	c := &Credentials{
		ClientFile: filepath.Join(dir, clientCertificateFile),
		KeyFile:    filepath.Join(dir, clientKeyFile),
		RootFile:   filepath.Join(dir, rootCertificateFile),
	}
	files, err := readCertificateFiles(dir, s.config.KeyPassphraseFile)
	if err != nil {
		return c, err
	}
	c.Client, c.ClientError = files.pair(dir)
	c.Roots, c.RootError = files.roots(dir)
	if c.ClientError == nil && c.RootError == nil {
		return c, s.transport.reload()
	}
	return c, nil
}

// Reached returns where a server is dialled whose registered address is given.
func (s *Steps) Reached(address string) string { return s.transport.redirect(address) }

// Dial connects to a server, given its registered address.
func (s *Steps) Dial(ctx context.Context, address string) (net.Conn, error) {
	return s.transport.dial(ctx, "tcp", address)
}

// Answer is what an answer tells besides its content.
type Answer struct {
	Ahead time.Duration // of the server's clock against ours, exact to a second
	Dated bool          // Ahead is known
	HTML  bool          // it is a page for people
	Took  time.Duration
}

// About asks a repository for its version.
func (s *Steps) About(ctx context.Context, host string) (version string, answer Answer, err error) {
	r, observed := s.repository(host)
	begin := time.Now()
	err = r.ask(ctx, "/qrs/about", nil, func(body io.Reader) error {
		about, err := decodeObject[struct {
			Version string `json:"buildVersion"`
		}](body)
		switch {
		case err != nil:
			return err
		case about == nil || about.Version == "":
			return kindErrorf(KindDecode, "the answer does not name a version")
		}
		version = about.Version
		return nil
	})
	return version, observed.answer(begin), err
}

// Services asks a repository for the states of the services.
func (s *Steps) Services(ctx context.Context, host string) ([]ServiceState, error) {
	r, _ := s.repository(host)
	return r.services(ctx)
}

// Topology asks a repository for the links, without those that --qlik.proxy and
// --qlik.virtual-proxy leave out.
func (s *Steps) Topology(ctx context.Context, host string) ([]Link, error) {
	r, _ := s.repository(host)
	links, err := r.topology(ctx)
	return filterLinks(links, s.config.Proxies, s.config.VirtualProxies), err
}

// Enabled returns the links that a Site asks: not those of disabled proxies.
func Enabled(links []Link, states []ServiceState) []Link { return withoutDisabled(links, states) }

// Licenses asks a repository for the licences. With an error comes what could
// be read, or nil.
func (s *Steps) Licenses(ctx context.Context, host string) (*Licenses, error) {
	r, _ := s.repository(host)
	return r.licenses(ctx, s.config.Now(), nil)
}

// UsageRows asks a repository how many usage rows there are.
func (s *Steps) UsageRows(ctx context.Context, host string, licenses *Licenses) (int, error) {
	r, _ := s.repository(host)
	seed := maphash.MakeSeed()
	rows, err := r.usage(ctx, licenses.inUse, func(id SessionID) sessionHash { return sessionHash(maphash.String(seed, string(id))) })
	return len(rows), err
}

// Sessions asks a link for its sessions.
func (s *Steps) Sessions(ctx context.Context, link *Link) ([]Session, Answer, error) {
	observed := &observer{next: s.transport, now: s.config.Now}
	begin := time.Now()
	sessions, _, err := newClient(observed, s.config.User, s.config.Timeout).listSessions(ctx, link)
	return sessions, observed.answer(begin), err
}

func (s *Steps) repository(host string) (*repository, *observer) {
	observed := &observer{next: s.transport, now: s.config.Now}
	return newRepository(newClient(observed, s.config.User, s.config.Timeout), []string{host}), observed
}

// observer is a transport that notes what answers tell besides their content.
type observer struct {
	next http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex
	seen Answer // of the last answer
}

// RoundTrip implements http.RoundTripper.
func (o *observer) RoundTrip(request *http.Request) (*http.Response, error) {
	sent := o.now()
	response, err := o.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	received := o.now()
	var seen Answer
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		seen.Ahead = date.Sub(sent.Add(received.Sub(sent) / 2)) // written somewhere between
		seen.Dated = true
	}
	seen.HTML = strings.HasPrefix(response.Header.Get("Content-Type"), "text/html")
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = seen
	return response, nil
}

func (o *observer) answer(begin time.Time) Answer {
	o.mu.Lock()
	defer o.mu.Unlock()
	answer := o.seen
	answer.Took = time.Since(begin)
	return answer
}
