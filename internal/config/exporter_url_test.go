package config

import (
	"path/filepath"
	"testing"

	"github.com/alecthomas/kingpin/v2"
)

// TestExporterURL checks where a command looks for the exporter on this machine.
func TestExporterURL(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		return "--web.config.file=" + write(t, filepath.Join(dir, name), content)
	}
	passwords := file("passwords.yml", "basic_auth_users: {}\n")
	tls := file("tls.yml", "\ufefftls_server_config: {cert_file: a.pem, key_file: b.pem}\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "http://localhost:9986"},
		{[]string{"--web.listen-address=0.0.0.0:1", passwords}, "http://localhost:1"},
		{[]string{"--web.listen-address=[::]:1", tls}, "https://localhost:1"},
		{[]string{"--web.listen-address=[::1]:1"}, "http://[::1]:1"},
		{[]string{"--web.listen-address=vsock://:1", "--web.listen-address=10.0.0.1:2"}, "http://10.0.0.1:2"},
		{[]string{"--web.config.file=" + filepath.Join(dir, "unreadable")}, "https://localhost:9986"},
		{[]string{"--web.listen-address=localhost:0"}, ""},
	} {
		app := kingpin.New("qlik_exporter", "")
		app.Command("serve", "").Default()
		flags := Register(app)
		flags.skipWeb = true // the certificates do not exist
		if _, err := flags.Parse(test.args); err != nil {
			t.Fatal(err)
		}
		got := ""
		if at := flags.ExporterURL(); at != nil {
			got = at.String()
		}
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.args, got, test.want)
		}
	}
}
