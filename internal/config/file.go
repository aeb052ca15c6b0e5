package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file is a configuration file being read, and afterwards where in it each setting
// stands.
type file struct {
	path  string
	sites []Site
	lines map[string]map[string]int // of the settings that are given, by site and key; "" is the name of the site
}

// load reads a configuration file and checks all that is in it. An error is a
// single line that says where in the file what is wrong.
func load(path string) (*Configuration, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{Flag: "config.file", Err: err}
	}
	f := &file{path: path, lines: make(map[string]map[string]int)}
	if err := f.parse(content); err != nil {
		return nil, err
	}
	c := &Configuration{Sites: f.sites, origin: f}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// where returns the place of a setting: the line and the keys that lead to it. A
// setting that is not given has the line of its site.
func (f *file) where(site, flag string) (line int, keys string) {
	line, keys = f.lines[site][""], "sites."+site
	known := Default()
	for _, row := range known.settings() {
		if row.flag != flag {
			continue
		}
		keys += "." + row.key
		if given, ok := f.lines[site][row.key]; ok {
			line = given
		}
	}
	return line, keys
}

func (f *file) prefix(site, flag string) string {
	line, keys := f.where(site, flag)
	return fmt.Sprintf("%s:%d: %s", f.path, line, keys)
}

func (f *file) name(site, flag string) string {
	line, keys := f.where(site, strings.TrimPrefix(flag, "no-"))
	return fmt.Sprintf("%s (%s:%d)", keys, f.path, line)
}

var siteName = regexp.MustCompile(`^[\w.-]+$`)

func (f *file) parse(content []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return f.notYAML(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: has a second document; keep everything in one", f.path)
	}
	top := make(map[string]yaml.Node)
	if err := document.Decode(&top); err != nil {
		return f.notYAML(err)
	}
	for _, key := range byLine(top) {
		if key != "sites" {
			return fmt.Errorf("%s:%d: %s: is not known; the only key at this level is sites", f.path, top[key].Line, key)
		}
	}
	list := top["sites"]
	sites := make(map[string]yaml.Node)
	if err := list.Decode(&sites); err != nil {
		return f.notYAML(err)
	}
	if len(sites) == 0 {
		return fmt.Errorf("%s:%d: sites: is empty; give the settings of each site under its name", f.path, max(list.Line, 1))
	}
	for i, node := range list.Content {
		if i%2 == 0 { // a key
			f.lines[node.Value] = map[string]int{"": node.Line}
		}
	}
	for _, name := range byLine(sites) {
		if !siteName.MatchString(name) {
			return fmt.Errorf("%s:%d: sites: %q is no name for a site; use letters, digits, dots, dashes and underscores", f.path, f.lines[name][""], name)
		}
		if f.lines[name] == nil { // comes from a merge key
			f.lines[name] = map[string]int{"": sites[name].Line}
		}
		site := Default()
		site.Name = name
		node := sites[name]
		if err := f.read(site.settings(), name, "", &node); err != nil {
			return err
		}
		f.sites = append(f.sites, site)
	}
	return nil
}

// read sets the settings of a site, or those below a key such as "collector.", from
// a mapping.
func (f *file) read(rows []setting, site, below string, node *yaml.Node) error {
	given := make(map[string]yaml.Node)
	if err := node.Decode(&given); err != nil {
		return f.notYAML(err)
	}
	for _, name := range byLine(given) {
		key, value := below+name, given[name]
		f.lines[site][key] = value.Line
		if err := f.set(rows, site, key, &value); err != nil {
			return err
		}
	}
	return nil
}

// set sets what stands under a key of a site.
func (f *file) set(rows []setting, site, key string, node *yaml.Node) error {
	var known []string // beside the key
	level := strings.Count(key, ".")
	for i := range rows {
		row := &rows[i]
		switch parent, _, nested := strings.Cut(row.key, "."); {
		case row.key == key:
			return f.assign(row, site, node)
		case nested && parent == key:
			return f.read(rows, site, key+".", node)
		case nested && level == 0:
			known = append(known, parent)
		case strings.Count(row.key, ".") == level:
			known = append(known, row.key)
		}
	}
	return fmt.Errorf("%s:%d: sites.%s.%s: is not known; the settings are %s", f.path, node.Line, site, key, strings.Join(slices.Compact(known), ", "))
}

// assign sets a setting.
func (f *file) assign(row *setting, site string, node *yaml.Node) error {
	refuse := func(line int, err error) error {
		return fmt.Errorf("%s:%d: sites.%s.%s: %w", f.path, line, site, row.key, err)
	}
	elements := []*yaml.Node{node}
	if list := resolved(node); list.Kind == yaml.SequenceNode {
		if _, repeatable := row.value.(cumulative); !repeatable {
			return refuse(node.Line, errors.New("must be a single value, not a list"))
		}
		elements = list.Content
	}
	for _, element := range elements {
		scalar := resolved(element)
		switch {
		case scalar.Kind != yaml.ScalarNode:
			return refuse(element.Line, errors.New("must be a value, not a mapping or a list"))
		case scalar.ShortTag() == "!!null":
			return refuse(element.Line, errors.New("is empty; give a value, or leave out the key"))
		}
		text := scalar.Value
		if row.path != nil {
			text = row.path(text, relativeTo(filepath.Dir(f.path)))
		}
		if err := row.value.Set(text); err != nil {
			return refuse(element.Line, err)
		}
	}
	return nil
}

// resolved is the node itself, or the one that an alias stands for.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// byLine returns the keys of a mapping in the order of the file.
func byLine(nodes map[string]yaml.Node) []string {
	keys := make([]string, 0, len(nodes))
	for key := range nodes {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(nodes[a].Line, nodes[b].Line), cmp.Compare(nodes[a].Column, nodes[b].Column))
	})
	return keys
}

var (
	yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)`)
	yamlType = regexp.MustCompile(`^cannot unmarshal !!(\w+).* into .*`)
)

// notYAML is a single line with what the YAML parser has to say.
func (f *file) notYAML(err error) error {
	message := err.Error()
	if mismatch, ok := errors.AsType[*yaml.TypeError](err); ok {
		message = mismatch.Errors[0]
	}
	parts := yamlLine.FindStringSubmatch(message)
	if parts == nil {
		return fmt.Errorf("%s: %s", f.path, strings.TrimPrefix(message, "yaml: "))
	}
	if yamlType.MatchString(parts[2]) {
		parts[2] = "must be a mapping, as in \"key: value\""
	}
	return fmt.Errorf("%s:%s: %s", f.path, parts[1], parts[2])
}
