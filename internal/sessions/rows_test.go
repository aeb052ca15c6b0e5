package sessions_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a simulated site of three nodes and a client of it. Both end with
// the test.
func start(t *testing.T, change func(*qliktest.Config, *site.Config)) (*qliktest.Site, *site.Site) {
	t.Helper()
	config := qliktest.Config{
		InMemory:       true,
		Nodes:          []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}, {Name: "qlik3"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}, {Prefix: "qmc"}, {Prefix: "portal", AnonymousAccess: 1}},
	}
	for _, id := range []string{"anna", "bert", "carla", "robot", "reload"} {
		config.Users = append(config.Users, qliktest.User{Directory: "LAB", ID: id, Name: id + " Berg", License: qliktest.Analyzer})
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

func login(t *testing.T, server *qliktest.Site, id, device, prefix, node string) qliktest.Session {
	t.Helper()
	directory := "LAB"
	if len(id) > 9 && id[:9] == "anonymous" {
		directory = "NONE"
	}
	session, err := server.Login(directory, id, device, prefix, node)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func snapshotOf(t *testing.T, site *site.Site) *headroom.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return site.Snapshot(ctx)
}

func TestRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, nil)
		began := time.Now()
		login(t, server, "anna", "laptop", "sales", "qlik2")
		login(t, server, "anna", "phone", "sales", "qlik1")
		login(t, server, "anna", "tablet", "sales", "qlik2")
		for i := range 6 {
			time.Sleep(time.Minute)
			login(t, server, "bert", fmt.Sprint("device", i), "", "qlik3")
		}
		login(t, server, "robot", "script", "qmc", "qlik1")
		login(t, server, "anonymous1f", "browser", "portal", "qlik1")
		login(t, server, "anonymous2f", "browser", "portal", "qlik1")
		login(t, server, "stranger", "laptop", "", "qlik1")
		login(t, server, "stranger", "phone", "", "qlik1")
		server.AddLeftoverRow("LAB", "carla")

		var got []string
		for _, row := range sessions.Rows(snapshotOf(t, site)) {
			active := "unknown"
			if !row.LastActivity.IsZero() {
				active = row.LastActivity.Sub(began).String()
			}
			got = append(got, fmt.Sprint(row.User.ID, " ", row.Sessions, " ", row.WithSlot, " ", row.Places, " ", active))
		}
		want := []string{ // none left, 2, 4, 5; no limit
			"bert 6 5 [{/ qlik3 6}] 5m0s",
			"anna 3 3 [{/sales qlik1 1} {/sales qlik2 2}] 0s",
			"carla 0 0 [] unknown",
			"stranger 2 0 [{/ qlik1 2}] unknown",
			"anonymous 2 0 [{/portal qlik1 2}] unknown",
			"robot 1 1 [{/qmc qlik1 1}] 6m0s",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got\n%q, want\n%q", got, want)
		}
	})
}
