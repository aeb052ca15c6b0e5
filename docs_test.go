package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kingpin/v2"
)

// documents returns all documents about the program, including the forms and
// workflows of GitHub.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "dist") {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" && !strings.HasPrefix(filepath.ToSlash(path), ".github/") {
			return err
		}
		content, err := os.ReadFile(path)
		texts[filepath.ToSlash(path)] = string(content)
		return err
	})
	if err != nil || len(texts) < 10 {
		t.Fatalf("%d documents, %v", len(texts), err)
	}
	return texts
}

// everyMatch calls check with each match of the first group of a pattern.
func everyMatch(t *testing.T, texts map[string]string, pattern string, atLeast int, check func(path, match string) string) {
	t.Helper()
	found := 0
	expression := regexp.MustCompile(pattern)
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		for _, match := range expression.FindAllStringSubmatch(texts[path], -1) {
			found++
			if problem := check(path, match[1]); problem != "" {
				t.Errorf("%s: %s %s", path, match[1], problem)
			}
		}
	}
	if found < atLeast {
		t.Errorf("%d matches of %s; is the pattern right?", found, pattern)
	}
}

// TestDocumentsNameWhatIsThere checks that the flags, commands, metrics, files,
// headings, and tests in the documents exist.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	texts := documents(t)
	app, _, _ := newApp(nil)
	flags, commands := make(map[string]bool), make(map[string]bool)
	var collect func(group *kingpin.FlagGroupModel, list *kingpin.CmdGroupModel)
	collect = func(group *kingpin.FlagGroupModel, list *kingpin.CmdGroupModel) {
		for _, flag := range group.Flags {
			flags[flag.Name] = true
			if flag.IsBoolFlag() {
				flags["no-"+flag.Name] = true
			}
		}
		for _, command := range list.Commands {
			commands[command.FullCommand] = true
			collect(command.FlagGroupModel, command.CmdGroupModel)
		}
	}
	collect(app.Model().FlagGroupModel, app.Model().CmdGroupModel)
	delete(texts, "CHANGELOG.md") // names things that no longer exist

	t.Run("flags", func(t *testing.T) {
		everyMatch(t, texts, `--((?:no-)?(?:qlik|user-labels|collector|config|web|log|timeout|audit-log|desk|guard|keep|all|idle-for|dry-run|yes|force|at-least|output|runbook-url|dashboard-url|sessions-url|reached-severity|days|service)(?:[.-][a-z-]+)*)\b`, 100,
			func(_, flag string) string {
				if flags[flag] || flag == "qlik" || flag == "no-collector" { // --qlik.*, --[no-]collector.NAME
					return ""
				}
				if flag == "web.systemd-socket" && runtime.GOOS != "linux" { // exporter-toolkit has it only on Linux
					return ""
				}
				return "is not a flag"
			})
	})
	t.Run("commands", func(t *testing.T) {
		everyMatch(t, texts, `(?m)(?:^ *|[`+"`$>\"]|C:.*\\\\"+`)qlik_exporter(?:\.exe)? ((?:serve|demo|check|sessions|assets|service|desk|help)?(?: (?:history|list|end|verify|install|start|stop|uninstall))?)(?:[^a-z]|$)`, 20,
			func(_, command string) string {
				if command == "" || command == "help" || commands[command] || slices.ContainsFunc(slices.Collect(maps.Keys(commands)), func(c string) bool { return strings.HasPrefix(c, command+" ") }) {
					return ""
				}
				return "is not a command"
			})
		everyMatch(t, texts, "`qlik_exporter(?:\\.exe)? ([a-z]+)", 20, func(_, word string) string {
			for command := range commands {
				if first, _, _ := strings.Cut(command, " "); first == word || word == "help" {
					return ""
				}
			}
			return "is not a command"
		})
	})
	t.Run("metrics", func(t *testing.T) {
		known := knownMetrics(t)
		everyMatch(t, texts, `\b((?:[a-z_]+:)?qlik_[a-z_]+(?::[a-z0-9_]+)?)\b`, 200, func(_, metric string) string {
			name := metric
			for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
				if base, found := strings.CutSuffix(name, suffix); found && known[base] {
					return ""
				}
			}
			// The name of the program, prefixes of names, and labels.
			if name == "qlik_exporter" || strings.HasPrefix(name, "qlik_exporter:") || strings.HasSuffix(name, "_") || name == "qlik_service" || name == "qlik_node" {
				return ""
			}
			return "is not a metric"
		})
	})
	t.Run("links", func(t *testing.T) {
		everyMatch(t, texts, `\]\(([^)\s]+)\)`, 50, func(path, link string) string {
			file, heading, _ := strings.Cut(link, "#")
			if strings.Contains(file, "://") {
				return ""
			}
			target := path
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(path), file))
			}
			if _, err := os.Stat(target); err != nil {
				return "does not exist"
			}
			if heading != "" && !slices.Contains(anchors(texts[target]), heading) {
				return "is not a heading"
			}
			return ""
		})
	})
	t.Run("targets of the Makefile", func(t *testing.T) {
		makefile, err := os.ReadFile("Makefile")
		if err != nil {
			t.Fatal(err)
		}
		everyMatch(t, texts, "(?m)(?:[`\"]|^ +|run: )make ([a-z]+)", 10, func(_, target string) string {
			if strings.Contains(string(makefile), "\n"+target+": ") {
				return ""
			}
			return "is not a target"
		})
	})
	t.Run("files", func(t *testing.T) {
		everyMatch(t, texts, "`((?:\\.ci|alerts|collector|dashboards|deploy|docs|e2e|internal|qlik|testdata|tools)/[\\w./-]+)`", 10, func(path, file string) string {
			for _, from := range []string{".", filepath.Dir(path)} {
				if _, err := os.Stat(filepath.Join(from, file)); err == nil {
					return ""
				}
			}
			return "does not exist"
		})
	})
	t.Run("tests", func(t *testing.T) {
		defined := testNames(t)
		everyMatch(t, texts, `\b((?:Test|Fuzz|Benchmark)[A-Z]\w+)\b`, 10, func(_, name string) string {
			if defined[name] {
				return ""
			}
			return "is not a test"
		})
	})
}

// knownMetrics returns the metrics that the exporter exports and the rules record.
func knownMetrics(t *testing.T) map[string]bool {
	t.Helper()
	known := make(map[string]bool)
	for path, pattern := range map[string]string{
		"collector/testdata/company.prom": `(?m)^# TYPE (\S+)`,
		"alerts/qlik.rules.yml":           `(?m)record: (\S+)`,
	} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(content), -1) {
			known[match[1]] = true
		}
	}
	for name := range everyMetric(t) {
		known[name] = true
	}
	return known
}

// anchors returns the URL fragments of the headings of a document.
func anchors(text string) []string {
	var all []string
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		anchor := strings.ToLower(match[1])
		anchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(anchor, "")
		all = append(all, strings.ReplaceAll(anchor, " ", "-"))
	}
	return all
}

// testNames returns the tests, fuzz targets, and benchmarks of all modules.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		for _, match := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)`).FindAllStringSubmatch(string(content), -1) {
			names[match[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
