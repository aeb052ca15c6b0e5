package qliktest

import (
	"net/url"
	"strings"
	"testing"
)

func TestDataConnections(t *testing.T) {
	config := Company(1)
	config.InMemory = true
	site := start(t, config)
	client := clientOf(t, site)
	type connection struct{ Name, Username, Password string }
	const address = "https://qlik-central:4242/qrs/dataconnection"
	var all, some, condensed []connection
	get(t, client, address+"/full", &all)
	get(t, client, address+"/full?filter="+url.QueryEscape("name sw 'monitor_apps_REST_'"), &some)
	if len(some) == 0 || len(some) >= len(all) {
		t.Fatalf("%d of %d connections", len(some), len(all))
	}
	for _, c := range some {
		if !strings.HasPrefix(c.Name, "monitor_apps_REST_") || c.Username != `ACME\svc_qlik_reload` || c.Password == "" {
			t.Errorf("%+v", c)
		}
	}
	get(t, client, address, &condensed)
	if len(condensed) != len(all) || condensed[0].Name == "" || condensed[0].Username != "" || condensed[0].Password != "" {
		t.Errorf("%+v", condensed)
	}
}
