package qlik

import (
	"context"
	"slices"
	"strconv"
	"strings"
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
		room := newRoom(maxElements, maxNames)
		return listEntities(ctx, c, hosts, "proxyservice", leftOfLinks, room,
			func() { topology.proxies = nil },
			func(p *proxyServiceRecord) {
				topology.proxies = append(topology.proxies, *p)
				room.take(string(p.Node.HostName))
				for _, list := range p.Settings.value.lists() {
					for _, linked := range list.list {
						room.take(string(linked.ID))
					}
				}
			})
	})
	group.Go(func() error {
		room := newRoom(maxElements, maxNames)
		return listEntities(ctx, c, hosts, virtualProxyList, left, room,
			func() { topology.virtualProxies = nil },
			func(v *virtualProxyRecord) {
				topology.virtualProxies = append(topology.virtualProxies, *v)
				room.take(string(v.ID), string(v.Prefix), string(v.Description.value))
			})
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	topology.missing = left[elementsOf(virtualProxyList)] > 0
	for what, times := range leftOfLinks {
		left.addTimes(what, times)
	}
	links := filterLinks(topology.links(left), c.config.Proxies, c.config.VirtualProxies)
	c.skipped.record(SourceTopology, left, nil)
	c.forgetLengths(links)
	return links, nil
}

// forgetLengths forgets the lengths of the session lists of links that no longer exist.
func (c *Client) forgetLengths(links []Link) {
	exist := make(map[string]bool, len(links))
	for i := range links {
		exist[links[i].URL()] = true
	}
	c.lengths.Range(func(url, _ any) bool {
		if !exist[url.(string)] { //nolint:errcheck,forcetypeassert // Sessions stores strings
			c.lengths.Delete(url)
		}
		return true
	})
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
// Parts that cannot be read are counted in left.
func (t *topology) links(left leftOut) []Link {
	byID := make(map[string]*virtualProxyRecord, len(t.virtualProxies)) // ids are GUIDs, in which case does not matter
	for i := range t.virtualProxies {
		byID[strings.ToLower(string(t.virtualProxies[i].ID))] = &t.virtualProxies[i]
	}
	joined := joinedLinks{room: newRoom(maxLinks, maxLinkNames), known: make(map[LinkKey]bool)}
	for i := range t.proxies {
		if joined.beyond > 0 {
			break
		}
		settings := &t.proxies[i].Settings
		host, port := string(t.proxies[i].Node.HostName), proxyPort
		all := settings.odd // the links of this proxy are unknown
		if number := settings.value.RESTListenPort; number.known && number.value == 0 {
			left.add("restListenPort out of range of proxyservice")
			joined.add(newUnreadLink(host, port, ""))
			continue
		} else if number.known {
			port = strconv.Itoa(int(number.value))
		}
		seen := make(map[name]bool)
		for _, list := range settings.value.lists() {
			all = all || list.odd
			for _, linked := range list.list {
				if seen[linked.ID] {
					continue
				}
				seen[linked.ID] = true
				virtualProxy, ok := byID[strings.ToLower(string(linked.ID))]
				if !ok { // deleted between the two requests, or among those that could not be read
					if t.missing {
						joined.add(newUnreadLink(host, port, string(linked.ID)))
					}
					continue
				}
				link := newLink(host, port, string(virtualProxy.Prefix))
				link.VirtualProxyID = string(virtualProxy.ID)
				link.Description = string(virtualProxy.Description.value)
				link.AuthenticationMethod = virtualProxy.AuthenticationMethod.value.in(authenticationMethods)
				link.InactivityTimeout = time.Duration(virtualProxy.SessionInactivityTimeout.value)
				joined.add(link)
			}
		}
		if all {
			joined.add(newUnreadLink(host, port, ""))
		}
	}
	if joined.beyond > 0 {
		left.addTimes("link beyond the limit", joined.beyond)
	}
	return sortedLinks(joined.links)
}

// joinedLinks are the links that have been joined, each once. Their number is limited,
// so that a hostile repository cannot multiply proxies and virtual proxies.
type joinedLinks struct {
	links  []Link
	known  map[LinkKey]bool
	room   *Room
	beyond uint64 // links of the last proxy for which there was no room; those of later ones are not joined
}

// add adds a link, unless another one has the same key. The first link for which there
// is no room stands for all of them, so that the site is not complete.
func (j *joinedLinks) add(link Link) {
	if j.known[link.Key()] {
		return
	}
	if !j.room.take(link.Address, link.VirtualProxy, link.VirtualProxyID, link.Description) {
		if j.beyond == 0 {
			j.links = append(j.links, Link{Node: link.Node, Address: link.Address, VirtualProxy: unreadName, Unread: true})
		}
		j.beyond++
		return
	}
	j.known[link.Key()] = true
	j.links = append(j.links, link)
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
