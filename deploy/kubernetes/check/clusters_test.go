package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write README.md of the chart")

// TestOpenShift checks that a cluster can choose user and groups, and that the exporter can
// reach the name servers of OpenShift, which listen on 5353 in their pods.
func TestOpenShift(t *testing.T) {
	t.Parallel()
	m := render(t, "--values="+valuesFile("openshift"))
	pod := m.deployment.Spec.Template.Spec
	if c := pod.SecurityContext; c.RunAsUser != nil || c.RunAsGroup != nil || c.FSGroup != nil {
		t.Errorf("the pod sets its user: %v", c)
	}
	if env := pod.Containers[0].Env; len(env) != 1 || env[0].Name != "GOMEMLIMIT" {
		t.Errorf("the environment is %v", env)
	}
	var ports []string
	for _, port := range m.networkPolicy.Spec.Egress[0].Ports {
		ports = append(ports, port.Port.String()+"/"+string(*port.Protocol))
	}
	if want := []string{"53/UDP", "53/TCP", "5353/UDP", "5353/TCP"}; !slices.Equal(ports, want) {
		t.Errorf("name servers are reachable at %q, want %q", ports, want)
	}
	none := render(t, "--values="+valuesFile("openshift"), "--set=podSecurityContext=null,securityContext=null").deployment.Spec.Template.Spec
	if none.SecurityContext != nil || none.Containers[0].SecurityContext != nil {
		t.Errorf("the contexts are %v and %v", none.SecurityContext, none.Containers[0].SecurityContext)
	}
}

// TestOperatorNamespace checks that Prometheus and Grafana can be in other namespaces, and
// select by labels of their own.
func TestOperatorNamespace(t *testing.T) {
	t.Parallel()
	m := render(t, "--values="+valuesFile("operator-namespace"))
	if m.monitor.Namespace != "prometheus" || m.rules.Namespace != "prometheus" || m.service.Namespace != namespace {
		t.Errorf("ServiceMonitor is in %s, PrometheusRule in %s, Service in %s", m.monitor.Namespace, m.rules.Namespace, m.service.Namespace)
	}
	spec := m.monitor.Spec
	if got := spec.NamespaceSelector.MatchNames; !slices.Equal(got, []string{namespace}) {
		t.Errorf("ServiceMonitor selects services in %v", got)
	}
	if team := []string{"company.com/team"}; !slices.Equal(spec.TargetLabels, team) || !slices.Equal(spec.PodTargetLabels, team) {
		t.Errorf("the labels of targets are %q and %q", spec.TargetLabels, spec.PodTargetLabels)
	}
	for _, endpoint := range spec.Endpoints {
		last := endpoint.RelabelConfigs[len(endpoint.RelabelConfigs)-1]
		if last.TargetLabel != "cluster" || len(endpoint.MetricRelabelConfigs) != 1 || !endpoint.HonorLabels {
			t.Errorf("%s: %v, %v, %t", endpoint.Path, endpoint.RelabelConfigs, endpoint.MetricRelabelConfigs, endpoint.HonorLabels)
		}
	}
	if m.monitor.Labels["release"] != "kube-prometheus-stack" || m.rules.Labels["role"] != "alert-rules" {
		t.Errorf("ServiceMonitor has the labels %v, PrometheusRule %v", m.monitor.Labels, m.rules.Labels)
	}
	if m.monitor.Annotations["company.com/owner"] != "monitoring" || m.rules.Annotations["company.com/owner"] != "monitoring" {
		t.Errorf("ServiceMonitor has the annotations %v, PrometheusRule %v", m.monitor.Annotations, m.rules.Annotations)
	}
	boards := 0
	for i, object := range m.objects {
		if object.GetLabels()["company.com/team"] != "qlik" {
			t.Errorf("%s lacks the common label", m.names[i])
		}
		if object.GetNamespace() != "grafana" {
			continue
		}
		boards++
		_, others := object.GetLabels()["grafana_dashboard"]
		if others || object.GetLabels()["company_dashboard"] != "1" || len(object.GetAnnotations()) != 1 {
			t.Errorf("%s has the labels %v and the annotations %v", m.names[i], object.GetLabels(), object.GetAnnotations())
		}
	}
	if pod := m.deployment.Spec.Template.Labels; pod["company.com/team"] != "qlik" || boards != 4 {
		t.Errorf("%d dashboards are in the namespace of Grafana; the pods have the labels %v", boards, pod)
	}
}

// TestTwoReleases checks that two releases share a cluster, also a namespace, and that the
// rules of the first cover the second.
func TestTwoReleases(t *testing.T) {
	t.Parallel()
	first := renderRelease(t, "qlik", namespace, "--values="+valuesFile("one-site"))
	for _, in := range []string{namespace, "test"} {
		second := renderRelease(t, "qlik-test", in, "--values="+valuesFile("second-release"))
		for _, name := range second.names {
			if slices.Contains(first.names, name) {
				t.Errorf("both releases create %s", name)
			}
		}
		if second.rules != nil || len(second.dashboards) > 0 {
			t.Errorf("the second release has %q", second.kinds)
		}
		for _, endpoint := range second.monitor.Spec.Endpoints {
			if !slices.ContainsFunc(endpoint.RelabelConfigs, func(r monitoringv1.RelabelConfig) bool {
				return r.TargetLabel == "job" && *r.Replacement == "qlik"
			}) {
				t.Errorf("the rules of the first release select the job qlik, but the second has %v", endpoint.RelabelConfigs)
			}
		}
	}
	notes, err := runHelm("install", "qlik", chart, "--dry-run=client", "--values="+valuesFile("one-site"))
	if off := "--set prometheusRule.enabled=false,dashboards.enabled=false"; err != nil || !bytes.Contains(notes, []byte(off)) {
		t.Errorf("the notes do not say how to install the second release: %v", err)
	}
}

// TestExistingSecrets checks that the pod uses Secrets, accounts and volumes that the chart
// does not create.
func TestExistingSecrets(t *testing.T) {
	t.Parallel()
	pod := render(t, "--values="+valuesFile("existing-secrets")).deployment.Spec.Template.Spec
	if pod.ServiceAccountName != "vault-reader" {
		t.Errorf("the service account is %s", pod.ServiceAccountName)
	}
	if want := []corev1.LocalObjectReference{{Name: "vault-registry"}, {Name: "vault-mirror"}}; !slices.Equal(pod.ImagePullSecrets, want) {
		t.Errorf("the Secrets for the registry are %v", pod.ImagePullSecrets)
	}
	container := pod.Containers[0]
	if len(container.EnvFrom) != 2 || container.EnvFrom[0].SecretRef.Name != "vault-exporter-environment" {
		t.Errorf("the environment comes from %v", container.EnvFrom)
	}
	if want := "registry.company.com/qlik-exporter/qlik_exporter:"; !strings.HasPrefix(container.Image, want) {
		t.Errorf("the image is %s, want %s...", container.Image, want)
	}
	without := render(t, "--values="+valuesFile("existing-secrets"), "--set=serviceAccount.name=").deployment.Spec.Template.Spec
	if without.ServiceAccountName != "default" {
		t.Errorf("without a service account, the pod uses %s", without.ServiceAccountName)
	}
}

// TestRestricted checks the fields for clusters that many teams share. checkSecurity checks
// the pod security standard.
func TestRestricted(t *testing.T) {
	t.Parallel()
	m := render(t, "--values="+valuesFile("restricted"))
	pod := m.deployment.Spec.Template.Spec
	own := pod.TopologySpreadConstraints[0].LabelSelector
	if own == nil || own.MatchLabels["app.kubernetes.io/instance"] != "qlik" || len(pod.TopologySpreadConstraints[1].LabelSelector.MatchLabels) > 0 {
		t.Errorf("the topology spread constraints are %v", pod.TopologySpreadConstraints)
	}
	if pod.PriorityClassName != "monitoring" || *m.deployment.Spec.RevisionHistoryLimit != 2 || m.deployment.Annotations["reloader.stakater.com/auto"] != "true" {
		t.Errorf("the Deployment is %v", m.deployment)
	}
	if pod.DNSPolicy != corev1.DNSNone || pod.DNSConfig.Nameservers[0] != "10.1.0.53" || pod.HostAliases[0].Hostnames[0] != "qlik1.company.com" {
		t.Errorf("DNS is %s, %v, %v", pod.DNSPolicy, pod.DNSConfig, pod.HostAliases)
	}
	if len(pod.Containers) != 2 || len(pod.InitContainers) != 1 || !*pod.AutomountServiceAccountToken {
		t.Errorf("the containers are %v, and %v before them", pod.Containers, pod.InitContainers)
	}
	if m.budget.Spec.MaxUnavailable.String() != "1" || m.budget.Spec.MinAvailable != nil {
		t.Errorf("the disruption budget is %v", m.budget.Spec)
	}
	if rules := m.networkPolicy.Spec.Egress; len(rules) != 3 || rules[2].Ports[0].Port.String() != "6443" {
		t.Errorf("NetworkPolicy lets out %v", rules)
	}
	if token := render(t, "--set=demo=true").deployment.Spec.Template.Spec.AutomountServiceAccountToken; token == nil || *token {
		t.Error("by default, the pod gets a token of a service account")
	}
}

// TestExposed checks that Ingress and HTTPRoute lead to the Service.
func TestExposed(t *testing.T) {
	t.Parallel()
	m := render(t, "--values="+valuesFile("exposed"))
	if m.service.Spec.Type != corev1.ServiceTypeLoadBalancer || m.service.Labels["company.com/exposed"] != "yes" {
		t.Errorf("the Service is %v", m.service)
	}
	var addresses []string
	for _, rule := range m.ingress.Spec.Rules {
		path := rule.HTTP.Paths[0]
		addresses = append(addresses, rule.Host+path.Path)
		if to := path.Backend.Service; to.Name != m.service.Name || to.Port.Name != m.service.Spec.Ports[0].Name {
			t.Errorf("the Ingress leads to %v", to)
		}
	}
	if want := []string{"tools.company.com/qlik", "qlik.company.com/"}; !slices.Equal(addresses, want) || *m.ingress.Spec.IngressClassName != "nginx" {
		t.Errorf("the Ingress is for %q, want %q", addresses, want)
	}
	rule := m.route.Spec.Rules[0]
	if to := rule.BackendRefs[0]; string(to.Name) != m.service.Name || *to.Port != m.service.Spec.Ports[0].Port || *rule.Matches[0].Path.Value != "/qlik" {
		t.Errorf("the HTTPRoute leads to %v", rule)
	}
	if path := m.monitor.Spec.Endpoints[0].Path; path != "/exporter-metrics" {
		t.Errorf("ServiceMonitor scrapes %s, although --web.telemetry-path is another", path)
	}
	for set, want := range map[string]string{"ingress.hosts=null": "ingress.hosts", "httpRoute.parentRefs=null": "httpRoute.parentRefs"} {
		output, err := runHelm("template", "qlik", chart, "--values="+valuesFile("exposed"), "--set", set)
		if err == nil || !bytes.Contains(output, []byte(want)) {
			t.Errorf("%s: %v\n%s", set, err, output)
		}
	}
}

// TestProbes checks that the kubelet, which has no password, can probe an exporter with TLS
// or authentication, however they are turned on.
func TestProbes(t *testing.T) {
	t.Parallel()
	for set, connects := range map[string]bool{
		"replicas=1":                                         false,
		"web.configSecret=x":                                 true,
		"web.configSecret=null":                              false,
		"extraArgs={--web.config.file=/x/web.yml}":           true,
		"extraArgs={--web.external-url=https://a.b/c}":       false,
		"extraArgs={--web.config.file=}":                     false,
		"extraArgs={--desk.web.config.file=/x/desk.yml}":     false,
		"extraArgs={--web.listen-address=:80,--log.level=x}": false,
	} {
		container := render(t, "--values="+valuesFile("one-site"), "--set", set).deployment.Spec.Template.Spec.Containers[0]
		for _, probe := range []*corev1.Probe{container.ReadinessProbe, container.LivenessProbe} {
			if (probe.TCPSocket != nil) != connects || (probe.HTTPGet != nil) == connects {
				t.Errorf("%s: the probe is %v", set, probe)
			}
		}
	}
}

// TestParent checks a chart of which this chart is two of the dependencies, with values for
// all charts, conditions, tags, and nulls that unset values.
func TestParent(t *testing.T) {
	t.Parallel()
	parent := parentChart(t)
	output, err := runHelm("template", "company", parent, "--namespace="+namespace, "--set=qlik-exporter.sites.old=null,qlik-test.enabled=false")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	m := decode(t, output)
	if want := variants["one-site"]; !slices.Equal(m.kinds, want) {
		t.Errorf("the objects are %q, want %q", m.kinds, want)
	}
	checkNames(t, m)
	checkReferences(t, m)
	pod := m.deployment.Spec.Template.Spec
	if want := []corev1.LocalObjectReference{{Name: "registry"}, {Name: "mirror"}, {Name: "own"}}; !slices.Equal(pod.ImagePullSecrets, want) {
		t.Errorf("the Secrets for the registry are %v", pod.ImagePullSecrets)
	}
	if want := "registry.company.com/qlik-exporter/qlik_exporter:"; !strings.HasPrefix(pod.Containers[0].Image, want) {
		t.Errorf("the image is %s, want %s...", pod.Containers[0].Image, want)
	}
	if c := pod.SecurityContext; c.RunAsUser != nil || c.RunAsNonRoot == nil || pod.Containers[0].SecurityContext != nil {
		t.Errorf("the contexts are %v and %v", c, pod.Containers[0].SecurityContext)
	}
	if sites := m.configuration.Data["sites.yml"]; strings.Contains(sites, "old") || strings.Contains(sites, "null") || !strings.Contains(sites, "qlik1.company.com") {
		t.Errorf("the sites are\n%s", sites)
	}
	startPod(t, m).checkProbes(t)

	both, err := runHelm("template", "company", parent, "--namespace="+namespace)
	if err != nil {
		t.Fatalf("%v\n%s", err, both)
	}
	all := decode(t, both)
	checkNames(t, all)
	if got := len(all.dashboards); got != 4 {
		t.Errorf("%d dashboards", got)
	}
	off, err := runHelm("template", "company", parent, "--set=tags.exporters=false,qlik-exporter.enabled=null,qlik-test.enabled=null")
	if err != nil || bytes.Contains(off, []byte("kind:")) {
		t.Errorf("the tag of the parent chart is not respected: %v\n%s", err, off)
	}
	if output, err := runHelm("template", "qlik", chart, "--set=enabled=true,tags.exporters=true,global.x.y=1,demo=true"); err != nil {
		t.Errorf("the chart refuses what a parent chart passes: %v\n%s", err, output)
	}
	alone, err := runHelm("template", "qlik", chart, "--set=enabled=false,demo=true")
	if err == nil || !bytes.Contains(alone, []byte("enabled is false")) {
		t.Errorf("the chart is installed although enabled is false: %v\n%s", err, alone)
	}
}

// parentChart returns the folder of testdata/parent with its dependencies.
func parentChart(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "parent"))); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(chart)
	if err != nil {
		t.Fatal(err)
	}
	description := filepath.Join(dir, "Chart.yaml")
	content := bytes.ReplaceAll(read(t, description), []byte("file://../../../qlik-exporter"), []byte("file://"+path))
	if err := os.WriteFile(description, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := runHelm("dependency", "update", "--skip-refresh", dir); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return dir
}

// TestNull unsets every value, one after the other. The chart leaves it to Kubernetes or to
// the exporter, or refuses it with its name.
func TestNull(t *testing.T) {
	t.Parallel()
	var values map[string]any
	if err := yaml.Unmarshal(read(t, filepath.Join(chart, "values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	required := []string{"image", "image.repository", "service", "service.port", "job"}
	for _, path := range paths("", values) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			output, err := runHelm("template", "qlik", chart, "--values="+valuesFile("several-sites"), "--values="+valuesFile("desk"),
				"--values="+valuesFile("exposed"), "--set=replicas=1", "--set", path+"=null")
			name := path[strings.LastIndex(path, ".")+1:]
			switch refused := bytes.Contains(output, []byte("missing property '"+name+"'")) || bytes.Contains(output, []byte(path+" is empty")); {
			case err != nil && !refused:
				t.Errorf("%v\n%s", err, output)
			case slices.Contains(required, path) != bytes.Contains(output, []byte("missing property")):
				t.Errorf("required: %t", slices.Contains(required, path))
			case err == nil:
				decode(t, output)
			}
		})
	}
}

// paths returns the paths of all values, sections included.
func paths(prefix string, values map[string]any) (all []string) {
	for name, value := range values {
		path := prefix + strings.ReplaceAll(name, ".", `\.`)
		all = append(all, path)
		if section, is := value.(map[string]any); is {
			all = append(all, paths(path+".", section)...)
		}
	}
	return all
}

// TestQlikPorts checks that the network policy lets the exporter reach the ports in its
// settings.
func TestQlikPorts(t *testing.T) {
	t.Parallel()
	type list = []string
	for _, test := range []struct {
		settings map[string]any
		want     list
	}{
		{map[string]any{"host": list{"qlik1"}}, list{"4242", "4243"}},
		{map[string]any{"host": list{"qlik1:4342", "qlik2"}}, list{"4342", "4242", "4243"}},
		{map[string]any{"host": list{" qlik1:4342 "}}, list{"4342", "4243"}},
		{map[string]any{"host": list{"fd00::4"}}, list{"4242", "4243"}},
		{map[string]any{"host": list{"[fd00::4]"}}, list{"4242", "4243"}},
		{map[string]any{"host": list{"[fd00::4]:4342"}}, list{"4342", "4243"}},
		{map[string]any{"host": list{"qlik1"}, "proxy": list{"qlik2:4343"}}, list{"4242", "4343", "4243"}},
		{map[string]any{"proxy": list{"qlik2:4343"}, "virtual_proxy": list{"/"}}, list{"4343"}},
		{map[string]any{"proxy": list{"qlik2"}, "virtual_proxy": list{"/"}}, list{"4243"}},
		{map[string]any{"host": list{"qlik1"}, "node_address": list{"qlik1=10.0.0.1:5343", "qlik2=10.0.0.2", "qlik3=[fd00::3]:5344", "qlik4=fd00::4"}}, list{"4242", "4243", "5343", "5344"}},
		{map[string]any{"host": list{"qlik1"}, "engine_port": list{"4748"}}, list{"4242", "4243"}},
		{map[string]any{"host": list{"qlik1"}, "collector": map[string]bool{"engine": true}}, list{"4242", "4243", "4747"}},
		{map[string]any{"host": list{"qlik1"}, "collector": map[string]bool{"engine": true}, "engine_port": list{"4748"}}, list{"4242", "4243", "4748"}},
		{map[string]any{"host": list{"qlik1"}, "collector": map[string]bool{"engine": true}, "engine_port": []any{"qlik2=4749", 4748}}, list{"4242", "4243", "4749", "4748"}},
		{map[string]any{"host": list{"qlik1"}, "collector": map[string]bool{"engine": true}, "engine_port": list{"qlik2=4749"}}, list{"4242", "4243", "4749", "4747"}},
	} {
		settings, err := json.Marshal(test.settings)
		if err != nil {
			t.Fatal(err)
		}
		policy := render(t, "--values="+valuesFile("one-site"), "--set=sites.production=null", "--set=sites.a.certificatesSecret=a", "--set-json=sites.a.settings="+string(settings)).networkPolicy
		if got := qlikPorts(t, policy.Spec.Egress[1].Ports); !slices.Equal(got, test.want) {
			t.Errorf("%s: the ports are %q, want %q", settings, got, test.want)
		}
	}
	policy := render(t, "--values="+valuesFile("several-sites")).networkPolicy
	want := list{"4443", "4243", "4242", "4342", "4343", "4749", "4748"}
	got := qlikPorts(t, policy.Spec.Egress[1].Ports)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("several sites: the ports are %q, want %q", got, want)
	}

	// Another setting with a port must be in the policy, too.
	var withPort list
	reference := read(t, filepath.Join(repository, "docs", "configuration.md"))
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .*\\b[Pp]ort\\b").FindAllSubmatch(reference, -1) {
		withPort = append(withPort, string(row[1]))
	}
	if want := (list{"host", "node_address", "engine_port", "proxy"}); !slices.Equal(withPort, want) {
		t.Errorf("the settings with ports are %q; the network policy takes the ports from %q", withPort, want)
	}
}

func qlikPorts(t *testing.T, ports []networkingv1.NetworkPolicyPort) (numbers []string) {
	t.Helper()
	for _, port := range ports {
		numbers = append(numbers, port.Port.String())
	}
	return numbers
}

// TestReadme checks README.md, which helm-docs writes from the comments in values.yaml.
func TestReadme(t *testing.T) {
	t.Parallel()
	docs, err := exec.Command("go", "tool", "-n", "helm-docs").Output()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(strings.TrimSpace(string(docs)), "--dry-run", "--log-level=warn", "--sort-values-order=file", "--chart-search-root="+chart)
	output, err := command.Output()
	if err != nil {
		ended, _ := errors.AsType[*exec.ExitError](err)
		t.Fatalf("%v\n%v", err, ended)
	}
	output = append(bytes.TrimSpace(output), '\n')
	path := filepath.Join(chart, "README.md")
	if *update {
		if err := os.WriteFile(path, output, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(read(t, path), output) {
		t.Error("README.md is not what values.yaml says; go test -run Readme -update writes it")
	}
	for _, row := range regexp.MustCompile(`(?m)^\| .* \|  \|$`).FindAll(output, -1) {
		t.Errorf("no description: %s", row)
	}
}
