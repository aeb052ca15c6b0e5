package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// text writes samples. The bufio.Writer keeps the first error until the end.
type text struct {
	*history
	w      *bufio.Writer
	line   []byte // of the series that has begun
	labels int    // bytes of line before the value
}

// family starts a family of metrics. Its series must follow. The name of a
// counter ends with _total.
func (t *text) family(name, kind string) {
	_, _ = fmt.Fprintf(t.w, "# TYPE %s %s\n", strings.TrimSuffix(name, "_total"), kind)
}

// series writes a series, starting at a step, for all steps at which it has a
// value.
func (t *text) series(name, labels string, from int, value func(i int) (float64, bool)) {
	t.repeated(name, labels, from, 1, value)
}

// repeated writes each sample several times, until the next step.
func (t *text) repeated(name, labels string, from, times int, value func(i int) (float64, bool)) {
	t.begin(name, labels)
	for i := from; i < len(t.steps); i++ {
		v, ok := value(i)
		if !ok {
			continue
		}
		for n := range times {
			if i == len(t.steps)-1 && n > 0 {
				break
			}
			t.sample(v, t.time(i)+int64(n)*stepSeconds/int64(times))
		}
	}
}

// begin begins a series. Its samples must follow.
func (t *text) begin(name, labels string) {
	t.line = append(append(append(append(t.line[:0], name...), '{'), labels...), "} "...)
	t.labels = len(t.line)
}

// sample writes a sample of the series that has begun.
func (t *text) sample(value float64, at int64) {
	t.line = strconv.AppendFloat(t.line[:t.labels], value, 'g', -1, 64)
	t.line = append(strconv.AppendInt(append(t.line, ' '), at, 10), '\n')
	_, _ = t.w.Write(t.line)
}

// gauge writes a family with one series.
func (t *text) gauge(name, labels string, from int, value func(i int) (float64, bool)) {
	t.family(name, "gauge")
	t.series(name, labels, from, value)
}

func always(value func(i int) int) func(int) (float64, bool) {
	return func(i int) (float64, bool) { return float64(value(i)), true }
}

// write writes the whole history.
func (h *history) write(w io.Writer) error {
	t := &text{history: h, w: bufio.NewWriterSize(w, 1<<16)}
	t.site()
	t.siteRecords()
	t.refusalRecords()
	t.refusedRecords()
	t.reachedRecords()
	t.causeRecords()
	t.licenseRecords()
	t.capacityRecords()
	t.proxyRecords()
	detail := max(0, len(h.steps)-detailDays*daySteps)
	t.detailedLinks(detail)
	t.detailedLicenses(detail)
	t.users()
	_, _ = t.w.WriteString("# EOF\n")
	return t.w.Flush()
}

// up reports whether any node answers.
func (h *history) up(i int) bool { return h.steps[i].down != 1<<len(h.nodes)-1 }

// answers reports whether a node answers for a virtual proxy that exists.
func (h *history) answers(i, link int) bool {
	return h.steps[i].down&(1<<h.links[link].node) == 0 && h.exists(i, h.links[link].proxy)
}

func (h *history) exists(i, proxy int) bool {
	return proxy != h.mobile || h.time(i)/daySeconds >= h.appLive()
}

// whenUp returns a value that is absent while no node answers.
func (h *history) whenUp(value func(i int) int) func(int) (float64, bool) {
	return func(i int) (float64, bool) { return float64(value(i)), h.up(i) }
}

func (h *history) sessionsAt(i int) (sum int) {
	for _, sessions := range h.steps[i].sessions {
		sum += int(sessions)
	}
	return sum
}

func (h *history) usersAt(i int) (sum int) {
	for _, users := range h.steps[i].users {
		sum += int(users)
	}
	return sum
}

// site writes the exporter's metrics of the site.
func (t *text) site() {
	target := t.target()
	t.gauge("up", target, 0, always(func(int) int { return 1 }))
	t.gauge("qlik_up", target, 0, always(func(i int) int { return boolToInt(t.up(i)) }))
	t.gauge("qlik_sessions_complete", target, 0, always(func(i int) int { return boolToInt(t.steps[i].down == 0) }))
	t.gauge("qlik_session_limit", target, 0, always(func(int) int { return limit }))
	t.gauge("qlik_sessions", target, 0, t.whenUp(t.sessionsAt))
	t.family("qlik_users", "gauge")
	for headroom := range limit + 2 {
		name := strconv.Itoa(headroom)
		switch headroom {
		case limit:
			continue // no sessions
		case limit + 1:
			name = "over"
		}
		t.series("qlik_users", fmt.Sprintf("headroom=%q,%s", name, target), 0, t.whenUp(func(i int) int { return int(t.steps[i].users[headroom]) }))
	}
}

// siteRecords writes the series that the recording rules produce for the site.
func (t *text) siteRecords() {
	record := t.record()
	t.gauge("site:qlik_sessions_complete:timestamp", record, 0, func(i int) (float64, bool) {
		return float64(t.time(i)), t.steps[i].down == 0
	})
	t.gauge("site:qlik_sessions:max", record, 0, t.whenUp(t.sessionsAt))
	t.gauge("site:qlik_users:sum", record, 0, t.whenUp(t.usersAt))
	t.gauge("site:qlik_users:held", record, 0, t.usersHeld)
	t.gauge("site:qlik_users_with_series:count", record, 0, func(i int) (float64, bool) {
		return float64(t.steps[i].manySessions), t.steps[i].manySessions > 0
	})
	for _, state := range []struct {
		name  string
		count func(i int) int
	}{
		{"limit_reached", func(i int) int { return int(t.steps[i].reached) }},
		{"near_limit", func(i int) int { return int(t.steps[i].near) }},
	} {
		count := func(i int) (float64, bool) {
			return float64(state.count(i)), state.count(i) > 0 || t.up(i)
		}
		t.gauge("site:qlik_users_"+state.name+":count", record, 0, count)
		t.gauge("site:qlik_users_"+state.name+"_per_users:ratio", record, 0, func(i int) (float64, bool) {
			of, _ := t.usersHeld(i)
			those, ok := count(i)
			if of <= those {
				of = those
			}
			return those / of, ok && of > 0
		})
		if state.name == "limit_reached" { // recorded once a minute
			t.family("site:qlik_user_minutes_at_limit:sum1m", "gauge")
			t.repeated("site:qlik_user_minutes_at_limit:sum1m", record, 0, stepSeconds/60, count)
		}
	}
}

// usersHeld returns the number of users if all nodes answered, otherwise the
// maximum of the last hour.
func (h *history) usersHeld(i int) (float64, bool) {
	if h.steps[i].down == 0 {
		return float64(h.usersAt(i)), true
	}
	most, ok := 0, false
	for j := max(0, i-hourSteps+1); j <= i; j++ {
		if h.up(j) {
			most, ok = max(most, h.usersAt(j)), true
		}
	}
	return float64(most), ok
}

// licenseExpiry returns the expiry of the license that is valid at a step.
func (h *history) licenseExpiry(i int) (float64, bool) {
	expiry := (h.finalDay + licenseLeft) * daySeconds
	for expiry-365*daySeconds > h.time(i)+renewedAhead*daySeconds {
		expiry -= 365 * daySeconds
	}
	return float64(expiry), true
}

// valid is the state of a license that is always renewed in time.
func valid(int) (float64, bool) { return 1, true }

// seatMetrics are the seat counts of a license, each with the rule that records
// it, if there is one.
var seatMetrics = []struct {
	metric, record string
	value          func(seats) uint16
}{
	{"qlik_license_seats", ":max", func(s seats) uint16 { return s.bought }},
	{"qlik_license_seats_allocated", ":max", func(s seats) uint16 { return s.allocated }},
	{"qlik_license_seats_available", ":min", func(s seats) uint16 { return s.bought - s.allocated }},
	{"qlik_license_seats_excess", "", func(seats) uint16 { return 0 }},
	{"qlik_license_seats_quarantined", "", func(seats) uint16 { return 0 }},
	{"qlik_license_seats_used", "", func(s seats) uint16 { return s.used }},
}

// licenseRecords writes the series that the rules produce for licenses.
func (t *text) licenseRecords() {
	for _, m := range seatMetrics {
		if m.record != "" {
			t.seats("license:"+m.metric+m.record, t.record(), 0, m.value)
		}
	}
	t.activeUsers("license:qlik_license_users_active:max", t.record(), 0)
	t.gauge("site:qlik_license_expiry_timestamp_seconds:min", t.record(), 0, t.licenseExpiry)
	t.gauge("site:qlik_license_valid:min", t.record(), 0, valid)
}

func (t *text) seats(name, labels string, from int, value func(seats) uint16) {
	t.family(name, "gauge")
	if t.Tokens {
		return // they have no seats
	}
	for number, license := range t.licenses {
		t.series(name, fmt.Sprintf("license=%q,%s", labelOf(license), labels), from, always(func(i int) int {
			return int(value(t.steps[i].seats[number]))
		}))
	}
}

func (t *text) activeUsers(name, labels string, from int) {
	t.family(name, "gauge")
	for number, license := range t.licenses {
		for window, days := range activeWindows {
			t.series(name, fmt.Sprintf("license=%q,window=\"%dd\",%s", labelOf(license), days, labels), from, always(func(i int) int {
				return int(t.steps[i].seats[number].active[window])
			}))
		}
	}
}

// labelOf returns the value of the label license.
func labelOf(license qliktest.License) string {
	if license == qliktest.AnalyzerCapacity {
		return qlik.LicenseAnalyzerCapacity
	}
	return strings.ToLower(string(license))
}

// licenseLabel returns the license of a person, as far as the exporter knows it. Where there
// is analyzer capacity or login access, nobody certainly has no license, and only somebody
// who works on it is known to use it.
func (p *person) licenseLabel(s *seen) string {
	if !p.limited() || p.occasional() && s.taken == 0 {
		return qlik.LicenseUnknown
	}
	return labelOf(p.license)
}

// sum adds up the values of the links of a virtual proxy or a node, if any of
// them answers.
func (h *history) sum(i int, links []int, of *[maxLinks]uint16) (float64, bool) {
	sum, ok := 0, false
	for _, link := range links {
		if h.answers(i, link) {
			sum, ok = sum+int(of[link]), true
		}
	}
	return float64(sum), ok
}

// proxyRecords writes the series that the rules produce for virtual proxies and
// nodes.
func (t *text) proxyRecords() {
	detail := max(0, len(t.steps)-detailDays*daySteps)
	labels := func(proxy int) string { return t.record() + fmt.Sprintf(",virtual_proxy=%q", t.proxies[proxy]) }
	t.family("virtual_proxy:qlik_virtual_proxy_sessions:sum", "gauge")
	for proxy, links := range t.served {
		t.series("virtual_proxy:qlik_virtual_proxy_sessions:sum", labels(proxy), 0, func(i int) (float64, bool) {
			return t.sum(i, links, &t.steps[i].sessions)
		})
	}
	t.family("virtual_proxy:qlik_virtual_proxy_users:sum", "gauge")
	for proxy, links := range t.served {
		t.series("virtual_proxy:qlik_virtual_proxy_users:sum", labels(proxy), 0, func(i int) (float64, bool) {
			return t.sum(i, links, &t.steps[i].linkUsers)
		})
	}
	t.family("virtual_proxy:qlik_virtual_proxy_sessions_per_user:ratio", "gauge")
	for proxy, links := range t.served {
		t.series("virtual_proxy:qlik_virtual_proxy_sessions_per_user:ratio", labels(proxy), detail, func(i int) (float64, bool) {
			sessions, _ := t.sum(i, links, &t.steps[i].sessions)
			users, _ := t.sum(i, links, &t.steps[i].linkUsers)
			return sessions / users, users > 0
		})
	}
	t.family("virtual_proxy:qlik_virtual_proxy_sessions_per_user:ratio7d", "gauge")
	for proxy, links := range t.served {
		t.series("virtual_proxy:qlik_virtual_proxy_sessions_per_user:ratio7d", labels(proxy), detail, t.usual(links))
	}
	t.slots("virtual_proxy:qlik_slots_at_limit:max", t.record(), 0, slotsAtLimit)
	t.slots("virtual_proxy:qlik_reclaimable_slots:max", t.record(), 0, idleSlots)
	t.family("qlik_node:qlik_virtual_proxy_sessions:sum", "gauge")
	for node, name := range t.nodes {
		var links []int
		for i, l := range t.links {
			if l.node == node {
				links = append(links, i)
			}
		}
		t.series("qlik_node:qlik_virtual_proxy_sessions:sum", t.record()+fmt.Sprintf(",qlik_node=%q", name), 0, func(i int) (float64, bool) {
			return t.sum(i, links, &t.steps[i].sessions)
		})
	}
}

func slotsAtLimit(s *step) *[proxies]uint16 { return &s.atLimit }
func idleSlots(s *step) *[proxies]uint16    { return &s.idle }

// slots writes slots by virtual proxy.
func (t *text) slots(name, labels string, from int, of func(s *step) *[proxies]uint16) {
	t.family(name, "gauge")
	for proxy, prefix := range t.proxies {
		t.series(name, fmt.Sprintf("%s,virtual_proxy=%q", labels, prefix), from, func(i int) (float64, bool) {
			return float64(of(&t.steps[i])[proxy]), t.up(i) && t.exists(i, proxy)
		})
	}
}

// usual returns the sessions per user over the last seven days, available after
// one day.
func (h *history) usual(links []int) func(i int) (float64, bool) {
	sessions, users := make([]float64, len(h.steps)+1), make([]float64, len(h.steps)+1) // cumulative, up to a step
	for i := range h.steps {
		s, _ := h.sum(i, links, &h.steps[i].sessions)
		u, _ := h.sum(i, links, &h.steps[i].linkUsers)
		sessions[i+1], users[i+1] = sessions[i]+s, users[i]+u
	}
	return func(i int) (float64, bool) {
		from := max(0, i+1-7*daySteps)
		u := users[i+1] - users[from]
		return (sessions[i+1] - sessions[from]) / u, u > 0 && i >= daySteps
	}
}

// detailedLinks writes the exporter's metrics of the links.
func (t *text) detailedLinks(from int) {
	labels := func(link int) string {
		return fmt.Sprintf("%s,qlik_node=%q,virtual_proxy=%q", t.target(), t.nodes[t.links[link].node], t.proxies[t.links[link].proxy])
	}
	for _, m := range []struct {
		name  string
		value func(s *step, link int) uint16
	}{
		{"qlik_virtual_proxy_sessions", func(s *step, link int) uint16 { return s.sessions[link] }},
		{"qlik_virtual_proxy_users", func(s *step, link int) uint16 { return s.linkUsers[link] }},
	} {
		t.family(m.name, "gauge")
		for link := range t.links {
			t.series(m.name, labels(link), from, func(i int) (float64, bool) {
				return float64(m.value(&t.steps[i], link)), t.answers(i, link)
			})
		}
	}
	t.family("qlik_virtual_proxy_session_inactivity_timeout_seconds", "gauge")
	for link := range t.links {
		proxy := t.links[link].proxy
		t.series("qlik_virtual_proxy_session_inactivity_timeout_seconds", labels(link), from, func(i int) (float64, bool) {
			return t.timeouts[proxy].Seconds(), t.exists(i, proxy)
		})
	}
	t.family("qlik_virtual_proxy_up", "gauge")
	for link := range t.links {
		t.series("qlik_virtual_proxy_up", labels(link), from, func(i int) (float64, bool) {
			return float64(boolToInt(t.answers(i, link))), t.exists(i, t.links[link].proxy)
		})
	}
	for _, m := range []struct {
		name  string
		value func(s *step, proxy int) uint16
	}{
		{"qlik_sessions_started_total", func(s *step, proxy int) uint16 { return s.started[proxy] }},
		{"qlik_sessions_ended_total", func(s *step, proxy int) uint16 { return s.ended[proxy] }},
	} {
		t.family(m.name, "counter")
		for proxy, name := range t.proxies {
			total := 0
			t.series(m.name, t.target()+fmt.Sprintf(",virtual_proxy=%q", name), from, func(i int) (float64, bool) {
				total += int(m.value(&t.steps[i], proxy))
				return float64(total), t.exists(i, proxy)
			})
		}
	}
	t.slots("qlik_slots_at_limit", t.target(), from, slotsAtLimit)
	t.slots("qlik_reclaimable_slots", t.target(), from, idleSlots)
	t.detailedReached(from)
	t.detailedRefusals(from)
}

// detailedLicenses writes the exporter's metrics of licenses.
func (t *text) detailedLicenses(from int) {
	for _, m := range seatMetrics {
		t.seats(m.metric, t.target(), from, m.value)
	}
	t.activeUsers("qlik_license_users_active", t.target(), from)
	t.detailedCapacity(from)
	t.gauge("qlik_license_expiry_timestamp_seconds", t.target(), from, t.licenseExpiry)
	t.gauge("qlik_license_valid", t.target(), from, valid)
}

// users writes the series of the exporter and of the rules for users.
func (t *text) users() {
	target, record := t.target(), t.record()
	present := func(s *seen) bool { return s.present() }

	t.family("qlik_user_sessions", "gauge")
	t.series("qlik_user_sessions", t.anonymous(), t.userBegin(), func(i int) (float64, bool) {
		public := len(t.links) - 1
		visitors := t.steps[i].sessions[public]
		return float64(visitors), visitors > 0
	})
	for _, p := range t.people {
		for proxy, name := range t.proxies {
			t.user("qlik_user_sessions", labelsOf(p, target)+fmt.Sprintf(",virtual_proxy=%q", name), p, func(s *seen, _ int) (float64, bool) {
				return float64(s.proxies[proxy]), s.proxies[proxy] > 0
			})
		}
	}
	t.everyUser("qlik_session_limit_headroom", target, func(_ *person, s *seen, _ int) (float64, bool) {
		return float64(limit - int(s.sessions)), present(s)
	})
	t.everyUser("qlik_user_effective_headroom", target, func(_ *person, s *seen, _ int) (float64, bool) {
		return float64(s.effective()), present(s)
	})
	t.everyUser("user:qlik_session_limit_headroom:min", record, func(_ *person, s *seen, _ int) (float64, bool) {
		return float64(limit - int(s.sessions)), s.manySessions()
	})
	t.everyUser("user:qlik_user_effective_headroom:min", record, func(p *person, s *seen, _ int) (float64, bool) {
		return float64(s.effective()), present(s) && p.limited() && s.effective() <= 1
	})
	t.everyUser("qlik_user_cooling_slots", target, func(_ *person, s *seen, _ int) (float64, bool) {
		return float64(s.cooling), s.cooling > 0
	})
	t.everyUser("qlik_user_licensed_sessions", target, func(_ *person, s *seen, _ int) (float64, bool) {
		return float64(s.taken), present(s)
	})
	t.everyUser("qlik_user_next_slot_timestamp_seconds", target, func(_ *person, s *seen, i int) (float64, bool) {
		day := t.time(i) / daySeconds * daySeconds
		return float64(day + int64(s.next)*60), s.effective() == 0
	})
	t.everyUser("qlik_user_oldest_session_first_seen_timestamp_seconds", target, func(_ *person, s *seen, i int) (float64, bool) {
		day := t.time(i) / daySeconds * daySeconds
		return float64(day + int64(s.oldest)*60), s.sessions > 0 && s.effective() <= 1
	})
	t.family("qlik_user_license_info", "gauge")
	for _, p := range t.people {
		labels := []string{qlik.LicenseUnknown}
		if p.limited() {
			labels = append(labels, labelOf(p.license))
		}
		for _, license := range labels {
			t.user("qlik_user_license_info", fmt.Sprintf("license=%q,%s", license, labelsOf(p, target)), p, func(s *seen, _ int) (float64, bool) {
				return 1, present(s) && p.licenseLabel(s) == license
			})
		}
	}
	t.userStates(record)
	t.userEvents(target)
	t.userCauses()
}

func (h *history) anonymous() string {
	return h.target() + `,user_directory="NONE",user_id="anonymous",virtual_proxy="` + h.proxies[h.links[len(h.links)-1].proxy] + `"`
}

func labelsOf(p *person, labels string) string {
	return fmt.Sprintf("%s,user_directory=%q,user_id=%q", labels, p.directory, p.id)
}

// everyUser writes a family with one series per user.
func (t *text) everyUser(name, labels string, value func(p *person, s *seen, i int) (float64, bool)) {
	t.family(name, "gauge")
	for _, p := range t.people {
		t.user(name, labelsOf(p, labels), p, func(s *seen, i int) (float64, bool) { return value(p, s, i) })
	}
}

// user writes one series of a user.
func (t *text) user(name, labels string, p *person, value func(s *seen, i int) (float64, bool)) {
	begin := t.userBegin()
	t.series(name, labels, begin, func(i int) (float64, bool) { return value(&p.recent[i-begin], i) })
}

// userStates writes the states that the rules hold for users.
func (t *text) userStates(record string) {
	states := []struct {
		name string
		in   func(s *seen) bool // at this point in time
		held func(s *seen) bool
	}{
		{"near", func(s *seen) bool { return s.effective() <= 1 }, func(s *seen) bool { return s.near }},
		{"reached", func(s *seen) bool { return s.effective() == 0 }, func(s *seen) bool { return s.reached }},
		{"over", func(s *seen) bool { return s.exceeds }, func(s *seen) bool { return s.over }},
	}
	for _, name := range []string{"user:qlik_limit_state:timestamp", "user:qlik_limit_state:held"} {
		t.family(name, "gauge")
		for _, p := range t.people {
			for _, state := range states {
				var last int64
				t.user(name, fmt.Sprintf("state=%q,%s", state.name, labelsOf(p, record)), p, func(s *seen, i int) (float64, bool) {
					in := p.limited() && s.present() && state.in(s)
					if in {
						last = t.time(i)
					}
					return float64(last), in || name == "user:qlik_limit_state:held" && state.held(s) && last > 0
				})
			}
		}
	}
}

// userEvents writes the times at which users reached the limit and were refused.
func (t *text) userEvents(target string) {
	const kept = int64(24 * time.Hour / time.Second) // after the last session, or the last denial
	reached := func(p *person, value func(times int, last int64) float64) func(s *seen, i int) (float64, bool) {
		times, last, seenAt, before := 0, int64(0), int64(0), false
		return func(s *seen, i int) (float64, bool) {
			now := s.present() && s.effective() == 0
			if now && !before {
				times, last = times+1, t.time(i)
			}
			before = now
			if s.present() {
				seenAt = t.time(i)
			}
			return value(times, last), times > 0 && t.time(i)-seenAt < kept && p.limited()
		}
	}
	denied := func(reason int, value func(times int, last int64) float64) func(s *seen, i int) (float64, bool) {
		times, last := 0, int64(0)
		return func(s *seen, i int) (float64, bool) {
			if s.denied[reason] > 0 {
				times, last = times+int(s.denied[reason]), t.time(i)/daySeconds*daySeconds+int64(s.deniedAt[reason])*60
			}
			return value(times, last), times > 0 && t.time(i)-last < kept
		}
	}
	t.lastRefused(target)
	times := func(times int, _ int64) float64 { return float64(times) }
	last := func(_ int, last int64) float64 { return float64(last) }
	t.family("qlik_user_limit_reached_total", "counter")
	for _, p := range t.people {
		t.user("qlik_user_limit_reached_total", labelsOf(p, target), p, reached(p, times))
	}
	t.family("qlik_user_last_limit_reached_timestamp_seconds", "gauge")
	for _, p := range t.people {
		t.user("qlik_user_last_limit_reached_timestamp_seconds", labelsOf(p, target), p, reached(p, last))
	}
	for _, m := range []struct {
		name, kind string
		value      func(times int, last int64) float64
	}{
		{"qlik_user_access_denied_total", "counter", times},
		{"qlik_user_last_access_denied_timestamp_seconds", "gauge", last},
	} {
		t.family(m.name, m.kind)
		for _, p := range t.people {
			for number, reason := range refusalReasons {
				t.user(m.name, fmt.Sprintf("reason=%q,%s", reason, labelsOf(p, target)), p, denied(number, m.value))
			}
		}
	}
}
