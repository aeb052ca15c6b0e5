package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestLogFile checks who writes the log file and who only checks it.
func TestLogFile(t *testing.T) {
	_, siteFlags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}})
	dir := t.TempDir()
	path := filepath.Join(dir, "qlik_exporter.log")
	execute := func(args ...string) (status int, output string) {
		t.Helper()
		var out bytes.Buffer
		status = run(t.Context(), args, &out, &out)
		return status, out.String()
	}
	untouched := func() {
		t.Helper()
		if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
			t.Errorf("the folder of the log has the files %v (%v)", files, err)
		}
	}

	t.Run("an error at the start", func(t *testing.T) {
		status, output := execute(slices.Concat(siteFlags, []string{"--log.file=" + path, "--web.listen-address=192.0.2.1:1"})...)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if last := `level=error msg="qlik_exporter ends" err="--web.listen-address: `; status != 1 || !strings.Contains(string(content), last) {
			t.Errorf("exit status %d, want %s in\n%s\nand not only in\n%s", status, last, content, output)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("commands", func(t *testing.T) {
		before := flagsFile
		t.Cleanup(func() { flagsFile = before })
		file := filepath.Join(t.TempDir(), "flags")
		flagsFile = func() string { return file }
		for _, test := range []struct {
			path  string
			words string
		}{{path, ""}, {filepath.Join(dir, "logs", "qlik_exporter.log"), "--log.file (@" + file + ", line "}} {
			if err := os.WriteFile(file, []byte(strings.Join(append(siteFlags, "--log.file="+test.path), "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"check"}, {"--config.check", "@" + file}} {
				if status, output := execute(args...); status == 0 != (test.words == "") || !strings.Contains(output, test.words) {
					t.Errorf("%s: exit status %d, want %q\n%s", args, status, test.words, output)
				}
			}
			if status, output := execute("sessions"); status != 0 {
				t.Errorf("sessions: exit status %d\n%s", status, output)
			}
			untouched()
		}
	})
	t.Run("the file of another setting", func(t *testing.T) {
		key := filepath.Join(strings.TrimPrefix(siteFlags[0], "--qlik.cert-dir="), "client_key.pem")
		link := filepath.Join(t.TempDir(), "link.log")
		if err := os.Symlink(key, link); err != nil {
			t.Skip(err)
		}
		for _, test := range [][2]string{
			{"--qlik.key-passphrase-file=" + key, link},
			{"--desk.journal-file=" + path, filepath.Join(dir, ".", "x", "..", "qlik_exporter.log")},
		} {
			name, _, _ := strings.Cut(test[0], "=")
			status, output := execute(slices.Concat(siteFlags, []string{"--config.check", "--guard=dry-run", test[0], "--log.file=" + test[1]})...)
			if want := "--log.file: " + test[1] + ": is also the file of " + name; status != 1 || !strings.Contains(output, want) {
				t.Errorf("exit status %d, want %q in\n%s", status, want, output)
			}
		}
		untouched()
	})
	t.Run("not a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "other.log")
		link := filepath.Join(t.TempDir(), "link.log")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, link); err != nil {
			t.Skip(err)
		}
		for path, want := range map[string]string{
			"-":           "- is not a file; standard error has the log without this flag",
			dir:           dir + " is not a file",
			link:          link + " is a symbolic link",
			link + ".new": "", // does not exist yet
		} {
			status, output := execute(slices.Concat(siteFlags, []string{"--config.check", "--log.file=" + path})...)
			if status == 0 != (want == "") || want != "" && !strings.Contains(output, "--log.file: "+want) {
				t.Errorf("%s: exit status %d, want %q in\n%s", path, status, want, output)
			}
		}
		untouched()
	})
}
