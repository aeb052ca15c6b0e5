package qlik

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Topology asks a repository which virtual proxies are linked to which nodes,
// and returns those links that the configuration does not leave out. It begins
// with the preferred repository, so that somebody notices when that is back.
func (c *Client) Topology(ctx context.Context) ([]Link, error) {
	var (
		hosts          = c.repositories.hosts
		proxies        []proxyServiceRecord
		virtualProxies []virtualProxyRecord
	)
	var group errgroup.Group
	group.Go(func() (err error) {
		proxies, err = collectEntities[proxyServiceRecord](ctx, c, hosts, "proxyservice")
		return err
	})
	group.Go(func() error {
		return listEntities(ctx, c, hosts, "virtualproxyconfig",
			func() { virtualProxies = nil },
			func(v *virtualProxyRecord) error {
				if v.ID == "" {
					return errNoID // leaving it out would hide its sessions
				}
				virtualProxies = append(virtualProxies, *v)
				return nil
			})
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i := range proxies {
		if proxies[i].Node.HostName == "" { // cannot be asked
			c.skipped[SourceTopology].Add(1)
		}
	}
	return filterLinks(joinLinks(proxies, virtualProxies), c.config.Proxies, c.config.VirtualProxies), nil
}

// ConfiguredLinks returns the links that are configured instead of discovered;
// nil where the topology must be asked for.
func (c *Client) ConfiguredLinks() []Link {
	return staticLinks(c.config.Proxies, c.config.VirtualProxies)
}

var errNoID = kindErrorf(KindDecode, "the list has a virtual proxy without id")

// joinLinks joins proxies and virtual proxies as the repository lists them. A
// virtual proxy that no proxy links to serves nobody and is left out. Two
// virtual proxies may share a prefix on different proxies: they are told apart
// by their ids.
func joinLinks(proxies []proxyServiceRecord, virtualProxies []virtualProxyRecord) []Link {
	byID := make(map[string]*virtualProxyRecord, len(virtualProxies))
	for i := range virtualProxies {
		byID[virtualProxies[i].ID] = &virtualProxies[i]
	}
	var links []Link
	for i := range proxies {
		if proxies[i].Node.HostName == "" {
			continue // cannot be asked
		}
		settings := &proxies[i].Settings
		port := proxyPort
		if settings.RESTListenPort != 0 {
			port = strconv.Itoa(settings.RESTListenPort)
		}
		for _, linked := range slices.Concat(settings.VirtualProxies, settings.DefaultVirtualProxies, settings.OtherVirtualProxies) {
			virtualProxy, ok := byID[linked.ID]
			if !ok {
				continue // deleted between the two answers
			}
			link := newLink(proxies[i].Node.HostName, port, virtualProxy.Prefix)
			link.VirtualProxyID = virtualProxy.ID
			link.Description = strings.ToValidUTF8(virtualProxy.Description, "\uFFFD")
			link.AuthenticationMethod = virtualProxy.AuthenticationMethod.in(authenticationMethods)
			link.InactivityTimeout = time.Duration(virtualProxy.SessionInactivityTimeout * float64(time.Minute))
			links = append(links, link)
		}
	}
	return sortedLinks(links)
}
