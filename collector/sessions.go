package collector

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

var (
	linkLabels = []string{"node", virtualProxyName}

	userSessions = userGauge("user_sessions",
		"Sessions of the user on the virtual proxy, over all nodes, as the proxies list them in this scrape.")
	sessionLimitHeadroom = userGauge("session_limit_headroom",
		"Session limit minus the sessions of the user over all virtual proxies and nodes; negative beyond the limit.")
	userEffectiveHeadroom = userGauge("user_effective_headroom",
		"Slots that the next login of the user really finds: session limit minus usage rows of the repository where those are known (up to 15 s old) and plausible, else minus sessions and cooling slots.")
	userCoolingSlots = userGauge("user_cooling_slots",
		"Slots of the user that are not free yet because a session ended at the limit less than the cooling time ago; absent where there are none.")
	userNextSlot = userGauge("user_next_slot_timestamp_seconds",
		"For a user without effective headroom: when a slot frees by itself if there is no more activity, that is when a slot has cooled or a session has timed out and cooled; absent if unknown.")
	sessionsStarted = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "sessions", "started_total"),
		"Sessions that began, seen between two answers of the same node; one that is shorter than the time between them is missed.",
		[]string{virtualProxyName}, nil)
	sessionsEnded = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "sessions", "ended_total"),
		"Sessions that ended, seen between two answers of the same node; a node that does not answer ends nothing.",
		[]string{virtualProxyName}, nil)
	proxyRestarts = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "proxy", "restarts_total"),
		"How often a node lost all of its sessions at once, five or more.",
		[]string{"node"}, nil)
	trackingSince = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "exporter", "tracking_since_timestamp_seconds"),
		"First snapshot of this exporter. Nothing is known of starts, ends, cooling slots and ages before it.",
		nil, nil)
	userOldestSession = userGauge("user_oldest_session_first_seen_timestamp_seconds",
		"When the oldest session of the user was first seen by this exporter; only for users with at most one effective slot.")
	userLimitReached = userCounter("user_limit_reached_total",
		"How often sessions and cooling slots of the user went from below the limit to it or beyond; kept until 24 hours after the last session.")
	userLastLimitReached = userGauge("user_last_limit_reached_timestamp_seconds",
		"When sessions and cooling slots of the user last went from below the limit to it or beyond; kept until 24 hours after the last session.")
	sessionLimit = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "session_limit"),
		"How many sessions Qlik's licence grants one user at once, as configured.",
		nil, nil)
	users = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "users"),
		"Distinct users with sessions by what is left to them of the session limit; over: more sessions than the limit. Anonymous and unlimited users have no headroom and are not counted.",
		[]string{"headroom"}, nil)
	sessions = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "sessions"),
		"Distinct sessions of the site.",
		nil, nil)
	usersOnSeveralNodes = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "users_on_several_nodes"),
		"Users whose sessions on the virtual proxy are spread over nodes: a load balancer that does not keep a browser on its node.",
		[]string{"virtual_proxy"}, nil)
	usersDropped = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "users_dropped"),
		"Users without series of their own because of --collector.sessions.max-users.",
		nil, nil)
	userSeriesMinSessions = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "", "user_series_min_sessions"),
		"Sessions and cooling slots, or usage rows, from which on a user has series, as configured by --collector.sessions.min-sessions.",
		nil, nil)

	virtualProxyUp = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "virtual_proxy", "up"),
		"1 if the node answered for the virtual proxy in this scrape; 0: its sessions are unknown.",
		linkLabels, nil)
	virtualProxyScrapeDuration = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "virtual_proxy", "scrape_duration_seconds"),
		"How long the node took to answer for the virtual proxy, or until it was given up.",
		linkLabels, nil)
	virtualProxySessions = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "virtual_proxy", "sessions"),
		"Sessions that the node lists for the virtual proxy.",
		linkLabels, nil)
	virtualProxyUsers = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "virtual_proxy", "users"),
		"Distinct users among the sessions that the node lists for the virtual proxy. Each anonymous browser counts as a user.",
		linkLabels, nil)
	virtualProxyInfo = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "virtual_proxy", "info"),
		"Always 1. From the topology, which the repository is asked for every five minutes.",
		[]string{"node", "virtual_proxy", "description", "authentication_method"}, nil)
	virtualProxyInactivityTimeout = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "virtual_proxy", "session_inactivity_timeout_seconds"),
		"After which time without activity the virtual proxy ends a session. From the topology, which the repository is asked for every five minutes.",
		linkLabels, nil)
)

type sessionsCollector struct {
	minSessions int
	lifetimes   *SessionDuration // nil for none
}

var _ Collector = (*sessionsCollector)(nil)

func newSessions(config Config, _ *userSelection) Collector {
	return &sessionsCollector{minSessions: config.Users.MinSessions, lifetimes: config.Lifetimes}
}

// Describe implements Collector.
func (c *sessionsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, metric := range []*userMetric{
		userSessions, sessionLimitHeadroom, userEffectiveHeadroom, userCoolingSlots, userNextSlot,
		userOldestSession, userLimitReached, userLastLimitReached,
	} {
		ch <- metric.desc
	}
	for _, desc := range []*prometheus.Desc{
		sessionLimit, users, sessions, usersOnSeveralNodes, usersDropped, userSeriesMinSessions,
		sessionsStarted, sessionsEnded, proxyRestarts, trackingSince,
		virtualProxyUp, virtualProxyScrapeDuration, virtualProxySessions, virtualProxyUsers,
		virtualProxyInfo, virtualProxyInactivityTimeout,
	} {
		ch <- desc
	}
	if c.lifetimes != nil {
		c.lifetimes.Describe(ch)
	}
}

var errNoAnswer = errors.New("no virtual proxy answered, so nothing is known of sessions")

// Update implements Collector.
func (c *sessionsCollector) Update(_ context.Context, v *view, ch chan<- prometheus.Metric) error {
	snapshot := v.snapshot
	ch <- gauge(sessionLimit, float64(snapshot.Limit))
	ch <- gauge(userSeriesMinSessions, float64(c.minSessions))
	sendVirtualProxies(snapshot, ch)
	c.sendTracking(snapshot, ch)
	addRemembered(v)
	if !snapshot.Up() {
		return errNoAnswer
	}
	ch <- gauge(sessions, float64(len(snapshot.Sessions)))
	spread := snapshot.UsersOnSeveralNodes()
	for _, virtualProxy := range slices.Sorted(maps.Keys(spread)) {
		ch <- gauge(usersOnSeveralNodes, float64(spread[virtualProxy]), virtualProxy)
	}
	over, left := snapshot.UsersByHeadroom()
	for headroom, n := range left {
		ch <- gauge(users, float64(n), strconv.Itoa(headroom))
	}
	ch <- gauge(users, float64(over), "over")
	ch <- gauge(usersDropped, float64(v.dropped))
	addSessions(v)
	return nil
}

// addSessions adds what users have now.
func addSessions(v *view) {
	virtualProxies := make(map[string]*dto.LabelPair)
	series := 0
	for i := range v.users {
		series += len(v.users[i].VirtualProxies)
	}
	family := v.family(userSessions)
	labels := make([]*dto.LabelPair, 0, series*(len(userLabels)+1)) // of all of them, in one piece of memory
	for i := range v.users {
		user := &v.users[i]
		for j := range user.VirtualProxies {
			count := &user.VirtualProxies[j]
			virtualProxy, known := virtualProxies[count.VirtualProxy]
			if !known {
				virtualProxy = &dto.LabelPair{Name: &virtualProxyName, Value: &count.VirtualProxy}
				virtualProxies[count.VirtualProxy] = virtualProxy
			}
			labels = append(append(labels, user.labels...), virtualProxy)
			family.add(float64(count.Sessions), labels[len(labels)-len(userLabels)-1:])
		}
	}
	v.addUsers(sessionLimitHeadroom, func(u *userRow) (float64, bool) {
		return float64(u.Headroom), u.Limited && u.Sessions+u.CoolingSlots > 0
	})
	v.addUsers(userEffectiveHeadroom, func(u *userRow) (float64, bool) {
		return float64(u.EffectiveHeadroom), u.Limited && u.Present()
	})
	v.addUsers(userCoolingSlots, func(u *userRow) (float64, bool) {
		return float64(u.CoolingSlots), u.CoolingSlots > 0
	})
	v.addUsers(userNextSlot, func(u *userRow) (float64, bool) {
		return seconds(u.NextSlot), !u.NextSlot.IsZero()
	})
	v.addUsers(userOldestSession, func(u *userRow) (float64, bool) {
		return seconds(u.FirstSeen), !u.FirstSeen.IsZero() && u.Limited && u.EffectiveHeadroom <= 1
	})
}

// addRemembered adds what users did, whether or not anything is known of now.
func addRemembered(v *view) {
	v.addUsers(userLimitReached, func(u *userRow) (float64, bool) {
		return float64(u.LimitReached), u.LimitReached > 0
	})
	v.addUsers(userLastLimitReached, func(u *userRow) (float64, bool) {
		return seconds(u.LastLimitReached), u.LimitReached > 0
	})
}

func (c *sessionsCollector) sendTracking(snapshot *headroom.Snapshot, ch chan<- prometheus.Metric) {
	tracking := &snapshot.Tracking
	if tracking.Since.IsZero() {
		return
	}
	ch <- timestamp(trackingSince, tracking.Since)
	for _, virtualProxy := range slices.Sorted(maps.Keys(tracking.Started)) {
		ch <- counter(sessionsStarted, float64(tracking.Started[virtualProxy]), virtualProxy)
		ch <- counter(sessionsEnded, float64(tracking.Ended[virtualProxy]), virtualProxy)
	}
	for _, node := range slices.Sorted(maps.Keys(tracking.Restarts)) {
		ch <- counter(proxyRestarts, float64(tracking.Restarts[node]), node)
	}
	if c.lifetimes != nil {
		c.lifetimes.Collect(ch)
	}
}

func sendVirtualProxies(snapshot *headroom.Snapshot, ch chan<- prometheus.Metric) {
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		labels := []string{link.Node, link.VirtualProxy}
		ch <- gauge(virtualProxyUp, boolean(link.Err == nil), labels...)
		ch <- gauge(virtualProxyScrapeDuration, link.Duration.Seconds(), labels...)
		if link.Err == nil {
			ch <- gauge(virtualProxySessions, float64(len(link.Sessions)), labels...)
			ch <- gauge(virtualProxyUsers, float64(link.Users), labels...)
		}
		if link.AuthenticationMethod != "" {
			ch <- gauge(virtualProxyInfo, 1, link.Node, link.VirtualProxy, link.Description, link.AuthenticationMethod)
		}
		if link.InactivityTimeout > 0 {
			ch <- gauge(virtualProxyInactivityTimeout, link.InactivityTimeout.Seconds(), labels...)
		}
	}
}
