package qlik

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestTopology(t *testing.T) {
	site := answers{
		"/qrs/proxyservice": `[
			{"serverNodeConfiguration": {"hostName": "b"}, "settings": {"restListenPort": 4243, "virtualProxies": [{"id": "hub"}, {"id": "ab"}, {"id": "gone"}]}},
			{"serverNodeConfiguration": {"hostName": "a"}, "settings": {"restListenPort": 14243, "virtualProxies": [{"id": "hub"}, {"id": "ab2"}]}},
			{"serverNodeConfiguration": {"hostName": "old"}, "settings": {"defaultVirtualProxyConfigurations": {"id": "hub"}, "virtualProxyConfigurations": [{"id": "ab"}]}},
			{"serverNodeConfiguration": {"hostName": "idle"}, "settings": {"restListenPort": 4243, "virtualProxies": []}}]`,
		"/qrs/virtualproxyconfig": `[
			{"id": "hub", "prefix": "", "description": "Central Proxy (Default)", "authenticationMethod": 0, "sessionInactivityTimeout": 30},
			{"id": "ab", "prefix": "a/b", "description": "first", "authenticationMethod": 4, "sessionInactivityTimeout": 5},
			{"id": "ab2", "prefix": "a/b", "description": "second", "authenticationMethod": "SAML", "sessionInactivityTimeout": 20},
			{"id": "unlinked", "prefix": "nobody"}]`,
	}
	c := site.client()
	hub := Link{VirtualProxy: "/", VirtualProxyID: "hub", Description: "Central Proxy (Default)", AuthenticationMethod: "Ticket", InactivityTimeout: 30 * time.Minute}
	first := Link{VirtualProxy: "/a/b", VirtualProxyID: "ab", Description: "first", AuthenticationMethod: "JWT", InactivityTimeout: 5 * time.Minute}
	second := Link{VirtualProxy: "/a/b", VirtualProxyID: "ab2", Description: "second", AuthenticationMethod: "SAML", InactivityTimeout: 20 * time.Minute}
	on := func(link Link, node, address string) Link {
		link.Node, link.Address = node, address
		return link
	}
	want := []Link{
		on(hub, "a:14243", "a:14243"),
		on(second, "a:14243", "a:14243"),
		on(hub, "b", "b:4243"),
		on(first, "b", "b:4243"),
		on(hub, "old", "old:4243"),
		on(first, "old", "old:4243"),
	}
	got, err := c.Topology(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
	}
	if path := got[1].path(); path != "/qps/a/b/session" {
		t.Errorf("path of /a/b: %s", path)
	}
	if path := got[0].path(); path != "/qps/session" {
		t.Errorf("path of the default virtual proxy: %s", path)
	}

	states := []ServiceState{{Host: "A", Service: "Proxy", State: "Disabled"}, {Host: "b", Service: "Engine", State: "Disabled"}}
	if enabled := WithoutDisabled(got, states); len(enabled) != 4 || enabled[0].Node != "b" {
		t.Errorf("without a disabled proxy: %+v", enabled)
	}
	if len(got) != 6 {
		t.Error("WithoutDisabled altered the topology")
	}
	if filtered := filterLinks(slices.Clone(got), []string{"B:4243"}, []string{"/a/b/"}); len(filtered) != 1 || filtered[0].Description != "first" {
		t.Errorf("filtered: %+v", filtered)
	}
}
