package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

var (
	userLabels = []string{userDirectoryName, userIDName}
	linkLabels = []string{"node", virtualProxyName}

	userSessions = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "user", "sessions"),
		"Sessions of the user on the virtual proxy, over all nodes, as the proxies list them in this scrape.",
		append(slices.Clone(userLabels), virtualProxyName), nil)
	sessionLimitHeadroom = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "session_limit", "headroom"),
		"Session limit minus the sessions of the user over all virtual proxies and nodes; negative beyond the limit.",
		userLabels, nil)
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
		"Sessions from which on a user has series, as configured by --collector.sessions.min-sessions.",
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

// SessionsConfig says which users get series of their own. Bounded counts
// include every user all the same.
type SessionsConfig struct {
	UserLabels   UserLabels
	MinSessions  int      // users with fewer sessions have no series
	MaxUsers     int      // at most so many users have series, those with most sessions first
	ExcludeUsers []string // anchored regular expressions on DIRECTORY\id, in any case
}

type sessionsCollector struct {
	site        Site
	perUser     bool
	namer       *userNamer
	minSessions int
	maxUsers    int
	exclude     *regexp.Regexp // nil excludes nobody
}

var _ Collector = (*sessionsCollector)(nil)

func newSessions(site Site, config Config) (Collector, error) {
	c := config.Sessions
	if err := c.UserLabels.validate(); err != nil {
		return nil, err
	}
	if c.MinSessions < 1 {
		return nil, fmt.Errorf("--collector.sessions.min-sessions: must be at least 1, not %d", c.MinSessions)
	}
	if c.MaxUsers < 1 {
		return nil, fmt.Errorf("--collector.sessions.max-users: must be at least 1, not %d; --user-labels=none drops the series of all users", c.MaxUsers)
	}
	exclude, err := anyOf(c.ExcludeUsers)
	if err != nil {
		return nil, fmt.Errorf("--collector.sessions.exclude-user: %w", err)
	}
	return &sessionsCollector{
		site:        site,
		perUser:     c.UserLabels.Mode != UserLabelsNone,
		namer:       newUserNamer(c.UserLabels),
		minSessions: c.MinSessions,
		maxUsers:    c.MaxUsers,
		exclude:     exclude,
	}, nil
}

// anyOf joins anchored expressions into one.
func anyOf(expressions []string) (*regexp.Regexp, error) {
	if len(expressions) == 0 {
		return nil, nil //nolint:nilnil // excludes nobody
	}
	for _, expression := range expressions {
		if _, err := regexp.Compile(expression); err != nil {
			return nil, err // names the one expression, not the whole
		}
	}
	return regexp.Compile("(?i)^(?:(?:" + strings.Join(expressions, ")|(?:") + "))$")
}

// Describe implements Collector.
func (c *sessionsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		userSessions, sessionLimitHeadroom, sessionLimit, users, sessions, usersOnSeveralNodes,
		usersDropped, userSeriesMinSessions, virtualProxyUp, virtualProxyScrapeDuration,
		virtualProxySessions, virtualProxyUsers, virtualProxyInfo, virtualProxyInactivityTimeout,
	} {
		ch <- desc
	}
}

var errNoAnswer = errors.New("no virtual proxy answered, so nothing is known of sessions")

// Update implements Collector.
func (c *sessionsCollector) Update(_ context.Context, snapshot *qlik.Snapshot, ch chan<- prometheus.Metric) error {
	limit := c.site.SessionLimit()
	ch <- gauge(sessionLimit, float64(limit))
	ch <- gauge(userSeriesMinSessions, float64(c.minSessions))
	sendVirtualProxies(snapshot, ch)
	if !snapshot.Up() {
		return errNoAnswer
	}
	ch <- gauge(sessions, float64(len(snapshot.Sessions)))

	spread := qlik.UsersOnSeveralNodes(snapshot)
	for _, virtualProxy := range slices.Sorted(maps.Keys(spread)) {
		ch <- gauge(usersOnSeveralNodes, float64(spread[virtualProxy]), virtualProxy)
	}

	counts := c.site.Users(snapshot)
	over, left := qlik.UsersByHeadroom(counts, limit)
	for headroom, n := range left {
		ch <- gauge(users, float64(n), strconv.Itoa(headroom))
	}
	ch <- gauge(users, float64(over), "over")

	dropped := 0
	if c.perUser {
		var rows []userRow
		rows, dropped = c.rows(counts)
		sendUsers(rows, ch)
	}
	ch <- gauge(usersDropped, float64(dropped))
	return nil
}

func sendVirtualProxies(snapshot *qlik.Snapshot, ch chan<- prometheus.Metric) {
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		labels := []string{link.Node, link.VirtualProxy}
		ch <- gauge(virtualProxyUp, boolean(link.Err == nil), labels...)
		ch <- gauge(virtualProxyScrapeDuration, link.Duration.Seconds(), labels...)
		if link.Err == nil {
			ch <- gauge(virtualProxySessions, float64(len(link.Sessions)), labels...)
			ch <- gauge(virtualProxyUsers, float64(qlik.DistinctUsers(link.Sessions)), labels...)
		}
		if link.AuthenticationMethod != "" {
			ch <- gauge(virtualProxyInfo, 1, link.Node, link.VirtualProxy, link.Description, link.AuthenticationMethod)
		}
		if link.InactivityTimeout > 0 {
			ch <- gauge(virtualProxyInactivityTimeout, link.InactivityTimeout.Seconds(), labels...)
		}
	}
}

// userRow is a user with the labels of its series.
type userRow struct {
	directory, id string
	count         *qlik.UserCount
}

// rows selects the users that get series, in the order of their labels, and
// says how many the cap left out.
func (c *sessionsCollector) rows(counts []qlik.UserCount) (rows []userRow, dropped int) {
	rows = make([]userRow, 0, len(counts))
	for i := range counts {
		count := &counts[i]
		if count.Sessions < c.minSessions || c.exclude != nil && c.exclude.MatchString(count.User.String()) {
			continue
		}
		rows = append(rows, userRow{directory: count.User.Directory, id: c.namer.id(count.User), count: count})
	}
	if dropped = len(rows) - c.maxUsers; dropped > 0 {
		slices.SortStableFunc(rows, func(a, b userRow) int { return cmp.Compare(b.count.Sessions, a.count.Sessions) })
		rows = rows[:c.maxUsers]
	}
	// Unsorted rows make gathering several times slower; plain ones mostly are
	// sorted already.
	slices.SortFunc(rows, func(a, b userRow) int {
		return cmp.Or(strings.Compare(a.directory, b.directory), strings.Compare(a.id, b.id))
	})
	return rows, max(dropped, 0)
}

func sendUsers(rows []userRow, ch chan<- prometheus.Metric) {
	virtualProxies := make(map[string]*dto.LabelPair)
	gauges := 0
	for _, row := range rows {
		gauges += len(row.count.VirtualProxies)
	}
	sessions := make([]userGauge, 0, gauges)
	headrooms := make([]userGauge, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		directory := &dto.LabelPair{Name: &userDirectoryName, Value: &row.directory}
		id := &dto.LabelPair{Name: &userIDName, Value: &row.id}
		for _, v := range row.count.VirtualProxies {
			virtualProxy, known := virtualProxies[v.VirtualProxy]
			if !known {
				virtualProxy = &dto.LabelPair{Name: &virtualProxyName, Value: &v.VirtualProxy}
				virtualProxies[v.VirtualProxy] = virtualProxy
			}
			sessions = append(sessions, userGauge{userSessions, []*dto.LabelPair{directory, id, virtualProxy}, float64(v.Sessions)})
		}
		if row.count.Limited {
			headrooms = append(headrooms, userGauge{sessionLimitHeadroom, []*dto.LabelPair{directory, id}, float64(row.count.Headroom)})
		}
	}
	for i := range sessions {
		ch <- &sessions[i]
	}
	for i := range headrooms {
		ch <- &headrooms[i]
	}
}
