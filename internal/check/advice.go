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
	// A few users with two browsers are on two nodes by chance. The alert
	// QlikLoadBalancerNotSticky uses the same thresholds.
	spreadUsers, spreadShare = 3, 0.2
)

// advisers find properties of the site that cost its users sessions. They are in
// the order of the report.
var advisers = []func(*site) []string{
	licensedAccounts, sharedPrefixes, longTimeouts, lateActivity, usersOnSeveralNodes, otherLimit, capacityEnd, licenseEnd,
}

// licensedAccounts finds service accounts that hold a license. Their sessions count
// toward the limit. The user in X-Qlik-User is not one of them: requests with a
// certificate start no session, and it may be a person who needs the license.
func licensedAccounts(s *site) []string {
	if s.licenses == nil {
		return nil
	}
	var advice []string
	for _, a := range s.accounts {
		for _, license := range qlik.AllocatedLicenses() {
			if !s.licenses.Holds(a.user, license) {
				continue
			}
			switch {
			case a.named:
				advice = append(advice, fmt.Sprintf("service account %s holds %s access, so the session limit applies to it, and reloads fail at the limit: exclude the account in the license rule, and then remove this access in the QMC under License management", a.user, license))
			case a.services:
				advice = append(advice, fmt.Sprintf("%s runs the services of this machine and holds %s access, so the session limit applies to it, and reloads fail at the limit: exclude the account in the license rule, and then remove this access in the QMC under License management", a.user, license))
			default:
				advice = append(advice, fmt.Sprintf("%s is the user of the monitoring apps' data connections and holds %s access, so each reload of these apps%s takes one of the user's sessions: "+
					"if it is a service account, remove this access in the QMC under License management, and name the account with %s; "+
					"if it is a person who needs the access, enter another root administrator without a license in the data connections that begin with monitor_apps_REST_",
					a.user, license, s.reloadsADay(), s.Setting("qlik.service-account")))
			}
		}
	}
	return advice
}

// sharedPrefixes finds virtual proxies with the same prefix. Only the node
// distinguishes them in metrics.
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
		advice = append(advice, fmt.Sprintf("%d virtual proxies have the prefix %s (on %s; on %s), so metrics distinguish them only by node: "+
			"give each its own prefix when you change them anyway, because a new prefix breaks the users' links",
			len(places), prefix, strings.Join(places[:len(places)-1], "; on "), places[len(places)-1]))
	}
	return advice
}

// longTimeouts finds virtual proxies with an inactivity timeout longer than the
// usual one.
func longTimeouts(s *site) []string {
	var advice []string
	advised := make(map[string]bool) // by virtual proxy id
	for _, link := range s.links {
		if link.InactivityTimeout > usualTimeout && !advised[link.VirtualProxyID] {
			advised[link.VirtualProxyID] = true
			advice = append(advice, fmt.Sprintf("virtual proxy %s ends an inactive session only after %.0f minutes: set its session inactivity timeout to %.0f minutes or less to free slots sooner, "+
				"at a quiet hour if the QMC says that this restarts proxies%s",
				link.VirtualProxy, link.InactivityTimeout.Minutes(), usualTimeout.Minutes(), s.endedWith(link.VirtualProxyID)))
		}
	}
	return advice
}

// lateActivity finds sessions that were used later than their usage rows record, because
// they would have timed out otherwise. How soon activity is recorded cannot be told from one
// look at the site.
func lateActivity(s *site) []string {
	if s.usage == nil {
		return nil
	}
	snapshot, _ := headroom.New(headroom.Config{Limit: s.SessionLimit}).Observe(headroom.Round{Asked: s.asked, Heard: s.Qlik.Now(), Links: s.results, Usage: s.usage})
	usage, late, longest := snapshot.Usage(), 0, time.Duration(0)
	for i := range snapshot.Sessions {
		session := &snapshot.Sessions[i]
		if row := usage[session.ID]; row.UsedLater {
			late++
			longest = max(longest, snapshot.Time.Sub(row.LastActivity)-session.Link.InactivityTimeout)
		}
	}
	if late == 0 {
		return nil
	}
	return []string{fmt.Sprintf("usage rows record the activity of %d of %s late, by at least %s, unless a clock is wrong: a session that looks idle may be in use; "+
		"the running exporter measures how soon activity is recorded, in qlik_usage_activity_interval_seconds",
		late, text.Count(len(snapshot.Sessions), "session"), text.Duration(longest))}
}

// endedWith returns how many sessions end now if the proxies of a virtual proxy restart,
// or "" if none are known.
func (s *site) endedWith(virtualProxyID string) string {
	nodes := make(map[string]bool)
	for _, link := range s.links {
		if link.VirtualProxyID == virtualProxyID {
			nodes[link.Node] = true
		}
	}
	var ended []qlik.Session
	for i := range s.results {
		if nodes[s.results[i].Node] {
			ended = append(ended, s.results[i].Sessions...)
		}
	}
	if len(ended) == 0 {
		return ""
	}
	return fmt.Sprintf(", which would end %s of %s now", text.Count(len(ended), "session"), text.Count(distinctUsers(ended), "user"))
}

// usersOnSeveralNodes finds virtual proxies without sticky sessions: many of their
// users have sessions on several nodes.
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
			advice = append(advice, fmt.Sprintf("%d of %d users of virtual proxy %s have sessions on several nodes, and each of these sessions counts: enable sticky sessions in the load balancer",
				n, all[virtualProxy], virtualProxy))
		}
	}
	return advice
}

// otherLimit finds a configured session limit that differs from the limit of Qlik
// Sense.
func otherLimit(s *site) []string {
	if s.SessionLimit == headroom.DefaultLimit {
		return nil
	}
	return []string{fmt.Sprintf("%s is %d, but a Qlik license allows %d sessions and this limit cannot be changed: remove the setting",
		s.Setting("qlik.session-limit"), s.SessionLimit, headroom.DefaultLimit)}
}

// capacityEnd finds analyzer capacity that is used up, or that will be before new minutes
// come.
func capacityEnd(s *site) []string {
	if s.licenses == nil || s.licenses.Capacity == nil {
		return nil
	}
	capacity, now := s.licenses.Capacity, s.Qlik.Now().UTC()
	_, next := qlik.CapacityPeriod(now)
	remedy := "give analyzer access to those who must work, or order more capacity" + s.peopleOnCapacity()
	if capacity.UsedUp() {
		return []string{fmt.Sprintf("analyzer capacity is used up, so everybody without an access of their own is refused until new minutes come, about %s: %s", text.Date(next), remedy)}
	}
	if last := capacity.Lasts(now); !last.IsZero() && last.Before(next) {
		return []string{fmt.Sprintf("at the rate of this month, analyzer capacity is used up about %s, and then everybody without an access of their own is refused until new minutes come, about %s: %s",
			text.Date(last), text.Date(next), remedy)}
	}
	return nil
}

// namedOnCapacity is the number of users that an advice names.
const namedOnCapacity = 5

// peopleOnCapacity returns who works on analyzer capacity now, or "" if nobody is known to.
func (s *site) peopleOnCapacity() string {
	users := slices.SortedFunc(maps.Keys(s.onCapacity), qlik.User.Compare)
	if len(users) == 0 {
		return ""
	}
	var named []string
	for _, user := range users[:min(len(users), namedOnCapacity)] {
		named = append(named, user.String())
	}
	list := strings.Join(named, ", ")
	if more := len(users) - len(named); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("; %s on it now: %s", text.Count(len(users), "user"), list)
}

// licenseEnd finds a license that expires soon.
func licenseEnd(s *site) []string {
	if s.licenses == nil || s.licenses.Problem != "" || s.licenses.Expiry.IsZero() || !s.endsSoon(s.licenses.Expiry) {
		return nil
	}
	lastDay, expires := s.licenses.Expiry.Add(-time.Second), "expires"
	if s.Qlik.Now().After(s.licenses.Expiry) {
		expires = "expired"
	}
	return []string{fmt.Sprintf("the license %s on %s: renew it", expires, text.Date(lastDay))}
}
