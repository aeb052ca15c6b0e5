package collector

import (
	"errors"
	"strconv"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

var (
	sessionLimitDesc = gaugeDesc("qlik_session_limit",
		"Configured number of sessions that the Qlik license allows one user at once.")
	userSeriesMinSessionsDesc = gaugeDesc("qlik_user_series_min_sessions",
		"Configured minimum number of sessions plus cooling slots, or of usage rows, for a user to have series.")
	usersDroppedDesc = gaugeDesc("qlik_users_dropped",
		"Users without series of their own because the configured maximum number of users is exceeded.")
	sessionsDesc = gaugeDesc("qlik_sessions",
		"Distinct sessions of the site.")
	usersDesc = gaugeDesc("qlik_users",
		"Distinct users with sessions, by headroom; over means more sessions than the session limit. Anonymous and unlimited users have no headroom and are not counted.",
		"headroom")
	usersOnSeveralNodesDesc = gaugeDesc("qlik_users_on_several_nodes",
		"Users whose sessions on the virtual proxy are spread over several nodes, which points to a load balancer without sticky sessions.",
		"virtual_proxy")
	slotsAtLimitDesc = gaugeDesc("qlik_slots_at_limit",
		"Slots on the virtual proxy of users without effective headroom: what leads to refused logins. If the usage rows are unknown, each session counts as a slot.",
		"virtual_proxy")
	reclaimableSlotsDesc = gaugeDesc("qlik_reclaimable_slots",
		"Of the slots on the virtual proxy of users with at most one free slot, those whose sessions have not been used for ten minutes. Absent while the usage rows do not tell how long sessions have been idle.",
		"virtual_proxy")
	usageActivityIntervalDesc = gaugeDesc("qlik_usage_activity_interval_seconds",
		"How long it may take until activity is in the repository's usage rows, as measured on this site. A session that seems idle for less than twice this time may be in use. Absent until ten sessions have shown it, or one has shown that it is long.")

	userSessionsDesc = gaugeDesc("qlik_user_sessions",
		"Sessions of the user on the virtual proxy, summed over all nodes, as listed by the proxies in this scrape.",
		"user_directory", "user_id", "virtual_proxy")
	sessionLimitHeadroomDesc = gaugeDesc("qlik_session_limit_headroom",
		"Session limit minus the user's sessions on all virtual proxies and nodes. Negative if the user has more sessions than the limit.",
		"user_directory", "user_id")
	userEffectiveHeadroomDesc = gaugeDesc("qlik_user_effective_headroom",
		"Slots that are really free for the user's next login: session limit minus usage rows if these are known (up to 15 seconds old) and plausible, otherwise minus sessions and cooling slots.",
		"user_directory", "user_id")
	userCoolingSlotsDesc = gaugeDesc("qlik_user_cooling_slots",
		"Slots of the user that are still taken because a session ended at the limit less than the cooling time ago. Absent if there are none.",
		"user_directory", "user_id")
	userNextSlotDesc = gaugeDesc("qlik_user_next_slot_timestamp_seconds",
		"Unix time at which a user without effective headroom gets a free slot if there is no more activity, because a slot has cooled or a session has timed out and its slot has cooled. Absent if unknown.",
		"user_directory", "user_id")
	userLimitCauseDesc = gaugeDesc("qlik_user_limit_cause",
		"Always 1. Why the user has at most one free slot, or was refused within the last 15 minutes: the cause in the runbook. One series for each such user; unknown if the facts do not tell.",
		"user_directory", "user_id", "cause")
	userOldestSessionDesc = gaugeDesc("qlik_user_oldest_session_first_seen_timestamp_seconds",
		"Unix time at which this exporter first saw the user's oldest session. Only for users whose effective headroom is at most 1.",
		"user_directory", "user_id")
	userLimitReachedDesc = counterDesc("qlik_user_limit_reached_total",
		"Number of times that the user's sessions plus cooling slots rose from below the session limit to the limit or above. Kept until 24 hours after the user's last session.",
		"user_directory", "user_id")
	userLastLimitReachedDesc = gaugeDesc("qlik_user_last_limit_reached_timestamp_seconds",
		"Unix time at which the user's sessions plus cooling slots last rose from below the session limit to the limit or above. Kept until 24 hours after the user's last session.",
		"user_directory", "user_id")

	trackingSinceDesc = gaugeDesc("qlik_exporter_tracking_since_timestamp_seconds",
		"Unix time of this exporter's first snapshot. Session starts, ends, cooling slots, and ages before it are unknown.")
	sessionsStartedDesc = counterDesc("qlik_sessions_started_total",
		"Sessions that started, found by comparing successive responses of a node. Sessions shorter than the time between two responses are missed.",
		"virtual_proxy")
	sessionsEndedDesc = counterDesc("qlik_sessions_ended_total",
		"Sessions that ended, found by comparing successive responses of a node. While a node does not respond, its sessions do not count as ended.",
		"virtual_proxy")
	proxyRestartsDesc = counterDesc("qlik_proxy_restarts_total",
		"Number of times that a node with five or more sessions lost all of them at once.",
		"qlik_node")
	loginsRefusedDesc = counterDesc("qlik_logins_refused_total",
		"Refused logins by reason, each once: a session beyond the limit without a slot, a refusal in an audit security log, or both. Further refusals of a user within two minutes are the same login.",
		"reason")
	refusalCausesDesc = counterDesc("qlik_refusal_causes_total",
		"Refused logins by cause, each once, as in qlik_logins_refused_total. The cause is the qlik_user_limit_cause of the user at the time. If there was none, it is no_license or unknown, depending on the reason.",
		"cause")
	userLastLoginRefusedDesc = gaugeDesc("qlik_user_last_login_refused_timestamp_seconds",
		"Unix time of the user's last refused login in qlik_logins_refused_total, seen as a session without a slot, in an audit security log, or both. qlik_user_last_access_denied_timestamp_seconds is from audit logs only. Kept for 24 hours.",
		"user_directory", "user_id", "reason")

	virtualProxyUpDesc = gaugeDesc("qlik_virtual_proxy_up",
		"1 if the node responded for the virtual proxy in this scrape. If 0, its sessions there are unknown.",
		"qlik_node", "virtual_proxy")
	virtualProxyScrapeDurationDesc = gaugeDesc("qlik_virtual_proxy_scrape_duration_seconds",
		"Time until the node responded for the virtual proxy, or until the exporter stopped waiting.",
		"qlik_node", "virtual_proxy")
	virtualProxySessionsDesc = gaugeDesc("qlik_virtual_proxy_sessions",
		"Sessions that the node lists for the virtual proxy.",
		"qlik_node", "virtual_proxy")
	virtualProxyUsersDesc = gaugeDesc("qlik_virtual_proxy_users",
		"Distinct users among the sessions that the node lists for the virtual proxy. Each anonymous browser counts as one user.",
		"qlik_node", "virtual_proxy")
	virtualProxyInfoDesc = gaugeDesc("qlik_virtual_proxy_info",
		"Always 1. Description and authentication method of the virtual proxy."+refreshedFromRepository,
		"qlik_node", "virtual_proxy", "description", "authentication_method")
	virtualProxyInactivityTimeoutDesc = gaugeDesc("qlik_virtual_proxy_session_inactivity_timeout_seconds",
		"Time without activity after which the virtual proxy ends a session."+refreshedFromRepository,
		"qlik_node", "virtual_proxy")
)

type sessionsCollector struct {
	users       *userSelection
	minSessions int
	lifetimes   *SessionDuration // nil for none
	reached     *limitReached
}

func newSessionsCollector(config Config, users *userSelection) Collector {
	return &sessionsCollector{users: users, minSessions: config.Users.MinSessions, lifetimes: config.Lifetimes, reached: newLimitReached()}
}

var errNoAnswer = errors.New("no virtual proxy responded; the sessions are unknown")

// Update implements Collector.
func (c *sessionsCollector) Update(v *view, w *writer) error {
	snapshot := v.snapshot
	w.write(sessionLimitDesc, float64(snapshot.Limit))
	w.write(userSeriesMinSessionsDesc, float64(c.minSessions))
	for i := range snapshot.Links {
		writeVirtualProxy(&snapshot.Links[i], w)
	}
	c.writeTracking(&snapshot.Tracking, w)
	c.writeLastRefused(snapshot, w)
	users, dropped := v.users()
	for i := range users {
		writeLimitReached(&users[i], w)
	}
	if !snapshot.Up() {
		return errNoAnswer
	}
	w.write(sessionsDesc, float64(len(snapshot.Sessions)))
	if interval := snapshot.ActivityInterval; interval > 0 {
		w.write(usageActivityIntervalDesc, interval.Seconds())
	}
	for virtualProxy, n := range snapshot.UsersOnSeveralNodes() {
		w.write(usersOnSeveralNodesDesc, float64(n), virtualProxy)
	}
	for virtualProxy, n := range snapshot.SlotsAtLimit {
		w.write(slotsAtLimitDesc, float64(n), virtualProxy)
	}
	for virtualProxy, n := range snapshot.ReclaimableSlots {
		w.write(reclaimableSlotsDesc, float64(n), virtualProxy)
	}
	over, left := snapshot.UsersByHeadroom()
	for headroom, n := range left {
		w.write(usersDesc, float64(n), strconv.Itoa(headroom))
	}
	w.write(usersDesc, float64(over), "over")
	w.write(usersDroppedDesc, float64(dropped))
	for i := range users {
		writeUserSessions(&users[i], w)
	}
	return nil
}

// writeUserSessions writes the current state of the user.
func writeUserSessions(user *userRow, w *writer) {
	for _, count := range user.VirtualProxies {
		w.write(userSessionsDesc, float64(count.Sessions), user.directory, user.id, count.VirtualProxy)
	}
	if user.Limited && user.Sessions+user.CoolingSlots > 0 {
		w.write(sessionLimitHeadroomDesc, float64(user.Headroom), user.directory, user.id)
	}
	if user.Limited && user.Present() {
		w.write(userEffectiveHeadroomDesc, float64(user.EffectiveHeadroom), user.directory, user.id)
	}
	if user.CoolingSlots > 0 {
		w.write(userCoolingSlotsDesc, float64(user.CoolingSlots), user.directory, user.id)
	}
	if !user.NextSlot.IsZero() {
		w.write(userNextSlotDesc, seconds(user.NextSlot), user.directory, user.id)
	}
	if user.Judgment.Cause != "" {
		w.write(userLimitCauseDesc, 1, user.directory, user.id, string(user.Judgment.Cause))
	}
	if !user.FirstSeen.IsZero() && user.Limited && user.EffectiveHeadroom <= 1 {
		w.write(userOldestSessionDesc, seconds(user.FirstSeen), user.directory, user.id)
	}
}

// writeLimitReached writes the user's history. It is written even if the current
// sessions are unknown.
func writeLimitReached(user *userRow, w *writer) {
	if user.LimitReached > 0 {
		w.write(userLimitReachedDesc, float64(user.LimitReached), user.directory, user.id)
		w.write(userLastLimitReachedDesc, seconds(user.LastLimitReached), user.directory, user.id)
	}
}

func (c *sessionsCollector) writeTracking(tracking *headroom.Tracking, w *writer) {
	if tracking.Since.IsZero() {
		return
	}
	w.write(trackingSinceDesc, seconds(tracking.Since))
	for virtualProxy, started := range tracking.Started {
		w.write(sessionsStartedDesc, float64(started), virtualProxy)
		w.write(sessionsEndedDesc, float64(tracking.Ended[virtualProxy]), virtualProxy)
	}
	for node, restarts := range tracking.Restarts {
		w.write(proxyRestartsDesc, float64(restarts), node)
	}
	for _, reason := range qlik.RefusalReasons() {
		w.write(loginsRefusedDesc, float64(tracking.Refused[string(reason)]), string(reason))
	}
	for _, cause := range headroom.Causes() {
		w.write(refusalCausesDesc, float64(tracking.RefusedCauses[cause]), string(cause))
	}
	w.writeHistogram(limitReachedIdleDesc, c.reached.add(&tracking.ReachedIdle))
	if c.lifetimes != nil {
		w.writeHistogram(sessionDurationDesc, c.lifetimes)
	}
}

// writeLastRefused writes when users were last refused, also of users without sessions.
func (c *sessionsCollector) writeLastRefused(snapshot *headroom.Snapshot, w *writer) {
	if !c.users.perUser {
		return
	}
	for last := range snapshot.RefusedLogins.Last(snapshot.Time) {
		if !c.users.excludes(last.User) {
			w.write(userLastLoginRefusedDesc, seconds(last.At), last.User.Directory, c.users.namer.id(last.User), string(last.Reason))
		}
	}
}

func writeVirtualProxy(link *headroom.LinkResult, w *writer) {
	w.write(virtualProxyUpDesc, boolean(link.Err == nil), link.Node, link.VirtualProxy)
	w.write(virtualProxyScrapeDurationDesc, link.Duration.Seconds(), link.Node, link.VirtualProxy)
	if link.Err == nil {
		w.write(virtualProxySessionsDesc, float64(len(link.Sessions)), link.Node, link.VirtualProxy)
		w.write(virtualProxyUsersDesc, float64(link.Users), link.Node, link.VirtualProxy)
	}
	if link.AuthenticationMethod != "" {
		w.write(virtualProxyInfoDesc, 1, link.Node, link.VirtualProxy, link.Description, link.AuthenticationMethod)
	}
	if link.InactivityTimeout > 0 {
		w.write(virtualProxyInactivityTimeoutDesc, link.InactivityTimeout.Seconds(), link.Node, link.VirtualProxy)
	}
}
