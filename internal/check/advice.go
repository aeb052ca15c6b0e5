package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	usualTimeout = 30 * time.Minute
	// A few users with two browsers are on two nodes by chance, as in the alert
	// QlikLoadBalancerNotSticky.
	spreadUsers, spreadShare = 3, 0.2
)

// advisers find what of the site costs its users sessions, in the order of the
// report.
var advisers = []func(*site) []string{
	licensedAccounts, sharedPrefixes, longTimeouts, usersOnSeveralNodes, otherLimit, licenseEnd,
}

// licensedAccounts finds service accounts whose sessions the limit counts.
func licensedAccounts(s *site) []string {
	if s.licenses == nil {
		return nil
	}
	var advice []string
	accounts := append(slices.Clone(s.ServiceAccounts), s.Qlik.User)
	slices.SortFunc(accounts, qlik.User.Compare)
	for _, account := range slices.Compact(accounts) {
		for _, license := range qlik.AllocatedLicenses() {
			if s.licenses.Holds(account, license) {
				advice = append(advice, fmt.Sprintf("service account %s holds %s access, so its sessions run into the limit and reloads fail: take it away in the QMC under License management", account, license))
			}
		}
	}
	return advice
}

// sharedPrefixes finds virtual proxies that only their nodes tell apart.
func sharedPrefixes(s *site) []string {
	nodes := make(map[string]map[string][]string) // by prefix and id
	for _, link := range s.links {
		if nodes[link.VirtualProxy] == nil {
			nodes[link.VirtualProxy] = make(map[string][]string)
		}
		nodes[link.VirtualProxy][link.VirtualProxyID] = append(nodes[link.VirtualProxy][link.VirtualProxyID], link.Node)
	}
	var advice []string
	for _, prefix := range slices.Sorted(maps.Keys(nodes)) {
		if len(nodes[prefix]) < 2 {
			continue
		}
		var places []string
		for _, on := range nodes[prefix] {
			places = append(places, strings.Join(on, " and "))
		}
		slices.Sort(places)
		advice = append(advice, fmt.Sprintf("%d virtual proxies have the prefix %s (on %s; on %s), so metrics tell them apart by node only: give each a prefix of its own",
			len(places), prefix, strings.Join(places[:len(places)-1], "; on "), places[len(places)-1]))
	}
	return advice
}

// longTimeouts finds virtual proxies that keep forgotten sessions for long.
func longTimeouts(s *site) []string {
	var advice []string
	told := make(map[string]bool)
	for _, link := range s.links {
		if link.InactivityTimeout > usualTimeout && !told[link.VirtualProxyID] {
			told[link.VirtualProxyID] = true
			advice = append(advice, fmt.Sprintf("virtual proxy %s keeps a forgotten session for %.0f minutes: %.0f or less free slots sooner",
				link.VirtualProxy, link.InactivityTimeout.Minutes(), usualTimeout.Minutes()))
		}
	}
	return advice
}

// usersOnSeveralNodes finds virtual proxies whose users are sent to any node.
func usersOnSeveralNodes(s *site) []string {
	snapshot, _ := headroom.New(headroom.Config{Limit: s.SessionLimit}).Observe(headroom.Round{Links: s.results})
	all := make(map[string]int)
	for i := range snapshot.Users {
		for _, v := range snapshot.Users[i].VirtualProxies {
			all[v.VirtualProxy]++
		}
	}
	var advice []string
	spread := snapshot.UsersOnSeveralNodes()
	for _, virtualProxy := range slices.Sorted(maps.Keys(spread)) {
		if n := spread[virtualProxy]; n >= spreadUsers && float64(n) > spreadShare*float64(all[virtualProxy]) {
			advice = append(advice, fmt.Sprintf("%d of %d users of virtual proxy %s have sessions on several nodes, each of which counts: let the load balancer keep a browser on its node",
				n, all[virtualProxy], virtualProxy))
		}
	}
	return advice
}

// otherLimit finds a limit that Qlik does not have.
func otherLimit(s *site) []string {
	if s.SessionLimit == headroom.DefaultLimit {
		return nil
	}
	return []string{fmt.Sprintf("%s is %d, but Qlik's license grants %d and cannot be changed: leave the setting out",
		s.Setting("qlik.session-limit"), s.SessionLimit, headroom.DefaultLimit)}
}

// licenseEnd finds a license that ends soon.
func licenseEnd(s *site) []string {
	if s.licenses == nil || s.licenses.Expiry.IsZero() || !s.endsSoon(s.licenses.Expiry) {
		return nil
	}
	return []string{fmt.Sprintf("the license ends on %s: renew it", text.Date(s.licenses.Expiry.Add(-time.Second)))}
}
