package check

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// authority issues certificates for TestCauses.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key}
	a.certificate = a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue returns a certificate of the authority, whose own is the first one.
func (a *authority) issue(t *testing.T, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotAfter = atTest.AddDate(10, 0, 0)
	}
	parent := a.certificate
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

var atTest = time.Date(2026, 5, 17, 12, 0, 0, 0, time.UTC)

// TestCauses reaches every row of the table, and the texts have no gap.
func TestCauses(t *testing.T) {
	ours, recreated, foreign := newAuthority(t, "qlik1-CA"), newAuthority(t, "qlik1-CA"), newAuthority(t, "sense-CA")
	for _, a := range []*authority{recreated, foreign} {
		if slices.Equal(a.certificate.RawSubjectPublicKeyInfo, ours.certificate.RawSubjectPublicKeyInfo) {
			t.Fatal("the authorities have the same key")
		}
	}
	of := func(a *authority, template x509.Certificate) *x509.Certificate {
		template.Subject.CommonName = "qlik2"
		return a.issue(t, &template)
	}
	plain := of(ours, x509.Certificate{DNSNames: []string{"node2", "other"}})
	old := of(ours, x509.Certificate{NotAfter: atTest.Add(-time.Hour)})
	// What the server shows, and why crypto/tls refuses it.
	refused := func(shown *x509.Certificate, err error) error {
		return &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{shown}, Err: err}
	}
	expiredError := func(c *x509.Certificate) error { return x509.CertificateInvalidError{Cert: c, Reason: x509.Expired} }
	host := x509.HostnameError{Certificate: plain, Host: "qlik2"}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	setting := func(field string) error { return &qlik.ConfigError{Field: field, Err: errors.New("is wrong")} }
	asked := func(kind qlik.Kind, text string) error {
		return &qlik.Error{Op: "GET", Target: "https://qlik2:4243/qps/session", Kind: kind, Err: errors.New(text)}
	}
	answered := func(status int) error {
		return &qlik.Error{Op: "GET", Kind: qlik.KindStatus, Status: status, Err: fmt.Errorf("%d", status)}
	}
	list := func(kind qlik.Kind, text string) error {
		return &qlik.Error{Op: "GET", Target: "https://qlik1:4242/qrs/license", Kind: kind, Err: errors.New(text)}
	}

	// Which server fails, and what else is set.
	repository := func(f *failure) { f.server = f.site.repository }
	discovered := func(*failure) {}
	given := func(f *failure) { f.server.flag = "qlik.proxy" }
	alone := func(f *failure) { f.site.repository, f.site.Qlik.Hosts, f.server.flag = nil, nil, "qlik.proxy" }
	elsewhere := func(f *failure) {
		f.site.client = newTestClient(t, map[string]qlik.NodeAddress{"qlik2": {Host: "10.0.0.2"}})
	}
	named := func(f *failure) { f.site.Qlik.ServerName = "sense" }
	withUser := func(set func(*failure)) func(*failure) {
		return func(f *failure) {
			set(f)
			f.site.Qlik.User = qlik.NewUser("LAB", "anna")
		}
	}

	reached := make(map[int]bool)
	for _, test := range []struct {
		step string
		set  func(*failure)
		err  error
		want string
	}{
		{"client certificate", repository, setting("CertDir"), "is wrong: " + useOneExport},
		{
			"client certificate", repository, expiredError(old),
			"the certificate expired on 2026-05-17 11:00 UTC (it is 2026-05-17 12:00 UTC here): export the certificates again, or set the clock of this machine",
		},
		{
			"authority", repository, expiredError(old),
			"the certificate of qlik2 expired on 2026-05-17 11:00 UTC (it is 2026-05-17 12:00 UTC here): recreate the site's certificates and export them, or set the clock of this machine",
		},
		{"certificate files", repository, setting("CertDir"), "--qlik.cert-dir: is wrong"},
		{"authority", repository, setting("CertDir"), "--qlik.cert-dir: is wrong"},
		{"client certificate", repository, setting("KeyPassphraseFile"), "--qlik.key-passphrase-file: is wrong"},

		{
			"name", discovered, dial(&net.DNSError{IsTimeout: true}),
			"the name server does not answer for qlik2: look at the DNS settings of this machine, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"name", elsewhere, dial(&net.DNSError{IsTemporary: true}),
			"the name server does not answer for 10.0.0.2: look at the DNS settings of this machine, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"name", given, dial(&net.DNSError{IsNotFound: true}),
			"no name server knows qlik2: use the host name that the QMC shows under Nodes, add it to DNS, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"name", discovered, dial(&net.DNSError{IsNotFound: true}),
			"no name server knows qlik2, under which the node is registered: add it to DNS, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"port", elsewhere, dial(os.ErrDeadlineExceeded),
			"10.0.0.2:4243 does not answer within 10s: open port 4243 from this machine in the firewalls between, and see that the node is up",
		},
		{
			"port", discovered, context.DeadlineExceeded,
			"qlik2:4243 does not answer within 10s: open port 4243 from this machine in the firewalls between, and see that the node is up",
		},
		{
			"port", discovered, dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
			"qlik2:4243 refuses the connection: start the Qlik Sense Proxy Service there, or open port 4243 in the node's firewall",
		},
		{
			"port", discovered, dial(os.NewSyscallError("connectex", syscall.Errno(10061))),
			"qlik2:4243 refuses the connection: start the Qlik Sense Proxy Service there, or open port 4243 in the node's firewall",
		},
		{
			"port", repository, dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
			"qlik1:4242 refuses the connection: start the Qlik Sense Repository Service there, or open port 4242 in the node's firewall",
		},
		{
			"port", discovered, dial(os.NewSyscallError("connect", syscall.ENETUNREACH)),
			"qlik2:4243 cannot be reached (connect: network is unreachable): look at the network between, and at its route and firewalls",
		},
		{
			"port", discovered, errors.New("no proxy"),
			"qlik2:4243 cannot be reached (no proxy): look at the network between, and at its route and firewalls",
		},

		{
			"server certificate", discovered, refused(plain, expiredError(of(ours, x509.Certificate{NotBefore: atTest.Add(time.Hour)}))),
			"the certificate of qlik2 is not valid before 2026-05-17 13:00 UTC (it is 2026-05-17 12:00 UTC here): set the clock of this machine, or that of the node",
		},
		{
			"server certificate", discovered,
			refused(plain, expiredError(&x509.Certificate{Subject: pkix.Name{CommonName: "qlik1-CA"}, IsCA: true, NotAfter: atTest.Add(-time.Hour)})),
			"the certificate of qlik1-CA expired on 2026-05-17 11:00 UTC (it is 2026-05-17 12:00 UTC here): recreate the site's certificates and export them",
		},
		{
			"server certificate", discovered, refused(old, x509.CertificateInvalidError{Reason: x509.Expired}),
			"the certificate of qlik2 expired on 2026-05-17 11:00 UTC (it is 2026-05-17 12:00 UTC here): " + renew,
		},
		{
			"server certificate", discovered, refused(of(foreign, x509.Certificate{}), x509.UnknownAuthorityError{}),
			"the certificate of qlik2 is from sense-CA, but root.pem is of qlik1-CA: if a load balancer or another site answers here, name the node itself, else " + exportAgain,
		},
		{
			"server certificate", discovered, refused(of(recreated, x509.Certificate{}), x509.UnknownAuthorityError{}),
			"the certificate is from another qlik1-CA than that in root.pem, since the site's certificates were recreated: " + exportAgain,
		},
		{
			"server certificate", discovered, refused(of(ours, x509.Certificate{}), host),
			"the certificate of qlik2 has no DNS name, which TLS wants today: recreate the site's certificates with a current release of Qlik",
		},
		{
			"server certificate", named, refused(plain, host),
			"the certificate is for node2, other, not for sense: leave out --qlik.server-name, or set it to node2",
		},
		{
			"server certificate", elsewhere, refused(plain, host),
			"the certificate is for node2, other, not for qlik2: correct --qlik.node-address (qlik2=10.0.0.2), which leads there, or, if it is the right node, set --qlik.server-name to node2",
		},
		{
			"server certificate", given, refused(plain, host),
			"the certificate is for node2, other, not for qlik2: set --qlik.proxy to node2:4243, and --qlik.node-address to node2=qlik2 if that name leads nowhere",
		},
		{
			"server certificate", discovered, refused(plain, host),
			"the certificate is for node2, other, not for qlik2: if it is another machine, correct DNS or set --qlik.node-address to qlik2=ADDRESS, else set --qlik.server-name to node2",
		},
		{
			"server certificate", discovered, refused(of(ours, x509.Certificate{IPAddresses: []net.IP{{10, 0, 0, 2}}}), host),
			"the certificate is for 10.0.0.2, not for qlik2: if it is another machine, correct DNS or set --qlik.node-address to qlik2=ADDRESS, else set --qlik.server-name to qlik2",
		},
		{
			"server certificate", discovered, refused(plain, x509.CertificateInvalidError{Cert: plain, Reason: x509.IncompatibleUsage}),
			"the certificate of qlik2 is not accepted (x509: certificate specifies an incompatible key usage): " + renew,
		},

		{
			"server certificate", discovered,
			tls.RecordHeaderError{Msg: "no TLS"},
			"does not speak TLS, so it is another program: correct the REST API listen port of the proxy in the QMC, or what stands before it",
		},
		{
			"server certificate", given,
			tls.RecordHeaderError{Msg: "no TLS"},
			"does not speak TLS, so it is another program: set --qlik.proxy to qlik2:4243, the port of the Qlik Sense Proxy Service itself",
		},
		{
			"server certificate", discovered, context.DeadlineExceeded,
			"accepts the connection and gives no certificate within 10s: restart the Qlik Sense Proxy Service, or look at what else listens there",
		},
		{
			"server certificate", discovered, os.ErrDeadlineExceeded,
			"accepts the connection and gives no certificate within 10s: restart the Qlik Sense Proxy Service, or look at what else listens there",
		},
		{
			"server certificate", discovered, io.EOF,
			"closes the connection before it shows a certificate: let no firewall inspect this port, and see that the node allows TLS 1.2",
		},
		{
			"server certificate", discovered, &net.OpError{Op: "read", Err: syscall.ECONNRESET},
			"closes the connection before it shows a certificate: let no firewall inspect this port, and see that the node allows TLS 1.2",
		},
		{
			"server certificate", discovered, &net.OpError{Op: "read", Err: syscall.Errno(10054)},
			"closes the connection before it shows a certificate: let no firewall inspect this port, and see that the node allows TLS 1.2",
		},
		{
			"server certificate", discovered, &net.OpError{Op: "remote error", Err: errors.New("tls: protocol version not supported")},
			"TLS fails (remote error: tls: protocol version not supported): see that the node allows TLS 1.2, and that this is the port of the Qlik Sense Proxy Service",
		},

		{
			"request", discovered, &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")},
			"the client certificate is refused (bad certificate): " + exportAgain,
		},
		{"link", discovered, asked(qlik.KindTLS, "no TLS"), "the client certificate is refused (no TLS): " + exportAgain},
		{
			"request", discovered, asked(qlik.KindTimeout, "too late"),
			"accepts the connection and does not answer within 10s: look at the load of the node and restart the Qlik Sense Proxy Service, or raise --qlik.timeout",
		},
		{
			"request", discovered, asked(qlik.KindDNS, "no such host"),
			"cannot be reached any more (no such host): the Qlik Sense Proxy Service was just stopped, or restarts; run the check again",
		},
		{
			"request", repository, asked(qlik.KindRefused, "refused"),
			"cannot be reached any more (refused): the Qlik Sense Repository Service was just stopped, or restarts; run the check again",
		},
		{
			"request", discovered, asked(qlik.KindReset, "EOF"),
			"closes the connection instead of answering (EOF): if the client certificate is of another site, or older than the site's certificates, " + exportAgain,
		},
		{"request", discovered, asked(qlik.KindUnauthorized, "401"), "401, so something before Qlik wants a login: " + goDirectly},
		{
			"request", discovered, asked(qlik.KindXSRF, "403"),
			"403, XSRF prevention check failed, so something rewrites the header X-Qlik-Xrfkey or the query: " + goDirectly,
		},
		{
			"licenses", repository, list(qlik.KindForbidden, "403"),
			`/qrs/license: 403, so INTERNAL\sa_api has no right to read this: see in the QMC that no security rule was taken from it`,
		},
		{
			"licenses", withUser(repository), list(qlik.KindForbidden, "403"),
			`/qrs/license: 403, so LAB\anna has no right to read this: leave out --qlik.user, or give LAB\anna the role RootAdmin or AuditAdmin in the QMC`,
		},
		{
			"request", withUser(discovered), asked(qlik.KindForbidden, "403"),
			`403, though the repository accepts the certificate, so LAB\anna has no right to list sessions here: leave out --qlik.user, or give LAB\anna the role RootAdmin or AuditAdmin in the QMC`,
		},
		{
			"request", withUser(alone), asked(qlik.KindForbidden, "403"),
			`403, so LAB\anna is not known, or the client certificate is not accepted: leave out --qlik.user, and if it stays so ` + exportAgain,
		},
		{"request", alone, asked(qlik.KindForbidden, "403"), "403, so the client certificate is not accepted: " + exportAgain},
		{
			"request", repository, asked(qlik.KindRedirect, "302 Found to https://login; is this the right port?"),
			"302 Found to https://login, as the browser's side of Qlik or a login page does: set --qlik.host to qlik1:4242, the port of the Qlik Sense Repository Service itself",
		},
		{
			"request", alone, &pageError{asked(qlik.KindNotJSON, "no JSON")},
			"answers with an HTML page, as the browser's side of Qlik or a login page does: set --qlik.proxy to qlik2:4243, the port of the Qlik Sense Proxy Service itself",
		},
		{
			"request", discovered, asked(qlik.KindNotJSON, "no JSON"),
			"answers with something that is not JSON, so the service is starting or another program answers: run the check again in a minute, and if it stays so correct the REST API listen port of the proxy in the QMC, or what stands before it",
		},
		{
			"usage rows", repository, list(qlik.KindDecode, "ends too early"),
			"/qrs/license: ends too early, so the service is stopping or another program answers: run the check again, and if it stays so restart the Qlik Sense Repository Service",
		},
		{"request", discovered, asked(qlik.KindTooLarge, "is endless"), "is endless, which no site needs: restart the Qlik Sense Proxy Service"},
		{
			"request", repository, answered(404),
			"404, so this is not the repository's port: set --qlik.host to qlik1:4242, the port of the Qlik Sense Repository Service itself",
		},
		{
			"link", alone, answered(404),
			"404, so this virtual proxy is not linked to the node, or this is not the proxy's port: correct --qlik.virtual-proxy or --qlik.proxy (port 4243)",
		},
		{
			"link", discovered, answered(404),
			"404, though the QMC links this virtual proxy to the node: restart the Qlik Sense Proxy Service so that it takes up the link",
		},
		{
			"request", discovered, answered(503),
			"503, so the service itself is in trouble: look at its log and restart the Qlik Sense Proxy Service",
		},

		{
			"rights", repository, errNoService,
			`the repository shows INTERNAL\sa_api no service at all, which it does to users without rights: see in the QMC that no security rule was taken from it`,
		},
		{
			"topology", repository, errNoLink,
			"the repository names no virtual proxy that is linked to a proxy and not left out by --qlik.proxy and --qlik.virtual-proxy: link one in the QMC under Proxies, or correct these settings",
		},
		{"topology", repository, errAllDisabled, "all proxies are disabled: enable one in the QMC under Proxies"},
		{
			"audit log", repository, errors.New("*.txt cannot be read"),
			"*.txt cannot be read: correct the pattern, or let the account of the exporter read the folder",
		},
		{"request", discovered, errors.New("something else"), "something else"},
	} {
		hasName := func(name string) bool { return name == test.step }
		if !slices.ContainsFunc(siteSteps, func(s step[*site]) bool { return hasName(s.name) }) &&
			!slices.ContainsFunc(serverSteps, func(s step[*server]) bool { return hasName(s.name) }) {
			t.Errorf("there is no step %q", test.step)
		}
		s := &site{
			Config: Config{
				Qlik:    qlik.Config{Hosts: []string{"qlik1:4242"}, User: qlik.NewUser("INTERNAL", "sa_api"), Timeout: qlik.DefaultTimeout, Now: func() time.Time { return atTest }},
				Setting: func(flag string) string { return "--" + flag },
			},
			client:      newTestClient(t, nil),
			credentials: &qlik.Credentials{Roots: []*x509.Certificate{ours.certificate}},
		}
		s.repository = &server{site: s, address: "qlik1:4242", api: qlik.APIRepository, flag: "qlik.host"}
		f := &failure{step: test.step, err: test.err, site: s, server: &server{site: s, address: "qlik2:4243", api: qlik.APIProxy}}
		test.set(f)
		row := f.cause()
		reached[row] = true
		if got := f.explain(); got != test.want {
			t.Errorf("%s: %v, by row %d: got\n\t%s\nwant\n\t%s", test.step, test.err, row, got, test.want)
		}
		s.Setting = func(flag string) string { return "<" + flag + ">" }
		want := regexp.MustCompile(`--((?:qlik)[a-z.-]+[a-z])`).ReplaceAllString(test.want, "<$1>")
		if got := f.explain(); got != want {
			t.Errorf("%s: %v, with other names of settings: got\n\t%s\nwant\n\t%s", test.step, test.err, got, want)
		}
	}
	for i, row := range causes {
		if !reached[i] {
			t.Errorf("no case reaches row %d: %s %q", i, row.step, row.text)
		}
	}
}

func newTestClient(t *testing.T, addresses map[string]qlik.NodeAddress) *qlik.Client {
	t.Helper()
	client, err := qlik.NewClient(qlik.Config{Hosts: []string{"qlik1"}, CertDir: t.TempDir(), NodeAddresses: addresses})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// TestSettingsAreNamedByTheCaller: a text that names a flag itself is wrong for a
// site that is described by a file.
func TestSettingsAreNamedByTheCaller(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	flag := regexp.MustCompile(`(?:^|[^{])--[a-z]`)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		content, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(content), "\n") {
			if flag.MatchString(line) {
				t.Errorf("%s:%d: %s", file.Name(), i+1, line)
			}
		}
	}
}
