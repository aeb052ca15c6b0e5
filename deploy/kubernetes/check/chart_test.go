// Package check tests the Helm chart from the outside. Helm lints and renders it
// for several sets of values. The tests decode the manifests strictly into the
// types of the Kubernetes API, and start the exporter as the manifests specify.
//
//	go test -count=1 -v ./...
//
// Go's cache of test results does not see changes of the chart. The tests need a Unix
// system. They build Helm, helm-docs and the exporter, which takes minutes the first time.
package check

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	namevalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

const (
	chart      = "../qlik-exporter"
	repository = "../../.."
	namespace  = "monitoring"
)

// helm and exporter are the paths of the programs, built by TestMain.
var helm, exporter string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "qlik_exporter-chart-")
	if err != nil {
		log.Fatal(err)
	}
	exporter = filepath.Join(dir, "qlik_exporter")
	if output, err := exec.Command("go", "build", "-C", repository, "-o", exporter, ".").CombinedOutput(); err != nil {
		log.Fatalf("building the exporter: %v\n%s", err, output)
	}
	path, err := exec.Command("go", "tool", "-n", "helm").Output()
	if err != nil {
		log.Fatalf("building Helm: %v", err)
	}
	helm = strings.TrimSpace(string(path))
	m.Run()
	if err := os.RemoveAll(dir); err != nil {
		log.Print(err)
	}
}

// variants are the sets of values in testdata, with the kinds of objects that
// each of them creates.
var variants = map[string][]string{
	"demo":               usual(),
	"one-site":           usual(),
	"several-sites":      usual(),
	"authentication":     usual(),
	"desk":               usual("PersistentVolumeClaim"),
	"guard":              usual("PersistentVolumeClaim"),
	"no-operator":        {"ConfigMap", "Deployment", "Service", "ServiceAccount"},
	"openshift":          {"ConfigMap", "Deployment", "NetworkPolicy", "PrometheusRule", "Service", "ServiceAccount", "ServiceMonitor"},
	"operator-namespace": usual(),
	"second-release":     {"ConfigMap", "Deployment", "NetworkPolicy", "Service", "ServiceAccount", "ServiceMonitor"},
	"existing-secrets":   {"ConfigMap", "Deployment", "NetworkPolicy", "PrometheusRule", "Service", "ServiceMonitor", "4 dashboards"},
	"restricted":         usual("PodDisruptionBudget"),
	"exposed":            usual("HTTPRoute", "Ingress", "Secret"),
}

// usual returns the kinds of objects of most sets of values.
func usual(and ...string) []string {
	and = append(and, "ConfigMap", "Deployment", "NetworkPolicy", "PrometheusRule", "Service", "ServiceAccount", "ServiceMonitor")
	slices.Sort(and)
	return append(and, "4 dashboards")
}

func valuesFile(variant string) string { return filepath.Join("testdata", variant+".yaml") }

// manifests are the objects of a release.
type manifests struct {
	deployment    *appsv1.Deployment
	service       *corev1.Service
	account       *corev1.ServiceAccount
	configuration *corev1.ConfigMap
	dashboards    map[string]string // content by file name
	networkPolicy *networkingv1.NetworkPolicy
	journal       *corev1.PersistentVolumeClaim
	budget        *policyv1.PodDisruptionBudget
	ingress       *networkingv1.Ingress
	route         *gatewayv1.HTTPRoute
	monitor       *monitoringv1.ServiceMonitor
	rules         *monitoringv1.PrometheusRule
	kinds         []string        // sorted, dashboards counted at the end
	objects       []metav1.Object // all of them
	names         []string        // KIND NAMESPACE/NAME of all of them
}

// render renders the chart with Helm and decodes the result.
func render(t *testing.T, arguments ...string) *manifests {
	t.Helper()
	return renderRelease(t, "qlik", namespace, arguments...)
}

func renderRelease(t *testing.T, release, namespace string, arguments ...string) *manifests {
	t.Helper()
	output, err := runHelm(append([]string{"template", release, chart, "--namespace=" + namespace}, arguments...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return decode(t, output)
}

// decode decodes the objects of a release. Unknown and repeated keys are errors.
func decode(t *testing.T, output []byte) *manifests {
	t.Helper()
	known := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(known), monitoringv1.AddToScheme(known), gatewayv1.Install(known)); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	m := &manifests{dashboards: make(map[string]string)}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(output)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, document[:min(len(document), 1000)])
		}
		m.add(t, object)
	}
	slices.Sort(m.kinds)
	if n := len(m.dashboards); n > 0 {
		m.kinds = append(m.kinds, strconv.Itoa(n)+" dashboards")
	}
	return m
}

func (m *manifests) add(t *testing.T, object runtime.Object) {
	t.Helper()
	kind := object.GetObjectKind().GroupVersionKind().Kind
	data, err := meta.Accessor(object)
	if err != nil {
		t.Fatal(err)
	}
	m.objects = append(m.objects, data)
	m.names = append(m.names, kind+" "+data.GetNamespace()+"/"+data.GetName())
	switch object := object.(type) {
	case *appsv1.Deployment:
		m.deployment = object
	case *corev1.Service:
		m.service = object
	case *corev1.ServiceAccount:
		m.account = object
	case *corev1.PersistentVolumeClaim:
		m.journal = object
	case *networkingv1.NetworkPolicy:
		m.networkPolicy = object
	case *networkingv1.Ingress:
		m.ingress = object
	case *policyv1.PodDisruptionBudget:
		m.budget = object
	case *gatewayv1.HTTPRoute:
		m.route = object
	case *monitoringv1.ServiceMonitor:
		m.monitor = object
	case *monitoringv1.PrometheusRule:
		m.rules = object
	case *corev1.ConfigMap:
		if object.Data["flags"] == "" {
			maps.Copy(m.dashboards, object.Data)
			return
		}
		m.configuration = object
	case *corev1.Secret: // of extraManifests
	default:
		t.Errorf("unexpected object %T", object)
	}
	m.kinds = append(m.kinds, kind)
}

func runHelm(arguments ...string) ([]byte, error) {
	return exec.Command(helm, arguments...).CombinedOutput()
}

func TestLint(t *testing.T) {
	t.Parallel()
	for variant := range variants {
		output, err := runHelm("lint", "--strict", "--values="+valuesFile(variant), chart)
		if err != nil || !bytes.Contains(output, []byte("0 chart(s) failed")) {
			t.Errorf("%s: %v\n%s", variant, err, output)
		}
	}
}

func TestManifests(t *testing.T) {
	t.Parallel()
	for variant, kinds := range variants {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			m := render(t, "--values="+valuesFile(variant))
			if !slices.Equal(m.kinds, kinds) {
				t.Fatalf("the objects are %q, want %q", m.kinds, kinds)
			}
			checkPod(t, m)
			checkReferences(t, m)
			checkSecurity(t, m)
			checkNames(t, m)
		})
	}
}

// checkPod checks that Kubernetes accepts the names and labels, and that volumes
// match their mounts.
func checkPod(t *testing.T, m *manifests) {
	t.Helper()
	pod := m.deployment.Spec.Template
	for _, set := range []map[string]string{m.deployment.Labels, pod.Labels} {
		if faults := validation.ValidateLabels(set, field.NewPath("labels")); len(faults) > 0 {
			t.Error(faults)
		}
	}
	for _, fault := range namevalidation.IsDNS1123Subdomain(m.deployment.Name) {
		t.Errorf("%s: %s", m.deployment.Name, fault)
	}
	volumes := make(map[string]bool) // whether it is mounted
	for _, volume := range pod.Spec.Volumes {
		volumes[volume.Name] = false
		for _, fault := range namevalidation.IsDNS1123Label(volume.Name) {
			t.Errorf("volume %s: %s", volume.Name, fault)
		}
		if config := volume.ConfigMap; config != nil && config.Name != m.configuration.Name && (config.Optional == nil || !*config.Optional) {
			t.Errorf("volume %s uses the ConfigMap %s, which does not exist", volume.Name, config.Name)
		}
		if claim := volume.PersistentVolumeClaim; claim != nil && m.journal != nil && claim.ClaimName != m.journal.Name {
			t.Errorf("volume %s uses the claim %s, which does not exist", volume.Name, claim.ClaimName)
		}
	}
	for _, mount := range pod.Spec.Containers[0].VolumeMounts {
		if _, there := volumes[mount.Name]; !there {
			t.Errorf("%s is mounted, but there is no such volume", mount.Name)
		}
		volumes[mount.Name] = true
	}
	for name, mounted := range volumes {
		if !mounted {
			t.Errorf("not mounted: %s", name)
		}
	}
}

// checkNames checks the names and labels of all objects, and that no object exists twice.
func checkNames(t *testing.T, m *manifests) {
	t.Helper()
	found := make(map[string]bool)
	for i, object := range m.objects {
		if faults := validation.ValidateLabels(object.GetLabels(), field.NewPath("labels")); len(faults) > 0 {
			t.Errorf("%s: %v", m.names[i], faults)
		}
		if faults := namevalidation.IsDNS1123Subdomain(object.GetName()); len(faults) > 0 {
			t.Errorf("%s: %v", m.names[i], faults)
		}
		if found[m.names[i]] {
			t.Errorf("%s exists twice", m.names[i])
		}
		found[m.names[i]] = true
	}
}

// checkReferences checks that every selector matches, and that every port exists.
func checkReferences(t *testing.T, m *manifests) {
	t.Helper()
	pod := labels.Set(m.deployment.Spec.Template.Labels)
	container := m.deployment.Spec.Template.Spec.Containers[0]
	port := container.Ports[0].Name
	selects := func(who string, selector map[string]string, set labels.Set) {
		t.Helper()
		if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(set) {
			t.Errorf("%s selects %v, but the labels are %v", who, selector, set)
		}
	}
	selects("Deployment", m.deployment.Spec.Selector.MatchLabels, pod)
	selects("Service", m.service.Spec.Selector, pod)
	if got := m.service.Spec.Ports[0].TargetPort.String(); got != port {
		t.Errorf("Service targets port %s, not %s", got, port)
	}
	if account := m.account; account != nil && account.Name != m.deployment.Spec.Template.Spec.ServiceAccountName {
		t.Errorf("the service account %s is not that of the pod", account.Name)
	}
	if budget := m.budget; budget != nil {
		selects("PodDisruptionBudget", budget.Spec.Selector.MatchLabels, pod)
	}
	for name, probe := range map[string]*corev1.Probe{"readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
		switch {
		case probe.HTTPGet != nil && probe.HTTPGet.Port.String() == port:
		case probe.TCPSocket != nil && probe.TCPSocket.Port.String() == port:
		default:
			t.Errorf("the %s probe does not use port %s: %v", name, port, probe)
		}
	}
	if policy := m.networkPolicy; policy != nil {
		selects("NetworkPolicy", policy.Spec.PodSelector.MatchLabels, pod)
		if got := policy.Spec.Ingress[0].Ports[0].Port.String(); got != port {
			t.Errorf("NetworkPolicy opens port %s, not %s", got, port)
		}
	}
	if monitor := m.monitor; monitor != nil {
		selects("ServiceMonitor", monitor.Spec.Selector.MatchLabels, m.service.Labels)
		for _, endpoint := range monitor.Spec.Endpoints {
			if endpoint.Port != m.service.Spec.Ports[0].Name {
				t.Errorf("ServiceMonitor scrapes port %s, not %s", endpoint.Port, m.service.Spec.Ports[0].Name)
			}
		}
	}
}

func checkSecurity(t *testing.T, m *manifests) {
	t.Helper()
	yes, no, user := true, false, int64(65532)
	pod := m.deployment.Spec.Template.Spec
	wantPod := &corev1.PodSecurityContext{
		RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	wantContainer := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	if pod.SecurityContext.RunAsUser == nil { // left to the cluster
		wantPod.RunAsUser, wantPod.RunAsGroup, wantPod.FSGroup = nil, nil, nil
	}
	// The namespace may enforce the standard "restricted", unless the cluster chooses the user.
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &m.deployment.Spec.Template.ObjectMeta, &pod)); !result.Allowed {
		t.Errorf("the standard restricted forbids the pod: %s", result.ForbiddenDetail())
	}
	if !reflect.DeepEqual(pod.SecurityContext, wantPod) {
		t.Errorf("pod: %v", pod.SecurityContext)
	}
	if !reflect.DeepEqual(pod.Containers[0].SecurityContext, wantContainer) {
		t.Errorf("container: %v", pod.Containers[0].SecurityContext)
	}
	if memory := pod.Containers[0].Resources.Limits.Memory(); memory.IsZero() {
		t.Error("memory has no limit")
	}
	for _, volume := range pod.Volumes {
		switch { // 0440: readable for the group, which is fsGroup
		case volume.Secret != nil && *volume.Secret.DefaultMode != 0o440,
			volume.Projected != nil && *volume.Projected.DefaultMode != 0o440:
			t.Errorf("volume %s has a mode other than 0440", volume.Name)
		}
	}
}

// TestDesk checks that a desk is reachable, that its journal outlives pods and releases, and
// that no two pods write it.
func TestDesk(t *testing.T) {
	t.Parallel()
	m := render(t, "--values="+valuesFile("desk"))
	if got := m.deployment.Spec.Strategy.Type; got != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("the strategy is %q, so a new pod starts while the old one writes the journal", got)
	}
	port := m.service.Spec.Ports[1]
	if port.Port != 9987 || port.TargetPort.String() != "desk" {
		t.Errorf("the port of the Service is %v", port)
	}
	if c := m.deployment.Spec.Template.Spec.Containers[0].Ports[1]; c.Name != "desk" || !strings.Contains(m.configuration.Data["flags"], "--desk.listen-address=:"+strconv.Itoa(int(c.ContainerPort))+"\n") {
		t.Errorf("the port of the pod is %v, the flags are\n%s", c, m.configuration.Data["flags"])
	}
	rule := m.networkPolicy.Spec.Ingress[1]
	if rule.Ports[0].Port.String() != "desk" || len(rule.From) != 1 || rule.From[0].IPBlock.CIDR != "10.0.0.0/8" {
		t.Errorf("NetworkPolicy lets through %v", rule)
	}
	if len(m.networkPolicy.Spec.Ingress[0].Ports) != 1 {
		t.Error("who may scrape may reach the desk")
	}
	claim := m.journal
	if size := claim.Spec.Resources.Requests.Storage().String(); size != "2Gi" || *claim.Spec.StorageClassName != "retained" {
		t.Errorf("the claim is %v", claim.Spec)
	}
	if claim.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Error("Helm deletes the journal")
	}
	own := render(t, "--values="+valuesFile("desk"), "--set=desk.journal.existingClaim=evidence")
	if own.journal != nil || !slices.ContainsFunc(own.deployment.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "evidence"
	}) {
		t.Error("the existing claim is not used")
	}
	for set, want := range map[string]string{"replicas=2": "replicas=1", "desk.secret=": "desk.secret"} {
		output, err := runHelm("template", "qlik", chart, "--values="+valuesFile("desk"), "--set", set)
		if err == nil || !bytes.Contains(output, []byte(want)) {
			t.Errorf("%s: %v\n%s", set, err, output)
		}
	}
}

// TestGuard checks that a guard that is on has a journal and a stop file of its own, and that
// the chart refuses what the exporter would refuse, or what it cannot see.
func TestGuard(t *testing.T) {
	t.Parallel()
	m := render(t, "--values="+valuesFile("guard"))
	if got := m.deployment.Spec.Strategy.Type; got != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("the strategy is %q, so a new pod starts while the old one writes the journal", got)
	}
	flags, sites := m.configuration.Data["flags"], m.configuration.Data["sites.yml"]
	if strings.Contains(flags, "--desk.listen-address") || len(m.service.Spec.Ports) != 1 || len(m.networkPolicy.Spec.Ingress) != 1 {
		t.Errorf("the guard opens a desk:\n%s", flags)
	}
	if !strings.Contains(sites, "guard: \"on\"\n") || !strings.Contains(sites, "guard: \"off\"\n") {
		t.Errorf("the modes of the guard are not those of the values:\n%s", sites)
	}
	for flag, volume := range map[string]string{"--desk.journal-file=": "journal", "--desk.stop-file=": "stop"} {
		_, path, _ := strings.Cut(flags, flag)
		path, _, _ = strings.Cut(path, "\n")
		mounts := m.deployment.Spec.Template.Spec.Containers[0].VolumeMounts
		if i := slices.IndexFunc(mounts, func(mount corev1.VolumeMount) bool { return mount.Name == volume }); i < 0 || filepath.Dir(path) != mounts[i].MountPath {
			t.Errorf("%s%s is not in the volume %s", flag, path, volume)
		}
	}
	for variant, set := range map[string]string{
		"dry run":          "sites.production.settings.guard=dry-run",
		"off":              "sites.production.settings.guard=off",
		"off, no quotes":   "sites.production.settings.guard=false",
		"dry run, 2 times": "sites.production.settings.guard=dry-run,replicas=2",
	} {
		if without := render(t, "--values="+valuesFile("guard"), "--set", set); without.journal != nil || strings.Contains(without.configuration.Data["flags"], "--desk.") {
			t.Errorf("%s: there is a journal although nothing ends", variant)
		}
	}
	both := render(t, "--values="+valuesFile("guard"), "--set=desk.enabled=true,desk.secret=qlik-desk")
	if flags := both.configuration.Data["flags"]; strings.Count(flags, "--desk.stop-file=/etc/qlik_exporter/desk/stop\n") != 1 || strings.Count(flags, "--desk.journal-file=") != 1 {
		t.Errorf("with a desk, the flags are\n%s", flags)
	}
	checkPod(t, both)
	for set, want := range map[string]string{
		"replicas=2":                           "the guard needs replicas=1",
		"sites.production.settings.guard=true": `sites.production.settings.guard is true; write "on" in quotes`,
		"sites.test.settings.guard=on":         "sites.test.settings.guard_virtual_proxy is empty",
		"sites.production.settings.guard=yes":  "guard",
	} {
		output, err := runHelm("template", "qlik", chart, "--values="+valuesFile("guard"), "--set", set)
		if err == nil || !bytes.Contains(output, []byte(want)) {
			t.Errorf("%s: %v\n%s", set, err, output)
		}
	}
}

// commandFlag returns the flag of assets with the words that the pages show.
func commandFlag(t *testing.T, m *manifests) string {
	t.Helper()
	for line := range strings.Lines(m.configuration.Data["flags"]) {
		if words, found := strings.CutPrefix(line, "--web.command="); found {
			return "--command=" + strings.TrimSpace(words)
		}
	}
	t.Fatal("the flags have no --web.command")
	return ""
}

// The chart installs the same assets that the exporter writes with the same
// settings.
func TestAssets(t *testing.T) {
	t.Parallel()
	for variant, flags := range map[string][]string{
		"one-site":  nil,
		"openshift": {"--reached-severity=info"},
		"several-sites": {
			"--job=qlik-sense", "--reached-severity=warning",
			"--runbook-url=https://wiki.company.com/qlik", "--dashboard-url=https://grafana.company.com/",
			"--sessions-url=https://qlik.company.com/qlik/sessions/",
			"--many-users=20", "--many-share=8%", "--burst=5", "--runaway-growth=21", "--runaway-sessions=200", "--refusal-objective=99.9%",
		},
	} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			m := render(t, "--values="+valuesFile(variant))
			dir := t.TempDir()
			if output, err := exec.Command(exporter, slices.Concat([]string{"assets", "--several-sites", commandFlag(t, m)}, flags, []string{dir})...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			var rules monitoringv1.PrometheusRuleSpec
			if err := yaml.UnmarshalStrict(read(t, filepath.Join(dir, "qlik.rules.yml")), &rules); err != nil {
				t.Fatal(err)
			}
			if len(rules.Groups) == 0 || !reflect.DeepEqual(m.rules.Spec, rules) {
				t.Error("the rules differ from those of qlik_exporter assets")
			}
			for name, content := range m.dashboards {
				if content != string(read(t, filepath.Join(dir, "dashboards", name))) {
					t.Errorf("%s differs from that of qlik_exporter assets", name)
				}
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// An invalid value is rejected before the installation, with a message that names
// it.
func TestRefusedValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ set, want string }{
		{"sites=null", "sites is empty"},
		{"demo=true", "either demo or sites"},
		{"replica=2", "'replica'"},
		{"image.name=x", "'name'"},
		{"sites.production.settings.hosts={a}", "'hosts'"},
		{"sites.production.settings.cert_dir=/certs", "'cert_dir'"},
		{"sites.production.settings.session_limit=0", "session_limit"},
		{"sites.production.settings.timeout=10", "timeout"},
		{"sites.production.settings.user_labels=hashed", "userLabelsKey"},
		{"sites.production.settings.host=null", "host"},
		{"sites.production.certificatesSecret=null", "certificatesSecret"},
		{"sites.a b.certificatesSecret=x", "a b"},
		{"log.level=verbose", "level"},
		{"web.configSecret=Not_A_Name", "configSecret"},
		{"desk.enabled=true", "desk.secret"},
		{"desk.roles=x", "'roles'"},
		{"desk.journal.size=much", "size"},
		{"serviceMonitor.scheme=tcp", "scheme"},
		{"prometheusRule.reachedSeverity=page", "reachedSeverity"},
		{"prometheusRule.thresholds.manyShare=5", "manyShare"},
		{"prometheusRule.thresholds.manyUser=5", "manyUser"},
		{"dashboards.grafanaURL=grafana", "grafanaURL"},
		{"dashboards.sessionsURL=sessions", "sessionsURL"},
		{"networkPolicy.qlikPorts={http}", "qlikPorts"},
	} {
		output, err := runHelm("template", "qlik", chart, "--values="+valuesFile("one-site"), "--set", test.set)
		if err == nil {
			t.Errorf("%s: was accepted", test.set)
		} else if !bytes.Contains(output, []byte(test.want)) {
			t.Errorf("%s: the message lacks %q:\n%s", test.set, test.want, output)
		}
	}
}
