package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// file is a configuration file. It holds the sites and the line of each setting.
type file struct {
	path  string
	sites []Site
	lines map[string]map[string]int // lines of the given settings, by site and key; "" is the line of the site
}

// load reads and checks a configuration file. An error is a single line with the
// place in the file and the problem.
func load(path string) (*Configuration, error) {
	content, err := textfile.Read(path)
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

// where returns the line of a setting and its path of keys. If the setting is not in
// the file, the line is that of its site.
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

func (f *file) given(site, flag string) bool {
	known := Default()
	i := slices.IndexFunc(known.settings(), func(row setting) bool { return row.flag == flag })
	return i >= 0 && f.lines[site][known.settings()[i].key] > 0
}

var siteName = regexp.MustCompile(`^[\w.-]+$`)

func (f *file) parse(content []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return f.notYAML(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: has a second document; put everything in one document", f.path)
	}
	top, err := f.mapping(&document, "")
	if err != nil {
		return err
	}
	for _, e := range top {
		if e.key != "sites" {
			return f.errorf(e.line, e.key, "unknown key; the only key at this level is sites")
		}
	}
	if len(top) == 0 {
		return f.errorf(1, "sites", "is missing; list the settings of each site under its name")
	}
	sites, err := f.mapping(top[0].value, "sites")
	if err != nil {
		return err
	}
	if len(sites) == 0 {
		return f.errorf(top[0].line, "sites", "is empty; list the settings of each site under its name")
	}
	for _, e := range sites {
		if !siteName.MatchString(e.key) {
			return f.errorf(e.line, "sites", "%q is not a valid site name; use letters, digits, dots, dashes, and underscores", e.key)
		}
		f.lines[e.key] = map[string]int{"": e.line}
		site := Default()
		site.Name = e.key
		if err := f.read(site.settings(), e.key, "", e.value); err != nil {
			return err
		}
		f.sites = append(f.sites, site)
	}
	return nil
}

// entry is a key of a mapping and its value.
type entry struct {
	key   string
	line  int // of the key
	value *yaml.Node
}

// mapping returns the entries of a mapping in the order of the file, including the
// entries from merge keys (<<). The path of keys is for errors.
func (f *file) mapping(node *yaml.Node, keys string) ([]entry, error) {
	node = resolved(node)
	if node.Kind == yaml.DocumentNode {
		node = resolved(node.Content[0])
	}
	switch {
	case node.Kind == 0: // an empty file
		return nil, nil
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" && keys == "":
		return nil, nil
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null":
		return nil, f.errorf(node.Line, keys, "is empty; add keys below it, or remove it")
	case node.Kind != yaml.MappingNode:
		return nil, f.errorf(node.Line, keys, "must be a mapping, as in \"key: value\"")
	}
	// The library rejects duplicate keys and resolves merge keys.
	values := make(map[string]yaml.Node)
	if err := node.Decode(&values); err != nil {
		return nil, f.notYAML(err)
	}
	var entries []entry
	for i := 0; i < len(node.Content); i += 2 {
		key := node.Content[i]
		switch resolved(key).ShortTag() {
		case "!!merge":
		case "!!str", "!!int", "!!float", "!!bool":
			value := values[key.Value]
			delete(values, key.Value)
			entries = append(entries, entry{key.Value, key.Line, &value})
		default:
			return nil, f.errorf(key.Line, keys, "%q is not a valid key; put it in quotes if it is intended", key.Value)
		}
	}
	for _, key := range byLine(values) { // merged
		value := values[key]
		entries = append(entries, entry{key, value.Line, &value})
	}
	return entries, nil
}

// errorf returns an error about a path of keys, which is "" for the whole file.
func (f *file) errorf(line int, keys, format string, args ...any) error {
	if keys != "" {
		keys = text.Visible(keys) + ": "
	}
	return fmt.Errorf("%s:%d: %s%w", f.path, max(line, 1), keys, fmt.Errorf(format, args...))
}

// read sets the settings of a site from a mapping. If below is a key such as
// "collector.", it sets only the settings below that key.
func (f *file) read(rows []setting, site, below string, node *yaml.Node) error {
	entries, err := f.mapping(node, strings.TrimSuffix("sites."+site+"."+below, "."))
	if err != nil {
		return err
	}
	for _, e := range entries {
		key := below + e.key
		f.lines[site][key] = e.line
		if err := f.set(rows, site, below, e); err != nil {
			return err
		}
	}
	return nil
}

// set sets the setting or the group of settings of one entry.
func (f *file) set(rows []setting, site, below string, e entry) error {
	var known []string
	for i := range rows {
		row := &rows[i]
		name, found := strings.CutPrefix(row.key, below)
		if !found {
			continue
		}
		switch parent, _, nested := strings.Cut(name, "."); {
		case name == e.key && !nested:
			return f.assign(row, site, e.value)
		case nested && parent == e.key:
			return f.read(rows, site, below+parent+".", e.value)
		default:
			known = append(known, parent)
		}
	}
	return f.errorf(e.line, "sites."+site+"."+below+e.key, "unknown key; the known keys are %s", strings.Join(slices.Compact(known), ", "))
}

// assign sets a setting to the value of a node.
func (f *file) assign(row *setting, site string, node *yaml.Node) error {
	refuse := func(line int, err error) error { return f.errorf(line, "sites."+site+"."+row.key, "%w", err) }
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
			return refuse(element.Line, errors.New("is empty; set a value, or remove the key"))
		}
		given := clean(scalar.Value)
		if row.path != nil {
			given = row.path(given, relativeTo(filepath.Dir(f.path)))
		}
		if err := row.value.Set(given); err != nil {
			return refuse(element.Line, err)
		}
	}
	return nil
}

// resolved returns the node itself, or the target of an alias.
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

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)`)

// yamlHints are remedies for errors of the YAML parser about common mistakes.
var yamlHints = []struct{ text, remedy string }{
	{"unknown escape character", `put text with a backslash in single quotes, as in 'DIRECTORY\id', or write DIRECTORY/id`},
	{"hexdecimal number", `put text with a backslash in single quotes, as in 'C:\folder'`},
	{"cannot start any token", "indent with spaces instead of tabs, and put the text in quotes"},
	{"tab character", "indent with spaces"},
}

// notYAML returns an error of the YAML parser as a single line.
func (f *file) notYAML(err error) error {
	message := err.Error()
	if mismatch, ok := errors.AsType[*yaml.TypeError](err); ok {
		message = mismatch.Errors[0]
	}
	parts := yamlLine.FindStringSubmatch(message)
	if parts == nil {
		message = strings.TrimPrefix(message, "yaml: ")
		if strings.Contains(message, "UTF-8") {
			message += "; save the file as UTF-8"
		}
		return fmt.Errorf("%s: %s", f.path, text.Visible(message))
	}
	for _, hint := range yamlHints {
		if strings.Contains(parts[2], hint.text) {
			parts[2] += "; " + hint.remedy
		}
	}
	return fmt.Errorf("%s:%s: %s", f.path, parts[1], text.Visible(parts[2]))
}
