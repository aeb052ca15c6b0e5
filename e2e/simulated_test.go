package e2e

import (
	"cmp"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// site is a simulated Qlik Sense site in this process, with its own exporter.
type site struct {
	*qliktest.Site
	*instance
	name  string
	began time.Time
}

// coolingTime replaces Qlik's five minutes in tests that need nothing else.
const coolingTime = 10 * time.Second

// startSite starts a site and an exporter that discovers the site, as in
// production.
func startSite(t *testing.T, name string, config qliktest.Config, arguments ...string) *site {
	t.Helper()
	config.CoolingTime = cmp.Or(config.CoolingTime, coolingTime)
	config.AuditLogDir = t.TempDir()
	simulated, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(simulated.Close)
	certificates := t.TempDir()
	if err := simulated.WriteCertificates(certificates); err != nil {
		t.Fatal(err)
	}
	nodes := config.Nodes
	if nodes == nil {
		nodes = []qliktest.Node{{Name: "qlik1"}}
	}
	_, port, _ := net.SplitHostPort(simulated.RepositoryAddress(nodes[0].Name))
	arguments = append(arguments,
		"--qlik.host="+net.JoinHostPort(nodes[0].Name, port),
		"--qlik.cert-dir="+certificates,
		"--qlik.cooling-time="+config.CoolingTime.String(),
	)
	for _, node := range nodes {
		_, enginePort, _ := net.SplitHostPort(simulated.EngineAddress(node.Name))
		arguments = append(arguments,
			"--qlik.node-address="+node.Name+"="+simulated.ProxyAddress(node.Name),
			"--qlik.audit-log="+node.Name+"="+simulated.AuditLogPath(node.Name),
			"--qlik.engine-port="+node.Name+"="+enginePort)
	}
	return &site{Site: simulated, instance: startExporter(t, arguments...), name: name}
}

const directory = "LAB"

// people returns users with a license.
func people(ids ...string) []qliktest.User {
	var users []qliktest.User
	for _, id := range ids {
		users = append(users, qliktest.User{Directory: directory, ID: id, License: qliktest.Professional})
	}
	return users
}

// login opens a session in a new browser.
func (s *site) login(t *testing.T, id string, browser int) qliktest.Session {
	t.Helper()
	session, err := s.Login(directory, id, fmt.Sprint("browser ", browser), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// logins opens this number of sessions for Anna, each in a new browser.
func (s *site) logins(t *testing.T, count int) []qliktest.Session {
	t.Helper()
	var sessions []qliktest.Session
	for browser := range count {
		sessions = append(sessions, s.login(t, "anna", browser+1))
	}
	return sessions
}

// logout ends sessions.
func (s *site) logout(t *testing.T, sessions ...qliktest.Session) {
	t.Helper()
	for _, session := range sessions {
		if !s.Logout(session.ID) {
			t.Fatalf("the session of %s in %s was not there", session.UserID, session.Device)
		}
	}
}
