package qlik

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// API names one of the two services that are asked. It is the value of the
// label api of qlik_requests_total.
type API string

// The services of a site.
const (
	APIProxy      API = "qps" // proxy service, port 4243
	APIRepository API = "qrs" // repository service, port 4242
)

// APIs lists every API.
func APIs() []API { return []API{APIProxy, APIRepository} }

// client sends single requests with mutual TLS and the headers that Qlik wants,
// and counts them.
type client struct {
	http    http.Client
	user    string // value of X-Qlik-User
	timeout time.Duration

	requests map[API]*atomic.Uint64
	errors   map[API]map[Kind]*atomic.Uint64
}

func newClient(transport http.RoundTripper, user User, timeout time.Duration) *client {
	c := &client{
		http: http.Client{
			Transport: transport,
			// A redirect leads to a login page; following it would also carry our
			// identity to a host that nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		user:     fmt.Sprintf("UserDirectory=%s; UserId=%s", user.Directory, user.ID),
		timeout:  timeout,
		requests: make(map[API]*atomic.Uint64),
		errors:   make(map[API]map[Kind]*atomic.Uint64),
	}
	for _, api := range APIs() {
		c.requests[api] = new(atomic.Uint64)
		c.errors[api] = make(map[Kind]*atomic.Uint64)
		for _, kind := range Kinds() {
			c.errors[api][kind] = new(atomic.Uint64)
		}
	}
	return c
}

// get asks https://address/path and hands the body of the answer to decode. It
// returns the end of validity of the server's certificate, zero where no
// certificate was seen. An error is an *Error.
func (c *client) get(ctx context.Context, api API, address, path string, query url.Values, decode func(io.Reader) error) (certificateExpiry time.Time, err error) {
	target := url.URL{Scheme: "https", Host: address, Path: path}
	shown := target.String()
	target.RawQuery = query.Encode()
	return c.request(ctx, api, http.MethodGet, target, shown, decode)
}

// request sends a request. In errors its target is shown as given, without what
// must not be told.
func (c *client) request(
	ctx context.Context, api API, method string, target url.URL, shown string, decode func(io.Reader) error,
) (certificateExpiry time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	c.requests[api].Add(1)
	certificateExpiry, err = c.roundTrip(ctx, method, target, decode)
	if err == nil {
		return certificateExpiry, nil
	}
	kind, status := classify(err), 0
	if marked, ok := errors.AsType[*kindError](err); ok {
		status = marked.status
	}
	if ctx.Err() != nil {
		// Whatever broke first, the cause is that time was up.
		kind, err = KindTimeout, errNotInTime
	}
	c.errors[api][kind].Add(1)
	if withURL, ok := errors.AsType[*url.Error](err); ok {
		err = withURL.Err // the URL would be there twice, and with the XSRF key
	}
	return certificateExpiry, &Error{Op: method, Target: shown, Kind: kind, Status: status, Err: err}
}

func (c *client) roundTrip(ctx context.Context, method string, target url.URL, decode func(io.Reader) error) (certificateExpiry time.Time, err error) {
	// Qlik wants the same 16 letters and digits in the header and in the query
	// (docs/qlik.md, "XSRF key").
	key := rand.Text()[:16]
	query := target.Query()
	query.Set("Xrfkey", key)
	// A plus is a space only to those who read the query as a form.
	target.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	request, err := http.NewRequestWithContext(ctx, method, target.String(), http.NoBody)
	if err != nil {
		return time.Time{}, err
	}
	request.Header.Set("X-Qlik-Xrfkey", key)
	request.Header.Set("X-Qlik-User", c.user)
	request.Header.Set("Accept", "application/json")

	response, err := c.http.Do(request)
	if err != nil {
		if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(refused.UnverifiedCertificates) > 0 {
			certificateExpiry = refused.UnverifiedCertificates[0].NotAfter
		}
		return certificateExpiry, err
	}
	defer response.Body.Close()
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		certificateExpiry = response.TLS.PeerCertificates[0].NotAfter
	}
	if err := checkStatus(response); err != nil {
		return certificateExpiry, err
	}
	return certificateExpiry, decode(response.Body)
}

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

// RequestCounts are requests since the start, by API and kind.
type RequestCounts struct {
	Requests map[API]uint64
	Errors   map[API]map[Kind]uint64
}

func (c *client) counts() RequestCounts {
	counts := RequestCounts{Requests: make(map[API]uint64), Errors: make(map[API]map[Kind]uint64)}
	for api, n := range c.requests {
		counts.Requests[api] = n.Load()
		counts.Errors[api] = make(map[Kind]uint64)
		for kind, n := range c.errors[api] {
			counts.Errors[api][kind] = n.Load()
		}
	}
	return counts
}
