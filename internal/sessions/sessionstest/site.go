package sessionstest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// Start starts a simulated site with three nodes and a client for it. Both stop when
// the test ends.
func Start(t *testing.T, change func(*qliktest.Config, *site.Config)) (*qliktest.Site, *site.Site) {
	t.Helper()
	config := qliktest.Config{
		InMemory:       true,
		Nodes:          []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}, {Name: "qlik3"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}, {Prefix: "qmc"}, {Prefix: "portal", AnonymousAccess: 1}},
	}
	for _, id := range []string{"anna", "bert", "carla", "robot", "reload"} {
		config.Users = append(config.Users, qliktest.User{Directory: "LAB", ID: id, Name: id + " Berg", License: qliktest.Analyzer})
	}
	for i := range busy {
		config.Users = append(config.Users, qliktest.User{Directory: "LAB", ID: fmt.Sprint("busy", i), License: qliktest.Analyzer})
	}
	run := site.Config{
		Client:   qlik.Config{Hosts: []string{"qlik1"}, CertDir: t.TempDir()},
		Headroom: headroom.Config{Unlimited: []qlik.User{qlik.NewUser("LAB", "robot")}}, Licenses: true,
	}
	if change != nil {
		change(&config, &run)
	}
	server, err := qliktest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if err := server.WriteCertificates(run.Client.CertDir); err != nil {
		t.Fatal(err)
	}
	run.Client.DialContext = server.DialContext
	opened, err := site.New(run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return server, opened
}

// busy is the number of users who act in Work.
const busy = 10

// Work makes users act for three minutes, so that it becomes known how often the site records
// activity. It calls read after each action.
func Work(t *testing.T, server *qliktest.Site, read func()) {
	t.Helper()
	var ids []string
	for i := range busy {
		ids = append(ids, Login(t, server, fmt.Sprint("busy", i), "desk", "", "qlik2").ID)
	}
	for range 6 {
		time.Sleep(30 * time.Second) // of synctest
		for _, id := range ids {
			server.Touch(id)
		}
		read()
	}
}

// Login starts a session of a user in directory LAB. If the id starts with
// "anonymous", it starts a session of an anonymous user.
func Login(t *testing.T, server *qliktest.Site, id, device, prefix, node string) qliktest.Session {
	t.Helper()
	directory := "LAB"
	if strings.HasPrefix(id, "anonymous") {
		directory = "NONE"
	}
	session, err := server.Login(directory, id, device, prefix, node)
	if err != nil {
		t.Fatal(err)
	}
	return session
}
