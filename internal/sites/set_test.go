package sites

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// simulated starts a simulated site and returns the settings that reach it.
func simulated(tb testing.TB, name string) (*qliktest.Site, config.Site) {
	tb.Helper()
	server, err := qliktest.Start(qliktest.Config{Nodes: []qliktest.Node{{Name: name + "1"}}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(server.Close)
	site := config.Default()
	site.Name = name
	site.CertDir = tb.TempDir()
	if err := server.WriteCertificates(site.CertDir); err != nil {
		tb.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(server.RepositoryAddress(name + "1"))
	site.Host = []string{net.JoinHostPort(name+"1", port)}
	host, port, _ := net.SplitHostPort(server.ProxyAddress(name + "1"))
	site.NodeAddress = []config.NodeAddress{{Node: name + "1", NodeAddress: qlik.NodeAddress{Host: host, Port: port}}}
	return server, site
}

// file is a configuration that a test changes.
type file struct {
	sites []config.Site
	err   error
}

func (f *file) load() (*config.Configuration, error) {
	return &config.Configuration{Sites: slices.Clone(f.sites)}, f.err
}

func serve(t *testing.T, f *file) *Set {
	t.Helper()
	set, err := Open(f.load, Guarding{}, log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

// started returns the number of sessions that a site has seen start, or -1 if there
// is no such site.
func started(t *testing.T, set *Set, name string) float64 {
	t.Helper()
	site, done, found := set.Use(name)
	if !found {
		return -1
	}
	defer done()
	families, err := site.Exporter.Scrape(t.Context()).Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() == "qlik_sessions_started_total" {
			for _, metric := range family.GetMetric() {
				total += metric.GetCounter().GetValue()
			}
		}
	}
	return total
}

func login(t *testing.T, server *qliktest.Site, user string) {
	t.Helper()
	if _, err := server.Login("ACME", user, "browser", "", ""); err != nil {
		t.Fatal(err)
	}
}

// TestReload checks that unchanged sites continue and keep their counters.
func TestReload(t *testing.T) {
	emeaServer, emea := simulated(t, "emea")
	apacServer, apac := simulated(t, "apac")
	_, us := simulated(t, "us")
	f := &file{sites: []config.Site{emea, apac}}
	set := serve(t, f)
	for _, server := range []*qliktest.Site{emeaServer, apacServer} {
		login(t, server, "before")
	}
	check := func(about string, want map[string]float64) {
		t.Helper()
		for name, want := range want {
			if got := started(t, set, name); got != want {
				t.Errorf("%s: %s has seen %v sessions start, want %v", about, name, got, want)
			}
		}
	}
	check("at the start", map[string]float64{"emea": 0, "apac": 0, "us": -1, "": -1})
	login(t, emeaServer, "anna")
	login(t, apacServer, "anna")
	check("after a login", map[string]float64{"emea": 1, "apac": 1})

	apac.SessionLimit = 3
	f.sites = []config.Site{us, apac, emea}
	if err := set.Reload(); err != nil {
		t.Fatal(err)
	}
	check("emea unchanged, apac changed, us new", map[string]float64{"emea": 1, "apac": 0, "us": 0})
	if names := set.Names(); !slices.Equal(names, []string{"us", "apac", "emea"}) {
		t.Errorf("names are %q", names)
	}
	if content, err := set.Format(); err != nil || !strings.Contains(string(content), "    apac:\n") || !strings.Contains(string(content), "session_limit: 3\n") {
		t.Errorf("configuration in force: %s, %v", content, err)
	}

	f.sites = []config.Site{emea}
	if err := set.Reload(); err != nil {
		t.Fatal(err)
	}
	check("others removed", map[string]float64{"emea": 1, "apac": -1, "us": -1})
}

// TestCloseDoesNotWaitForever checks that a site whose log file is on a share that
// hangs does not keep the program from ending.
func TestCloseDoesNotWaitForever(t *testing.T) {
	_, emea := simulated(t, "emea")
	set := serve(t, &file{sites: []config.Site{emea}})
	hanging := make(chan struct{})
	set.sites[0].background.Go(func() { <-hanging })
	begin := time.Now()
	set.Close()
	if took := time.Since(begin); took < closeTimeout || took > 10*closeTimeout {
		t.Errorf("closed after %s, want %s", took, closeTimeout)
	}
	close(hanging)
	set.closing.Wait()
}

// TestRefusedReload checks that nothing changes if one setting is invalid.
func TestRefusedReload(t *testing.T) {
	emeaServer, emea := simulated(t, "emea")
	_, apac := simulated(t, "apac")
	f := &file{sites: []config.Site{emea}}
	set := serve(t, f)
	started(t, set, "emea")
	login(t, emeaServer, "anna")

	missing := apac
	missing.CertDir = t.TempDir()
	expression := apac
	expression.ExcludeUser = []string{"("}
	pattern := apac
	pattern.AuditLog = []config.AuditLog{{Node: "apac1", Glob: "["}}
	for want, broken := range map[string]*file{
		"is broken":                       {err: errors.New("is broken")},
		"--qlik.cert-dir":                 {sites: []config.Site{apac, missing}},
		"--collector.sessions.exclude-us": {sites: []config.Site{emea, expression}},
		"--qlik.audit-log":                {sites: []config.Site{pattern}},
	} {
		*f = *broken
		if err := set.Reload(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if names := set.Names(); !slices.Equal(names, []string{"emea"}) {
			t.Errorf("%s: sites are %q", want, names)
		}
		if got := testutil.ToFloat64(set.successful); got != 0 {
			t.Errorf("%s: last_reload_successful is %v", want, got)
		}
	}
	if got := started(t, set, "emea"); got != 1 {
		t.Errorf("%v sessions seen to start, want 1", got)
	}
	*f = file{sites: []config.Site{emea}}
	if err := set.Reload(); err != nil || testutil.ToFloat64(set.successful) != 1 {
		t.Errorf("mended: %v, %v", err, testutil.ToFloat64(set.successful))
	}
	if _, err := Open((&file{sites: []config.Site{emea, missing}}).load, Guarding{}, log.NewNopLogger()); err == nil {
		t.Error("started with a broken configuration")
	}
}

// TestRefusedReloadClosesWhatItOpened checks that the sites opened for a rejected
// configuration are closed, and the sites in use are not.
func TestRefusedReloadClosesWhatItOpened(t *testing.T) {
	_, emea := simulated(t, "emea")
	_, apac := simulated(t, "apac")
	_, us := simulated(t, "us")
	f := &file{sites: []config.Site{emea}}
	set := serve(t, f)
	var opened []*Site
	set.open = func(settings config.Site, logger log.Logger) (*Site, error) {
		site, err := open(settings, Guarding{}, logger)
		if err == nil {
			opened = append(opened, site)
			t.Cleanup(site.close)
		}
		return site, err
	}
	broken := us
	broken.CertDir = t.TempDir()
	f.sites = []config.Site{emea, apac, us, broken}
	if err := set.Reload(); err == nil {
		t.Fatal("a configuration without certificates is not refused")
	}
	if len(opened) != 2 {
		t.Fatalf("%d sites were opened, want 2", len(opened))
	}
	for _, site := range opened { // a closed site sends no requests
		if site.Client.Snapshot(t.Context()).Up() {
			t.Errorf("%s is still open", site.Config.Name)
		}
	}
	site, done, _ := set.Use("emea")
	defer done()
	if !site.Client.Snapshot(t.Context()).Up() {
		t.Error("the site in use is closed")
	}
}

// TestRemovedSiteAnswersOut checks that a scrape in progress returns correct numbers
// if its site is removed.
func TestRemovedSiteAnswersOut(t *testing.T) {
	server, emea := simulated(t, "emea")
	_, apac := simulated(t, "apac")
	f := &file{sites: []config.Site{emea}}
	set := serve(t, f)
	started(t, set, "emea")
	server.SetProxyLatency("emea1", 300*time.Millisecond)
	site, done, _ := set.Use("emea")
	var scraping sync.WaitGroup
	scraping.Go(func() {
		defer done()
		if snapshot := site.Client.Snapshot(t.Context()); !snapshot.Complete() {
			t.Errorf("the scrape was cut off: %v", snapshot.Links[0].Err)
		}
	})
	f.sites = []config.Site{apac}
	if err := set.Reload(); err != nil {
		t.Error(err)
	}
	if _, _, found := set.Use("emea"); found {
		t.Error("a removed site is still there")
	}
	scraping.Wait()
}
