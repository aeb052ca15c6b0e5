package site

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// threeNodes returns a site with three nodes. Each node serves the default virtual
// proxy and /sales. Only qlik3 serves /a/b.
func threeNodes() qliktest.Config {
	return qliktest.Config{
		InMemory: true,
		Nodes:    []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}, {Name: "qlik3"}},
		VirtualProxies: []qliktest.VirtualProxy{
			{}, {Prefix: "sales"}, {Prefix: "a/b", Nodes: []string{"qlik3"}}, {Prefix: "unlinked", Nodes: []string{}},
		},
	}
}

// start starts a simulated site and a client for it. Both stop when the test ends.
func start(t *testing.T, config qliktest.Config, change func(*Config)) (*qliktest.Site, *Site) {
	t.Helper()
	server, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server, connect(t, server, change)
}

func connect(t *testing.T, server *qliktest.Site, change func(*Config)) *Site {
	t.Helper()
	dir := t.TempDir()
	if err := server.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	config := Config{Client: qlik.Config{Hosts: []string{"qlik1"}, CertDir: dir, DialContext: server.DialContext}}
	if change != nil {
		change(&config)
	}
	site, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	return site
}

func login(t *testing.T, server *qliktest.Site, id, device, prefix, node string) qliktest.Session {
	t.Helper()
	session, err := server.Login("LAB", id, device, prefix, node)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// within returns a snapshot taken with a deadline.
func within(t *testing.T, site *Site, timeout time.Duration) *headroom.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return site.Snapshot(ctx)
}

// counts returns the users' sessions, such as "anna /:2 /sales:1".
func counts(snapshot *headroom.Snapshot) []string {
	var lines []string
	for _, user := range snapshot.Users {
		line := user.User.ID
		for _, v := range user.VirtualProxies {
			line += fmt.Sprintf(" %s:%d", v.VirtualProxy, v.Sessions)
		}
		lines = append(lines, line)
	}
	return lines
}

func kinds(snapshot *headroom.Snapshot) map[string]qlik.Kind {
	failed := make(map[string]qlik.Kind)
	for _, link := range snapshot.Links {
		if link.Err != nil {
			failed[link.Node+link.VirtualProxy] = qlik.KindOf(link.Err)
		}
	}
	return failed
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		login(t, server, "Anna", "laptop", "", "qlik1")
		login(t, server, "anna", "phone", "", "qlik2")
		login(t, server, "ANNA", "laptop", "a/b", "qlik3")
		login(t, server, "bert", "laptop", "sales", "qlik2")

		snapshot := within(t, site, time.Second)
		if !snapshot.Up() || !snapshot.Complete() || len(snapshot.Sessions) != 4 {
			t.Errorf("up %t, complete %t, %d sessions", snapshot.Up(), snapshot.Complete(), len(snapshot.Sessions))
		}
		if got, want := counts(snapshot), []string{"anna /:2 /a/b:1", "bert /sales:1"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		var links []string
		for _, link := range snapshot.Links {
			links = append(links, link.Node+link.VirtualProxy)
		}
		want := []string{"qlik1/", "qlik1/sales", "qlik2/", "qlik2/sales", "qlik3/", "qlik3/a/b", "qlik3/sales"}
		if !slices.Equal(links, want) {
			t.Errorf("links: got %q, want %q", links, want)
		}
	})
}

// TestFaults checks every fault of one of three proxies: the scrape ends in time,
// the links of that proxy fail with the right kind, the users of the other proxies
// are right, and the snapshot after recovery is complete.
func TestFaults(t *testing.T) {
	want := map[qliktest.Fault]qlik.Kind{
		qliktest.Refused:            qlik.KindRefused,
		qliktest.Hanging:            qlik.KindTimeout,
		qliktest.Unauthorized:       qlik.KindUnauthorized,
		qliktest.XSRF:               qlik.KindXSRF,
		qliktest.Forbidden:          qlik.KindForbidden,
		qliktest.NoRights:           qlik.KindForbidden,
		qliktest.ServerError:        qlik.KindStatus,
		qliktest.Redirect:           qlik.KindRedirect,
		qliktest.HTMLPage:           qlik.KindNotJSON,
		qliktest.Truncated:          qlik.KindDecode,
		qliktest.NotJSON:            qlik.KindNotJSON,
		qliktest.Object:             qlik.KindDecode,
		qliktest.MissingField:       qlik.KindDecode,
		qliktest.EndlessBody:        qlik.KindTooLarge,
		qliktest.ExpiredCertificate: qlik.KindTLS,
		qliktest.FutureCertificate:  qlik.KindTLS,
		qliktest.OtherAuthority:     qlik.KindTLS,
		qliktest.WrongName:          qlik.KindTLS,
		qliktest.CloseAfterAnswer:   "", // not a failure
	}
	for _, fault := range qliktest.Faults() {
		t.Run(fault.String(), func(t *testing.T) {
			kind, known := want[fault]
			if !known {
				t.Fatal("no expectation")
			}
			synctest.Test(t, func(t *testing.T) {
				server, site := start(t, threeNodes(), nil)
				for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
					login(t, server, "anna", "laptop", "", node)
					login(t, server, "only-"+node, "laptop", "sales", node)
				}
				whole := []string{"anna /:3", "only-qlik1 /sales:1", "only-qlik2 /sales:1", "only-qlik3 /sales:1"}
				partial := []string{"anna /:2", "only-qlik1 /sales:1", "only-qlik3 /sales:1"}
				if got := counts(within(t, site, time.Second)); !slices.Equal(got, whole) {
					t.Fatalf("before: %q", got)
				}

				server.SetProxyFault("qlik2", fault)
				begin := time.Now()
				snapshot := within(t, site, 5*time.Second)
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("took %s of 5s", took)
				}
				if kind == "" {
					partial = whole
				}
				if got := counts(snapshot); !slices.Equal(got, partial) {
					t.Errorf("during: got %q, want %q", got, partial)
				}
				wantFailed := map[string]qlik.Kind{"qlik2/": kind, "qlik2/sales": kind}
				if kind == "" {
					wantFailed = map[string]qlik.Kind{}
				}
				if got := kinds(snapshot); !maps.Equal(got, wantFailed) {
					t.Errorf("failed links: got %v, want %v", got, wantFailed)
				}
				if snapshot.Complete() != (kind == "") || !snapshot.Up() {
					t.Errorf("complete %t, up %t", snapshot.Complete(), snapshot.Up())
				}
				for _, link := range snapshot.Links {
					if link.Err != nil && !strings.HasPrefix(link.Err.Error(), "GET https://qlik2:4243/qps/") {
						t.Errorf("the error does not say what was asked: %v", link.Err)
					}
					if link.Err != nil && (strings.Contains(link.Err.Error(), "rfkey=") || strings.Contains(link.Err.Error(), "\n")) {
						t.Errorf("the error shows the XSRF key or is not one line: %v", link.Err)
					}
				}
				if fault == qliktest.WrongName {
					if text := snapshot.Links[2].Err.Error(); !strings.Contains(text, "valid for") || !strings.Contains(text, "not qlik2") {
						t.Errorf("the error does not say which names the certificate has: %s", text)
					}
				}

				server.SetProxyFault("qlik2", qliktest.NoFault)
				if fault == qliktest.Hanging { // its requests stay in progress and are not repeated
					time.Sleep(qlik.DefaultTimeout)
				}
				if got := counts(within(t, site, 5*time.Second)); !slices.Equal(got, whole) {
					t.Errorf("after recovery: %q", got)
				}
				synctest.Wait() // for the requests that are no longer waited for
				counted := site.Status().Requests.Errors[qlik.APIProxy]
				maps.DeleteFunc(counted, func(_ qlik.Kind, n uint64) bool { return n == 0 })
				if want := map[qlik.Kind]uint64{kind: 2}; kind != "" && !maps.Equal(counted, want) || kind == "" && len(counted) > 0 {
					t.Errorf("counted errors: %v", counted)
				}
			})
		})
	}
}

// TestHangingLinkCostsItselfOnly checks that a snapshot with one node that hangs
// ends at the deadline and contains the answers of the other nodes.
func TestHangingLinkCostsItselfOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		login(t, server, "anna", "laptop", "", "qlik1")
		within(t, site, time.Second)
		server.SetProxyFault("qlik2", qliktest.Hanging)
		begin := time.Now()
		snapshot := within(t, site, 3*time.Second)
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %s, want the 3s granted", took)
		}
		if got := counts(snapshot); !slices.Equal(got, []string{"anna /:1"}) {
			t.Errorf("got %q", got)
		}
		begin = time.Now()
		site.Snapshot(t.Context()) // ends even without a deadline
		if took := time.Since(begin); took > qlik.DefaultTimeout {
			t.Errorf("without a deadline: took %s", took)
		}
	})
}

func TestConcurrentCallersShareOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		login(t, server, "anna", "laptop", "", "qlik1")
		within(t, site, time.Second)
		server.SetProxyLatency("qlik1", 100*time.Millisecond)
		server.SetProxyLatency("qlik2", 2*time.Second)
		server.SetProxyLatency("qlik3", 200*time.Millisecond)
		before := server.Requests().SessionLists

		var callers sync.WaitGroup
		call := func(name string, after, timeout time.Duration, wantComplete bool, wantTook time.Duration) {
			callers.Go(func() {
				time.Sleep(after) // by the clock of the bubble
				begin := time.Now()
				snapshot := within(t, site, timeout)
				if snapshot.Complete() != wantComplete || !snapshot.Up() {
					t.Errorf("%s: complete %t, want %t; failed %v", name, snapshot.Complete(), wantComplete, kinds(snapshot))
				}
				if took := time.Since(begin); took != wantTook {
					t.Errorf("%s: took %s, want %s", name, took, wantTook)
				}
			})
		}
		call("hurried, first", 0, 500*time.Millisecond, false, 500*time.Millisecond)
		call("patient", 100*time.Millisecond, 10*time.Second, true, 1900*time.Millisecond)
		call("patient too", time.Second, 10*time.Second, true, time.Second)
		callers.Go(func() { // a caller that cancels
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			site.Snapshot(ctx)
		})
		callers.Wait()

		if asked := server.Requests().SessionLists - before; asked != 7 {
			t.Errorf("%d questions for 7 links and 4 callers", asked)
		}
		if shared := site.Status().SharedSnapshots; shared != 3 {
			t.Errorf("%d shared snapshots, want 3", shared)
		}
	})
}

// TestConnectionsAreKept checks that eleven scrapes use one connection per link.
// The answers are delayed, so that two links do not share a connection.
func TestConnectionsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
			server.SetProxyLatency(node, 100*time.Millisecond)
		}
		for range 11 {
			if !within(t, site, time.Second).Complete() {
				t.Error("incomplete")
			}
			time.Sleep(15 * time.Second)
		}
		if got := server.Requests(); got.ProxyConnections != 7 || got.SessionLists != 77 {
			t.Errorf("%d connections, %d questions; want 7 and 77", got.ProxyConnections, got.SessionLists)
		}
	})
}

// TestFailuresKeepConnections checks that an error response does not close the
// connection.
func TestFailuresKeepConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fault := range []qliktest.Fault{qliktest.ServerError, qliktest.Unauthorized, qliktest.Forbidden, qliktest.Redirect} {
			server, site := start(t, threeNodes(), nil)
			for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
				server.SetProxyFault(node, fault)
				server.SetProxyLatency(node, 100*time.Millisecond)
			}
			for range 11 {
				within(t, site, time.Second)
				time.Sleep(15 * time.Second)
			}
			if got := server.Requests(); got.ProxyConnections != 7 || got.SessionLists != 77 {
				t.Errorf("%s: %d connections, %d questions; want 7 and 77", fault, got.ProxyConnections, got.SessionLists)
			}
		}
	})
}

// TestProxyRestart checks that connections that were closed between two scrapes do
// not fail the second scrape.
func TestProxyRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		within(t, site, time.Second)
		server.RestartProxy("qlik2")
		if snapshot := within(t, site, time.Second); !snapshot.Complete() {
			t.Errorf("failed: %v", kinds(snapshot))
		}
	})
}

func TestRepositoryDownKeepsTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		server.SetRepositoryFault("qlik1", qliktest.Refused)
		if snapshot := within(t, site, time.Second); snapshot.Up() || snapshot.Complete() {
			t.Error("up although nothing is known of the site")
		}
		if status := site.Status(); len(status.Repositories) != 1 || status.Repositories[0].Up {
			t.Errorf("repositories: %+v", status.Repositories)
		}
		server.SetRepositoryFault("qlik1", qliktest.NoFault)
		if snapshot := within(t, site, time.Second); !snapshot.Complete() {
			t.Errorf("not whole at once when the repository is back: %v", kinds(snapshot))
		}
		read := site.Status().Refreshed[qlik.SourceTopology]

		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { site.Run(ctx) })
		server.SetRepositoryFault("qlik1", qliktest.ServerError)
		time.Sleep(20 * time.Minute)
		if snapshot := within(t, site, time.Second); !snapshot.Complete() || len(snapshot.Links) != 7 {
			t.Errorf("the last topology is not in use: %v", kinds(snapshot))
		}
		status := site.Status()
		if status.Repositories[0].Up || !status.Refreshed[qlik.SourceTopology].Equal(read) {
			t.Errorf("the metrics do not say that the topology is old: %+v", status)
		}
		cancel()
		running.Wait()
	})
}

func TestTopologyFollowsRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { site.Run(ctx) })
		defer running.Wait()
		defer cancel()
		within(t, site, time.Second)

		server.SetVirtualProxies([]qliktest.VirtualProxy{
			{},
			{Prefix: "x", Description: "first", Nodes: []string{"qlik1"}},
			{Prefix: "x", Description: "second", Nodes: []string{"qlik2"}},
		})
		time.Sleep(6 * time.Minute)
		snapshot := within(t, site, time.Second)
		var links []string
		for _, link := range snapshot.Links {
			links = append(links, link.Node+link.VirtualProxy+" "+link.Description)
		}
		want := []string{"qlik1/ Central Proxy (Default)", "qlik1/x first", "qlik2/ Central Proxy (Default)", "qlik2/x second", "qlik3/ Central Proxy (Default)"}
		if !slices.Equal(links, want) || !snapshot.Complete() {
			t.Errorf("got %q, complete %t, want %q", links, snapshot.Complete(), want)
		}

		const disabled = 4
		server.SetServiceState("qlik3", "Proxy", disabled)
		time.Sleep(time.Minute)
		before := server.Requests().SessionLists
		if snapshot := within(t, site, time.Second); len(snapshot.Links) != 4 || !snapshot.Complete() {
			t.Errorf("with a disabled proxy: %d links, complete %t", len(snapshot.Links), snapshot.Complete())
		}
		if asked := server.Requests().SessionLists - before; asked != 4 {
			t.Errorf("%d links asked, want 4", asked)
		}
	})
}

func TestRepositoriesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), func(c *Config) { c.Client.Hosts = []string{"nowhere", "qlik2", "qlik3"} })
		server.SetRepositoryFault("qlik2", qliktest.XSRF)
		if snapshot := within(t, site, time.Second); !snapshot.Complete() {
			t.Error("incomplete although the third repository answers")
		}
		var got []string
		for _, r := range site.Status().Repositories {
			got = append(got, fmt.Sprint(r.Node, " ", r.Up))
		}
		if want := []string{"nowhere false", "qlik2 false", "qlik3 true"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if errors := site.Status().Requests.Errors[qlik.APIRepository]; errors[qlik.KindDNS] != 3 || errors[qlik.KindXSRF] != 3 {
			t.Errorf("counted errors: %v", errors)
		}
	})
}

func TestStaticProxiesNeedNoRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), func(c *Config) {
			c.Client.Hosts = nil
			c.Client.Proxies = []string{"qlik3", "qlik1:4243"}
			c.Client.VirtualProxies = []string{"/", "/sales/"}
		})
		login(t, server, "anna", "laptop", "sales", "qlik3")
		snapshot := within(t, site, time.Second)
		if got := counts(snapshot); !slices.Equal(got, []string{"anna /sales:1"}) || len(snapshot.Links) != 4 || !snapshot.Complete() {
			t.Errorf("got %q of %d links", got, len(snapshot.Links))
		}
		if asked := server.Requests().RepositoryConnections; asked != 0 {
			t.Errorf("%d connections to a repository", asked)
		}
	})
}

func TestFilteredTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, site := start(t, threeNodes(), func(c *Config) { c.Client.VirtualProxies = []string{"a/b", "sales"} })
		if links := within(t, site, time.Second).Links; len(links) != 4 {
			t.Errorf("%d links, want 4", len(links))
		}
	})
}

// TestServerName checks a site whose certificates contain another name than the
// registered host name.
func TestServerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := qliktest.Config{InMemory: true, Nodes: []qliktest.Node{{Name: "qlik1", CertificateNames: []string{"QLIK1.company.com"}}}}
		server, site := start(t, config, nil)
		if within(t, site, time.Second).Up() {
			t.Error("a certificate for another name is accepted")
		}
		named := connect(t, server, func(c *Config) { c.Client.ServerName = "qlik1.company.com" })
		if !within(t, named, time.Second).Complete() {
			t.Error("the configured name is not used")
		}
	})
}

// TestNodeAddress checks nodes with other addresses over real TCP. They are
// verified against their registered host names.
func TestNodeAddress(t *testing.T) {
	config := threeNodes()
	config.InMemory = false
	server, site := start(t, config, nil)
	addressed := connect(t, server, func(c *Config) {
		c.Client.DialContext = nil
		_, port, _ := net.SplitHostPort(server.RepositoryAddress("qlik1"))
		c.Client.Hosts = []string{"Qlik1:" + port}
		c.Client.NodeAddresses = make(map[string]qlik.NodeAddress)
		for _, node := range []string{"qlik1", "QLIK2", "qlik3"} {
			name, address, err := qlik.ParseNodeAddress(node + "=" + server.ProxyAddress(strings.ToLower(node)))
			if err != nil {
				t.Fatal(err)
			}
			c.Client.NodeAddresses[name] = address
		}
	})
	login(t, server, "anna", "laptop", "", "qlik2")
	for name, s := range map[string]*Site{"dialled": site, "addressed": addressed} {
		snapshot := within(t, s, 10*time.Second)
		if !snapshot.Complete() || len(snapshot.Sessions) != 1 || snapshot.Links[0].Node != "qlik1" {
			t.Errorf("%s: %+v", name, snapshot.Links)
		}
	}
}

// TestCertificateRotation checks new certificates of a site. While the files are
// being replaced, the old ones stay in use. The first snapshot with all new files
// uses them.
func TestCertificateRotation(t *testing.T) {
	config := threeNodes()
	config.InMemory = false
	old, _ := start(t, config, nil)
	config.Now = func() time.Time { return time.Now().Add(time.Minute) } // so that their expiry differs
	renewed, _ := start(t, config, nil)
	from, to := t.TempDir(), t.TempDir()
	for dir, server := range map[string]*qliktest.Site{to: old, from: renewed} {
		if err := server.WriteCertificates(dir); err != nil {
			t.Fatal(err)
		}
	}
	dial := old.DialContext
	site := connect(t, old, func(c *Config) {
		c.Client.CertDir = to
		c.Client.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, network, address)
		}
	})
	complete := func() bool { return within(t, site, 10*time.Second).Complete() }
	if !complete() {
		t.Fatal("not even at first")
	}
	before := site.Status().Certificates

	copyFile(t, from, to, "client.pem")
	if !complete() {
		t.Error("a new certificate with the old key: the last good pair is not in use")
	}
	removeFile(t, to, "client_key.pem")
	if !complete() {
		t.Error("no key for a moment: the last good pair is not in use")
	}
	copyFile(t, from, to, "client_key.pem")
	copyFile(t, from, to, "root.pem")
	old.Close()
	dial = renewed.DialContext
	if snapshot := within(t, site, 10*time.Second); !snapshot.Complete() {
		t.Errorf("all files are new: %v", snapshot.Links[0].Err)
	}
	if after := site.Status().Certificates; after == before {
		t.Error("the expiry of the old certificates is still reported")
	}
}

// running refreshes the site in the background until the test ends.
func running(t *testing.T, site *Site) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var background sync.WaitGroup
	background.Go(func() { site.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		background.Wait()
	})
}

// TestStoppedProxyDoesNotKeepTheSiteIncomplete checks that the sessions of a
// stopped proxy count as ended after a while, so that the snapshot becomes
// complete.
func TestStoppedProxyDoesNotKeepTheSiteIncomplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		running(t, site)
		login(t, server, "anna", "laptop", "", "qlik1")
		login(t, server, "anna", "laptop", "", "qlik2")
		within(t, site, time.Second)
		server.StopProxy("qlik2")
		time.Sleep(4 * time.Minute)
		if snapshot := within(t, site, time.Second); snapshot.Complete() {
			t.Error("complete although two links have not answered yet")
		}
		time.Sleep(2 * time.Minute)
		snapshot := within(t, site, time.Second)
		if !snapshot.Complete() || len(kinds(snapshot)) != 2 {
			t.Errorf("complete %t, failed %v", snapshot.Complete(), kinds(snapshot))
		}
		if ended := snapshot.Tracking.Ended["/"]; ended != 1 {
			t.Errorf("%d sessions ended, want 1", ended)
		}
		server.StartProxy("qlik2")
		if snapshot := within(t, site, time.Second); !snapshot.Complete() || len(kinds(snapshot)) != 0 {
			t.Errorf("back: complete %t, failed %v", snapshot.Complete(), kinds(snapshot))
		}

		// A proxy that only the exporter cannot reach stays unknown.
		server.SetProxyFault("qlik2", qliktest.Refused)
		time.Sleep(20 * time.Minute)
		if snapshot := within(t, site, time.Second); snapshot.Complete() {
			t.Error("complete although the repository says that the proxy runs")
		}
	})
}

// TestProxyThatAnswersHasNotStopped checks that a report of the services has no
// effect if the proxy answers or if the report is old.
func TestProxyThatAnswersHasNotStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		running(t, site)
		for i := range 5 {
			login(t, server, "anna", fmt.Sprint("device", i), "sales", "qlik2")
		}
		const noCommunication = 3
		server.SetServiceState("qlik2", "Proxy", noCommunication)
		time.Sleep(10 * time.Minute)
		within(t, site, time.Second)
		server.SetAnswer("qlik2", "sales", []byte("<html>"))
		for range 3 {
			time.Sleep(15 * time.Second)
			snapshot := within(t, site, time.Second)
			if snapshot.Complete() || snapshot.Tracking.Ended["/sales"] != 0 {
				t.Errorf("complete %t, %d sessions ended", snapshot.Complete(), snapshot.Tracking.Ended["/sales"])
			}
		}
		server.SetAnswer("qlik2", "sales", nil)

		server.SetRepositoryFault("qlik1", qliktest.Refused)
		time.Sleep(10 * time.Minute)
		server.SetProxyFault("qlik2", qliktest.Refused)
		if snapshot := within(t, site, time.Second); snapshot.Complete() {
			t.Error("complete by what the repository said ten minutes ago")
		}
	})
}

// TestRowsFromTheSecondRepository checks that usage rows come from the second
// repository if the first one hangs.
func TestRowsFromTheSecondRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), func(c *Config) { c.Licenses, c.Client.Hosts = true, []string{"qlik1", "qlik2"} })
		running(t, site)
		login(t, server, "anna", "laptop", "", "qlik1")
		within(t, site, time.Second)
		server.SetRepositoryFault("qlik1", qliktest.Hanging)
		time.Sleep(2 * time.Minute)
		within(t, site, 10*time.Second)
		known := 0
		for range 40 {
			time.Sleep(15 * time.Second)
			if within(t, site, 10*time.Second).UsageKnown {
				known++
			}
		}
		if known < 38 {
			t.Errorf("rows were known in %d of 40 scrapes", known)
		}
		server.SetRepositoryFault("qlik1", qliktest.NoFault)
		time.Sleep(6 * time.Minute)
		if status := site.Status().Repositories; !status[0].Up {
			t.Errorf("the first repository is back, but not used: %+v", status)
		}
	})
}

// TestRowsTellOfUsersOnAFailedLink checks that usage rows still count for a user
// with unknown sessions.
func TestRowsTellOfUsersOnAFailedLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		running(t, site)
		for i := range 5 {
			login(t, server, "anna", fmt.Sprint("device", i), "", "qlik2")
		}
		within(t, site, time.Second)
		server.SetProxyFault("qlik2", qliktest.Refused)
		time.Sleep(15 * time.Second)
		if anna := status(t, within(t, site, time.Second), "anna"); anna.Sessions != 0 || anna.LicensedSessions != 5 || anna.EffectiveHeadroom != 0 {
			t.Errorf("anna: %+v", anna)
		}
	})
}

// TestSlowStart checks that a scrape that ends before the links are known sends no
// requests to proxies and reports no failures of them.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		server.SetRepositoryLatency("qlik1", 3*time.Second)
		if snapshot := within(t, site, time.Second); snapshot.Up() {
			t.Error("up")
		}
		time.Sleep(5 * time.Second)
		if asked, counted := server.Requests().SessionLists, site.Status().Requests; asked != 0 || counted.Requests[qlik.APIProxy] != 0 || counted.Errors[qlik.APIProxy][qlik.KindTimeout] != 0 {
			t.Errorf("%d questions to proxies, counted %v", asked, counted)
		}
		if snapshot := within(t, site, time.Second); !snapshot.Complete() {
			t.Error("the next scrape is not complete")
		}
	})
}

func TestSiteWithoutLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := threeNodes()
		config.VirtualProxies = []qliktest.VirtualProxy{{Prefix: "unlinked", Nodes: []string{}}}
		server, site := start(t, config, nil)
		for range 5 {
			if snapshot := within(t, site, time.Second); snapshot.Up() || snapshot.Complete() {
				t.Error("up")
			}
		}
		if asked := server.Requests().Repository["/qrs/proxyservice/full"]; asked != 1 {
			t.Errorf("the topology was read %d times", asked)
		}
	})
}

// licensed returns threeNodes with users that hold a license.
func licensed() qliktest.Config {
	config := threeNodes()
	config.Users = []qliktest.User{
		{Directory: "LAB", ID: "anna", License: qliktest.Professional}, {Directory: "LAB", ID: "carla", License: qliktest.Professional},
	}
	return config
}

func withLicenses(c *Config) { c.Licenses = true }

func status(t *testing.T, snapshot *headroom.Snapshot, id string) headroom.UserStatus {
	t.Helper()
	for _, user := range snapshot.Users {
		if user.User.ID == id {
			return user
		}
	}
	t.Errorf("%s is not in the snapshot", id)
	return headroom.UserStatus{}
}

func TestEffectiveHeadroomGoesByUsageRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		running(t, site)
		for i := range 6 {
			login(t, server, "anna", fmt.Sprint("device", i), "", "qlik1")
		}
		login(t, server, "bert", "laptop", "", "qlik1")
		snapshot := within(t, site, 10*time.Second)
		anna, bert := status(t, snapshot, "anna"), status(t, snapshot, "bert")
		if anna.Sessions != 6 || anna.LicensedSessions != 5 || anna.Headroom != -1 || anna.EffectiveHeadroom != 0 || anna.License != qlik.LicenseProfessional {
			t.Errorf("anna: %+v", anna)
		}
		if want := time.Now().Add(35 * time.Minute); anna.NextSlot.Sub(want).Abs() > time.Minute {
			t.Errorf("anna's next slot: %s, want about %s: timed out and cooled", anna.NextSlot, want)
		}
		if bert.License != qlik.LicenseNone || bert.LicensedSessions != 0 || bert.EffectiveHeadroom != 5 {
			t.Errorf("bert: %+v", bert)
		}
		if !snapshot.UsageKnown || !snapshot.UsagePlausible {
			t.Error("rows are not used")
		}

		server.AddLeftoverRow("LAB", "carla")
		time.Sleep(15 * time.Second)
		if carla := status(t, within(t, site, 10*time.Second), "carla"); carla.Sessions != 0 || carla.LicensedSessions != 1 || carla.EffectiveHeadroom != 4 {
			t.Errorf("carla: %+v", carla)
		}
	})
}

// TestUsageOfSessions checks that usage rows show which sessions hold a slot, and
// their last activity.
func TestUsageOfSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		running(t, site)
		for i := range 6 {
			login(t, server, "anna", fmt.Sprint("device", i), "", "qlik1")
			time.Sleep(time.Minute)
		}
		snapshot := within(t, site, 10*time.Second)
		usage := snapshot.Usage()
		var idle []time.Duration
		for _, session := range snapshot.Sessions {
			if slot, taken := usage[session.ID]; taken {
				idle = append(idle, snapshot.Time.Sub(slot.LastActivity).Round(time.Minute))
			}
		}
		want := []time.Duration{6 * time.Minute, 5 * time.Minute, 4 * time.Minute, 3 * time.Minute, 2 * time.Minute}
		if !slices.Equal(idle, want) || len(usage) != len(want) {
			t.Errorf("idle %s, want %s", idle, want)
		}

		server.SetRepositoryFault("qlik1", qliktest.Refused)
		time.Sleep(15 * time.Second)
		if snapshot := within(t, site, 10*time.Second); snapshot.UsageKnown || snapshot.Usage() != nil {
			t.Errorf("rows that are too old are used: %v", snapshot.Usage())
		}
	})
}

// TestLoginsSinceTheRowsWereRead checks that a user that reaches the limit is seen
// at once, although usage rows are up to 15 s old.
func TestLoginsSinceTheRowsWereRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		running(t, site)
		within(t, site, time.Second)
		for i := range 6 {
			time.Sleep(2 * time.Second)
			login(t, server, "anna", fmt.Sprint("device", i), "", "qlik1")
			anna := status(t, within(t, site, time.Second), "anna")
			if want := max(4-i, 0); anna.EffectiveHeadroom != want {
				t.Errorf("after %d logins: %d slots, want %d (%+v)", i+1, anna.EffectiveHeadroom, want, anna)
			}
			login(t, server, "nobody", fmt.Sprint("device", i), "", "qlik1")
			if nobody := status(t, within(t, site, time.Second), "nobody"); nobody.EffectiveHeadroom != 5 {
				t.Errorf("sessions of a user without license take slots: %+v", nobody)
			}
		}
	})
}

// TestNewUsersLicense checks that the license of a user that appeared after the
// lists were read is unknown until they are read again, which is soon if the user
// is near the limit.
func TestNewUsersLicense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		login(t, server, "early", "laptop", "", "qlik1")
		running(t, site)
		if early := status(t, within(t, site, time.Second), "early"); early.License != qlik.LicenseNone {
			t.Errorf("a user of the first round has the license %s", early.License)
		}
		time.Sleep(45 * time.Second)
		for i := range 4 {
			login(t, server, "late", fmt.Sprint("device", i), "", "qlik1")
		}
		if late := status(t, within(t, site, time.Second), "late"); late.License != qlik.LicenseUnknown {
			t.Errorf("a new user has the license %s", late.License)
		}
		time.Sleep(31 * time.Second)
		if late := status(t, within(t, site, time.Second), "late"); late.License != qlik.LicenseNone {
			t.Errorf("half a minute later: %s", late.License)
		}
	})
}

// TestUsageIsReadSeldom checks that two Prometheus servers that scrape every 5 s
// cause one read of the usage rows in 15 s, and only of licenses in use.
func TestUsageIsReadSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		running(t, site)
		within(t, site, time.Second)
		before := server.Requests().Repository
		for range 120 {
			for range 2 {
				time.Sleep(2500 * time.Millisecond)
				if snapshot := within(t, site, time.Second); !snapshot.UsageKnown {
					t.Error("rows are not known")
				}
			}
		}
		after := server.Requests().Repository
		const professional, analyzer = "/qrs/license/professionalaccessusage/full", "/qrs/license/analyzeraccessusage/full"
		if n := after[professional] - before[professional]; n != 40 {
			t.Errorf("rows were read %d times in ten minutes, want 40", n)
		}
		if after[analyzer] != 0 {
			t.Errorf("rows of a license without holders were read %d times", after[analyzer])
		}
		for path, want := range map[string]int{
			"/qrs/servicestatus/full": 20, "/qrs/proxyservice/full": 2, "/qrs/virtualproxyconfig/full": 2, "/qrs/license/professionalaccesstype/full": 2,
		} {
			if n := after[path] - before[path]; n != want && n != want-1 { // the last read may fall on the end
				t.Errorf("%s was read %d times in ten minutes, want %d", path, n, want)
			}
		}
	})
}

func TestUsageIsReadWhileALinkHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		running(t, site)
		login(t, server, "anna", "laptop", "", "qlik1")
		within(t, site, time.Second)
		server.SetProxyFault("qlik2", qliktest.Hanging)
		for range 10 {
			time.Sleep(15 * time.Second)
			login(t, server, "anna", fmt.Sprint(time.Now()), "", "qlik1")
			snapshot := within(t, site, 8*time.Second)
			if rows := server.UsageRows("LAB", "anna"); !snapshot.UsageKnown || status(t, snapshot, "anna").LicensedSessions != rows {
				t.Errorf("rows known: %t; %+v, want %d rows", snapshot.UsageKnown, status(t, snapshot, "anna"), rows)
			}
		}
	})
}

// TestHangingRepositoryIsSpared checks that a repository that hangs delays a few
// scrapes by half a second each and that the time between reads increases.
func TestHangingRepositoryIsSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		site.Refresh() // no refresh in the background, so that only reads of usage rows are counted
		login(t, server, "anna", "laptop", "", "qlik1")
		within(t, site, time.Second)
		server.SetRepositoryFault("qlik1", qliktest.Hanging)
		before := server.Requests().Repository["/qrs/license/professionalaccessusage/full"]
		slow := 0
		for range 38 { // ten minutes
			time.Sleep(16 * time.Second) // long enough that the last rows expire
			begin := time.Now()
			snapshot := within(t, site, 9*time.Second)
			if !snapshot.Complete() || snapshot.UsageKnown || status(t, snapshot, "anna").EffectiveHeadroom != 4 {
				t.Errorf("complete %t, rows known %t, %+v", snapshot.Complete(), snapshot.UsageKnown, status(t, snapshot, "anna"))
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("took %s", took)
			} else if took > 100*time.Millisecond {
				slow++
			}
		}
		asked := server.Requests().Repository["/qrs/license/professionalaccessusage/full"] - before
		if asked != slow || asked < 1 || asked > 6 {
			t.Errorf("asked %d times, %d slow scrapes; want as many, from 1 to 6", asked, slow)
		}
		server.SetRepositoryFault("qlik1", qliktest.NoFault)
		time.Sleep(6 * time.Minute)
		if snapshot := within(t, site, time.Second); !snapshot.UsageKnown {
			t.Error("rows are not read when the repository is back")
		}
	})
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func removeFile(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}
