package check_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/internal/check"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var update = flag.Bool("update", false, "write the expected outputs in testdata anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a simulated site in memory, and returns a configuration that
// reaches it.
func start(t *testing.T, config qliktest.Config) (*qliktest.Site, check.Config) {
	t.Helper()
	config.InMemory = true
	site, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	dir := t.TempDir()
	if err := site.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	return site, check.Config{
		Qlik:         qlik.Config{Hosts: []string{"qlik1"}, CertDir: dir, DialContext: site.DialContext},
		SessionLimit: headroom.DefaultLimit, Licenses: true,
	}
}

func run(t *testing.T, config check.Config) *check.Report {
	t.Helper()
	report, err := check.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// twoNodes is a site on which nothing is wrong.
func twoNodes() qliktest.Config {
	return qliktest.Config{
		Nodes:          []qliktest.Node{{Name: "qlik1"}, {Name: "qlik2"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}},
		Users: []qliktest.User{
			{Directory: "LAB", ID: "anna", License: qliktest.Professional},
			{Directory: "LAB", ID: "svc_reload", License: qliktest.Analyzer},
		},
	}
}

func login(t *testing.T, site *qliktest.Site, id, device, prefix, node string) {
	t.Helper()
	if _, err := site.Login("LAB", id, device, prefix, node); err != nil {
		t.Fatal(err)
	}
}

// problems returns what failed and what is warned of, without the folder of the
// certificates.
func problems(report *check.Report, config check.Config) []string {
	var lines []string
	for _, result := range report.Results {
		if result.Mark == check.Failed || result.Mark == check.Warning {
			line := string(result.Mark) + " " + result.Step + " " + result.Target + ": " + result.Text
			lines = append(lines, strings.ReplaceAll(line, config.Qlik.CertDir, "CERTS"))
		}
	}
	return lines
}

func expect(t *testing.T, report *check.Report, config check.Config, want ...string) {
	t.Helper()
	got := problems(report, config)
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	failed := slices.ContainsFunc(want, func(line string) bool { return strings.HasPrefix(line, "FAIL") })
	if report.OK() == failed {
		t.Errorf("OK() = %t", report.OK())
	}
}

const (
	export     = "export the certificates again in the QMC, format PEM with the secrets key, and replace all three files"
	directly   = "let the exporter reach the node directly, past proxies and load balancers"
	renew      = "renew it in the QMC under Nodes, Redistribute, on the central node as Qlik describes"
	oneExport  = "copy client.pem, client_key.pem and root.pem of one export"
	loadOf     = "accepts the connection and does not answer within 10s: look at the load of the node and restart the Qlik Sense "
	againElse  = ", so the service is stopping or another program answers: run the check again, and if it stays so restart the Qlik Sense "
	proxyPort  = "correct the REST API listen port of the proxy in the QMC, or what stands before it"
	repoPort   = "give the port of the Qlik Sense Repository Service itself, --qlik.host=qlik1:4242"
	inaMinute  = "answers with something that is not JSON, so the service is starting or another program answers: run the check again in a minute, and if it stays so "
	htmlPage   = "answers with an HTML page, as the browser's side of Qlik or a login page does: "
	redirected = "302 Found to https://elsewhere.invalid, as the browser's side of Qlik or a login page does: "
)

// TestFaults: whatever a proxy or a repository does, one step fails, and says
// why and what to do.
func TestFaults(t *testing.T) {
	for _, fault := range qliktest.Faults() {
		proxy, repository := "FAIL request qlik2:4243: ", "FAIL request qlik1:4242: "
		switch fault {
		case qliktest.Refused:
			proxy = "FAIL port qlik2:4243: qlik2:4243 refuses the connection: start the Qlik Sense Proxy Service there, or open port 4243 in the node's firewall"
			repository = "FAIL port qlik1:4242: qlik1:4242 refuses the connection: start the Qlik Sense Repository Service there, or open port 4242 in the node's firewall"
		case qliktest.Hanging:
			proxy += loadOf + "Proxy Service, or raise --qlik.timeout"
			repository += loadOf + "Repository Service, or raise --qlik.timeout"
		case qliktest.Unauthorized:
			proxy += "401, so something before Qlik wants a login: " + directly
			repository += "401, so something before Qlik wants a login: " + directly
		case qliktest.XSRF:
			proxy += "403, XSRF prevention check failed, so something rewrites the header X-Qlik-Xrfkey or the query: " + directly
			repository += "403, XSRF prevention check failed, so something rewrites the header X-Qlik-Xrfkey or the query: " + directly
		case qliktest.Forbidden:
			proxy += `403, though the repository accepts the certificate, so INTERNAL\sa_api has no right to list sessions here: see in the QMC that no security rule was taken from it`
			repository += "403, so the client certificate is not accepted: " + export
		case qliktest.NoRights:
			proxy += `403, though the repository accepts the certificate, so INTERNAL\sa_api has no right to list sessions here: see in the QMC that no security rule was taken from it`
			repository = `FAIL rights qlik1:4242: /qrs/servicestatus/full: 403, so INTERNAL\sa_api has no right to read this: see in the QMC that no security rule was taken from it`
		case qliktest.ServerError:
			proxy += "500 Internal Server Error, so the service itself is in trouble: look at its log and restart the Qlik Sense Proxy Service"
			repository += "500 Internal Server Error, so the service itself is in trouble: look at its log and restart the Qlik Sense Repository Service"
		case qliktest.Redirect:
			proxy += redirected + proxyPort
			repository += redirected + repoPort
		case qliktest.HTMLPage:
			proxy += htmlPage + proxyPort
			repository += htmlPage + repoPort
		case qliktest.Truncated:
			proxy += "the JSON ends too early" + againElse + "Proxy Service"
			repository += "the JSON ends too early" + againElse + "Repository Service"
		case qliktest.NotJSON:
			proxy += inaMinute + proxyPort
			repository += inaMinute + repoPort
		case qliktest.Object:
			proxy += "the answer is not a JSON array" + againElse + "Proxy Service"
			repository += "the answer does not name a version" + againElse + "Repository Service"
		case qliktest.MissingField:
			proxy += "the list has an element without SessionId, UserDirectory or UserId" + againElse + "Proxy Service"
			repository = "FAIL topology qlik1:4242: /qrs/virtualproxyconfig/full: the list has a virtual proxy without id" + againElse + "Repository Service"
		case qliktest.EndlessBody:
			proxy += "the list has more than 250000 sessions, which no site needs: restart the Qlik Sense Proxy Service"
			repository += "the answer is larger than 64 MiB, which no site needs: restart the Qlik Sense Repository Service"
		case qliktest.ExpiredCertificate:
			proxy = "FAIL server certificate qlik2:4243: the certificate of qlik2 expired on 1999-12-31 23:00 UTC (it is 2000-01-01 00:00 UTC here): " + renew
			repository = "FAIL server certificate qlik1:4242: the certificate of qlik1 expired on 1999-12-31 23:00 UTC (it is 2000-01-01 00:00 UTC here): " + renew
		case qliktest.FutureCertificate:
			proxy = "FAIL server certificate qlik2:4243: the certificate of qlik2 is not valid before 2000-01-01 01:00 UTC (it is 2000-01-01 00:00 UTC here): set the clock of this machine, or that of the node"
			repository = "FAIL server certificate qlik1:4242: the certificate of qlik1 is not valid before 2000-01-01 01:00 UTC (it is 2000-01-01 00:00 UTC here): set the clock of this machine, or that of the node"
		case qliktest.OtherAuthority:
			proxy = "FAIL server certificate qlik2:4243: the certificate is from another qlik1-CA than that in root.pem, since the site's certificates were recreated: " + export
			repository = "FAIL server certificate qlik1:4242: the certificate is from another qlik1-CA than that in root.pem, since the site's certificates were recreated: " + export
		case qliktest.WrongName:
			proxy = "FAIL server certificate qlik2:4243: the certificate is for another-host, not for qlik2: if it is another machine, correct DNS or give --qlik.node-address=qlik2=ADDRESS, else give --qlik.server-name=another-host"
			repository = "FAIL server certificate qlik1:4242: the certificate is for another-host, not for qlik1: give --qlik.host=another-host:4242, and --qlik.node-address=another-host=qlik1 if that name leads nowhere"
		case qliktest.CloseAfterAnswer: // not a failure
			proxy, repository = "", ""
		case qliktest.NoFault:
			fallthrough
		default:
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
		under("proxy", proxy, func(site *qliktest.Site) { site.SetProxyFault("qlik2", fault) })
		under("repository", repository, func(site *qliktest.Site) { site.SetRepositoryFault("qlik1", fault) })
	}
}

// TestOneLinkFails: the others of its node are asked all the same, and each has
// its line.
func TestOneLinkFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		login(t, site, "anna", "laptop", "sales", "qlik2")
		site.SetAnswer("qlik2", "", []byte("{}"))
		report := run(t, config)
		expect(t, report, config, "FAIL link qlik2 /: the answer is not a JSON array"+againElse+"Proxy Service")
		result := report.Results[slices.IndexFunc(report.Results, func(r check.Result) bool { return r.Target == "qlik2 /sales" })]
		if result.Mark != check.OK || result.Text != "1 session of 1 user, 0 ms" {
			t.Errorf("the other link: %+v", result)
		}
	})
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
			"FAIL name qlik2: no name server knows qlik2, under which the node is registered: add it to DNS, or give --qlik.node-address=qlik2=ADDRESS",
		},
		{
			"no name server", failing(&net.DNSError{Err: "i/o timeout", Name: "qlik2", IsTimeout: true}),
			"FAIL name qlik2: the name server does not answer for qlik2: look at the DNS settings of this machine, or give --qlik.node-address=qlik2=ADDRESS",
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

// TestNames: a certificate for another host; which flag helps depends on who
// named the host.
func TestNames(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*qlik.Config)
		want []string
	}{
		{"an unknown host", func(c *qlik.Config) { c.Hosts = []string{"qlik9"} }, []string{
			"FAIL name qlik9: no name server knows qlik9: use the host name that the QMC shows under Nodes, add it to DNS, or give --qlik.node-address=qlik9=ADDRESS",
		}},
		{"an alias", func(c *qlik.Config) {
			c.Hosts = []string{"qlik.company.com"}
			dial := c.DialContext
			c.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				return dial(ctx, network, strings.Replace(address, "qlik.company.com", "qlik1", 1))
			}
		}, []string{
			"FAIL server certificate qlik.company.com:4242: the certificate is for qlik1, not for qlik.company.com: give --qlik.host=qlik1:4242, and --qlik.node-address=qlik1=qlik.company.com if that name leads nowhere",
		}},
		{"--qlik.node-address of the wrong node", func(c *qlik.Config) {
			c.NodeAddresses = map[string]qlik.NodeAddress{"qlik2": {Host: "qlik1"}}
		}, []string{
			"FAIL server certificate qlik2:4243: the certificate is for qlik1, not for qlik2: correct --qlik.node-address=qlik2=qlik1, which leads there, or, if it is the right node, give --qlik.server-name=qlik1",
		}},
		{"--qlik.server-name on a site of two nodes", func(c *qlik.Config) { c.ServerName = "qlik1" }, []string{
			"FAIL server certificate qlik2:4243: the certificate is for qlik2, not for qlik1: leave out --qlik.server-name, or give --qlik.server-name=qlik2",
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

// TestSeveralHosts: the topology comes from the first that answers; that another
// does not is a failure all the same.
func TestSeveralHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		config.Qlik.Hosts = []string{"qlik1", "qlik2"}
		site.SetRepositoryFault("qlik1", qliktest.ServerError)
		report := run(t, config)
		expect(t, report, config, "FAIL request qlik1:4242: 500 Internal Server Error, so the service itself is in trouble: look at its log and restart the Qlik Sense Repository Service")
		topology := report.Results[slices.IndexFunc(report.Results, func(r check.Result) bool { return r.Step == "topology" })]
		if topology.Mark != check.OK || topology.Target != "qlik2:4242" {
			t.Errorf("topology: %+v", topology)
		}
	})
}

// TestWithoutRepository: the proxies are asked for what is configured.
func TestWithoutRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		config.Qlik.Hosts = nil
		config.Qlik.Proxies, config.Qlik.VirtualProxies = []string{"qlik1", "qlik2"}, []string{"/", "sales", "nosuch"}
		login(t, site, "anna", "laptop", "", "qlik1")
		unknown := "404, so this virtual proxy is not linked to the node, or this is not the proxy's port: correct --qlik.virtual-proxy or --qlik.proxy (port 4243)"
		expect(t, run(t, config), config, "FAIL link qlik1 /nosuch: "+unknown, "FAIL link qlik2 /nosuch: "+unknown)

		config.Qlik.VirtualProxies = []string{"/"}
		site.SetProxyFault("qlik1", qliktest.Forbidden)
		expect(t, run(t, config), config, "FAIL request qlik1:4243: 403, so the client certificate is not accepted: "+export)
		config.Qlik.User = qlik.NewUser("LAB", "anna")
		expect(t, run(t, config), config, `FAIL request qlik1:4243: 403, so LAB\anna is not known, or the client certificate is not accepted: leave out --qlik.user, and if it stays so `+export)

		site.SetProxyFault("qlik1", qliktest.HTMLPage)
		expect(t, run(t, config), config, "FAIL request qlik1:4243: "+htmlPage+"give the port of the Qlik Sense Proxy Service itself, --qlik.proxy=qlik1:4243")
	})
}

// TestDependentSteps: what stands on a failed step is skipped.
func TestDependentSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		site.SetRepositoryFault("qlik1", qliktest.Refused)
		var marks []string
		for _, result := range run(t, config).Results {
			marks = append(marks, result.Step+" "+string(result.Mark))
		}
		want := []string{
			"certificate files ok", "client certificate ok", "client key ok", "authority ok",
			"name ok", "port FAIL", "server certificate skip", "request skip", "rights skip", "topology skip",
			"link skip", "licenses skip", "usage rows skip", "audit log skip", "clock skip",
		}
		if !slices.Equal(marks, want) {
			t.Errorf("got %q, want %q", marks, want)
		}
	})
}

func TestServicesAndTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		site.SetServiceState("qlik2", "Scheduler", 3)
		expect(t, run(t, config), config,
			"warn services qlik1:4242: the repository reports that Scheduler of qlik2 is NoCommunication: start what should run in the Windows services of the node")
		site.SetServiceState("qlik2", "Scheduler", 2)

		config.Qlik.VirtualProxies = []string{"nosuch"}
		expect(t, run(t, config), config,
			"FAIL topology qlik1:4242: the repository names no virtual proxy that is linked to a proxy and not left out by --qlik.proxy and --qlik.virtual-proxy: link one in the QMC under Proxies, or correct these settings")
		config.Qlik.VirtualProxies = nil

		site.SetServiceState("qlik1", "Proxy", 4)
		site.SetServiceState("qlik2", "Proxy", 4)
		expect(t, run(t, config), config,
			"warn services qlik1:4242: the repository reports that Proxy of qlik1 is Disabled, Proxy of qlik2 is Disabled: start what should run in the Windows services of the node",
			"FAIL topology qlik1:4242: all proxies are disabled: enable one in the QMC under Proxies")
	})
}

func TestUsageRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		simulated.NoUsageRows = true
		site, config := start(t, simulated)
		login(t, site, "anna", "laptop", "", "qlik1")
		expect(t, run(t, config), config,
			"warn usage rows qlik1:4242: none for 1 session: if this release writes none, effective headroom is counted from sessions")
		config.Licenses = false
		expect(t, run(t, config), config)
	})
}

func TestClock(t *testing.T) {
	for _, test := range []struct {
		ahead time.Duration
		want  []string
	}{
		{20 * time.Second, nil},
		{10 * time.Minute, []string{"warn clock qlik1: is 10m0s ahead of this machine's, which falsifies last activity and next free slots: let both follow the same time server"}},
		{-3 * time.Hour, []string{"warn clock qlik1: is 3h0m0s behind this machine's, which falsifies last activity and next free slots: let both follow the same time server"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			simulated := twoNodes()
			simulated.Now = func() time.Time { return time.Now().Add(test.ahead) }
			_, config := start(t, simulated)
			expect(t, run(t, config), config, test.want...)
		})
	}
}

func TestAuditLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		simulated.AuditLogDir = t.TempDir()
		site, config := start(t, simulated)
		config.AuditLogs = map[string]string{"QLIK1": site.AuditLogPath("qlik1"), "qlik2": site.AuditLogPath("qlik2")}
		expect(t, run(t, config), config)

		empty := filepath.Join(t.TempDir(), "*.txt")
		config.AuditLogs = map[string]string{"qlik1": empty, "central": site.AuditLogPath("qlik1")}
		expect(t, run(t, config), config,
			"warn audit log central: "+site.AuditLogPath("qlik1")+" can be read, but the site has no repository on a node of this name: use the registered host name as the QMC shows it under Nodes",
			"FAIL audit log qlik1: "+empty+" cannot be read (there is no such file): correct the pattern, or let the account of the exporter read the folder",
			"warn audit log qlik2: is not read, so refused logins on this node go unseen: give --qlik.audit-log=qlik2=GLOB")

		other := filepath.Join(config.Qlik.CertDir, "root.pem")
		config.AuditLogs = map[string]string{"qlik1": other, "qlik2": site.AuditLogPath("qlik2")}
		expect(t, run(t, config), config,
			"FAIL audit log qlik1: CERTS/root.pem cannot be read (its first line names no column Timestamp, UserDirectory, UserId, Message): correct the pattern, or let the account of the exporter read the folder")
	})
}

func TestAdvice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		simulated.VirtualProxies = []qliktest.VirtualProxy{
			{},
			{Prefix: "sales", Nodes: []string{"qlik1"}},
			{Prefix: "sales", Nodes: []string{"qlik2"}},
			{Prefix: "portal", InactivityTimeout: 8 * time.Hour},
		}
		simulated.LicenseExpiry = time.Now().Add(5 * 24 * time.Hour)
		site, config := start(t, simulated)
		config.ServiceAccounts = []qlik.User{qlik.NewUser("LAB", "svc_reload"), qlik.NewUser("LAB", "svc_other")}
		config.SessionLimit = 10
		for _, id := range []string{"anna", "ben", "clara"} {
			login(t, site, id, "laptop", "", "qlik1")
			login(t, site, id, "phone", "", "qlik2")
		}
		for _, id := range []string{"david", "elena"} { // both have their browser on one node
			login(t, site, id, "laptop", "portal", "qlik1")
		}
		report := run(t, config)
		expect(t, report, config)
		want := []string{
			`service account LAB\svc_reload holds analyzer access, so its sessions run into the limit and reloads fail: take it away in the QMC under License management`,
			"2 virtual proxies have the prefix /sales (on qlik1; on qlik2), so metrics tell them apart by node only: give each a prefix of its own",
			"virtual proxy /portal keeps a forgotten session for 480 minutes: 30 or less free slots sooner",
			"3 of 3 users of virtual proxy / have sessions on several nodes, each of which counts: let the load balancer keep a browser on its node",
			"--qlik.session-limit is 10, but Qlik's license grants 5 and cannot be changed: leave the setting out",
			"the license ends on 2000-01-06: renew it",
		}
		if !slices.Equal(report.Advice, want) {
			t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(report.Advice, "\n\t"), strings.Join(want, "\n\t"))
		}
	})
}

// TestHarmless: what the site calls its parts cannot act upon a terminal.
func TestHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const evil = "a\x1b]0;gone\x07\u202eb\nc\u0085"
		simulated := twoNodes()
		simulated.VirtualProxies = []qliktest.VirtualProxy{{}, {Prefix: evil, InactivityTimeout: time.Hour}}
		site, config := start(t, simulated)
		site.SetAnswer("qlik2", evil, []byte("{}"))
		config.AuditLogs = map[string]string{evil: evil}
		report := run(t, config)
		if len(report.Advice) != 1 || report.OK() {
			t.Fatalf("%+v", report)
		}
		var table, object bytes.Buffer
		if err := errors.Join(report.WriteTable(&table, false), report.WriteJSON(&object)); err != nil {
			t.Fatal(err)
		}
		for _, output := range []string{table.String(), object.String()} {
			if strings.ContainsAny(output, "\x1b\x07\u202e\u0085") || !strings.Contains(output, "a‹U+001B›]0;gone‹U+0007›‹U+202E›b‹U+000A›c‹U+0085›") {
				t.Errorf("%q", output)
			}
		}
		if lines := strings.Count(table.String(), "\n"); lines != len(report.Results)+len(report.Advice)+4 {
			t.Errorf("%d lines for %d results:\n%s", lines, len(report.Results), &table)
		}
	})
}

func TestOutput(t *testing.T) {
	golden, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir()) // so that the folder of the certificates is called the same every time
	synctest.Test(t, func(t *testing.T) {
		simulated := twoNodes()
		simulated.VirtualProxies[1].InactivityTimeout = time.Hour
		site, config := start(t, simulated)
		login(t, site, "anna", "laptop", "", "qlik1")
		site.SetProxyFault("qlik2", qliktest.HTMLPage)
		config.Qlik.CertDir = "certs"
		if err := errors.Join(os.Mkdir("certs", 0o700), site.WriteCertificates("certs"), os.Chmod("certs/client_key.pem", 0o644)); err != nil {
			t.Fatal(err)
		}
		report := run(t, config)
		for name, write := range map[string]func(io.Writer) error{
			"table": func(w io.Writer) error { return report.WriteTable(w, false) },
			"color": func(w io.Writer) error { return report.WriteTable(w, true) },
			"json":  report.WriteJSON,
		} {
			var got bytes.Buffer
			if err := write(&got); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(golden, "check."+name)
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s: %v, got\n%s", file, err, &got)
			}
		}
	})
}

func TestImpossibleSettings(t *testing.T) {
	_, err := check.Run(t.Context(), check.Config{Qlik: qlik.Config{Hosts: []string{"qlik1"}}})
	if _, ok := errors.AsType[*qlik.ConfigError](err); !ok {
		t.Errorf("got %v, want a *qlik.ConfigError", err)
	}
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, config := start(t, twoNodes())
		site.SetProxyFault("qlik2", qliktest.Hanging)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if report, err := check.Run(ctx, config); report != nil || err == nil || err.Error() != "interrupted" {
			t.Errorf("%v, %v", report, err)
		}
	})
}
