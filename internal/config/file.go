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
	"time"

	"go.yaml.in/yaml/v3"
)

// File is a configuration, which describes sites.
type File struct {
	Sites []Site // as ordered in the file

	path  string
	nodes map[string]map[string]yaml.Node // settings by site and key
	lines map[string]int                  // of the names of the sites
}

// Load reads a configuration file. An error is a single line that says where in
// the file what is wrong.
func Load(path string) (*File, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{Flag: "config.file", Err: err}
	}
	file := &File{path: path, nodes: make(map[string]map[string]yaml.Node), lines: make(map[string]int)}
	if err := file.parse(content); err != nil {
		return nil, err
	}
	for i := range file.Sites {
		if err := file.Sites[i].Validate(); err != nil {
			return nil, file.Locate(file.Sites[i].Name, err)
		}
	}
	return file, nil
}

// Locate returns an error about a site of the file with the place in the file
// where it comes from, or with the flag.
func (f *File) Locate(site string, err error) error {
	err = Named(err)
	if f.path == "" { // the site is described by flags
		return err
	}
	flag, cause := "", err
	if setting, ok := errors.AsType[*Error](err); ok {
		flag, cause = setting.Flag, setting.Err
	}
	line, key := f.lines[site], ""
	for _, setting := range new(Site).settings() {
		if setting.flag != flag {
			continue
		}
		key = "." + setting.key
		if node, there := f.nodes[site][setting.key]; there {
			line = node.Line
		}
	}
	return fmt.Errorf("%s:%d: sites.%s%s: %w", f.path, line, site, key, cause)
}

var siteName = regexp.MustCompile(`^[\w.-]+$`)

func (f *File) parse(content []byte) error {
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
			f.lines[node.Value] = node.Line
		}
	}
	for _, name := range byLine(sites) {
		if !siteName.MatchString(name) {
			return fmt.Errorf("%s:%d: sites: %q is no name for a site; use letters, digits, dots, dashes and underscores", f.path, f.lines[name], name)
		}
		node := sites[name]
		site, err := f.site(name, &node)
		if err != nil {
			return err
		}
		f.Sites = append(f.Sites, site)
	}
	return nil
}

// site reads the settings of one site.
func (f *File) site(name string, node *yaml.Node) (Site, error) {
	given := make(map[string]yaml.Node)
	if err := node.Decode(&given); err != nil {
		return Site{}, f.notYAML(err)
	}
	f.nodes[name] = given
	site := Default()
	site.Name = name
	known := site.settings()
	for _, key := range byLine(given) {
		value := given[key]
		at := fmt.Sprintf("%s:%d: sites.%s.%s", f.path, value.Line, name, key)
		i := slices.IndexFunc(known, func(s setting) bool { return s.key == key })
		if i < 0 {
			keys := make([]string, len(known))
			for i, setting := range known {
				keys[i] = setting.key
			}
			return Site{}, fmt.Errorf("%s: is not known; the settings are %s", at, strings.Join(keys, ", "))
		}
		if !fits(&value, known[i].value) || value.Decode(known[i].value) != nil {
			return Site{}, fmt.Errorf("%s: must be %s", at, form(known[i].value))
		}
	}
	for name, on := range site.Collector {
		if _, known := Default().Collector[name]; !known || on == nil {
			value := given["collector"]
			return Site{}, fmt.Errorf("%s:%d: sites.%s.collector.%s: must be true or false for one of %s",
				f.path, value.Line, site.Name, name, strings.Join(collectorNames(), ", "))
		}
	}
	site.resolve(filepath.Dir(f.path))
	return site, nil
}

// fits refuses what Decode takes with a shrug: nothing at all, and fractions.
func fits(node *yaml.Node, value any) bool {
	if _, whole := value.(*int); whole {
		return node.ShortTag() == "!!int"
	}
	return node.ShortTag() != "!!null"
}

// form says what a value of that type looks like.
func form(value any) string {
	switch value.(type) {
	case *int:
		return "a whole number"
	case *time.Duration:
		return "a duration such as 90s or 5m"
	case *[]string:
		return "a list such as [a, b]"
	case *map[string]*bool:
		return "true or false under the name of each collector"
	default:
		return "a text"
	}
}

// resolve makes paths relative to the folder of the file.
func (s *Site) resolve(dir string) {
	absolute := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	absolute(&s.CertDir)
	absolute(&s.KeyPassphraseFile)
	absolute(&s.UserLabelsKeyFile)
	for i, log := range s.AuditLog {
		if node, glob, ok := strings.Cut(log, "="); ok && glob != "" {
			absolute(&glob)
			s.AuditLog[i] = node + "=" + glob
		}
	}
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
func (f *File) notYAML(err error) error {
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

// Format writes the settings of sites as a file would have to say them. All of
// them are there but those without a value.
func Format(sites []Site) ([]byte, error) {
	list := mapping()
	for _, site := range sites {
		settings := mapping()
		for _, setting := range site.settings() {
			value := new(yaml.Node)
			if err := value.Encode(setting.value); err != nil {
				return nil, err
			}
			if value.Kind == yaml.SequenceNode && len(value.Content) == 0 || value.Kind == yaml.ScalarNode && value.Value == "" {
				continue
			}
			settings.Content = append(settings.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: setting.key}, value)
		}
		name := &yaml.Node{Kind: yaml.ScalarNode, Value: cmp.Or(site.Name, "(the only one)"), Tag: "!!str"}
		list.Content = append(list.Content, name, settings)
	}
	document := mapping()
	document.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Value: "sites"}, list}
	return yaml.Marshal(document)
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }
