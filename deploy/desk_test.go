package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/qlik-exporter/qlik_exporter/internal/desk"
)

// deskFlags are the flags of a complete desk. TestDesk checks that each package sets or
// suggests all of them.
var deskFlags = []string{"listen-address", "web.config.file", "roles-file", "journal-file", "stop-file"}

// flagsOfDesk returns the values of the flags of the desk in a file, also in comments.
func flagsOfDesk(t *testing.T, file string) map[string]string {
	t.Helper()
	flags := make(map[string]string)
	for _, match := range regexp.MustCompile(`(?m)^[# -]*--desk\.([a-z.-]+)=(.*?)\r?$`).FindAllStringSubmatch(string(read(t, file)), -1) {
		flags[match[1]] = match[2]
	}
	for _, name := range deskFlags {
		if flags[name] == "" {
			t.Errorf("%s has no --desk.%s", file, name)
		}
	}
	if len(flags) != len(deskFlags) {
		t.Errorf("%s has the flags %v of the desk", file, flags)
	}
	return flags
}

// lines returns the values of a setting in the systemd unit.
func lines(unit, setting string) []string {
	var values []string
	for line := range strings.Lines(unit) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), setting+"="); found {
			values = append(values, value)
		}
	}
	return values
}

// TestDesk checks that the journal of each package is in a folder that outlives the program
// and that the program can write to, and that the other files are where it can only read.
func TestDesk(t *testing.T) {
	t.Parallel()
	t.Run("systemd", func(t *testing.T) {
		t.Parallel()
		flags, unit := flagsOfDesk(t, "systemd/flags"), string(read(t, "systemd/qlik_exporter.service"))
		state := lines(unit, "StateDirectory")
		if len(state) != 1 || path.Dir(flags["journal-file"]) != path.Join("/var/lib", state[0]) {
			t.Errorf("the journal is %s, but the unit can write to %q", flags["journal-file"], state)
		}
		if got := lines(unit, "StateDirectoryMode"); !slices.Equal(got, []string{"0700"}) {
			t.Errorf("the folder of the journal has the modes %q", got)
		}
		for _, name := range []string{"web.config.file", "roles-file", "stop-file"} {
			if path.Dir(flags[name]) != "/etc/qlik_exporter" {
				t.Errorf("--desk.%s=%s is not among the settings", name, flags[name])
			}
		}
		var nfpm struct {
			Contents []struct {
				Src, Dst, Type string
			}
		}
		if err := yaml.Unmarshal(read(t, "nfpm.yaml"), &nfpm); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(nfpm.Contents, func(c struct{ Src, Dst, Type string }) bool { return c.Dst == flags["roles-file"] })
		if i < 0 || nfpm.Contents[i].Type != "config|noreplace" || !isFile(filepath.Join(repository, nfpm.Contents[i].Src)) {
			t.Errorf("the packages do not keep %s", flags["roles-file"])
		}
	})
	t.Run("windows", func(t *testing.T) {
		t.Parallel()
		flags := flagsOfDesk(t, "windows/flags.txt")
		if !strings.HasPrefix(flags["journal-file"], `C:\ProgramData\qlik_exporter\`) {
			t.Errorf("the journal is %s", flags["journal-file"])
		}
		for _, name := range []string{"web.config.file", "roles-file", "stop-file"} {
			if !strings.HasPrefix(flags[name], `C:\Program Files\qlik_exporter\`) {
				t.Errorf("--desk.%s=%s is not among the settings", name, flags[name])
			}
		}
	})
	t.Run("compose and chart", func(t *testing.T) {
		t.Parallel()
		flags := flagsOfDesk(t, "compose/desk.yaml")
		ofChart := flagsOfDesk(t, "kubernetes/qlik-exporter/templates/configmap.yaml")
		for _, name := range deskFlags {
			if flags[name] != ofChart[name] {
				t.Errorf("--desk.%s is %s for compose, %s in the chart", name, flags[name], ofChart[name])
			}
		}
		var file struct {
			Services map[string]service
			Volumes  map[string]any
		}
		readYAML(t, "compose/desk.yaml", &file)
		exporter := file.Services["exporter"]
		if len(file.Services) != 1 || !slices.Equal(exporter.Ports, []string{"127.0.0.1:9987:9987"}) || flags["listen-address"] != ":9987" {
			t.Errorf("desk.yaml publishes %q for %s", exporter.Ports, flags["listen-address"])
		}
		if len(exporter.Command) != 1+len(deskFlags) || exporter.Command[0] != services(t)["exporter"].Command[0] {
			t.Errorf("the command is %q", exporter.Command)
		}
		journal := path.Dir(flags["journal-file"])
		if _, named := file.Volumes["desk-journal"]; !named || !slices.Contains(exporter.Volumes, "desk-journal:"+journal) {
			t.Errorf("the journal is not in a volume: %q", exporter.Volumes)
		}
		// A new volume takes over the permissions of the folder in the image.
		if !regexp.MustCompile(`mkdir -m 1777 .*/root-of-image` + journal + `\n`).Match(read(t, filepath.Join(repository, "Dockerfile"))) {
			t.Errorf("the user of the image cannot write to %s", journal)
		}
	})
}

// TestGuard checks that each package suggests a dry run of the guard, and turns none on.
func TestGuard(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"systemd/flags", "windows/flags.txt", "compose/desk.yaml"} {
		modes := regexp.MustCompile(`(?m)^(.*)--guard=(.*?)\r?$`).FindAllStringSubmatch(string(read(t, file)), -1)
		if len(modes) != 1 || !strings.HasPrefix(strings.TrimSpace(modes[0][1]), "#") || modes[0][2] != "dry-run" {
			t.Errorf("%s has the guards %q", file, modes)
		}
	}
}

// TestExampleOfRoles checks that the desk accepts the file of roles once its comments are
// removed, and refuses it before.
func TestExampleOfRoles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	example := read(t, "systemd/roles.yml")
	for name, content := range map[string][]byte{
		"desk.crt":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		"desk.key":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"desk.yml":  []byte("tls_server_config: {cert_file: desk.crt, key_file: desk.key}\nbasic_auth_users: {kim: $2y$10$IhR/.0MlaPTbGvWVBsI8YOyPTC/rduaHbs5qmkm9omFHnW9vXmFJW}\n"),
		"commented": example,
		"roles.yml": regexp.MustCompile(`(?m)^#([a-z]+: \[)`).ReplaceAll(example, []byte("$1")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	web := filepath.Join(dir, "desk.yml")
	if err := desk.Check(web, filepath.Join(dir, "roles.yml")); err != nil {
		t.Error(err)
	}
	if err := desk.Check(web, filepath.Join(dir, "commented")); err == nil || !strings.Contains(err.Error(), "names nobody") {
		t.Errorf("the file that names nobody: %v", err)
	}
}
