package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/collector"
)

// setting is one row of the table of settings. The table makes the flags, reads
// configuration files, prints /config and the reference in docs/configuration.md,
// and says what a value must be. A new setting is a new row and the field that it
// fills; the value of the field before any flag is read is the default.
type setting struct {
	key   string // in a file, below the name of the site; "" for settings of the program, which are flags only
	flag  string // without dashes; its environment variable follows from it
	help  string
	value value // parses, checks and stores

	// field is the field of qlik.Config or collector.Config that the setting fills,
	// where these packages can return a *qlik.ConfigError about it.
	field string
	// noEnvironment says that the setting is a flag only.
	noEnvironment bool
	// path changes the path within a text of the setting; nil where it holds none.
	path func(text string, change func(path string) string) string
}

// settings is the table of the settings of a site.
func (s *Site) settings() []setting {
	rows := []setting{
		{
			key: "host", flag: "qlik.host", value: list(&s.Host, address, plainly), field: "Hosts",
			help: "Registered host name of a node with a repository, HOST or HOST:PORT (4242). Repeatable: tried in order.",
		},
		{
			key: "cert_dir", flag: "qlik.cert-dir", value: plain(&s.CertDir), field: "CertDir", path: wholePath,
			help: "Folder with client.pem, client_key.pem and root.pem as the QMC exports them.",
		},
		{
			key: "key_passphrase_file", flag: "qlik.key-passphrase-file", value: plain(&s.KeyPassphraseFile), field: "KeyPassphraseFile", path: wholePath,
			help: "File with the passphrase of an encrypted client_key.pem.",
		},
		{
			key: "server_name", flag: "qlik.server-name", value: scalar(&s.ServerName, hostName, plainly),
			help: "Name expected in the certificate of every node, where it is not the registered one.",
		},
		{
			key: "node_address", flag: "qlik.node-address", value: list(&s.NodeAddress, parseNodeAddress, NodeAddress.String), field: "NodeAddresses",
			help: "Reach a node elsewhere than under its registered name: NODE=HOST[:PORT], PORT being its proxy's. Repeatable.",
		},
		{
			key: "user", flag: "qlik.user", value: scalar(&s.User, user, showUser),
			help: `Value of the X-Qlik-User header, as DIRECTORY\id.`,
		},
		{
			key: "session_limit", flag: "qlik.session-limit", value: number(&s.SessionLimit, 1),
			help: "Sessions that the license grants one user at once.",
		},
		{
			key: "cooling_time", flag: "qlik.cooling-time", value: positiveDuration(&s.CoolingTime),
			help: "How long the slot of a session that ended at the limit stays taken.",
		},
		{
			key: "proxy", flag: "qlik.proxy", value: list(&s.Proxy, address, plainly), field: "Proxies",
			help: "Ask this proxy, HOST or HOST:PORT (4243), instead of those in the repository. Repeatable.",
		},
		{
			key: "virtual_proxy", flag: "qlik.virtual-proxy", value: list(&s.VirtualProxy, anyText, plainly),
			help: "Ask for this virtual proxy (its prefix; / is the default one) instead of all. Repeatable.",
		},
		{
			key: "service_account", flag: "qlik.service-account", value: list(&s.ServiceAccount, user, showUser),
			help: `Service account, DIRECTORY\id: watched for a license, shown plain where others are hashed, and never ended. Repeatable.`,
		},
		{
			key: "unlimited_user", flag: "qlik.unlimited-user", value: list(&s.UnlimitedUser, user, showUser),
			help: `Technical user, DIRECTORY\id, to whom the limit does not apply: has series but no headroom, and is never ended. Repeatable.`,
		},
		{
			key: "timeout", flag: "qlik.timeout", value: positiveDuration(&s.Timeout),
			help: "Upper bound for one request to Qlik; the deadline of the scrape comes first.",
		},
		{
			key: "audit_log", flag: "qlik.audit-log", value: list(&s.AuditLog, parseAuditLog, AuditLog.String), path: pathAfterNode,
			help: "Audit security log of a node's repository, NODE=GLOB; the pattern may be a UNC path. Repeatable.",
		},
		{
			key: "user_labels", flag: "user-labels", field: "Labels.Mode",
			value: choice(&s.UserLabels, collector.UserLabelsPlain, collector.UserLabelsHashed, collector.UserLabelsNone),
			help:  "How users appear in labels: plain, hashed (user_id is a keyed hash) or none (no series per user).",
		},
		{
			key: "user_labels_key_file", flag: "user-labels.key-file", value: plain(&s.UserLabelsKeyFile), field: "Labels.Key", path: wholePath,
			help: "File with the key of the hash, at least 16 bytes.",
		},
		{
			key: "min_sessions", flag: "collector.sessions.min-sessions", value: number(&s.MinSessions, 1),
			help: "Series only for users with at least so many sessions and cooling slots, or usage rows.",
		},
		{
			key: "max_users", flag: "collector.sessions.max-users", value: number(&s.MaxUsers, 1),
			help: "Series for at most so many users, those with most sessions or taken slots first.",
		},
		{
			key: "exclude_user", flag: "collector.sessions.exclude-user", value: list(&s.ExcludeUser, expression, plainly), field: "ExcludeUsers",
			help: `No series for users that match this anchored regular expression on DIRECTORY\id. Repeatable.`,
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
			flag: "config.file", value: plain(&p.ConfigFile), path: wholePath,
			help: "File that describes several sites, instead of the flags for one.",
		},
		{
			flag: "config.check", value: boolean(&p.ConfigCheck), noEnvironment: true,
			help: "Check all settings as at the start, those of the configuration file included, and exit.",
		},
		{
			flag: "web.telemetry-path", value: scalar(&p.TelemetryPath, telemetryPath, plainly),
			help: "Path of the metrics.",
		},
		{
			flag: "web.external-url", value: scalar(&p.ExternalURL, externalURL, showURL),
			help: "URL under which the exporter is reached from outside, e.g. behind a reverse proxy. /sd names it, and requests below its path are answered, too.",
		},
		{
			flag: "web.enable-lifecycle", value: boolean(&p.Lifecycle),
			help: "Allow to reload the configuration file by POST /-/reload.",
		},
		{
			flag: "web.enable-pprof", value: boolean(&p.Pprof),
			help: "Serve profiles of the exporter under /debug/pprof/.",
		},
		{
			flag: "timeout-offset", value: scalar(&p.TimeoutOffset, durationFromZero, showDuration),
			help: "Time to subtract from the Prometheus scrape timeout.",
		},
		{
			flag: "log.level", value: choice(&p.LogLevel, "debug", "info", "warn", "error"),
			help: "Only log messages of this severity or above: debug, info, warn or error.",
		},
		{
			flag: "log.format", value: choice(&p.LogFormat, "logfmt", "json"),
			help: "Format of the log: logfmt or json.",
		},
	}
}

// wholePath is for settings that are a path.
func wholePath(text string, change func(string) string) string {
	if text == "" {
		return ""
	}
	return change(text)
}

// pathAfterNode is for settings of the form NODE=PATH. Other texts are returned as
// they are, to be refused for what they are.
func pathAfterNode(text string, change func(string) string) string {
	node, path, _ := strings.Cut(text, "=")
	if path == "" {
		return text
	}
	return node + "=" + change(path)
}

// relativeTo makes paths relative to a folder.
func relativeTo(dir string) func(path string) string {
	return func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
}

// Reference is the table of the settings of a site in Markdown.
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
