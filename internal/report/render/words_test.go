package render_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// verb matches what package fmt replaces, with the number of its argument.
var verb = regexp.MustCompile(`%(?:\[(\d+)\])?[sd]`)

// arguments returns the arguments that a sentence uses.
func arguments(sentence string) []string {
	var used []string
	for i, found := range verb.FindAllStringSubmatch(sentence, -1) {
		number := found[1]
		if number == "" {
			number = strconv.Itoa(i + 1)
		}
		used = append(used, number)
	}
	slices.Sort(used)
	return slices.Compact(used)
}

// TestLanguages checks that each sentence is there in all languages, uses the same arguments
// in each, and is not left in English.
func TestLanguages(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sentences := 0
	files := token.NewFileSet()
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			said, format := literals(call)
			if len(said) != 3 {
				return true
			}
			sentences++
			english := said[0]
			for _, other := range said[1:] {
				if strings.TrimSpace(other) == "" {
					t.Errorf("%s: %q is missing in a language", files.Position(call.Pos()), english)
				}
				if other == english && strings.Count(verb.ReplaceAllString(english, ""), " ") > 2 {
					t.Errorf("%s: %q is not translated", files.Position(call.Pos()), english)
				}
				if format && !slices.Equal(arguments(english), arguments(other)) {
					t.Errorf("%s: %q and %q use different arguments", files.Position(call.Pos()), english, other)
				}
			}
			if used := arguments(english); format && len(used) != len(call.Args)-3 {
				t.Errorf("%s: %q has %d arguments", files.Position(call.Pos()), english, len(call.Args)-3)
			}
			return true
		})
	}
	if sentences < 100 {
		t.Errorf("found only %d sentences", sentences)
	}
}

// literals returns the sentences of a call of say or in, and whether they have arguments.
func literals(call *ast.CallExpr) (said []string, format bool) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || method.Sel.Name != "say" && method.Sel.Name != "in" || len(call.Args) < 3 {
		return nil, false
	}
	for _, argument := range call.Args[:3] {
		literal, ok := argument.(*ast.BasicLit)
		if !ok {
			return nil, false
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			return nil, false
		}
		said = append(said, text)
	}
	return said, method.Sel.Name == "say"
}
