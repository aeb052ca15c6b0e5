package check

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// soon is how long before its expiry the report mentions a certificate or license.
const soon = 30 * 24 * time.Hour

func clientFile(s *site) string { return filepath.Base(s.credentials.ClientFile) }

func keyFile(s *site) string { return filepath.Base(s.credentials.KeyFile) }

func rootFile(s *site) string { return filepath.Base(s.credentials.RootFile) }

func filesAreRead(s *site) bool { return s.filesRead }

// readFiles reads the three files of the export. Each file has its own step, which
// reports a problem with its content.
func (s *site) readFiles(context.Context) ([]Result, error) {
	var err error
	s.credentials, err = s.client.Credentials()
	if err == nil && s.credentials.ClientError == nil && s.credentials.RootError == nil {
		err = s.client.Reload()
	}
	if err != nil {
		return nil, err
	}
	s.filesRead = true
	return passed("%s", s.Qlik.CertDir), nil
}

func (s *site) checkClientCertificate(context.Context) ([]Result, error) {
	if s.credentials.ClientError != nil {
		return nil, s.credentials.ClientError
	}
	client := s.credentials.Client.Leaf
	if s.validity(client) != "" {
		return nil, outOfValidity(client)
	}
	s.clientUsable = true
	if s.credentials.RootError == nil && !issuedBy(client, s.credentials.Roots) {
		return warned("%s was issued by %s, which is not in root.pem: %s", commonName(client), issuer(client), useOneExport), nil
	}
	return s.validUntil(client, fmt.Sprintf("%s from %s; the key matches", commonName(client), issuer(client)), "export the certificates again before that date"), nil
}

// checkClientKey warns if users other than the owner can access the key. Windows
// has no permission bits, so there is no result.
func (s *site) checkClientKey(context.Context) ([]Result, error) {
	info, err := os.Stat(s.credentials.KeyFile)
	if err == nil && runtime.GOOS != "windows" {
		switch mode := info.Mode().Perm(); {
		case mode&0o007 != 0:
			return warned("every user of this machine can access it (mode %04o), and it grants full access to the site: make the exporter's account its owner, and run chmod 600 on it", mode), nil
		case mode&0o070 != 0:
			return passed("only the owner and the group can access it (mode %04o)", mode), nil
		default:
			return passed("only the owner can access it (mode %04o)", mode), nil
		}
	}
	return nil, nil
}

func (s *site) checkAuthority(context.Context) ([]Result, error) {
	if s.credentials.RootError != nil {
		return nil, s.credentials.RootError
	}
	// Of several certificates, check the first one to expire.
	first := slices.MinFunc(s.credentials.Roots, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	if s.validity(first) != "" {
		return nil, outOfValidity(first)
	}
	s.authoritiesUsable = true
	return s.validUntil(first, subjects(s.credentials.Roots), recreate+", before that date"), nil
}

// validUntil returns the result for a certificate that is valid now.
func (s *site) validUntil(certificate *x509.Certificate, found, remedy string) []Result {
	if s.endsSoon(certificate.NotAfter) {
		return warned("%s; expires on %s: %s", found, text.Date(certificate.NotAfter), remedy)
	}
	return passed("%s; valid until %s", found, text.Date(certificate.NotAfter))
}

func (s *site) endsSoon(end time.Time) bool { return end.Sub(s.Qlik.Now()) < soon }

// validity returns why a certificate is not valid now, or "" if it is valid.
func (s *site) validity(certificate *x509.Certificate) string {
	switch now := s.Qlik.Now(); {
	case now.After(certificate.NotAfter):
		return fmt.Sprintf("expired on %s (local clock: %s)", text.DateTime(certificate.NotAfter), text.DateTime(now))
	case now.Before(certificate.NotBefore):
		return fmt.Sprintf("is not valid before %s (local clock: %s)", text.DateTime(certificate.NotBefore), text.DateTime(now))
	}
	return ""
}

// outOfValidity returns the error that crypto/x509 uses for a certificate that has
// expired or is not valid yet.
func outOfValidity(certificate *x509.Certificate) error {
	return x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired}
}

// issuedBy reports whether one of the authorities signed the certificate.
func issuedBy(certificate *x509.Certificate, authorities []*x509.Certificate) bool {
	return slices.ContainsFunc(authorities, func(a *x509.Certificate) bool { return certificate.CheckSignatureFrom(a) == nil })
}

func commonName(c *x509.Certificate) string { return cmp.Or(c.Subject.CommonName, c.Subject.String()) }

func issuer(c *x509.Certificate) string { return cmp.Or(c.Issuer.CommonName, c.Issuer.String()) }

func subjects(certificates []*x509.Certificate) string {
	var all []string
	for _, c := range certificates {
		if name := commonName(c); !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return strings.Join(all, ", ")
}

// names returns the DNS names and IP addresses of a certificate.
func names(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	const most = 3
	if more := len(all) - most; more > 0 {
		all = append(all[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, ", ")
}
