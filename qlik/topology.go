package qlik

import (
	"context"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// Topology reads the links of the site from a repository, without those that the
// configuration excludes (docs/qlik.md, "Topology"). It starts with the preferred
// repository, so that the client returns to it once it is up again.
func (c *Client) Topology(ctx context.Context) ([]Link, error) {
	var (
		hosts             = c.repositories.hosts
		topology          topology
		left, leftOfLinks = make(leftOut), make(leftOut)
	)
	var group errgroup.Group
	group.Go(func() error {
		return listEntities(ctx, c, hosts, "proxyservice", leftOfLinks,
			func() { topology.proxies = nil },
			func(p *proxyServiceRecord) { topology.proxies = append(topology.proxies, *p) })
	})
	group.Go(func() error {
		return listEntities(ctx, c, hosts, virtualProxyList, left,
			func() { topology.virtualProxies = nil },
			func(v *virtualProxyRecord) { topology.virtualProxies = append(topology.virtualProxies, *v) })
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	topology.missing = left[elementsOf(virtualProxyList)] > 0
	for what, times := range leftOfLinks {
		left.addTimes(what, times)
	}
	c.skipped.record(SourceTopology, left, nil)
	return filterLinks(topology.links(), c.config.Proxies, c.config.VirtualProxies), nil
}

const virtualProxyList = "virtualproxyconfig"

// ConfiguredLinks returns the links that the configuration defines. It returns nil if
// the topology must be read from a repository.
func (c *Client) ConfiguredLinks() []Link {
	return staticLinks(c.config.Proxies, c.config.VirtualProxies)
}

// topology is what the repository says about proxies and virtual proxies.
type topology struct {
	proxies        []proxyServiceRecord
	virtualProxies []virtualProxyRecord
	missing        bool // some virtual proxies could not be read
}

// links joins proxies and virtual proxies. A virtual proxy without a proxy has no link.
// Two virtual proxies on different proxies can have the same prefix; their ids differ.
func (t *topology) links() []Link {
	byID := make(map[name]*virtualProxyRecord, len(t.virtualProxies))
	for i := range t.virtualProxies {
		byID[t.virtualProxies[i].ID] = &t.virtualProxies[i]
	}
	var links []Link
	for i := range t.proxies {
		settings := &t.proxies[i].Settings
		host, port := string(t.proxies[i].Node.HostName), proxyPort
		if number := settings.value.RESTListenPort; number.known {
			port = strconv.Itoa(int(number.value))
		}
		all := settings.odd // the links of this proxy are unknown
		for _, list := range []elements[linkedRecord]{settings.value.VirtualProxies, settings.value.DefaultVirtualProxies, settings.value.OtherVirtualProxies} {
			all = all || list.odd
			for _, linked := range list.list {
				virtualProxy, ok := byID[linked.ID]
				if !ok { // deleted between the two requests, or among those that could not be read
					if t.missing {
						links = append(links, newUnreadLink(host, port, string(linked.ID)))
					}
					continue
				}
				link := newLink(host, port, string(virtualProxy.Prefix))
				link.VirtualProxyID = string(virtualProxy.ID)
				link.Description = string(virtualProxy.Description.value)
				link.AuthenticationMethod = virtualProxy.AuthenticationMethod.value.in(authenticationMethods)
				link.InactivityTimeout = time.Duration(virtualProxy.SessionInactivityTimeout.value)
				links = append(links, link)
			}
		}
		if all {
			links = append(links, newUnreadLink(host, port, ""))
		}
	}
	return sortedLinks(links)
}

// WithLast returns the links of a new topology. It replaces each unread link by the last
// one of the same virtual proxy on the same node, if there is one.
func WithLast(links, last []Link) []Link {
	if !slices.ContainsFunc(links, func(l Link) bool { return l.Unread }) {
		return links
	}
	var all []Link
	for _, link := range links {
		known := len(all)
		for _, before := range last {
			if link.Unread && !before.Unread && before.Node == link.Node && (link.VirtualProxyID == "" || before.VirtualProxyID == link.VirtualProxyID) {
				all = append(all, before)
			}
		}
		if len(all) == known {
			all = append(all, link)
		}
	}
	return sortedLinks(all)
}
