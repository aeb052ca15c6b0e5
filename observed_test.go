package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/collector"
	answers "github.com/qlik-exporter/qlik_exporter/internal/answer"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// lab is the user directory of simulated sites.
const lab = "LAB"

// scrapeInterval is the time between two snapshots of an observed site. Usage rows are read
// for each of them.
const scrapeInterval = 15 * time.Second

// observed is a simulated site that an exporter in the same process reads, with the clock
// of a testing/synctest bubble.
type observed struct {
	*qliktest.Site

	t        *testing.T
	settings headroom.Config
	client   *site.Site
	denials  *collector.Denials
	snapshot *headroom.Snapshot // the last one
	sessions map[string]string  // id by user and device
	asked    map[string]bool    // kinds of users about whom the command was run
}

// observe starts a site in memory and an exporter that reads it and its audit logs. The
// service accounts and the unlimited users in the settings are named.
func observe(t *testing.T, config qliktest.Config, settings headroom.Config) *observed {
	t.Helper()
	config.InMemory, config.Now, config.AuditLogDir = true, time.Now, t.TempDir()
	simulated, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(simulated.Close)
	dir := t.TempDir()
	if err := simulated.WriteCertificates(dir); err != nil {
		t.Fatal(err)
	}
	o := &observed{Site: simulated, t: t, settings: settings, sessions: make(map[string]string), asked: make(map[string]bool)}
	logs, followers := make(map[string]collector.AuditLog), []*auditlog.Follower(nil)
	for _, node := range config.Nodes {
		path := simulated.AuditLogPath(node.Name)
		follower, err := auditlog.New(auditlog.Config{Node: node.Name, Glob: filepath.Join(filepath.Dir(path), filepath.Base(path))})
		if err != nil {
			t.Fatal(err)
		}
		logs[node.Name], followers = follower, append(followers, follower)
	}
	o.denials = collector.NewDenials(logs)
	if o.client, err = site.New(site.Config{
		Client:   qlik.Config{Hosts: []string{config.Nodes[0].Name}, CertDir: dir, DialContext: simulated.DialContext, Now: time.Now},
		Headroom: settings, Licenses: true,
		Refused: func(now time.Time, _ *qlik.Licenses) qlik.Refusals { return o.denials.Refused(now) },
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var background sync.WaitGroup
	background.Go(func() { o.client.Run(ctx) })
	for _, follower := range followers {
		background.Go(func() {
			follower.Run(ctx, func(denial auditlog.Denial) {
				o.denials.Denied(denial, o.client.Licenses().Before(denial.Time, denial.User.Counted()))
			})
		})
	}
	t.Cleanup(func() {
		stop()
		background.Wait()
		o.client.Close()
	})
	return o
}

// scrape takes a snapshot.
func (o *observed) scrape() {
	ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
	defer cancel()
	o.snapshot = o.client.Snapshot(ctx)
}

// open logs a user in. The device may have a cookie.
func (o *observed) open(user, device, prefix, node string) {
	o.t.Helper()
	session, err := o.Login(lab, user, device, prefix, node)
	if err != nil {
		o.t.Fatal(err)
	}
	o.sessions[user+" "+device] = session.ID
}

// close logs a user out on a device.
func (o *observed) close(user, device string) {
	o.t.Helper()
	if !o.Logout(o.sessions[user+" "+device]) {
		o.t.Fatalf("%s has no session on %s", user, device)
	}
}

// use works in the sessions of a user on numbered devices.
func (o *observed) use(user string, devices int) {
	for i := range devices {
		o.Touch(o.sessions[fmt.Sprint(user, " ", i)])
	}
}

// ask answers the question of qlik_exporter why about a user of the last snapshot.
func (o *observed) ask(user qlik.User, serviceAccounts ...qlik.User) *answers.Answer {
	return answers.New(&answers.Question{
		Snapshot: o.snapshot, User: user, Program: "qlik_exporter", ServiceAccounts: serviceAccounts, Now: time.Now(),
	})
}

// canLogIn returns the prediction of an answer as a word.
func canLogIn(a *answers.Answer) string {
	if a.CanLogIn == nil {
		return "unknown"
	}
	return fmt.Sprint(*a.CanLogIn)
}

// granted tries a login of a user with a new browser.
func (o *observed) granted(user qlik.User) bool {
	o.t.Helper()
	session, err := o.Login(user.Directory, user.ID, "a new browser", "", "qlik1")
	if err != nil {
		o.t.Fatal(err)
	}
	return session.Granted
}
