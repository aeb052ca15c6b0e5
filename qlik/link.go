package qlik

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Default ports.
const (
	proxyPort      = "4243"
	repositoryPort = "4242"
)

// Link is a virtual proxy served by a node. Each link has its own session list.
type Link struct {
	Node         string // registered host name of the node, with ":port" if its proxy does not listen on 4243
	Address      string // registered host name and port of its proxy as host:port
	VirtualProxy string // prefix with a leading slash; "/" is the default virtual proxy

	// From the repository; zero if the links are configured.
	VirtualProxyID       string // distinguishes virtual proxies with the same prefix on different nodes
	Description          string
	AuthenticationMethod string // such as "SAML"; see docs/qlik.md, "Virtual proxies"
	InactivityTimeout    time.Duration

	// Unread marks a link that the repository names in a form that cannot be read. Its
	// sessions are always unknown.
	Unread bool
}

// LinkKey identifies a link within its site.
type LinkKey struct{ Node, VirtualProxy string }

// Key returns the key of the link.
func (l *Link) Key() LinkKey { return LinkKey{l.Node, l.VirtualProxy} }

func (l *Link) compare(other *Link) int {
	return cmp.Or(strings.Compare(l.Node, other.Node), strings.Compare(l.VirtualProxy, other.VirtualProxy))
}

// Host returns the registered host name of the link's node.
func (l *Link) Host() string { return HostOf(l.Address) }

// URL returns the URL of the link's session list.
func (l *Link) URL() string { return "https://" + l.Address + l.path() }

// HostOf returns the host of host:port. An address without port is returned as is.
func HostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// NodeOf returns the node name of the link with a registered host name, so that all
// metrics use the same name. It returns host if no link has it.
func NodeOf(host string, links []Link) string {
	for i := range links {
		if strings.EqualFold(links[i].Host(), host) {
			return links[i].Node
		}
	}
	return host
}

// path returns the path of the link's session list. The prefix follows /qps, and its
// slashes are not escaped (docs/qlik.md, "Ports and addressing").
func (l *Link) path() string { return path.Join("/qps", l.VirtualProxy, "session") }

// virtualProxyName returns a prefix with one leading slash and no trailing slash.
func virtualProxyName(prefix string) string { return "/" + strings.Trim(prefix, "/") }

// isPrefix reports whether a text is the prefix of a virtual proxy, with or without
// slashes at its ends. Its path must stay below /qps/, also if the server decodes it
// twice or accepts backslashes: the client certificate opens more than that.
func isPrefix(text string) bool {
	text = strings.Trim(text, "/")
	if text == "" {
		return true
	}
	if !isName(text) || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`\%?#`, r) }) {
		return false
	}
	return !slices.ContainsFunc(strings.Split(text, "/"), func(element string) bool {
		return element == "" || element == "." || element == ".."
	})
}

// isHost reports whether a text is a host name or an IP address, without a port.
func isHost(text string) bool {
	return isName(text) && (hostName.MatchString(text) || net.ParseIP(text) != nil)
}

// ParseVirtualProxy returns the name that a virtual proxy has in links. The text is its
// prefix as in the QMC, with or without slashes at its ends; / is the default virtual proxy.
func ParseVirtualProxy(text string) (string, error) {
	if !isPrefix(text) {
		return "", fmt.Errorf("%q is not a prefix; write it as the QMC shows it", text)
	}
	return virtualProxyName(text), nil
}

func newLink(host, port, prefix string) Link {
	link := Link{Node: host, Address: net.JoinHostPort(host, port), VirtualProxy: virtualProxyName(prefix)}
	if port != proxyPort {
		link.Node = link.Address
	}
	return link
}

// unreadName is the name of a virtual proxy whose prefix is unknown, followed by its id.
// Other names begin with a slash.
const unreadName = "unreadable"

// newUnreadLink returns the link of a virtual proxy that cannot be read. Without an id
// it stands for all such links of the node.
func newUnreadLink(host, port, id string) Link {
	link := newLink(host, port, "")
	link.VirtualProxy, link.VirtualProxyID, link.Unread = unreadName, id, true
	if id != "" {
		link.VirtualProxy += ":" + id
	}
	return link
}

// ErrUnread is the cause why the session list of an unread link cannot be read.
var ErrUnread = errors.New("the repository names a virtual proxy of this node in a form that cannot be read")

func unreadError(link *Link) error {
	return &Error{Op: http.MethodGet, Target: "https://" + link.Address + "/qps/", Kind: KindDecode, Err: ErrUnread}
}

// staticLinks returns a link for each pair of a proxy (host:port) and a virtual proxy.
// They are for networks without access to a repository. It returns nil unless both
// are given.
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

// NotInTime returns the error for a session list that did not arrive before the
// deadline of the caller.
func NotInTime(link *Link) error {
	return &Error{Op: http.MethodGet, Target: link.URL(), Kind: KindTimeout, Err: errNotInTime}
}

// sortedLinks sorts links by node and prefix, the order of Prometheus series. It
// removes duplicates with the same node and prefix.
func sortedLinks(links []Link) []Link {
	slices.SortStableFunc(links, func(a, b Link) int { return a.compare(&b) })
	return slices.CompactFunc(links, func(a, b Link) bool { return a.compare(&b) == 0 })
}

// filterLinks returns the links of the given proxies (host:port) and virtual proxies.
// An empty list selects all. A proxy with the default port matches any port of that
// host.
func filterLinks(links []Link, proxies, virtualProxies []string) []Link {
	return slices.DeleteFunc(links, func(l Link) bool {
		matchesProxy := len(proxies) == 0 ||
			slices.ContainsFunc(proxies, func(p string) bool {
				host, port, _ := net.SplitHostPort(p)
				return strings.EqualFold(p, l.Address) || port == proxyPort && strings.EqualFold(host, HostOf(l.Address))
			})
		matchesPrefix := len(virtualProxies) == 0 || l.Unread ||
			slices.ContainsFunc(virtualProxies, func(p string) bool { return virtualProxyName(p) == l.VirtualProxy })
		return !matchesProxy || !matchesPrefix
	})
}
