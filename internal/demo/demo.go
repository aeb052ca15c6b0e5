// Package demo runs a simulated Qlik Sense site on the loopback interface, with
// three nodes, eight virtual proxies, and a few hundred active users. It shows the
// exporter at work without a Qlik server.
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
	nodes  []string
	site   *qliktest.Site
	people *qliktest.People
}

// Start starts the site. The caller must Close it.
func Start() (*Demo, error) {
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
	site, err := qliktest.Start(company)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the simulated site: %w", err), os.RemoveAll(dir))
	}
	d := &Demo{dir: dir, site: site, people: qliktest.NewPeople(site, seed)}
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
	site.NodeAddress, site.AuditLog = nil, nil
	site.LocalLogs = filepath.Join(d.dir, "logs")
	for _, node := range d.nodes {
		host, port, _ := net.SplitHostPort(d.site.ProxyAddress(node))
		site.NodeAddress = append(site.NodeAddress, config.NodeAddress{Node: node, NodeAddress: qlik.NodeAddress{Host: host, Port: port}})
		site.AuditLog = append(site.AuditLog, config.AuditLog{Node: node, Glob: d.site.AuditLogPath(node)})
	}
	return site
}

// repository returns the registered host name and the port of the central node's
// repository.
func (d *Demo) repository() string {
	_, port, _ := net.SplitHostPort(d.site.RepositoryAddress(d.nodes[0]))
	return net.JoinHostPort(d.nodes[0], port)
}

// FlagsFile returns the path of a file with the flags that reach the site, for use
// as @FILE.
func (d *Demo) FlagsFile() string { return filepath.Join(d.dir, "flags") }

func (d *Demo) flags() string {
	lines := []string{"--qlik.host=" + d.repository(), "--qlik.cert-dir=" + d.dir}
	for _, node := range d.nodes {
		lines = append(lines,
			"--qlik.node-address="+node+"="+d.site.ProxyAddress(node),
			"--qlik.audit-log="+node+"="+d.site.AuditLogPath(node))
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
	_, proxyPort, _ := net.SplitHostPort(d.site.ProxyAddress(d.nodes[0]))
	_, err = fmt.Fprintf(w, `A simulated Qlik Sense site runs in this process, on the loopback interface only. Within two
minutes, some users reach 4 sessions, some reach 5, some are refused, and one proxy restarts.

  nodes         %[1]s
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
    --resolve %[5]s:%[6]s:127.0.0.1 -H 'X-Qlik-Xrfkey: 0123456789abcdef' \
    'https://%[5]s:%[6]s/qps/session?Xrfkey=0123456789abcdef'

Start another exporter for the same site, with flags from a file:
  %[8]s --web.listen-address=:9987 @%[7]s

`, strings.Join(d.nodes, ", "), d.dir, net.JoinHostPort(host, port), metricsPath, d.nodes[0], proxyPort, d.FlagsFile(), program)
	return err
}
