package check_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestFaults: whatever a proxy or a repository does, one step fails, and says why
// and what to do.
func TestFaults(t *testing.T) {
	const (
		proxyService      = "Qlik Sense Proxy Service"
		repositoryService = "Qlik Sense Repository Service"
		askProxy          = "FAIL request qlik2:4243: "
		askRepository     = "FAIL request qlik1:4242: "
		ofProxy           = "FAIL server certificate qlik2:4243: "
		ofRepository      = "FAIL server certificate qlik1:4242: "

		slow     = "accepts the connection and does not answer within 10s: look at the load of the node and restart the "
		login    = "401, so something before Qlik wants a login: " + directly
		rewrites = "403, XSRF prevention check failed, so something rewrites the header X-Qlik-Xrfkey or the query: " + directly
		noRight  = `403, though the repository accepts the certificate, so INTERNAL\sa_api has no right to list sessions here: ` + noRule
		trouble  = "500 Internal Server Error, so the service itself is in trouble: look at its log and restart the "
		early    = "the JSON ends too early" + againElse
		expired  = " expired on 1999-12-31 23:00 UTC (it is 2000-01-01 00:00 UTC here): " + renew
		later    = " is not valid before 2000-01-01 01:00 UTC (it is 2000-01-01 00:00 UTC here): set the clock of this machine, or that of the node"
		other    = "the certificate is from another qlik1-CA than that in root.pem, since the site's certificates were recreated: " + export
	)
	wants := map[qliktest.Fault]struct{ proxy, repository string }{
		qliktest.Refused: {
			"FAIL port qlik2:4243: qlik2:4243 refuses the connection: start the " + proxyService + " there, or open port 4243 in the node's firewall",
			"FAIL port qlik1:4242: qlik1:4242 refuses the connection: start the " + repositoryService + " there, or open port 4242 in the node's firewall",
		},
		qliktest.Hanging:      {askProxy + slow + proxyService + ", or raise --qlik.timeout", askRepository + slow + repositoryService + ", or raise --qlik.timeout"},
		qliktest.Unauthorized: {askProxy + login, askRepository + login},
		qliktest.XSRF:         {askProxy + rewrites, askRepository + rewrites},
		qliktest.Forbidden:    {askProxy + noRight, askRepository + "403, so the client certificate is not accepted: " + export},
		qliktest.NoRights: {
			askProxy + noRight,
			`FAIL rights qlik1:4242: /qrs/servicestatus/full: 403, so INTERNAL\sa_api has no right to read this: ` + noRule,
		},
		qliktest.ServerError: {askProxy + trouble + proxyService, askRepository + trouble + repositoryService},
		qliktest.Redirect:    {askProxy + redirected + proxyPort, askRepository + redirected + repoPort},
		qliktest.HTMLPage:    {askProxy + htmlPage + proxyPort, askRepository + htmlPage + repoPort},
		qliktest.Truncated:   {askProxy + early + proxyService, askRepository + early + repositoryService},
		qliktest.NotJSON:     {askProxy + inaMinute + proxyPort, askRepository + inaMinute + repoPort},
		qliktest.Object: {
			askProxy + "the answer is not a JSON array" + againElse + proxyService,
			askRepository + "the answer does not name a version" + againElse + repositoryService,
		},
		qliktest.MissingField: {
			askProxy + "the list has an element without SessionId, UserDirectory or UserId" + againElse + proxyService,
			"FAIL topology qlik1:4242: /qrs/virtualproxyconfig/full: the list has a virtual proxy without id" + againElse + repositoryService,
		},
		qliktest.EndlessBody: {
			askProxy + "the list has more than 250000 sessions, which no site needs: restart the " + proxyService,
			askRepository + "the answer is larger than 64 MiB, which no site needs: restart the " + repositoryService,
		},
		qliktest.ExpiredCertificate: {ofProxy + "the certificate of qlik2" + expired, ofRepository + "the certificate of qlik1" + expired},
		qliktest.FutureCertificate:  {ofProxy + "the certificate of qlik2" + later, ofRepository + "the certificate of qlik1" + later},
		qliktest.OtherAuthority:     {ofProxy + other, ofRepository + other},
		qliktest.WrongName: {
			ofProxy + "the certificate is for another-host, not for qlik2: if it is another machine, correct DNS or set --qlik.node-address to qlik2=ADDRESS, else set --qlik.server-name to another-host",
			ofRepository + "the certificate is for another-host, not for qlik1: set --qlik.host to another-host:4242, and --qlik.node-address to another-host=qlik1 if that name leads nowhere",
		},
		qliktest.CloseAfterAnswer: {}, // not a failure
	}
	for _, fault := range qliktest.Faults() {
		want, there := wants[fault]
		if !there {
			t.Errorf("no expectation for %v", fault)
		}
		under := func(name, want string, set func(*qliktest.Site)) {
			t.Run(fault.String()+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					simulated := twoNodes()
					simulated.VirtualProxies = nil // an endless body for each takes its time
					site, config := start(t, simulated)
					set(site)
					if report := run(t, config); want == "" {
						expect(t, report, config)
					} else {
						expect(t, report, config, want)
					}
				})
			})
		}
		under("proxy", want.proxy, func(site *qliktest.Site) { site.SetProxyFault("qlik2", fault) })
		under("repository", want.repository, func(site *qliktest.Site) { site.SetRepositoryFault("qlik1", fault) })
	}
}

// TestDialing: what happens before there is a certificate.
func TestDialing(t *testing.T) {
	// answering dials to a server that does what serve does.
	answering := func(serve func(net.Conn)) func(context.Context) (net.Conn, error) {
		return func(context.Context) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer func() { _ = server.Close() }()
				serve(server)
			}()
			return client, nil
		}
	}
	failing := func(err error) func(context.Context) (net.Conn, error) {
		return func(context.Context) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	}
	for _, test := range []struct {
		name string
		dial func(context.Context) (net.Conn, error)
		want string
	}{
		{
			"unknown name", failing(&net.DNSError{Err: "no such host", Name: "qlik2", IsNotFound: true}),
			"FAIL name qlik2: no name server knows qlik2, under which the node is registered: add it to DNS, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"no name server", failing(&net.DNSError{Err: "i/o timeout", Name: "qlik2", IsTimeout: true}),
			"FAIL name qlik2: the name server does not answer for qlik2: look at the DNS settings of this machine, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{"firewall that drops", func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return failing(os.ErrDeadlineExceeded)(ctx)
		}, "FAIL port qlik2:4243: qlik2:4243 does not answer within 10s: open port 4243 from this machine in the firewalls between, and see that the node is up"},
		{
			"no route", failing(os.NewSyscallError("connect", syscall.EHOSTUNREACH)),
			"FAIL port qlik2:4243: qlik2:4243 cannot be reached (connect: no route to host): look at the network between, and at its route and firewalls",
		},
		{"plain HTTP", answering(func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}), "FAIL server certificate qlik2:4243: does not speak TLS, so it is another program: " + proxyPort},
		{
			"hangs up", answering(func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }),
			"FAIL server certificate qlik2:4243: closes the connection before it shows a certificate: let no firewall inspect this port, and see that the node allows TLS 1.2",
		},
		{
			"says nothing", answering(func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }),
			"FAIL server certificate qlik2:4243: accepts the connection and gives no certificate within 10s: restart the Qlik Sense Proxy Service, or look at what else listens there",
		},
		{"refuses our TLS", answering(func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, 70}) // a fatal alert
		}), "FAIL server certificate qlik2:4243: TLS fails (remote error: tls: protocol version not supported): see that the node allows TLS 1.2, and that this is the port of the Qlik Sense Proxy Service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site, config := start(t, twoNodes())
				config.Qlik.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					if address == "qlik2:4243" {
						return test.dial(ctx)
					}
					return site.DialContext(ctx, network, address)
				}
				expect(t, run(t, config), config, test.want)
			})
		})
	}
}

// dialAs dials as dial does, where a host has another name.
func dialAs(dial dialer, host, name string) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, strings.Replace(address, host, name, 1))
	}
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// TestNames: a certificate for another host; which flag helps depends on who
// named the host.
func TestNames(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*qlik.Config)
		want []string
	}{
		{"an unknown host", func(c *qlik.Config) { c.Hosts = []string{"qlik9"} }, []string{
			"FAIL name qlik9: no name server knows qlik9: use the host name that the QMC shows under Nodes, add it to DNS, or set --qlik.node-address to qlik9=ADDRESS",
		}},
		{"an alias", func(c *qlik.Config) {
			c.Hosts = []string{"qlik.company.com"}
			c.DialContext = dialAs(c.DialContext, "qlik.company.com", "qlik1")
		}, []string{
			"FAIL server certificate qlik.company.com:4242: the certificate is for qlik1, not for qlik.company.com: set --qlik.host to qlik1:4242, and --qlik.node-address to qlik1=qlik.company.com if that name leads nowhere",
		}},
		{"--qlik.node-address of the wrong node", func(c *qlik.Config) {
			c.NodeAddresses = map[string]qlik.NodeAddress{"qlik2": {Host: "qlik1"}}
		}, []string{
			"FAIL server certificate qlik2:4243: the certificate is for qlik1, not for qlik2: correct --qlik.node-address (qlik2=qlik1), which leads there, or, if it is the right node, set --qlik.server-name to qlik1",
		}},
		{"--qlik.server-name on a site of two nodes", func(c *qlik.Config) { c.ServerName = "qlik1" }, []string{
			"FAIL server certificate qlik2:4243: the certificate is for qlik2, not for qlik1: leave out --qlik.server-name, or set it to qlik2",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, config := start(t, twoNodes())
				test.set(&config.Qlik)
				expect(t, run(t, config), config, test.want...)
			})
		})
	}
}

func TestNamesInCertificate(t *testing.T) {
	for _, test := range []struct {
		names []string
		want  string
	}{
		{[]string{"a", "b", "c", "d", "e"}, "the certificate is for a, b, c, 2 more, not for qlik1: set --qlik.host to a:4242, and --qlik.node-address to a=qlik1 if that name leads nowhere"},
		{[]string{}, "the certificate of qlik1 has no DNS name, which TLS wants today: recreate the site's certificates with a current release of Qlik"},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, config := start(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1", CertificateNames: test.names}}})
			expect(t, run(t, config), config, "FAIL server certificate qlik1:4242: "+test.want)
			if len(test.names) > 0 {
				config.Qlik.ServerName = "e"
				expect(t, run(t, config), config)
			}
		})
	}
}
