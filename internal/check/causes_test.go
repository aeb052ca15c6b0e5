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
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
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

// issue returns a certificate signed by the authority. The first certificate is the
// self-signed one of the authority itself.
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

// TestCauses reaches every row of the table of causes and compares the whole texts.
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
	// refused is the error of crypto/tls for a certificate that fails verification.
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
	listed := func(status int) error {
		return &qlik.Error{Op: "GET", Target: "https://qlik1:4242/qrs/license", Kind: qlik.KindStatus, Status: status, Err: fmt.Errorf("%d", status)}
	}
	list := func(kind qlik.Kind, text string) error {
		return &qlik.Error{Op: "GET", Target: "https://qlik1:4242/qrs/license", Kind: kind, Err: errors.New(text)}
	}

	const noRestart = "; a restart would end every session on the node and is not known to help"

	// Changes of the failing server and of the settings.
	repository := func(f *failure) { f.server = f.site.repository }
	discovered := func(*failure) {}
	busy := func(f *failure) {
		anna, bert := qlik.Session{User: qlik.NewUser("LAB", "anna")}, qlik.Session{User: qlik.NewUser("LAB", "bert")}
		f.server.links = []*headroom.LinkResult{{Sessions: []qlik.Session{anna, bert}}, {Sessions: []qlik.Session{anna}}, {Err: io.EOF}}
	}
	given := func(f *failure) { f.server.flag = "qlik.proxy" }
	alone := func(f *failure) { f.site.repository, f.site.Qlik.Hosts, f.server.flag = nil, nil, "qlik.proxy" }
	elsewhere := func(f *failure) {
		f.site.client = newTestClient(t, map[string]qlik.NodeAddress{"qlik2": {Host: "10.0.0.2"}})
	}
	alreadyAsked := func(f *failure) { // by the exporter, without the steps of a check
		f.site.client, f.site.credentials, f.site.repository = nil, nil, nil
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
		{
			"client certificate", repository, expiredError(old),
			"the certificate expired on 2026-05-17 11:00 UTC (local clock: 2026-05-17 12:00 UTC): export the certificates again, or correct the clock of this machine",
		},
		{
			"authority", repository, expiredError(old),
			"the certificate of qlik2 expired on 2026-05-17 11:00 UTC (local clock: 2026-05-17 12:00 UTC): correct the clock of this machine, or " + exportAgain + "; only if the new root.pem has expired too, " + recreate,
		},
		{"certificate files", repository, setting("CertDir"), "--qlik.cert-dir: is wrong"},
		{"authority", repository, setting("CertDir"), "--qlik.cert-dir: is wrong"},
		{"client certificate", repository, setting("CertDir"), "--qlik.cert-dir: is wrong"},
		{"client certificate", repository, setting("KeyPassphraseFile"), "--qlik.key-passphrase-file: is wrong"},

		{
			"name", discovered, dial(&net.DNSError{IsTimeout: true}),
			"the DNS server does not respond to the query for qlik2: check the DNS settings of this machine, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"name", elsewhere, dial(&net.DNSError{IsTemporary: true}),
			"the DNS server does not respond to the query for 10.0.0.2: check the DNS settings of this machine, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"name", given, dial(&net.DNSError{IsNotFound: true}),
			"qlik2 does not resolve: use the host name that the QMC shows under Nodes, add the name to DNS, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"name", discovered, dial(&net.DNSError{IsNotFound: true}),
			"qlik2 does not resolve, although the node is registered under this name: add the name to DNS, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"port", elsewhere, dial(os.ErrDeadlineExceeded),
			"10.0.0.2:4243 does not respond within 10s: open port 4243 from this machine in every firewall on the way, and make sure that the node is up",
		},
		{
			"port", discovered, context.DeadlineExceeded,
			"qlik2:4243 does not respond within 10s: open port 4243 from this machine in every firewall on the way, and make sure that the node is up",
		},
		{
			"port", discovered, dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
			"qlik2:4243 refuses the connection: start the Qlik Sense Proxy Service on the node, or open port 4243 in the node's firewall",
		},
		{
			"port", discovered, dial(os.NewSyscallError("connectex", syscall.Errno(10061))),
			"qlik2:4243 refuses the connection: start the Qlik Sense Proxy Service on the node, or open port 4243 in the node's firewall",
		},
		{
			"port", repository, dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
			"qlik1:4242 refuses the connection: start the Qlik Sense Repository Service on the node, or open port 4242 in the node's firewall",
		},
		{
			"port", discovered, dial(os.NewSyscallError("connect", syscall.ENETUNREACH)),
			"qlik2:4243 is not reachable (connect: network is unreachable): check the network between this machine and the node, including routes and firewalls",
		},
		{
			"port", discovered, errors.New("no proxy"),
			"qlik2:4243 is not reachable (no proxy): check the network between this machine and the node, including routes and firewalls",
		},

		{
			"server certificate", discovered, refused(plain, expiredError(of(ours, x509.Certificate{NotBefore: atTest.Add(time.Hour)}))),
			"the certificate of qlik2 is not valid before 2026-05-17 13:00 UTC (local clock: 2026-05-17 12:00 UTC): correct the clock of this machine or of the node",
		},
		{
			"server certificate", discovered,
			refused(plain, expiredError(&x509.Certificate{Subject: pkix.Name{CommonName: "qlik1-CA"}, IsCA: true, NotAfter: atTest.Add(-time.Hour)})),
			"the certificate of qlik1-CA expired on 2026-05-17 11:00 UTC (local clock: 2026-05-17 12:00 UTC): " + clockFirst + recreate + ", and export them",
		},
		{
			"server certificate", discovered, refused(old, x509.CertificateInvalidError{Reason: x509.Expired}),
			"the certificate of qlik2 expired on 2026-05-17 11:00 UTC (local clock: 2026-05-17 12:00 UTC): " + clockFirst + renew,
		},
		{
			"server certificate", discovered, refused(of(foreign, x509.Certificate{}), x509.UnknownAuthorityError{}),
			"the certificate of qlik2 was issued by sense-CA, but root.pem contains qlik1-CA: if a load balancer or another site responds here, use the host name of the node itself; otherwise " + exportAgain,
		},
		{
			"server certificate", discovered, refused(of(recreated, x509.Certificate{}), x509.UnknownAuthorityError{}),
			"the certificate was issued by a different qlik1-CA than the one in root.pem, because the site's certificates were recreated: " + exportAgain,
		},
		{
			"server certificate", discovered, refused(of(ours, x509.Certificate{}), host),
			"the certificate of qlik2 contains no DNS name, which TLS clients require today: " + recreate + " for a current release of Qlik Sense",
		},
		{
			"server certificate", named, refused(plain, host),
			"the certificate is for node2, other, not for sense: remove --qlik.server-name, or set it to node2",
		},
		{
			"server certificate", elsewhere, refused(plain, host),
			"the certificate is for node2, other, not for qlik2: if this is the wrong node, correct --qlik.node-address (qlik2=10.0.0.2); if it is the right one, set --qlik.server-name to node2",
		},
		{
			"server certificate", given, refused(plain, host),
			"the certificate is for node2, other, not for qlik2: set --qlik.proxy to node2:4243; if that name does not resolve to the node, also set --qlik.node-address to node2=qlik2",
		},
		{
			"server certificate", discovered, refused(plain, host),
			"the certificate is for node2, other, not for qlik2: if this is the wrong machine, correct DNS or set --qlik.node-address to qlik2=ADDRESS; if it is the right one, set --qlik.server-name to node2",
		},
		{
			"server certificate", discovered, refused(of(ours, x509.Certificate{IPAddresses: []net.IP{{10, 0, 0, 2}}}), host),
			"the certificate is for 10.0.0.2, not for qlik2: if this is the wrong machine, correct DNS or set --qlik.node-address to qlik2=ADDRESS; if it is the right one, set --qlik.server-name to qlik2",
		},
		{
			"server certificate", discovered, refused(plain, x509.CertificateInvalidError{Cert: plain, Reason: x509.IncompatibleUsage}),
			"the certificate of qlik2 fails verification (certificate specifies an incompatible key usage): if a load balancer or a firewall responds here, " + goDirectly + "; otherwise " + report,
		},

		{
			"server certificate", discovered,
			tls.RecordHeaderError{Msg: "no TLS"},
			"the server does not speak TLS, so another program uses this port: compare the REST API listen port of the proxy in the QMC with the port on which the proxy listens, and look for a reverse proxy or load balancer in front of it",
		},
		{
			"server certificate", given,
			tls.RecordHeaderError{Msg: "no TLS"},
			"the server does not speak TLS, so another program uses this port: set --qlik.proxy to qlik2:4243, the port of the Qlik Sense Proxy Service itself",
		},
		{
			"server certificate", discovered, context.DeadlineExceeded,
			"the server accepts the connection but sends no certificate within 10s: find out on the node which program listens on this port; if it is the Qlik Sense Proxy Service, check its log and the load of the node; a restart would end every session on the node and is not known to help",
		},
		{
			"server certificate", discovered, os.ErrDeadlineExceeded,
			"the server accepts the connection but sends no certificate within 10s: find out on the node which program listens on this port; if it is the Qlik Sense Proxy Service, check its log and the load of the node; a restart would end every session on the node and is not known to help",
		},
		{
			"server certificate", discovered, io.EOF,
			"the server closes the connection before it sends a certificate: turn off firewall inspection of this port, and make sure that the node allows TLS 1.2",
		},
		{
			"server certificate", discovered, &net.OpError{Op: "read", Err: syscall.ECONNRESET},
			"the server closes the connection before it sends a certificate: turn off firewall inspection of this port, and make sure that the node allows TLS 1.2",
		},
		{
			"server certificate", discovered, &net.OpError{Op: "read", Err: syscall.Errno(10054)},
			"the server closes the connection before it sends a certificate: turn off firewall inspection of this port, and make sure that the node allows TLS 1.2",
		},
		{
			"server certificate", discovered, &net.OpError{Op: "remote error", Err: errors.New("tls: protocol version not supported")},
			"the TLS handshake fails (the server refuses: protocol version not supported): make sure that the node allows TLS 1.2 and that this is the port of the Qlik Sense Proxy Service",
		},

		{
			"request", discovered, &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")},
			"the server rejects the client certificate (bad certificate): " + exportAgain,
		},
		{"link", discovered, asked(qlik.KindTLS, "no TLS"), "the server rejects the client certificate (no TLS): " + exportAgain},
		{
			"request", discovered, asked(qlik.KindTimeout, "too late"),
			"the server accepts the connection but does not respond within 10s: check the load of the node and the log of the Qlik Sense Proxy Service, or raise --qlik.timeout; a restart would end every session on the node and is not known to help",
		},
		{
			"request", discovered, asked(qlik.KindDNS, "no such host"),
			"the server is no longer reachable (no such host): the Qlik Sense Proxy Service has just stopped or is restarting, so run the check again",
		},
		{
			"request", repository, asked(qlik.KindRefused, "refused"),
			"the server is no longer reachable (refused): the Qlik Sense Repository Service has just stopped or is restarting, so run the check again",
		},
		{
			"request", discovered, asked(qlik.KindReset, "EOF"),
			"the server closes the connection instead of responding (EOF): if the client certificate is from another site or older than the site's certificates, " + exportAgain,
		},
		{"request", discovered, asked(qlik.KindUnauthorized, "401"), "the response is 401, so something in front of Qlik Sense requires a login: " + goDirectly},
		{
			"request", discovered, asked(qlik.KindXSRF, "403"),
			"the response is 403 (XSRF prevention check failed), so something on the way changes the X-Qlik-Xrfkey header or the query string: " + goDirectly,
		},
		{
			"licenses", repository, list(qlik.KindForbidden, "403"),
			`/qrs/license: the response is 403, so INTERNAL\sa_api is not allowed to read this: check in the QMC that no security rule of this account was removed`,
		},
		{
			"licenses", withUser(repository), list(qlik.KindForbidden, "403"),
			`/qrs/license: the response is 403, so LAB\anna is not allowed to read this: remove --qlik.user, or give LAB\anna the role RootAdmin or AuditAdmin in the QMC`,
		},
		{
			"request", withUser(discovered), asked(qlik.KindForbidden, "403"),
			`the response is 403 although the repository accepts the certificate, so LAB\anna is not allowed to list sessions here: remove --qlik.user, or give LAB\anna the role RootAdmin or AuditAdmin in the QMC, and ` + lookAtLinks,
		},
		{
			"request", withUser(alone), asked(qlik.KindForbidden, "403"),
			`the response is 403, so LAB\anna is unknown or the client certificate is not accepted: remove --qlik.user; if the problem persists, ` + exportAgain,
		},
		{"request", alone, asked(qlik.KindForbidden, "403"), "the response is 403, so the client certificate is not accepted: " + exportAgain},
		{
			"request", repository, asked(qlik.KindRedirect, "302 Found to https://login; is this the right port?"),
			"the response is 302 Found to https://login, which is typical of the browser port of Qlik Sense or of a login page: set --qlik.host to qlik1:4242, the port of the Qlik Sense Repository Service itself",
		},
		{
			"request", alone, &pageError{asked(qlik.KindNotJSON, "no JSON")},
			"the response is an HTML page, which is typical of the browser port of Qlik Sense or of a login page: set --qlik.proxy to qlik2:4243, the port of the Qlik Sense Proxy Service itself",
		},
		{
			"request", discovered, asked(qlik.KindNotJSON, "no JSON"),
			"the response is not JSON, so the service is starting or another program responds: run the check again in a minute; if the problem persists, compare the REST API listen port of the proxy in the QMC with the port on which the proxy listens, and look for a reverse proxy or load balancer in front of it",
		},
		{
			"usage rows", repository, list(qlik.KindDecode, "ends too early"),
			"/qrs/license: ends too early, so the service is stopping or something on the way cuts the response off: run the check again; if the problem persists, " + goDirectly + ", and check the log of the Qlik Sense Repository Service",
		},
		{
			"link", discovered, &qlik.Error{Kind: qlik.KindDecode, Err: fmt.Errorf("no array (%w)", qlik.ErrOtherShape)},
			"no array (" + qlik.ErrOtherShape.Error() + "), so the server answers differently than known releases: " + report,
		},
		{"request", discovered, asked(qlik.KindTooLarge, "is endless"), "is endless, so the server answers differently than known releases: " + report},
		{"licenses", repository, listed(404), "/qrs/license: the response is 404, so this release of Qlik Sense does not have this list: " + report},
		{
			"request", repository, answered(404),
			"the response is 404, so this is not the port of the Qlik Sense Repository Service: set --qlik.host to qlik1:4242, the port of the Qlik Sense Repository Service itself",
		},
		{
			"link", alone, answered(404),
			"the response is 404, so the proxy does not know this virtual proxy, or this is not the proxy's port: " + lookAtLinks + ", and correct --qlik.virtual-proxy or --qlik.proxy (port 4243)",
		},
		{
			"link", discovered, answered(404),
			"the response is 404 although the repository links this virtual proxy to the node, so the proxy does not know this virtual proxy, or this is not the proxy's port: " + lookAtLinks + noRestart,
		},
		{
			"link", busy, answered(400),
			"the response is 400 although the repository links this virtual proxy to the node, so the proxy does not accept the request, for example because it does not know the prefix: " +
				lookAtLinks + "; a restart would end the 3 sessions of 2 users on the node and is not known to help",
		},
		{
			"link", discovered, answered(418),
			"the response is 418 although the repository links this virtual proxy to the node, so the proxy refuses the request: " + lookAtLinks + noRestart,
		},
		{"request", repository, answered(410), "the response is 410, so the server answers differently than known releases: " + report},
		{"request", discovered, answered(204), "the response is 204, so the server answers differently than known releases: " + report},
		{
			"request", discovered, answered(503),
			"the response is 503, so the service or something in front of it has a problem: check the log of the Qlik Sense Proxy Service on the node, and run the check again in a few minutes" + noRestart,
		},
		{
			"request", repository, answered(503),
			"the response is 503, so the service or something in front of it has a problem: check the log of the Qlik Sense Repository Service on the node, and run the check again in a few minutes",
		},

		{
			"rights", repository, errNoService,
			`the repository lists no services for INTERNAL\sa_api, which happens when the user has no rights: check in the QMC that no security rule of this account was removed`,
		},
		{
			"topology", repository, errNoLink,
			"the repository has no virtual proxy that is linked to a proxy and not excluded by --qlik.proxy and --qlik.virtual-proxy: link one in the QMC under Proxies, or correct these settings",
		},
		{
			"link", repository, qlik.ErrUnread,
			"the repository names a virtual proxy of this node in a form that cannot be read, so its sessions are unknown: look at the warning about the topology, and at the virtual proxies of the node in the QMC under Proxies",
		},
		{
			"license", repository, errors.New("it is expired (no reason)"),
			"the repository says about the license of the site that it is expired (no reason): enter a valid license in the QMC under License management",
		},
		{"topology", repository, errAllDisabled, "all proxies are disabled: enable one in the QMC under Proxies"},
		{
			"audit log", repository, errors.New("*.txt cannot be read"),
			"*.txt cannot be read: correct the pattern, or give the exporter's account read access to the folder",
		},
		{"request", discovered, errors.New("something else"), "something else"},
		{
			"request", alreadyAsked, asked(qlik.KindTimeout, "no complete response before the timeout"),
			"the server does not respond in time: check the load of the node and the log of the Qlik Sense Proxy Service, and the firewalls on the way" + noRestart,
		},
		{"request", alreadyAsked, asked(qlik.KindForbidden, "403"), "the response is 403, so the client certificate or the user is not accepted"},
		{
			"request", alreadyAsked, answered(404),
			"the response is 404, so the proxy does not know this virtual proxy, or this is not the proxy's port: look at the virtual proxy and its links in the QMC under Proxies and Virtual proxies" + noRestart,
		},
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

// TestNoRemedyRestarts checks that no remedy restarts a service: no failure is known that
// only a restart cures, and the restart of a proxy ends every session on its node.
func TestNoRemedyRestarts(t *testing.T) {
	for _, row := range causes {
		if remedy := strings.ReplaceAll(row.remedy, "${no restart}", ""); regexp.MustCompile(`(?i)\brestart\b`).MatchString(remedy) {
			t.Errorf("%s: %s", row.text, remedy)
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

// TestSettingsAreNamedByTheCaller finds texts that contain a flag. Such a text is
// wrong for a site that is configured in a file.
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
