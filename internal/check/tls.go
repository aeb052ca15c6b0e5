package check

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// The rungs of a server, from its name to an answer.
const (
	rungName        = "name"
	rungPort        = "port"
	rungCertificate = "server certificate"
	rungRequest     = "request"
)

// verdictWait is the least time in which a server may refuse our certificate
// before it is asked anything.
const verdictWait = 100 * time.Millisecond

// certificateFiles looks at the three files of the export.
func (c *climber) certificateFiles() {
	var err error
	c.credentials, err = c.client.Credentials()
	files := c.credentials
	if err == nil && files.ClientError == nil && files.RootError == nil {
		err = c.client.Reload()
	}
	if err != nil {
		c.add("certificate files", "-", Failed, "%v", config.Named(err))
		return
	}
	c.add("certificate files", "-", OK, "%s", c.Qlik.CertDir)
	switch client := files.Client.Leaf; {
	case files.ClientError != nil:
		c.add("client certificate", filepath.Base(files.ClientFile), Failed, "%s", keyFailure(files.ClientError))
	case c.expiry(client) != "":
		c.add("client certificate", filepath.Base(files.ClientFile), Failed, "the certificate %s: export the certificates again, or set the clock of this machine", c.expiry(client))
	case files.RootError == nil && !issuedBy(client, files.Roots):
		c.add("client certificate", filepath.Base(files.ClientFile), Warning, "%s is from an authority (%s) that is not in root.pem: %s",
			commonName(client), issuer(client), remedyOneExport)
	default:
		c.validity("client certificate", filepath.Base(files.ClientFile), client, fmt.Sprintf("%s from %s; the key fits", commonName(client), issuer(client)),
			"export the certificates again before")
	}
	c.keyPermissions()
	switch {
	case files.RootError != nil:
		c.add("authority", filepath.Base(files.RootFile), Failed, "%v", config.Named(files.RootError))
	default:
		// Of several, the one that ends first.
		first := slices.MinFunc(files.Roots, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if text := c.expiry(first); text != "" {
			c.add("authority", filepath.Base(files.RootFile), Failed, "the certificate of %s %s: recreate the site's certificates and export them, or set the clock of this machine",
				commonName(first), text)
		} else {
			c.validity("authority", filepath.Base(files.RootFile), first, subjects(files.Roots), "recreate the site's certificates before")
		}
	}
	c.canAsk = c.report.OK()
}

// keyFailure says why client certificate and key cannot be used.
func keyFailure(err error) string {
	if wrong, ok := errors.AsType[*qlik.ConfigError](err); ok && wrong.Field == "CertDir" {
		return fmt.Sprintf("%v: %s", wrong.Err, remedyOneExport)
	}
	return config.Named(err).Error() // the flag for the passphrase
}

// keyPermissions warns of a key that others can read. Windows has no such bits.
func (c *climber) keyPermissions() {
	info, err := os.Stat(c.credentials.KeyFile)
	switch {
	case err != nil || runtime.GOOS == "windows":
	case info.Mode().Perm()&0o077 != 0:
		c.add("client key", filepath.Base(c.credentials.KeyFile), Warning, "others than its owner may use it (mode %04o), and it opens the whole site: chmod 600 it", info.Mode().Perm())
	default:
		c.add("client key", filepath.Base(c.credentials.KeyFile), OK, "only its owner may use it (mode %04o)", info.Mode().Perm())
	}
}

// validity adds a rung for a certificate that is valid now.
func (c *climber) validity(name, target string, certificate *x509.Certificate, text, remedy string) {
	if certificate.NotAfter.Sub(c.Qlik.Now()) < soon {
		c.add(name, target, Warning, "%s; ends on %s: %s", text, date(certificate.NotAfter), remedy)
		return
	}
	c.add(name, target, OK, "%s; valid until %s", text, date(certificate.NotAfter))
}

// expiry says why a certificate is not valid now, or "".
func (c *climber) expiry(certificate *x509.Certificate) string {
	switch now := c.Qlik.Now(); {
	case now.After(certificate.NotAfter):
		return fmt.Sprintf("expired on %s (it is %s here)", moment(certificate.NotAfter), moment(now))
	case now.Before(certificate.NotBefore):
		return fmt.Sprintf("is not valid before %s (it is %s here)", moment(certificate.NotBefore), moment(now))
	}
	return ""
}

// reach climbs from the name of a server to its certificate, and says whether
// it can be asked.
func (c *climber) reach(ctx context.Context, s *server) bool {
	ctx, cancel := context.WithTimeout(ctx, c.Qlik.Timeout)
	defer cancel()
	conn, err := c.client.Dial(ctx, s.address)
	if !c.resolved(s, conn, err) {
		s.skip("the name is not known", rungPort, rungCertificate, rungRequest)
		return false
	}
	if err != nil {
		s.add(rungPort, s.address, Failed, "%s", c.dialFailure(s, err))
		s.skip("the port cannot be reached", rungCertificate, rungRequest)
		return false
	}
	defer func() { _ = conn.Close() }()
	if reached := c.client.Reached(s.address); strings.EqualFold(reached, s.address) {
		s.add(rungPort, s.address, OK, "open")
	} else {
		s.add(rungPort, s.address, OK, "open at %s", reached)
	}

	if len(c.credentials.Roots) == 0 {
		s.skip("the certificate files cannot be used", rungCertificate, rungRequest)
		return false
	}
	certificate, err := c.handshake(ctx, conn, s)
	switch {
	case certificate == nil:
		s.add(rungCertificate, s.address, Failed, "%s", c.handshakeFailure(s, err))
		s.skip("the server's certificate is not accepted", rungRequest)
		return false
	case certificate.NotAfter.Sub(c.Qlik.Now()) < soon:
		s.add(rungCertificate, s.address, Warning, "%s from %s ends on %s: %s", names(certificate), issuer(certificate), date(certificate.NotAfter), remedyServerCertificate)
	default:
		s.add(rungCertificate, s.address, OK, "%s from %s; valid until %s", names(certificate), issuer(certificate), date(certificate.NotAfter))
	}
	if !c.canAsk {
		s.skip("the certificate files cannot be used", rungRequest)
		return false
	}
	if reason := refusal(err); reason != "" {
		s.add(rungRequest, s.address, Failed, "%s", clientRefused(reason))
		return false
	}
	return true
}

// resolved adds the rung of the name and says whether there is an address.
func (c *climber) resolved(s *server, conn net.Conn, err error) bool {
	reached, _, _ := net.SplitHostPort(c.client.Reached(s.address))
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		s.add(rungName, s.host(), Failed, "%s", nameFailure(s, reached, dns))
		return false
	}
	address := reached
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		address = op.Addr.String()
	} else if conn != nil {
		address = conn.RemoteAddr().String()
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	switch {
	case !strings.EqualFold(reached, s.host()):
		s.add(rungName, s.host(), OK, "%s, by --qlik.node-address", address)
	case net.ParseIP(reached) != nil:
		s.add(rungName, s.host(), OK, "is an address")
	default:
		s.add(rungName, s.host(), OK, "%s", address)
	}
	return true
}

// handshake returns the certificate of the server if it is accepted. An error
// that comes with it is about our own certificate.
func (c *climber) handshake(ctx context.Context, conn net.Conn, s *server) (accepted *x509.Certificate, err error) {
	pool := x509.NewCertPool()
	for _, root := range c.credentials.Roots {
		pool.AddCert(root)
	}
	config := &tls.Config{
		RootCAs:    pool,
		ServerName: c.expected(s),
		MinVersion: tls.VersionTLS12,
		Time:       c.Qlik.Now,
		VerifyConnection: func(state tls.ConnectionState) error {
			accepted = state.PeerCertificates[0]
			return nil
		},
	}
	if c.canAsk {
		config.Certificates = []tls.Certificate{c.credentials.Client}
	}
	client, begin := tls.Client(conn, config), time.Now()
	err = client.HandshakeContext(ctx)
	if err == nil && client.ConnectionState().Version >= tls.VersionTLS13 {
		// The server judges our certificate only now, and its verdict can get lost
		// once a request is under way.
		_ = client.SetReadDeadline(time.Now().Add(max(verdictWait, 2*time.Since(begin))))
		_, err = client.Read(make([]byte, 1))
	}
	return accepted, err
}

// refusal returns why the other side ended the handshake, if it did.
func refusal(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return ""
}

// expected is the name that the server's certificate must have.
func (c *climber) expected(s *server) string { return cmp.Or(c.Qlik.ServerName, s.host()) }

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

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
