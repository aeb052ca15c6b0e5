package check

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// compareNodes warns of settings for nodes that the site does not have. Such a setting has
// no effect, so a typing error would go unnoticed.
func (s *site) compareNodes(context.Context) ([]Result, error) {
	nodes := make(map[string]string) // by name in lower case
	add := func(host string) {
		if host != "" {
			nodes[strings.ToLower(host)] = host
		}
	}
	for _, state := range s.states {
		add(state.Host)
	}
	for i := range s.links {
		add(s.links[i].Host())
	}
	for _, address := range slices.Concat(s.Qlik.Hosts, s.Qlik.Proxies) {
		add(qlik.HostOf(address))
	}
	var results []Result
	compare := func(flag string, named []string) {
		for _, name := range slices.Sorted(slices.Values(named)) {
			if name != "" && nodes[strings.ToLower(name)] == "" {
				results = append(results, warned("%s names %s, which is no node of the site; its nodes are %s: correct the name, or remove the setting",
					s.Setting(flag), name, strings.Join(slices.Sorted(maps.Values(nodes)), ", "))...)
			}
		}
	}
	compare("qlik.node-address", slices.Collect(maps.Keys(s.Qlik.NodeAddresses)))
	compare("qlik.engine-port", slices.Collect(maps.Keys(s.Qlik.EnginePorts)))
	return results, nil
}
