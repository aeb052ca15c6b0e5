package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var historyEnd = time.Date(2026, time.November, 19, 16, 2, 30, 0, time.UTC) // a Thursday

func writeHistory(t *testing.T, options HistoryOptions) string {
	t.Helper()
	var text bytes.Buffer
	if err := WriteHistory(&text, options); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestHistoryFollowsFromOptions(t *testing.T) {
	t.Parallel()
	seen := make(map[[sha256.Size]byte]HistoryOptions)
	for _, options := range []HistoryOptions{
		{End: historyEnd, Days: 1, Users: 50},
		{End: historyEnd, Days: 2, Users: 50},
		{End: historyEnd, Days: 1, Users: 60},
		{End: historyEnd, Days: 1, Users: 50, Site: "oslo"},
		{End: historyEnd.Add(5 * time.Minute), Days: 1, Users: 50},
	} {
		text := writeHistory(t, options)
		if text != writeHistory(t, options) {
			t.Errorf("%+v: not the same twice", options)
		}
		sum := sha256.Sum256([]byte(text))
		if other, ok := seen[sum]; ok {
			t.Errorf("%+v: the same as %+v", options, other)
		}
		seen[sum] = options
	}
}

func TestHistoryRefuses(t *testing.T) {
	t.Parallel()
	for _, options := range []HistoryOptions{
		{End: historyEnd},
		{End: historyEnd, Days: -1},
		{End: historyEnd, Days: 4000},
		{End: historyEnd, Days: 1, Users: -1},
		{End: historyEnd, Days: 1, Users: 10_000},
	} {
		var text bytes.Buffer
		if err := WriteHistory(&text, options); err == nil || text.Len() > 0 {
			t.Errorf("%+v: %v, %d bytes", options, err, text.Len())
		}
	}
}

func TestEnd(t *testing.T) {
	t.Parallel()
	if err := run(HistoryOptions{Days: 1, Users: 1}, "yesterday"); err == nil || !strings.Contains(err.Error(), "-end") {
		t.Errorf("got %v", err)
	}
}

// sampled is a history read back: values by series and time.
type sampled map[string]map[int64]float64

var sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.+)\} (\S+) (\d+)$`)

// readHistory reads the output and checks the order that OpenMetrics requires: by
// family, then by series, then by time.
func readHistory(t *testing.T, text string) sampled {
	t.Helper()
	history := make(sampled)
	families := make(map[string]bool)
	family, series, last := []string(nil), "", int64(0) // names of samples of the family
	lines := strings.Split(text, "\n")
	if !strings.HasSuffix(text, "\n# EOF\n") {
		t.Fatalf("it ends with %q", lines[len(lines)-2:])
	}
	for _, line := range lines[:len(lines)-2] {
		if declared, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(declared, " ")
			if families[name] {
				t.Fatalf("%s comes twice", name)
			}
			families[name] = true
			switch kind {
			case "counter":
				family = []string{name + "_total"}
			case "histogram":
				family = []string{name + "_bucket", name + "_count", name + "_sum"}
			default:
				family = []string{name}
			}
			continue
		}
		parts := sampleLine.FindStringSubmatch(line)
		if parts == nil {
			t.Fatalf("not a sample: %s", line)
		}
		value, err := strconv.ParseFloat(parts[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		at, err := strconv.ParseInt(parts[4], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		key := parts[1] + "{" + parts[2] + "}"
		switch {
		case !slices.Contains(family, parts[1]):
			t.Fatalf("in the family %s: %s", family, line)
		case key != series && history[key] != nil:
			t.Fatalf("%s comes again after another", key)
		case key == series && at <= last:
			t.Fatalf("not later than the sample before: %s", line)
		case at > historyEnd.Unix():
			t.Fatalf("after the end: %s", line)
		}
		if history[key] == nil {
			history[key] = make(map[int64]float64)
		}
		history[key][at] = value
		series, last = key, at
	}
	return history
}

// sum adds up the series of a metric whose labels contain all given words.
func (s sampled) sum(metric string, words ...string) map[int64]float64 {
	sums := make(map[int64]float64)
	for key, values := range s {
		if !strings.HasPrefix(key, metric+"{") || slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(key, word) }) {
			continue
		}
		for at, value := range values {
			sums[at] += value
		}
	}
	return sums
}

// count returns, for each time, the number of series of a metric whose value is
// accepted.
func (s sampled) count(metric string, accept func(key string, value float64) bool, words ...string) map[int64]float64 {
	counted := make(sampled)
	for key, values := range s {
		accepted := make(map[int64]float64)
		for at, value := range values {
			if strings.HasPrefix(key, metric+"{") && accept(key, value) {
				accepted[at] = 1
			}
		}
		counted[key] = accepted
	}
	return counted.sum(metric, words...)
}

func sameSums(t *testing.T, what string, a, b map[int64]float64) {
	t.Helper()
	if len(a) == 0 {
		t.Errorf("%s: nothing to compare", what)
	}
	for at := range maps.Keys(a) {
		if a[at] != b[at] {
			t.Errorf("%s: %g and %g at %s", what, a[at], b[at], time.Unix(at, 0).UTC())
			return
		}
	}
	for at := range maps.Keys(b) {
		if _, ok := a[at]; !ok && b[at] != 0 {
			t.Errorf("%s: nothing and %g at %s", what, b[at], time.Unix(at, 0).UTC())
			return
		}
	}
}

// userOf returns the user, which is at the end of a series' labels.
func userOf(key string) string {
	_, user, _ := strings.Cut(key, "user_directory=")
	return user
}

// TestHistoryAddsUp checks that the values of different metrics are consistent.
func TestHistoryAddsUp(t *testing.T) {
	t.Parallel()
	h := readHistory(t, writeHistory(t, HistoryOptions{End: historyEnd, Days: 2, Users: 300, Site: "a", Seed: 1}))
	sessions := h.sum("qlik_sessions")
	if busiest := slices.Max(slices.Collect(maps.Values(sessions))); busiest < 120 {
		t.Errorf("at most %g sessions on a working day", busiest)
	}
	sameSums(t, "sessions and those of links", sessions, h.sum("qlik_virtual_proxy_sessions"))
	sameSums(t, "sessions and those of users", sessions, h.sum("qlik_user_sessions"))
	sameSums(t, "sessions as recorded", sessions, h.sum("site:qlik_sessions:max"))
	sameSums(t, "sessions by virtual proxy as recorded", sessions, h.sum("virtual_proxy:qlik_virtual_proxy_sessions:sum"))
	sameSums(t, "sessions by node as recorded", sessions, h.sum("qlik_node:qlik_virtual_proxy_sessions:sum"))
	sameSums(t, "users as recorded", h.sum("qlik_users"), h.sum("site:qlik_users:sum"))
	many := func(_ string, headroom float64) bool { return headroom <= 2 }
	sameSums(t, "users with many sessions", h.count("qlik_session_limit_headroom", many), h.sum("site:qlik_users_with_series:count"))
	for name, accept := range map[string]func(string, float64) bool{
		"over": func(_ string, headroom float64) bool { return headroom < 0 },
		"0":    func(_ string, headroom float64) bool { return headroom == 0 },
		"1":    func(_ string, headroom float64) bool { return headroom == 1 },
		"4":    func(_ string, headroom float64) bool { return headroom == 4 },
	} {
		sameSums(t, "users with headroom "+name, h.count("qlik_session_limit_headroom", accept), h.sum("qlik_users", `headroom="`+name+`"`))
	}
	// The definitions of the rules, for times at which all nodes answer.
	licensed := make(map[string]bool)
	for key := range h {
		if strings.HasPrefix(key, "qlik_user_license_info{") && !strings.Contains(key, `license="unknown"`) {
			licensed[userOf(key)] = true
		}
	}
	for record, most := range map[string]float64{"site:qlik_users_near_limit:count": 1, "site:qlik_users_limit_reached:count": 0} {
		counted := h.count("qlik_user_effective_headroom", func(key string, headroom float64) bool {
			return headroom <= most && licensed[userOf(key)]
		})
		if slices.Max(slices.Collect(maps.Values(counted))) < 2 {
			t.Errorf("%s: there are never two", record)
		}
		sameSums(t, record, counted, h.sum(record))
	}
	last := historyEnd.Unix() / stepSeconds * stepSeconds
	lines, logins := 0.0, 0.0
	for _, reason := range refusalReasons {
		label := `reason="` + reason + `"`
		refused := h.sum("qlik_logins_refused_total", label)
		if (refused[last] == 0) != (reason == "no_license") { // there is analyzer capacity
			t.Errorf("%g are refused: %s", refused[last], reason)
		}
		lines, logins = lines+h.sum("qlik_access_denied_total", label)[last], logins+refused[last]
		recorded := h.sum("reason:qlik_logins_refused:increase1d", label)[last] * (daySteps - 1) / daySteps
		if increase := refused[last] - refused[last-daySeconds+stepSeconds]; math.Abs(recorded-increase) > 1e-9 {
			t.Errorf("%s: %g logins in a day, recorded are %g", reason, increase, recorded)
		}
	}
	if lines <= logins || lines > 2*logins {
		t.Errorf("%g lines in audit logs, %g logins", lines, logins)
	}
	near := make(map[string]bool) // users, each at the times when there is a cause
	for key, values := range h {
		for at, value := range values {
			refused := at-int64(value) < 15*60
			switch metric, _, _ := strings.Cut(key, "{"); {
			case metric == "qlik_user_effective_headroom" && value <= 1, metric == "qlik_user_last_access_denied_timestamp_seconds" && refused:
				near[fmt.Sprint(userOf(key), " ", at)] = true
			}
		}
	}
	for key, values := range h {
		for at := range values {
			if moment := fmt.Sprint(userOf(key), " ", at); strings.HasPrefix(key, "qlik_user_limit_cause{") && !near[moment] {
				t.Errorf("a second cause, or one for no reason: %s at %d", key, at)
			} else if strings.HasPrefix(key, "qlik_user_limit_cause{") {
				delete(near, moment)
			}
		}
	}
	if len(near) > 0 {
		t.Errorf("without a cause: %v", near)
	}
	for _, cause := range []string{"service_account", "cooling", "forgotten_windows", "several_virtual_proxies", "several_windows"} {
		label := `cause="` + cause + `"`
		sameSums(t, label, h.sum("qlik_user_limit_cause", label), h.sum("cause:qlik_user_limit_cause:count", label))
	}
	atLimit := make(map[int64]float64)
	for key, values := range h {
		for at, slots := range values {
			if user := userOf(key); strings.HasPrefix(key, "qlik_user_licensed_sessions{") && slots >= 5 && licensed[user] {
				atLimit[at] += slots
			}
		}
	}
	sameSums(t, "slots at the limit", atLimit, h.sum("qlik_slots_at_limit"))
	sameSums(t, "slots at the limit as recorded", atLimit, h.sum("virtual_proxy:qlik_slots_at_limit:max"))
	sameSums(t, "idle slots as recorded", h.sum("qlik_reclaimable_slots"), h.sum("virtual_proxy:qlik_reclaimable_slots:max"))
	if idle := slices.Max(slices.Collect(maps.Values(h.sum("qlik_reclaimable_slots")))); idle < 2 {
		t.Errorf("at most %g idle slots", idle)
	}
	times := h.sum("qlik_limit_reached_longest_idle_seconds_count")
	sameSums(t, "times at the limit", times, h.sum("qlik_limit_reached_longest_idle_seconds_bucket", `le="+Inf"`))
	below := 0.0
	for _, le := range []string{"60.0", "780.0", "1680.0", "3600.0", "+Inf"} {
		all := h.sum("qlik_limit_reached_longest_idle_seconds_bucket", `le="`+le+`"`)
		recorded := h.sum("le:qlik_limit_reached_longest_idle_seconds_bucket:increase1d", `le="`+le+`"`)[last] * (daySteps - 1) / daySteps
		if increase := all[last] - all[last-daySeconds+stepSeconds]; math.Abs(recorded-increase) > 1e-9 || recorded < below {
			t.Errorf("le=%s: %g times at the limit in a day, recorded are %g", le, increase, recorded)
		}
		below = recorded
	}
	if mean := h.sum("qlik_limit_reached_longest_idle_seconds_sum")[last] / times[last]; mean < 60 || mean > 1800 {
		t.Errorf("the longest idle session has been idle for %g s on average, of %g", mean, times[last])
	}
	minutes, reached := 0.0, 0.0
	for _, value := range h.sum("site:qlik_user_minutes_at_limit:sum1m") {
		minutes += value
	}
	for at, value := range h.sum("site:qlik_users_limit_reached:count") {
		if at != historyEnd.Unix()/stepSeconds*stepSeconds { // the last step has a single minute
			reached += 5 * value
		} else {
			reached += value
		}
	}
	if minutes != reached || minutes == 0 {
		t.Errorf("%g user-minutes at the limit, counted otherwise %g", minutes, reached)
	}
	for _, license := range []string{"professional", "analyzer"} {
		label := `license="` + license + `"`
		left := h.sum("qlik_license_seats_available", label)
		given := h.sum("qlik_license_seats_allocated", label)
		active, used := h.sum("qlik_license_users_active", label, `window="90d"`), h.sum("qlik_license_seats_used", label)
		seats := h.sum("qlik_license_seats", label)
		if len(seats) != len(sessions) {
			t.Errorf("%s: seats at %d of %d moments", license, len(seats), len(sessions))
		}
		for at, bought := range seats {
			if left[at]+given[at] != bought || left[at] < 0 || active[at] > used[at] || used[at] > given[at] || active[at] < 0.5*given[at] {
				t.Fatalf("%s: %g seats, %g given, %g left, %g used, %g of these lately", license, bought, given[at], left[at], used[at], active[at])
			}
		}
	}
}

// TestHistoryKnowsWhoWasRefused checks that each refused login has a reason, a cause and a
// person.
func TestHistoryKnowsWhoWasRefused(t *testing.T) {
	t.Parallel()
	var text strings.Builder // the rest takes long to read
	for line := range strings.Lines(writeHistory(t, HistoryOptions{End: historyEnd, Days: 60, Users: 300, Seed: 3})) {
		if strings.HasPrefix(line, "#") || strings.Contains(line, "refus") {
			text.WriteString(line)
		}
	}
	h := readHistory(t, text.String())
	logins := h.sum("qlik_logins_refused_total")
	sameSums(t, "refused logins by cause", logins, h.sum("qlik_refusal_causes_total"))
	byReason, byCause := h.sum("reason:qlik_logins_refused:increase1d"), h.sum("cause:qlik_refusal_causes:increase1d")
	if len(byReason) != 60*daySteps-1 || len(byCause) != len(byReason) {
		t.Errorf("recorded %d times by reason, %d by cause", len(byReason), len(byCause))
	}
	for at, n := range byReason {
		if math.Abs(byCause[at]-n) > 1e-9 {
			t.Fatalf("%g refused logins of a day by cause, %g by reason", byCause[at], n)
		}
	}
	for _, reason := range refusalReasons {
		label := `reason="` + reason + `"`
		logins := h.sum("qlik_logins_refused_total", label)
		people := make(map[int64]float64) // with a refused login since the step before
		for key, values := range h {
			for at, last := range values {
				if strings.HasPrefix(key, "user:qlik_user_last_login_refused:timestamp{") && strings.Contains(key, label) && at-int64(last) < stepSeconds {
					people[at]++
				}
			}
		}
		counted, known := 0.0, 0.0
		for at, n := range logins {
			before, ok := logins[at-stepSeconds]
			if !ok {
				continue
			}
			counted, known = counted+n-before, known+people[at]
			if people[at] > n-before || people[at] == 0 && n > before {
				t.Fatalf("%s: %g people, %g refused logins", reason, people[at], n-before)
			}
		}
		if known < 0.95*counted || counted < 100 && reason == "session_limit" {
			t.Errorf("%s: %g refused logins, %g times of people", reason, counted, known)
		}
	}
	shown := 0
	for key, values := range h {
		user, is := strings.CutPrefix(key, "user:qlik_user_last_login_refused:timestamp{")
		if !is {
			continue
		}
		gauge := h["qlik_user_last_login_refused_timestamp_seconds{"+strings.Replace(user, `job=`, `instance="localhost:9986",job=`, 1)]
		for at, last := range values {
			if at > historyEnd.Unix()-userDays*daySeconds {
				if shown++; gauge[at] != last {
					t.Fatalf("%s: recorded %g, shown %g", user, last, gauge[at])
				}
			}
			if at-int64(last) >= 6*3600 || at < int64(last) {
				t.Fatalf("%s: %g is recorded at %d", user, last, at)
			}
		}
	}
	if shown == 0 {
		t.Error("nobody was refused in the last two days")
	}
}

// TestHistoryOutage checks that the data of nodes that do not answer is unknown,
// and that users stay at the limit in the meantime.
func TestHistoryOutage(t *testing.T) {
	t.Parallel()
	h := newHistory(HistoryOptions{End: historyEnd, Days: 2, Users: users, Seed: 1})
	h.takeDown(h.finalDay, 6*hourSteps, 7*hourSteps, 0b111)
	for hour := 8; hour < 16; hour++ {
		h.takeDown(h.finalDay, hour*hourSteps, hour*hourSteps+hourSteps/2, 0b110)
	}
	h.simulate()
	held, partial, total := false, 0, 0
	for i := range h.steps {
		s := &h.steps[i]
		switch bits.OnesCount8(s.down) {
		case 0:
			continue
		case len(h.nodes):
			if total++; h.usersAt(i) != 0 {
				t.Fatalf("%d users while no node answers", h.usersAt(i))
			}
		default:
			partial++
			held = held || i > 0 && h.steps[i-1].down == 0 && s.reached > 0 && s.users[0]+s.users[limit+1] < s.reached
		}
		for link := range h.links {
			if !h.answers(i, link) && (s.sessions[link] != 0 || s.linkUsers[link] != 0) {
				t.Fatalf("sessions of a node that does not answer: %+v", s)
			}
		}
		if _, ok := h.sum(i, []int{len(h.links) - 1}, &s.sessions); ok != h.answers(i, len(h.links)-1) {
			t.Fatal("what nobody answers for is recorded")
		}
	}
	if partial < 8*hourSteps/2 || total != hourSteps || !held {
		t.Errorf("%d steps without a node, %d without all; a user was held at the limit: %t", partial, total, held)
	}
}

var seeds = flag.Uint64("seeds", 2, "years that TestHistoryIsPlausible makes up (.ci/slow makes up 20)")

// TestHistoryIsPlausible checks that a year shows what capacity planning needs, with any
// random numbers.
func TestHistoryIsPlausible(t *testing.T) {
	t.Parallel()
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed ", seed+1), func(t *testing.T) {
			t.Parallel()
			h := newHistory(HistoryOptions{End: historyEnd, Days: 365, Users: users, Seed: seed + 1})
			h.simulate()
			year := &days{T: t, of: make([]day, 366)}
			for i := range h.steps {
				year.of[h.time(i)/daySeconds-h.begin/daySeconds].add(h, i)
			}
			year.check()
			checkSeats(t, h)
			checkCapacity(t, h)
		})
	}
}

// day is what a planner sees of a day.
type day struct {
	peak, minutes, refused int // users at the same time; user-minutes at the limit; logins refused for the limit
	atLimit                [proxies]int
	weekend                bool
}

func (d *day) add(h *history, i int) {
	s := &h.steps[i]
	d.peak = max(d.peak, h.usersAt(i))
	d.minutes += 5 * int(s.reached)
	d.refused += int(s.refused[0])
	for proxy, slots := range s.atLimit {
		d.atLimit[proxy] += int(slots)
	}
	weekday := time.Unix(h.time(i), 0).UTC().Weekday()
	d.weekend = weekday == time.Saturday || weekday == time.Sunday
}

// days are those of a history.
type days struct {
	*testing.T

	of []day
}

// sum adds up the values of some days.
func (d *days) sum(from, to int, value func(*day) int) (sum int) {
	for i := from; i < to; i++ {
		sum += value(&d.of[i])
	}
	return sum
}

// peak returns the most users at the same time on some days.
func (d *days) peak(from, to int, weekend bool) (peak int) {
	for _, day := range d.of[from:to] {
		if day.weekend == weekend {
			peak = max(peak, day.peak)
		}
	}
	return peak
}

func (d *days) check() {
	minutes, refused := func(d *day) int { return d.minutes }, func(d *day) int { return d.refused }
	if first, last := d.peak(0, 28, false), d.peak(338, 366, false); last*100 < first*115 || last*100 > first*170 {
		d.Errorf("at most %d users in the first weeks, %d in the last", first, last)
	}
	if work, rest := d.peak(330, 358, false), d.peak(330, 358, true); rest*4 > work {
		d.Errorf("%d users on working days, %d at weekends", work, rest)
	}
	portal, fixed := 365-portalBegins, 365-portalEnds
	for what, of := range map[string]func(*day) int{"user-minutes at the limit": minutes, "refusals": refused} {
		if before, broken, after := d.sum(portal-12, portal, of), d.sum(portal, fixed, of), d.sum(fixed+1, fixed+13, of); before == 0 || broken < 2*before || broken < 2*after {
			d.Errorf("%d %s before the page was broken, %d while it was, %d after", before, what, broken, after)
		}
	}
	live := 365 - appBegins
	before, first, last := d.sum(live-28, live, refused), d.sum(live, live+56, refused), d.sum(366-56, 366, refused)
	if before == 0 || first < 2*before || last < 2*first || last > 3*users {
		d.Errorf("%d refusals in four weeks before the mobile app, then %d in eight weeks, and %d in the last eight", before, first, last)
	}
	const mobile = 4
	var slots [proxies]int
	for proxy := range slots {
		at := func(d *day) int { return d.atLimit[proxy] }
		slots[proxy] = d.sum(366-28, 366, at)
		if early := d.sum(0, live, at); proxy == mobile && early > 0 {
			d.Errorf("%d slots of the mobile app before it was there", early)
		}
	}
	if slices.Max(slots[:]) != slots[mobile] {
		d.Errorf("slots at the limit by virtual proxy: %d", slots)
	}
}

// checkSeats checks that seats were bought when they ran out.
func checkSeats(t *testing.T, h *history) {
	t.Helper()
	for number, license := range seatLicenses {
		bought, steps := h.steps[0].seats[number].bought, 0
		for i := range h.steps {
			s := h.steps[i].seats[number]
			if s.bought < bought || s.allocated > s.bought {
				t.Fatalf("%s: %+v after %d had been bought", license, s, bought)
			}
			if s.bought > bought {
				bought, steps = s.bought, steps+1
			}
		}
		if steps < 1 || steps > 8 {
			t.Errorf("%s: seats were bought %d times", license, steps)
		}
	}
}

// TestSeasons checks that each season looks like that of the year before, with more people.
func TestSeasons(t *testing.T) {
	t.Parallel()
	h := newHistory(HistoryOptions{End: historyEnd, Days: 730, Users: users, Seed: 1})
	h.simulate()
	work := make(map[string][2]int) // user-steps of a month, by year
	for i := range h.steps {
		month, year := time.Unix(h.time(i), 0).UTC().Format("January"), (len(h.steps)-1-i)/(365*daySteps)
		of := work[month]
		of[year] += h.usersAt(i)
		work[month] = of
	}
	for month, of := range work {
		if ratio := float64(of[0]) / float64(of[1]); ratio < 1.2 || ratio > 1.6 {
			t.Errorf("%s: %.2f times the work of the year before", month, ratio)
		}
	}
	for year := range 2 {
		if summer := work["August"][year]; summer*10 > work["June"][year]*9 || summer*10 > work["October"][year]*9 {
			t.Errorf("nobody is on vacation in August: %v", work)
		}
	}
}

// TestHolidays checks that a day's work is what people expect of the date.
func TestHolidays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		date            string
		atLeast, atMost float64
	}{
		{"2024-03-29", 0, 0.1}, // Good Friday
		{"2025-04-21", 0, 0.1}, // Easter Monday
		{"2026-04-06", 0, 0.1},
		{"2027-03-29", 0, 0.1},
		{"2038-04-26", 0, 0.1},
		{"2026-05-14", 0, 0.1}, // Ascension Day
		{"2026-05-15", 0.3, 0.6},
		{"2026-05-25", 0, 0.1}, // Whit Monday
		{"2026-12-25", 0, 0.1},
		{"2026-12-29", 0.3, 0.5},
		{"2026-12-31", 0, 0.3},
		{"2026-08-12", 0.6, 0.75},
		{"2026-07-22", 0.75, 0.9},
		{"2026-09-16", 1, 1.1},
		{"2026-09-19", 0, 0.1}, // a Saturday
	} {
		date, err := time.Parse(time.DateOnly, c.date)
		if err != nil {
			t.Fatal(err)
		}
		if busy := busyness(date.Unix() / daySeconds); busy < c.atLeast || busy > c.atMost {
			t.Errorf("%s: %g of an ordinary day", date.Format("Mon 2 Jan 2006"), busy)
		}
	}
}

// checkCapacity checks that the analyzer capacity begins anew with each month, that it runs
// out in one month, that more is ordered then, and that people without a seat are refused
// while none is left, and only then.
func checkCapacity(t *testing.T, h *history) {
	t.Helper()
	var before minutes
	used, usedUp, ordered := 0, 0, 0
	for i := range h.steps {
		c := h.steps[i].capacity
		empty := c.used+unitMinutes > c.allocated
		refused := h.steps[i].refused[noLicense]
		if date := time.Unix(h.time(i), 0).UTC(); i > 0 && (c.used < before.used) != (date.Day() == 1 && date.Hour() == 0 && date.Minute() == 0) {
			t.Fatalf("%d minutes are used at %s, %d before", c.used, date, before.used)
		}
		switch {
		case c.used > c.allocated, refused > 0 && !empty:
			t.Fatalf("%d of %d minutes are used, and %d are refused", c.used, c.allocated, refused)
		case c.used < before.used && before.used+unitMinutes > before.allocated:
			usedUp++
		case c.used < before.used:
			used++
		}
		if c.allocated != before.allocated && i > 0 {
			ordered++
			if c.allocated < before.allocated || before.used+unitMinutes <= before.allocated || c.used > 0 {
				t.Errorf("%+v was ordered after %+v", c, before)
			}
		}
		before = c
	}
	if usedUp != 1 || ordered != 1 || used != 11 {
		t.Errorf("minutes ran out in %d months, and not in %d; more were ordered %d times", usedUp, used, ordered)
	}
}

// TestTokens checks the license of a site with tokens.
func TestTokens(t *testing.T) {
	t.Parallel()
	h := readHistory(t, writeHistory(t, HistoryOptions{End: historyEnd, Days: 3, Users: 300, Seed: 1, Tokens: true}))
	for _, metric := range []string{"qlik_license_seats", "license:qlik_license_seats:max", "qlik_license_capacity_seconds", "site:qlik_license_capacity_used_seconds:max"} {
		if len(h.sum(metric)) > 0 {
			t.Errorf("a license with tokens has %s", metric)
		}
	}
	total, user := h.sum("site:qlik_license_tokens:max", `"total"`), h.sum("site:qlik_license_tokens:max", `"user_access"`)
	login, left := h.sum("site:qlik_license_tokens:max", `"login_access"`), h.sum("site:qlik_license_tokens_available:min")
	for at, bought := range total {
		if user[at] < 200 || login[at] < 10 || left[at] < 0 || user[at]+login[at]+left[at] != bought {
			t.Fatalf("%g tokens, %g for user access, %g for login access, %g left", bought, user[at], login[at], left[at])
		}
	}
	for state, recorded := range map[string]map[int64]float64{"total": total, "user_access": user, "login_access": login, "available": left} {
		last := historyEnd.Unix() / stepSeconds * stepSeconds
		if now := h.sum("qlik_license_tokens", `"`+state+`"`); now[last] != recorded[last] {
			t.Errorf("%s: %g tokens, recorded are %g", state, now[last], recorded[last])
		}
	}
	for _, license := range []string{"user", "login"} {
		if len(h.sum("qlik_user_license_info", `license="`+license+`"`)) == 0 {
			t.Errorf("nobody uses %s access", license)
		}
	}
}

// TestMobileAppIsNew checks that nothing knows the virtual proxy of the mobile app before
// it went live.
func TestMobileAppIsNew(t *testing.T) {
	t.Parallel()
	var text strings.Builder // the rest takes long to read
	for line := range strings.Lines(writeHistory(t, HistoryOptions{End: historyEnd, Days: appBegins + 3, Users: 50, Seed: 1})) {
		if strings.HasPrefix(line, "#") || strings.Contains(line, `"/mobile"`) {
			text.WriteString(line)
		}
	}
	h := readHistory(t, text.String())
	live := historyEnd.Unix()/daySeconds*daySeconds - appBegins*daySeconds
	for _, record := range []string{"sessions:sum", "users:sum"} {
		mobile := h.sum("virtual_proxy:qlik_virtual_proxy_"+record, `"/mobile"`)
		if first := slices.Min(slices.Collect(maps.Keys(mobile))); first != live {
			t.Errorf("%s: since %s", record, time.Unix(first, 0).UTC())
		}
	}
	if first := slices.Min(slices.Collect(maps.Keys(h.sum("virtual_proxy:qlik_slots_at_limit:max", `"/mobile"`)))); first != live {
		t.Errorf("slots at the limit: since %s", time.Unix(first, 0).UTC())
	}
	if slices.Max(slices.Collect(maps.Values(h.sum("qlik_virtual_proxy_sessions", `"/mobile"`)))) == 0 {
		t.Error("nobody uses it at the end")
	}
}

// TestCompanyFits checks that the demo's company does not exceed the maximum
// numbers of virtual proxies and links, nor the causes theirs.
func TestCompanyFits(t *testing.T) {
	t.Parallel()
	h := newHistory(HistoryOptions{End: historyEnd, Days: 1, Users: users, Seed: 1})
	if len(causeNames) != maxCauses {
		t.Errorf("%d causes", len(causeNames))
	}
	if len(h.proxies) != proxies || len(h.links) != maxLinks || len(h.nodes) > 8 {
		t.Errorf("%d virtual proxies, %d links, %d nodes", len(h.proxies), len(h.links), len(h.nodes))
	}
	last := qliktest.Company(1).VirtualProxies[proxies-1]
	if last.AnonymousAccess == 0 || slices.Contains(popular[:], proxies-1) {
		t.Errorf("the last virtual proxy is not only for anonymous visitors: %+v", last)
	}
}

func TestPromtoolTakesHistory(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not in PATH (Debian: package prometheus), so Prometheus itself has not looked at the history")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "history.om")
	text := writeHistory(t, HistoryOptions{End: historyEnd, Days: 3, Users: 100, Site: `a "site" \ of ours`, Seed: 1})
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), promtool, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=576h", path, filepath.Join(dir, "data")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	imported := 0
	for line := range strings.SplitSeq(string(output), "\n") {
		if fields := strings.Fields(line); len(fields) == 8 {
			if n, err := strconv.Atoi(fields[4]); err == nil {
				imported += n
			}
		}
	}
	if samples := strings.Count(text, "\n") - strings.Count(text, "\n#") - 1; imported != samples {
		t.Errorf("%d samples were imported, %d written:\n%s", imported, samples, output)
	}
}

func BenchmarkHistory(b *testing.B) {
	for b.Loop() {
		if err := WriteHistory(io.Discard, HistoryOptions{End: historyEnd, Days: 365, Users: users, Seed: 1}); err != nil {
			b.Fatal(err)
		}
	}
}
