// Package check climbs the ladder from the name of a server up to the sessions
// of each link, and says of every rung whether it holds, and of one that does
// not the cause and the remedy.
package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Config is the site to check.
type Config struct {
	Qlik            qlik.Config
	SessionLimit    int
	Licenses        bool              // who holds a license is read, if there is a repository
	AuditLogs       map[string]string // patterns by node
	ServiceAccounts []qlik.User
}

const (
	// soon is how long before the end of a certificate or licence it is told of.
	soon = 30 * 24 * time.Hour
	// clocksApart is by how much clocks may differ before times mislead.
	clocksApart = 30 * time.Second
	// requestsPerNode is how many links of a node are asked at once.
	requestsPerNode = 16
)

var errInterrupted = errors.New("interrupted")

// Run climbs. The error is a *qlik.ConfigError where the settings cannot work and
// nothing was tried, or says that ctx ended before the report was whole.
func Run(ctx context.Context, config Config) (*Report, error) {
	client, err := qlik.NewClient(config.Qlik)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	config.Qlik = client.Config()
	c := &climber{Config: config, client: client}
	c.certificateFiles()
	c.repositories(ctx)
	c.topology(ctx)
	c.nodes(ctx)
	c.licenses(ctx)
	c.auditLogs()
	c.clocks()
	c.advise()
	if ctx.Err() != nil {
		return nil, errInterrupted // not what the site would have said
	}
	return &c.report, nil
}

// climber is one climb.
type climber struct {
	Config

	client      *qlik.Client
	report      Report
	credentials *qlik.Credentials
	canAsk      bool // the credentials can be used

	servers      []*server
	repository   string // the first that answers; "" if none does
	states       []qlik.ServiceState
	links        []qlik.Link
	linksUnknown string // why, where they are
	results      []headroom.LinkResult
	known        *qlik.Licenses
}

// server is a service of a node: where its ladder stands, and how far it got.
type server struct {
	address string // as registered
	api     qlik.API
	given   string // the flag that names it; "" if the repository did
	rungs   []Rung
	ahead   *time.Duration // its clock against ours
}

func (s *server) add(name, target string, mark Mark, format string, args ...any) {
	s.rungs = append(s.rungs, Rung{name, target, mark, fmt.Sprintf(format, args...)})
}

func (s *server) skip(because string, names ...string) {
	for _, name := range names {
		s.add(name, s.address, Skipped, "%s", because)
	}
}

func (s *server) observe(answer qlik.Answer) {
	if answer.Dated && s.ahead == nil {
		s.ahead = &answer.Ahead
	}
}

func (s *server) host() string {
	host, _, _ := net.SplitHostPort(s.address)
	return host
}

func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.address)
	return port
}

func (c *climber) add(name, target string, mark Mark, format string, args ...any) {
	c.report.add(Rung{name, target, mark, fmt.Sprintf(format, args...)})
}

// repositories asks every configured repository for its version.
func (c *climber) repositories(ctx context.Context) {
	var asking sync.WaitGroup
	servers := make([]*server, len(c.Qlik.Hosts))
	for i, host := range c.Qlik.Hosts {
		servers[i] = &server{address: host, api: qlik.APIRepository, given: "--qlik.host"}
		asking.Go(func() { c.askRepository(ctx, servers[i]) })
	}
	asking.Wait()
	for _, s := range servers {
		c.report.add(s.rungs...)
		if c.repository == "" && s.rungs[len(s.rungs)-1].Mark == OK {
			c.repository = s.address
		}
	}
	c.servers = servers
}

func (c *climber) askRepository(ctx context.Context, s *server) {
	if !c.reach(ctx, s) {
		return
	}
	version, answer, err := c.client.On(s.address).About(ctx)
	s.observe(answer)
	if err != nil {
		s.add(rungRequest, s.address, Failed, "%s", c.requestFailure(s, answer, err))
		return
	}
	s.add(rungRequest, s.address, OK, "certificate and XSRF key accepted by release %s, %s", version, milliseconds(answer.Took))
}

// topology finds out which links there are.
func (c *climber) topology(ctx context.Context) {
	c.links = c.client.ConfiguredLinks()
	switch {
	case len(c.Qlik.Hosts) == 0:
		c.add("topology", "-", Skipped, "no repository is configured; --qlik.proxy and --qlik.virtual-proxy say what to ask")
		return
	case c.repository == "":
		c.linksUnknown = "no repository answers"
		for _, name := range []string{"rights", "topology"} {
			c.add(name, "-", Skipped, "%s", c.linksUnknown)
		}
		return
	}
	var err error
	switch c.states, err = c.client.On(c.repository).Services(ctx); {
	case err != nil:
		c.add("rights", c.repository, Failed, "%s", c.listFailure(err))
	case len(c.states) == 0:
		c.add("rights", c.repository, Failed, "the repository shows %s no service at all, which it does to users without rights: %s", c.Qlik.User, c.remedyRights())
	default:
		c.add("rights", c.repository, OK, "%s may read the repository", c.Qlik.User)
	}
	if c.report.Rungs[len(c.report.Rungs)-1].Mark != OK {
		c.linksUnknown = "the repository cannot be read"
		c.add("topology", c.repository, Skipped, "%s", c.linksUnknown)
		return
	}
	c.services()
	if c.links != nil {
		c.add("topology", c.repository, Skipped, "--qlik.proxy and --qlik.virtual-proxy say what to ask")
		return
	}
	all, err := c.client.On(c.repository).Topology(ctx)
	c.links = qlik.WithoutDisabled(all, c.states)
	switch {
	case err != nil:
		c.add("topology", c.repository, Failed, "%s", c.listFailure(err))
	case len(all) == 0:
		c.add("topology", c.repository, Failed, "the repository names no virtual proxy that is linked to a proxy and not left out by --qlik.proxy and --qlik.virtual-proxy: "+
			"link one in the QMC under Proxies, or correct these flags")
	case len(c.links) == 0:
		c.add("topology", c.repository, Failed, "all proxies are disabled: enable one in the QMC under Proxies")
	default:
		virtualProxies, nodes := make(map[string]bool), make(map[string]bool)
		for _, link := range c.links {
			virtualProxies[link.VirtualProxyID], nodes[link.Node] = true, true
		}
		c.add("topology", c.repository, OK, "%s on %s, %s", count(len(virtualProxies), "virtual proxy", "virtual proxies"),
			count(len(nodes), "node", "nodes"), count(len(c.links), "link", "links"))
		return
	}
	c.linksUnknown = "the topology is not known"
}

// services says which services do not run.
func (c *climber) services() {
	var others []string
	for _, s := range c.states {
		if s.State != "Running" {
			others = append(others, fmt.Sprintf("%s of %s is %s", s.Service, s.Host, s.State))
		}
	}
	if len(others) == 0 {
		c.add("services", c.repository, OK, "all %d are Running", len(c.states))
		return
	}
	c.add("services", c.repository, Warning, "the repository reports that %s: start what should run in the Windows services of the node", strings.Join(others, ", "))
}

// nodes asks every link for its sessions, node by node.
func (c *climber) nodes(ctx context.Context) {
	if len(c.links) == 0 {
		c.add("link", "-", Skipped, "%s", c.linksUnknown)
		return
	}
	given := ""
	if len(c.Qlik.Proxies) > 0 {
		given = "--qlik.proxy"
	}
	byAddress := make(map[string][]*headroom.LinkResult)
	c.results = make([]headroom.LinkResult, len(c.links))
	for i, link := range c.links {
		c.results[i].Link = link
		byAddress[link.Address] = append(byAddress[link.Address], &c.results[i])
	}
	addresses := slices.Sorted(maps.Keys(byAddress))
	servers := make([]*server, len(addresses))
	var asking sync.WaitGroup
	for i, address := range addresses {
		servers[i] = &server{address: address, api: qlik.APIProxy, given: given}
		asking.Go(func() { c.askNode(ctx, servers[i], byAddress[address]) })
	}
	asking.Wait()
	for _, s := range servers {
		c.report.add(s.rungs...)
	}
	c.servers = append(c.servers, servers...)
}

// askNode asks the links of a node. What all of them fail with is a failure of
// the node, and told once.
func (c *climber) askNode(ctx context.Context, s *server, links []*headroom.LinkResult) {
	skipLinks := func() {
		s.add("link", s.address, Skipped, "%s not listed: the node does not answer", count(len(links), "virtual proxy", "virtual proxies"))
	}
	if !c.reach(ctx, s) {
		skipLinks()
		return
	}
	answers := make([]qlik.Answer, len(links))
	var requests errgroup.Group
	requests.SetLimit(requestsPerNode)
	for i, link := range links {
		requests.Go(func() error {
			link.Sessions, answers[i], link.Err = c.client.Sessions(ctx, &link.Link, nil)
			return nil // the outcome is in the result
		})
	}
	_ = requests.Wait()

	failures := make(map[string]bool)
	var rungs []Rung
	for i, link := range links {
		s.observe(answers[i])
		rung := Rung{Name: "link", Target: link.Node + " " + link.VirtualProxy, Mark: OK}
		if link.Err == nil {
			rung.Text = fmt.Sprintf("%s of %s, %s", count(len(link.Sessions), "session", "sessions"),
				count(distinctUsers(link.Sessions), "user", "users"), milliseconds(answers[i].Took))
			if len(link.Sessions) == 0 {
				rung.Text = "no sessions, " + milliseconds(answers[i].Took)
			}
			failures[""] = true
		} else {
			rung.Mark, rung.Text = Failed, c.requestFailure(s, answers[i], link.Err)
			failures[rung.Text] = true
		}
		rungs = append(rungs, rung)
	}
	switch {
	case failures[""]:
		s.add(rungRequest, s.address, OK, "certificate and XSRF key accepted")
	case len(failures) == 1:
		s.add(rungRequest, s.address, Failed, "%s", rungs[0].Text)
		skipLinks()
		return
	}
	s.rungs = append(s.rungs, rungs...)
}

// distinctUsers counts the users of sessions. Each anonymous browser counts for
// itself, as it does for Qlik.
func distinctUsers(sessions []qlik.Session) int {
	anonymous := 0
	users := make(map[qlik.User]struct{})
	for i := range sessions {
		if sessions[i].User == qlik.AnonymousUser {
			anonymous++
		} else {
			users[sessions[i].User] = struct{}{}
		}
	}
	return anonymous + len(users)
}

// licenses reads who holds a licence, and the usage rows.
func (c *climber) licenses(ctx context.Context) {
	var because string
	switch {
	case len(c.Qlik.Hosts) == 0:
		because = "no repository is configured"
	case !c.Licenses:
		because = "switched off by --no-collector.licenses"
	case c.states == nil:
		because = "the repository cannot be read"
	}
	if because != "" {
		c.add("licences", "-", Skipped, "%s", because)
		c.add("usage rows", "-", Skipped, "%s", because)
		return
	}
	var err error
	c.known, err = c.client.On(c.repository).Licenses(ctx)
	if err != nil {
		c.add("licences", c.repository, Failed, "%s", c.listFailure(err))
	} else {
		c.add("licences", c.repository, OK, "%s", c.seats())
	}
	if c.known == nil {
		c.add("usage rows", c.repository, Skipped, "the licences cannot be read")
		return
	}
	read, err := c.client.On(c.repository).UsageRows(ctx, c.known)
	rows := len(read)
	sessions := 0
	for i := range c.results {
		sessions += len(c.results[i].Sessions)
	}
	switch {
	case err != nil:
		c.add("usage rows", c.repository, Failed, "%s", c.listFailure(err))
	case rows == 0 && sessions > 0:
		c.add("usage rows", c.repository, Warning, "none for %s: if this release writes none, effective headroom is counted from sessions", count(sessions, "session", "sessions"))
	default:
		c.add("usage rows", c.repository, OK, "%s for %s", count(rows, "row", "rows"), count(sessions, "session", "sessions"))
	}
}

func (c *climber) seats() string {
	var seats []string
	for _, license := range slices.Sorted(maps.Keys(c.known.Seats)) {
		if s := c.known.Seats[license]; s.Total > 0 || s.Allocated > 0 {
			seats = append(seats, fmt.Sprintf("%s %g of %g", license, s.Allocated, s.Total))
		}
	}
	if len(seats) == 0 {
		return "can be read"
	}
	return "allocated: " + strings.Join(seats, ", ")
}

// auditLogs looks whether the configured logs can be read.
func (c *climber) auditLogs() {
	if len(c.AuditLogs) == 0 {
		c.add("audit log", "-", Skipped, "none is configured, so refused logins go unseen; see --qlik.audit-log")
		return
	}
	repositories := make(map[string]bool) // by lower-case host name
	for _, state := range c.states {
		if state.Service == "Repository" {
			repositories[strings.ToLower(state.Host)] = false
		}
	}
	for _, node := range slices.Sorted(maps.Keys(c.AuditLogs)) {
		glob := c.AuditLogs[node]
		_, known := repositories[strings.ToLower(node)]
		repositories[strings.ToLower(node)] = true
		switch file, err := auditlog.Find(glob); {
		case err != nil:
			c.add("audit log", node, Failed, "%s cannot be read (%v): %s", glob, err, remedyAuditLog)
		case len(c.states) > 0 && !known:
			c.add("audit log", node, Warning, "%s can be read, but the site has no repository on a node of this name: use the registered host name as the QMC shows it under Nodes", file)
		default:
			c.add("audit log", node, OK, "%s", file)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(repositories)) {
		if !repositories[node] {
			c.add("audit log", node, Warning, "is not read, so refused logins on this node go unseen: give --qlik.audit-log=%s=GLOB", node)
		}
	}
}

// clocks compares the servers' clocks with ours.
func (c *climber) clocks() {
	var told int
	var worst *server
	for _, s := range c.servers {
		if s.ahead == nil {
			continue
		}
		told++
		if worst == nil || apart(s) > apart(worst) {
			worst = s
		}
	}
	switch {
	case worst == nil:
		c.add("clock", "-", Skipped, "no answer says what time it is")
	case apart(worst) > clocksApart:
		direction := "ahead of"
		if *worst.ahead < 0 {
			direction = "behind"
		}
		c.add("clock", worst.host(), Warning, "is %s %s this machine's, which falsifies last activity and next free slots: let both follow the same time server",
			apart(worst), direction)
	default:
		c.add("clock", "-", OK, "%s within %s of this machine", count(told, "server", "servers"), max(apart(worst), time.Second))
	}
}

// apart is by how much the clock of a server differs from ours.
func apart(s *server) time.Duration { return s.ahead.Abs().Round(time.Second) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
