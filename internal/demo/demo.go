// Package demo runs a simulated Qlik Sense site, by default on the loopback interface,
// with three nodes, eight virtual proxies, and a few hundred active users. It shows the
// exporter at work without a Qlik server, and answers other clients of Qlik.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

const (
	users  = 500
	seed   = 1
	warmUp = 3 * time.Hour // simulated activity before the demo starts
)

// Demo is a running simulated site and its users.
type Demo struct {
	dir    string // certificates, flags and logs
	listen string // the address that the user chose; "" for one of its own
	nodes  []string
	site   *qliktest.Site
	people *qliktest.People
}

// Start starts the site. The central node listens on the given IP address with the ports
// of a real one. Without an address, it gets one of the loopback interface. The caller
// must Close the site.
func Start(listen string) (*Demo, error) {
	return start(listen, func(company qliktest.Config) (*qliktest.Site, error) { return startSite(company, listen) })
}

func start(listen string, startSite func(qliktest.Config) (*qliktest.Site, error)) (*Demo, error) {
	dir, err := os.MkdirTemp("", "qlik_exporter-demo-")
	if err != nil {
		return nil, fmt.Errorf("the demo needs a folder for temporary files; set TMPDIR to one that works: %w", err)
	}
	now := time.Now()
	clock := qliktest.NewClock(now.Add(-warmUp))
	company := qliktest.Company(users)
	company.Users = append(company.Users, idle()...)
	company.Now = clock.Now
	company.Seed = seed
	company.TraceLogDir = filepath.Join(dir, "logs")
	company.AuditLogDir = filepath.Join(company.TraceLogDir, "Repository", "Audit")
	if err := os.MkdirAll(company.AuditLogDir, 0o700); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	site, err := startSite(company)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the simulated site: %w", err), os.RemoveAll(dir))
	}
	d := &Demo{dir: dir, listen: listen, site: site, people: qliktest.NewPeople(site, seed)}
	for _, node := range company.Nodes {
		d.nodes = append(d.nodes, node.Name)
	}
	if err := errors.Join(site.WriteCertificates(dir), os.WriteFile(d.FlagsFile(), []byte(d.flags()), 0o600)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.people.WarmUp(clock, now)
	clock.Follow()
	return d, nil
}

// idle returns users who hold a license for nothing, so that the command licenses has
// something to show. They do not log in.
func idle() []qliktest.User {
	const day = 24 * time.Hour
	user := func(id, name string, license qliktest.License, unusedFor int) qliktest.User {
		return qliktest.User{
			Directory: qliktest.CompanyDirectory, ID: id, Name: name, License: license,
			HeldFor: 400 * day, UnusedFor: time.Duration(unusedFor) * day, Away: true,
		}
	}
	users := []qliktest.User{
		user("agnes.holm", "Agnes Holm", qliktest.Professional, 0), user("boris.lang", "Boris Lang", qliktest.Analyzer, 0),
		user("carla.stein", "Carla Stein", qliktest.Professional, 240), user("dieter.paul", "Dieter Paul", qliktest.Analyzer, 130),
		user("emma.roth", "Emma Roth", qliktest.Analyzer, 35), user("frank.wolf", "Frank Wolf", qliktest.Analyzer, 60),
		user("gerda.voss", "Gerda Voss", qliktest.Analyzer, 20), user("henry.beck", "Henry Beck", qliktest.Analyzer, 0),
	}
	users[4].RemovedExternally = true
	users[5].Inactive = true
	users[6].Second = qliktest.Professional
	users[7].HeldFor = 10 * day // newly given
	return users
}

// Run simulates the users until ctx ends.
func (d *Demo) Run(ctx context.Context) { _ = d.people.Run(ctx) }

// Close stops the site and removes its certificates, flags, and logs.
func (d *Demo) Close() error {
	d.site.Close()
	return os.RemoveAll(d.dir)
}

// Site returns the given settings with those changed that are needed to reach the
// simulated site and its logs.
func (d *Demo) Site(site config.Site) config.Site {
	site.Host = []string{d.repository()}
	site.Proxy, site.VirtualProxy = nil, nil
	site.CertDir = d.dir
	site.KeyPassphraseFile, site.ServerName = "", ""
	site.NodeAddress, site.EnginePort, site.AuditLog = nil, nil, nil
	site.LocalLogs = filepath.Join(d.dir, "logs")
	for _, node := range d.nodes {
		host, _ := d.proxy(node)
		site.NodeAddress = append(site.NodeAddress, config.NodeAddress{Node: node, NodeAddress: qlik.NodeAddress{Host: host}})
		if port := d.engine(node); port != defaultEnginePort {
			site.EnginePort = append(site.EnginePort, config.EnginePort{Node: node, Port: port})
		}
		site.AuditLog = append(site.AuditLog, config.AuditLog{Node: node, Glob: d.site.AuditLogPath(node)})
	}
	return site
}

// split returns the host that reaches an address, and its port.
func split(address string) (host, port string) {
	host, port, _ = net.SplitHostPort(address)
	if host == "0.0.0.0" || host == "::" {
		host = localhost.String()
	}
	return host, port
}

// proxy returns the host and the port of the proxy of a node. All services of a node
// have the same host.
func (d *Demo) proxy(node string) (host, port string) { return split(d.site.ProxyAddress(node)) }

// defaultEnginePort is the port of engines that no flag is needed for.
const defaultEnginePort = "4747"

// engine returns the port of the engine of a node.
func (d *Demo) engine(node string) string {
	_, port := split(d.site.EngineAddress(node))
	return port
}

// repository returns the registered host name and the port of the central node's
// repository.
func (d *Demo) repository() string {
	_, port := split(d.site.RepositoryAddress(d.nodes[0]))
	return net.JoinHostPort(d.nodes[0], port)
}

// FlagsFile returns the path of a file with the flags that reach the site, for use
// as @FILE.
func (d *Demo) FlagsFile() string { return filepath.Join(d.dir, "flags") }

func (d *Demo) flags() string {
	lines := []string{"--qlik.host=" + d.repository(), "--qlik.cert-dir=" + d.dir}
	for _, node := range d.nodes {
		host, _ := d.proxy(node)
		lines = append(lines, "--qlik.node-address="+node+"="+qlik.NodeAddress{Host: host}.String())
		if port := d.engine(node); port != defaultEnginePort {
			lines = append(lines, "--qlik.engine-port="+node+"="+port)
		}
		lines = append(lines, "--qlik.audit-log="+node+"="+d.site.AuditLogPath(node))
	}
	return strings.Join(lines, "\n") + "\n"
}

// Introduce writes what is running and how to explore it. The program is the name for
// the commands, and listenAddress is the address of the metrics.
func (d *Demo) Introduce(w io.Writer, program, listenAddress, metricsPath string) error {
	host, port, err := net.SplitHostPort(listenAddress)
	if err != nil || host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	proxyHost, proxyPort := d.proxy(d.nodes[0])
	if strings.Contains(proxyHost, ":") {
		proxyHost = "[" + proxyHost + "]" // for curl
	}
	reach, warning := ", on the loopback interface only", ""
	if d.open() {
		reach = ""
		warning = "\nWarning: other machines can reach its ports. It answers only to the certificates below, and all data is simulated.\n"
	}
	_, err = fmt.Fprintf(w, `A simulated Qlik Sense site runs in this process%[10]s. Within two
minutes, some users reach 4 sessions, some reach 5, some are refused, and one proxy restarts.
%[11]s
%[1]s
  certificates  %[2]s  (removed when the demo ends)

Show the sessions of each user, in a browser and in a second terminal:
  http://%[3]s/sessions
  %[8]s sessions --at-least 4 @%[7]s

Show who holds a license for nothing:
  %[8]s licenses @%[7]s

Show the metrics:
  curl -s http://%[3]s%[4]s | grep ^qlik_session_limit_headroom

Send a request of the exporter to Qlik manually:
  curl -s --noproxy '*' --cacert %[2]s/root.pem --cert %[2]s/client.pem --key %[2]s/client_key.pem \
    --resolve %[5]s:%[6]s:%[9]s -H 'X-Qlik-Xrfkey: 0123456789abcdef' \
    'https://%[5]s:%[6]s/qps/session?Xrfkey=0123456789abcdef'

Start another exporter for the same site, with flags from a file:
  %[8]s --web.listen-address=:9987 @%[7]s

`, d.table(), d.dir, net.JoinHostPort(host, port), metricsPath, d.nodes[0], proxyPort, d.FlagsFile(), program, proxyHost, reach, warning)
	return err
}

// table lists the nodes with their addresses and ports.
func (d *Demo) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "  node\taddress\trepository\tproxy\tengine") // into memory, like the following
	for _, node := range d.nodes {
		host, proxy := d.proxy(node)
		_, repository := split(d.site.RepositoryAddress(node))
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", node, host, repository, proxy, d.engine(node))
	}
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}
