package qliktest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestAddresses checks that the ports in the repository are those that the services listen on.
func TestAddresses(t *testing.T) {
	t.Parallel()
	own := fmt.Sprintf("127.%d.%d.7", 1+rand.IntN(254), rand.IntN(256)) // other tests run at the same time
	for _, test := range []struct {
		node  Node
		fixed bool
	}{
		{Node{Name: "a", Address: "127.0.0.1", FreePorts: true}, false},
		{Node{Name: "a", Address: own, RESTListenPort: 5243}, true},
	} {
		site, err := Start(Config{Nodes: []Node{test.node}})
		if test.fixed && err != nil {
			t.Skip(err) // the system has one loopback address, or another program took it
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(site.Close)
		client := clientOf(t, site)
		var proxies []struct {
			Settings struct{ RestListenPort int }
		}
		var engines []struct {
			Settings struct{ ListenerPorts []int }
		}
		repository := "https://" + site.RepositoryAddress("a")
		transportOf(t, client).TLSClientConfig.ServerName = "a"
		get(t, client, repository+"/qrs/proxyservice/full", &proxies)
		get(t, client, repository+"/qrs/engineservice/full", &engines)
		proxy, engine := proxies[0].Settings.RestListenPort, engines[0].Settings.ListenerPorts[0]
		if test.fixed != (proxy == 5243) || test.fixed != (engine == 4747) || test.fixed != strings.HasSuffix(repository, ":4242") {
			t.Errorf("%s, proxy %d, engine %d", repository, proxy, engine)
		}
		for _, address := range []string{fmt.Sprint(test.node.Address, ":", proxy, "/qps/session"), fmt.Sprint(test.node.Address, ":", engine, "/engine/healthcheck")} {
			if status, _, err := ask(t, client, http.MethodGet, "https://"+address); status != http.StatusOK || err != nil {
				t.Errorf("%s: status %d, error %v", address, status, err)
			}
			_, port, _ := net.SplitHostPort(strings.Split(address, "/")[0])
			if c, err := site.DialContext(t.Context(), "tcp", "a:"+port); err != nil {
				t.Error(err)
			} else {
				_ = c.Close()
			}
		}
		if test.fixed {
			if another, err := Start(Config{Nodes: []Node{test.node}}); err == nil {
				another.Close()
				t.Error("two sites listen on one address")
			}
		}
	}
	for _, address := range []string{"localhost", "127.0.0.1:4242"} {
		if site, err := Start(Config{Nodes: []Node{{Name: "a", Address: address}}}); err == nil {
			site.Close()
			t.Errorf("a site listens on %s", address)
		}
	}
}
