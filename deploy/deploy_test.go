// Package deploy tests the files in this folder, as far as that requires only Go.
// kubernetes/check tests the chart with Helm.
package deploy

import (
	"bytes"
	"encoding/xml"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const repository = ".."

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// readYAML reads a file, which must contain only keys that into has.
func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, file)))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// service is a service in compose.yaml, with all fields that can refer to
// something.
type service struct {
	Build       string
	Image       string
	Command     []string
	Ports       []string
	Volumes     []string
	DependsOn   []string `yaml:"depends_on"`
	Environment map[string]string

	ReadOnly    bool     `yaml:"read_only"`
	Tmpfs       []string `yaml:"tmpfs"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
}

// ports are the default ports of the services.
var ports = map[string]string{"exporter": "9986", "prometheus": "9090", "alertmanager": "9093", "grafana": "3000"}

func services(t *testing.T) map[string]service {
	t.Helper()
	var file struct{ Services map[string]service }
	readYAML(t, "compose/compose.yaml", &file)
	return file.Services
}

// host returns the path on the host for a path in the service's container, or ""
// if nothing is mounted there.
func (s *service) host(inContainer string) string {
	for _, volume := range s.Volumes {
		parts := strings.Split(volume, ":")
		if rest, below := strings.CutPrefix(inContainer, parts[1]); below && (rest == "" || rest[0] == '/') {
			return filepath.Join("compose", parts[0], filepath.FromSlash(rest))
		}
	}
	return ""
}

func TestCompose(t *testing.T) {
	t.Parallel()
	all := services(t)
	if got, want := slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(ports)); !slices.Equal(got, want) {
		t.Fatalf("the services are %q, want %q", got, want)
	}
	for name, s := range all {
		// Only this machine may reach the services, because they have no
		// passwords.
		if want := []string{net.JoinHostPort("127.0.0.1", ports[name]) + ":" + ports[name]}; !slices.Equal(s.Ports, want) {
			t.Errorf("%s publishes %q, want %q", name, s.Ports, want)
		}
		for _, other := range s.DependsOn {
			if _, there := all[other]; !there {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
		for _, volume := range s.Volumes {
			parts := strings.Split(volume, ":")
			if len(parts) != 3 || parts[2] != "ro" || !path.IsAbs(parts[1]) {
				t.Errorf("%s mounts %s: use SOURCE:TARGET:ro", name, volume)
				continue
			}
			// If the source is missing, Docker creates an empty folder.
			if _, err := os.Stat(s.host(parts[1])); err != nil {
				t.Errorf("%s mounts %s: %v", name, parts[0], err)
			}
		}
		if s.Build != "" {
			if _, err := os.Stat(filepath.Join("compose", s.Build, "Dockerfile")); err != nil {
				t.Errorf("%s is built: %v", name, err)
			}
		} else if tag := path.Base(s.Image); !strings.Contains(tag, ":v") && !strings.Contains(tag, ":1") {
			t.Errorf("%s uses %s, which has no version", name, s.Image)
		}
	}
	for name, file := range map[string]string{
		"prometheus":   "/etc/prometheus/prometheus.yml",
		"alertmanager": "/etc/alertmanager/alertmanager.yml",
		"grafana":      all["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"],
	} {
		if s := all[name]; !isFile(s.host(file)) {
			t.Errorf("%s reads %s, but nothing is mounted there", name, file)
		}
	}
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// address checks that a service listens at an address.
func address(t *testing.T, who, address string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil || ports[host] != port {
		t.Errorf("%s uses %s, but no service listens there", who, address)
	}
}

type targets []struct {
	Targets []string
	Labels  map[string]string
}

func TestPrometheus(t *testing.T) {
	t.Parallel()
	var config struct {
		Global    map[string]string
		RuleFiles []string `yaml:"rule_files"`
		Alerting  struct {
			Alertmanagers []struct {
				Static targets `yaml:"static_configs"`
			}
		}
		Scrape []struct {
			Job    string  `yaml:"job_name"`
			Static targets `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	const file = "compose/prometheus.yml"
	readYAML(t, file, &config)
	if len(config.RuleFiles) != 1 || len(config.Alerting.Alertmanagers) != 1 || len(config.Scrape) != 1 {
		t.Fatalf("unexpected: %+v", config)
	}
	if config.Scrape[0].Job != "qlik" {
		t.Errorf("the job is %s, but rules and dashboards use qlik", config.Scrape[0].Job)
	}
	for _, asked := range []targets{config.Alerting.Alertmanagers[0].Static, config.Scrape[0].Static} {
		if len(asked) != 1 || len(asked[0].Targets) != 1 {
			t.Fatalf("%s uses %v, want one of each", file, asked)
		}
		address(t, file, asked[0].Targets[0])
	}
	prometheus := services(t)["prometheus"]
	rules := prometheus.host(config.RuleFiles[0])
	if !isFile(rules) {
		t.Fatalf("%s reads %s, but nothing is mounted there", file, config.RuleFiles[0])
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not in PATH (Debian: package prometheus), so the configuration was not checked")
	}
	// The configuration with the paths of this machine.
	adjusted := filepath.Join(t.TempDir(), "prometheus.yml")
	absolute, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.ReplaceAll(read(t, file), []byte(config.RuleFiles[0]), []byte(absolute))
	if err := os.WriteFile(adjusted, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(promtool, "check", "config", adjusted).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// The demo has the routes and inhibitions of the example, but notifies nobody.
func TestAlertmanager(t *testing.T) {
	t.Parallel()
	type config struct {
		Global, Route map[string]any
		Templates     []string
		InhibitRules  []any `yaml:"inhibit_rules"`
		TimeIntervals []any `yaml:"time_intervals"`
		Receivers     []map[string]any
	}
	var demo, example config
	readYAML(t, "compose/alertmanager.yml", &demo)
	readYAML(t, filepath.Join(repository, "alerts", "alertmanager.yml"), &example)
	if !reflect.DeepEqual(demo.Route, example.Route) {
		t.Errorf("route is\n%v\nwant that of the example,\n%v", demo.Route, example.Route)
	}
	if !reflect.DeepEqual(demo.InhibitRules, example.InhibitRules) {
		t.Errorf("inhibit_rules are\n%v\nwant those of the example,\n%v", demo.InhibitRules, example.InhibitRules)
	}
	if !reflect.DeepEqual(demo.TimeIntervals, example.TimeIntervals) {
		t.Errorf("time_intervals are\n%v\nwant those of the example,\n%v", demo.TimeIntervals, example.TimeIntervals)
	}
	var want []map[string]any
	for _, receiver := range example.Receivers {
		want = append(want, map[string]any{"name": receiver["name"]})
	}
	if !reflect.DeepEqual(demo.Receivers, want) {
		t.Errorf("receivers are %v, want %v", demo.Receivers, want)
	}
}

func TestGrafana(t *testing.T) {
	t.Parallel()
	grafana := services(t)["grafana"]
	found := 0
	for _, kind := range []string{"datasources", "dashboards"} {
		dir := grafana.host("/etc/grafana/provisioning/" + kind)
		files, err := filepath.Glob(filepath.Join(dir, "*.yml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("Grafana finds no %s in %q: %v", kind, dir, err)
		}
		for _, file := range files {
			var config struct {
				Datasources []struct{ URL string }
				Providers   []struct{ Options struct{ Path string } }
			}
			if err := yaml.Unmarshal(read(t, file), &config); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for _, source := range config.Datasources {
				at, err := url.Parse(source.URL)
				if err != nil {
					t.Fatal(err)
				}
				address(t, file, at.Host)
				found++
			}
			for _, provider := range config.Providers {
				if boards, err := filepath.Glob(filepath.Join(grafana.host(provider.Options.Path), "*.json")); len(boards) < 4 || err != nil {
					t.Errorf("%s: %s has the dashboards %q: %v", file, provider.Options.Path, boards, err)
				}
				found++
			}
		}
	}
	if found != 2 {
		t.Errorf("Grafana has %d data sources and folders, want one of each", found)
	}
}

// Helm cannot read files outside the chart, so the chart has copies.
func TestChartFiles(t *testing.T) {
	t.Parallel()
	originals := []string{filepath.Join(repository, "alerts", "qlik.rules.yml")}
	boards, err := filepath.Glob(filepath.Join(repository, "dashboards", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	originals = append(originals, boards...)
	const dir = "kubernetes/qlik-exporter/files"
	copies, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(copies) != len(originals) {
		t.Errorf("%s has %d files, want %d; make chart copies them", dir, len(copies), len(originals))
	}
	for _, original := range originals {
		content, err := os.ReadFile(filepath.Join(dir, filepath.Base(original)))
		if err != nil || !bytes.Equal(content, read(t, original)) {
			t.Errorf("%s in the chart is not %s; make chart copies it (%v)", filepath.Base(original), original, err)
		}
	}
}

// letThrough returns the patterns that .dockerignore includes.
func letThrough(t *testing.T) []string {
	t.Helper()
	var let []string
	for line := range strings.Lines(string(read(t, filepath.Join(repository, ".dockerignore")))) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "!"); found {
			let = append(let, name)
		}
	}
	return let
}

// Every delivery of the program contains its license and the licenses of linked
// code.
func TestLicenses(t *testing.T) {
	t.Parallel()
	var release struct {
		Archives []struct{ Files []string }
		Images   []struct {
			Files []string `yaml:"extra_files"`
		} `yaml:"dockers_v2"`
	}
	if err := yaml.Unmarshal(read(t, filepath.Join(repository, ".goreleaser.yaml")), &release); err != nil {
		t.Fatal(err)
	}
	var nfpm struct {
		Contents []struct{ Src, Dst string }
	}
	if err := yaml.Unmarshal(read(t, "nfpm.yaml"), &nfpm); err != nil {
		t.Fatal(err)
	}
	var wxs struct {
		Files []struct {
			Source string `xml:"Source,attr"`
		} `xml:"Product>Directory>Directory>Directory>Component>File"`
	}
	if err := xml.Unmarshal(read(t, "windows/qlik_exporter.wxs"), &wxs); err != nil {
		t.Fatal(err)
	}
	if len(release.Archives) != 1 || len(release.Images) != 1 {
		t.Fatalf("unexpected: %+v", release)
	}
	delivered := map[string][]string{
		"the archives (.goreleaser.yaml)":             release.Archives[0].Files,
		"the context of the image (.goreleaser.yaml)": release.Images[0].Files,
		"the context of the image (.dockerignore)":    letThrough(t),
	}
	for _, content := range nfpm.Contents {
		if strings.HasPrefix(content.Dst, "/usr/share/doc/qlik-exporter/") {
			delivered["deb and rpm (nfpm.yaml)"] = append(delivered["deb and rpm (nfpm.yaml)"], content.Src)
		}
	}
	for _, file := range wxs.Files {
		delivered["the MSI (qlik_exporter.wxs)"] = append(delivered["the MSI (qlik_exporter.wxs)"], file.Source)
	}
	for line := range strings.Lines(string(read(t, filepath.Join(repository, "Dockerfile")))) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == "COPY" && words[len(words)-1] == "/" {
			delivered["the image (Dockerfile)"] = append(delivered["the image (Dockerfile)"], words[1:len(words)-1]...)
		}
	}
	if len(delivered) != 6 {
		t.Errorf("some of them contain no files: %v", delivered)
	}
	for _, name := range []string{"LICENSE", "THIRD_PARTY_NOTICES"} {
		if !isFile(filepath.Join(repository, name)) {
			t.Errorf("%s is not there", name)
		}
		for where, files := range delivered {
			if !slices.Contains(files, name) {
				t.Errorf("%s is missing in %s, which contains %q", name, where, files)
			}
		}
	}
}

// .dockerignore must include everything that the image build needs: all packages
// of the program and their embedded files.
func TestDockerignore(t *testing.T) {
	t.Parallel()
	let := letThrough(t)
	list := exec.Command("go", "list", "-deps", "-f",
		`{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`, ".")
	list.Dir = repository
	output, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(output))
	if len(files) < 20 {
		t.Fatalf("the program has only %d files: %q", len(files), files)
	}
	for _, file := range files {
		name, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		top, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		if !slices.ContainsFunc(let, func(pattern string) bool {
			matches, _ := path.Match(pattern, top)
			return matches
		}) {
			t.Errorf("%s is needed, but .dockerignore excludes it", name)
		}
	}
}

// TestArchives compares the archives of packages.sh, which anyone can build, with those of a
// release, which goreleaser builds.
func TestArchives(t *testing.T) {
	t.Parallel()
	var release struct {
		Project string `yaml:"project_name"`
		Builds  []struct {
			Systems []string `yaml:"goos"`
			Arches  []string `yaml:"goarch"`
		}
		Archives []struct {
			Name  string `yaml:"name_template"`
			Files []string
		}
		Checksum struct {
			Name string `yaml:"name_template"`
		}
	}
	if err := yaml.Unmarshal(read(t, filepath.Join(repository, ".goreleaser.yaml")), &release); err != nil {
		t.Fatal(err)
	}
	if len(release.Builds) != 1 || len(release.Archives) != 1 {
		t.Fatalf("unexpected: %+v", release)
	}
	build, archive := release.Builds[0], release.Archives[0]
	name := strings.NewReplacer("{{ .ProjectName }}", release.Project, "{{ .Version }}", "$version", "{{ .Os }}", "$1", "{{ .Arch }}", "$2").Replace(archive.Name)
	// packages.sh names files of one folder together.
	files := strings.ReplaceAll(strings.Join(archive.Files, " "), "deploy/systemd/qlik_exporter.service deploy/systemd/flags", "deploy/systemd/{flags,qlik_exporter.service}")
	script := string(read(t, "packages.sh"))
	for _, line := range []string{
		"local name=" + name + "\n",
		"cp --parents " + files + " \"$folder\"\n",
		"for arch in " + strings.Join(build.Arches, " ") + "; do\n  for system in " + strings.Join(build.Systems, " ") + "; do\n",
		">" + release.Checksum.Name + ")\n",
	} {
		if !strings.Contains(script, line) {
			t.Errorf("packages.sh does not contain %q, as .goreleaser.yaml", line)
		}
	}
}

// TestPublished checks that a release publishes the chart and the image where the documentation
// and the chart expect them.
func TestPublished(t *testing.T) {
	t.Parallel()
	var release struct {
		Images []struct{ Images, Tags []string } `yaml:"dockers_v2"`
	}
	if err := yaml.Unmarshal(read(t, filepath.Join(repository, ".goreleaser.yaml")), &release); err != nil {
		t.Fatal(err)
	}
	var values struct {
		Image struct{ Registry, Repository string }
	}
	if err := yaml.Unmarshal(read(t, "kubernetes/qlik-exporter/values.yaml"), &values); err != nil {
		t.Fatal(err)
	}
	if want := []string{values.Image.Registry + "/" + values.Image.Repository}; len(release.Images) != 1 || !slices.Equal(release.Images[0].Images, want) {
		t.Errorf("a release publishes the images %+v, the chart installs %s", release.Images, want)
	}
	var chart struct{ Name string }
	if err := yaml.Unmarshal(read(t, "kubernetes/qlik-exporter/Chart.yaml"), &chart); err != nil {
		t.Fatal(err)
	}
	push := regexp.MustCompile(`(?m)helm push \S+ (oci://\S+)$`).FindSubmatch(read(t, filepath.Join(repository, ".github", "workflows", "release.yml")))
	if push == nil {
		t.Fatal("a release does not publish the chart")
	}
	address := string(push[1]) + "/" + chart.Name
	for _, page := range []string{"docs/installation.md", "deploy/README.md", "deploy/kubernetes/qlik-exporter/README.md"} {
		named := regexp.MustCompile("oci://[^\\s`]+").FindAllString(string(read(t, filepath.Join(repository, page))), -1)
		if len(named) == 0 || slices.ContainsFunc(named, func(other string) bool { return other != address }) {
			t.Errorf("%s names the charts %q, a release publishes %s", page, named, address)
		}
	}
}
