package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// setting is one row of the table of settings. The table defines the flags, the keys
// in configuration files, the valid values, the output of /config, and the reference
// in docs/configuration.md. To add a setting, add a row and the field that it fills.
// The value of the field before flags are read is the default.
type setting struct {
	key   string // in a file, below the name of the site; "" for settings of the program, which only have flags
	flag  string // without dashes; the environment variable is derived from it
	help  string
	value value // parses, checks and stores

	// field is the field of qlik.Config or collector.Config that the setting fills. It
	// is set if these packages can return a *qlik.ConfigError about it.
	field string
	// people means that the value names users. If the metrics hide names, so do /config
	// and profiles. Metrics always name service accounts.
	people bool
	// noEnvironment means that the setting has no environment variable.
	noEnvironment bool
	// path changes the path within the text of the setting. It is nil if the setting
	// has no path.
	path func(text string, change func(path string) string) string
}

// Limits of settings. The highest values are far beyond what Qlik Sense needs: there is a
// series for each headroom up to the session limit, and sums of longer times would overflow.
const (
	maxSessionLimit = 1000
	maxCoolingTime  = 24 * time.Hour
	maxTimeout      = time.Hour
	minGuardIdle    = 5 * time.Minute // a shorter time ends windows in which somebody reads
	maxGuardIdle    = 24 * time.Hour
)

// settings is the table of the settings of a site.
func (s *Site) settings() []setting {
	rows := []setting{
		{
			key: "host", flag: "qlik.host", value: listOfOne(&s.Host, address, plainly), field: "Hosts",
			help: "Registered host name of a node with a repository, as HOST or HOST:PORT (default port: 4242). Several are tried in order. Repeatable.",
		},
		{
			key: "cert_dir", flag: "qlik.cert-dir", value: filePath(&s.CertDir), field: "CertDir", path: wholePath,
			help: "Folder with client.pem, client_key.pem, and root.pem as exported by the QMC.",
		},
		{
			key: "key_passphrase_file", flag: "qlik.key-passphrase-file", value: filePath(&s.KeyPassphraseFile), field: "KeyPassphraseFile", path: wholePath,
			help: "File with the passphrase of an encrypted client_key.pem.",
		},
		{
			key: "server_name", flag: "qlik.server-name", value: scalar(&s.ServerName, hostName, plainly),
			help: "Name expected in the certificate of every node, if it is not the registered host name.",
		},
		{
			key: "node_address", flag: "qlik.node-address", value: listOfOne(&s.NodeAddress, parseNodeAddress, NodeAddress.String), field: "NodeAddresses",
			help: "Address of a node that is not reachable under its registered host name, as NODE=HOST[:PORT]. PORT is the port of its proxy. Repeatable.",
		},
		{
			key: "engine_port", flag: "qlik.engine-port", value: listOfOne(&s.EnginePort, parseEnginePort, EnginePort.String),
			help: "Port of the engines for the collector engine, as PORT for all nodes or NODE=PORT for one (default port: 4747). Repeatable.",
		},
		{
			key: "user", flag: "qlik.user", value: scalar(&s.User, qlik.ParseUser, showUser), people: true,
			help: `Value of the X-Qlik-User header, as DIRECTORY\id or DIRECTORY/id.`,
		},
		{
			key: "session_limit", flag: "qlik.session-limit", value: numberUpTo(&s.SessionLimit, 1, maxSessionLimit),
			help: "Number of sessions that the license allows one user at once.",
		},
		{
			key: "cooling_time", flag: "qlik.cooling-time", value: positiveDuration(&s.CoolingTime, maxCoolingTime),
			help: "Time that a slot stays taken after its session ended at the limit.",
		},
		{
			key: "proxy", flag: "qlik.proxy", value: listOfOne(&s.Proxy, address, plainly), field: "Proxies",
			help: "Proxy to query instead of the proxies in the repository, as HOST or HOST:PORT (default port: 4243). Repeatable.",
		},
		{
			key: "virtual_proxy", flag: "qlik.virtual-proxy", value: listOfOne(&s.VirtualProxy, virtualProxy, plainly), field: "VirtualProxies",
			help: "Prefix of a virtual proxy to query instead of all virtual proxies; / is the default virtual proxy. Repeatable.",
		},
		{
			key: "service_account", flag: "qlik.service-account", value: listOfOne(&s.ServiceAccount, qlik.ParseUser, showUser),
			help: `Service account, as DIRECTORY\id or DIRECTORY/id: its licenses are monitored, its name is never hashed, and its sessions are never ended. Repeatable.`,
		},
		{
			key: "unlimited_user", flag: "qlik.unlimited-user", value: listOfOne(&s.UnlimitedUser, qlik.ParseUser, showUser), people: true,
			help: `Technical user without a session limit, as DIRECTORY\id or DIRECTORY/id: it has series but no headroom, and its sessions are never ended. Repeatable.`,
		},
		{
			key: "timeout", flag: "qlik.timeout", value: positiveDuration(&s.Timeout, maxTimeout),
			help: "Maximum duration of one request to Qlik. An earlier scrape deadline takes precedence.",
		},
		{
			key: "audit_log", flag: "qlik.audit-log", value: list(&s.AuditLog, parseAuditLog, AuditLog.String), path: pathAfterNode,
			help: "Audit security log of a node's repository, as NODE=GLOB. The pattern may be a UNC path. Repeatable.",
		},
		{
			key: "user_labels", flag: "user-labels", field: "Labels.Mode",
			value: choice(&s.UserLabels, collector.UserLabelsPlain, collector.UserLabelsHashed, collector.UserLabelsNone),
			help:  "Form of users in labels: plain, hashed (user_id is a keyed hash), or none (no series per user).",
		},
		{
			key: "user_labels_key_file", flag: "user-labels.key-file", value: filePath(&s.UserLabelsKeyFile), field: "Labels.Key", path: wholePath,
			help: "File with the key for hashing users, at least 16 bytes.",
		},
		{
			key: "min_sessions", flag: "collector.sessions.min-sessions", value: number(&s.MinSessions, 1),
			help: "Minimum number of sessions plus cooling slots, or of usage rows, for a user to have series.",
		},
		{
			key: "max_users", flag: "collector.sessions.max-users", value: number(&s.MaxUsers, 1),
			help: "Maximum number of users with series. Users with the most sessions or taken slots come first.",
		},
		{
			key: "exclude_user", flag: "collector.sessions.exclude-user", value: list(&s.ExcludeUser, expression, plainly), field: "ExcludeUsers", people: true,
			help: `Anchored regular expression on DIRECTORY/id, or on DIRECTORY\id. Users that match it have no series. Repeatable.`,
		},
		{
			key: "guard", flag: "guard", value: choice(&s.Guard, GuardOff, GuardDryRun, GuardOn),
			help: "Guard, which ends the longest idle session of a user with one slot left: off, dry-run (it ends nothing and counts what it would have ended), or on.",
		},
		{
			key: "guard_idle", flag: "guard.idle", value: durationBetween(&s.GuardIdle, minGuardIdle, maxGuardIdle),
			help: "Time without activity after which the guard may end a session; at least 5m.",
		},
		{
			key: "guard_virtual_proxy", flag: "guard.virtual-proxy", value: listOfOne(&s.GuardVirtualProxy, virtualProxyName, plainly),
			help: "Prefix of a virtual proxy on which the guard may end sessions; / is the default virtual proxy. Required if the guard is on. The dry run without it counts all virtual proxies. Repeatable.",
		},
	}
	for i := range s.Collectors {
		c := &s.Collectors[i]
		rows = append(rows, setting{
			key: "collector." + c.Name, flag: "collector." + c.Name, value: boolean(&c.Enabled),
			help: "Collector: " + c.help + ".",
		})
	}
	return rows
}

// settings is the table of the settings of the program.
func (p *Program) settings() []setting {
	return []setting{
		{
			flag: "config.file", value: filePath(&p.ConfigFile), path: wholePath,
			help: "Configuration file that describes several sites. It replaces the flags for one site.",
		},
		{
			flag: "config.check", value: boolean(&p.ConfigCheck), noEnvironment: true,
			help: "Check all settings, including the configuration file, as at startup, and exit.",
		},
		{
			flag: "web.telemetry-path", value: scalar(&p.TelemetryPath, telemetryPath, plainly),
			help: "Path under which to expose metrics.",
		},
		{
			flag: "web.external-url", value: scalar(&p.ExternalURL, externalURL, showURL),
			help: "URL under which the exporter is externally reachable, for example through a reverse proxy. /sd returns it, and requests below its path are also answered.",
		},
		{
			flag: "web.command", value: scalar(&p.Command, commandWords, plainly),
			help: "Words that start the program in the commands on the sessions page, such as docker exec -it NAME qlik_exporter.",
		},
		{
			flag: "web.max-connections", value: number(&p.MaxConnections, 10),
			help: "Maximum number of simultaneous connections across all listeners. If there are more, one of them is closed, an idle one first.",
		},
		{
			flag: "web.enable-lifecycle", value: boolean(&p.Lifecycle),
			help: "Enable reloading the configuration file with POST or PUT /-/reload.",
		},
		{
			flag: "web.enable-pprof", value: boolean(&p.Pprof),
			help: "Serve profiles of the exporter under /debug/pprof/.",
		},
		{
			flag: "desk.listen-address", value: scalar(&p.Desk.ListenAddress, deskAddress, plainly),
			help: "Address of the desk, on which a help desk frees slots, such as :9987. Without it, there is no desk.",
		},
		{
			flag: "desk.web.config.file", value: filePath(&p.Desk.WebConfigFile), path: wholePath,
			help: "Web configuration file of the desk. It must enable TLS, and require passwords or client certificates.",
		},
		{
			flag: "desk.roles-file", value: filePath(&p.Desk.RolesFile), path: wholePath,
			help: "File with the roles of the desk: lists of viewer, helpdesk, and admin, with user:NAME or cert:COMMON NAME.",
		},
		{
			flag: "desk.journal-file", value: filePath(&p.Desk.JournalFile), path: wholePath,
			help: "File in which the desk and the guard record what they end, before they end it.",
		},
		{
			flag: "desk.stop-file", value: filePath(&p.Desk.StopFile), path: wholePath,
			help: "While this file exists, the desk and the guard end nothing.",
		},
		{
			flag: "timeout-offset", value: scalar(&p.TimeoutOffset, durationFromZero, showDuration),
			help: "Time to subtract from the Prometheus scrape timeout.",
		},
		{
			flag: "log.level", value: choice(&p.LogLevel, "debug", "info", "warn", "error"),
			help: "Only log messages with the given severity or above: debug, info, warn, or error.",
		},
		{
			flag: "log.format", value: choice(&p.LogFormat, "logfmt", "json"),
			help: "Output format of log messages: logfmt or json.",
		},
		{
			flag: "log.file", value: filePath(&p.LogFile), path: wholePath,
			help: "File to which the log is written as well. At 5 MB a new one is begun, and the last four are kept.",
		},
	}
}

// wholePath is for settings that consist of a path.
func wholePath(text string, change func(string) string) string {
	if text = clean(text); text == "" {
		return ""
	}
	return change(text)
}

// pathAfterNode is for settings of the form NODE=PATH. It returns invalid texts
// unchanged, so that the parser rejects them.
func pathAfterNode(text string, change func(string) string) string {
	node, path, _ := strings.Cut(text, "=")
	if path = clean(path); path == "" {
		return text
	}
	return node + "=" + change(path)
}

// relativeTo returns a function that resolves relative paths against a folder.
func relativeTo(dir string) func(path string) string {
	return func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
}

// Reference returns the table of the settings of a site in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString("| key | flag | default | meaning |\n| --- | --- | --- | --- |\n")
	site := Default()
	for _, row := range site.settings() {
		flag, standard := "--"+row.flag, ""
		if (ofFlag{row.value, row.flag}).IsBoolFlag() {
			flag = "--[no-]" + row.flag
		}
		if shown := row.value.String(); shown != "" {
			standard = "`" + shown + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", row.key, flag, standard, strings.ReplaceAll(row.help, "|", `\|`))
	}
	return b.String()
}
