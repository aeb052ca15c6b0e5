package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

const discoveryInterval = 2 * time.Second

const sitesConfig = `
global:
  scrape_interval: 1s
  scrape_timeout: 900ms
scrape_configs:
  - job_name: qlik
    http_sd_configs:
      - url: http://%[1]s/sd
        refresh_interval: %[2]s
  - job_name: qlik_exporter
    static_configs:
      - targets: ['%[1]s']
`

// describe writes the settings of simulated sites as a configuration file.
func describe(t *testing.T, path string, sites map[string]*qliktest.Site) {
	t.Helper()
	settings := make(map[string]any)
	for name, simulated := range sites {
		node := name + "-1"
		certificates := filepath.Join(filepath.Dir(path), name)
		if err := errors.Join(os.MkdirAll(certificates, 0o700), simulated.WriteCertificates(certificates)); err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(simulated.RepositoryAddress(node))
		settings[name] = map[string]any{
			"host":         []string{net.JoinHostPort(node, port)},
			"cert_dir":     name, // next to the file
			"node_address": []string{node + "=" + simulated.ProxyAddress(node)},
		}
	}
	content, err := json.Marshal(map[string]any{"sites": settings}) // JSON is also YAML
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, content)
}

// simulate starts a site of one node with the configured number of sessions.
func simulate(t *testing.T, name string, sessions int) *qliktest.Site {
	t.Helper()
	simulated, err := qliktest.Start(qliktest.Config{Nodes: []qliktest.Node{{Name: name + "-1"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(simulated.Close)
	for i := range sessions {
		if _, err := simulated.Login(directory, fmt.Sprint("user", i), "browser", "", ""); err != nil {
			t.Fatal(err)
		}
	}
	return simulated
}

// TestTenSites has one exporter that serves ten sites through service discovery.
// One of them is dead, and the exporter adds an eleventh without a restart.
func TestTenSites(t *testing.T) {
	sites := make(map[string]*qliktest.Site)
	for i := range 10 {
		name := fmt.Sprintf("site%d", i)
		sites[name] = simulate(t, name, i+1)
	}
	const dead = "site9"
	sites[dead].SetProxyFault(dead+"-1", qliktest.Hanging)
	sites[dead].SetRepositoryFault(dead+"-1", qliktest.Hanging)
	file := filepath.Join(t.TempDir(), "sites.yml")
	describe(t, file, sites)

	e := startExporter(t, "--config.file="+file, "--web.enable-lifecycle")
	p := startPrometheus(t, func(string) string { return fmt.Sprintf(sitesConfig, e.address, discoveryInterval) })
	// look returns the current results of a query by site.
	look := func(query string) map[string]float64 {
		value, _, _, err := p.api.Query(t.Context(), query, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		results := make(map[string]float64)
		vector, _ := value.(model.Vector)
		for _, sample := range vector {
			results[string(sample.Metric["site"])] = float64(sample.Value)
		}
		return results
	}
	p.waitFor(t, "scrapes of ten sites", readyWithin, func() bool { return len(look(`qlik_up{job="qlik"}`)) == 10 })
	p.waitFor(t, "all sessions of nine sites", readyWithin, func() bool { return len(look("qlik_sessions")) == 9 })

	t.Run("each site is right", func(t *testing.T) {
		for name, sessions := range look("qlik_sessions") {
			expect(t, sessions == float64(len(sites[name].Sessions())), "sessions of "+name, sessions)
		}
		up := look("qlik_up")
		for name := range sites {
			expect(t, up[name] == 1 == (name != dead), "qlik_up of "+name, up[name])
		}
	})
	t.Run("a dead site does not slow the others", func(t *testing.T) {
		time.Sleep(5 * time.Second) // time for some scrapes
		slowest := look(`max by (site) (max_over_time(scrape_duration_seconds{job="qlik"}[4s]))`)
		for name := range sites {
			if name != dead {
				expect(t, slowest[name] > 0 && slowest[name] < 0.5, "slowest scrape of "+name, slowest[name])
			}
		}
		t.Logf("the dead site's own scrapes end after %.2f s", slowest[dead])
		failed := look(`count by (site) (up{job="qlik"} == 0)`)
		expect(t, len(failed) == 0, "the dead site's scrapes end in time, too", failed)
	})
	t.Run("a site is added", func(t *testing.T) {
		started := look(`process_start_time_seconds`)[""]
		sites["new"] = simulate(t, "new", 42)
		describe(t, file, sites)
		code, answer := post(t, e.url("/-/reload"))
		expect(t, code == http.StatusOK, "POST /-/reload", answer)
		begin := time.Now()
		// Prometheus reads the list again after one interval, uses it at most five
		// seconds later, and then scrapes after one scrape interval.
		p.waitFor(t, "the new site", discoveryInterval+5*time.Second+2*time.Second, func() bool { return look("qlik_sessions")["new"] == 42 })
		t.Logf("seen after %s", since(begin))
		expect(t, len(look("qlik_sessions")) == 10, "the others are still there", len(look("qlik_sessions")))
		expect(t, look(`process_start_time_seconds`)[""] == started, "the same process", started)
	})
	t.Run("a typo changes nothing", func(t *testing.T) {
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, []byte("sites:\n  emea:\n    hots: [qlik1]\n"))
		code, answer := post(t, e.url("/-/reload"))
		expect(t, code == http.StatusInternalServerError && strings.HasPrefix(answer, file+":3: sites.emea.hots: unknown key"), "POST /-/reload", answer)
		metric := `qlik_exporter_config_last_reload_successful{job="qlik_exporter"}`
		p.waitFor(t, "the metric", readyWithin, func() bool { return look(metric)[""] == 0 && len(look(metric)) == 1 })
		expect(t, len(look(`qlik_up{job="qlik"}`)) == 11, "eleven sites", len(look("qlik_up")))

		writeFile(t, file, before)
		if err := e.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.waitFor(t, "the metric after SIGHUP", readyWithin, func() bool { return look(metric)[""] == 1 })
	})
	t.Run("the configuration in force is shown", func(t *testing.T) {
		shown, _, err := get(e.url("/config"), nil)
		expect(t, err == nil && strings.Count(shown, "cert_dir:") == 11 && !strings.Contains(shown, "PRIVATE KEY"), "/config has eleven sites", err)
	})
	p.stop(t)
	e.stop(t)
}

// post returns the status and the text of the response.
func post(t *testing.T, url string) (code int, answer string) {
	t.Helper()
	response, err := httpClient.Post(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
