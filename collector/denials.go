package collector

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
)

const (
	// rememberDenial is the time that a user's denials are kept after the last one.
	rememberDenial = 24 * time.Hour
	// maxDenied limits the number of users whose denials are kept. If there are more,
	// keptDenied users stay, so that a flood of denials does not look for the oldest one
	// each time.
	maxDenied  = 20_000
	keptDenied = maxDenied - maxDenied/10
	// maxDeniedNames is the maximum number of bytes of their names.
	maxDeniedNames = 4 << 20
	// maxRefusals is the number of times that are kept for each user and reason, the last
	// ones.
	maxRefusals = 10
)

var (
	accessDeniedDesc = counterDesc("qlik_access_denied_total",
		"Logins that Qlik refused since the exporter started, by reason, from the audit security logs. A lower bound while qlik_audit_log_up is 0 for any node.",
		"reason")
	userAccessDeniedDesc = counterDesc("qlik_user_access_denied_total",
		"Logins of the user that Qlik refused, from the audit security logs. Kept until 24 hours after the last refused login.",
		"user_directory", "user_id", "reason")
	userLastAccessDeniedDesc = gaugeDesc("qlik_user_last_access_denied_timestamp_seconds",
		"Unix time at which Qlik last refused a login of the user, as recorded in the audit security log. Kept for 24 hours.",
		"user_directory", "user_id", "reason")
	auditLogUpDesc = gaugeDesc("qlik_audit_log_up",
		"1 if the exporter reads the audit security log of the node's repository; 0 if it cannot, or if no log is configured for the node.",
		"qlik_node")
	auditLogLastReadDesc = gaugeDesc("qlik_audit_log_last_read_timestamp_seconds",
		"Unix time at which the audit security log of the node was last read to its end.",
		"qlik_node")
)

// AuditLog is the follower of an audit security log.
type AuditLog interface {
	// Status returns whether the log is being read.
	Status() auditlog.Status
}

// Denials counts the refused logins in audit logs. It outlives scrapes.
type Denials struct {
	logs map[string]AuditLog // by registered host name in lower case

	mu     sync.Mutex
	counts map[auditlog.Reason]uint64
	users  map[deniedUser]deniedCount
	names  int // bytes of the names of users
}

type deniedUser struct {
	reason auditlog.Reason
	user   qlik.User
}

type deniedCount struct {
	times    uint64
	last     time.Time
	refusals []qlik.Refusal // the last ones, oldest first
}

// NewDenials returns counts of zero. The keys of logs are the registered host
// names of the nodes. The caller must pass each denial in the logs to Denied.
func NewDenials(logs map[string]AuditLog) *Denials {
	d := &Denials{logs: make(map[string]AuditLog), counts: make(map[auditlog.Reason]uint64), users: make(map[deniedUser]deniedCount)}
	for node, log := range logs {
		d.logs[strings.ToLower(node)] = log
	}
	return d
}

// Denied counts a denial. The license is the license of the user before the denial, as
// returned by qlik.Licenses.Before.
func (d *Denials) Denied(denial auditlog.Denial, license string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[denial.Reason]++
	d.add(denial, license, 1)
}

// Recall adds a denial from before the exporter started. It does not count, but when it was
// is known.
func (d *Denials) Recall(denial auditlog.Denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.add(denial, qlik.LicenseUnknown, 0)
}

// add adds a denial to those of its user. The caller holds the mutex.
func (d *Denials) add(denial auditlog.Denial, license string, times uint64) {
	if denial.User == (qlik.User{}) {
		return
	}
	key := deniedUser{denial.Reason, denial.User.Counted()}
	count, known := d.users[key]
	if !known {
		d.names += key.size()
	}
	count.times += times
	if denial.Time.After(count.last) {
		count.last = denial.Time
	}
	count.refuse(qlik.Refusal{At: denial.Time, Reason: denial.Reason, License: license})
	d.users[key] = count
	if len(d.users) > maxDenied || d.names > maxDeniedNames {
		d.forgetOldest()
	}
}

// refuse adds a refusal. The logs of several nodes can report them out of order, and one
// that was recalled can be reported again.
func (c *deniedCount) refuse(refusal qlik.Refusal) {
	at := len(c.refusals)
	for at > 0 && c.refusals[at-1].At.After(refusal.At) {
		at--
	}
	if at > 0 && c.refusals[at-1].At.Equal(refusal.At) {
		c.refusals[at-1] = refusal
		return
	}
	c.refusals = slices.Insert(c.refusals, at, refusal)
	if len(c.refusals) > maxRefusals {
		c.refusals = slices.Delete(c.refusals, 0, len(c.refusals)-maxRefusals)
	}
}

// Refused returns the denials of the last 24 hours before a time by user, the last ones
// of each reason. The caller may keep the result.
func (d *Denials) Refused(now time.Time) qlik.Refusals {
	d.mu.Lock()
	defer d.mu.Unlock()
	refused := make(qlik.Refusals)
	for user, count := range d.users {
		for _, refusal := range count.refusals {
			if now.Sub(refusal.At) < rememberDenial {
				refused[user.user] = append(refused[user.user], refusal)
			}
		}
	}
	for _, refusals := range refused {
		slices.SortStableFunc(refusals, func(a, b qlik.Refusal) int {
			return cmp.Or(b.At.Compare(a.At), strings.Compare(string(a.Reason), string(b.Reason)))
		})
	}
	return refused
}

func (u *deniedUser) size() int { return len(u.user.Directory) + len(u.user.ID) }

// forget deletes a user. The caller holds the mutex.
func (d *Denials) forget(user deniedUser) {
	d.names -= user.size()
	delete(d.users, user)
}

// forgetOldest deletes the tenth of the users whose last denial is the longest ago. The
// caller holds the mutex.
func (d *Denials) forgetOldest() {
	users := slices.Collect(maps.Keys(d.users))
	slices.SortFunc(users, func(a, b deniedUser) int { return d.users[a].last.Compare(d.users[b].last) })
	for _, user := range users[:max(len(users)-keptDenied, len(users)/10, 1)] {
		d.forget(user)
	}
}

// deniedRow is a user with the count of its denials.
type deniedRow struct {
	deniedUser
	deniedCount
}

// remembered deletes expired users and returns the others in the order of their
// series.
func (d *Denials) remembered(now time.Time) []deniedRow {
	for user, count := range d.users {
		if now.Sub(count.last) >= rememberDenial {
			d.forget(user)
		}
	}
	users := make([]deniedRow, 0, len(d.users))
	for user, count := range d.users {
		users = append(users, deniedRow{user, count})
	}
	slices.SortFunc(users, func(a, b deniedRow) int {
		return cmp.Or(strings.Compare(string(a.reason), string(b.reason)), a.user.Compare(b.user))
	})
	return users
}

type denialsCollector struct {
	denials *Denials
	users   *userSelection
}

func newDenialsCollector(config Config, users *userSelection) Collector {
	return &denialsCollector{denials: config.Denials, users: users}
}

// Update implements Collector.
func (c *denialsCollector) Update(v *view, w *writer) error {
	c.writeLogs(v.snapshot.Services, w)
	c.denials.mu.Lock()
	defer c.denials.mu.Unlock()
	for _, reason := range []auditlog.Reason{auditlog.NoLicense, auditlog.SessionLimit} {
		w.write(accessDeniedDesc, float64(c.denials.counts[reason]), string(reason))
	}
	if !c.users.perUser {
		return nil
	}
	for _, denied := range c.denials.remembered(v.snapshot.Time) {
		if c.users.excludes(denied.user) {
			continue
		}
		id, reason := c.users.namer.id(denied.user), string(denied.reason)
		w.write(userAccessDeniedDesc, float64(denied.times), denied.user.Directory, id, reason)
		w.write(userLastAccessDeniedDesc, seconds(denied.last), denied.user.Directory, id, reason)
	}
	return nil
}

// writeLogs writes for each repository of the site whether its log is read. It
// also covers configured logs of nodes that the site does not list.
func (c *denialsCollector) writeLogs(services []qlik.ServiceState, w *writer) {
	logs := maps.Clone(c.denials.logs)
	nodes := make(map[string]AuditLog) // by label; nil means that no log is configured
	for _, service := range services {
		if service.Service == "Repository" {
			host := strings.ToLower(service.Host)
			nodes[service.Node] = logs[host]
			delete(logs, host)
		}
	}
	maps.Copy(nodes, logs)
	for node, log := range nodes {
		var status auditlog.Status
		if log != nil {
			status = log.Status()
		}
		w.write(auditLogUpDesc, boolean(status.Up), node)
		if !status.LastRead.IsZero() {
			w.write(auditLogLastReadDesc, seconds(status.LastRead), node)
		}
	}
}
