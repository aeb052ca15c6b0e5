package config

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	file, err := load(write(t, filepath.Join(dir, "sites.yml"), `
sites:
  emea: &emea
    host: [qlik1.emea.example, qlik2.emea.example:14242]
    cert_dir: certificates/emea
    session_limit: 4
    cooling_time: 90s
    node_address: [qlik3.emea.example=10.0.0.3:14243]
    audit_log: ['qlik1.emea.example=logs/*_AuditSecurity_Repository.txt']
    collector: {services: false}
    guard: on
    guard_idle: 15m
    guard_virtual_proxy: [sales/, /hr]
  apac:
    <<: *emea
    host: [qlik1.apac.example]
    cert_dir: `+elsewhere+`
    guard: "off"
`))
	if err != nil {
		t.Fatal(err)
	}
	emea := Default()
	emea.Name = "emea"
	emea.Host = []string{"qlik1.emea.example", "qlik2.emea.example:14242"}
	emea.CertDir = filepath.Join(dir, "certificates", "emea")
	emea.SessionLimit = 4
	emea.CoolingTime = 90 * time.Second
	emea.NodeAddress = []NodeAddress{{"qlik3.emea.example", qlik.NodeAddress{Host: "10.0.0.3", Port: "14243"}}}
	emea.AuditLog = []AuditLog{{"qlik1.emea.example", filepath.Join(dir, "logs", "*_AuditSecurity_Repository.txt")}}
	for i := range emea.Collectors {
		emea.Collectors[i].Enabled = emea.Collectors[i].Enabled && emea.Collectors[i].Name != "services"
	}
	emea.Guard, emea.GuardIdle, emea.GuardVirtualProxy = GuardOn, 15*time.Minute, []string{"/sales", "/hr"}
	apac := emea
	apac.Guard = GuardOff // with the other settings of the guard
	apac.Name = "apac"
	apac.Host = []string{"qlik1.apac.example"}
	apac.CertDir = elsewhere
	if want := []Site{emea, apac}; !reflect.DeepEqual(file.Sites, want) {
		t.Errorf("got  %+v\nwant %+v", file.Sites, want)
	}
}

// TestLoadForms loads files as the tools of Windows write them.
func TestLoadForms(t *testing.T) {
	const text = "sites:\r\n  emea:\r\n    host: qlik1\r\n    cert_dir: c\r\n    service_account: [ACME/svc, 'ACME\\Käthe', \" ACME/robot \"]\r\n\r\n\r\n"
	for name, content := range map[string]string{
		"CRLF": text, "byte order mark": "\ufeff" + text, "UTF-16": utf16LE(text), "UTF-16 without a mark": utf16LE(text)[2:],
	} {
		file, err := load(write(t, filepath.Join(t.TempDir(), "sites.yml"), content))
		want := []qlik.User{qlik.NewUser("ACME", "svc"), qlik.NewUser("ACME", "Käthe"), qlik.NewUser("ACME", "robot")}
		if err != nil || !slices.Equal(file.Sites[0].ServiceAccount, want) {
			t.Errorf("%s: %v, got %+v", name, err, file)
		}
	}
}

// TestKeyForms reads the same key for hashing from files of different tools.
func TestKeyForms(t *testing.T) {
	const key = "sixteen bytes or more"
	for name, content := range map[string]string{
		"plain": key, "CRLF": key + "\r\n", "byte order mark": "\ufeff" + key + "\n", "UTF-16": utf16LE(key + "\r\n"),
	} {
		site := Default()
		site.UserLabelsKeyFile = write(t, filepath.Join(t.TempDir(), "key"), content)
		if labels, err := site.Labels(); err != nil || string(labels.Key) != key {
			t.Errorf("%s: got %q, %v", name, labels.Key, err)
		}
	}
}

// TestValues checks what does not belong to a value.
func TestValues(t *testing.T) {
	for text, want := range map[string]string{
		"qlik1": "qlik1", " qlik1\t": "qlik1", `"qlik1"`: "qlik1", "'qlik1' ": "qlik1", "“qlik1”": "qlik1", `" qlik1 "`: "qlik1", "\ufeffqlik1\r\n": "qlik1",
		`"`: `"`, `""`: "", `"a" "b"`: `"a" "b"`, `'a"`: `'a"`, "": "",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestDefaultCoolingTime checks that the default cooling time is five minutes.
func TestDefaultCoolingTime(t *testing.T) {
	const want = 5 * time.Minute
	site := Default()
	if run := site.Run(); site.CoolingTime != want || run.Headroom.CoolingTime != want {
		t.Errorf("by default: setting %s, in use %s, want %s", site.CoolingTime, run.Headroom.CoolingTime, want)
	}
	file, err := load(write(t, filepath.Join(t.TempDir(), "sites.yml"), "sites: {emea: {host: [qlik1], cert_dir: c}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Sites[0].CoolingTime; got != want {
		t.Errorf("in a file that does not set it: %s, want %s", got, want)
	}
}

// TestNamesAreHidden checks that neither /config nor the command line in a profile
// names users that the metrics do not name.
func TestNamesAreHidden(t *testing.T) {
	site := Default()
	site.Host = []string{"qlik1"}
	site.ServiceAccount = []qlik.User{qlik.NewUser("ACME", "robot")}
	site.UnlimitedUser = []qlik.User{qlik.NewUser("ACME", "anna"), qlik.NewUser("ACME", "bert")}
	site.ExcludeUser = []string{`ACME\\\\carl`}
	site.User = qlik.NewUser("ACME", "dora")
	const shown = `--user-labels=%s|--qlik.user=ACME\dora|--qlik.unlimited-user|ACME\anna|--qlik.unlimited-user=ACME\bert|--collector.sessions.exclude-user=ACME\\carl|--qlik.service-account=ACME\robot|--qlik.host=qlik1`
	for mode, hides := range map[string]bool{"plain": false, "hashed": true, "none": true} {
		site.UserLabels = mode
		config, err := Format([]Site{site})
		if err != nil {
			t.Fatal(err)
		}
		flags := &Flags{site: site}
		line := strings.Join(flags.CommandLine(strings.Split(fmt.Sprintf(shown, mode), "|")), "|")
		for where, text := range map[string]string{"/config": string(config), "command line": line} {
			for _, name := range []string{"anna", "bert", "carl", "dora"} {
				if strings.Contains(text, name) == hides {
					t.Errorf("%s, %s: %s is hidden: %t\n%s", mode, where, name, !hides, text)
				}
			}
			if !strings.Contains(text, "robot") || !strings.Contains(text, "qlik1") {
				t.Errorf("%s, %s: too much is hidden\n%s", mode, where, text)
			}
		}
	}
	site.User = Default().User
	if config, err := Format([]Site{site}); err != nil || !strings.Contains(string(config), `INTERNAL\sa_api`) {
		t.Errorf("the default is hidden: %s, %v", config, err)
	}
}

// TestFormatIsLoadable checks that the output of Format is a valid configuration.
func TestFormatIsLoadable(t *testing.T) {
	dir := t.TempDir()
	site := Default()
	site.Name = "emea"
	site.Host = []string{"qlik1"}
	site.CertDir = filepath.Join(dir, "certificates")
	site.ServiceAccount = []qlik.User{qlik.NewUser("ACME", "svc")}
	site.Guard, site.GuardVirtualProxy = GuardOn, []string{"/", "/sales"}
	content, err := Format([]Site{site})
	if err != nil {
		t.Fatal(err)
	}
	file, err := load(write(t, filepath.Join(dir, "sites.yml"), string(content)))
	if err != nil || !reflect.DeepEqual(file.Sites, []Site{site}) {
		t.Errorf("got %+v, %v of\n%s", file, err, content)
	}
}

func TestBadFile(t *testing.T) {
	const head = "sites:\n  emea:\n    host: [qlik1]\n    cert_dir: /etc/qlik\n"
	for _, test := range []struct{ content, want string }{
		{head + "    hots: [qlik1]\n", "5: sites.emea.hots: unknown key; the known keys are host, cert_dir,"},
		{head + "    host: [qlik2]\n", `5: mapping key "host" already defined at line 3`},
		{head + "  emea:\n    host: [qlik2]\n", `5: mapping key "emea" already defined at line 2`},
		{head + "    session_limit: 0\n", "5: sites.emea.session_limit: must be at least 1, not 0"},
		{head + "    session_limit: 1.5\n", `5: sites.emea.session_limit: must be a whole number, not "1.5"`},
		{head + "    session_limit: five\n", `5: sites.emea.session_limit: must be a whole number, not "five"`},
		{head + "    session_limit:\n", "5: sites.emea.session_limit: is empty; set a value, or remove the key"},
		{head + "    cooling_time: 5\n", `5: sites.emea.cooling_time: must be a duration such as 90s or 5m, not "5"`},
		{head + "    cooling_time: -5m\n", "5: sites.emea.cooling_time: must be longer than 0s, not -5m"},
		{head + "    timeout: 0s\n", "5: sites.emea.timeout: must be longer than 0s, not 0s"},
		{head + "    user: nobody\n", "5: sites.emea.user: nobody is not a user as DIRECTORY\\id: it has no directory; if a shell or systemd removed the backslash, write DIR/id"},
		{head + "    user: \"ACME\\nick\"\n", "5: sites.emea.user: ACME‹U+000A›ick is not a user as DIRECTORY\\id: it contains an invisible character"},
		{head + "    service_account: 'ACME\\a,ACME\\b'\n", "5: sites.emea.service_account: ACME\\a,ACME\\b: contains several values; repeat the flag"},
		{head + "    exclude_user: ACME\\svc\n", "5: sites.emea.exclude_user: ACME\\svc: matches no user, because it matches no backslash and no slash; write DIRECTORY/id"},
		{head + "    virtual_proxy: '/,/sales'\n", "5: sites.emea.virtual_proxy: /,/sales: contains several values"},
		{head + "    virtual_proxy: C:/Program Files/Git/sales\n", "5: sites.emea.virtual_proxy: C:/Program Files/Git/sales: is not the prefix of a virtual proxy"},
		{head + "    node_address: 'a=b,c=d'\n", "5: sites.emea.node_address: a=b,c=d: contains several values"},
		{head + "    audit_log: 'a=b.txt,c=d.txt'\n", "5: sites.emea.audit_log: a="},
		{head + "    key_passphrase_file: ~/passphrase\n", "5: sites.emea.key_passphrase_file: "},
		{head + "    key_passphrase_file: '%ProgramData%\\x'\n", "5: sites.emea.key_passphrase_file: "},
		{head + "    service_account: [svc]\n", "5: sites.emea.service_account: "},
		{head + "    service_account:\n      - ACME\\svc\n      - svc\n", "7: sites.emea.service_account: "},
		{head + "    unlimited_user: [[svc]]\n", "5: sites.emea.unlimited_user: must be a value, not a mapping or a list"},
		{head + "    unlimited_user: {svc: true}\n", "5: sites.emea.unlimited_user: must be a value, not a mapping or a list"},
		{head + "    server_name: [a]\n", "5: sites.emea.server_name: must be a single value, not a list"},
		{head + "    server_name: 'a:1'\n", `5: sites.emea.server_name: "a:1": must be a host name without a port`},
		{head + "    node_address: [qlik1]\n", `5: sites.emea.node_address: "qlik1": write NODE=HOST or NODE=HOST:PORT`},
		{head + "    node_address: [qlik1=a, QLIK1=b]\n", `5: sites.emea.node_address: QLIK1 is given twice`},
		{head + "    audit_log: [qlik1]\n", "5: sites.emea.audit_log: qlik1: must be NODE=GLOB"},
		{head + "    audit_log: [a=b, a=c]\n", "5: sites.emea.audit_log: a is given twice"},
		{head + "    audit_log: ['a=[']\n", "5: sites.emea.audit_log: "},
		{head + "    guard: true\n", `5: sites.emea.guard: must be one of off, dry-run, on, not "true"`},
		{head + "    guard: on\n", "2: sites.emea.guard_virtual_proxy: is missing; the guard ends sessions only on the virtual proxies that it names"},
		{head + "    guard: \"on\"\n    guard_virtual_proxy: []\n", "6: sites.emea.guard_virtual_proxy: is missing"},
		{head + "    guard_virtual_proxy: /sales\n", "5: sites.emea.guard_virtual_proxy: has no effect, because the guard is off"},
		{head + "    guard: dry-run\n    guard_idle: 1m\n", "6: sites.emea.guard_idle: must be at least 5m, not 1m"},
		{"sites:\n  emea:\n    proxy: qlik1\n    virtual_proxy: /\n    cert_dir: c\n    guard: dry-run\n", "6: sites.emea.guard: dry-run requires a host with a repository"},
		{"sites:\n  emea:\n    host: qlik1\n    cert_dir: c\n    guard: dry-run\n    collector:\n      licenses: false\n", "5: sites.emea.guard: dry-run requires the collector licenses"},
		{head + "    user_labels: hashed\n", "2: sites.emea.user_labels_key_file: is missing"},
		{head + "    user_labels: hashed\n    user_labels_key_file: nokey\n", "6: sites.emea.user_labels_key_file: open "},
		{head + "    collector: [licenses]\n", "5: sites.emea.collector: must be a mapping"},
		{head + "    collector: {license: false}\n", "5: sites.emea.collector.license: unknown key; the known keys are sessions, licenses, services, denials, certificates"},
		{head + "    collector.licenses: false\n", "5: sites.emea.collector.licenses: unknown key; the known keys are host, cert_dir,"},
		{head + "    collector:\n", "5: sites.emea.collector: is empty; add keys below it, or remove it"},
		{head + "    qlik.host: q\n", "5: sites.emea.qlik.host: unknown key; the known keys are host, cert_dir,"},
		{head + "    ~: q\n", `5: sites.emea: "~" is not a valid key`},
		{head + "  ~:\n    host: [qlik2]\n", `5: sites: "~" is not a valid key`},
		{head + "  null:\n    host: [qlik2]\n", `5: sites: "null" is not a valid key`},
		{head + "  apac:\n", "5: sites.apac: is empty; add keys below it"},
		{head + "  [a]: {}\n", "5: "},
		{head + "    virtual_proxy: [/, '']\n", "5: sites.emea.virtual_proxy: must not be empty"},
		{head + "    \"x\\ny\": 1\n", "5: sites.emea.x‹U+000A›y: unknown key"},
		{head + "    \"x\\e[31m\": 1\n", "5: sites.emea.x‹U+001B›[31m: unknown key"},
		{head + "    proxy: ['q,r']\n", "5: sites.emea.proxy: q,r: contains several values; repeat the flag, or give one value per line in the environment, or a list in a file"},
		{head + "    key_passphrase_file: \"C:\\Users\\foo\"\n", "5: did not find expected hexdecimal number; put text with a backslash in single quotes"},
		{head + "    user: \"INTERNAL\\sa_api\"\n", "5: found unknown escape character; put text with a backslash in single quotes"},
		{head + "    user: caf\xe9\n", " incomplete UTF-8 octet sequence; save the file as UTF-8"},
		{head + "    collector:\n      licenses:\n", "6: sites.emea.collector.licenses: is empty"},
		{head + "    collector: {licenses: maybe}\n", `5: sites.emea.collector.licenses: must be true or false, not "maybe"`},
		{"sites:\n  emea:\n    cert_dir: /etc/qlik\n", "2: sites.emea.host: is missing; set it to "},
		{"sites:\n  emea:\n    host: [qlik1]\n", "2: sites.emea.cert_dir: is missing; set it to "},
		{head + "  a b: {}\n", `5: sites: "a b" is not a valid site name; use letters`},
		{"site: {}\n", "1: site: unknown key; the only key at this level is sites"},
		{"", "1: sites: is missing"},
		{"# nothing\n", "1: sites: is missing"},
		{"sites:\n", "1: sites: is empty"},
		{"sites: {}\n", "1: sites: is empty"},
		{"sites: [emea]\n", "1: sites: must be a mapping"},
		{"sites: {emea: qlik1}\n", "1: sites.emea: must be a mapping"},
		{"- sites\n", "1: must be a mapping"},
		{head + "  apac: [\n", "5: did not find expected node content"},
		{head + "\thost: x\n", "4: found a tab character that violates indentation"},
		{head + "---\nsites: {}\n", " has a second document"},
	} {
		path := write(t, filepath.Join(t.TempDir(), "sites.yml"), test.content)
		_, err := load(path)
		if err == nil || !strings.HasPrefix(err.Error(), path+":"+test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\ngot  %v\nwant %s:%s", test.content, err, path, test.want)
		}
	}
	if _, err := load(filepath.Join(t.TempDir(), "none.yml")); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "--config.file: ") {
		t.Errorf("missing file: %v", err)
	}
}

// TestExplain checks that errors found after loading also contain the place.
func TestExplain(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "sites.yml"), "sites:\n  emea:\n    host: [qlik1]\n    cert_dir: c\n    exclude_user: [a/b]\n    collector:\n      licenses: false\n")
	c, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		":5: sites.emea.exclude_user: is broken":        &qlik.ConfigError{Field: "ExcludeUsers", Err: errors.New("is broken")},
		":2: sites.emea.key_passphrase_file: is broken": &Error{Flag: "qlik.key-passphrase-file", Err: errors.New("is broken")},
		":2: sites.emea: is broken":                     errors.New("is broken"),
	} {
		if got := c.Explain("emea", err).Error(); got != path+want {
			t.Errorf("got %s, want %s", got, path+want)
		}
	}
	for flag, want := range map[string]string{
		"qlik.cert-dir":         "sites.emea.cert_dir (" + path + ":4)",
		"no-collector.licenses": "sites.emea.collector.licenses (" + path + ":7)",
		"qlik.node-address":     "sites.emea.node_address (" + path + ":2)",
	} {
		if got := c.Name("emea", flag); got != want {
			t.Errorf("within a sentence: got %s, want %s", got, want)
		}
	}
}

func TestUseLocalNode(t *testing.T) {
	const name = "QlikNode1.acme.example"
	data := t.TempDir()
	sense := filepath.Join(data, "Qlik", "Sense")
	certificates := filepath.Join(sense, "Repository", "Exported Certificates", ".Local Certificates")
	logs := filepath.Join(sense, "Log", "Repository", "Audit")
	write(t, filepath.Join(sense, "Host.cfg"), "\ufeff"+base64.StdEncoding.EncodeToString([]byte(name))+"\r\n")
	write(t, filepath.Join(certificates, "client.pem"), "")
	write(t, filepath.Join(logs, name+"_AuditSecurity_Repository.txt"), "")
	log := AuditLog{name, filepath.Join(logs, "*_AuditSecurity_Repository.txt")}

	for _, test := range []struct {
		about       string
		given, want Site
		found       int
	}{
		{"nothing given", Site{}, Site{Host: []string{name}, CertDir: certificates, AuditLog: []AuditLog{log}, LocalLogs: filepath.Join(sense, "Log")}, 3},
		{
			"this node given",
			Site{Host: []string{"qliknode1.ACME.example:4242"}},
			Site{Host: []string{"qliknode1.ACME.example:4242"}, CertDir: certificates, AuditLog: []AuditLog{log}, LocalLogs: filepath.Join(sense, "Log")},
			2,
		},
		{"another node's log is not this one's", Site{Host: []string{"other"}, CertDir: "c"}, Site{Host: []string{"other"}, CertDir: "c"}, 0},
		{"proxies given", Site{Proxy: []string{"other"}}, Site{Proxy: []string{"other"}, CertDir: certificates}, 1},
	} {
		site := test.given
		if found := site.UseLocalNode(data); len(found) != test.found || !reflect.DeepEqual(site, test.want) {
			t.Errorf("%s: got %+v, %q, want %+v", test.about, site, found, test.want)
		}
		if again := site.UseLocalNode(data); len(again) != 0 {
			t.Errorf("%s: found again: %q", test.about, again)
		}
	}

	for _, broken := range []string{"", "!", base64.StdEncoding.EncodeToString([]byte("a b")), base64.StdEncoding.EncodeToString([]byte{0xff})} {
		write(t, filepath.Join(sense, "Host.cfg"), broken)
		site := Site{}
		if found := site.UseLocalNode(data); len(found) != 0 || len(site.Host) != 0 {
			t.Errorf("Host.cfg %q: got %q", broken, found)
		}
	}
	site := Site{}
	if found := site.UseLocalNode(""); found != nil {
		t.Errorf("elsewhere: %q", found)
	}
}

var update = flag.Bool("update", false, "update the table in docs/configuration.md")

// TestDocumentation checks that the example in the documentation is valid, and that
// the table contains every setting.
func TestDocumentation(t *testing.T) {
	const path = "../../docs/configuration.md"
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	_, example, _ := strings.Cut(text, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	file, err := load(write(t, filepath.Join(t.TempDir(), "sites.yml"), example))
	if err != nil || len(file.Sites) != 2 {
		t.Errorf("the example: %v", err)
	}

	before, rest, _ := strings.Cut(text, "<!-- settings -->\n")
	got, after, found := strings.Cut(rest, "<!-- end -->")
	if found && got == Reference() {
		return
	}
	if !*update || !found {
		t.Fatal("the table of settings is out of date; update it with go test ./internal/config -update")
	}
	if err := os.WriteFile(path, []byte(before+"<!-- settings -->\n"+Reference()+"<!-- end -->"+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzLoad checks that any file is either valid and can be formatted, or produces an
// error of one line.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"sites:\n  emea:\n    host: [qlik1]\n    cert_dir: c\n    session_limit: 4\n    cooling_time: 90s\n    collector: {services: false}\n",
		"sites: {a: &a {host: [x]}, b: {<<: *a, timeout: 5s}}\n", "sites: {a: {host: x, cert_dir: c, guard: off, guard_virtual_proxy: [/, sales/]}}\n", "sites: []\n", "- a\n", "sites:\n  a: {hots: 1}\n", "\t", "a: b: c", "%YAML 3\n---\n", "&a [*a]",
		"sites: {~: {host: [x]}, a: {~: 1}}", "sites: {a: {\"x\\ny\": 1, \"\\e[31m\": 2}}", "sites:\n  a: &x\n    <<: {host: [q], cert_dir: c}\n  b: *x\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "sites.yml")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := load(path)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") || !strings.Contains(err.Error(), path) {
				t.Errorf("%q: %v", content, err)
			}
			return
		}
		shown, err := Format(file.Sites)
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		again, err := load(write(t, filepath.Join(t.TempDir(), "sites.yml"), string(shown)))
		if err != nil {
			t.Fatalf("%q is shown as %q: %v", content, shown, err)
		}
		if !reflect.DeepEqual(again.Sites, file.Sites) {
			t.Errorf("%q is shown as %q", content, shown)
		}
	})
}
