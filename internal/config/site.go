// Package config is the only place that knows how settings are called, on the
// command line and in a file, and what their values must be. Its table of settings
// (table.go) makes the flags, reads configuration files, prints the configuration
// in force and writes the reference.
package config

import (
	"bytes"
	"os"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// Site are the settings of one site. Each field has the meaning of its row in the
// table.
type Site struct {
	Name string // value of the label site; empty where flags describe the only one

	Host              []string
	CertDir           string
	KeyPassphraseFile string
	ServerName        string
	NodeAddress       []NodeAddress
	User              qlik.User
	SessionLimit      int
	CoolingTime       time.Duration
	Proxy             []string
	VirtualProxy      []string
	ServiceAccount    []qlik.User
	UnlimitedUser     []qlik.User
	Timeout           time.Duration
	AuditLog          []AuditLog
	UserLabels        string
	UserLabelsKeyFile string
	MinSessions       int
	MaxUsers          int
	ExcludeUser       []string
	Collectors        []Collector // all of them
}

// Collector is whether a collector runs.
type Collector struct {
	Name    string
	Enabled bool

	help string
}

// Default returns the settings that apply unless something else is set.
func Default() Site {
	defaultUser, _ := qlik.ParseUser(qlik.DefaultUser)
	site := Site{
		User:         defaultUser,
		SessionLimit: headroom.DefaultLimit,
		CoolingTime:  headroom.DefaultCoolingTime,
		Timeout:      qlik.DefaultTimeout,
		UserLabels:   collector.UserLabelsPlain,
		MinSessions:  1,
		MaxUsers:     20_000,
	}
	for _, c := range collector.All() {
		site.Collectors = append(site.Collectors, Collector{c.Name, c.Default, c.Help})
	}
	return site
}

// Run returns how the site is reached and counted.
func (s *Site) Run() site.Config {
	nodes := make(map[string]qlik.NodeAddress)
	for _, address := range s.NodeAddress {
		nodes[address.Node] = address.NodeAddress
	}
	return site.Config{
		Client: qlik.Config{
			Hosts:             s.Host,
			CertDir:           s.CertDir,
			KeyPassphraseFile: s.KeyPassphraseFile,
			ServerName:        s.ServerName,
			NodeAddresses:     nodes,
			User:              s.User,
			Proxies:           s.Proxy,
			VirtualProxies:    s.VirtualProxy,
			Timeout:           s.Timeout,
		},
		Headroom: headroom.Config{Limit: s.SessionLimit, CoolingTime: s.CoolingTime, Unlimited: s.UnlimitedUser},
		Licenses: s.Enabled("licenses"),
	}
}

// Metrics returns which metrics the site gets. It reads the key of the hash; an
// error names the setting.
func (s *Site) Metrics() (collector.Config, error) {
	labels, err := s.Labels()
	if err != nil {
		return collector.Config{}, err
	}
	enabled := make(map[string]bool)
	for _, c := range s.Collectors {
		enabled[c.Name] = s.Enabled(c.Name)
	}
	return collector.Config{
		Enabled:         enabled,
		ServiceAccounts: s.ServiceAccount,
		Users: collector.UsersConfig{
			Labels:       labels,
			MinSessions:  s.MinSessions,
			MaxUsers:     s.MaxUsers,
			ExcludeUsers: s.ExcludeUser,
		},
	}, nil
}

// Enabled says whether a collector runs: it is switched on, and the repository or
// the audit log that it needs is configured.
func (s *Site) Enabled(name string) bool {
	for _, c := range s.Collectors {
		if c.Name != name {
			continue
		}
		switch name {
		case "licenses", "services":
			return c.Enabled && len(s.Host) > 0
		case "denials":
			return c.Enabled && len(s.AuditLog) > 0
		default:
			return c.Enabled
		}
	}
	return false
}

// Labels returns how users appear in labels. It reads the key of the hash, also
// where labels are plain: commands find users by their hashes. An error names the
// setting.
func (s *Site) Labels() (collector.UserLabels, error) {
	labels := collector.UserLabels{Mode: s.UserLabels, Plain: s.ServiceAccount}
	if s.UserLabelsKeyFile == "" {
		if s.UserLabels == collector.UserLabelsHashed {
			return collector.UserLabels{}, errorf("user-labels.key-file", "is missing; hashed labels require a file with the key for hashing")
		}
		return labels, nil
	}
	key, err := os.ReadFile(s.UserLabelsKeyFile)
	if err != nil {
		return collector.UserLabels{}, &Error{Flag: "user-labels.key-file", Err: err}
	}
	labels.Key = bytes.TrimRight(key, "\r\n")
	return labels, nil
}

// AuditLogs returns the patterns of the audit security logs by node.
func (s *Site) AuditLogs() map[string]string {
	logs := make(map[string]string)
	for _, log := range s.AuditLog {
		logs[log.Node] = log.Glob
	}
	return logs
}

// validate checks what no single value shows: what is missing, what does not go
// together, and the key of the hash. The certificates and the passphrase are read
// when a site is opened. An error names the setting.
func (s *Site) validate() error {
	var addresses, logs []string
	for _, address := range s.NodeAddress {
		addresses = append(addresses, address.Node)
	}
	for _, log := range s.AuditLog {
		logs = append(logs, log.Node)
	}
	if node := repeated(addresses); node != "" {
		return errorf("qlik.node-address", "%s is given twice", node)
	}
	if node := repeated(logs); node != "" {
		return errorf("qlik.audit-log", "%s is given twice", node)
	}
	client, err := qlik.NewClient(s.Run().Client)
	if err != nil {
		return named(err)
	}
	client.Close()
	metrics, err := s.Metrics()
	if err != nil {
		return err
	}
	_, err = collector.NewExporter(nil, metrics)
	return named(err)
}

// repeated returns the first name that is there before, in any case, or "".
func repeated(names []string) string {
	seen := make(map[string]bool)
	for _, name := range names {
		if seen[strings.ToLower(name)] {
			return name
		}
		seen[strings.ToLower(name)] = true
	}
	return ""
}
