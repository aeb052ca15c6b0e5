// Package qlik is a client for a Qlik Sense Enterprise on Windows site: the wire,
// and nothing else. It asks proxies who has sessions, and repositories which
// virtual proxies, licenses and users the site has.
//
// What it relies on of Qlik's interfaces, from which source and how sure, is
// written in docs/qlik.md.
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

// API names one of the two services that a Client asks. It is the value of the
// label api of qlik_requests_total.
type API string

// The services of a site.
const (
	APIProxy      API = "qps" // proxy service, port 4243
	APIRepository API = "qrs" // repository service, port 4242
)

// APIs lists every API.
func APIs() []API { return []API{APIProxy, APIRepository} }

// Client asks one Qlik Sense site. Each method is one question, and an error is
// an *Error or wraps several. A Client keeps connections, the certificates in
// use, which repository answered last, and counts of requests; it keeps no
// answers. It is safe for use by several goroutines.
type Client struct {
	config       Config
	transport    *transport
	http         http.Client
	user         string // value of X-Qlik-User
	counters     *counters
	skipped      skipped
	repositories *repositories
	lengths      *sync.Map // of the last lists of sessions, by the URL of the link
}

// NewClient makes a client. It reads no file and asks nobody: Reload must load
// the certificates before the first question. The error is a *ConfigError. The
// caller must Close the client.
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
	}
	c.http = http.Client{
		Transport: c.transport,
		// A redirect leads to a login page. Following it would also carry our
		// identity to a host that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close closes the connections.
func (c *Client) Close() { c.transport.close() }

// Config returns the configuration with all defaults.
func (c *Client) Config() Config { return c.config }

// Reload reads the certificate files and takes them into use if they changed.
// When they cannot be used, as in the middle of a rotation, the last good ones
// stay in use. The error is a *ConfigError.
func (c *Client) Reload() error { return c.transport.reload() }

// Credentials reads the certificate files as they are now, and takes nothing into
// use. An error, also one within, is a *ConfigError.
func (c *Client) Credentials() (*Credentials, error) {
	return readCredentials(c.config.CertDir, c.config.KeyPassphraseFile)
}

// Certificates are the ones in use.
func (c *Client) Certificates() Certificates { return c.transport.inUse() }

// On returns a client of a single repository of the site, host:port as in the
// configuration. It shares the connections and the counters of c, and is closed
// with it.
func (c *Client) On(host string) *Client {
	one := *c
	one.repositories = newRepositories([]string{host})
	return &one
}

// Reached returns where a server is dialed whose registered address is given.
func (c *Client) Reached(address string) string { return c.transport.redirect(address) }

// Dial opens a bare connection to a server, given its registered address.
func (c *Client) Dial(ctx context.Context, address string) (net.Conn, error) {
	return c.transport.dial(ctx, "tcp", address)
}

// Answer is what an answer tells besides its content.
type Answer struct {
	Took              time.Duration // until the whole answer was read, or given up
	CertificateExpiry time.Time     // of the server's certificate; zero where none was seen
	Ahead             time.Duration // of the server's clock against ours, exact to a second
	Dated             bool          // Ahead is known
	HTML              bool          // the body is a page for people
}

// question is a request to be sent.
type question struct {
	api    API
	method string
	target url.URL
	shown  string // target in errors, without what must not be told
	begun  func() // called when the answer begins to come in; nil for nobody
}

func get(api API, address, path string, query url.Values) question {
	target := url.URL{Scheme: "https", Host: address, Path: path}
	shown := target.String()
	target.RawQuery = query.Encode()
	return question{api: api, method: http.MethodGet, target: target, shown: shown}
}

// ask sends a request and hands the body of the answer to decode. An error is an
// *Error.
func (c *Client) ask(ctx context.Context, q question, decode func(io.Reader) error) (answer Answer, err error) {
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
		// Whatever broke first, the cause is that time was up.
		kind, err = KindTimeout, errNotInTime
	}
	c.counters.errors[q.api][kind].Add(1)
	if withURL, ok := errors.AsType[*url.Error](err); ok {
		err = withURL.Err // the URL would be there twice, and with the XSRF key
	}
	return answer, &Error{Op: q.method, Target: q.shown, Kind: kind, Status: status, Err: err}
}

func (c *Client) roundTrip(ctx context.Context, q question, answer *Answer, decode func(io.Reader) error) error {
	// Qlik wants the same 16 letters and digits in the header and in the query
	// (docs/qlik.md, "XSRF key").
	key := rand.Text()[:16]
	query := q.target.Query()
	query.Set("Xrfkey", key)
	// A plus is a space only to those who read the query as a form.
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
		// What went wrong is known by now, even if the body stalls.
		defer time.AfterFunc(errorBodyTimeout, func() { _ = response.Body.Close() }).Stop()
	}
	if err := checkStatus(response); err != nil {
		// Read to its end, so that the connection can be used again.
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxErrorBytes))
		return err
	}
	return decode(response.Body)
}

// read notes what the head of an answer tells.
func (a *Answer) read(response *http.Response, sent, received time.Time) {
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		a.CertificateExpiry = response.TLS.PeerCertificates[0].NotAfter
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		a.Ahead = date.Sub(sent.Add(received.Sub(sent) / 2)) // written somewhere between
		a.Dated = true
	}
	a.HTML = strings.HasPrefix(response.Header.Get("Content-Type"), "text/html")
}

// maxErrorBytes is how much of the body of a failing answer is read: more than an
// error page of Qlik's has (docs/qlik.md, "Session list").
const maxErrorBytes = 128 << 10

// errorBodyTimeout is how long that body may take.
const errorBodyTimeout = 250 * time.Millisecond

// checkStatus turns any answer but 200 into an error that tells its kind and
// quotes nothing of the body.
func checkStatus(response *http.Response) error {
	status := fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusUnauthorized:
		return kindErrorf(KindUnauthorized, "%s", status)
	case code == http.StatusForbidden:
		// Qlik answers 403 both for a lost XSRF key and for a certificate or
		// user without rights; only the text tells them apart.
		start, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		if strings.Contains(strings.ToUpper(string(start)), "XSRF") {
			return kindErrorf(KindXSRF, "%s, XSRF prevention check failed; does something between here and Qlik rewrite the request?", status)
		}
		return kindErrorf(KindForbidden, "%s, the client certificate or the user in X-Qlik-User has no right to this", status)
	case code >= 300 && code < 400:
		to := "nowhere"
		if location, err := response.Location(); err == nil {
			to = location.Scheme + "://" + location.Host
		}
		return kindErrorf(KindRedirect, "%s to %s; is this the right port?", status, to)
	default:
		return &kindError{kind: KindStatus, status: code, err: errors.New(status)}
	}
}

// counters count requests.
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

// RequestCounts are requests since the client was made, by API and kind.
type RequestCounts struct {
	Requests map[API]uint64
	Errors   map[API]map[Kind]uint64
}

// Requests returns how many requests were sent, and how many failed.
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
