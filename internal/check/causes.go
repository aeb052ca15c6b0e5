package check

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Remedies that several causes share.
const (
	remedyExport            = "export the certificates again in the QMC, format PEM with the secrets key, and replace all three files"
	remedyOneExport         = "copy client.pem, client_key.pem and root.pem of one export"
	remedyServerCertificate = "renew it in the QMC under Nodes, Redistribute, on the central node as Qlik describes"
	remedyAuditLog          = "correct the pattern, or let the account of the exporter read the folder"
)

// remedyRights is what helps the user in whose name Qlik is asked.
func (c *climber) remedyRights() string {
	if c.Qlik.User.String() == qlik.DefaultUser {
		return "see in the QMC that no security rule was taken from it"
	}
	return fmt.Sprintf("leave out --qlik.user, or give %s the role RootAdmin or AuditAdmin in the QMC", c.Qlik.User)
}

// service names what should listen on the port of a server.
func (s *server) service() string {
	if s.api == qlik.APIRepository {
		return "Qlik Sense Repository Service"
	}
	return "Qlik Sense Proxy Service"
}

// usualPort is where it listens by default.
func (s *server) usualPort() string {
	if s.api == qlik.APIRepository {
		return "4242"
	}
	return "4243"
}

// wrongPort is the remedy where something else answers.
func (s *server) wrongPort() string {
	if s.given == "" {
		return "correct the REST API listen port of the proxy in the QMC, or what stands before it"
	}
	return fmt.Sprintf("give the port of the %s itself, %s=%s:%s", s.service(), s.given, s.host(), s.usualPort())
}

func nameFailure(s *server, reached string, err *net.DNSError) string {
	if err.IsTimeout || err.IsTemporary {
		return fmt.Sprintf("the name server does not answer for %s: look at the DNS settings of this machine, or give --qlik.node-address=%s=ADDRESS", reached, s.host())
	}
	if s.given == "" {
		return fmt.Sprintf("no name server knows %s, under which the node is registered: add it to DNS, or give --qlik.node-address=%s=ADDRESS", reached, s.host())
	}
	return fmt.Sprintf("no name server knows %s: use the host name that the QMC shows under Nodes, add it to DNS, or give --qlik.node-address=%s=ADDRESS", reached, s.host())
}

// dialFailure says why no connection could be opened.
func (c *climber) dialFailure(s *server, err error) string {
	reached := c.client.Reached(s.address)
	_, port, _ := net.SplitHostPort(reached)
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), op != nil && op.Timeout():
		return fmt.Sprintf("%s does not answer within %s: open port %s from this machine in the firewalls between, and see that the node is up", reached, c.Qlik.Timeout, port)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refuses the connection: start the %s there, or open port %s in the node's firewall", reached, s.service(), port)
	case op != nil:
		return fmt.Sprintf("%s cannot be reached (%v): look at the network between, and at its route and firewalls", reached, op.Err)
	}
	return fmt.Sprintf("%s cannot be reached (%v): look at the network between", reached, err)
}

// handshakeFailure says why the certificate of a server was not accepted, or
// never shown.
func (c *climber) handshakeFailure(s *server, err error) string {
	var timeout net.Error
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(refused.UnverifiedCertificates) > 0 {
		return c.verificationFailure(s, refused.UnverifiedCertificates[0], refused.Err)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "does not speak TLS, so it is another program: " + s.wrongPort()
	}
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("accepts the connection and gives no certificate within %s: restart the %s, or look at what else listens there", c.Qlik.Timeout, s.service())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "closes the connection before it shows a certificate: let no firewall inspect this port, and see that the node allows TLS 1.2"
	}
	return fmt.Sprintf("TLS fails (%v): see that the node allows TLS 1.2, and that this is the port of the %s", err, s.service())
}

// verificationFailure tells the reasons apart for which a certificate is not
// accepted.
func (c *climber) verificationFailure(s *server, shown *x509.Certificate, err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		certificate, remedy := invalid.Cert, remedyServerCertificate
		if certificate == nil {
			certificate = shown
		}
		if certificate.NotBefore.After(c.Qlik.Now()) {
			return fmt.Sprintf("the certificate of %s %s: set the clock of this machine, or that of the node", commonName(certificate), c.expiry(certificate))
		}
		if certificate.IsCA {
			remedy = "recreate the site's certificates and export them"
		}
		return fmt.Sprintf("the certificate of %s %s: %s", commonName(certificate), c.expiry(certificate), remedy)
	}
	ours := false // by name
	for _, root := range c.credentials.Roots {
		ours = ours || bytes.Equal(shown.RawIssuer, root.RawSubject)
	}
	switch {
	case !ours:
		return fmt.Sprintf("the certificate of %s is from %s, but root.pem is of %s: if a load balancer or another site answers here, name the node itself, else %s",
			commonName(shown), issuer(shown), subjects(c.credentials.Roots), remedyExport)
	case !issuedBy(shown, c.credentials.Roots):
		return fmt.Sprintf("the certificate is from another %s than that in root.pem, since the site's certificates were recreated: %s", issuer(shown), remedyExport)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return c.hostnameFailure(s, shown)
	}
	return fmt.Sprintf("the certificate of %s is not accepted (%v): %s", commonName(shown), err, remedyServerCertificate)
}

// hostnameFailure names the host that the certificate is for, and the flag.
func (c *climber) hostnameFailure(s *server, shown *x509.Certificate) string {
	if len(shown.DNSNames)+len(shown.IPAddresses) == 0 {
		return fmt.Sprintf("the certificate of %s has no DNS name, which TLS wants today: recreate the site's certificates with a current release of Qlik", commonName(shown))
	}
	name, cause := commonName(shown), fmt.Sprintf("the certificate is for %s, not for %s", names(shown), c.expected(s))
	if len(shown.DNSNames) > 0 {
		name = shown.DNSNames[0]
	}
	reached, _, _ := net.SplitHostPort(c.client.Reached(s.address))
	switch {
	case c.Qlik.ServerName != "":
		return fmt.Sprintf("%s: leave out --qlik.server-name, or give --qlik.server-name=%s", cause, name)
	case !strings.EqualFold(reached, s.host()):
		return fmt.Sprintf("%s: correct --qlik.node-address=%s=%s, which leads there, or, if it is the right node, give --qlik.server-name=%s", cause, s.host(), reached, name)
	case s.given != "":
		return fmt.Sprintf("%s: give %s=%s, and --qlik.node-address=%s=%s if that name leads nowhere", cause, s.given, net.JoinHostPort(name, s.port()), name, s.host())
	}
	return fmt.Sprintf("%s: if it is another machine, correct DNS or give --qlik.node-address=%s=ADDRESS, else give --qlik.server-name=%s", cause, s.host(), name)
}

// requestFailure says why a server that was reached did not answer as it should.
func (c *climber) requestFailure(s *server, answer qlik.Answer, err error) string {
	failed, ok := errors.AsType[*qlik.Error](err)
	if !ok {
		return err.Error()
	}
	switch failed.Kind {
	case qlik.KindTimeout:
		return fmt.Sprintf("accepts the connection and does not answer within %s: look at the load of the node and restart the %s, or raise --qlik.timeout", c.Qlik.Timeout, s.service())
	case qlik.KindDNS, qlik.KindRefused:
		return fmt.Sprintf("cannot be reached any more (%v): the %s was just stopped, or restarts; run the check again", failed.Err, s.service())
	case qlik.KindReset:
		return fmt.Sprintf("closes the connection instead of answering (%v): if the client certificate is of another site, or older than the site's certificates, %s", failed.Err, remedyExport)
	case qlik.KindTLS:
		return clientRefused(cmp.Or(refusal(failed.Err), failed.Err.Error()))
	case qlik.KindUnauthorized:
		return "401, so something before Qlik wants a login: let the exporter reach the node directly, past proxies and load balancers"
	case qlik.KindXSRF:
		return "403, XSRF prevention check failed, so something rewrites the header X-Qlik-Xrfkey or the query: let the exporter reach the node directly, past proxies and load balancers"
	case qlik.KindForbidden:
		switch {
		case s.api == qlik.APIProxy && c.repository != "":
			return fmt.Sprintf("403, though the repository accepts the certificate, so %s has no right to list sessions here: %s", c.Qlik.User, c.remedyRights())
		case c.Qlik.User.String() != qlik.DefaultUser:
			return fmt.Sprintf("403, so %s is not known, or the client certificate is not accepted: leave out --qlik.user, and if it stays so %s", c.Qlik.User, remedyExport)
		}
		return "403, so the client certificate is not accepted: " + remedyExport
	case qlik.KindRedirect:
		return fmt.Sprintf("%s, as the browser's side of Qlik or a login page does: %s", strings.TrimSuffix(failed.Err.Error(), "; is this the right port?"), s.wrongPort())
	case qlik.KindNotJSON:
		if answer.HTML {
			return "answers with an HTML page, as the browser's side of Qlik or a login page does: " + s.wrongPort()
		}
		return fmt.Sprintf("answers with something that is not JSON, so the service is starting or another program answers: run the check again in a minute, and if it stays so %s", s.wrongPort())
	case qlik.KindDecode:
		return fmt.Sprintf("%v, so the service is stopping or another program answers: run the check again, and if it stays so restart the %s", failed.Err, s.service())
	case qlik.KindTooLarge:
		return fmt.Sprintf("%v, which no site needs: restart the %s", failed.Err, s.service())
	case qlik.KindStatus:
		switch {
		case failed.Status != http.StatusNotFound:
		case s.api == qlik.APIRepository:
			return "404, so this is not the repository's port: " + s.wrongPort()
		case s.given != "" && len(c.Qlik.Hosts) == 0:
			return "404, so this virtual proxy is not linked to the node, or this is not the proxy's port: correct --qlik.virtual-proxy or --qlik.proxy (port 4243)"
		default:
			return fmt.Sprintf("404, though the QMC links this virtual proxy to the node: restart the %s so that it takes up the link", s.service())
		}
	}
	return fmt.Sprintf("%v, so the service itself is in trouble: look at its log and restart the %s", failed.Err, s.service())
}

// listFailure says why a repository that answers did not give a list.
func (c *climber) listFailure(err error) string {
	s := &server{address: c.repository, api: qlik.APIRepository, given: "--qlik.host"}
	what := ""
	if failed, ok := errors.AsType[*qlik.Error](err); ok {
		if _, path, found := strings.Cut(failed.Target, "/qrs/"); found {
			what = "/qrs/" + path + ": "
		}
		if failed.Kind == qlik.KindForbidden {
			return fmt.Sprintf("%s403, so %s has no right to read this: %s", what, c.Qlik.User, c.remedyRights())
		}
	}
	return what + c.requestFailure(s, qlik.Answer{}, err)
}

func clientRefused(reason string) string {
	return fmt.Sprintf("the client certificate is refused (%s): %s", reason, remedyExport)
}
