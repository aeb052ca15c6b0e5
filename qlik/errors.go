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

// Kind says in one word why a request to Qlik failed. It is the value of the
// label kind of qlik_request_errors_total.
type Kind string

// The kinds of failed requests.
const (
	KindTimeout      Kind = "timeout"      // no whole answer before the deadline
	KindDNS          Kind = "dns"          // the host name is not known
	KindRefused      Kind = "refused"      // no connection could be opened
	KindReset        Kind = "reset"        // the connection broke
	KindTLS          Kind = "tls"          // a certificate was not accepted, by either side
	KindUnauthorized Kind = "unauthorized" // 401
	KindXSRF         Kind = "xsrf"         // 403 with Qlik's words for a lost XSRF key
	KindForbidden    Kind = "forbidden"    // any other 403
	KindRedirect     Kind = "redirect"     // 3xx: a login page, not the trusted zone
	KindNotJSON      Kind = "not_json"     // the body is not JSON
	KindDecode       Kind = "decode"       // the body is JSON, but not what was asked for
	KindStatus       Kind = "status"       // any other status than 200
	KindTooLarge     Kind = "too_large"    // the body is larger than any real answer
)

// Kinds lists every Kind.
func Kinds() []Kind {
	return []Kind{
		KindTimeout, KindDNS, KindRefused, KindReset, KindTLS, KindUnauthorized, KindXSRF,
		KindForbidden, KindRedirect, KindNotJSON, KindDecode, KindStatus, KindTooLarge,
	}
}

// Error is a request to Qlik that failed.
type Error struct {
	Op     string // what was tried, e.g. "GET"
	Target string // against what: the URL without its query
	Kind   Kind
	Status int   // of the answer; 0 where there was none
	Err    error // the cause; never contains an answer's body or a secret
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %s: %v", e.Op, e.Target, e.Kind, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error of this package, or "" if it has none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// kindError marks the kind of a failure where it is found; Client.ask
// turns it into an *Error.
type kindError struct {
	kind   Kind
	status int
	err    error
}

func (e *kindError) Error() string { return e.err.Error() }

func (e *kindError) Unwrap() error { return e.err }

func kindErrorf(kind Kind, format string, args ...any) error {
	return &kindError{kind: kind, err: fmt.Errorf(format, args...)}
}

// notFound says whether err is the answer 404: a release without that interface,
// or a session that is gone.
func notFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusNotFound
}

// classify finds the kind of an error of net/http.
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

var errNotInTime = errors.New("no whole answer in time")

// ConfigError is a setting that cannot work.
type ConfigError struct {
	Field string // of the configuration, e.g. "CertDir"
	Err   error  // what is wrong and what to change
}

func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }

func (e *ConfigError) Unwrap() error { return e.Err }

func configErrorf(field, format string, args ...any) error {
	return &ConfigError{Field: field, Err: fmt.Errorf(format, args...)}
}
