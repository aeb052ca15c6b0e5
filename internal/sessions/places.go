package sessions

import (
	"cmp"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Place is a virtual proxy on a node with the number of the user's sessions there.
type Place struct {
	VirtualProxy string `json:"virtual_proxy"`
	Node         string `json:"node"`
	Sessions     int    `json:"sessions"`
}

// add counts a session of the user in its place.
func (r *Row) add(link *qlik.Link) {
	i, known := slices.BinarySearchFunc(r.Places, link, func(p Place, l *qlik.Link) int {
		return cmp.Or(strings.Compare(p.VirtualProxy, l.VirtualProxy), strings.Compare(p.Node, l.Node))
	})
	if !known {
		r.Places = slices.Insert(r.Places, i, Place{VirtualProxy: link.VirtualProxy, Node: link.Node})
	}
	r.Places[i].Sessions++
}

// PlaceFilter selects places by virtual proxy and node.
type PlaceFilter struct {
	VirtualProxies []string // prefixes, with or without slashes at the ends; empty means all
	Nodes          []string // host names in any case; empty means all
}

// Everywhere reports whether the filter selects all places.
func (f *PlaceFilter) Everywhere() bool { return len(f.VirtualProxies) == 0 && len(f.Nodes) == 0 }

// Matches reports whether the filter selects a place.
func (f *PlaceFilter) Matches(virtualProxy, node string) bool {
	return (len(f.VirtualProxies) == 0 || slices.ContainsFunc(f.VirtualProxies, func(prefix string) bool { return isVirtualProxy(prefix, virtualProxy) })) &&
		(len(f.Nodes) == 0 || slices.ContainsFunc(f.Nodes, func(name string) bool { return strings.EqualFold(name, node) }))
}

func isVirtualProxy(prefix, virtualProxy string) bool {
	return strings.Trim(prefix, "/") == strings.Trim(virtualProxy, "/")
}

// UnknownNode returns the first node of the filter that is not among the nodes, or "".
func (f *PlaceFilter) UnknownNode(nodes []string) string {
	for _, name := range f.Nodes {
		if !slices.ContainsFunc(nodes, func(node string) bool { return strings.EqualFold(name, node) }) {
			return name
		}
	}
	return ""
}

// UnknownVirtualProxy returns the first virtual proxy of the filter that is not among
// the virtual proxies, or "".
func (f *PlaceFilter) UnknownVirtualProxy(virtualProxies []string) string {
	for _, prefix := range f.VirtualProxies {
		if !slices.ContainsFunc(virtualProxies, func(virtualProxy string) bool { return isVirtualProxy(prefix, virtualProxy) }) {
			return prefix
		}
	}
	return ""
}
