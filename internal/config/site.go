// Package config defines all settings: their names on the command line and in a
// configuration file, and their valid values. Its table of settings (table.go) is
// the source of the flags, of the keys in configuration files, of the output of
// /config, and of the reference in the documentation.
package config

import (
	"cmp"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// Site holds the settings of one site. The table describes each field.
type Site struct {
	Name string // value of the label site; empty if flags describe the only site

	Host              []string
	CertDir           string
	KeyPassphraseFile string
	ServerName        string
	NodeAddress       []NodeAddress
	EnginePort        []EnginePort
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
	Guard             string
	GuardIdle         time.Duration
	GuardVirtualProxy []string    // as in qlik.Link; may be empty unless the guard is on
	Collectors        []Collector // all of them

	// LocalLogs is the folder of all logs of Qlik Sense if this machine is a node of the
	// site, otherwise "". It is no setting; UseLocalNode finds it.
	LocalLogs string
}

// Modes of the guard.
const (
	GuardOff    = "off"
	GuardDryRun = "dry-run"
	GuardOn     = "on"
)

// Collector is the setting that enables a collector.
type Collector struct {
	Name    string
	Enabled bool

	help string
}

// Default returns the default settings.
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
		Guard:        GuardOff,
		GuardIdle:    10 * time.Minute,
	}
	for _, c := range collector.All() {
		site.Collectors = append(site.Collectors, Collector{c.Name, c.Default, c.Help})
	}
	return site
}

// Hosts returns the hosts that tell the site from others: those of its repositories, or
// of its proxies.
func (s *Site) Hosts() []string {
	if len(s.Host) > 0 {
		return s.Host
	}
	return s.Proxy
}

// NamesHidden reports whether the metrics do not contain the names of users.
func (s *Site) NamesHidden() bool { return s.UserLabels != collector.UserLabelsPlain }

// Run returns the configuration for querying the site and counting its sessions.
func (s *Site) Run() site.Config {
	nodes := make(map[string]qlik.NodeAddress)
	for _, address := range s.NodeAddress {
		nodes[address.Node] = address.NodeAddress
	}
	engines := make(map[string]string)
	for _, port := range s.EnginePort {
		engines[port.Node] = port.Port
	}
	return site.Config{
		Client: qlik.Config{
			Hosts:             s.Host,
			CertDir:           s.CertDir,
			KeyPassphraseFile: s.KeyPassphraseFile,
			ServerName:        s.ServerName,
			NodeAddresses:     nodes,
			EnginePorts:       engines,
			User:              s.User,
			Proxies:           s.Proxy,
			VirtualProxies:    s.VirtualProxy,
			Timeout:           s.Timeout,
		},
		Headroom: headroom.Config{Limit: s.SessionLimit, CoolingTime: s.CoolingTime, Unlimited: s.UnlimitedUser, ServiceAccounts: s.ServiceAccount},
		Licenses: s.Enabled("licenses"),
		Engines:  s.Enabled("engine"),

		ServiceUsers: s.FindServiceUsers,
	}
}

// Metrics returns the configuration of the site's collectors. It reads the key for
// hashing. An error names the setting.
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

// FindServiceUsers returns the users that the services of this machine run as, from their
// Trace logs. It returns none if this machine is no node of the site.
func (s *Site) FindServiceUsers() ([]qlik.User, error) {
	if s.LocalLogs == "" {
		return nil, nil
	}
	return auditlog.ServiceUsers(s.LocalLogs)
}

// Enabled returns whether a collector runs: it is enabled, and the repository or the
// audit log that it requires is configured.
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

// Labels returns the form of users in labels. It reads the key for hashing even if
// labels are plain, because commands find users by their hashes. An error names the
// setting.
func (s *Site) Labels() (collector.UserLabels, error) {
	labels := collector.UserLabels{Mode: s.UserLabels, Plain: s.ServiceAccount}
	if s.UserLabelsKeyFile == "" {
		if s.UserLabels == collector.UserLabelsHashed {
			return collector.UserLabels{}, errorf("user-labels.key-file", "is missing; hashed labels require a file with the key for hashing")
		}
		return labels, nil
	}
	key, err := textfile.ReadKey(s.UserLabelsKeyFile)
	if err != nil {
		return collector.UserLabels{}, &Error{Flag: "user-labels.key-file", Err: err}
	}
	labels.Key = key
	return labels, nil
}

// AuditLogs returns the glob patterns of the audit security logs by node.
func (s *Site) AuditLogs() map[string]string {
	logs := make(map[string]string)
	for _, log := range s.AuditLog {
		logs[log.Node] = log.Glob
	}
	return logs
}

// validate checks for missing and conflicting settings, and checks the key for
// hashing. The certificates and the passphrase are read when a site is opened. An
// error names the setting.
func (s *Site) validate() error {
	var addresses, engines, logs []string
	for _, address := range s.NodeAddress {
		addresses = append(addresses, address.Node)
	}
	for _, port := range s.EnginePort {
		engines = append(engines, cmp.Or(port.Node, "the port of all nodes"))
	}
	for _, log := range s.AuditLog {
		logs = append(logs, log.Node)
	}
	if node := repeated(addresses); node != "" {
		return errorf("qlik.node-address", "%s is given twice", node)
	}
	if node := repeated(engines); node != "" {
		return errorf("qlik.engine-port", "%s is given twice", node)
	}
	if node := repeated(logs); node != "" {
		return errorf("qlik.audit-log", "%s is given twice", node)
	}
	client, err := qlik.NewClient(s.Run().Client)
	if err != nil {
		return Named(err)
	}
	client.Close()
	metrics, err := s.Metrics()
	if err != nil {
		return err
	}
	_, err = collector.NewExporter(nil, metrics)
	return Named(err)
}

// validateGuard checks the settings of the guard. The argument tells whether its mode is
// given: a guard that is explicitly off may keep its other settings.
func (s *Site) validateGuard(given bool) error {
	switch {
	case s.Guard == GuardOff && len(s.GuardVirtualProxy) > 0 && !given:
		return errorf("guard.virtual-proxy", "has no effect, because the guard is off")
	case s.Guard == GuardOn && len(s.GuardVirtualProxy) == 0:
		return errorf("guard.virtual-proxy", "is missing; the guard ends sessions only on the virtual proxies that it names")
	case s.Guard != GuardOff && len(s.Host) == 0:
		return errorf("guard", "%s requires a host with a repository, where Qlik records when sessions were used", s.Guard)
	case s.Guard != GuardOff && !s.Enabled("licenses"):
		return errorf("guard", "%s requires the collector licenses, which reads when sessions were used", s.Guard)
	}
	return nil
}

// repeated returns the first name that occurs twice, ignoring case, or "".
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
