package collector

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	// rememberDenial is how long a user's denials are kept after the last one.
	rememberDenial = 24 * time.Hour
	// maxDenied bounds the users whose denials are kept.
	maxDenied = 20_000
)

var (
	accessDenied = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "access", "denied_total"),
		"Logins that Qlik refused since the start, by reason, from the audit security logs that are read; a lower bound while qlik_audit_log_up is 0 for any node.",
		[]string{"reason"}, nil)
	userAccessDenied = userCounter("user_access_denied_total",
		"Logins of the user that Qlik refused, from the audit security logs; kept until 24 hours after the last one.")
	userLastAccessDenied = userGauge("user_last_access_denied_timestamp_seconds",
		"When Qlik last refused a login of the user, by the audit security log's own time; kept for 24 hours.")
	auditLogUp = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "audit_log", "up"),
		"1 if the audit security log of the repository on that node is read; 0 for every repository of the site whose log is not.",
		[]string{"node"}, nil)
	auditLogLastRead = prometheus.NewDesc(
		prometheus.BuildFQName(namespace, "audit_log", "last_read_timestamp_seconds"),
		"When the audit security log of that node was last read to its end.",
		[]string{"node"}, nil)
)

// AuditLog is what the collector needs of the follower of a log.
type AuditLog interface {
	// Status tells whether the log is read.
	Status() auditlog.Status
}

// Denials counts the refused logins that audit logs tell of. It outlives
// scrapes.
type Denials struct {
	logs map[string]AuditLog // by registered host name in lower case

	mu     sync.Mutex
	counts map[auditlog.Reason]uint64
	users  map[deniedUser]deniedCount
}

type deniedUser struct {
	reason auditlog.Reason
	user   qlik.User
}

type deniedCount struct {
	times uint64
	last  time.Time
}

// NewDenials makes counts at zero. The logs are those of nodes by their
// registered host names; Denied is to be told of what they say.
func NewDenials(logs map[string]AuditLog) *Denials {
	d := &Denials{logs: make(map[string]AuditLog), counts: make(map[auditlog.Reason]uint64), users: make(map[deniedUser]deniedCount)}
	for node, log := range logs {
		d.logs[strings.ToLower(node)] = log
	}
	return d
}

// Denied counts a denial.
func (d *Denials) Denied(denial auditlog.Denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[denial.Reason]++
	if denial.User == (qlik.User{}) {
		return
	}
	key := deniedUser{denial.Reason, denial.User.Counted()}
	count := d.users[key]
	count.times++
	if denial.Time.After(count.last) {
		count.last = denial.Time
	}
	d.users[key] = count
	if len(d.users) > maxDenied {
		oldest := key
		for other, count := range d.users {
			if count.last.Before(d.users[oldest].last) {
				oldest = other
			}
		}
		delete(d.users, oldest)
	}
}

// remembered returns the counts of users, those of long ago left out for good.
func (d *Denials) remembered(now time.Time) map[deniedUser]deniedCount {
	maps.DeleteFunc(d.users, func(_ deniedUser, count deniedCount) bool { return now.Sub(count.last) >= rememberDenial })
	return d.users
}

type denialsCollector struct {
	denials *Denials
	users   *userSelection
}

var _ Collector = (*denialsCollector)(nil)

func newDenials(config Config, users *userSelection) Collector {
	return &denialsCollector{denials: config.Denials, users: users}
}

// Describe implements Collector.
func (c *denialsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- accessDenied
	ch <- userAccessDenied.desc
	ch <- userLastAccessDenied.desc
	ch <- auditLogUp
	ch <- auditLogLastRead
}

// Update implements Collector.
func (c *denialsCollector) Update(_ context.Context, v *view, ch chan<- prometheus.Metric) error {
	c.sendLogs(v.snapshot, ch)
	c.denials.mu.Lock()
	defer c.denials.mu.Unlock()
	for _, reason := range []auditlog.Reason{auditlog.NoLicense, auditlog.SessionLimit} {
		ch <- counter(accessDenied, float64(c.denials.counts[reason]), string(reason))
	}
	if c.users.perUser {
		c.addUsers(v, c.denials.remembered(v.snapshot.Time))
	}
	return nil
}

// sendLogs says of every repository of the site whether its log is read, and of
// logs of nodes that the site does not name.
func (c *denialsCollector) sendLogs(snapshot *headroom.Snapshot, ch chan<- prometheus.Metric) {
	logs := maps.Clone(c.denials.logs)
	nodes := make(map[string]AuditLog) // by label; nil is not configured
	for _, service := range snapshot.Services {
		if service.Service == "Repository" {
			host := strings.ToLower(service.Host)
			nodes[service.Node] = logs[host]
			delete(logs, host)
		}
	}
	maps.Copy(nodes, logs)
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		var status auditlog.Status
		if nodes[node] != nil {
			status = nodes[node].Status()
		}
		ch <- gauge(auditLogUp, boolean(status.Up), node)
		if !status.LastRead.IsZero() {
			ch <- timestamp(auditLogLastRead, status.LastRead, node)
		}
	}
}

func (c *denialsCollector) addUsers(v *view, users map[deniedUser]deniedCount) {
	type row struct {
		deniedCount

		reason, directory, id string
	}
	rows := make([]row, 0, len(users))
	for key, count := range users {
		if !c.users.excludes(key.user) {
			rows = append(rows, row{count, string(key.reason), key.user.Directory, c.users.namer.id(key.user)})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(strings.Compare(a.reason, b.reason), strings.Compare(a.directory, b.directory), strings.Compare(a.id, b.id))
	})
	times, last := v.family(userAccessDenied), v.family(userLastAccessDenied)
	for i := range rows {
		r := &rows[i]
		labels := []*dto.LabelPair{
			{Name: &reasonName, Value: &r.reason}, {Name: &userDirectoryName, Value: &r.directory}, {Name: &userIDName, Value: &r.id},
		}
		times.add(float64(r.times), labels)
		last.add(seconds(r.last), labels)
	}
}
