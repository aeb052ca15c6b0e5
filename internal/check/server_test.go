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

// TestFaults checks for every fault of a proxy or repository that exactly one step
// fails, with the cause and the remedy.
func TestFaults(t *testing.T) {
	const (
		proxyService      = "Qlik Sense Proxy Service"
		repositoryService = "Qlik Sense Repository Service"
		askProxy          = "FAIL request qlik2:4243: "
		askRepository     = "FAIL request qlik1:4242: "
		ofProxy           = "FAIL server certificate qlik2:4243: "
		ofRepository      = "FAIL server certificate qlik1:4242: "

		slow      = "the server accepts the connection but does not respond within 10s: check the load of the node and the log of the "
		login     = "the response is 401, so something in front of Qlik Sense requires a login: " + directly
		rewrites  = "the response is 403 (XSRF prevention check failed), so something on the way changes the X-Qlik-Xrfkey header or the query string: " + directly
		noRight   = `the response is 403 although the repository accepts the certificate, so INTERNAL\sa_api is not allowed to list sessions here: ` + noRule + ", and look at the virtual proxy and its links in the QMC under Proxies and Virtual proxies"
		trouble   = "the response is 500 Internal Server Error, so the service or something in front of it has a problem: check the log of the "
		inMinutes = " on the node, and run the check again in a few minutes"
		early     = "the JSON is truncated, so the service is stopping or something on the way cuts the response off: run the check again; if the problem persists, " + directly + ", and check the log of the "
		expired   = " expired on 1999-12-31 23:00 UTC (local clock: 2000-01-01 00:00 UTC): " + clock + renew
		later     = " is not valid before 2000-01-01 01:00 UTC (local clock: 2000-01-01 00:00 UTC): correct the clock of this machine or of the node"
		other     = "the certificate was issued by a different qlik1-CA than the one in root.pem, because the site's certificates were recreated: " + export
	)
	wants := map[qliktest.Fault]struct{ proxy, repository string }{
		qliktest.Refused: {
			"FAIL port qlik2:4243: qlik2:4243 refuses the connection: start the " + proxyService + " on the node, or open port 4243 in the node's firewall",
			"FAIL port qlik1:4242: qlik1:4242 refuses the connection: start the " + repositoryService + " on the node, or open port 4242 in the node's firewall",
		},
		qliktest.Hanging:      {askProxy + slow + proxyService + ", or raise --qlik.timeout" + noRestart, askRepository + slow + repositoryService + ", or raise --qlik.timeout"},
		qliktest.Unauthorized: {askProxy + login, askRepository + login},
		qliktest.XSRF:         {askProxy + rewrites, askRepository + rewrites},
		qliktest.Forbidden:    {askProxy + noRight, askRepository + "the response is 403, so the client certificate is not accepted: " + export},
		qliktest.NoRights: {
			askProxy + noRight,
			`FAIL rights qlik1:4242: /qrs/servicestatus/full: the response is 403, so INTERNAL\sa_api is not allowed to read this: ` + noRule,
		},
		qliktest.ServerError: {askProxy + trouble + proxyService + inMinutes + noRestart, askRepository + trouble + repositoryService + inMinutes},
		qliktest.Redirect:    {askProxy + redirected + proxyPort, askRepository + redirected + repoPort},
		qliktest.HTMLPage:    {askProxy + htmlPage + proxyPort, askRepository + htmlPage + repoPort},
		qliktest.Truncated:   {askProxy + early + proxyService, askRepository + early + repositoryService},
		qliktest.NotJSON:     {askProxy + inaMinute + proxyPort, askRepository + inaMinute + repoPort},
		qliktest.Object: {
			askProxy + "the response is not a JSON array" + differs,
			askRepository + "the response contains no version" + differs,
		},
		qliktest.MissingField: {
			askProxy + "an element of the list has no SessionId, UserDirectory or UserId" + differs,
			"FAIL topology qlik1:4242: /qrs/virtualproxyconfig/full: no element of the list can be read" + differs,
		},
		qliktest.EndlessBody: {
			askProxy + "the session lists of the node have more than 150000 sessions, or names of more than 24 MiB" + differs,
			askRepository + "the response is larger than 64 MiB" + differs,
		},
		qliktest.ExpiredCertificate: {ofProxy + "the certificate of qlik2" + expired, ofRepository + "the certificate of qlik1" + expired},
		qliktest.FutureCertificate:  {ofProxy + "the certificate of qlik2" + later, ofRepository + "the certificate of qlik1" + later},
		qliktest.OtherAuthority:     {ofProxy + other, ofRepository + other},
		qliktest.WrongName: {
			ofProxy + "the certificate is for another-host, not for qlik2: if this is the wrong machine, correct DNS or set --qlik.node-address to qlik2=ADDRESS; if it is the right one, set --qlik.server-name to another-host",
			ofRepository + "the certificate is for another-host, not for qlik1: set --qlik.host to another-host:4242; if that name does not resolve to the node, also set --qlik.node-address to another-host=qlik1",
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
					simulated.VirtualProxies = nil // one is enough: reading an endless body is slow
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

// TestDialing checks failures before the server sends a certificate.
func TestDialing(t *testing.T) {
	// answering connects to a server that runs serve.
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
			"FAIL name qlik2: qlik2 does not resolve, although the node is registered under this name: add the name to DNS, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{
			"no name server", failing(&net.DNSError{Err: "i/o timeout", Name: "qlik2", IsTimeout: true}),
			"FAIL name qlik2: the DNS server does not respond to the query for qlik2: check the DNS settings of this machine, or set --qlik.node-address to qlik2=ADDRESS",
		},
		{"firewall that drops", func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return failing(os.ErrDeadlineExceeded)(ctx)
		}, "FAIL port qlik2:4243: qlik2:4243 does not respond within 10s: open port 4243 from this machine in every firewall on the way, and make sure that the node is up"},
		{
			"no route", failing(os.NewSyscallError("connect", syscall.EHOSTUNREACH)),
			"FAIL port qlik2:4243: qlik2:4243 is not reachable (connect: no route to host): check the network between this machine and the node, including routes and firewalls",
		},
		{"plain HTTP", answering(func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}), "FAIL server certificate qlik2:4243: the server does not speak TLS, so another program uses this port: " + proxyPort},
		{
			"hangs up", answering(func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }),
			"FAIL server certificate qlik2:4243: the server closes the connection before it sends a certificate: turn off firewall inspection of this port, and make sure that the node allows TLS 1.2",
		},
		{
			"says nothing", answering(func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }),
			"FAIL server certificate qlik2:4243: the server accepts the connection but sends no certificate within 10s: find out on the node which program listens on this port; if it is the Qlik Sense Proxy Service, check its log and the load of the node; a restart would end every session on the node and is not known to help",
		},
		{"refuses our TLS", answering(func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, 70}) // a fatal alert
		}), "FAIL server certificate qlik2:4243: the TLS handshake fails (the server refuses: protocol version not supported): make sure that the node allows TLS 1.2 and that this is the port of the Qlik Sense Proxy Service"},
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

// dialAs returns a dialer that replaces host with name.
func dialAs(dial dialer, host, name string) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, strings.Replace(address, host, name, 1))
	}
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// TestNames checks certificates for another host. The flag in the remedy depends on
// the source of the host name.
func TestNames(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*qlik.Config)
		want []string
	}{
		{"an unknown host", func(c *qlik.Config) { c.Hosts = []string{"qlik9"} }, []string{
			"FAIL name qlik9: qlik9 does not resolve: use the host name that the QMC shows under Nodes, add the name to DNS, or set --qlik.node-address to qlik9=ADDRESS",
		}},
		{"an alias", func(c *qlik.Config) {
			c.Hosts = []string{"qlik.company.com"}
			c.DialContext = dialAs(c.DialContext, "qlik.company.com", "qlik1")
		}, []string{
			"FAIL server certificate qlik.company.com:4242: the certificate is for qlik1, not for qlik.company.com: set --qlik.host to qlik1:4242; if that name does not resolve to the node, also set --qlik.node-address to qlik1=qlik.company.com",
		}},
		{"--qlik.node-address of the wrong node", func(c *qlik.Config) {
			c.NodeAddresses = map[string]qlik.NodeAddress{"qlik2": {Host: "qlik1"}}
		}, []string{
			"FAIL server certificate qlik2:4243: the certificate is for qlik1, not for qlik2: if this is the wrong node, correct --qlik.node-address (qlik2=qlik1); if it is the right one, set --qlik.server-name to qlik1",
		}},
		{"--qlik.server-name on a site of two nodes", func(c *qlik.Config) { c.ServerName = "qlik1" }, []string{
			"FAIL server certificate qlik2:4243: the certificate is for qlik2, not for qlik1: remove --qlik.server-name, or set it to qlik2",
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
		{[]string{"a", "b", "c", "d", "e"}, "the certificate is for a, b, c, 2 more, not for qlik1: set --qlik.host to a:4242; if that name does not resolve to the node, also set --qlik.node-address to a=qlik1"},
		{[]string{}, "the certificate of qlik1 contains no DNS name, which TLS clients require today: recreate the site's certificates in a maintenance window, following Qlik's instructions for a current release of Qlik Sense"},
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
