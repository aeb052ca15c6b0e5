package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// The shipped rules and the shipped example for Alertmanager are used as they
// are, but for their times: `for` and the times of routes are divided, and every
// receiver is a webhook.
const (
	interval   = time.Second // of scrapes and evaluations
	rulesFile  = "/tmp/rules/qlik.rules.yml"
	amFile     = repository + "/alerts/alertmanager.yml"
	faster     = 20  // `for` of one minute is three seconds
	routesBy   = 10  // group_wait of 20 seconds is two
	amsLatency = 500 // milliseconds that the programs need for themselves
)

// pager is what turns metrics into notifications.
type pager struct {
	prometheus   *server
	alertmanager *alertmanager
	inbox        *inbox
	groupWait    time.Duration // of users
}

// startPager starts Prometheus and Alertmanager for sites.
func startPager(t *testing.T, sites ...*site) *pager {
	t.Helper()
	dir := t.TempDir()
	rules := readYAML(t, rulesFile)
	for _, group := range rules.list("groups") {
		group["interval"] = interval.String()
		for _, rule := range group.list("rules") {
			rule.shorten("for", faster)
			rule.shorten("keep_firing_for", faster)
		}
	}
	writeYAML(t, filepath.Join(dir, "rules.yml"), rules)

	p := &pager{inbox: startInbox(t)}
	config := readYAML(t, amFile)
	delete(config, "global")
	var routes func(document)
	routes = func(route document) {
		route.shorten("group_wait", routesBy)
		route.shorten("group_interval", routesBy)
		if fmt.Sprint(route["matchers"]) == `[scope="user"]` {
			p.groupWait, _ = time.ParseDuration(fmt.Sprint(route["group_wait"]))
		}
		for _, child := range route.list("routes") {
			routes(child)
		}
	}
	routes(config.mapping("route"))
	for _, times := range config.list("time_intervals") {
		times["time_intervals"] = []any{document{"times": []any{document{"start_time": "00:00", "end_time": "24:00"}}}}
	}
	var receivers []any
	for _, receiver := range config.list("receivers") {
		receivers = append(receivers, document{"name": receiver["name"], "webhook_configs": []any{
			document{"url": fmt.Sprintf("%s/%s", p.inbox.url, receiver["name"]), "send_resolved": true},
		}})
	}
	config["receivers"] = receivers
	config["templates"] = []any{}
	writeYAML(t, filepath.Join(dir, "alertmanager.yml"), config)
	p.alertmanager = startAlertmanager(t, filepath.Join(dir, "alertmanager.yml"))

	targets := new(strings.Builder)
	for _, s := range sites {
		fmt.Fprintf(targets, "      - {targets: ['%s'], labels: {site: '%s'}}\n", s.address, s.name)
	}
	p.prometheus = startPrometheus(t, func(string) string {
		return fmt.Sprintf(`
global: {scrape_interval: %[1]s, scrape_timeout: 900ms, evaluation_interval: %[1]s}
rule_files: ['%[2]s']
alerting: {alertmanagers: [{static_configs: [{targets: ['%[3]s']}]}]}
scrape_configs:
  - job_name: qlik
    static_configs:
%[4]s`, interval, filepath.Join(dir, "rules.yml"), p.alertmanager.address, targets)
	})
	for _, s := range sites {
		s.began = time.Now()
		p.waitSessions(t, s, len(s.Sessions()))
	}
	return p
}

// waitSessions waits until Prometheus knows so many sessions of a site.
func (p *pager) waitSessions(t *testing.T, s *site, sessions int) {
	t.Helper()
	p.prometheus.waitFor(t, fmt.Sprintf("%d sessions of %s", sessions, s.name), readyWithin, func() bool {
		now := &history{prometheus: p.prometheus, begin: time.Now(), end: time.Now()}
		found := now.vector(t, fmt.Sprintf(`qlik_sessions{site=%q} == %d and on (site) qlik_sessions_complete == 1`, s.name, sessions))
		return len(found) == 1
	})
}

// within fails the test unless a notification came as soon as it can after
// something happened: the next scrape, the next evaluation, group_wait.
func (p *pager) within(t *testing.T, what string, took, more time.Duration) {
	t.Helper()
	most := interval + interval + p.groupWait + more
	expect(t, took <= most+amsLatency*time.Millisecond,
		fmt.Sprintf("%s within a scrape of %s, an evaluation of %s, group_wait of %s and %s", what, interval, interval, p.groupWait, more), took.Round(time.Millisecond))
}

// sends fails the test unless that many notifications of that kind were sent to
// people of the site, alertname "" being any.
func (p *pager) sends(t *testing.T, s *site, count int, status, alertname string) {
	t.Helper()
	seen := p.inbox.sent(s, status, alertname)
	what := fmt.Sprintf("%d x %s %s", count, status, alertname)
	expect(t, seen == count, strings.TrimSpace(what), seen)
}

const (
	near      = "QlikUserSessionsNearLimit"
	reached   = "QlikUserSessionLimitReached"
	lockedOut = "QlikUserLockedOut"
	denied    = "QlikUserAccessDenied"
	proxyDown = "QlikProxyDown"
	firing    = "firing"
	resolved  = "resolved"
)

// From a login at a real proxy's answer to a notification: the simulated site,
// the exporter, Prometheus with the shipped rules, Alertmanager with the shipped
// routes and inhibitions, a webhook.
func TestAlerts(t *testing.T) {
	t.Parallel()
	twoNodes := func() qliktest.Config {
		config := qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}}, Users: people("anna", "ben")}
		for _, prefix := range []string{"", "sales", "finance", "hr", "mobile", "portal"} {
			config.VirtualProxies = append(config.VirtualProxies, qliktest.VirtualProxy{Prefix: prefix})
		}
		return config
	}
	const crowd = 300
	var many []string
	for i := range crowd {
		many = append(many, fmt.Sprintf("user%03d", i))
	}
	scenarios := []struct {
		name      string
		config    qliktest.Config
		arguments []string
		run       func(*testing.T, *pager, *site)
	}{
		{"a user logs in six times", qliktest.Config{Users: people("anna")}, []string{"--no-collector.licenses"}, sixLogins},
		{"the first denial after start", qliktest.Config{Users: people("anna")}, nil, firstDenial},
		{"a user without licence", qliktest.Config{Users: []qliktest.User{{Directory: directory, ID: "anna"}}}, nil, unlicensed},
		{"a proxy stops", twoNodes(), nil, func(t *testing.T, p *pager, s *site) {
			t.Helper()
			proxyDies(t, p, s, func() { s.StopProxy("qlik2") }, func() { s.StartProxy("qlik2") })
		}},
		{"a proxy is out of reach", twoNodes(), nil, func(t *testing.T, p *pager, s *site) {
			t.Helper()
			proxyDies(t, p, s, func() { s.SetProxyFault("qlik2", qliktest.Refused) }, func() { s.SetProxyFault("qlik2", qliktest.NoFault) })
		}},
		{"300 users at five", qliktest.Config{Users: people(many...)}, nil, func(t *testing.T, p *pager, s *site) {
			t.Helper()
			everybody(t, p, s, many)
		}},
		{"a user flaps between four and five", qliktest.Config{Users: people("anna")}, []string{"--no-collector.licenses"}, flapping},
		{"many share an account", qliktest.Config{Users: people("anna")}, nil, sharedAccount},
		{"the exporter ends", qliktest.Config{Users: people("anna")}, nil, exporterEnds},
	}
	var sites []*site
	for _, scenario := range scenarios {
		sites = append(sites, startSite(t, scenario.name, scenario.config, scenario.arguments...))
	}
	p := startPager(t, sites...)
	for i, scenario := range scenarios {
		t.Run(scenario.name, func(t *testing.T) {
			t.Parallel()
			defer p.inbox.log(t, sites[i])
			scenario.run(t, p, sites[i])
		})
	}
}

func sixLogins(t *testing.T, p *pager, s *site) {
	t.Helper()
	const anna = `site="a user logs in six times", user_id="anna"`
	sessions := s.logins(t, "anna", 1, 3)
	p.waitSessions(t, s, 3)
	begin := time.Now()
	sessions = append(sessions, s.login(t, "anna", 4))
	took := p.inbox.wait(t, s, time.Minute, firing, near).Sub(begin)
	p.within(t, "near the limit after the fourth login", took, 3*time.Second) // `for`

	begin = time.Now()
	sessions = append(sessions, s.login(t, "anna", 5))
	took = p.inbox.wait(t, s, time.Minute, firing, reached).Sub(begin)
	p.within(t, "limit reached after the fifth login", took, 0)
	state := p.alertmanager.state(t, `alertname="`+near+`", `+anna)
	expect(t, state == "suppressed", "near the limit is silenced", state)
	time.Sleep(5 * time.Second)
	p.sends(t, s, 2, firing, "")

	begin = time.Now()
	sessions = append(sessions, s.login(t, "anna", 6))
	expect(t, !sessions[5].Granted, "the sixth login is refused", !sessions[5].Granted)
	took = p.inbox.wait(t, s, time.Minute, firing, lockedOut).Sub(begin)
	p.within(t, "locked out after the sixth login", took, 0)
	took = p.inbox.wait(t, s, time.Minute, firing, denied).Sub(begin)
	p.within(t, "denied after the sixth login", took, time.Second) // the log is read every second
	state = p.alertmanager.state(t, `alertname="`+reached+`", `+anna)
	expect(t, state == "suppressed", "limit reached is silenced", state)

	begin = time.Now()
	s.logout(t, sessions[5])
	time.Sleep(2 * time.Second) // of her five sessions three end, at the limit
	begin = time.Now()
	s.logout(t, sessions[2:5]...)
	took = p.inbox.wait(t, s, time.Minute, resolved, lockedOut).Sub(begin)
	t.Logf("locked out is over after %s", took.Round(time.Millisecond))
	took = p.inbox.wait(t, s, time.Minute, resolved, reached).Sub(begin)
	expect(t, took >= coolingTime && took < coolingTime+15*time.Second, "limit reached is over after cooling for "+coolingTime.String(), took.Round(time.Millisecond))
	p.sends(t, s, 1, firing, near)
	p.sends(t, s, 1, firing, reached)
	p.sends(t, s, 1, firing, lockedOut)
	p.sends(t, s, 1, firing, denied)
	p.sends(t, s, 4, firing, "")
	s.logout(t, sessions[:2]...)
}

// A user whose slots are all taken by rows of sessions that are gone is refused
// at the first login, of which the session list tells nothing.
func firstDenial(t *testing.T, p *pager, s *site) {
	t.Helper()
	for range 5 {
		s.AddLeftoverRow(directory, "anna")
	}
	begin := time.Now()
	session := s.login(t, "anna", 1)
	expect(t, !session.Granted, "the login is refused", !session.Granted)
	took := p.inbox.wait(t, s, time.Minute, firing, denied).Sub(begin)
	p.within(t, "denied", took, time.Second) // the log is read every second
	took = p.inbox.wait(t, s, time.Minute, firing, reached).Sub(begin)
	p.within(t, "limit reached by the repository's rows", took, 15*time.Second) // they are read every 15 seconds
	time.Sleep(5 * time.Second)
	p.sends(t, s, 1, firing, denied)
	p.sends(t, s, 1, firing, reached)
	p.sends(t, s, 2, firing, "")
}

// Whoever has no licence is never let in, whatever the number of sessions.
func unlicensed(t *testing.T, p *pager, s *site) {
	t.Helper()
	s.logins(t, "anna", 1, 6)
	time.Sleep(20 * time.Second)
	p.sends(t, s, 0, firing, "")
}

// proxyDies has a user at the limit on a node whose proxy dies.
func proxyDies(t *testing.T, p *pager, s *site, die, recover func()) {
	t.Helper()
	for _, prefix := range []string{"", "sales", "finance", "hr", "mobile"} {
		if _, err := s.Login(directory, "anna", "laptop", prefix, "qlik2"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Login(directory, "ben", "laptop", "", "qlik1"); err != nil {
		t.Fatal(err)
	}
	p.inbox.wait(t, s, time.Minute, firing, reached)
	time.Sleep(2 * time.Second)
	before := p.inbox.sent(s, firing, "")
	begin := time.Now()
	die()
	took := p.inbox.wait(t, s, time.Minute, firing, proxyDown).Sub(begin)
	t.Logf("the page about the proxy came after %s", took.Round(time.Millisecond))
	time.Sleep(time.Until(begin.Add(60 * time.Second))) // twice what `for` of the slowest alert and the service states need
	p.sends(t, s, before+1, firing, "")
	p.sends(t, s, 1, firing, proxyDown)
	p.sends(t, s, 0, resolved, "")
	begin = time.Now()
	recover()
	took = p.inbox.wait(t, s, time.Minute, resolved, proxyDown).Sub(begin)
	t.Logf("the page about the proxy was over after %s", took.Round(time.Millisecond))
	p.sends(t, s, before+1, firing, "")
}

// everybody has many users at the limit within seconds.
func everybody(t *testing.T, p *pager, s *site, ids []string) {
	t.Helper()
	const manyUsers = "QlikManyUsersNearLimit"
	begin := time.Now()
	for browser := 1; browser <= 5; browser++ { // as in the morning: not all in the same second
		for _, id := range ids {
			s.login(t, id, browser)
		}
		time.Sleep(700 * time.Millisecond)
	}
	took := p.inbox.wait(t, s, time.Minute, firing, manyUsers).Sub(begin)
	t.Logf("told of many users after %s", took.Round(time.Millisecond))
	time.Sleep(30 * time.Second)
	seen := p.inbox.sent(s, firing, "")
	expect(t, seen <= 3, fmt.Sprintf("at most three notifications for %d users at the limit", len(ids)), seen)
	for _, session := range s.Sessions() {
		s.logout(t, session)
	}
	p.inbox.wait(t, s, time.Minute, resolved, manyUsers)
	time.Sleep(15 * time.Second) // everybody's alerts end without having been sent
	seen = p.inbox.sent(s, firing, "")
	expect(t, seen <= 3, "at most three until it is over", seen)
}

// flapping has a user who opens and closes the fifth session.
func flapping(t *testing.T, p *pager, s *site) {
	t.Helper()
	s.logins(t, "anna", 1, 4)
	p.inbox.wait(t, s, time.Minute, firing, near)
	const times = 8
	for range times {
		fifth := s.login(t, "anna", 5)
		if !fifth.Granted {
			// Her slot still cools; she tries again, as people do.
			t.Logf("at %s she is refused", time.Since(s.began).Round(time.Second))
		}
		time.Sleep(4 * time.Second)
		s.logout(t, fifth)
		time.Sleep(coolingTime/2 + time.Second)
	}
	p.sends(t, s, 1, firing, near)
	p.sends(t, s, 1, firing, reached)
	p.sends(t, s, 0, resolved, "")
}

func sharedAccount(t *testing.T, p *pager, s *site) {
	t.Helper()
	s.logins(t, "anna", 1, 16)
	p.inbox.wait(t, s, time.Minute, firing, "QlikSharedAccount")
	time.Sleep(20 * time.Second)
	p.sends(t, s, 1, firing, "QlikSharedAccount")
	p.sends(t, s, 1, firing, "")
}

func exporterEnds(t *testing.T, p *pager, s *site) {
	t.Helper()
	s.logins(t, "anna", 1, 5)
	p.inbox.wait(t, s, time.Minute, firing, reached)
	before := p.inbox.sent(s, firing, "")
	s.stop(t)
	begin := time.Now()
	for p.inbox.sent(s, firing, "QlikExporterDown") == 0 && time.Since(begin) < time.Minute {
		time.Sleep(100 * time.Millisecond)
	}
	p.sends(t, s, 1, firing, "QlikExporterDown")
	time.Sleep(30 * time.Second)
	p.sends(t, s, before+1, firing, "")
	p.sends(t, s, 0, resolved, "")
}
