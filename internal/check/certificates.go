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

// soon is how long before its end a certificate or license is told of.
const soon = 30 * 24 * time.Hour

func clientFile(s *site) string { return filepath.Base(s.credentials.ClientFile) }

func keyFile(s *site) string { return filepath.Base(s.credentials.KeyFile) }

func rootFile(s *site) string { return filepath.Base(s.credentials.RootFile) }

func filesAreRead(s *site) bool { return s.filesRead }

// readFiles reads the three files of the export. What is wrong with one of them is
// left to its own step.
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
		return warned("%s is from an authority (%s) that is not in root.pem: %s", commonName(client), issuer(client), useOneExport), nil
	}
	return s.validUntil(client, fmt.Sprintf("%s from %s; the key fits", commonName(client), issuer(client)), "export the certificates again before"), nil
}

// checkClientKey warns of a key that others can read. Windows has no such bits.
func (s *site) checkClientKey(context.Context) ([]Result, error) {
	info, err := os.Stat(s.credentials.KeyFile)
	if err == nil && runtime.GOOS != "windows" {
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			return warned("others than its owner may use it (mode %04o), and it opens the whole site: chmod 600 it", mode), nil
		}
		return passed("only its owner may use it (mode %04o)", info.Mode().Perm()), nil
	}
	return nil, nil
}

func (s *site) checkAuthority(context.Context) ([]Result, error) {
	if s.credentials.RootError != nil {
		return nil, s.credentials.RootError
	}
	// Of several, the one that ends first.
	first := slices.MinFunc(s.credentials.Roots, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	if s.validity(first) != "" {
		return nil, outOfValidity(first)
	}
	s.authoritiesUsable = true
	return s.validUntil(first, subjects(s.credentials.Roots), "recreate the site's certificates before"), nil
}

// validUntil is the result for a certificate that is valid now.
func (s *site) validUntil(certificate *x509.Certificate, found, remedy string) []Result {
	if s.endsSoon(certificate.NotAfter) {
		return warned("%s; ends on %s: %s", found, text.Date(certificate.NotAfter), remedy)
	}
	return passed("%s; valid until %s", found, text.Date(certificate.NotAfter))
}

func (s *site) endsSoon(end time.Time) bool { return end.Sub(s.Qlik.Now()) < soon }

// validity says why a certificate is not valid now, or "".
func (s *site) validity(certificate *x509.Certificate) string {
	switch now := s.Qlik.Now(); {
	case now.After(certificate.NotAfter):
		return fmt.Sprintf("expired on %s (it is %s here)", text.DateTime(certificate.NotAfter), text.DateTime(now))
	case now.Before(certificate.NotBefore):
		return fmt.Sprintf("is not valid before %s (it is %s here)", text.DateTime(certificate.NotBefore), text.DateTime(now))
	}
	return ""
}

// outOfValidity is the error that crypto/x509 has for a certificate that expired
// or is not valid yet.
func outOfValidity(certificate *x509.Certificate) error {
	return x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired}
}

// issuedBy says whether one of the authorities signed the certificate.
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

// names are what a server's certificate is for.
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
