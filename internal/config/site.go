// Package config holds what an administrator sets: the settings of each site,
// from flags or from a file.
package config

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Site are the settings of one site, with the values as they are written. Each
// has the meaning of the flag that settings names.
type Site struct {
	Name string // value of the label site; empty where flags describe the only one

	Host              []string
	CertDir           string
	KeyPassphraseFile string
	ServerName        string
	NodeAddress       []string
	User              string
	SessionLimit      int
	CoolingTime       time.Duration
	Proxy             []string
	VirtualProxy      []string
	ServiceAccount    []string
	UnlimitedUser     []string
	Timeout           time.Duration
	AuditLog          []string
	UserLabels        string
	UserLabelsKeyFile string
	MinSessions       int
	MaxUsers          int
	ExcludeUser       []string
	Collector         map[string]*bool // by name; all of them are there
}

// setting is one setting of a site: its key in a file, its flag, and where its
// value is.
type setting struct {
	key, flag string
	value     any
}

// settings lists the settings of a site. A key is its flag without prefix, and
// with underscores.
func (s *Site) settings() []setting {
	return []setting{
		{"host", "qlik.host", &s.Host},
		{"cert_dir", "qlik.cert-dir", &s.CertDir},
		{"key_passphrase_file", "qlik.key-passphrase-file", &s.KeyPassphraseFile},
		{"server_name", "qlik.server-name", &s.ServerName},
		{"node_address", "qlik.node-address", &s.NodeAddress},
		{"user", "qlik.user", &s.User},
		{"session_limit", "qlik.session-limit", &s.SessionLimit},
		{"cooling_time", "qlik.cooling-time", &s.CoolingTime},
		{"proxy", "qlik.proxy", &s.Proxy},
		{"virtual_proxy", "qlik.virtual-proxy", &s.VirtualProxy},
		{"service_account", "qlik.service-account", &s.ServiceAccount},
		{"unlimited_user", "qlik.unlimited-user", &s.UnlimitedUser},
		{"timeout", "qlik.timeout", &s.Timeout},
		{"audit_log", "qlik.audit-log", &s.AuditLog},
		{"user_labels", "user-labels", &s.UserLabels},
		{"user_labels_key_file", "user-labels.key-file", &s.UserLabelsKeyFile},
		{"min_sessions", "collector.sessions.min-sessions", &s.MinSessions},
		{"max_users", "collector.sessions.max-users", &s.MaxUsers},
		{"exclude_user", "collector.sessions.exclude-user", &s.ExcludeUser},
		{"collector", "collector", &s.Collector},
	}
}

// IsSetting says whether a flag is a setting of a site.
func IsSetting(flag string) bool {
	return strings.HasPrefix(flag, "collector.") ||
		slices.ContainsFunc(new(Site).settings(), func(s setting) bool { return s.flag == flag })
}

// Default returns the settings that apply unless something else is said.
func Default() Site {
	site := Site{
		User:         qlik.DefaultUser,
		SessionLimit: headroom.DefaultLimit,
		CoolingTime:  headroom.DefaultCoolingTime,
		Timeout:      qlik.DefaultTimeout,
		UserLabels:   collector.UserLabelsPlain,
		MinSessions:  1,
		MaxUsers:     20_000,
		Collector:    make(map[string]*bool),
	}
	for _, c := range collector.All() {
		site.Collector[c.Name] = &c.Default
	}
	return site
}

func collectorNames() []string {
	var names []string
	for _, c := range collector.All() {
		names = append(names, c.Name)
	}
	return names
}

// Run returns how the site is reached and counted. An error names the setting.
func (s *Site) Run() (site.Config, error) {
	client := qlik.Config{
		Hosts:             s.Host,
		CertDir:           s.CertDir,
		KeyPassphraseFile: s.KeyPassphraseFile,
		ServerName:        s.ServerName,
		NodeAddresses:     make(map[string]qlik.NodeAddress),
		Proxies:           s.Proxy,
		VirtualProxies:    s.VirtualProxy,
		Timeout:           s.Timeout,
	}
	config := site.Config{
		Headroom: headroom.Config{Limit: s.SessionLimit, CoolingTime: s.CoolingTime},
		Licenses: s.enabled("licenses"),
	}
	// To packages that are used without most settings zero means the default.
	if s.SessionLimit < 1 {
		return site.Config{}, errorf("qlik.session-limit", "must be at least 1, not %d", s.SessionLimit)
	}
	if s.CoolingTime <= 0 {
		return site.Config{}, errorf("qlik.cooling-time", "must be longer than 0s, not %s", s.CoolingTime)
	}
	if s.Timeout <= 0 {
		return site.Config{}, errorf("qlik.timeout", "must be longer than 0s, not %s", s.Timeout)
	}
	var err error
	if client.User, err = qlik.ParseUser(s.User); err != nil {
		return site.Config{}, &Error{Flag: "qlik.user", Err: err}
	}
	if config.Headroom.Unlimited, err = parseUsers("qlik.unlimited-user", s.UnlimitedUser); err != nil {
		return site.Config{}, err
	}
	for _, value := range s.NodeAddress {
		node, address, err := qlik.ParseNodeAddress(value)
		if err != nil {
			return site.Config{}, Named(err)
		}
		client.NodeAddresses[node] = address
	}
	config.Client = client
	return config, nil
}

// ServiceAccounts returns the users that are watched for a licence and never
// ended.
func (s *Site) ServiceAccounts() ([]qlik.User, error) {
	return parseUsers("qlik.service-account", s.ServiceAccount)
}

// Metrics returns which metrics the site gets, some of which need a repository
// or an audit log.
func (s *Site) Metrics() (collector.Config, error) {
	labels, err := s.Labels()
	if err != nil {
		return collector.Config{}, err
	}
	enabled := make(map[string]bool)
	for name := range s.Collector {
		enabled[name] = s.enabled(name)
	}
	return collector.Config{
		Enabled:         enabled,
		ServiceAccounts: labels.Plain,
		Users: collector.UsersConfig{
			Labels:       labels,
			MinSessions:  s.MinSessions,
			MaxUsers:     s.MaxUsers,
			ExcludeUsers: s.ExcludeUser,
		},
	}, nil
}

func (s *Site) enabled(name string) bool {
	switch name {
	case "licenses", "services":
		return *s.Collector[name] && len(s.Host) > 0
	case "denials":
		return *s.Collector[name] && len(s.AuditLog) > 0
	default:
		return *s.Collector[name]
	}
}

// Labels returns how users appear in labels.
func (s *Site) Labels() (collector.UserLabels, error) {
	labels := collector.UserLabels{Mode: s.UserLabels}
	var err error
	if labels.Plain, err = s.ServiceAccounts(); err != nil {
		return collector.UserLabels{}, err
	}
	if s.UserLabelsKeyFile == "" {
		if s.UserLabels == collector.UserLabelsHashed {
			return collector.UserLabels{}, errorf("user-labels.key-file", "is missing; --user-labels=hashed needs a file with the key of the hash")
		}
		return labels, nil
	}
	key, err := os.ReadFile(s.UserLabelsKeyFile)
	if err != nil {
		return collector.UserLabels{}, &Error{Flag: "user-labels.key-file", Err: err}
	}
	labels.Key = []byte(strings.TrimRight(string(key), "\r\n"))
	return labels, nil
}

// AuditLogs returns the patterns of the audit security logs by node.
func (s *Site) AuditLogs() (map[string]string, error) {
	logs := make(map[string]string)
	for _, value := range s.AuditLog {
		node, glob, _ := strings.Cut(value, "=")
		if node == "" || glob == "" {
			return nil, errorf("qlik.audit-log", "%q: write NODE=GLOB", value)
		}
		if _, twice := logs[node]; twice {
			return nil, errorf("qlik.audit-log", "%s is given twice", node)
		}
		logs[node] = glob
	}
	return logs, nil
}

func parseUsers(flag string, names []string) ([]qlik.User, error) {
	users := make([]qlik.User, 0, len(names))
	for _, name := range names {
		user, err := qlik.ParseUser(name)
		if err != nil {
			return nil, &Error{Flag: flag, Err: err}
		}
		users = append(users, user)
	}
	return users, nil
}

// Validate checks all that can be checked without asking anybody. An error names
// the setting.
func (s *Site) Validate() error {
	if _, err := s.Run(); err != nil {
		return err
	}
	if _, err := s.AuditLogs(); err != nil {
		return err
	}
	_, err := s.Metrics()
	return err
}
