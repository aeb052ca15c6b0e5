package main

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/qlik-exporter/qlik_exporter/"

// walls lists the packages that must not import certain others. A name includes the
// packages below it.
var walls = map[string][]string{
	"qlik":                   {"github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", "log/slog", module + "collector", module + "internal", module + "qlik/headroom"},
	"qlik/headroom":          {"github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", "log/slog", module + "collector", module + "internal", "net", "os", "sync", "context", "math/rand"},
	"qlik/auditlog":          {"github.com/prometheus", "github.com/alecthomas", module + "collector", module + "internal"},
	"qlik/textfile":          {"github.com"},
	"internal/assets":        {"github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", "net", module + "alerts", module + "dashboards", module + "collector"},
	"collector":              {"net/http", "github.com/alecthomas", module + "internal"},
	"internal/site":          {"net/http", "github.com/prometheus", "github.com/alecthomas", module + "internal"},
	"internal/sessions":      {"net/http", "github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", module + "collector", module + "internal/page", module + "internal/site"},
	"internal/ending":        {"net", "os", "github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", module + "collector", module + "internal/site", module + "internal/page", module + "internal/cli"},
	"internal/journal":       {"net", "github.com/prometheus", "github.com/alecthomas", module + "collector", module + "internal/config", module + "internal/cli", module + "internal/server", module + "internal/page", module + "qlik"},
	"internal/guard":         {"net", "os", "github.com/prometheus", "github.com/alecthomas", module + "internal/config", module + "internal/site", module + "internal/sites", module + "internal/page", module + "internal/cli", module + "internal/server", module + "internal/desk"},
	"internal/desk":          {"github.com/alecthomas", module + "collector", module + "internal/site", module + "internal/sites", module + "internal/server", module + "internal/cli"},
	"internal/licenses":      {"net", "os", "github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", module + "collector", module + "internal"},
	"internal/page":          {"github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", module + "internal/site", module + "internal/config", module + "internal/cli", module + "internal/server"},
	"internal/check":         {"github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", module + "internal/config"},
	"internal/facts":         {"github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", module + "collector", module + "internal"},
	"internal/server":        {"github.com/alecthomas", module + "collector", module + "internal", module + "qlik"},
	"internal/exporter":      {"github.com/alecthomas", "github.com/go-kit", module + "collector", module + "internal/config", module + "internal/page", module + "internal/server", module + "internal/site"},
	"internal/alertmanager":  {"github.com/alecthomas", "github.com/go-kit", module + "collector", module + "alerts", module + "internal/config", module + "internal/cli"},
	"internal/report":        {"github.com/alecthomas", "github.com/go-kit", module + "collector", module + "alerts", module + "internal/config", module + "internal/cli", module + "internal/site", module + "internal/sites", module + "internal/page"},
	"internal/sites":         {"github.com/alecthomas", "net/http"},
	"internal/demo":          {"github.com/alecthomas", "github.com/prometheus"},
	"internal/config":        {"github.com/prometheus/client_golang", "github.com/go-kit", module + "internal/server", module + "internal/sites", module + "internal/cli", module + "internal/page"},
	"internal/cli":           {"net/http", "github.com/prometheus", module + "internal/server", module + "internal/sites", module + "internal/page"},
	"internal/report/render": {"net", "os", "github.com/prometheus", "github.com/alecthomas", "github.com/go-kit", module + "collector", module + "internal/config", module + "internal/site"},
	"internal/text":          {"github.com"},
}

// TestWalls checks that dependencies point in one direction, main -> internal ->
// collector -> qlik, and that each package imports only what it may.
func TestWalls(t *testing.T) {
	for folder, forbidden := range walls {
		for _, path := range sources(t, folder) {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range file.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if slices.ContainsFunc(forbidden, func(name string) bool { return imported == name || strings.HasPrefix(imported, name+"/") }) {
					t.Errorf("%s imports %s", path, imported)
				}
			}
		}
	}
}

// flagName matches a flag as it is written for people.
var flagName = regexp.MustCompile(`--[a-z]+(?:[.-][a-z]+)+`)

// TestFlagsAreNamedByTheirOwner checks that packages with a configuration of their own
// do not name flags, which belong to internal/config. They refer to the fields of the
// configuration, and metric help describes in words what a flag sets.
func TestFlagsAreNamedByTheirOwner(t *testing.T) {
	for _, folder := range []string{"qlik", "qlik/headroom", "collector", "internal/site", "internal/sessions", "internal/text"} {
		for _, path := range sources(t, folder) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for at, text := range stringsAndComments(content) {
				if name := flagName.FindString(text); name != "" {
					t.Errorf("%s:%d names %s", path, at, name)
				}
			}
		}
	}
}

// sources returns the files of a package, without its tests.
func sources(t *testing.T, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return strings.HasSuffix(path, "_test.go") })
	if len(paths) == 0 {
		t.Fatalf("%s has no files", folder)
	}
	return paths
}

// stringsAndComments returns the literals and comments of a file by line.
func stringsAndComments(content []byte) map[int]string {
	found := make(map[int]string)
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(content))
	var s scanner.Scanner
	s.Init(file, content, nil, scanner.ScanComments)
	for {
		at, kind, text := s.Scan()
		switch kind {
		case token.EOF:
			return found
		case token.STRING, token.COMMENT:
			found[file.Line(at)] += text
		default: // code
		}
	}
}

// canEnd lists the packages through which sessions end. Package qlik only defines the
// request.
var canEnd = []string{module + "internal/desk", module + "internal/guard", module + "internal/ending", module + "internal/journal", module + "internal/cli", module + "internal/serve"}

// TestExporterPortEndsNothing checks that nothing which the port of the exporter serves can
// reach the request that ends a session: neither its packages nor anything that they import
// mention it, and only the files of the desk and of the journal pass on something that can
// end sessions.
func TestExporterPortEndsNothing(t *testing.T) {
	seen := make(map[string]bool)
	var visit func(folder string)
	visit = func(folder string) {
		if seen[folder] {
			return
		}
		seen[folder] = true
		for _, path := range sources(t, folder) {
			file := parse(t, path)
			if folder != "qlik" {
				mentionsNoEnd(t, path, file)
			}
			for _, spec := range file.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if slices.Contains(canEnd, imported) {
					t.Errorf("%s imports %s", path, imported)
				} else if within, ok := strings.CutPrefix(imported, module); ok {
					visit(within)
				}
			}
		}
	}
	visit("internal/server")
	visit("internal/page")
	if !seen["qlik"] || !seen["internal/sessions"] {
		t.Errorf("only %v were seen", seen)
	}
	for _, path := range sources(t, "internal/serve") {
		if name := filepath.Base(path); strings.HasPrefix(name, "desk") || name == "journal.go" {
			continue
		}
		file := parse(t, path)
		mentionsNoEnd(t, path, file)
		for _, spec := range file.Imports {
			if imported, _ := strconv.Unquote(spec.Path.Value); imported != module+"internal/cli" && imported != module+"internal/desk" && slices.Contains(canEnd, imported) {
				t.Errorf("%s imports %s", path, imported)
			}
		}
		ast.Inspect(file, func(node ast.Node) bool {
			selector, _ := node.(*ast.SelectorExpr)
			if selector == nil {
				return true
			}
			of, _ := selector.X.(*ast.Ident)
			switch name := selector.Sel.Name; {
			case of == nil:
			case of.Name == "site" && name != "Exporter" && name != "Page":
				t.Errorf("%s: site.%s can end sessions", path, name)
			case of.Name == "desk" && name != "Check":
				t.Errorf("%s: desk.%s belongs into a file of the desk", path, name)
			}
			return true
		})
	}
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// mentionsNoEnd checks that code can neither call nor require what ends sessions. Package
// reflect and templates call methods by their names.
func mentionsNoEnd(t *testing.T, path string, file *ast.File) {
	t.Helper()
	forbidden := []string{"EndSession", "MethodDelete", "deskSites"}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.Ident:
			if slices.Contains(forbidden, node.Name) {
				t.Errorf("%s mentions %s", path, node.Name)
			}
		case *ast.BasicLit:
			if node.Kind == token.STRING && (strings.Contains(node.Value, "EndSession") || strings.Contains(node.Value, http.MethodDelete)) {
				t.Errorf("%s mentions %s", path, node.Value)
			}
		}
		return true
	})
}
