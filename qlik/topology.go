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
					return errNoID // skipping it would hide its sessions
				}
				virtualProxies = append(virtualProxies, *v)
				return nil
			})
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i := range proxies {
		if proxies[i].Node.HostName == "" { // has no address
			c.skipped[SourceTopology].Add(1)
		}
	}
	return filterLinks(joinLinks(proxies, virtualProxies), c.config.Proxies, c.config.VirtualProxies), nil
}

// ConfiguredLinks returns the links that the configuration defines. It returns nil if
// the topology must be read from a repository.
func (c *Client) ConfiguredLinks() []Link {
	return staticLinks(c.config.Proxies, c.config.VirtualProxies)
}

var errNoID = otherShapef("the list has a virtual proxy without id")

// joinLinks joins the lists of proxies and virtual proxies of the repository. A
// virtual proxy without a proxy has no link. Two virtual proxies on different proxies
// can have the same prefix; their ids differ.
func joinLinks(proxies []proxyServiceRecord, virtualProxies []virtualProxyRecord) []Link {
	byID := make(map[string]*virtualProxyRecord, len(virtualProxies))
	for i := range virtualProxies {
		byID[virtualProxies[i].ID] = &virtualProxies[i]
	}
	var links []Link
	for i := range proxies {
		if proxies[i].Node.HostName == "" {
			continue // has no address
		}
		settings := &proxies[i].Settings
		port := proxyPort
		if settings.RESTListenPort != 0 {
			port = strconv.Itoa(settings.RESTListenPort)
		}
		for _, linked := range slices.Concat(settings.VirtualProxies, settings.DefaultVirtualProxies, settings.OtherVirtualProxies) {
			virtualProxy, ok := byID[linked.ID]
			if !ok {
				continue // deleted between the two requests
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
