// Package qlik is a client for the REST APIs of a Qlik Sense Enterprise on Windows
// site. It reads sessions from the proxies. It reads virtual proxies, services,
// licenses and users from a repository. It asks the engines for their health.
//
// docs/qlik.md lists the facts about Qlik's APIs that this package relies on, with
// the source and the certainty of each.
package qlik

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// API is one of the three APIs of a site. It is the value of the label api of
// qlik_requests_total.
type API string

// The APIs of a site, with their default ports.
const (
	APIProxy      API = "qps" // Qlik Proxy Service, port 4243
	APIRepository API = "qrs" // Qlik Repository Service, port 4242
	APIEngine     API = "qes" // Qlik Engine Service, port 4747
)

// APIs lists every API.
func APIs() []API { return []API{APIProxy, APIRepository, APIEngine} }

// Client sends requests to one Qlik Sense site. The error of a request is an *Error
// or wraps several.
//
// A Client keeps connections, the certificates in use, the repository that answered
// last, and request counters. It does not cache responses. It is safe for concurrent
// use.
type Client struct {
	config       Config
	transport    *transport
	http         http.Client
	user         string // value of X-Qlik-User
	counters     *counters
	skipped      *skipped
	repositories *repositories
	lengths      *sync.Map     // lengths of the last session lists, by the URL of the link
	healthPath   *atomic.Int64 // index in enginePaths of the one that an engine answered last
}

// NewClient returns a client. It reads no certificates and sends no request: the
// caller must call Reload before the first request, and Close at the end. The error
// is a *ConfigError.
func NewClient(config Config) (*Client, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		config:       config,
		transport:    newTransport(&config),
		user:         fmt.Sprintf("UserDirectory=%s; UserId=%s", config.User.Directory, config.User.ID),
		counters:     newCounters(),
		skipped:      newSkipped(),
		repositories: newRepositories(config.Hosts),
		lengths:      new(sync.Map),
		healthPath:   new(atomic.Int64),
	}
	c.http = http.Client{
		Transport: c.transport,
		// A redirect leads to a login page. Following it would also send the client
		// certificate and the headers to a host that is not configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close closes the idle connections.
func (c *Client) Close() { c.transport.close() }

// Config returns the configuration with defaults filled in.
func (c *Client) Config() Config { return c.config }

// Reload reads the certificate files and uses them from now on if they have changed.
// If they are invalid, for example in the middle of a rotation, the previous valid
// ones stay in use. The error is a *ConfigError.
func (c *Client) Reload() error { return c.transport.reload() }

// Credentials reads the certificate files without using them for requests. The error
// and the errors within the Credentials are *ConfigErrors.
func (c *Client) Credentials() (*Credentials, error) {
	return readCredentials(c.config.CertDir, c.config.KeyPassphraseFile)
}

// Certificates returns the certificates in use.
func (c *Client) Certificates() Certificates { return c.transport.inUse() }

// On returns a client that uses a single repository of the site, given as host:port
// as in Config. It shares the connections and counters of c, and c.Close closes both.
func (c *Client) On(host string) *Client {
	one := *c
	one.repositories = newRepositories([]string{host})
	return &one
}

// Reached returns the host:port that the client connects to for a registered
// address. They differ if Config.NodeAddresses has an entry for the host.
func (c *Client) Reached(address string) string { return c.transport.redirect(address) }

// Dial opens a TCP connection to a server, given its registered address. It does not
// start TLS.
func (c *Client) Dial(ctx context.Context, address string) (net.Conn, error) {
	return c.transport.dial(ctx, "tcp", address)
}

// Answer is the metadata of a response.
type Answer struct {
	Took              time.Duration // until the body was read completely or the request failed
	CertificateExpiry time.Time     // end of validity of the server's certificate; zero if the server sent none
	Ahead             time.Duration // how far the server's clock is ahead of the local clock, with a precision of one second
	Dated             bool          // the response has a date, so Ahead is known
	HTML              bool          // the body is an HTML page
}

// apiRequest is a request to an API.
type apiRequest struct {
	api    API
	method string
	target url.URL
	shown  string // target in errors, without query and secrets
	begun  func() // called when the response begins to arrive; may be nil
}

func get(api API, address, path string, query url.Values) apiRequest {
	target := url.URL{Scheme: "https", Host: address, Path: path}
	shown := target.String()
	target.RawQuery = query.Encode()
	return apiRequest{api: api, method: http.MethodGet, target: target, shown: shown}
}

// send sends a request and passes the body of the response to decode. The error is
// an *Error.
func (c *Client) send(ctx context.Context, q apiRequest, decode func(io.Reader) error) (answer Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()

	c.counters.requests[q.api].Add(1)
	begin := time.Now()
	err = c.roundTrip(ctx, q, &answer, decode)
	answer.Took = time.Since(begin)
	if err == nil {
		return answer, nil
	}
	kind, status := classify(err), 0
	if marked, ok := errors.AsType[*kindError](err); ok {
		status = marked.status
	}
	if ctx.Err() != nil {
		// The deadline is the cause, regardless of the error that it led to.
		kind, err = KindTimeout, errNotInTime
	}
	c.counters.errors[q.api][kind].Add(1)
	if withURL, ok := errors.AsType[*url.Error](err); ok {
		err = withURL.Err // its URL repeats Target and contains the XSRF key
	}
	return answer, &Error{Op: q.method, Target: q.shown, Kind: kind, Status: status, Err: err}
}

func (c *Client) roundTrip(ctx context.Context, q apiRequest, answer *Answer, decode func(io.Reader) error) error {
	// Qlik requires the same 16 letters and digits in the header and in the query
	// (docs/qlik.md, "XSRF key").
	key := rand.Text()[:16]
	query := q.target.Query()
	query.Set("Xrfkey", key)
	// Only servers that parse the query as a form decode a plus as a space.
	q.target.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	request, err := http.NewRequestWithContext(ctx, q.method, q.target.String(), http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("X-Qlik-Xrfkey", key)
	request.Header.Set("X-Qlik-User", c.user)
	request.Header.Set("Accept", "application/json")

	sent := c.config.Now()
	response, err := c.http.Do(request)
	if err != nil {
		if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(refused.UnverifiedCertificates) > 0 {
			answer.CertificateExpiry = refused.UnverifiedCertificates[0].NotAfter
		}
		return err
	}
	defer response.Body.Close()
	if q.begun != nil {
		q.begun()
	}
	answer.read(response, sent, c.config.Now())
	if response.StatusCode != http.StatusOK {
		// The status is enough for an error, so do not wait for a body that stalls.
		defer time.AfterFunc(errorBodyTimeout, func() { _ = response.Body.Close() }).Stop()
	}
	if err := checkStatus(response); err != nil {
		// Read the body to its end, so that the connection can be reused.
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxErrorBytes))
		return err
	}
	return decode(response.Body)
}

// read records the metadata of a response.
func (a *Answer) read(response *http.Response, sent, received time.Time) {
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		a.CertificateExpiry = response.TLS.PeerCertificates[0].NotAfter
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		a.Ahead = date.Sub(sent.Add(received.Sub(sent) / 2)) // assume that it was written halfway
		a.Dated = true
	}
	a.HTML = strings.HasPrefix(response.Header.Get("Content-Type"), "text/html")
}

// maxErrorBytes is the maximum number of bytes read from the body of an error
// response. It is more than the size of Qlik's error page (docs/qlik.md, "Session
// list").
const maxErrorBytes = 128 << 10

// errorBodyTimeout is the maximum time to read that body.
const errorBodyTimeout = 250 * time.Millisecond

// checkStatus returns an error with a kind for any status but 200. The error does
// not contain any part of the body.
func checkStatus(response *http.Response) error {
	status := fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusUnauthorized:
		return kindErrorf(KindUnauthorized, "%s", status)
	case code == http.StatusForbidden:
		// Qlik answers 403 both for a missing XSRF key and for a certificate or user
		// without rights. Only the text distinguishes them
		// (docs/qlik.md, "Error bodies").
		start, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		if strings.Contains(strings.ToUpper(string(start)), "XSRF") {
			return kindErrorf(KindXSRF, "%s, XSRF prevention check failed; a proxy on the way may have changed the request", status)
		}
		return kindErrorf(KindForbidden, "%s, the client certificate or the user in X-Qlik-User is not authorized", status)
	case code >= 300 && code < 400:
		to := "an unknown location"
		if location, err := response.Location(); err == nil {
			to = location.Scheme + "://" + location.Host
		}
		return kindErrorf(KindRedirect, "%s to %s; is this the right port?", status, to)
	default:
		return &kindError{kind: KindStatus, status: code, err: errors.New(status)}
	}
}

// counters count requests and failed requests.
type counters struct {
	requests map[API]*atomic.Uint64
	errors   map[API]map[Kind]*atomic.Uint64
}

func newCounters() *counters {
	c := &counters{requests: make(map[API]*atomic.Uint64), errors: make(map[API]map[Kind]*atomic.Uint64)}
	for _, api := range APIs() {
		c.requests[api] = new(atomic.Uint64)
		c.errors[api] = make(map[Kind]*atomic.Uint64)
		for _, kind := range Kinds() {
			c.errors[api][kind] = new(atomic.Uint64)
		}
	}
	return c
}

// RequestCounts are the numbers of requests and failed requests since NewClient, by
// API and kind.
type RequestCounts struct {
	Requests map[API]uint64
	Errors   map[API]map[Kind]uint64
}

// Requests returns the numbers of requests and failed requests.
func (c *Client) Requests() RequestCounts {
	counts := RequestCounts{Requests: make(map[API]uint64), Errors: make(map[API]map[Kind]uint64)}
	for api, n := range c.counters.requests {
		counts.Requests[api] = n.Load()
		counts.Errors[api] = make(map[Kind]uint64)
		for kind, n := range c.counters.errors[api] {
			counts.Errors[api][kind] = n.Load()
		}
	}
	return counts
}
