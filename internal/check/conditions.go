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

// The conditions of the table of causes.

type condition func(*failure) bool

// all holds where each of some conditions does.
func all(conditions ...condition) condition {
	return func(f *failure) bool {
		return !slices.ContainsFunc(conditions, func(c condition) bool { return !c(f) })
	}
}

func not(c condition) condition { return func(f *failure) bool { return !c(f) } }

// as matches an error of a type.
func as[T error](f *failure) bool {
	_, ok := errors.AsType[T](f.err)
	return ok
}

// is matches any of some errors.
func is(errs ...error) condition {
	return func(f *failure) bool {
		return slices.ContainsFunc(errs, func(err error) bool { return errors.Is(f.err, err) })
	}
}

// kind matches a request that failed in any of some ways.
func kind(kinds ...qlik.Kind) condition {
	return func(f *failure) bool { return slices.Contains(kinds, qlik.KindOf(f.err)) }
}

// status matches an answer with a status.
func status(code int) condition {
	return func(f *failure) bool {
		failed, ok := errors.AsType[*qlik.Error](f.err)
		return ok && failed.Kind == qlik.KindStatus && failed.Status == code
	}
}

// setting matches a setting that cannot work.
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

// ofList says whether a repository that answers is asked for something.
func ofList(f *failure) bool {
	return f.server != nil && f.server.api == qlik.APIRepository && f.step != "request"
}

// namedBySetting says whether a setting names the server, and not the repository.
func namedBySetting(f *failure) bool { return f.server != nil && f.server.flag != "" }

func redirected(f *failure) bool { return !strings.EqualFold(f.server.reachedHost(), f.server.host()) }

func repositoryAnswers(f *failure) bool { return f.site.repository != nil }

func withoutRepository(f *failure) bool { return !hasRepository(f.site) }

func serverNameSet(f *failure) bool { return f.site.Qlik.ServerName != "" }

func usualUser(f *failure) bool { return f.site.Qlik.User.String() == qlik.DefaultUser }

// Conditions of the certificate that a server showed.

func shown(f *failure) bool {
	return as[*tls.CertificateVerificationError](f) && f.certificate() != nil
}

// expired says whether the certificate is not valid now, which crypto/x509 calls
// expired also of one that is not valid yet.
func expired(f *failure) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](f.err)
	return ok && invalid.Reason == x509.Expired && shown(f)
}

func startsLater(f *failure) bool { return f.certificate().NotBefore.After(f.site.Qlik.Now()) }

func isAuthority(f *failure) bool { return f.certificate().IsCA }

// issuedByName says whether an authority of root.pem is named as the issuer.
func issuedByName(f *failure) bool {
	return slices.ContainsFunc(f.site.credentials.Roots, func(root *x509.Certificate) bool {
		return bytes.Equal(f.certificate().RawIssuer, root.RawSubject)
	})
}

func issuedByKey(f *failure) bool { return issuedBy(f.certificate(), f.site.credentials.Roots) }

func nameless(f *failure) bool {
	return len(f.certificate().DNSNames)+len(f.certificate().IPAddresses) == 0
}
