package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// repositoryPorts returns the ports of proxies and engines that the repository reports,
// by node.
func repositoryPorts(t *testing.T, d *Demo) map[string][2]int {
	t.Helper()
	client := d.site.Client()
	defer client.CloseIdleConnections()
	get := func(kind string, into any) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+d.nodes[0]+":4242/qrs/"+kind+"/full?Xrfkey=0123456789abcdef", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Qlik-Xrfkey", "0123456789abcdef")
		_, port, _ := net.SplitHostPort(d.site.RepositoryAddress(d.nodes[0]))
		request.URL.Host = net.JoinHostPort(d.nodes[0], port)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatalf("%s: %v", content, err)
		}
	}
	type service struct {
		ServerNodeConfiguration struct{ HostName string }
		Settings                struct {
			RestListenPort int
			ListenerPorts  []int
		}
	}
	var proxies, engines []service
	get("proxyservice", &proxies)
	get("engineservice", &engines)
	ports := map[string][2]int{}
	for i := range proxies {
		ports[proxies[i].ServerNodeConfiguration.HostName] = [2]int{proxies[i].Settings.RestListenPort, engines[i].Settings.ListenerPorts[0]}
	}
	return ports
}

// checkAddresses checks that the demo prints and writes the addresses and ports that the
// repository reports.
func checkAddresses(t *testing.T, d *Demo) {
	t.Helper()
	var printed bytes.Buffer
	if err := d.Introduce(&printed, "qlik_exporter", ":9986", "/metrics"); err != nil {
		t.Fatal(err)
	}
	flags, err := os.ReadFile(d.FlagsFile())
	if err != nil {
		t.Fatal(err)
	}
	for node, ports := range repositoryPorts(t, d) {
		host, port := d.proxy(node)
		_, repository := split(d.site.RepositoryAddress(node))
		row := fmt.Sprint(node, host, repository, ports[0], ports[1])
		if port != fmt.Sprint(ports[0]) || !strings.Contains(strings.ReplaceAll(printed.String(), " ", ""), strings.ReplaceAll(row, " ", "")) {
			t.Errorf("the repository reports %s, and the demo prints\n%s", row, &printed)
		}
		if !strings.Contains(string(flags), "--qlik.node-address="+node+"="+host+"\n") {
			t.Errorf("%s is not in the flags\n%s", host, flags)
		}
	}
	for node, ports := range repositoryPorts(t, d) {
		flag := fmt.Sprintf("--qlik.engine-port=%s=%d\n", node, ports[1])
		if strings.Contains(string(flags), flag) != (ports[1] != 4747) {
			t.Errorf("engine of %s on port %d, flags\n%s", node, ports[1], flags)
		}
	}
	if len(d.Site(config.Default()).EnginePort) != strings.Count(string(flags), "--qlik.engine-port=") {
		t.Errorf("the exporter of the demo and the flags differ:\n%s", flags)
	}
	host, port := d.proxy(d.nodes[0])
	if !strings.Contains(printed.String(), "--resolve "+d.nodes[0]+":"+port+":"+host+" ") {
		t.Errorf("the command for curl has other addresses:\n%s", &printed)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	first, err := Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Close() })
	checkAddresses(t, first)
	host, port := first.proxy(first.nodes[0])
	if port != "4243" {
		t.Skip("the system has one loopback address")
	}

	// The chosen address is taken.
	_, err = Start(host)
	if wrong, ok := errors.AsType[*config.Error](err); !ok || wrong.Flag != "demo.listen" || !strings.Contains(wrong.Error(), host+":4243") {
		t.Errorf("the address is taken: %v", err)
	}

	// Of the following addresses, one is taken: those nodes get free ports.
	before := strings.TrimSuffix(host, ".1") + ".0"
	second, err := Start(before)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	checkAddresses(t, second)
	for i, node := range second.nodes {
		if host, port := second.proxy(node); host != before || (port == "4243") != (i == 0) {
			t.Errorf("%s listens on %s:%s", node, host, port)
		}
	}
}

func TestFreePorts(t *testing.T) {
	t.Parallel()
	d, err := start("", func(company qliktest.Config) (*qliktest.Site, error) {
		return qliktest.Start(freePorts(company, localhost, 0))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	checkAddresses(t, d)
}
