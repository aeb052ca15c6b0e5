//go:build slow

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// witness is a second exporter of a site, asked every second. It knows what was true
// when a notification was sent, without telling the exporter that Prometheus scrapes
// more than it would know otherwise.
type witness struct {
	mu      sync.Mutex
	moments []moment
}

// moment is what the witness knows at one time. Users are DIRECTORY\id.
type moment struct {
	at       time.Time
	complete bool
	slots    map[string]float64 // effective headroom
	sessions map[string]float64
	refused  map[string]float64 // Unix time of the last refusal for the limit
}

// hasSlots reports whether the user has at least so many free slots. A user of whom
// nothing is known has all of them.
func (m *moment) hasSlots(user string, least float64) bool {
	slots, known := m.slots[user]
	return !known || slots >= least
}

func (m *moment) canLogIn(user string) bool { return m.hasSlots(user, 1) }

// startWitness starts an exporter with these arguments, and asks it until the test
// ends.
func startWitness(t *testing.T, arguments ...string) *witness {
	t.Helper()
	e := startExporter(t, arguments...)
	w := &witness{}
	stop := make(chan struct{})
	var asking sync.WaitGroup
	t.Cleanup(func() { // before the exporter stops
		close(stop)
		asking.Wait()
	})
	asking.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			m, err := lookAt(e)
			if err != nil {
				t.Errorf("the witness: %v", err)
				continue
			}
			w.mu.Lock()
			w.moments = append(w.moments, m)
			w.mu.Unlock()
		}
	})
	return w
}

func lookAt(e *instance) (moment, error) {
	text, _, err := get(e.url("/metrics"), http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {"5"}})
	if err != nil {
		return moment{}, err
	}
	m := moment{at: time.Now(), slots: map[string]float64{}, sessions: map[string]float64{}, refused: map[string]float64{}}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return moment{}, err
	}
	each := func(name string, do func(labels map[string]string, value float64)) {
		for _, series := range families[name].GetMetric() {
			labels := map[string]string{}
			for _, pair := range series.GetLabel() {
				labels[pair.GetName()] = pair.GetValue()
			}
			do(labels, series.GetGauge().GetValue())
		}
	}
	each("qlik_sessions_complete", func(_ map[string]string, value float64) { m.complete = value == 1 })
	each("qlik_user_effective_headroom", func(labels map[string]string, value float64) { m.slots[userOf(labels)] = value })
	each("qlik_user_sessions", func(labels map[string]string, value float64) { m.sessions[userOf(labels)] += value })
	each("qlik_user_last_access_denied_timestamp_seconds", func(labels map[string]string, value float64) {
		if labels["reason"] == "session_limit" {
			m.refused[userOf(labels)] = value
		}
	})
	return m, nil
}

func userOf(labels map[string]string) string {
	return labels["user_directory"] + `\` + labels["user_id"]
}

// soFar returns what the witness has seen.
func (w *witness) soFar() []moment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clip(w.moments)
}

// ever reports whether a condition was true at any time in a range.
func (w *witness) ever(from, to time.Time, holds func(*moment) bool) bool {
	moments := w.soFar()
	for i := range moments {
		if m := &moments[i]; !m.at.Before(from) && !m.at.After(to) && holds(m) {
			return true
		}
	}
	return false
}

// before returns the last moment before a time.
func (w *witness) before(at time.Time) (moment, bool) {
	moments := w.soFar()
	i, _ := slices.BinarySearchFunc(moments, at, func(m moment, at time.Time) int { return m.at.Compare(at) })
	if i == 0 {
		return moment{}, false
	}
	return moments[i-1], true
}

// rungs are the alerts about one user's limit, upwards.
var rungs = map[string]int{near: 1, reached: 2, lockedOut: 3}

// judge checks the promises of the alerts on all notifications of a site.
type judge struct {
	pager   *pager
	site    *site
	witness *witness
	// tolerance is the age of what Prometheus knows: a scrape and an evaluation.
	tolerance time.Duration
	begin     time.Time
	untrue    int
	late      int // true only within the tolerance
	again     int // critical again after a resolved message, in the same episode
}

// holds returns whether the alert is true, by the witness.
func (j *judge) holds(alertname, user string, at time.Time) func(*moment) bool {
	switch alertname {
	case near:
		return func(m *moment) bool { return m.canLogIn(user) && !m.hasSlots(user, 2) }
	case reached:
		return func(m *moment) bool { return !m.canLogIn(user) }
	case lockedOut: // also denied although the count shows a slot
		return func(m *moment) bool {
			refused := m.refused[user] > float64(at.Add(-time.Hour).Unix()) || m.sessions[user] > 5
			return refused && (!m.canLogIn(user) || m.refused[user] > float64(at.Add(-5*time.Minute).Unix()))
		}
	case "QlikUserSessionBurst":
		return func(m *moment) bool {
			earlier, known := j.witness.before(m.at.Add(-2 * time.Minute))
			return !known || m.sessions[user]-earlier.sessions[user] >= 3
		}
	}
	return nil
}

// firing reports whether Prometheus has the alert within a time before the
// notification.
func (j *judge) firing(t *testing.T, labels map[string]string, at time.Time) (ever, always bool) {
	t.Helper()
	var matchers []string
	for name, value := range labels {
		matchers = append(matchers, fmt.Sprintf("%s=%q", name, value))
	}
	h := &history{prometheus: j.pager.prometheus, begin: at.Add(-j.tolerance), end: at}
	seconds := 0
	for _, series := range h.matrix(t, `ALERTS{alertstate="firing",`+strings.Join(matchers, ",")+`}`) {
		seconds = max(seconds, len(series.Values))
	}
	return seconds > 0, seconds > int(j.tolerance/time.Second)
}

// check judges every notification.
func (j *judge) check(t *testing.T) {
	t.Helper()
	all := j.pager.inbox.of(j.site)
	kinds := map[string]int{}
	told := map[string]map[string]bool{} // the alerts that fire, by receiver, user, and severity
	highest := map[string]int{}          // by user, since the last resolved message
	toldLast := map[string]time.Time{}   // by user, of a rung
	for _, n := range all {
		user := ""
		now := map[string]bool{}
		severity := n.CommonLabels["severity"]
		if n.CommonLabels["scope"] == "user" {
			user = userOf(n.CommonLabels)
		}
		group := n.receiver + " " + cmp.Or(user, n.alertnames()) + " " + severity
		for _, a := range n.Alerts {
			name := a.Labels["alertname"]
			kinds[fmt.Sprintf("%-8s %s %s", a.Status, a.Labels["severity"], name)]++
			if a.Status == firing {
				now[name+" "+a.Labels["virtual_proxy"]+a.Labels["qlik_node"]] = true
			}
			if a.Status == firing || !n.firesSince(a.EndsAt) {
				j.judgeTruth(t, n, a.Status, a.Labels)
			}
		}
		if user != "" {
			most, fresh := 0, false
			for _, a := range n.Alerts {
				if a.Status != firing {
					continue
				}
				if rung := rungs[a.Labels["alertname"]]; rung > 0 && !told[group][a.Labels["alertname"]+" "] {
					most, fresh = max(most, rung), true
				}
			}
			if fresh && most <= highest[user] {
				j.complain(t, n, user, fmt.Sprintf("rung %d after rung %d without a resolved message", most, highest[user]))
			}
			if last, ok := toldLast[user]; ok && fresh && !j.witness.ever(last, n.at, func(m *moment) bool { return m.hasSlots(user, 2) }) {
				switch {
				case most == rungs[near]:
					j.complain(t, n, user, "near again, without more than one free slot since the last notification")
				case highest[user] == 0:
					j.again++
					t.Logf("%.1f s %s is at the limit again after a resolved message, without more than one free slot since", n.at.Sub(j.begin).Seconds(), user)
				}
			}
			if fresh {
				highest[user] = max(highest[user], most)
				toldLast[user] = n.at
			}
			if n.Status == resolved {
				highest[user] = 0
			}
		}
		told[group] = now
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%4d alerts told: %s", kinds[kind], kind)
	}
	t.Logf("%d notifications; %d alerts in them true only within %s before, %d untrue; %d again in an episode", len(all), j.late, j.tolerance, j.untrue, j.again)
}

// firesSince reports whether an alert of the notification has begun since a time. Prometheus
// repeats for 15 minutes that an alert has ended, and Alertmanager repeats it when the next
// episode of its group begins. The templates do not show it.
func (n *notification) firesSince(at time.Time) bool {
	for _, a := range n.Alerts {
		if a.Status == firing && !a.StartsAt.Before(at) {
			return true
		}
	}
	return false
}

func (j *judge) complain(t *testing.T, n *notification, user, what string) {
	t.Helper()
	t.Errorf("%.1f s %s %s %s: %s", n.at.Sub(j.begin).Seconds(), n.receiver, n.Status, user, what)
}

// judgeTruth checks that an alert of a notification was true when it was sent.
func (j *judge) judgeTruth(t *testing.T, n *notification, status string, labels map[string]string) {
	t.Helper()
	name, user, since := labels["alertname"], userOf(labels), n.at.Add(-j.tolerance)
	what := fmt.Sprintf("%s %s was untrue", status, name)
	// In the first evaluation of a group after its start, Prometheus records no ALERTS.
	started := n.at.Sub(j.begin) < 2*time.Minute
	ever, always := j.firing(t, labels, n.at)
	if status == firing && !ever && !started || status == resolved && always {
		j.untrue++
		j.complain(t, n, user, what+" by the last evaluation")
		around := &history{prometheus: j.pager.prometheus, begin: n.at.Add(-5 * time.Minute), end: n.at.Add(2 * time.Minute)}
		for _, series := range around.matrix(t, fmt.Sprintf(`ALERTS{alertname=%q,user_id=%q}`, name, labels["user_id"])) {
			first, last := series.Values[0].Timestamp, series.Values[len(series.Values)-1].Timestamp
			t.Logf("%s from %.1f s to %.1f s, %d s in all", series.Metric, first.Time().Sub(j.begin).Seconds(), last.Time().Sub(j.begin).Seconds(), len(series.Values))
		}
	}
	if labels["scope"] != "user" {
		return
	}
	holds := j.holds(name, user, n.at)
	if status == resolved {
		if rungs[name] < rungs[reached] {
			return
		}
		holds = func(m *moment) bool { return m.canLogIn(user) }
	}
	if holds == nil {
		return
	}
	if !j.witness.ever(since, n.at, holds) {
		j.untrue++
		j.complain(t, n, user, what+" by the witness")
		return
	}
	if last, ok := j.witness.before(n.at); ok && !holds(&last) {
		j.late++
		t.Logf("%.1f s %s %s %s was true within %s before", n.at.Sub(j.begin).Seconds(), user, status, name, j.tolerance)
	}
}

// print prints the notifications with all their alerts, and the text of the first one.
func (j *judge) print(t *testing.T) {
	t.Helper()
	texts := map[string]bool{}
	for _, n := range j.pager.inbox.of(j.site) {
		var alerts []string
		for _, a := range n.Alerts {
			alerts = append(alerts, strings.TrimPrefix(a.Labels["alertname"], "Qlik")+" "+a.Status)
		}
		about := n.CommonLabels["user_id"]
		t.Logf("%6.1f s  %-17s  %-8s  %-8s %-16s %s", n.at.Sub(j.begin).Seconds(), n.receiver, n.Status, n.CommonLabels["severity"], about, strings.Join(alerts, ", "))
		for _, a := range n.Alerts {
			if a.Status == firing && !texts[a.Labels["alertname"]] {
				texts[a.Labels["alertname"]] = true
				t.Logf("    %s\n%s", a.Annotations["summary"], a.Annotations["description"])
			}
		}
	}
}

// realPace is that of deploy/compose: the shipped rules and routes as they are.
var realPace = pace{interval: 15 * time.Second, faster: 1}

// TestNotificationsOfDemo keeps the promises of the alerts on the demo: for a quarter of
// an hour, hurried people reach the limit, are refused, and leave, and a proxy restarts.
// By the shipped rules they are many users at once. With a higher threshold, each of them
// is a thread.
func TestNotificationsOfDemo(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	s := &site{instance: d.instance, name: "demo"}
	w := startWitness(t, "@"+d.folder+"/flags")
	single := realPace
	single.rules = rulesWithoutCrowds(t)
	pagers := []*pager{startPager(t, realPace, s), startPager(t, single, s)}
	time.Sleep(15 * time.Minute)
	for i, rules := range []string{"as shipped", "each user"} {
		t.Run(rules, func(t *testing.T) {
			t.Parallel()
			j := &judge{pager: pagers[i], site: s, witness: w, tolerance: 2*realPace.interval + 2*time.Second, begin: s.began}
			j.print(t)
			j.check(t)
			sent := len(pagers[i].inbox.of(s))
			expect(t, sent > 0, "hurried people cause notifications", sent)
		})
	}
}

// TestNotificationsOfIncident follows 100 people at the limit, 60 of whom are refused.
// Two of them were told of before. Within ten minutes, nearly all of them log out. One
// thread is told, and afterwards those few who still have no slot are told of once.
func TestNotificationsOfIncident(t *testing.T) {
	t.Parallel()
	const (
		manyUsers = "QlikManyUsersNearLimit"
		crowd     = 100
		full      = 4 // people who stay at the limit
		early     = 2 // people who were told of before: the first, who leaves, and the last, who stays
	)
	var ids []string
	for i := range 2 * crowd {
		ids = append(ids, fmt.Sprintf("user%03d", i))
	}
	s := startSite(t, "incident", qliktest.Config{Users: people(ids...), CoolingTime: 5 * time.Minute})
	p := startPager(t, realPace, s)
	w := startWitness(t, slices.DeleteFunc(slices.Clone(s.cmd.Args[1:]), func(argument string) bool {
		return strings.HasPrefix(argument, "--web.listen-address=")
	})...)
	j := &judge{pager: p, site: s, witness: w, tolerance: 2*realPace.interval + 2*time.Second, begin: time.Now()}
	defer j.print(t)
	for _, id := range ids[crowd:] {
		s.login(t, id, 1)
	}
	sessions := map[string][]qliktest.Session{}
	login := func(id string, browser int) { sessions[id] = append(sessions[id], s.login(t, id, browser)) }
	for browser := range 5 {
		login(ids[0], browser)
		login(ids[crowd-1], browser)
	}
	s.waitFor(t, "two notifications", 3*time.Minute, func() bool { return p.inbox.sent(s, firing, reached) == early })
	for browser := range 6 {
		for i, id := range ids[:crowd] {
			if len(sessions[id]) == browser && (browser < 5 || i >= 40) {
				login(id, browser)
			}
		}
		time.Sleep(5 * time.Second)
	}
	time.Sleep(2 * time.Minute)
	expect(t, p.inbox.sent(s, firing, manyUsers) == 1 && p.inbox.sent(s, firing, "") == early+1, "one notification of the incident", p.inbox.sent(s, firing, ""))
	gone := ids[:crowd-full]
	for _, id := range gone {
		s.logout(t, sessions[id]...)
		time.Sleep(10 * time.Minute / time.Duration(len(gone)))
	}
	left := time.Now()
	s.waitFor(t, "the end of the incident", 25*time.Minute, func() bool {
		for _, id := range ids[crowd-full : crowd] {
			for _, session := range sessions[id][:5] {
				s.Touch(session.ID) // before it times out
			}
		}
		return p.inbox.sent(s, resolved, manyUsers) == 1
	})
	t.Logf("the incident ended %s after the last logout", time.Since(left).Round(time.Second))
	time.Sleep(3 * time.Minute)
	j.check(t)
	ofUsers, ofSite, ended := 0, 0, 0
	for _, n := range p.inbox.of(s) {
		switch {
		case n.CommonLabels["scope"] != "user":
			ofSite++
		case n.Status == resolved:
			ended++
		default:
			ofUsers++
		}
	}
	expect(t, ofSite <= 3, "at most three notifications of the incident", ofSite)
	// Prometheus repeats for 15 minutes that an alert has ended. What ends later than that
	// after it was inhibited is never told.
	expect(t, ended <= early, "at most the people who were told of before get a resolved message", ended)
	// The last one had been told of before, as reached.
	expect(t, ofUsers <= early+full && ofUsers >= early+full-1, fmt.Sprintf("one for each of the %d who are still full", full), ofUsers)
}
