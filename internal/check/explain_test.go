package check

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// TestExplain checks that requests without a check are explained with what their errors
// tell: also where the exporter reached the node, which a setting may change.
func TestExplain(t *testing.T) {
	link := &qlik.Link{Node: "qlik2", Address: "qlik2:4243", VirtualProxy: "/"}
	failed := func(kind qlik.Kind, err error) error {
		return &qlik.Error{Op: "GET", Target: "https://qlik2:4243/qps/session", Kind: kind, Err: err}
	}
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 4243}, Err: err}
	}
	certificate := newAuthority(t, "sense-CA").certificate
	for _, test := range []struct {
		err  error
		want string // begins the cause, or the cause, a colon, and the remedy
	}{
		{failed(qlik.KindRefused, dial(syscall.ECONNREFUSED)), "10.0.0.2:4243 refuses the connection: start the Qlik Sense Proxy Service on the node, or open port 4243 in the node's firewall"},
		{failed(qlik.KindTimeout, dial(syscall.ETIMEDOUT)), "10.0.0.2:4243 does not respond within the timeout: open port 4243"},
		{failed(qlik.KindDNS, &net.DNSError{Err: "no such host", Name: "node2.zone", IsNotFound: true}), "node2.zone does not resolve"},
		{failed(qlik.KindTimeout, errors.New("no complete response before the timeout")), "the server does not respond in time"},
		{failed(qlik.KindTLS, &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{certificate}, Err: x509.UnknownAuthorityError{Cert: certificate}}), "the certificate of sense-CA fails verification"},
		{failed(qlik.KindTLS, tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), "the server does not speak TLS"},
		{failed(qlik.KindTLS, &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}), "the server rejects the client certificate (bad certificate)"},
		{&qlik.Error{Op: "GET", Kind: qlik.KindStatus, Status: 503, Err: errors.New("503")}, "the response is 503, so the service or something in front of it has a problem"},
		{fmt.Errorf("a link: %w", qlik.ErrUnread), "a link: the repository names a virtual proxy of this node in a form that cannot be read"},
	} {
		cause, remedy := Explain(link, test.err)
		if got := cause + ": " + remedy; !strings.HasPrefix(got, test.want) || strings.Contains(got, "${") || strings.Contains(got, "the check again") {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
}
