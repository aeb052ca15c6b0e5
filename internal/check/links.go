package check

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// requestsPerNode is the maximum number of concurrent requests to a node.
const requestsPerNode = 16

func knownLinks(s *site) string {
	if len(s.links) > 0 {
		return ""
	}
	return cmp.Or(answeringRepository(s), rights(s), "the topology is unknown")
}

func answeringNode(s *server) string {
	if !s.answers {
		return text.Count(len(s.links), "virtual proxy") + " not checked: the node does not respond"
	}
	return ""
}

// tryProxies tests the proxy of every node that has links.
func (s *site) tryProxies(ctx context.Context) ([]Result, error) {
	flag := ""
	if len(s.Qlik.Proxies) > 0 {
		flag = "qlik.proxy"
	}
	byAddress := make(map[string][]*headroom.LinkResult)
	s.results, s.asked = make([]headroom.LinkResult, len(s.links)), s.Qlik.Now()
	var unread []Result
	for i, link := range s.links {
		s.results[i].Link = link
		if link.Unread {
			s.results[i].Err = qlik.ErrUnread
			unread = append(unread, Result{Step: "link", Target: link.Node + " " + link.VirtualProxy, Mark: Failed, Text: s.explain("link", qlik.ErrUnread)})
			continue
		}
		byAddress[link.Address] = append(byAddress[link.Address], &s.results[i])
	}
	var proxies []*server
	for _, address := range slices.Sorted(maps.Keys(byAddress)) {
		proxies = append(proxies, &server{
			site: s, address: address, api: qlik.APIProxy, flag: flag, ask: (*server).readSessions, links: byAddress[address],
		})
	}
	s.servers = append(s.servers, proxies...)
	results := s.tryServers(ctx, proxies)
	s.report(unread...)
	return append(results, unread...), nil
}

// readSessions requests the sessions of every link of the node. If all links fail
// with the same explanation, the node has failed, and the report shows it once.
func (s *server) readSessions(ctx context.Context) ([]Result, error) {
	answers := make([]qlik.Answer, len(s.links))
	var requests errgroup.Group
	requests.SetLimit(requestsPerNode)
	for i, link := range s.links {
		requests.Go(func() error {
			link.Sessions, answers[i], link.Err = s.site.client.Sessions(ctx, &link.Link, nil, nil)
			return nil // the outcome is in the result
		})
	}
	_ = requests.Wait()

	var failure error                 // of the last link that failed
	failures := make(map[string]bool) // by explanation
	for i, link := range s.links {
		s.observe(answers[i])
		result := Result{Target: link.Node + " " + link.VirtualProxy, Mark: OK}
		if link.Err == nil {
			s.answers = true
			result.Text = sessionsOf(link.Sessions) + ", " + milliseconds(answers[i].Took)
		} else {
			failure = withPage(answers[i], link.Err)
			result.Mark, result.Text = Failed, s.explain("link", failure)
			failures[result.Text] = true
		}
		s.linkResults = append(s.linkResults, result)
	}
	switch {
	case s.answers:
		return passed("certificate and XSRF key accepted"), nil
	case len(failures) == 1:
		return nil, failure
	}
	s.answers = true // the links failed differently, so each gets its own line
	return nil, nil
}

// onNode returns the number of known sessions on the node and of their users.
func (s *server) onNode() (sessions, users int) {
	var all []qlik.Session
	for _, link := range s.links {
		all = append(all, link.Sessions...)
	}
	return len(all), distinctUsers(all)
}

// showLinks returns the results of the links.
func (s *server) showLinks(context.Context) ([]Result, error) { return s.linkResults, nil }

func sessionsOf(sessions []qlik.Session) string {
	if len(sessions) == 0 {
		return "no sessions"
	}
	return fmt.Sprintf("%s of %s", text.Count(len(sessions), "session"), text.Count(distinctUsers(sessions), "user"))
}

// distinctUsers counts the users of sessions. Each anonymous browser counts as one
// user, as it does in Qlik Sense.
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
