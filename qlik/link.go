package qlik

import (
	"cmp"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// The usual ports.
const (
	proxyPort      = "4243"
	repositoryPort = "4242"
)

// Link is a virtual proxy served by a node: the unit that is asked for sessions.
type Link struct {
	Node         string // registered host name, with ":port" where its proxy does not listen on 4243
	Address      string // host:port of its proxy, the host being the registered name
	VirtualProxy string // prefix with a leading slash; "/" is the default virtual proxy

	// From the repository; zero where the links were configured instead.
	VirtualProxyID       string // tells virtual proxies apart that share a prefix on different proxies
	Description          string
	AuthenticationMethod string
	InactivityTimeout    time.Duration
}

// LinkKey is what tells a link from the others of its site.
type LinkKey struct{ Node, VirtualProxy string }

// Key returns what tells the link from others.
func (l *Link) Key() LinkKey { return LinkKey{l.Node, l.VirtualProxy} }

func (l *Link) compare(other *Link) int {
	return cmp.Or(strings.Compare(l.Node, other.Node), strings.Compare(l.VirtualProxy, other.VirtualProxy))
}

// Host returns the registered host name of the link's node.
func (l *Link) Host() string { return HostOf(l.Address) }

// URL is what the link is asked for.
func (l *Link) URL() string { return "https://" + l.Address + l.path() }

// HostOf returns the host of host:port.
func HostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// NodeOf names the node with a registered host name as links do, so that it is
// the same string in every metric.
func NodeOf(host string, links []Link) string {
	for i := range links {
		if strings.EqualFold(links[i].Host(), host) {
			return links[i].Node
		}
	}
	return host
}

// path is where the link's sessions are listed. The prefix comes after /qps; its
// own slashes stay as they are (docs/qlik.md, "Session list").
func (l *Link) path() string { return path.Join("/qps", l.VirtualProxy, "session") }

// virtualProxyName writes a prefix with one leading slash, however it is given.
func virtualProxyName(prefix string) string { return "/" + strings.Trim(prefix, "/") }

func newLink(host, port, prefix string) Link {
	link := Link{Node: host, Address: net.JoinHostPort(host, port), VirtualProxy: virtualProxyName(prefix)}
	if port != proxyPort {
		link.Node = link.Address
	}
	return link
}

// staticLinks is the cross product of proxies (host:port) and virtual proxies,
// for places from which no repository can be reached; nil unless both are given.
func staticLinks(proxies, virtualProxies []string) []Link {
	var links []Link
	for _, proxy := range proxies {
		host, port, err := net.SplitHostPort(proxy)
		if err != nil { // validated by Config
			continue
		}
		for _, prefix := range virtualProxies {
			links = append(links, newLink(host, port, prefix))
		}
	}
	return sortedLinks(links)
}

// NotInTime is the error of a question whose answer nobody waits for any longer.
func NotInTime(link *Link) error {
	return &Error{Op: http.MethodGet, Target: link.URL(), Kind: KindTimeout, Err: errNotInTime}
}

// sortedLinks orders links as Prometheus orders their series, and drops
// repetitions: a link is known by its node and prefix.
func sortedLinks(links []Link) []Link {
	slices.SortStableFunc(links, func(a, b Link) int { return a.compare(&b) })
	return slices.CompactFunc(links, func(a, b Link) bool { return a.compare(&b) == 0 })
}

// filterLinks keeps the links of the given proxies (host:port) and virtual
// proxies; an empty list keeps all. The usual port stands for whichever port the
// proxy of that host has.
func filterLinks(links []Link, proxies, virtualProxies []string) []Link {
	return slices.DeleteFunc(links, func(l Link) bool {
		matchesProxy := len(proxies) == 0 ||
			slices.ContainsFunc(proxies, func(p string) bool {
				host, port, _ := net.SplitHostPort(p)
				return strings.EqualFold(p, l.Address) || port == proxyPort && strings.EqualFold(host, HostOf(l.Address))
			})
		matchesPrefix := len(virtualProxies) == 0 ||
			slices.ContainsFunc(virtualProxies, func(p string) bool { return virtualProxyName(p) == l.VirtualProxy })
		return !matchesProxy || !matchesPrefix
	})
}
