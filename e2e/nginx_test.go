package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// nginxMain is what a server of nginx needs that runs without the folders of a package.
const nginxMain = `%s
daemon off;
pid nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
%s
}
`

const nginxPrometheus = `
global:
  scrape_interval: 1s
  scrape_timeout: 900ms
scrape_configs:
  - job_name: qlik
    tls_config: {ca_file: %[2]s}
    http_sd_configs:
      - url: https://%[1]s/qlik/sd
        refresh_interval: 1s
        tls_config: {ca_file: %[2]s}
`

// documentedNginx is the example of nginx in the documentation.
var documentedNginx = regexp.MustCompile("(?s)```nginx\n(.*?)```")

// startNginx starts nginx as documented, with some words replaced, and returns a client that
// trusts its certificate in the file.
func startNginx(t *testing.T, replace map[string]string, certificate, key string) *http.Client {
	t.Helper()
	documented := documentedNginx.FindSubmatch(readFile(t, filepath.Join(repository, "docs", "configuration.md")))
	if documented == nil {
		t.Fatal("docs/configuration.md has no example of nginx")
	}
	server := string(documented[1])
	dir := t.TempDir()
	pem, privateKey := selfSigned(t)
	writeFile(t, certificate, pem)
	writeFile(t, key, privateKey)
	for old, replaced := range replace {
		if strings.Count(server, old) != 1 {
			t.Fatalf("not once %q in %s", old, server)
		}
		server = strings.Replace(server, old, replaced, 1)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // its processes use the folder of the test
	}
	file := filepath.Join(dir, "nginx.conf")
	writeFile(t, file, fmt.Appendf(nil, nginxMain, user, server))
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // not in the PATH of everybody
	}
	start(t, exec.Command(program, "-p", dir, "-c", file, "-e", "stderr"))
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	client := &http.Client{Timeout: httpClient.Timeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// TestNginx has nginx with TLS before an exporter below a path, which it passes on or
// removes. A browser follows the links, and Prometheus finds and scrapes the sites.
func TestNginx(t *testing.T) {
	t.Parallel()
	for name, upstream := range map[string]string{"passes the path": "", "removes the path": "/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behindNginx(t, upstream)
		})
	}
}

func behindNginx(t *testing.T, upstream string) {
	t.Helper()
	sites := make(map[string]*qliktest.Site)
	for _, name := range []string{"emea", "apac"} {
		simulated, err := qliktest.Start(qliktest.Config{Nodes: []qliktest.Node{{Name: name + "-1"}}, Users: people("anna", "bert")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(simulated.Close)
		sites[name] = simulated
	}
	login := func(site, id string) {
		t.Helper()
		for i := range 5 {
			if _, err := sites[site].Login(directory, id, fmt.Sprint("browser", i), "", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	login("emea", "anna")
	dir := t.TempDir()
	file, certificate, key := filepath.Join(dir, "sites.yml"), filepath.Join(dir, "nginx.pem"), filepath.Join(dir, "nginx.key")
	describe(t, file, sites)
	address := "127.0.0.1:" + freePort(t)
	root := "https://" + address + "/qlik"
	e := startExporter(t, "--config.file="+file, "--web.external-url="+root, "--web.enable-pprof", "--web.enable-lifecycle")
	client := startNginx(t, map[string]string{
		"listen 443 ssl": "listen " + address + " ssl", "/etc/nginx/monitoring.pem": certificate, "/etc/nginx/monitoring.key": key,
		"http://localhost:9986": "http://" + e.address + upstream,
	}, certificate, key)
	// ask returns the URL and the body of the response after redirects.
	ask := func(method, path string) (status int, at, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, "", err.Error()
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Request.URL.String(), string(content)
	}
	e.waitFor(t, "nginx", readyWithin, func() bool { status, _, _ := ask(http.MethodGet, root+"/-/ready"); return status == http.StatusOK })

	p := startPrometheus(t, func(string) string { return fmt.Sprintf(nginxPrometheus, address, certificate) })
	p.waitFor(t, "scrapes of both sites through nginx", readyWithin, func() bool {
		found, err := p.api.Targets(t.Context())
		if err != nil {
			return false
		}
		up := 0
		for _, target := range found.Active {
			if target.Health == "up" && strings.HasPrefix(target.ScrapeURL, root+"/probe?target=") {
				up++
			}
		}
		return up == 2 && len(found.Active) == 2
	})
	for path, want := range map[string]string{
		"": "/", "/": "/", "/sessions": "/sessions", "/sessions/?site=apac": "/sessions?site=apac", "/debug/pprof": "/debug/pprof/",
		"/sessions/user?site=emea&q=anna": "/sessions/user?site=emea&user=" + url.QueryEscape(directory+`\anna`),
		"/sessions/favicon.svg?site=emea": "/sessions/favicon.svg?users=1",
	} {
		status, at, _ := ask(http.MethodGet, root+path)
		expect(t, status == http.StatusOK && at == root+want, "/qlik"+path+" leads to "+root+want, fmt.Sprint(status, " ", at))
	}
	status, _, said := ask(http.MethodPut, root+"/-/reload")
	expect(t, status == http.StatusOK, "PUT /-/reload", said)

	b := openBrowser(t, chromedp.Flag("ignore-certificate-errors", true))
	b.open(t, root)
	b.expect(t, "the title", `document.title`, "1 user without a free slot – qlik_exporter")
	b.expect(t, "the address", `location.pathname`, "/qlik/")
	b.expect(t, "the style is loaded", `getComputedStyle(document.querySelector(".sites")).display`, "grid")
	links := strings.Fields(b.text(t, `[...document.querySelectorAll("a[href], link[href], script[src]")].map(e => e.href || e.src).join(" ")`))
	followed := 0
	for _, link := range links {
		if strings.HasPrefix(link, "https://github.com/") {
			continue
		}
		status, at, _ := ask(http.MethodGet, link)
		followed++
		expect(t, status == http.StatusOK && strings.HasPrefix(at, root+"/"), "a link of the landing page works", fmt.Sprint(status, " ", link))
	}
	expect(t, followed >= 18, "links to everything", followed)
	if upstream == "" { // the page is the same
		b.lookEverywhere(t, "landing", axeCore(t))
	}

	const icon = `document.getElementById("icon").href`
	login("apac", "bert")
	b.expect(t, "the icon follows the last scrape, without loading the page again", icon, root+"/sessions/favicon.svg?users=2")
	b.expect(t, "the title follows too", `document.title`, "2 users without a free slot – qlik_exporter")
	// A tab in the background does this instead of a refresh.
	seen := b.text(t, `(showIcon("sessions/favicon.svg?users=9"), followIcon().then(() => document.getElementById("icon").href))`)
	expect(t, seen == root+"/sessions/favicon.svg?users=2", "the icon follows in the background", seen)
	b.expect(t, "the page may load the icon, and it is an image", `new Promise(resolve => {
		const image = new Image();
		image.onload = () => resolve("loaded");
		image.onerror = () => resolve("refused");
		image.src = document.getElementById("icon").href;
	})`, "loaded")

	b.click(t, `a[data-key="list emea"]`)
	b.expect(t, "the first user", `document.querySelector("tbody th a").textContent`, directory+`\anna`)
	b.expect(t, "the icon of the site", icon, root+"/sessions/favicon.svg?users=1")
	b.click(t, `tbody th a`)
	b.expect(t, "the page of the user", `document.querySelector("h1").textContent`, directory+`\anna`)
	b.open(t, root+"/")
	b.enter(t, `input[name=q]`, "bert\r")
	b.expect(t, "the search leads to a user", `location.pathname + location.search`, "/qlik/sessions/user?site=apac&user="+url.QueryEscape(directory+`\bert`))

	// Commands of other machines go through nginx, too.
	writeFile(t, filepath.Join(dir, "http.yml"), []byte("tls_config: {ca_file: nginx.pem}\n"))
	listed := shell(t, fmt.Sprintf("qlik_exporter sessions --site=emea --exporter-url=%s --exporter.http-config-file=%s", root, filepath.Join(dir, "http.yml")))
	expect(t, strings.Contains(listed, `\anna`), "the command sessions has the answer of the exporter", listed)
	p.stop(t)
	e.stop(t)
}
