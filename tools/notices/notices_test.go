package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	repository = "../.."
	notices    = repository + "/THIRD_PARTY_NOTICES"
)

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// lookAtSources opens all folders of the repository. go test reuses a cached
// result unless a file that the test itself opened has changed. Files that go
// list reads do not count.
func lookAtSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(repository, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && slices.Contains([]string{".git", "dist", "node_modules"}, entry.Name()) {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNotices checks that THIRD_PARTY_NOTICES contains the texts of the linked
// modules.
func TestNotices(t *testing.T) {
	lookAtSources(t)
	systems := Systems
	if runtime.GOOS != "linux" {
		// Linux links all modules, so every machine that builds for Linux has
		// them. On other systems, some modules may be missing.
		systems = []string{runtime.GOOS}
	}
	packages, err := Linked(repository, systems)
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 30 {
		t.Fatalf("only %d packages are linked: %v", len(packages), packages)
	}
	texts, err := Texts(packages)
	if err != nil {
		t.Fatal(err)
	}
	content := read(t, notices)
	wanted := make(map[string]bool)
	for _, text := range texts {
		for _, file := range text.Files {
			wanted[file] = true
			if !strings.Contains(content, "\n"+file+"\n") {
				t.Errorf("%s is missing; make notices adds it", file)
			}
		}
		if !strings.Contains(content, "\n"+text.Content+"\n") {
			t.Errorf("%s has different text now; make notices updates it", text.Files)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	for _, heading := range regexp.MustCompile(`(?m)^={80}\n((?:.+\n)+)`).FindAllStringSubmatch(content, -1) {
		for file := range strings.Lines(heading[1]) {
			if file = strings.TrimSpace(file); !wanted[file] {
				t.Errorf("%s does not belong to a linked module; make notices removes it", file)
			}
		}
	}
	if !t.Failed() && content != Format(texts) {
		t.Error("the document differs from the output of make notices")
	}
}

// TestGo checks that the license used for the standard library is its license.
func TestGo(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "LICENSE")
	content, err := os.ReadFile(original)
	if err != nil {
		t.Skip("this Go installation has no LICENSE file")
	}
	license := regexp.MustCompile(`(?s)\n` + standardLibrary + `: LICENSE\n.*?\n\n(.*?)\n\n={80}\n`).FindStringSubmatch(read(t, notices))
	if len(license) != 2 || license[1] != strings.TrimSpace(string(content)) {
		t.Errorf("%s differs from the text here: %q", original, license)
	}
}

// TestBuilds checks that Systems and Processors match those of a release.
func TestBuilds(t *testing.T) {
	var release struct {
		Builds []struct{ Goos, Goarch []string }
	}
	if err := yaml.Unmarshal([]byte(read(t, repository+"/.goreleaser.yaml")), &release); err != nil {
		t.Fatal(err)
	}
	if len(release.Builds) != 1 || !slices.Equal(release.Builds[0].Goos, Systems) || !slices.Equal(release.Builds[0].Goarch, Processors) {
		t.Errorf("%v, want those of .goreleaser.yaml: %v", []any{Systems, Processors}, release.Builds)
	}
}

// write creates a file and its folders.
func write(t *testing.T, content string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTexts(t *testing.T) {
	dir := t.TempDir()
	packages := []Package{
		{Module: "b", ModuleDir: filepath.Join(dir, "b"), Dir: filepath.Join(dir, "b", "part", "linked")},
		{Module: "b", ModuleDir: filepath.Join(dir, "b"), Dir: filepath.Join(dir, "b", "part")},
		{Module: "a", ModuleDir: filepath.Join(dir, "a"), Dir: filepath.Join(dir, "a")},
		{Module: goModule, ModuleDir: filepath.Join(dir, "sys"), Dir: filepath.Join(dir, "sys")},
	}
	write(t, "Go's", dir, "sys", "LICENSE")
	write(t, "one\ntwo\n", dir, "a", "LICENSE")
	write(t, "\r\none\r\ntwo", dir, "b", "COPYING") // the same
	write(t, "libyaml's", dir, "b", "part", "LICENSE.libyaml")
	write(t, "taken over", dir, "b", "part", "linked", "NOTICE")
	write(t, "of what is not linked", dir, "b", "part", "other", "LICENSE")
	write(t, "package b", dir, "b", "license.go")
	write(t, "read me", dir, "b", "README")
	write(t, "a folder", dir, "b", "licenses", "text")
	write(t, "above", dir, "LICENSE")

	got, err := Texts(packages)
	if err != nil {
		t.Fatal(err)
	}
	want := []Text{
		{Content: "Go's", Files: []string{standardLibrary + ": LICENSE", goModule + ": LICENSE"}},
		{Content: "one\ntwo", Files: []string{"a: LICENSE", "b: COPYING"}},
		{Content: "libyaml's", Files: []string{"b: part/LICENSE.libyaml"}},
		{Content: "taken over", Files: []string{"b: part/linked/NOTICE"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}

	t.Run("a module without license", func(t *testing.T) {
		write(t, "package c", dir, "c", "c.go")
		_, err := Texts(append(packages, Package{Module: "c", ModuleDir: filepath.Join(dir, "c"), Dir: filepath.Join(dir, "c")}))
		if err == nil || !strings.Contains(err.Error(), "c: no license found") {
			t.Error(err)
		}
	})
	t.Run("nothing has the license of Go", func(t *testing.T) {
		_, err := Texts(packages[:3])
		if err == nil || !strings.Contains(err.Error(), goModule) {
			t.Error(err)
		}
	})
}
