package site

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestLicensesNeedARepository checks that without a repository no licenses are
// read, even if they are enabled, and that scrapes still work.
func TestLicensesNeedARepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), func(c *Config) {
			c.Licenses = true
			c.Client.Hosts = nil
			c.Client.Proxies = []string{"qlik1", "qlik2"}
			c.Client.VirtualProxies = []string{"/", "sales"}
		})
		running(t, site)
		login(t, server, "anna", "laptop", "", "qlik1")
		for i := range 25 { // longer than the intervals of licenses and topology
			if snapshot := within(t, site, time.Second); !snapshot.Complete() || snapshot.UsageKnown || snapshot.Licenses != nil {
				t.Errorf("scrape %d: complete %t, want true; usage known %t, want false; licenses known %t, want false",
					i, snapshot.Complete(), snapshot.UsageKnown, snapshot.Licenses != nil)
			}
			time.Sleep(15 * time.Second)
		}
		site.ReadAhead(t.Context())
		if n := site.Status().Requests.Requests[qlik.APIRepository]; n != 0 {
			t.Errorf("%d requests to a repository, want none", n)
		}
		if n := server.Requests().RepositoryConnections; n != 0 {
			t.Errorf("%d connections to a repository, want none", n)
		}
		if got := site.Status().Refreshed; len(got) != 0 {
			t.Errorf("sources are said to be refreshed: %v", got)
		}
	})
}

// TestDefaultCoolingTime checks that by default a slot cools for exactly five
// minutes after a session ended at the limit.
func TestDefaultCoolingTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		var last qliktest.Session
		for i := range 5 {
			last = login(t, server, "anna", fmt.Sprint("device", i), "", "qlik1")
		}
		within(t, site, time.Second)
		server.Logout(last.ID)
		wantFree := func(after time.Duration, want int) {
			t.Helper()
			if anna := status(t, within(t, site, time.Second), "anna"); anna.EffectiveHeadroom != want || anna.CoolingSlots != 1-want {
				t.Errorf("after %s: %d slots free, want %d; %d cooling, want %d", after, anna.EffectiveHeadroom, want, anna.CoolingSlots, 1-want)
			}
		}
		wantFree(0, 0)
		time.Sleep(5*time.Minute - time.Millisecond)
		wantFree(5*time.Minute-time.Millisecond, 0)
		time.Sleep(time.Millisecond)
		wantFree(5*time.Minute, 1)
	})
}

// TestStaleReportOfServices checks that a report of the services older than a
// minute has no effect.
func TestStaleReportOfServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		running(t, site)
		login(t, server, "anna", "laptop", "", "qlik2")
		within(t, site, time.Second)
		server.StopProxy("qlik2")
		time.Sleep(6 * time.Minute)
		wantComplete := func(when string, want bool) {
			t.Helper()
			if snapshot := within(t, site, time.Second); snapshot.Complete() != want {
				t.Errorf("%s: complete %t, want %t; failed %v", when, snapshot.Complete(), want, kinds(snapshot))
			}
		}
		wantComplete("six minutes after the proxy stopped", true)

		server.SetRepositoryFault("qlik1", qliktest.Refused)
		time.Sleep(25 * time.Second) // the report is at most 55 s old
		wantComplete("the report is less than a minute old", true)
		time.Sleep(36 * time.Second) // now at least 61 s old
		wantComplete("the report is more than a minute old", false)

		server.SetRepositoryFault("qlik1", qliktest.NoFault)
		time.Sleep(31 * time.Second)
		wantComplete("the repository answers again", true)
	})
}

// TestRowsWithoutHolder checks that the usage rows of a license are read as long as there are
// some, also after its last holder has lost it.
func TestRowsWithoutHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := threeNodes()
		config.Users = []qliktest.User{
			{Directory: "LAB", ID: "anna", License: qliktest.Professional}, {Directory: "LAB", ID: "ben", License: qliktest.Analyzer},
		}
		server, site := start(t, config, withLicenses)
		session := login(t, server, "anna", "laptop", "", "qlik1")
		site.Refresh()
		rows := func() int {
			time.Sleep(usageInterval)
			return status(t, within(t, site, time.Second), "anna").LicensedSessions
		}
		if n := rows(); n != 1 {
			t.Fatalf("%d rows", n)
		}
		if !server.TakeLicense("LAB", "anna", qliktest.Professional) {
			t.Fatal("the license stays")
		}
		time.Sleep(licensesInterval)
		site.Refresh()
		for range 2 {
			if n := rows(); n != 1 {
				t.Errorf("%d rows after the license was taken", n)
			}
		}
		server.Logout(session.ID)
		time.Sleep(usageInterval)
		within(t, site, time.Second) // finds no row
		const path = "/qrs/license/professionalaccessusage/full"
		before := server.Requests().Repository[path]
		time.Sleep(usageInterval)
		within(t, site, time.Second)
		if n := server.Requests().Repository[path] - before; n != 0 {
			t.Errorf("%d requests although nobody holds the license and there are no rows", n)
		}
	})
}
