package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func hasRepository(s *site) bool { return len(s.Qlik.Hosts) > 0 }

// repositoryAddress returns the address of the repository that responds, or "-".
func repositoryAddress(s *site) string {
	if s.repository == nil {
		return "-"
	}
	return s.repository.address
}

func configuredRepository(s *site) string {
	if !hasRepository(s) {
		return "no repository is configured"
	}
	return ""
}

func answeringRepository(s *site) string {
	if s.repository == nil {
		return "no repository responds"
	}
	return ""
}

func knownServices(s *site) bool { return len(s.states) > 0 }

func rights(s *site) string {
	if !s.readable {
		return "the repository cannot be read"
	}
	return ""
}

// wantedTopology returns why the topology is not read: settings define the links.
func wantedTopology(s *site) string {
	if s.client.ConfiguredLinks() == nil {
		return ""
	}
	text := fmt.Sprintf("%s and %s define the links", s.Setting("qlik.proxy"), s.Setting("qlik.virtual-proxy"))
	if missing := configuredRepository(s); missing != "" {
		return missing + "; " + text
	}
	return text
}

// tryRepositories tests every configured repository.
func (s *site) tryRepositories(ctx context.Context) ([]Result, error) {
	for _, host := range s.Qlik.Hosts {
		s.servers = append(s.servers, &server{site: s, address: host, api: qlik.APIRepository, flag: "qlik.host", ask: (*server).readVersion})
	}
	results := s.tryServers(ctx, s.servers)
	for _, repository := range s.servers {
		if repository.answers {
			s.repository = repository
			break
		}
	}
	return results, nil
}

func (s *server) readVersion(ctx context.Context) ([]Result, error) {
	version, answer, err := s.site.client.On(s.address).About(ctx)
	s.observe(answer)
	if err != nil {
		return nil, withPage(answer, err)
	}
	s.answers = true
	return passed("certificate and XSRF key accepted by release %s, %s", cmp.Or(version, "unknown"), milliseconds(answer.Took)), nil
}

// Errors for responses of a repository without usable content.
var (
	errNoService   = errors.New("no service is listed")
	errNoLink      = errors.New("no link is listed")
	errAllDisabled = errors.New("all proxies are disabled")
)

// readServices reads the states of services. Every user with rights can see them. Other
// lists can be readable although this one has another form.
func (s *site) readServices(ctx context.Context) ([]Result, error) {
	var err error
	s.states, err = s.client.On(s.repository.address).Services(ctx)
	if s.readable = len(s.states) > 0 || errors.Is(err, qlik.ErrOtherShape); err != nil {
		return nil, err
	}
	if len(s.states) == 0 {
		return nil, errNoService
	}
	return passed("%s can read the repository", s.Qlik.User), nil
}

// checkServices warns of services that are neither running nor disabled. A service is
// disabled on purpose, such as the proxy of a node that only has an engine.
func (s *site) checkServices(context.Context) ([]Result, error) {
	var disabled, others []string
	for _, state := range s.states {
		switch state.State {
		case qlik.StateRunning:
		case qlik.StateDisabled:
			disabled = append(disabled, fmt.Sprintf("%s on %s", state.Service, state.Host))
		default:
			others = append(others, fmt.Sprintf("%s on %s is %s", state.Service, state.Host, state.State))
		}
	}
	switch {
	case len(others) > 0:
		return warned("the repository reports that %s: on the node, look at the Windows service and its log, and start it if it has stopped", strings.Join(others, ", ")), nil
	case len(disabled) > 0:
		return passed("%s Running; Disabled on purpose: %s", areOrIs(len(s.states)-len(disabled)), strings.Join(disabled, ", ")), nil
	default:
		return passed("all %d services are Running", len(s.states)), nil
	}
}

func areOrIs(services int) string {
	if services == 1 {
		return "1 service is"
	}
	return text.Count(services, "service") + " are"
}

// leftOut returns the step that warns of elements and fields of a source that could not
// be read.
func leftOut(name, source string) step[*site] {
	return step[*site]{
		name: name, target: repositoryAddress,
		when: func(s *site) bool { return len(s.client.LeftOut(source)) > 0 },
		run: func(s *site, _ context.Context) ([]Result, error) {
			var what []string
			for _, left := range s.client.LeftOut(source) {
				if left.Times > 1 {
					left.What += fmt.Sprintf(" (%d times)", left.Times)
				}
				what = append(what, left.What)
			}
			whose := "repository"
			if source == qlik.SourceEngines {
				whose = "engine"
			}
			return warned("a part of the %s's response cannot be read and is left out (%s): report this line and the release of Qlik Sense as an issue of qlik_exporter",
				whose, strings.Join(what, ", ")), nil
		},
	}
}

// readTopology reads the links of the site.
func (s *site) readTopology(ctx context.Context) ([]Result, error) {
	all, err := s.client.On(s.repository.address).Topology(ctx)
	if err != nil {
		return nil, err
	}
	s.links = qlik.WithoutDisabled(all, s.states)
	switch {
	case len(all) == 0:
		return nil, errNoLink
	case len(s.links) == 0:
		return nil, errAllDisabled
	}
	virtualProxies, nodes := make(map[string]bool), make(map[string]bool)
	for _, link := range s.links {
		virtualProxies[link.VirtualProxyID], nodes[link.Node] = true, true
	}
	return passed("%s on %s, %s", text.Count(len(virtualProxies), "virtual proxy"),
		text.Count(len(nodes), "node"), text.Count(len(s.links), "link")), nil
}
