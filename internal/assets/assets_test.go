package assets

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// contents returns the files of a folder without the manifest.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == manifestName {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[filepath.ToSlash(name)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// version returns the files of a release.
func version(content string) map[string][]byte {
	return map[string][]byte{"rules.yml": []byte(content), "templates/a.tmpl": []byte("template " + content)}
}

// TestWrite upgrades a folder while somebody edits a file in it.
func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	rules := filepath.Join(dir, "rules.yml")
	kept := []Edited{{rules, rules + ".new"}}
	for _, step := range []struct {
		about  string
		before func()
		write  string
		edited []Edited
		want   map[string]string
	}{
		{"first", nil, "1\n", nil, map[string]string{"rules.yml": "1\n", "templates/a.tmpl": "template 1\n"}},
		{"again", nil, "1\n", nil, map[string]string{"rules.yml": "1\n", "templates/a.tmpl": "template 1\n"}},
		{"upgrade", nil, "2\n", nil, map[string]string{"rules.yml": "2\n", "templates/a.tmpl": "template 2\n"}},
		{"edited", func() { put(t, rules, "2, changed\n") }, "2\n", kept, map[string]string{"rules.yml": "2, changed\n", "rules.yml.new": "2\n", "templates/a.tmpl": "template 2\n"}},
		{"upgrade beside an edit", nil, "3\n", kept, map[string]string{"rules.yml": "2, changed\n", "rules.yml.new": "3\n", "templates/a.tmpl": "template 3\n"}},
		{"the new one is edited, too", func() { put(t, rules+".new", "3, changed\n") }, "4\n", []Edited{{rules, rules + ".new.new"}}, map[string]string{"rules.yml": "2, changed\n", "rules.yml.new": "3, changed\n", "rules.yml.new.new": "4\n", "templates/a.tmpl": "template 4\n"}},
		{
			"the new one is accepted",
			func() {
				if err := os.Rename(rules+".new.new", rules); err != nil {
					t.Fatal(err)
				}
			},
			"5\n", nil,
			map[string]string{"rules.yml": "5\n", "rules.yml.new": "3, changed\n", "templates/a.tmpl": "template 5\n"},
		},
		{"the old one comes back", func() { put(t, rules, "2\n") }, "5\n", nil, map[string]string{"rules.yml": "5\n", "rules.yml.new": "3, changed\n", "templates/a.tmpl": "template 5\n"}},
		{
			"a new one is beside a file without an edit",
			func() { put(t, rules+".new", "4\n") },
			"5\n", nil,
			map[string]string{"rules.yml": "5\n", "templates/a.tmpl": "template 5\n"},
		},
		{"Git has converted line ends", func() { put(t, rules, "\ufeff5\r\n") }, "6\n", nil, map[string]string{"rules.yml": "6\n", "templates/a.tmpl": "template 6\n"}},
		{
			"deleted",
			func() {
				if err := os.Remove(rules); err != nil {
					t.Fatal(err)
				}
			},
			"6\n", nil,
			map[string]string{"rules.yml": "6\n", "templates/a.tmpl": "template 6\n"},
		},
		{
			"without a manifest, everything else looks edited",
			func() {
				if err := os.Remove(filepath.Join(dir, manifestName)); err != nil {
					t.Fatal(err)
				}
			},
			"7\n",
			[]Edited{{rules, rules + ".new"}, {filepath.Join(dir, "templates", "a.tmpl"), filepath.Join(dir, "templates", "a.tmpl.new")}},
			map[string]string{"rules.yml": "6\n", "rules.yml.new": "7\n", "templates/a.tmpl": "template 6\n", "templates/a.tmpl.new": "template 7\n"},
		},
	} {
		if step.before != nil {
			step.before()
		}
		edited, err := Write(dir, version(step.write))
		if err != nil || !reflect.DeepEqual(edited, step.edited) {
			t.Errorf("%s: edited %q, %v, want %q", step.about, edited, err, step.edited)
		}
		if got := contents(t, dir); !maps.Equal(got, step.want) {
			t.Errorf("%s: got %q, want %q", step.about, got, step.want)
		}
	}
}

// TestWriteInterrupted checks that no file looks edited if an earlier run ended after
// the manifest, or between two files.
func TestWriteInterrupted(t *testing.T) {
	dir := t.TempDir()
	if _, err := Write(dir, version("1")); err != nil {
		t.Fatal(err)
	}
	known, err := readManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := known.add(dir, version("2")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "rules.yml"), "2")
	put(t, filepath.Join(dir, ".rules.yml.K7.tmp"), "half")
	edited, err := Write(dir, version("3"))
	if want := map[string]string{"rules.yml": "3", "templates/a.tmpl": "template 3"}; err != nil || len(edited) > 0 || !maps.Equal(contents(t, dir), want) {
		t.Errorf("edited %q, %v, got %q, want %q", edited, err, contents(t, dir), want)
	}
}

// TestWriteFails checks that an error names the file, and that nothing is written if
// the program can tell before.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "templates", "a.tmpl")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Write(dir, version("1"))
	if want := "read " + folder + ": is a folder, not a file"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got := contents(t, dir); len(got) > 0 {
		t.Errorf("written: %q", got)
	}
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "")
	if _, err := Write(file, version("1")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file instead of the folder: %v", err)
	}
}

// TestWriteBesideLargeFile checks that a file that is too large to compare counts as
// edited.
func TestWriteBesideLargeFile(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.yml")
	put(t, rules, strings.Repeat("#", 2<<20))
	edited, err := Write(dir, version("1"))
	if want := []Edited{{rules, rules + ".new"}}; err != nil || !reflect.DeepEqual(edited, want) {
		t.Errorf("edited %q, %v, want %q", edited, err, want)
	}
}

func TestManifestIsReadable(t *testing.T) {
	dir := t.TempDir()
	if _, err := Write(dir, version("1")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, manifestName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) != 4 || !strings.HasSuffix(lines[2], "  rules.yml") || !strings.HasSuffix(lines[3], "  templates/a.tmpl") {
		t.Errorf("got %q", lines)
	}
	// A tool for text has converted it, and somebody has damaged a line.
	slices.Reverse(lines)
	put(t, path, "\ufeff"+strings.Join(lines, "\r\n")+"\r\nnonsense\r\n")
	if edited, err := Write(dir, version("2")); err != nil || len(edited) > 0 {
		t.Errorf("edited %q, %v", edited, err)
	}
}
