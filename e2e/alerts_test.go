package e2e

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

const (
	rulesFile = repository + "/alerts/qlik.rules.yml"
	amFile    = repository + "/alerts/alertmanager.yml"
	latency   = 500 * time.Millisecond // processing time of the programs, in addition to scraping and evaluating
)

// pace changes the shipped rules and the shipped Alertmanager example for a test:
// it shortens their times and turns every receiver into a webhook.
type pace struct {
	interval time.Duration // scrape and evaluation interval
	faster   time.Duration // divisor for `for` and the times of routes
	rules    string        // file; by default the shipped one
}

// shorten divides the duration under a key, if there is one.
func (p pace) shorten(d document, key string) {
	text, found := d[key].(string)
	if !found {
		return
	}
	if duration, err := model.ParseDuration(text); err == nil {
		d[key] = (duration / model.Duration(p.faster)).String()
	}
}

// writeRules writes the shipped rules with shortened times.
func (p pace) writeRules(t *testing.T, file string) {
	t.Helper()
	rules := readYAML(t, cmp.Or(p.rules, rulesFile))
	for _, group := range rules.list("groups") {
		if group["interval"] == nil {
			group["interval"] = p.interval.String()
		} else {
			p.shorten(group, "interval")
		}
		for _, rule := range group.list("rules") {
			p.shorten(rule, "for")
			p.shorten(rule, "keep_firing_for")
		}
	}
	writeYAML(t, file, rules)
}

// pager is a Prometheus with the shipped rules, an Alertmanager, and an inbox
// that receives its notifications.
type pager struct {
	pace

	prometheus   *server
	alertmanager *alertmanager
	inbox        *inbox
	groupWait    time.Duration // of the user route
}

// startPager starts Prometheus and Alertmanager for sites.
func startPager(t *testing.T, pace pace, sites ...*site) *pager {
	t.Helper()
	dir := t.TempDir()
	pace.writeRules(t, filepath.Join(dir, "rules.yml"))

	p := &pager{pace: pace, inbox: startInbox(t)}
	config := readYAML(t, amFile)
	delete(config, "global")
	eachRoute(config.mapping("route"), func(route document) {
		pace.shorten(route, "group_wait")
		pace.shorten(route, "group_interval")
		if isUserRoute(route) {
			p.groupWait, _ = time.ParseDuration(fmt.Sprint(route["group_wait"]))
		}
	})
	alwaysOpen(config)
	var receivers []any
	for _, receiver := range config.list("receivers") {
		sendResolved := false
		for key := range receiver {
			for _, channel := range receiver.list(key) {
				sendResolved = channel["send_resolved"] == true
			}
		}
		receivers = append(receivers, document{"name": receiver["name"], "webhook_configs": []any{
			document{"url": fmt.Sprintf("%s/%s", p.inbox.url, receiver["name"]), "send_resolved": sendResolved},
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
	p.prometheus = startPrometheus(t, func(address string) string {
		return fmt.Sprintf(`
global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[1]s}
rule_files: ['%[2]s']
alerting: {alertmanagers: [{static_configs: [{targets: ['%[3]s']}]}]}
scrape_configs:
  - job_name: qlik
    static_configs:
%[4]s  - job_name: prometheus
    static_configs: [{targets: ['%[5]s']}]
`, pace.interval, filepath.Join(dir, "rules.yml"), p.alertmanager.address, targets, address)
	})
	for _, s := range sites {
		s.began = time.Now()
		if s.Site != nil {
			p.waitSessions(t, s, len(s.Sessions()))
		}
	}
	return p
}

// waitSessions waits until Prometheus has this number of sessions for a site.
func (p *pager) waitSessions(t *testing.T, s *site, sessions int) {
	t.Helper()
	p.prometheus.waitFor(t, fmt.Sprintf("%d sessions of %s", sessions, s.name), readyWithin, func() bool {
		now := &history{prometheus: p.prometheus, begin: time.Now(), end: time.Now()}
		found := now.vector(t, fmt.Sprintf(`qlik_sessions{site=%q} == %d and on (site) qlik_sessions_complete == 1`, s.name, sessions))
		return len(found) == 1
	})
}

// within fails the test unless a notification about a site arrived as soon as possible
// after an event: after the next scrape, the next evaluation and group_wait. On a busy
// machine, scrapes and evaluations themselves take long, and some are skipped.
func (p *pager) within(t *testing.T, s *site, what string, took, more time.Duration) {
	t.Helper()
	now := time.Now()
	run := &history{prometheus: p.prometheus, begin: now.Add(-took - time.Second), end: now}
	busy := run.number(t, `max(max_over_time(scrape_duration_seconds[RUN])) + max(max_over_time(prometheus_rule_group_last_duration_seconds[RUN]))`)
	// Without the last interval, whose scrape and evaluation may be in progress.
	before := &history{prometheus: p.prometheus, begin: now.Add(-took - p.interval), end: now.Add(-p.interval)}
	done := min(before.number(t, fmt.Sprintf(`sum(sum_over_time(up{job="qlik", site=%q}[RUN])) or vector(0)`, s.name)),
		before.number(t, fmt.Sprintf(`sum(count_over_time(site:qlik_sessions_complete:max{site=%q}[RUN])) or vector(0)`, s.name)))
	skipped := max(0, took.Truncate(p.interval)-time.Duration(done)*p.interval)
	most := p.interval + p.interval + p.groupWait + more
	expect(t, took <= most+latency+time.Duration(busy*float64(time.Second))+skipped,
		fmt.Sprintf("%s within a scrape of %s, an evaluation of %s, group_wait of %s and %s, on a machine that skipped %s",
			what, p.interval, p.interval, p.groupWait, more, skipped), took.Round(time.Millisecond))
}

// sends fails the test unless the receivers of the site got that many
// notifications of that kind. alertname "" counts all alerts.
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
	proxyDown = "QlikProxyDown"
	firing    = "firing"
	resolved  = "resolved"
)

// TestAlerts follows a login from a real proxy's response to a notification: the
// simulated site, the exporter, Prometheus with the shipped rules, Alertmanager
// with the shipped routes and inhibitions, and a webhook.
func TestAlerts(t *testing.T) {
	t.Parallel()
	twoNodes := func() qliktest.Config {
		config := qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}}, Users: people("anna", "ben")}
		for _, prefix := range []string{"", "sales", "finance", "hr", "mobile", "portal"} {
			config.VirtualProxies = append(config.VirtualProxies, qliktest.VirtualProxy{Prefix: prefix})
		}
		return config
	}
	one := qliktest.Config{Users: people("anna")}
	scenarios := []struct {
		name      string // also the name of the site
		config    qliktest.Config
		arguments []string // for the exporter
		play      func(*scene)
	}{
		{"six-logins", one, []string{"--no-collector.licenses"}, (*scene).sixLogins},
		{"first-denial", one, nil, (*scene).firstDenial},
		{"unlicensed", qliktest.Config{Users: []qliktest.User{{Directory: directory, ID: "anna"}}}, nil, (*scene).unlicensed},
		{"root-admin", qliktest.Config{Users: []qliktest.User{{Directory: directory, ID: "anna", Admin: true}}, CapacityMinutes: 600}, nil, (*scene).rootAdmin},
		{"proxy-stops", twoNodes(), nil, func(a *scene) {
			a.proxyDies(func() { a.site.StopProxy("qlik2") }, func() { a.site.StartProxy("qlik2") })
		}},
		{"proxy-unreachable", twoNodes(), nil, func(a *scene) {
			a.proxyDies(func() { a.site.SetProxyFault("qlik2", qliktest.Refused) }, func() { a.site.SetProxyFault("qlik2", qliktest.NoFault) })
		}},
		{"flapping", one, []string{"--no-collector.licenses"}, (*scene).flapping},
		{"shared-account", one, nil, (*scene).sharedAccount},
		{"page-in-a-loop", one, nil, (*scene).pageInALoop},
		{"exporter-ends", one, nil, (*scene).exporterEnds},
	}
	var sites []*site
	for _, scenario := range scenarios {
		sites = append(sites, startSite(t, scenario.name, scenario.config, scenario.arguments...))
	}
	p := startPager(t, pace{interval: time.Second, faster: 20}, sites...)
	for i, scenario := range scenarios {
		t.Run(scenario.name, func(t *testing.T) {
			t.Parallel()
			defer p.inbox.log(t, sites[i])
			scenario.play(&scene{t, p, sites[i]})
		})
	}
}

// scene runs one scenario on its site.
type scene struct {
	t     *testing.T
	pager *pager
	site  *site
}

// sixLogins has a user who reaches the limit, is refused, and logs out.
func (a *scene) sixLogins() {
	t, p, s := a.t, a.pager, a.site
	sessions := s.logins(t, 3)
	p.waitSessions(t, s, 3)
	begin := time.Now()
	sessions = append(sessions, s.login(t, "anna", 4))
	took := p.inbox.wait(t, s, firing, near).Sub(begin)
	p.within(t, s, "near the limit after the fourth login", took, 3*time.Second) // `for`

	begin = time.Now()
	sessions = append(sessions, s.login(t, "anna", 5))
	took = p.inbox.wait(t, s, firing, reached).Sub(begin)
	p.within(t, s, "limit reached after the fifth login", took, 0)
	time.Sleep(5 * time.Second)
	p.sends(t, s, 2, firing, "")

	begin = time.Now()
	sessions = append(sessions, s.login(t, "anna", 6))
	expect(t, !sessions[5].Granted, "the sixth login is refused", !sessions[5].Granted)
	took = p.inbox.wait(t, s, firing, lockedOut).Sub(begin)
	p.within(t, s, "locked out after the sixth login", took, 0)
	state := p.alertmanager.state(t, s, reached)
	expect(t, state == "suppressed", "limit reached is silenced", state)

	s.logout(t, sessions[5])
	begin = time.Now()
	s.logout(t, sessions[2:5]...)
	took = p.inbox.wait(t, s, resolved, lockedOut).Sub(begin)
	expect(t, took >= coolingTime && took < coolingTime+8*time.Second, "locked out is over soon after cooling for "+coolingTime.String(), took.Round(time.Millisecond))
	p.sends(t, s, 1, firing, near)
	p.sends(t, s, 1, firing, reached)
	p.sends(t, s, 1, firing, lockedOut)
	p.sends(t, s, 3, firing, "")
	s.logout(t, sessions[:2]...)

	// The next episode is told from its beginning.
	p.waitSessions(t, s, 0)
	s.logins(t, 4)
	s.waitFor(t, "near the limit again", 30*time.Second, func() bool { return p.inbox.sent(s, firing, near) == 2 })
	p.sends(t, s, 4, firing, "")
}

// firstDenial has a user whose slots are all taken by usage rows of ended
// sessions. The first login is refused, although the list of sessions shows no
// reason.
func (a *scene) firstDenial() {
	t, p, s := a.t, a.pager, a.site
	for range 5 {
		s.AddLeftoverRow(directory, "anna")
	}
	begin := time.Now()
	session := s.login(t, "anna", 1)
	expect(t, !session.Granted, "the login is refused", !session.Granted)
	took := p.inbox.wait(t, s, firing, lockedOut).Sub(begin)
	// Until the usage rows are read, every 15 seconds, a complete count shows a slot.
	p.within(t, s, "locked out", took, 15*time.Second)
	time.Sleep(20 * time.Second)
	p.sends(t, s, 1, firing, lockedOut)
	p.sends(t, s, 1, firing, "")
}

// unlicensed has a user without a license, who is always refused, regardless of
// the number of sessions. The number of sessions stays within the limit: the
// exporter does not know for certain that a user has no license until it reads
// the lists again, which takes minutes.
func (a *scene) unlicensed() {
	t, p, s := a.t, a.pager, a.site
	s.logins(t, 5)
	time.Sleep(20 * time.Second)
	p.sends(t, s, 0, firing, "")
}

// rootAdmin has a root administrator without a license, on a site with analyzer capacity
// for everybody else. Such an administrator is never refused.
func (a *scene) rootAdmin() {
	t, p, s := a.t, a.pager, a.site
	for _, session := range s.logins(t, 6) {
		expect(t, session.Granted, "a root administrator is not refused", session.Granted)
	}
	time.Sleep(40 * time.Second)
	p.sends(t, s, 0, firing, "")
}

// proxyDies has a user at the limit on a node whose proxy goes down.
func (a *scene) proxyDies(die, revive func()) {
	t, p, s := a.t, a.pager, a.site
	for _, prefix := range []string{"", "sales", "finance", "hr", "mobile"} {
		if _, err := s.Login(directory, "anna", "laptop", prefix, "qlik2"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Login(directory, "ben", "laptop", "", "qlik1"); err != nil {
		t.Fatal(err)
	}
	p.inbox.wait(t, s, firing, reached)
	time.Sleep(2 * time.Second)
	before := p.inbox.sent(s, firing, "")
	begin := time.Now()
	die()
	took := p.inbox.wait(t, s, firing, proxyDown).Sub(begin)
	t.Logf("the page about the proxy came after %s", took.Round(time.Millisecond))
	time.Sleep(time.Until(begin.Add(60 * time.Second))) // twice the time that the slowest alert's `for` and the service states need
	p.sends(t, s, before+1, firing, "")
	p.sends(t, s, 1, firing, proxyDown)
	p.sends(t, s, 0, resolved, "")
	begin = time.Now()
	revive()
	took = p.inbox.wait(t, s, resolved, proxyDown).Sub(begin)
	t.Logf("the page about the proxy was over after %s", took.Round(time.Millisecond))
	p.sends(t, s, before+1, firing, "")
}

// All users are at the limit at once, and then the proxy restarts. The evaluation
// interval is nearly as long as group_wait allows, as in production. Evaluating is as
// slow as in production, too, which leaves no room for a faster pace: the alert that
// inhibits the others is the last one to be evaluated.
func TestAlertsOfACrowd(t *testing.T) {
	t.Parallel()
	const manyUsers = "QlikManyUsersNearLimit"
	var crowd []string
	for i := range 100 {
		crowd = append(crowd, fmt.Sprintf("user%03d", i))
	}
	s := startSite(t, "crowd", qliktest.Config{Users: people(crowd...)})
	p := startPager(t, pace{interval: 8 * time.Second, faster: 4}, s)
	expect(t, p.groupWait > p.interval, "group_wait is longer than an evaluation interval", p.groupWait)
	defer p.inbox.log(t, s)

	begin := time.Now()
	for browser := range 5 { // not all in the same second, as in the morning
		for _, id := range crowd {
			s.login(t, id, browser)
		}
		time.Sleep(700 * time.Millisecond)
	}
	took := p.inbox.wait(t, s, firing, manyUsers).Sub(begin)
	t.Logf("told of many users after %s", took.Round(time.Millisecond))
	time.Sleep(30 * time.Second)
	seen := p.inbox.sent(s, firing, "")
	expect(t, seen <= 3, fmt.Sprintf("at most three notifications for %d users at the limit", len(crowd)), seen)
	now := &history{prometheus: p.prometheus, begin: begin, end: time.Now()}
	usual := now.number(t, `max(quantile_over_time(0.5, prometheus_rule_group_last_duration_seconds[RUN]))`)
	expect(t, usual < 7, "evaluating the rules takes less than half of 15 seconds", fmt.Sprintf("%.2f s", usual))

	s.RestartProxy("qlik1") // all sessions end at once, and all slots are cooling
	p.inbox.wait(t, s, resolved, manyUsers)
	time.Sleep(15 * time.Second) // the alerts of all users resolve without having been sent
	seen = p.inbox.sent(s, firing, "")
	expect(t, seen <= 3, "at most three until it is over", seen)
}

// flapping has a user who closes the fifth session and opens another one while
// its slot is cooling. The login is refused first and granted on a later attempt.
func (a *scene) flapping() {
	t, p, s := a.t, a.pager, a.site
	s.logins(t, 4)
	p.inbox.wait(t, s, firing, near)
	for range 5 {
		fifth := s.login(t, "anna", 5)
		for begin := time.Now(); !fifth.Granted; fifth = s.login(t, "anna", 5) {
			if time.Since(begin) > coolingTime {
				t.Fatal("she is refused longer than her slot cools")
			}
			time.Sleep(time.Second)
			s.Touch(fifth.ID)
		}
		time.Sleep(4 * time.Second)
		s.logout(t, fifth)
		time.Sleep(coolingTime / 2)
	}
	p.sends(t, s, 1, firing, near)
	p.sends(t, s, 1, firing, reached)
	p.sends(t, s, 1, firing, lockedOut)
	p.sends(t, s, 3, firing, "")
	p.sends(t, s, 0, resolved, "")
}

// sharedAccount has an account with more sessions than one person could have.
func (a *scene) sharedAccount() {
	t, p, s := a.t, a.pager, a.site
	s.logins(t, 16)
	p.inbox.wait(t, s, firing, "QlikSharedAccount")
	time.Sleep(20 * time.Second)
	p.sends(t, s, 1, firing, lockedOut)
	p.sends(t, s, 1, firing, "QlikSharedAccount")
	p.sends(t, s, 1, firing, "QlikSessionRefusalBudget")
	p.sends(t, s, 3, firing, "")
	p.sends(t, s, 0, resolved, "")
}

// pageInALoop has a page that opens a hundred sessions a minute: 50 in each evaluation,
// as with an evaluation interval of 30 seconds.
func (a *scene) pageInALoop() {
	const runaway = "QlikSessionRunaway"
	t, p, s := a.t, a.pager, a.site
	s.login(t, "anna", 0)
	time.Sleep(2 * time.Second)
	begin := time.Now()
	browser := 0
	turn := func(sessions int) {
		for range sessions {
			browser++
			s.login(t, "anna", browser)
		}
		time.Sleep(p.interval)
	}
	for p.inbox.sent(s, firing, runaway) == 0 && time.Since(begin) < 30*time.Second {
		turn(50)
	}
	took := p.inbox.wait(t, s, firing, runaway).Sub(begin)
	p.within(t, s, "a page in a loop after a second evaluation", took, p.interval)
	for p.inbox.sent(s, firing, "QlikSharedAccount") == 0 && time.Since(begin) < time.Minute {
		turn(5)
	}
	p.sends(t, s, 1, firing, "QlikSharedAccount")
	p.sends(t, s, 0, resolved, runaway)
	p.sends(t, s, 0, firing, "QlikUserSessionBurst")
	p.sends(t, s, 0, firing, "QlikSessionRefusalBudget")
	state := p.alertmanager.states(t, s, runaway)
	expect(t, len(state) > 0 && !slices.Contains(state, "suppressed"), "the shared account does not silence it", state)
}

// exporterEnds has an exporter that stops while a user is at the limit.
func (a *scene) exporterEnds() {
	t, p, s := a.t, a.pager, a.site
	s.logins(t, 5)
	p.inbox.wait(t, s, firing, reached)
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
