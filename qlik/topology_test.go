package qlik

import (
	"encoding/json"
	"errors"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
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

// TestOddTopology checks that an odd element or field costs itself. What cannot be read
// although it is linked stays a link, so that its sessions are unknown and not zero.
func TestOddTopology(t *testing.T) {
	const (
		good   = `{"id":"hub","prefix":"","description":"Hub","authenticationMethod":0,"sessionInactivityTimeout":30}`
		onQlik = `{"serverNodeConfiguration":{"hostName":"qlik1"},"settings":{"restListenPort":4243,"virtualProxies":[{"id":"hub"}]}}`
	)
	hub := newLink("qlik1", proxyPort, "")
	hub.VirtualProxyID, hub.Description, hub.AuthenticationMethod, hub.InactivityTimeout = "hub", "Hub", "Ticket", 30*time.Minute
	with := func(change func(*Link)) Link {
		link := hub
		change(&link)
		return link
	}
	proxies := func(virtualProxies string) string {
		return `[{"serverNodeConfiguration":{"hostName":"qlik1"},"settings":{"virtualProxies":` + virtualProxies + `}}]`
	}
	long := strings.Repeat("x", maxName+1)
	for _, test := range []struct {
		name, proxies, virtualProxies string
		want                          []Link
		leftOut                       uint64
	}{
		{"nothing odd", list(onQlik), list(good), []Link{hub}, 0},
		{"names and ids in other cases", strings.ToUpper(list(onQlik)), strings.Replace(list(good), `"id"`, `"Id"`, 1), []Link{with(func(l *Link) { l.Node, l.Address = "QLIK1", "QLIK1:4243" })}, 0},
		{
			"a proxy without a host, with an object in place of a list", list(`{"settings":{"defaultVirtualProxyConfigurations":{}}}`, onQlik), list(good),
			[]Link{hub},
			2,
		},
		{"odd proxies", list(onQlik, `5`, `null`, `{"serverNodeConfiguration":"qlik2"}`, `{"serverNodeConfiguration":{"hostName":7}}`, `{"serverNodeConfiguration":{"hostName":"`+long+`"}}`), list(good), []Link{hub}, 5},
		{"a description that is no text", list(onQlik), `[{"id":"hub","prefix":"","description":5,"authenticationMethod":0,"sessionInactivityTimeout":30}]`, []Link{with(func(l *Link) { l.Description = "" })}, 1},
		{
			"a timeout as text", list(onQlik), `[{"id":"hub","prefix":"","description":"Hub","authenticationMethod":0,"sessionInactivityTimeout":"30"}]`,
			[]Link{with(func(l *Link) { l.InactivityTimeout = 0 })},
			1,
		},
		{
			"a timeout out of range", list(onQlik), `[{"id":"hub","prefix":"","description":"Hub","authenticationMethod":0,"sessionInactivityTimeout":1e300}]`,
			[]Link{with(func(l *Link) { l.InactivityTimeout = 0 })},
			1,
		},
		{
			"a timeout that is no number", list(onQlik), `[{"id":"hub","prefix":"","description":"Hub","authenticationMethod":0,"sessionInactivityTimeout":1e999}]`,
			[]Link{with(func(l *Link) { l.InactivityTimeout = 0 })},
			1,
		},
		{
			"a long description", list(onQlik), `[{"id":"hub","prefix":"","description":"` + strings.Repeat("ä", 750) + `","authenticationMethod":"ticket","sessionInactivityTimeout":30}]`,
			[]Link{with(func(l *Link) { l.Description = strings.Repeat("ä", 98) + "…" })},
			0,
		},
		{
			"an odd method", list(onQlik), `[{"id":"hub","prefix":"","description":"Hub","authenticationMethod":{},"sessionInactivityTimeout":30}]`,
			[]Link{with(func(l *Link) { l.AuthenticationMethod = "Unknown" })},
			1,
		},
		{
			"a port as text", `[{"serverNodeConfiguration":{"hostName":"qlik1"},"settings":{"restListenPort":"4243","virtualProxies":[{"id":"hub"}]}}]`, list(good),
			[]Link{hub},
			1,
		},
		{
			"a port that is no port", `[{"serverNodeConfiguration":{"hostName":"qlik1"},"settings":{"restListenPort":70000,"virtualProxies":[{"id":"hub"}]}},` +
				`{"serverNodeConfiguration":{"hostName":"qlik2"},"settings":{"restListenPort":1e30,"virtualProxies":[{"id":"hub"}]}},` +
				`{"serverNodeConfiguration":{"hostName":"qlik3"},"settings":{"restListenPort":0,"virtualProxies":[{"id":"hub"}]}}]`, list(good),
			[]Link{newUnreadLink("qlik1", proxyPort, ""), newUnreadLink("qlik2", proxyPort, ""), newUnreadLink("qlik3", proxyPort, "")},
			3,
		},
		{
			"a prefix that leads elsewhere", proxies(`[{"id":"hub"},{"id":"odd"}]`), list(good, `{"id":"odd","prefix":"../../qrs/about"}`),
			[]Link{hub, newUnreadLink("qlik1", proxyPort, "odd")},
			1,
		},
		{"a host that is more than a host", list(onQlik, `{"serverNodeConfiguration":{"hostName":"qlik1:4242/qrs"},"settings":{"virtualProxies":[{"id":"hub"}]}}`), list(good), []Link{hub}, 1},
		{"odd virtual proxies that are not linked", list(onQlik), list(good, `{"prefix":"x"}`, `{"id":7}`, `{"id":"other","prefix":7}`, `{"id":"`+long+`"}`, `{"id":"long","prefix":"`+long+`"}`, `null`), []Link{hub}, 6},
		{"a virtual proxy that was deleted in between", proxies(`[{"id":"hub"},{"id":"gone"}]`), list(good), []Link{hub}, 0},
		{"an odd virtual proxy that is linked", proxies(`[{"id":"hub"},{"id":"odd"}]`), list(good, `{"id":"odd","prefix":7}`), []Link{hub, newUnreadLink("qlik1", proxyPort, "odd")}, 1},
		{"a link that cannot be read", proxies(`[{"id":"hub"},{"id":7}]`), list(good), []Link{hub, newUnreadLink("qlik1", proxyPort, "")}, 1},
		{"links that cannot be read", proxies(`7`), list(good), []Link{newUnreadLink("qlik1", proxyPort, "")}, 1},
		{"settings that cannot be read", `[{"serverNodeConfiguration":{"hostName":"qlik1"},"settings":[]}]`, list(good), []Link{newUnreadLink("qlik1", proxyPort, "")}, 1},
		{"no settings", `[{"serverNodeConfiguration":{"hostName":"qlik1"},"settings":null}]`, list(good), nil, 0},
		{"the default virtual proxy as an object", `[{"serverNodeConfiguration":{"hostName":"qlik1"},"settings":{"defaultVirtualProxyConfigurations":{"id":"hub"}}}]`, list(good), []Link{hub}, 0},
	} {
		c := answers{"/qrs/proxyservice": test.proxies, "/qrs/virtualproxyconfig": test.virtualProxies}.client()
		got, err := c.Topology(t.Context())
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", test.name, got, err, test.want)
		}
		if skipped := c.Skipped()[SourceTopology]; skipped != test.leftOut {
			t.Errorf("%s: left out %d, want %d: %v", test.name, skipped, test.leftOut, c.LeftOut(SourceTopology))
		}
	}
	for _, body := range []string{`[{"id":7}]`, `[5]`, `{}`, `null`} {
		if links, err := (answers{"/qrs/proxyservice": list(onQlik), "/qrs/virtualproxyconfig": body}).client().Topology(t.Context()); KindOf(err) != KindDecode {
			t.Errorf("virtual proxies %s: %v, %v", body, links, err)
		}
	}
}

// TestPrefixes checks that no prefix leads outside of /qps/, whatever a server makes of
// the path.
func TestPrefixes(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "/": true, "sales": true, "/sales": true, "/a/b/": true, "a.b": true, "..a": true, "a..b": true, "...": true, "größe": true, "a b": true, "~a_b-c": true,
		"..": false, ".": false, "../../qrs/about": false, "/../../qrs/about": false, "a/../b": false, "a/./b": false, "a/..": false, "a//b": false,
		`..\..\qrs`: false, "%2e%2e/%2e%2e/qrs": false, "a?b": false, "a#b": false, "a\nb": false, "a\x00": false, "a\u202eb": false, "a\xff": false,
		strings.Repeat("ä", maxName): true, strings.Repeat("ä", maxName+1): false,
	} {
		if got := isPrefix(text); got != want {
			t.Errorf("%.40q: got %t", text, got)
		}
		link := newLink("qlik1", proxyPort, text)
		if name, err := ParseVirtualProxy(text); want && name != link.VirtualProxy || want != (err == nil) {
			t.Errorf("%.40q: the name is %s, %v", text, name, err)
		}
		if want && (!strings.HasPrefix(link.path(), "/qps/") || !strings.HasSuffix(link.path(), "/session")) {
			t.Errorf("%.40q has the path %s", text, link.path())
		}
		_, err := NewClient(Config{Hosts: []string{"qlik1"}, CertDir: "certs", VirtualProxies: []string{text}})
		if wrong, ok := errors.AsType[*ConfigError](err); want && err != nil || !want && (!ok || wrong.Field != "VirtualProxies") {
			t.Errorf("configured %.40q: %v", text, err)
		}
	}
}

// TestHostileTopology checks that proxies and virtual proxies are joined to a limited
// number of links, each once, and that the site is then not complete.
func TestHostileTopology(t *testing.T) {
	const proxies, virtualProxies = 3000, 3000 // nine million links
	var all topology
	linked := make([]linkedRecord, 0, 3*virtualProxies)
	for i := range virtualProxies {
		id := name(strconv.Itoa(i))
		all.virtualProxies = append(all.virtualProxies, virtualProxyRecord{ID: id, Prefix: prefix("p" + id)})
		linked = append(linked, linkedRecord{id}, linkedRecord{id}, linkedRecord{id})
	}
	for i := range proxies {
		var p proxyServiceRecord
		p.Node.HostName = name("qlik" + strconv.Itoa(i))
		p.Settings.value.VirtualProxies.list = linked
		all.proxies = append(all.proxies, p)
	}
	left := make(leftOut)
	links := all.links(left)
	unread := 0
	for _, link := range links {
		if link.Unread {
			unread++
		}
	}
	if len(links) != maxLinks+1 || unread != 1 || left["link beyond the limit"] == 0 {
		t.Errorf("%d links, %d of them unread, left out %v", len(links), unread, left)
	}

	// Long names count, too.
	for i := range all.virtualProxies {
		all.virtualProxies[i].Prefix = prefix(strings.Repeat("x", maxName-8) + strconv.Itoa(i))
	}
	names := 0
	for _, link := range all.links(make(leftOut)) {
		names += len(link.Address) + len(link.VirtualProxy)
	}
	if names > maxLinkNames {
		t.Errorf("the names have %d bytes, want at most %d", names, maxLinkNames)
	}
}

// TestUnreadLink checks that the sessions of a link that cannot be read are unknown
// without a request.
func TestUnreadLink(t *testing.T) {
	link := newUnreadLink("qlik1", "4244", "id")
	if link.Node != "qlik1:4244" || link.VirtualProxy != "unreadable:id" || link.Host() != "qlik1" {
		t.Errorf("%+v", link)
	}
	c := answers{}.client()
	sessions, _, err := c.Sessions(t.Context(), &link, nil, func() { t.Error("a response") })
	if sessions != nil || KindOf(err) != KindDecode || !errors.Is(err, ErrUnread) {
		t.Errorf("%v, %v", sessions, err)
	}
	if n := c.Requests().Requests[APIProxy]; n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestWithLast(t *testing.T) {
	link := func(node, prefix, id string) Link {
		l := newLink(node, proxyPort, prefix)
		l.VirtualProxyID = id
		return l
	}
	unread := func(node, id string) Link { return newUnreadLink(node, proxyPort, id) }
	last := []Link{link("a", "", "1"), link("a", "x", "2"), link("b", "", "1"), link("b", "x", "2"), unread("b", "3")}
	for name, test := range map[string]struct{ links, want []Link }{
		"all can be read":    {[]Link{link("a", "", "1")}, []Link{link("a", "", "1")}},
		"one cannot":         {[]Link{link("a", "", "1"), unread("a", "2")}, []Link{link("a", "", "1"), link("a", "x", "2")}},
		"a new one cannot":   {[]Link{link("a", "", "1"), unread("a", "4")}, []Link{link("a", "", "1"), unread("a", "4")}},
		"one never could":    {[]Link{unread("b", "3")}, []Link{unread("b", "3")}},
		"all of a node":      {[]Link{unread("b", ""), link("c", "", "1")}, []Link{link("b", "", "1"), link("b", "x", "2"), link("c", "", "1")}},
		"some of a node":     {[]Link{link("a", "y", "1"), unread("a", "")}, []Link{link("a", "", "1"), link("a", "x", "2"), link("a", "y", "1")}},
		"of an unknown node": {[]Link{unread("d", "")}, []Link{unread("d", "")}},
	} {
		if got := WithLast(test.links, last); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

// FuzzTopology checks that whatever stands beside good elements, their links are read as
// without it, and that all links are possible.
func FuzzTopology(f *testing.F) {
	for _, seed := range [][2]string{
		{`5`, `null`},
		{`{"settings":{"defaultVirtualProxyConfigurations":{}}}`, `{"prefix":"x"}`},
		{`{"serverNodeConfiguration":{"hostName":"b"},"settings":{"restListenPort":"4243","virtualProxies":[{"id":"x"},7]}}`, `{"id":"x","prefix":"/a//b/","description":5}`},
		{`{"serverNodeConfiguration":{"hostName":"b"},"settings":{"virtualProxies":{"id":"hub"},"virtualProxyConfigurations":[{"id":"y"}]}}`, `{"id":"y","prefix":7}`},
		{`{"serverNodeConfiguration":{"hostName":"b"},"settings":{"restListenPort":1e999,"virtualProxies":[{"id":"x"}]}}`, `{"id":"x","sessionInactivityTimeout":1e300}`},
		{`{"serverNodeConfiguration":{"hostName":"A"},"settings":[]}`, `{"id":"hub","prefix":"twice"}`},
	} {
		f.Add(seed[0], seed[1])
	}
	const (
		proxy        = `{"serverNodeConfiguration":{"hostName":"good.example"},"settings":{"virtualProxies":[{"id":"first"},{"id":"last"}]}}`
		first        = `{"id":"first","prefix":"","sessionInactivityTimeout":30}`
		last         = `{"id":"last","prefix":"sales","description":"Sales"}`
		goodExamples = 2
	)
	read := func(tb testing.TB, proxies, virtualProxies string) []Link {
		tb.Helper()
		links, err := answers{"/qrs/proxyservice": proxies, "/qrs/virtualproxyconfig": virtualProxies}.client().Topology(tb.Context())
		if err != nil {
			tb.Fatalf("%s, %s: %v", proxies, virtualProxies, err)
		}
		return links
	}
	f.Fuzz(func(t *testing.T, oddProxy, oddVirtualProxy string) {
		for _, odd := range []string{oddProxy, oddVirtualProxy} {
			if strings.TrimSpace(odd) == "" || !json.Valid([]byte(`[`+odd+`]`)) || strings.Count(odd, "[")+strings.Count(odd, "{") > 5000 {
				return
			}
		}
		if strings.Contains(oddVirtualProxy, `"first"`) || strings.Contains(oddVirtualProxy, `"last"`) || strings.Contains(oddProxy, "example") || strings.Contains(oddProxy, `\`) || strings.Contains(oddVirtualProxy, `\`) {
			return // may be the good ones
		}
		want := read(t, list(proxy), list(first, last))
		links := read(t, list(oddProxy, proxy), list(first, oddVirtualProxy, last))
		if len(want) != goodExamples {
			t.Fatal(want)
		}
		for _, link := range want {
			if !slices.Contains(links, link) {
				t.Errorf("%s, %s: %+v is not among %+v", oddProxy, oddVirtualProxy, link, links)
			}
		}
		for i, link := range links {
			host, port, err := net.SplitHostPort(link.Address)
			number, _ := strconv.Atoi(port)
			if err != nil || host == "" || number < 1 || number > 65535 || !isName(host) || !utf8.ValidString(link.Node) || !utf8.ValidString(link.VirtualProxy) {
				t.Errorf("%+v", link)
			}
			if link.InactivityTimeout < 0 || link.InactivityTimeout > maxMinutes*time.Minute || len(link.Description) > maxLabel || link.AuthenticationMethod == "" && !link.Unread {
				t.Errorf("%+v", link)
			}
			if i > 0 && links[i-1].compare(&link) >= 0 {
				t.Errorf("%+v is not after %+v", link, links[i-1])
			}
		}
	})
}
