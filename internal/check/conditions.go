package check

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// condition reports whether a row of the table of causes matches a failure.
type condition func(*failure) bool

// all matches if every condition matches.
func all(conditions ...condition) condition {
	return func(f *failure) bool {
		return !slices.ContainsFunc(conditions, func(c condition) bool { return !c(f) })
	}
}

func not(c condition) condition { return func(f *failure) bool { return !c(f) } }

// as matches an error of type T.
func as[T error](f *failure) bool {
	_, ok := errors.AsType[T](f.err)
	return ok
}

// is matches any of the errors.
func is(errs ...error) condition {
	return func(f *failure) bool {
		return slices.ContainsFunc(errs, func(err error) bool { return errors.Is(f.err, err) })
	}
}

// kind matches a failed request of any of the kinds.
func kind(kinds ...qlik.Kind) condition {
	return func(f *failure) bool { return slices.Contains(kinds, qlik.KindOf(f.err)) }
}

// status matches a response with a status code.
func status(code int) condition { return func(f *failure) bool { return statusOf(f) == code } }

// refusedRequest matches a response with a status from 400 to 499.
func refusedRequest(f *failure) bool { return statusOf(f)/100 == 4 }

// serverError matches a response with a status from 500 to 599.
func serverError(f *failure) bool { return statusOf(f)/100 == 5 }

// statusOf returns the status of an unexpected response, or 0.
func statusOf(f *failure) int {
	if failed, ok := errors.AsType[*qlik.Error](f.err); ok && failed.Kind == qlik.KindStatus {
		return failed.Status
	}
	return 0
}

// setting matches an invalid setting.
func setting(field string) condition {
	return func(f *failure) bool {
		wrong, ok := errors.AsType[*qlik.ConfigError](f.err)
		return ok && wrong.Field == field
	}
}

func timedOut(f *failure) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](f.err)
	return ok && timeout.Timeout() || errors.Is(f.err, context.DeadlineExceeded)
}

func nameServerFails(f *failure) bool {
	dns, ok := errors.AsType[*net.DNSError](f.err)
	return ok && (dns.IsTimeout || dns.IsTemporary)
}

func clientRefused(f *failure) bool {
	return refusalReason(f.err) != "" || qlik.KindOf(f.err) == qlik.KindTLS
}

// Conditions of the server and of the settings.

func ofProxy(f *failure) bool { return f.server != nil && f.server.api == qlik.APIProxy }

func ofEngine(f *failure) bool { return f.server != nil && f.server.api == qlik.APIEngine }

// ofList matches a request for a list to a repository that responds.
func ofList(f *failure) bool {
	return f.server != nil && f.server.api == qlik.APIRepository && f.step != "request"
}

// namedBySetting matches a server that is named by a setting, not by the repository.
func namedBySetting(f *failure) bool { return f.server != nil && f.server.flag != "" }

func redirected(f *failure) bool { return !strings.EqualFold(f.server.reachedHost(), f.server.host()) }

func repositoryAnswers(f *failure) bool { return f.site.repository != nil }

func withoutRepository(f *failure) bool { return !hasRepository(f.site) }

// untested matches a request before which no step of a check ran.
func untested(f *failure) bool { return f.site.client == nil }

func serverNameSet(f *failure) bool { return f.site.Qlik.ServerName != "" }

func usualUser(f *failure) bool { return f.site.Qlik.User.String() == qlik.DefaultUser }

// Conditions of the certificate that a server sent.

func shown(f *failure) bool {
	return as[*tls.CertificateVerificationError](f) && f.certificate() != nil
}

// expired matches a certificate that is not valid now. The reason x509.Expired also
// means a certificate that is not valid yet.
func expired(f *failure) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](f.err)
	return ok && invalid.Reason == x509.Expired && shown(f)
}

func startsLater(f *failure) bool { return f.certificate().NotBefore.After(f.site.Qlik.Now()) }

func isAuthority(f *failure) bool { return f.certificate().IsCA }

// issuedByName matches if root.pem has an authority with the name of the issuer.
func issuedByName(f *failure) bool {
	return f.site.credentials == nil || slices.ContainsFunc(f.site.credentials.Roots, func(root *x509.Certificate) bool {
		return bytes.Equal(f.certificate().RawIssuer, root.RawSubject)
	})
}

// issuedByKey matches if an authority of root.pem signed the certificate.
func issuedByKey(f *failure) bool {
	return f.site.credentials == nil || issuedBy(f.certificate(), f.site.credentials.Roots)
}

func nameless(f *failure) bool {
	return len(f.certificate().DNSNames)+len(f.certificate().IPAddresses) == 0
}
