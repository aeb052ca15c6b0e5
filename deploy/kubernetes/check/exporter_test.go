package check

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
)

// The exporter accepts the configuration of the chart, passes the probes, and
// serves the endpoints that Prometheus is configured to scrape.
func TestExporterRuns(t *testing.T) {
	t.Parallel()
	for variant := range variants {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			m := render(t, "--values="+valuesFile(variant))
			p := startPod(t, m)
			p.checkProbes(t)
			if m.monitor != nil {
				p.checkEndpoints(t, m.monitor)
			}
			p.checkNotes(t, valuesFile(variant))
			if strings.Contains(m.configuration.Data["flags"], "--desk.listen-address") {
				p.checkDesk(t)
			}
		})
	}
}

// pod is an exporter that runs as specified in a manifest.
type pod struct {
	container     corev1.Container
	address       string // host:port
	desk          string // host:port of the desk, if it is enabled
	log           *bytes.Buffer
	scheme        string
	authenticated bool
	flags         string // path of its flags
}

const password = "secret enough"

// webConfig returns the content of the Secret in the variant authentication.
func webConfig(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return "tls_server_config: {cert_file: tls.pem, key_file: tls_key.pem}\nbasic_auth_users: {prometheus: " + string(hash) + "}\n"
}

// startPod writes the mounted files to a folder and starts the exporter with the
// arguments of the manifest. Paths in the arguments refer to that folder.
func startPod(t *testing.T, m *manifests) *pod {
	t.Helper()
	p := &pod{container: m.deployment.Spec.Template.Spec.Containers[0], address: freeAddress(t), log: new(bytes.Buffer), scheme: "http"}
	root := t.TempDir()
	write := func(path, content string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, key := newCertificate(t)
	secrets := map[string]string{
		"client.pem": certificate, "root.pem": certificate, "client_key.pem": key, // for the example sites
		"passphrase": "not needed", "production": "not needed", "key": "sixteen bytes or more", "current": "sixteen bytes or more",
		"web-config.yml": webConfig(t), "tls.pem": certificate, "tls_key.pem": key,
	}
	secrets["desk.yml"], secrets["roles.yml"] = secrets["web-config.yml"], "helpdesk: [\"user:prometheus\"]\n"
	p.desk = freeAddress(t)
	ofConfiguration := strings.NewReplacer("/etc/qlik_exporter", root+"/etc/qlik_exporter", "/var/lib/qlik_exporter", root+"/var/lib/qlik_exporter",
		"--web.listen-address=:9986", "--web.listen-address="+p.address, "--desk.listen-address=:9987", "--desk.listen-address="+p.desk,
		"--web.listen-address=:9080", "--web.listen-address="+freeAddress(t)) // of extraArgs
	paths := make(map[string]string)
	for _, mount := range p.container.VolumeMounts {
		if mount.SubPath != "" { // a single file of the ConfigMap
			p.flags = filepath.Join(root, mount.MountPath)
			write(mount.MountPath, ofConfiguration.Replace(m.configuration.Data[mount.SubPath]))
			continue
		}
		paths[mount.Name] = mount.MountPath
	}
	for _, volume := range m.deployment.Spec.Template.Spec.Volumes {
		switch {
		case volume.ConfigMap != nil && volume.ConfigMap.Name == m.configuration.Name && paths[volume.Name] != "":
			for name, content := range m.configuration.Data {
				write(filepath.Join(paths[volume.Name], name), ofConfiguration.Replace(content))
			}
		case volume.Projected != nil:
			for _, source := range volume.Projected.Sources {
				for _, item := range source.Secret.Items {
					if secrets[item.Key] == "" {
						t.Fatalf("no Secret of the example has the key %s", item.Key)
					}
					write(filepath.Join(paths[volume.Name], item.Path), secrets[item.Key])
				}
			}
		case volume.Secret != nil && volume.Name == "desk":
			for _, name := range []string{"desk.yml", "roles.yml", "tls.pem", "tls_key.pem"} {
				write(filepath.Join(paths[volume.Name], name), secrets[name])
			}
		case volume.PersistentVolumeClaim != nil:
			if err := os.MkdirAll(filepath.Join(root, paths[volume.Name]), 0o700); err != nil {
				t.Fatal(err)
			}
		case volume.Secret != nil && volume.Name == "web":
			p.scheme, p.authenticated = "https", true
			for _, name := range []string{"web-config.yml", "tls.pem", "tls_key.pem"} {
				write(filepath.Join(paths[volume.Name], name), secrets[name])
			}
		}
	}
	var arguments []string
	for _, argument := range p.container.Args {
		arguments = append(arguments, ofConfiguration.Replace(argument))
	}
	command := exec.Command(exporter, arguments...)
	command.Env = append(os.Environ(), "TMPDIR="+root)
	command.Stderr = p.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil || t.Failed() {
			t.Errorf("the exporter: %v\n%s", err, p.log)
		}
	})
	return p
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// newCertificate returns a self-signed certificate and its key.
func newCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "QlikClient"}, DNSNames: []string{"qlik-exporter.company.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// checkProbes sends the probes like the kubelet, which cannot log in.
func (p *pod) checkProbes(t *testing.T) {
	t.Helper()
	for name, probe := range map[string]*corev1.Probe{"readiness": p.container.ReadinessProbe, "liveness": p.container.LivenessProbe} {
		passes := func() bool {
			if probe.HTTPGet != nil {
				status, _ := p.get(probe.HTTPGet.Path, "")
				return status == http.StatusOK
			}
			connection, err := net.Dial("tcp", p.address)
			if err == nil {
				_ = connection.Close()
			}
			return err == nil
		}
		for deadline := time.Now().Add(20 * time.Second); !passes(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the %s probe fails", name)
			}
		}
	}
	if p.authenticated {
		if status, _ := p.get("/-/ready", ""); status != http.StatusUnauthorized {
			t.Errorf("without a password the exporter answers %d, want 401: a connection is all that a probe can ask for", status)
		}
	}
}

// get returns the status and the body of a response, or status 0 if there is
// none.
func (p *pod) get(path string, user string) (status int, body string) {
	return get(p.scheme+"://"+p.address+path, user)
}

// checkNotes runs the commands of the notes in the pod. No Qlik server of the examples
// exists, so outside the demo they fail, but the settings are right.
func (p *pod) checkNotes(t *testing.T, values string) {
	t.Helper()
	output, err := runHelm("install", "qlik", chart, "--namespace="+namespace, "--dry-run=client", "--values="+values)
	_, notes, found := strings.Cut(string(output), "\nNOTES:\n")
	if err != nil || !found {
		t.Fatalf("no notes: %v\n%s", err, output)
	}
	demo := p.container.Args[0] == "demo"
	commands := regexp.MustCompile(`(?m)^  kubectl exec --namespace monitoring deployment/qlik-qlik-exporter -- qlik_exporter (\w+)(.*)$`).FindAllStringSubmatch(notes, -1)
	for _, command := range commands {
		arguments := append([]string{command[1], "@" + p.flags}, strings.Fields(strings.ReplaceAll(command[2], `'DIRECTORY\id'`, `ACME\nobody`))...)
		output, err := exec.Command(exporter, arguments...).CombinedOutput()
		ended, isStatus := errors.AsType[*exec.ExitError](err)
		switch answer := string(output); {
		case err != nil && (!isStatus || ended.ExitCode() != 1),
			strings.Contains(answer, "error: --"), strings.Contains(answer, "there is no such"),
			strings.Contains(answer, "No answer from an exporter"), strings.Contains(answer, "password"):
			t.Errorf("%q: %v\n%s", command[0], err, answer)
		case demo && command[1] == "sessions" && err != nil,
			command[1] == "check" && !strings.Contains(answer, "company.com"):
			t.Errorf("%q: %v\n%s", command[0], err, answer)
		}
	}
	if want := 3; !demo && len(commands) != want || demo && len(commands) != want-1 {
		t.Errorf("the notes have the commands %q", commands)
	}
}

// checkDesk checks that the desk works with the files of its Secret and the volume of its
// journal, and only with a password.
func (p *pod) checkDesk(t *testing.T) {
	t.Helper()
	if status, body := get("https://"+p.desk+"/api/users?q=a", "prometheus"); status != http.StatusOK {
		t.Errorf("the desk answers %d %s", status, body)
	}
	if status, _ := get("https://"+p.desk+"/api/users?q=a", ""); status != http.StatusUnauthorized {
		t.Errorf("the desk answers %d without a password", status)
	}
}

func get(address, user string) (status int, body string) {
	request, err := http.NewRequest(http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	client := http.Client{
		Timeout: 20 * time.Second,
		// The kubelet does not verify certificates.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(content)
}

// checkEndpoints scrapes the endpoints of the ServiceMonitor. It compares their
// sites with those in the exporter's service discovery, which a Prometheus
// without operator uses.
func (p *pod) checkEndpoints(t *testing.T, monitor *monitoringv1.ServiceMonitor) {
	t.Helper()
	var user string
	if p.authenticated {
		user = "prometheus"
	}
	sites := make(map[string]bool)
	for _, endpoint := range monitor.Spec.Endpoints {
		if scheme := *endpoint.Scheme; !strings.EqualFold(string(scheme), p.scheme) {
			t.Errorf("%s is scraped with %s, but served with %s", endpoint.Path, scheme, p.scheme)
		}
		path := endpoint.Path
		for _, target := range endpoint.Params["target"] {
			path += "?target=" + target
			sites[target] = true
			if !slices.ContainsFunc(endpoint.RelabelConfigs, func(r monitoringv1.RelabelConfig) bool {
				return r.TargetLabel == "site" && *r.Replacement == target
			}) {
				t.Errorf("%s gets no label site", path)
			}
		}
		status, body := p.get(path, user)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
		// Only the demo has a Qlik site. All others must report that it is down.
		if wants := strings.HasPrefix(path, "/probe") || p.container.Args[0] == "demo"; wants != strings.Contains(body, "\nqlik_up ") {
			t.Errorf("%s: metrics of a site: %t", path, !wants)
		}
	}
	status, body := p.get("/sd", user)
	var groups []struct{ Labels map[string]string }
	if err := json.Unmarshal([]byte(body), &groups); status != http.StatusOK || err != nil {
		t.Fatalf("/sd: %d %s", status, body)
	}
	found := make(map[string]bool)
	for _, group := range groups {
		found[group.Labels["site"]] = true
	}
	if !maps.Equal(found, sites) {
		t.Errorf("the ServiceMonitor scrapes the sites %v, the exporter has %v", sites, found)
	}
}

// The schema has exactly the site settings of the exporter.
func TestSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sites.yml")
	if err := os.WriteFile(file, []byte("sites: {a: {nonsense: 1}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(exporter, "--config.file="+file).CombinedOutput()
	list := regexp.MustCompile(`the known keys are (.*)`).FindSubmatch(output)
	if err == nil || list == nil {
		t.Fatalf("the exporter does not list its settings: %v\n%s", err, output)
	}
	exporters := strings.Split(string(list[1]), ", ")

	var schema struct {
		Definitions struct {
			Site struct {
				Properties struct {
					Settings struct{ Properties map[string]any }
				}
			}
		}
	}
	if err := json.Unmarshal(read(t, filepath.Join(chart, "values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	// The chart sets these to the paths where it mounts Secrets.
	charts := slices.Concat(slices.Collect(maps.Keys(schema.Definitions.Site.Properties.Settings.Properties)),
		[]string{"cert_dir", "key_passphrase_file", "user_labels_key_file"})
	slices.Sort(exporters)
	slices.Sort(charts)
	if !slices.Equal(exporters, charts) {
		t.Errorf("the exporter has %q\nthe chart has    %q", exporters, charts)
	}
}
