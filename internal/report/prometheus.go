package report

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/internal/exporter"
	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

const (
	// queryTimeout is longer than Prometheus takes for a query with its default settings.
	queryTimeout = 150 * time.Second
	// maxText is the length of the longest text of a server in an error.
	maxText = 200
	// maxAnswer is many times the size of the answer about 28 days of 10,000 users.
	maxAnswer = 128 << 20
)

// Prometheus answers range queries: a Prometheus, or a server with the same API.
type Prometheus struct {
	base *url.URL
	api  prometheusv1.API
}

// NewPrometheus returns a client of the Prometheus at a URL. The file contains TLS settings
// and passwords in the format of HTTP clients of Prometheus. It may be "".
func NewPrometheus(base *url.URL, file string) (*Prometheus, error) {
	client, err := exporter.NewHTTPClient(file)
	if err != nil {
		return nil, err
	}
	client.Timeout = queryTimeout
	client.Transport = limitedAnswers{client.Transport}
	c, err := api.NewClient(api.Config{Address: base.String(), Client: client})
	if err != nil {
		return nil, err
	}
	return &Prometheus{base, prometheusv1.NewAPI(c)}, nil
}

// String returns the URL without its password.
func (p *Prometheus) String() string { return p.base.Redacted() }

// limitedAnswers is a transport whose answers have a maximum size, because a client reads them
// into memory.
type limitedAnswers struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limitedAnswers) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(request)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response, err
}

// limitError is a refusal that a shorter query may not get.
type limitError struct{ error }

// query asks a query at times step apart.
func (p *Prometheus) query(ctx context.Context, query string, first, last time.Time, step time.Duration) (model.Matrix, []string, error) {
	value, warnings, _, err := p.api.QueryRange(ctx, query, prometheusv1.Range{Start: first, End: last, Step: step})
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, errors.New("interrupted")
		}
		return nil, nil, p.explain(err)
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, nil, fmt.Errorf("%s does not answer like a Prometheus: the answer is not a matrix", p)
	}
	return matrix, warnings, nil
}

// explain returns an error as one sentence that says what to do.
func (p *Prometheus) explain(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return limitError{fmt.Errorf("the answer of the server at %s is too large; check --prometheus.url, or report fewer sites at once with --site", p)}
	}
	answer, answered := errors.AsType[*prometheusv1.Error](err)
	if !answered {
		return p.explainConnection(err)
	}
	said := shorten(answer.Msg)
	_, status, _ := strings.Cut(said, ": ") // of "client error: 401"
	switch answer.Type {
	case prometheusv1.ErrExec, prometheusv1.ErrTimeout, prometheusv1.ErrBadData:
		return limitError{fmt.Errorf("the Prometheus at %s refuses a query: %s", p, said)}
	case prometheusv1.ErrServer:
		return limitError{fmt.Errorf("the Prometheus at %s reports status %s: %s", p, status, saidOf(answer.Detail))}
	case prometheusv1.ErrClient:
		switch status {
		case "401":
			return fmt.Errorf("the Prometheus at %s requires a password or refuses the one given (status 401); check --prometheus.http-config-file", p)
		case "403":
			return fmt.Errorf("the Prometheus at %s forbids queries (status 403); check --prometheus.http-config-file", p)
		case "404":
			return fmt.Errorf("there is no Prometheus API at %s (status 404); check --prometheus.url, which may need a path such as /prometheus", p)
		}
		return fmt.Errorf("the Prometheus at %s refuses a query with status %s: %s", p, status, saidOf(answer.Detail))
	default:
		return fmt.Errorf("the server at %s does not answer like a Prometheus; check --prometheus.url", p)
	}
}

// explainConnection explains why no answer came.
func (p *Prometheus) explainConnection(err error) error {
	if request, ok := errors.AsType[*url.Error](err); ok {
		// A server ends a query that takes too long before this one gives up, so a shorter query
		// would not be answered either.
		if connect, ok := errors.AsType[*net.OpError](err); request.Timeout() && (!ok || connect.Op != "dial") {
			return fmt.Errorf("the Prometheus at %s did not answer within %s", p, text.Duration(queryTimeout))
		}
		err = request.Err // without the URL
	}
	said := shorten(text.Error(err))
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return fmt.Errorf("cannot trust the Prometheus at %s: %s; set tls_config with ca_file in --prometheus.http-config-file", p, said)
	}
	if errors.Is(err, io.EOF) {
		said = "the connection was closed"
	}
	return fmt.Errorf("no answer from a Prometheus at %s: %s; check --prometheus.url", p, said)
}

// saidOf returns what a server said in the body of an error, if it is short plain text.
func saidOf(body string) string {
	if strings.Contains(body, "<") {
		return "a web page"
	}
	return cmp.Or(shorten(strings.TrimSpace(body)), "an empty answer")
}

func shorten(words string) string {
	words = strings.Join(strings.Fields(words), " ")
	if runes := []rune(words); len(runes) > maxText {
		words = string(runes[:maxText]) + "..."
	}
	return text.Visible(words)
}
