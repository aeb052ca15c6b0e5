package facts

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// site is a site with what it answered so far. Each step adds what later steps and the
// answers need.
type site struct {
	Config

	client       *qlik.Client
	http, noCert *http.Client
	user         string         // value of X-Qlik-User
	failures     map[string]int // by host:port

	repository repository
	proxy      proxy
	usage      usage
	watched    watched
	licenses   licenses
	engine     engine
	logs       logs
}

func newSite(config Config) (*site, error) {
	client, err := qlik.NewClient(config.Qlik)
	if err != nil {
		return nil, err
	}
	config.Qlik = client.Config()
	s := &site{
		Config: config, client: client, failures: make(map[string]int),
		user: fmt.Sprintf("UserDirectory=%s; UserId=%s", config.Qlik.User.Directory, config.Qlik.User.ID),
	}
	tlsConfig := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: config.Qlik.ServerName, MinVersion: tls.VersionTLS12, Time: config.Qlik.Now}
	// Without usable files, all requests fail, and all that depends on them is unknown.
	credentials, err := client.Credentials()
	if err == nil {
		for _, root := range credentials.Roots {
			tlsConfig.RootCAs.AddCert(root)
		}
		s.logs.keyFile = credentials.KeyFile
	}
	s.noCert = s.newHTTP(tlsConfig.Clone())
	if err == nil && credentials.ClientError == nil {
		tlsConfig.Certificates = []tls.Certificate{credentials.Client}
	}
	s.http = s.newHTTP(tlsConfig)
	return s, nil
}

func (s *site) newHTTP(config *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:     func(ctx context.Context, _, address string) (net.Conn, error) { return s.client.Dial(ctx, address) },
			TLSClientConfig: config, TLSHandshakeTimeout: s.Qlik.Timeout, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		},
		// A redirect leads to a login page, and perhaps to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *site) close() {
	s.http.CloseIdleConnections()
	s.noCert.CloseIdleConnections()
	s.client.Close()
}

// response is what is known of a response. It contains no part of the body.
type response struct {
	status      int // 0 without a response
	failure     string
	unreachable bool // there was no connection
	contentType string
	body        string // kind of the body: see kindOf
	bom         bool
	tls         uint16
	date        time.Time // clock of the server; zero if unknown
	whole       bool      // the body was read to its end
}

// Kinds of a body.
const (
	emptyList = "empty_list"
	list      = "sessions" // a list with elements
	htmlPage  = "html_page"
	jsonNull  = "null"
	object    = "object"
)

// Failures without a response.
const (
	refusedHandshake = "handshake_refused"
	closedConnection = "connection_closed"
)

// ok reports whether the body was read completely and is what it should be.
func (r *response) ok() bool { return r.status == http.StatusOK && r.whole }

// absent reports whether the release does not have the path.
func (r *response) absent() bool { return r.status == http.StatusNotFound }

// outcome returns the status, or the kind of the body if the status is 200.
func (r *response) outcome() string {
	switch r.status {
	case 0:
		return ""
	case http.StatusOK:
		return cmp.Or(r.body, other)
	default:
		return fmt.Sprint("status_", r.status)
	}
}

// answered returns the status, or "answered" if it is 200, or the failure.
func (r *response) answered() string {
	switch r.status {
	case 0:
		return r.failure
	case http.StatusOK:
		return "answered"
	default:
		return r.outcome()
	}
}

// Maximum sizes of a response, as in package qlik.
const (
	maxBody     = 64 << 20
	maxElement  = 1 << 20
	maxElements = 200_000
	maxStart    = 64 << 10 // of a body that nobody reads to its end
)

// request is a GET request.
type request struct {
	url    string // without the key
	filter string
	key    string       // "" takes a valid one
	noKey  bool         // sends none
	client *http.Client // nil presents the client certificate
}

// get sends a request and passes the body to read, which may be nil.
func (s *site) get(ctx context.Context, q request, read func(io.Reader) error) (r response) {
	target, err := url.Parse(q.url)
	if err != nil || s.failures[target.Host] >= maxFailures {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, s.Qlik.Timeout)
	defer cancel()
	key := cmp.Or(q.key, rand.Text()[:16])
	query := url.Values{"Xrfkey": {key}}
	if q.filter != "" {
		query.Set("filter", q.filter)
	}
	target.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	message, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return r
	}
	message.Header.Set("X-Qlik-Xrfkey", key)
	if q.noKey {
		message.URL.RawQuery = ""
		message.Header.Del("X-Qlik-Xrfkey")
	}
	message.Header.Set("X-Qlik-User", s.user)
	message.Header.Set("Accept", "application/json")
	client := q.client
	if client == nil {
		client = s.http
	}
	answer, err := client.Do(message)
	if err != nil {
		op, ok := errors.AsType[*net.OpError](err)
		r.unreachable = ok && op.Op == "dial"
		if r.failure = failureOf(err); q.client == nil {
			s.failures[target.Host]++
		}
		return r
	}
	defer answer.Body.Close()
	r.status, r.contentType = answer.StatusCode, answer.Header.Get("Content-Type")
	r.date, _ = http.ParseTime(answer.Header.Get("Date"))
	if answer.TLS != nil {
		r.tls = answer.TLS.Version
	}
	body := &bounded{r: answer.Body, left: maxBody, element: maxElement}
	buffered := bufio.NewReaderSize(body, maxStart)
	if start, _ := buffered.Peek(3); bytes.Equal(start, []byte("\uFEFF")) {
		r.bom = true
		_, _ = buffered.Discard(len(start))
	}
	start, _ := buffered.Peek(1)
	if read == nil || r.status != http.StatusOK || bytes.Equal(start, []byte("<")) {
		start, _ := io.ReadAll(io.LimitReader(buffered, maxStart))
		r.body = kindOf(start)
		return r
	}
	r.whole = read(bodyReader{buffered, body}) == nil
	if ctx.Err() != nil || body.left <= 0 || body.element <= 0 { // endless
		s.failures[target.Host]++
	}
	return r
}

// failureOf returns how a connection failed.
func failureOf(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return refusedHandshake
	}
	timeout, ok := errors.AsType[net.Error](err)
	if ok && timeout.Timeout() || errors.Is(err, context.Canceled) {
		return ""
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return ""
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
		return closedConnection
	}
	return ""
}

func isReset(err error) bool {
	_, system := errors.AsType[*os.SyscallError](err)
	return system || strings.HasSuffix(err.Error(), "connection reset by peer")
}

// kindOf returns the kind of a body from its start.
func kindOf(start []byte) string {
	start = bytes.TrimSpace(start)
	if bytes.HasPrefix(start, []byte("<")) {
		return htmlPage
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(start), tolerant)
	token, err := decoder.ReadToken()
	if err != nil {
		return other
	}
	switch token.Kind() {
	case jsontext.KindNull:
		return jsonNull
	case jsontext.KindBeginObject:
		return object
	case jsontext.KindBeginArray:
		switch decoder.PeekKind() {
		case jsontext.KindEndArray:
			return emptyList
		case jsontext.KindInvalid:
			return other
		default:
			return list
		}
	default:
		return other
	}
}

// bounded limits the size of a body and of an element.
type bounded struct {
	r             io.Reader
	left, element int64
}

var errTooLarge = errors.New("the response is too large")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 || b.element <= 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left, b.element)])
	b.left -= int64(n)
	b.element -= int64(n)
	return n, err
}

// bodyReader is a body of which the size of an element is limited.
type bodyReader struct {
	io.Reader
	bounded *bounded
}

// element is an element of a list or another object, with its fields as they came.
type element map[string]jsontext.Value

// tolerant accepts what other clients of Qlik accept.
var tolerant = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// field returns a field, in any case. It returns nil if it is missing.
func (e element) field(name string) jsontext.Value {
	if value, ok := e[name]; ok {
		return value
	}
	for key, value := range e {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return nil
}

// text returns a field that is a text, or "".
func (e element) text(name string) string {
	var text string
	if json.Unmarshal(e.field(name), &text) != nil {
		return ""
	}
	return text
}

// time returns a field that is a time, or the zero time.
func (e element) time(name string) time.Time {
	at, err := time.Parse(time.RFC3339, e.text(name))
	if err != nil {
		return time.Time{}
	}
	return at
}

// object returns a field that is an object, or nil.
func (e element) object(name string) (inner element) {
	_ = json.Unmarshal(e.field(name), &inner) // nil if it is something else
	return inner
}

// objects returns a field that is an array of objects, or nil.
func (e element) objects(name string) (all []element) {
	if json.Unmarshal(e.field(name), &all) != nil {
		return nil
	}
	return all
}

var errShape = errors.New("the response is no list")

// elements returns a function that reads a list and calls each for every element that is
// an object. It keeps only one of them in memory.
func elements(each func(element)) func(io.Reader) error {
	return func(body io.Reader) error {
		decoder := jsontext.NewDecoder(body, tolerant)
		if token, err := decoder.ReadToken(); err != nil || token.Kind() != jsontext.KindBeginArray {
			return errShape
		}
		for n := 0; decoder.PeekKind() != jsontext.KindEndArray; n++ {
			limited, ok := body.(bodyReader)
			if ok {
				limited.bounded.element = maxElement
			}
			if n >= maxElements && ok {
				limited.bounded.left = 0
				return errTooLarge
			}
			one, err := decoder.ReadValue()
			if err != nil {
				return err
			}
			var fields element
			if one.Kind() == jsontext.KindBeginObject && json.Unmarshal(one, &fields, tolerant) == nil {
				each(fields)
			}
		}
		_, err := decoder.ReadToken()
		return err
	}
}

// single returns a function that reads one object.
func single(each func(element)) func(io.Reader) error {
	return func(body io.Reader) error {
		var fields element
		if err := json.UnmarshalRead(body, &fields, tolerant); err != nil {
			return err
		}
		each(fields)
		return nil
	}
}

// form returns the form of a field: missing, null, empty, text, or other.
func form(value jsontext.Value) string {
	var text string
	switch {
	case value == nil:
		return "missing"
	case string(value) == "null":
		return jsonNull
	case json.Unmarshal(value, &text) != nil:
		return other
	case text == "":
		return "empty"
	}
	return "text"
}

// forms are the forms that were seen.
type forms map[string]bool

// one returns the form if all are alike, "mixed" if they differ, and "" without any.
func (f forms) one() string {
	if len(f) > 1 {
		return "mixed"
	}
	for form := range f {
		return form
	}
	return ""
}

// yesNo returns whether something was seen.
func yesNo(seen bool) string {
	if seen {
		return yes
	}
	return no
}
