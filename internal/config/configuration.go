package config

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Configuration holds the settings of all sites and their origin.
type Configuration struct {
	Sites []Site // in the order of the file
	// Found describes each setting that was found on this machine.
	Found []string

	origin origin // nil means flags
}

// origin names settings as in the source of the configuration: flags, environment
// variables, or a file.
type origin interface {
	// prefix returns the start of an error about a setting of a site, or about the
	// site if the flag is "".
	prefix(site, flag string) string
	// name returns the name of a setting for use within a sentence.
	name(site, flag string) string
	// given reports whether a setting of a site has a value there, even the default.
	given(site, flag string) bool
}

// validate checks all sites.
func (c *Configuration) validate() error {
	for i := range c.Sites {
		site := &c.Sites[i]
		err := site.validate()
		if err == nil {
			err = site.validateGuard(c.from().given(site.Name, "guard"))
		}
		if err != nil {
			return c.Explain(site.Name, err)
		}
	}
	return nil
}

// Explain returns an error about a site with the setting as named at its origin: the
// flag, its environment variable, or file, line, and key. An error that concerns no
// setting is reported for the site.
func (c *Configuration) Explain(site string, err error) error {
	flag, cause := "", err
	if setting, ok := errors.AsType[*Error](Named(err)); ok {
		flag, cause = setting.Flag, setting.Err
	}
	if prefix := c.from().prefix(site, flag); prefix != "" {
		return fmt.Errorf("%s: %w", prefix, cause)
	}
	return err
}

// Name returns the name of a setting at its origin, for use within a sentence. The
// flag has no dashes and may be a negated one, such as no-collector.licenses.
func (c *Configuration) Name(site, flag string) string { return c.from().name(site, flag) }

func (c *Configuration) from() origin {
	if c.origin == nil {
		return flagNames(nil)
	}
	return c.origin
}

// Choose returns the site with the given name. Without a name, it returns the only
// site. The error is about --site.
func (c *Configuration) Choose(name string) (*Site, error) {
	var names []string
	for i := range c.Sites {
		if c.Sites[i].Name == name || name == "" && len(c.Sites) == 1 {
			return &c.Sites[i], nil
		}
		names = append(names, c.Sites[i].Name)
	}
	if len(c.Sites) == 1 && c.Sites[0].Name == "" {
		return nil, errorf("site", "requires --config.file")
	}
	if name == "" {
		return nil, errorf("site", "is missing; set it to one of %s", strings.Join(names, ", "))
	}
	return nil, errorf("site", "must be one of %s, not %q", strings.Join(names, ", "), name)
}

// Format returns the settings of sites in the format of a configuration file.
// Settings without a value are omitted. Users that the metrics do not name are hidden.
func Format(sites []Site) ([]byte, error) {
	all, standard := mapping(), Default()
	defaults := standard.settings()
	for _, site := range sites {
		settings := mapping()
		for i, row := range site.settings() {
			if row.value.String() == "" {
				continue
			}
			shown := row.value.yaml()
			if row.people && site.NamesHidden() && row.value.String() != defaults[i].value.String() {
				shown = hidden
			}
			value := new(yaml.Node)
			if err := value.Encode(shown); err != nil {
				return nil, err
			}
			group, key := settings, row.key
			if parent, child, nested := strings.Cut(row.key, "."); nested {
				group, key = below(settings, parent), child
			}
			group.Content = append(group.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
		}
		name := &yaml.Node{Kind: yaml.ScalarNode, Value: cmp.Or(site.Name, "(the only one)"), Tag: "!!str"}
		all.Content = append(all.Content, name, settings)
	}
	document := mapping()
	document.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Value: "sites"}, all}
	return yaml.Marshal(document)
}

// hidden replaces a value that names users.
const hidden = "(hidden)"

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

// below returns the mapping under a key and creates it if necessary.
func below(node *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	child := mapping()
	node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, child)
	return child
}
