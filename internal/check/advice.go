package check

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	usualTimeout = 30 * time.Minute
	// A few users with two browsers are on two nodes by chance, as in the alert
	// QlikLoadBalancerNotSticky.
	spreadUsers, spreadShare = 3, 0.2
)

// advise says what of the site costs its users sessions.
func (c *climber) advise() {
	c.adviseAccounts()
	c.advisePrefixes()
	c.adviseTimeouts()
	c.adviseSpread()
	if limit := c.SessionLimit; limit != headroom.DefaultLimit {
		c.report.advise("--qlik.session-limit is %d, but Qlik's licence grants %d and cannot be changed: leave the flag out", limit, headroom.DefaultLimit)
	}
	if c.known != nil && !c.known.Expiry.IsZero() && c.known.Expiry.Sub(c.Qlik.Now()) < soon {
		c.report.advise("the licence ends on %s: renew it", date(c.known.Expiry.Add(-time.Second)))
	}
}

// adviseAccounts finds service accounts whose sessions the limit counts.
func (c *climber) adviseAccounts() {
	if c.known == nil {
		return
	}
	accounts := append(slices.Clone(c.ServiceAccounts), c.Qlik.User)
	slices.SortFunc(accounts, qlik.User.Compare)
	for _, account := range slices.Compact(accounts) {
		for _, license := range qlik.AllocatedLicenses() {
			if c.known.Holds(account, license) {
				c.report.advise("service account %s holds %s access, so its sessions run into the limit and reloads fail: take it away in the QMC under License management", account, license)
			}
		}
	}
}

// advisePrefixes finds virtual proxies that only their nodes tell apart.
func (c *climber) advisePrefixes() {
	nodes := make(map[string]map[string][]string) // by prefix and id
	for _, link := range c.links {
		if nodes[link.VirtualProxy] == nil {
			nodes[link.VirtualProxy] = make(map[string][]string)
		}
		nodes[link.VirtualProxy][link.VirtualProxyID] = append(nodes[link.VirtualProxy][link.VirtualProxyID], link.Node)
	}
	for _, prefix := range slices.Sorted(maps.Keys(nodes)) {
		if len(nodes[prefix]) < 2 {
			continue
		}
		var places []string
		for _, on := range nodes[prefix] {
			places = append(places, strings.Join(on, " and "))
		}
		slices.Sort(places)
		c.report.advise("%d virtual proxies have the prefix %s (on %s; on %s), so metrics tell them apart by node only: give each a prefix of its own",
			len(places), prefix, strings.Join(places[:len(places)-1], "; on "), places[len(places)-1])
	}
}

// adviseTimeouts finds virtual proxies that keep forgotten sessions for long.
func (c *climber) adviseTimeouts() {
	told := make(map[string]bool)
	for _, link := range c.links {
		if link.InactivityTimeout > usualTimeout && !told[link.VirtualProxyID] {
			told[link.VirtualProxyID] = true
			c.report.advise("virtual proxy %s keeps a forgotten session for %.0f minutes: %.0f or less free slots sooner",
				link.VirtualProxy, link.InactivityTimeout.Minutes(), usualTimeout.Minutes())
		}
	}
}

// adviseSpread finds virtual proxies whose users are sent to any node.
func (c *climber) adviseSpread() {
	snapshot, _ := headroom.New(headroom.Config{Limit: c.SessionLimit}).Observe(headroom.Round{Links: c.results})
	all := make(map[string]int)
	for i := range snapshot.Users {
		for _, v := range snapshot.Users[i].VirtualProxies {
			all[v.VirtualProxy]++
		}
	}
	spread := snapshot.UsersOnSeveralNodes()
	for _, virtualProxy := range slices.Sorted(maps.Keys(spread)) {
		if n := spread[virtualProxy]; n >= spreadUsers && float64(n) > spreadShare*float64(all[virtualProxy]) {
			c.report.advise("%d of %d users of virtual proxy %s have sessions on several nodes, each of which counts: let the load balancer keep a browser on its node",
				n, all[virtualProxy], virtualProxy)
		}
	}
}
