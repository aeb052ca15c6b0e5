package report

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// question is what Prometheus is asked: a range query at times step apart.
type question struct {
	name  string // the field of the report that follows from it
	query string
	at    when
}

// when are the times of a question.
type when int

const (
	everyDay  when = iota // the end of each day of all weeks
	everyHour             // the end of each hour of the reported time
	atEnd                 // the end of the reported time
)

// Names of the questions.
const (
	askKnown         = "known by day"
	askKnownHours    = "gaps"
	askIncomplete    = "incomplete"
	askRules         = "recording_rules"
	askRefused       = "refused"
	askCauses        = "causes"
	askPeople        = "people"
	askSlots         = "virtual_proxies.slot_hours_at_limit"
	askIdle          = "virtual_proxies.idle_slot_hours_near_limit"
	askTimeouts      = "longest_timeout_minutes"
	askReached       = "shorter_timeouts"
	askGuardEnded    = "guard.ended_sessions"
	askGuardReturned = "guard.returned_sessions"
	askGuardPrevents = "guard.prevented"
	askNodes         = "nodes"
	askNodeHours     = "nodes.hour"
	askUsers         = "peak_users"
	askUserHours     = "peak_users.hour"
	askSessions      = "peak_sessions"
	askSessionHours  = "peak_sessions.hour"
	askSeats         = "licenses.bought"
	askAllocated     = "licenses.assigned"
	askAvailable     = "licenses.free"
	askActive        = "licenses.active_90d"
	askTokens        = "licenses.tokens"
	askTokensFree    = "licenses.tokens.free"
	askCapacity      = "licenses.capacity"
	askCapacityUsed  = "licenses.capacity.used"
	askMonthEnds     = "licenses.capacity.month_ends"
	askValid         = "license_valid"
	askExpiry        = "license_ends"
)

// runOutRules are the recording rules that know when something runs out. Each has two more
// for the earliest and the latest date.
var runOutRules = []struct{ what, labels, rule string }{
	{"seats", "job, site, license", "license:qlik_license_seats_used_up"},
	{"tokens", "job, site", "site:qlik_license_tokens_used_up"},
	{"capacity", "job, site", "site:qlik_license_capacity_used_up"},
}

// runOutEnds are the ends of the names of these rules.
var runOutEnds = []string{runOutLikely, runOutEarliest, runOutLatest}

const (
	runOutLikely   = ""
	runOutEarliest = "_earliest"
	runOutLatest   = "_latest"
)

// shorterTimeouts are inactivity timeouts in minutes. For each of them, the histogram of
// longest idle times has a bucket that ends three minutes later, when Qlik has surely ended an
// idle session. See the rule timeout:qlik_logins_refused:prevented28d.
var shorterTimeouts = []int{25, 20, 15, 10}

const (
	endsLater        = 3 // minutes
	preventedOfShare = 0.9
)

// The time between two looks at whether there is data. It is as long as Prometheus finds
// a sample.
const (
	slot        = 5 * time.Minute
	slotsOfDay  = int(oneDay / slot)
	slotsOfHour = int(time.Hour / slot)
)

// questions returns all questions about the sites that a selector selects.
//
// Exporters of the same site are merged as in the rules for alerts: the maximum counts. Events
// are counted by day, like the Capacity dashboard does, because two exporters may take turns
// and times of events differ by a scrape. The recorded series replace those that a database
// for many years has no longer.
func questions(selector string) []question {
	// A window of one second less has the same number of slots whether or not the server
	// counts its beginning.
	present := `(max by (job, site) (qlik_sessions{SITES}) or max by (job, site) (site:qlik_sessions:max{SITES}))`
	complete := `(max by (job, site) (qlik_sessions_complete{SITES}) or max by (job, site) (site:qlik_sessions_complete:max{SITES}))`
	var buckets []string
	for _, minutes := range shorterTimeouts {
		buckets = append(buckets, fmt.Sprintf("%d([.]0)?", (minutes+endsLater)*60)) // Prometheus 3 adds a decimal
	}
	le := `le=~"` + strings.Join(append(buckets, "[+]Inf"), "|") + `"`

	all := []question{
		{askKnown, `count_over_time(` + present + `[23h59m59s:5m])`, everyDay},
		{askKnownHours, `count_over_time(` + present + `[59m59s:5m])`, everyHour},
		{askIncomplete, `count_over_time((` + complete + ` == 0 and ` + present + `)[23h59m59s:5m])`, everyDay},
		{askRules, `max by (job, site) (count_over_time(site:qlik_sessions:max{SITES}[1d]))`, everyDay},

		{askRefused, increase("job, site, reason", "qlik_logins_refused_total{SITES}", "reason:qlik_logins_refused:increase1d{SITES}"), everyDay},
		{askCauses, increase("job, site, cause", "qlik_refusal_causes_total{SITES}", "cause:qlik_refusal_causes:increase1d{SITES}"), everyDay},
		{askPeople, `max by (job, site, user_directory, user_id) (max_over_time(user:qlik_user_last_login_refused:timestamp{reason="session_limit",SITES}[1d]))`, everyDay},

		{askSlots, `max by (job, site, virtual_proxy) (avg_over_time(virtual_proxy:qlik_slots_at_limit:max{SITES}[1d])) * 24`, everyDay},
		{askIdle, `max by (job, site, virtual_proxy) (avg_over_time(virtual_proxy:qlik_reclaimable_slots:max{SITES}[1d])) * 24`, everyDay},
		{askTimeouts, `max by (job, site, virtual_proxy) (last_over_time(qlik_virtual_proxy_session_inactivity_timeout_seconds{SITES}[1d])) / 60`, everyDay},
		{askReached, increase("job, site, le", "qlik_limit_reached_longest_idle_seconds_bucket{"+le+",SITES}", "le:qlik_limit_reached_longest_idle_seconds_bucket:increase1d{"+le+",SITES}"), everyDay},
		{askGuardEnded, `max by (job, site, mode) (increase(qlik_guard_ended_sessions_total{SITES}[1d]))`, everyDay},
		{askGuardReturned, `max by (job, site) (increase(qlik_guard_returned_sessions_total{SITES}[1d]))`, everyDay},
		{askGuardPrevents, `max by (job, site, reading) (increase(qlik_guard_prevented_refusals_total{SITES}[1d]))`, everyDay},

		{askNodes, `max by (job, site, qlik_node) (max_over_time(qlik_node:qlik_virtual_proxy_sessions:sum{SITES}[1d]))`, everyDay},
		{askNodeHours, `max by (job, site, qlik_node) (max_over_time(qlik_node:qlik_virtual_proxy_sessions:sum{SITES}[1h]))`, everyHour},
		{askUsers, `max by (job, site) (max_over_time(site:qlik_users:sum{SITES}[1d]))`, everyDay},
		{askUserHours, `max by (job, site) (max_over_time(site:qlik_users:sum{SITES}[1h]))`, everyHour},
		{askSessionHours, `max by (job, site) (max_over_time(site:qlik_sessions:max{SITES}[1h]))`, everyHour},
		{askSessions, `max by (job, site) (max_over_time(site:qlik_sessions:max{SITES}[1d]))`, everyDay},

		{askSeats, last("job, site, license", "license:qlik_license_seats:max{SITES}"), atEnd},
		{askAllocated, last("job, site, license", "license:qlik_license_seats_allocated:max{SITES}"), atEnd},
		{askAvailable, last("job, site, license", "license:qlik_license_seats_available:min{SITES}"), atEnd},
		{askActive, last("job, site, license", `license:qlik_license_users_active:max{window="90d",SITES}`), atEnd},
		{askTokens, last("job, site", `site:qlik_license_tokens:max{state="total",SITES}`), atEnd},
		{askTokensFree, last("job, site", "site:qlik_license_tokens_available:min{SITES}"), atEnd},
		{askCapacity, last("job, site", "site:qlik_license_capacity_allocated_seconds:max{SITES}") + " / 60", atEnd},
		{askCapacityUsed, last("job, site", "site:qlik_license_capacity_used_seconds:max{SITES}") + " / 60", atEnd},
		{askMonthEnds, last("job, site", "site:qlik_license_capacity_period_end:timestamp{SITES}"), atEnd},
		{askValid, last("job, site", "site:qlik_license_valid:min{SITES}"), atEnd},
		{askExpiry, last("job, site", "site:qlik_license_expiry_timestamp_seconds:min{SITES}"), atEnd},
	}
	for _, r := range runOutRules {
		for _, end := range runOutEnds {
			all = append(all, question{askRunOut(r.what, end), last(r.labels, r.rule+end+":timestamp{SITES}"), atEnd})
		}
	}
	for i := range all {
		all[i].query = strings.ReplaceAll(all[i].query, "SITES", selector)
	}
	return all
}

// selector returns the matchers of some jobs and sites, or of all if there are none.
func selector(jobs, sites []string) string {
	var matchers []string
	for _, label := range []struct {
		name   string
		values []string
	}{{"job", jobs}, {"site", sites}} {
		var quoted []string
		for _, value := range label.values {
			quoted = append(quoted, regexp.QuoteMeta(value))
		}
		if quoted != nil {
			matchers = append(matchers, label.name+"=~"+strconv.Quote(strings.Join(quoted, "|")))
		}
	}
	return strings.Join(matchers, ",")
}

func askRunOut(what, end string) string { return "licenses.runs_out." + what + end }

// increase returns the query for events within a day.
func increase(labels, counter, recorded string) string {
	return fmt.Sprintf("max by (%s) (increase(%s[1d])) or max by (%s) (%s)", labels, counter, labels, recorded)
}

// last returns the query for the last value within a week.
func last(labels, recorded string) string {
	return fmt.Sprintf("max by (%s) (last_over_time(%s[7d]))", labels, recorded)
}
