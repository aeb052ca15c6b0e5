package qliktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certificateLife is the validity of every certificate of the site, from its start.
const certificateLife = 10 * 365 * 24 * time.Hour

// authority is a certificate authority like the one of a central node (docs/qlik.md, "Certificates").
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority creates CN=<central>-CA.
func newAuthority(central string, now time.Time) (*authority, error) {
	// Qlik uses RSA. Elliptic-curve keys are much faster to generate, and every test needs several.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{CommonName: central + "-CA"},
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.Add(certificateLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key}, nil
}

// issue creates a certificate CN=name. With DNS names it is a server certificate, without it is a client certificate.
func (a *authority) issue(name string, dnsNames []string, notBefore, notAfter time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	usage := x509.ExtKeyUsageClientAuth
	if len(dnsNames) > 0 {
		usage = x509.ExtKeyUsageServerAuth
	}
	template := &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     dnsNames,
		NotBefore:    notBefore,
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{usage},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// service creates the certificate of a node's services.
func (a *authority) service(n Node, now time.Time) (tls.Certificate, error) {
	return a.issue(n.Name, n.CertificateNames, now.Add(-24*time.Hour), now.Add(certificateLife))
}

// pool returns a certificate pool with only this authority.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func serialNumber() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	return new(big.Int).SetBytes(b[:])
}

// faultyCertificate creates the certificate of a node for a fault that concerns the certificate.
func (s *Site) faultyCertificate(n Node, fault Fault) (tls.Certificate, error) {
	now := s.now()
	switch fault { //nolint:exhaustive // the other faults show the usual certificate
	case ExpiredCertificate:
		return s.authority.issue(n.Name, n.CertificateNames, now.Add(-48*time.Hour), now.Add(-time.Hour))
	case FutureCertificate:
		return s.authority.issue(n.Name, n.CertificateNames, now.Add(time.Hour), now.Add(certificateLife))
	case OtherAuthority:
		// A recreated authority has the same subject but another key.
		other, err := newAuthority(s.centralNode().Name, now)
		if err != nil {
			return tls.Certificate{}, err
		}
		return other.service(n, now)
	case WrongName:
		n.Name = "another-host"
		n.CertificateNames = []string{"another-host"}
		return s.authority.service(n, now)
	}
	return tls.Certificate{}, fmt.Errorf("qliktest: %v shows the usual certificate", fault)
}

// WriteCertificates writes client.pem, client_key.pem and root.pem to dir, as the QMC exports them without password
// (docs/qlik.md, "Certificates").
func (s *Site) WriteCertificates(dir string) error {
	key, err := x509.MarshalPKCS8PrivateKey(s.client.PrivateKey)
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name, kind string
		der        []byte
		mode       os.FileMode
	}{
		{"client.pem", "CERTIFICATE", s.client.Certificate[0], 0o644},
		{"client_key.pem", "PRIVATE KEY", key, 0o600},
		{"root.pem", "CERTIFICATE", s.authority.certificate.Raw, 0o644},
	} {
		text := pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.der})
		if err := os.WriteFile(filepath.Join(dir, file.name), text, file.mode); err != nil {
			return err
		}
	}
	return nil
}

// TLSConfig returns the TLS configuration of a client of the site, with the client certificate and the site's authority.
func (s *Site) TLSConfig() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{s.client},
		RootCAs:      s.authority.pool(),
		Time:         s.config.Now,
	}
}
