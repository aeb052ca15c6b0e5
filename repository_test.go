package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestGitHubFilesNameWhatIsThere checks that the files and headings in .github exist.
// TestDocumentsNameWhatIsThere checks everything else in these files.
func TestGitHubFilesNameWhatIsThere(t *testing.T) {
	all := documents(t)
	texts := maps.Clone(all)
	maps.DeleteFunc(texts, func(name, _ string) bool { return !strings.HasPrefix(name, ".github/") })
	everyMatch(t, texts, "(?m)(?:^|[\\s`])((?:\\.ci|deploy|docs|tools)/[\\w./-]*\\w|\\.?\\w+\\.(?:md|yaml))\\b", 10, func(_, name string) string {
		if _, err := os.Stat(name); err != nil {
			return "is not there"
		}
		return ""
	})
	everyMatch(t, texts, `qlik_exporter/blob/main/([\w./-]+(?:#[\w-]+)?)`, 3, func(_, link string) string {
		name, heading, _ := strings.Cut(link, "#")
		if _, err := os.Stat(name); err != nil {
			return "does not exist"
		}
		if heading != "" && !slices.Contains(anchors(all[name]), heading) {
			return "leads to no heading"
		}
		return ""
	})
}

// readAs reads a YAML file and rejects keys that into does not have.
func readAs(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// folderOfForms contains one form for each kind of issue, and config.yml.
const folderOfForms = ".github/ISSUE_TEMPLATE"

type issueForm struct {
	Name, Description string
	Labels            []string
	Body              []formElement
}

type formElement struct {
	Type, ID    string
	Attributes  map[string]any
	Validations map[string]bool
}

// attributes lists the attributes of each type of element in
// https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/syntax-for-githubs-form-schema
var attributes = map[string]struct{ needed, allowed []string }{
	"markdown":   {needed: []string{"value"}},
	"input":      {needed: []string{"label"}, allowed: []string{"description", "placeholder", "value"}},
	"textarea":   {needed: []string{"label"}, allowed: []string{"description", "placeholder", "value", "render"}},
	"dropdown":   {needed: []string{"label", "options"}, allowed: []string{"description", "multiple", "default"}},
	"checkboxes": {needed: []string{"label", "options"}, allowed: []string{"description"}},
}

// problem returns the reason why GitHub would reject an element, or "".
func (e *formElement) problem() string {
	known, found := attributes[e.Type]
	if !found {
		return "unknown type " + e.Type
	}
	for _, name := range known.needed {
		if e.Attributes[name] == nil {
			return "no attribute " + name
		}
	}
	for name := range e.Attributes {
		if !slices.Contains(slices.Concat(known.needed, known.allowed), name) {
			return "unknown attribute " + name
		}
	}
	for name := range e.Validations {
		if name != "required" || e.Type == "markdown" || e.Type == "checkboxes" {
			return "unknown validation " + name
		}
	}
	if e.Type == "markdown" {
		if e.ID != "" {
			return "text has no id"
		}
		return ""
	}
	if !regexp.MustCompile(`^[\w-]+$`).MatchString(e.ID) {
		return fmt.Sprintf("the id is %q", e.ID)
	}
	if !slices.Contains(known.needed, "options") {
		return ""
	}
	options, _ := e.Attributes["options"].([]any)
	seen := make(map[string]bool)
	for _, option := range options {
		label, isText := option.(string)
		if box, isBox := option.(map[string]any); isBox {
			label, _ = box["label"].(string)
		}
		if label == "" || isText != (e.Type == "dropdown") || seen[label] {
			return fmt.Sprintf("the option %v", option)
		}
		seen[label] = true
	}
	if len(options) == 0 {
		return "no options"
	}
	return ""
}

// TestIssueForms checks that GitHub would show the forms. It does not show a form with
// an error.
func TestIssueForms(t *testing.T) {
	files, err := filepath.Glob(folderOfForms + "/*.yml")
	if err != nil || len(files) != 4 {
		t.Fatalf("%q, %v", files, err)
	}
	names := make(map[string]bool)
	for _, file := range files {
		if filepath.Base(file) == "config.yml" {
			var config struct {
				Blank    bool                                `yaml:"blank_issues_enabled"`
				Contacts []struct{ Name, URL, About string } `yaml:"contact_links"`
			}
			readAs(t, file, &config)
			if config.Blank || len(config.Contacts) != 1 || config.Contacts[0].Name == "" || config.Contacts[0].About == "" || path.Base(config.Contacts[0].URL) != "SECURITY.md" {
				t.Errorf("%s: %+v", file, config)
			}
			continue
		}
		var form issueForm
		readAs(t, file, &form)
		if form.Name == "" || form.Description == "" || names[form.Name] {
			t.Errorf("%s: the name is %q, the description %q", file, form.Name, form.Description)
		}
		names[form.Name] = true
		ids := make(map[string]bool)
		for i, element := range form.Body {
			if problem := element.problem(); problem != "" {
				t.Errorf("%s: element %d: %s", file, i+1, problem)
			}
			if element.ID != "" && ids[element.ID] {
				t.Errorf("%s: element %d: the id %s is there twice", file, i+1, element.ID)
			}
			ids[element.ID] = true
		}
		delete(ids, "")
		if len(ids) == 0 {
			t.Errorf("%s asks for nothing", file)
		}
	}
}

// TestOpenQuestions checks that the form for facts offers the questions of
// docs/qlik.md.
func TestOpenQuestions(t *testing.T) {
	_, section, found := strings.Cut(documents(t)["docs/qlik.md"], "\n## Open questions\n")
	if !found {
		t.Fatal("docs/qlik.md has no open questions")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var asked []string
	for _, match := range regexp.MustCompile(`(?m)^(\d+)\. `).FindAllStringSubmatch(section, -1) {
		asked = append(asked, match[1])
	}
	var form issueForm
	readAs(t, folderOfForms+"/site_facts.yml", &form)
	var offered []string
	for _, element := range form.Body {
		if element.ID != "question" {
			continue
		}
		options, _ := element.Attributes["options"].([]any)
		for _, option := range options {
			if number, _, found := strings.Cut(fmt.Sprint(option), ": "); found {
				offered = append(offered, number)
			}
		}
	}
	if len(asked) == 0 || !slices.Equal(asked, offered) {
		t.Errorf("docs/qlik.md asks %q, the form offers %q", asked, offered)
	}
}

// TestWorkflows checks that workflows pin their actions, declare their permissions,
// have a timeout, and use the Go version of go.mod.
func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob(".github/workflows/*.yml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%q, %v", files, err)
	}
	module, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(module))
	if version == nil {
		t.Fatal("go.mod names no Go")
	}
	pinned := regexp.MustCompile(`^[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var workflow struct {
			Permissions *map[string]string
			Jobs        map[string]struct {
				Timeout int `yaml:"timeout-minutes"`
				Steps   []struct {
					With map[string]string
				}
			}
		}
		if err := yaml.Unmarshal(content, &workflow); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if workflow.Permissions == nil {
			t.Errorf("%s does not say what it may do", file)
		}
		setUp := 0
		for name, job := range workflow.Jobs {
			if job.Timeout == 0 || len(job.Steps) == 0 {
				t.Errorf("%s: %s has %d steps and %d minutes", file, name, len(job.Steps), job.Timeout)
			}
			for _, step := range job.Steps {
				for _, input := range []string{"go-version", "go-version-input"} {
					if got, found := step.With[input]; found {
						setUp++
						if got != version[1] {
							t.Errorf("%s: %s has Go %s, and go.mod %s", file, name, got, version[1])
						}
					}
				}
			}
		}
		if setUp == 0 {
			t.Errorf("%s has no Go", file)
		}
		for _, used := range regexp.MustCompile(`(?m)^.*\buses: *(.*)$`).FindAllStringSubmatch(string(content), -1) {
			if !pinned.MatchString(used[1]) {
				t.Errorf("%s uses %s: pin it to a commit, with its tag in a comment", file, used[1])
			}
		}
	}
}

// TestDependabot checks that Dependabot covers every Go module, and that its folders
// exist.
func TestDependabot(t *testing.T) {
	var modules []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && slices.Contains([]string{".git", "node_modules", "dist"}, entry.Name()) {
			return fs.SkipDir
		}
		if err == nil && entry.Name() == "go.mod" {
			modules = append(modules, path.Join("/", filepath.ToSlash(filepath.Dir(name))))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(modules)
	var config struct {
		Version int
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
			Schedule    struct{ Interval string }
			Groups      map[string]struct{ Patterns []string }
		}
	}
	readAs(t, ".github/dependabot.yml", &config)
	if config.Version != 2 || len(config.Updates) != 3 {
		t.Fatalf("%+v", config)
	}
	for _, update := range config.Updates {
		if update.Schedule.Interval != "weekly" || len(update.Groups) != 1 {
			t.Errorf("%s: %+v", update.Ecosystem, update)
		}
		switch update.Ecosystem {
		case "gomod":
			if !slices.Equal(update.Directories, modules) {
				t.Errorf("modules are looked for in\n%q, and are in\n%q", update.Directories, modules)
			}
		case "docker-compose":
			if _, err := os.Stat(filepath.Join(".", update.Directory, "compose.yaml")); err != nil {
				t.Error(err)
			}
		case "github-actions":
			if update.Directory != "/" {
				t.Errorf("workflows are looked for in %s", update.Directory)
			}
		default:
			t.Errorf("unknown: %s", update.Ecosystem)
		}
	}
}
