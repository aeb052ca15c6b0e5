package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPrintedCommand checks that commands start with what starts this program: the name if
// the shell finds it, and the argument files, unless commands use the file by themselves.
func TestPrintedCommand(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	typed := os.Args[0]
	t.Cleanup(func() { os.Args[0] = typed })
	const usual = "/etc/qlik_exporter/flags"
	for _, test := range []struct {
		typed          string
		args           []string
		command, serve string
	}{
		{"qlik_exporter", nil, "qlik_exporter", "qlik_exporter"},
		{"qlik_exporter", []string{"@" + usual}, "qlik_exporter", "qlik_exporter"},
		{"qlik_exporter", []string{"why", "@site.flags", "anna"}, "qlik_exporter @site.flags", "qlik_exporter @" + filepath.Join(folder, "site.flags")},
		{"qlik_exporter", []string{"@a b"}, `qlik_exporter "@a b"`, "qlik_exporter"},
		{"qlik_exporter", []string{"--qlik.host=qlik1"}, "qlik_exporter", "qlik_exporter"},
		{"./qlik_exporter", []string{"--qlik.host=qlik1"}, "./qlik_exporter", "qlik_exporter"},
		{"./qlik_exporter", []string{"@site.flags"}, "./qlik_exporter @site.flags", ""},
		{"/tmp/go-build1/exe/qlik_exporter", nil, "go run .", "qlik_exporter"},
	} {
		os.Args[0] = test.typed
		if got := CommandWith(test.args, usual); got != test.command {
			t.Errorf("%s %q: commands start with %q, want %q", test.typed, test.args, got, test.command)
		}
		want := test.serve
		if want == "" { // the test itself
			own, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			want = own + " @" + filepath.Join(folder, "site.flags")
		}
		if got := ServedCommand(test.args, usual); got != want {
			t.Errorf("%s %q: commands on pages start with %q, want %q", test.typed, test.args, got, want)
		}
	}
}
