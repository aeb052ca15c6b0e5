package qlik

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Kind is the kind of failure of a request to Qlik Sense. It is the value of the
// label kind of qlik_request_errors_total.
type Kind string

// The kinds of failed requests.
const (
	KindTimeout      Kind = "timeout"      // no complete response before the deadline
	KindDNS          Kind = "dns"          // the host name does not resolve
	KindRefused      Kind = "refused"      // no connection could be opened
	KindReset        Kind = "reset"        // the connection broke
	KindTLS          Kind = "tls"          // the client or the server rejected a certificate, or the port does not speak TLS
	KindUnauthorized Kind = "unauthorized" // status 401
	KindXSRF         Kind = "xsrf"         // status 403 with Qlik's text for a failed XSRF check
	KindForbidden    Kind = "forbidden"    // status 403 with any other text
	KindRedirect     Kind = "redirect"     // status 3xx: a login page, not an API
	KindNotJSON      Kind = "not_json"     // the body is not JSON
	KindDecode       Kind = "decode"       // the body is JSON, but not the expected JSON
	KindStatus       Kind = "status"       // any other status except 200
	KindTooLarge     Kind = "too_large"    // the body is larger than any real response
)

// Kinds lists every Kind.
func Kinds() []Kind {
	return []Kind{
		KindTimeout, KindDNS, KindRefused, KindReset, KindTLS, KindUnauthorized, KindXSRF,
		KindForbidden, KindRedirect, KindNotJSON, KindDecode, KindStatus, KindTooLarge,
	}
}

// Error is a failed request to Qlik Sense.
type Error struct {
	Op     string // HTTP method, such as "GET"
	Target string // URL without the query
	Kind   Kind
	Status int   // status of the response if Kind is KindStatus, otherwise 0
	Err    error // the cause; never contains a part of the body or a secret
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %s: %v", e.Op, e.Target, e.Kind, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error of this package, or "" if the error has none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// kindError is an error with a kind. Client.send converts it to an *Error.
type kindError struct {
	kind   Kind
	status int
	err    error
}

func (e *kindError) Error() string { return e.err.Error() }

func (e *kindError) Unwrap() error { return e.err }

// ErrOtherShape is the cause of an error about a complete JSON answer that is not the
// expected one. Only another release of Qlik Sense, or another program, answers so.
var ErrOtherShape = errors.New("the answer has another shape than those of known releases")

// otherShapeError marks an error with ErrOtherShape without changing its text.
type otherShapeError struct{ error }

func (e otherShapeError) Unwrap() error { return e.error }

func (otherShapeError) Is(target error) bool { return target == ErrOtherShape }

// otherShapef returns an error of KindDecode about a complete JSON answer.
func otherShapef(format string, args ...any) error {
	return &kindError{kind: KindDecode, err: otherShapeError{fmt.Errorf(format, args...)}}
}

func kindErrorf(kind Kind, format string, args ...any) error {
	return &kindError{kind: kind, err: fmt.Errorf(format, args...)}
}

// notFound reports whether err is a 404: the release does not have this API, or the
// session no longer exists.
func notFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusNotFound
}

// classify returns the kind of an error of net/http.
func classify(err error) Kind {
	var (
		marked       *kindError
		dns          *net.DNSError
		op           *net.OpError
		timeout      interface{ Timeout() bool }
		alert        tls.AlertError
		record       tls.RecordHeaderError
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		host         x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &marked):
		return marked.kind
	case errors.As(err, &dns):
		return KindDNS
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return KindTimeout
	case errors.As(err, &timeout) && timeout.Timeout():
		return KindTimeout
	case errors.As(err, &alert), errors.As(err, &record), errors.As(err, &verification),
		errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid):
		return KindTLS
	case errors.Is(err, http.ErrSchemeMismatch): // plain HTTP on that port
		return KindTLS
	case errors.As(err, &op):
		switch op.Op {
		case "dial":
			return KindRefused
		case "remote error", "local error": // how crypto/tls wraps alerts
			return KindTLS
		}
	}
	return KindReset
}

var errNotInTime = errors.New("no complete response before the timeout")

// ConfigError is an invalid setting.
type ConfigError struct {
	Field string // field of Config, such as "CertDir"
	Err   error  // the problem and the remedy
}

func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }

func (e *ConfigError) Unwrap() error { return e.Err }

// ErrNoHost means that a Config names no server.
var ErrNoHost = errors.New("is missing; set it to the registered host name of a node with a repository, or set both proxies and virtual proxies")

func configErrorf(field, format string, args ...any) error {
	return &ConfigError{Field: field, Err: fmt.Errorf(format, args...)}
}
