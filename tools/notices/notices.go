package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Package is a package of another module that is linked into the program.
type Package struct {
	Module    string
	ModuleDir string
	Dir       string // ModuleDir or a folder below it
}

// Text is a license, a notice or a patent grant.
type Text struct {
	Content string
	// Files are the files with this content, as MODULE: NAME. They have no
	// versions, so that an update of a module changes nothing here unless the
	// text changes.
	Files []string
}

// Systems and Processors are the operating systems and architectures of a
// release.
var (
	Systems    = []string{"linux", "windows", "darwin"}
	Processors = []string{"amd64", "arm64"}
)

// Go's other modules have exactly the same license as the standard library. The
// program reads it from such a module, because some Linux distributions leave it
// out of GOROOT.
const (
	standardLibrary = "Go standard library"
	goModule        = "golang.org/x/sys"
)

// Linked returns the packages that are linked into the program in the folder
// root.
func Linked(root string, systems []string) ([]Package, error) {
	found := make(map[Package]bool)
	for _, system := range systems {
		for _, processor := range Processors {
			var output, problem bytes.Buffer
			list := exec.Command("go", "list", "-deps", "-f", //nolint:noctx // never canceled
				`{{with .Module}}{{if not .Main}}{{.Path}}{{"\t"}}{{.Dir}}{{"\t"}}{{$.Dir}}{{end}}{{end}}`, ".")
			list.Dir = root
			list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+processor, "CGO_ENABLED=0")
			list.Stdout, list.Stderr = &output, &problem
			if err := list.Run(); err != nil {
				return nil, fmt.Errorf("go list for %s/%s: %w: %s", system, processor, err, problem.Bytes())
			}
			for line := range strings.Lines(output.String()) {
				fields := strings.Split(strings.TrimSpace(line), "\t")
				if len(fields) != 3 {
					return nil, fmt.Errorf("go list for %s/%s: no package in %q", system, processor, line)
				}
				found[Package{Module: fields[0], ModuleDir: fields[1], Dir: fields[2]}] = true
			}
		}
	}
	return slices.Collect(maps.Keys(found)), nil
}

// Texts returns the licenses of packages. It reads the files in the folder of
// each package and in its parent folders up to the module root. Code that a
// module has copied from elsewhere has its license in its own folder.
func Texts(packages []Package) ([]Text, error) {
	names := make(map[string][]string) // file names by content
	modules, withFile := make(map[string]bool), make(map[string]bool)
	read := make(map[string]bool)
	for _, p := range packages {
		modules[p.Module] = true
		for dir := p.Dir; !read[dir]; dir = filepath.Dir(dir) {
			read[dir] = true
			files, err := legalFiles(dir)
			if err != nil {
				return nil, err
			}
			for _, file := range files {
				content, err := readText(filepath.Join(dir, file))
				if err != nil {
					return nil, err
				}
				relative, err := filepath.Rel(p.ModuleDir, filepath.Join(dir, file))
				if err != nil {
					return nil, err
				}
				names[content] = append(names[content], p.Module+": "+filepath.ToSlash(relative))
				withFile[p.Module] = true
				if p.Module == goModule {
					names[content] = append(names[content], standardLibrary+": "+file)
				}
			}
			if dir == p.ModuleDir {
				break
			}
		}
	}
	modules[goModule] = true
	for _, module := range slices.Sorted(maps.Keys(modules)) {
		if !withFile[module] {
			return nil, fmt.Errorf("%s: no license found", module)
		}
	}
	var texts []Text
	for content, files := range names {
		slices.Sort(files)
		texts = append(texts, Text{Content: content, Files: files})
	}
	slices.SortFunc(texts, func(a, b Text) int { return slices.Compare(a.Files, b.Files) })
	return texts, nil
}

// legalName matches the file names of licenses, notices and patent grants.
var legalName = regexp.MustCompile(`(?i)^((?:un)?licen[cs]e|copying|copyright|notice|patents)([._-]|$)`)

// legalFiles returns the files of a folder with such names, except source code.
func legalFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if name := entry.Name(); !entry.IsDir() && legalName.MatchString(name) && filepath.Ext(name) != ".go" {
			names = append(names, name)
		}
	}
	return names, nil
}

// readText reads a file and removes carriage returns and surrounding empty lines,
// which differ between otherwise identical files.
func readText(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return strings.Trim(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n"), nil
}

// Format returns the document: each text, preceded by the files that contain it.
func Format(texts []Text) string {
	var all strings.Builder
	all.WriteString(`qlik_exporter contains third-party software. Its licenses and notices follow, each
below the modules and files that contain it. "make notices" writes this document.
`)
	for _, text := range texts {
		fmt.Fprintf(&all, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(text.Files, "\n"), text.Content)
	}
	return all.String()
}
