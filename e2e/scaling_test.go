package e2e

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// example returns the configuration in docs/scaling.md that contains a word. It
// replaces the addresses in it with those of running programs.
func example(t *testing.T, word string, addresses map[string]string) document {
	t.Helper()
	for i, part := range strings.Split(string(readFile(t, repository+"/docs/scaling.md")), "```") {
		content, isYAML := strings.CutPrefix(part, "yaml\n")
		if i%2 == 0 || !isYAML || !strings.Contains(content, word) {
			continue
		}
		for name, address := range addresses {
			if !strings.Contains(content, name) {
				t.Fatalf("the example with %s has no %s", word, name)
			}
			content = strings.ReplaceAll(content, name, address)
		}
		var d document
		if err := yaml.Unmarshal([]byte(content), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	t.Fatalf("docs/scaling.md has no example with %s", word)
	return nil
}

// inHaste makes a Prometheus configuration scrape and evaluate every second.
func (d document) inHaste(t *testing.T) string {
	t.Helper()
	global := d.mapping("global")
	if global == nil {
		global = document{}
	}
	global["scrape_interval"], global["scrape_timeout"], global["evaluation_interval"] = "1s", "900ms", "1s"
	d["global"] = global
	content, err := yaml.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestSharding has two exporters that both know all sites. Prometheus scrapes
// half of the sites from each.
func TestSharding(t *testing.T) {
	t.Parallel()
	sites := make(map[string]*qliktest.Site)
	for i := range 6 {
		name := fmt.Sprintf("site%d", i)
		sites[name] = simulate(t, name, i+1)
	}
	file := filepath.Join(t.TempDir(), "sites.yml")
	describe(t, file, sites)
	a, b := startExporter(t, "--config.file="+file), startExporter(t, "--config.file="+file)
	config := example(t, "hashmod", map[string]string{"exporter-a.example:9986": a.address, "exporter-b.example:9986": b.address})
	p := startPrometheus(t, func(string) string { return config.inHaste(t) })
	now := &history{prometheus: p}
	p.waitFor(t, "all sites", readyWithin, func() bool {
		now.end = time.Now()
		return len(now.vector(t, "qlik_sessions")) >= len(sites)
	})
	asked := make(map[string][]string)
	for _, sample := range now.vector(t, "qlik_sessions") {
		name := string(sample.Metric["site"])
		expect(t, int(sample.Value) == len(sites[name].Sessions()), "sessions of "+name, sample.Value)
		exporter := string(sample.Metric["instance"])
		asked[exporter] = append(asked[exporter], name)
	}
	expect(t, len(asked[a.address]) > 0 && len(asked[b.address]) > 0 && len(asked) == 2, "both exporters have work", asked)
	expect(t, len(now.vector(t, "up")) == len(sites), "each site is asked once", len(now.vector(t, "up")))
}

// pair is two identical Prometheus servers and a second exporter. Both servers
// scrape it in addition to the exporter of the site.
type pair struct {
	servers  [2]*server
	exporter *instance
}

// startPair starts the pair in docs/scaling.md for a site. The caller can change
// its configuration first.
func startPair(t *testing.T, s *site, change func(replica string, config document)) *pair {
	t.Helper()
	p := &pair{exporter: s.another(t)}
	for i, replica := range []string{"a", "b"} {
		config := example(t, "replica:", map[string]string{
			"exporter-a.example:9986": s.address,
			"exporter-b.example:9986": p.exporter.address,
			"site: emea":              "site: " + s.name,
		})
		config.mapping("global").mapping("external_labels")["replica"] = replica
		change(replica, config)
		p.servers[i] = startPrometheus(t, func(string) string { return config.inHaste(t) })
	}
	return p
}

// another starts a second exporter of the site.
func (s *site) another(t *testing.T, more ...string) *instance {
	t.Helper()
	arguments := s.cmd.Args[1 : len(s.cmd.Args)-1] // the last one is the address
	return startExporter(t, slices.Concat(arguments, more)...)
}

// kill ends a program abruptly, like a power failure.
func (p *program) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}

// startEcho starts an Alertmanager that sends each alert to an inbox immediately.
func startEcho(t *testing.T, in *inbox) *alertmanager {
	t.Helper()
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	writeYAML(t, file, document{
		"route":     document{"receiver": "inbox", "group_by": []string{"..."}, "group_wait": "1s", "group_interval": "1s"},
		"receivers": []any{document{"name": "inbox", "webhook_configs": []any{document{"url": in.url + "/inbox"}}}},
	})
	return startAlertmanager(t, file)
}

// TestPair checks that two Prometheus servers with two exporters send an alert
// once, even if one of each is dead. Meanwhile, they write the data for long-term
// storage to another server.
func TestPair(t *testing.T) {
	t.Parallel()
	s := startSite(t, "emea", qliktest.Config{Users: people("anna", "ben")})
	in := startInbox(t)
	am := startEcho(t, in)
	rules := filepath.Join(t.TempDir(), "rules.yml")
	pace{interval: time.Second, faster: 60}.writeRules(t, rules)
	written := startPrometheus(t, func(string) string { return "" })
	p := startPair(t, s, func(replica string, config document) {
		config["rule_files"] = []string{rules}
		config.mapping("alerting")["alertmanagers"] = []any{document{"static_configs": []any{document{"targets": []string{am.address}}}}}
		if replica == "a" {
			config["remote_write"] = example(t, "remote_write:", map[string]string{
				"http://mimir.example/api/v1/push": "http://" + written.address + "/api/v1/write",
			})["remote_write"]
		}
	})
	federation := example(t, "/federate", map[string]string{"prometheus.example:9090": p.servers[0].address})
	federated := startPrometheus(t, func(string) string { return federation.inHaste(t) })

	s.began = time.Now()
	s.logins(t, 5)
	in.wait(t, s, firing, reached)
	capacity := func(of *server) map[string]bool {
		now := &history{prometheus: of}
		of.waitFor(t, "the alert's user among those counted", readyWithin, func() bool {
			now.end = time.Now()
			return len(now.vector(t, `site:qlik_user_minutes_at_limit:sum1m == 1`)) == 1
		})
		l := &look{prometheus: of, dashboard: "qlik-capacity", begin: s.began, end: now.end, interval: time.Second, variables: map[string]string{"job": "qlik", "site": s.name}}
		found := make(map[string]bool)
		for _, a := range l.ask(t) {
			if a.found && !strings.HasPrefix(a.query, "annotation") { // ALERTS is not stored
				found[a.query] = true
			}
		}
		return found
	}
	shown := capacity(p.servers[0])
	expect(t, len(shown) > 20, "queries of the dashboard with data", len(shown))
	for what, kept := range map[string]*server{"remote write": written, "federation": federated} {
		// Some queries have data only after several evaluations.
		kept.waitFor(t, "a dashboard that shows the same after "+what, readyWithin, func() bool {
			return maps.Equal(capacity(kept), capacity(p.servers[0]))
		})
		now := &history{prometheus: kept, end: time.Now()}
		expect(t, len(now.vector(t, `{user_id!=""}`)) == 0, "no user is kept by "+what, len(now.vector(t, `{__name__!=""}`)))
	}

	p.servers[0].kill(t)
	p.exporter.kill(t)
	for browser := range 5 {
		s.login(t, "ben", browser)
	}
	s.waitFor(t, "ben's alert", readyWithin, func() bool { return in.sent(s, firing, reached) >= 2 })
	time.Sleep(5 * time.Second) // time for unexpected notifications
	in.log(t, s)
	expect(t, in.sent(s, firing, reached) == 2, "each user's alert was sent once", in.sent(s, firing, reached))
	expect(t, in.sent(s, resolved, "") == 0, "no alert is taken for resolved", in.sent(s, resolved, ""))
}
