package sessions_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func snapshotOf(t *testing.T, site *site.Site) *headroom.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return site.Snapshot(ctx)
}

func TestRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		began := time.Now()
		sessionstest.Login(t, server, "anna", "laptop", "sales", "qlik2")
		sessionstest.Login(t, server, "anna", "phone", "sales", "qlik1")
		sessionstest.Login(t, server, "anna", "tablet", "sales", "qlik2")
		for i := range 6 {
			time.Sleep(time.Minute)
			sessionstest.Login(t, server, "bert", fmt.Sprint("device", i), "", "qlik3")
		}
		sessionstest.Login(t, server, "robot", "script", "qmc", "qlik1")
		sessionstest.Login(t, server, "anonymous1f", "browser", "portal", "qlik1")
		sessionstest.Login(t, server, "anonymous2f", "browser", "portal", "qlik1")
		sessionstest.Login(t, server, "stranger", "laptop", "", "qlik1")
		sessionstest.Login(t, server, "stranger", "phone", "", "qlik1")
		server.AddLeftoverRow("LAB", "carla")

		var got []string
		for _, row := range sessions.Rows(snapshotOf(t, site)) {
			active := "unknown"
			if !row.LastActivity.IsZero() {
				active = row.LastActivity.Sub(began).String()
			}
			got = append(got, fmt.Sprint(row.User.ID, " ", row.Sessions, " ", row.WithSlot, " ", row.Places, " ", active))
		}
		want := []string{ // by effective headroom: 0, 2, 4, 5; then users without a limit
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

// TestOpenDashboard checks that the activity of a session is unknown if it has outlived its
// timeout.
func TestOpenDashboard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := sessionstest.Start(t, nil)
		dashboard := sessionstest.Login(t, server, "anna", "laptop", "sales", "qlik2")
		expect := func(what string, want ...time.Time) {
			t.Helper()
			snapshot := snapshotOf(t, site)
			rows := sessions.Rows(snapshot)
			got := []time.Time{rows[0].LastActivity}
			for _, session := range sessions.OfUser(rows[0].User, snapshot) {
				got = append(got, session.LastActivity)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, want %v", what, got, want)
			}
		}
		keepOpen := func() {
			time.Sleep(20 * time.Minute)
			if !server.KeepAlive(dashboard.ID) {
				t.Fatal("the session has ended")
			}
		}
		began, unknown := dashboard.Started.UTC(), time.Time{}
		keepOpen()
		expect("within its timeout", began, began)
		keepOpen()
		expect("beyond its timeout", unknown, unknown)
		phone := sessionstest.Login(t, server, "anna", "phone", "sales", "qlik2").Started.UTC()
		time.Sleep(time.Minute)
		expect("another one in use", phone, phone, unknown)
		keepOpen()
		expect("another one that is idle", unknown, phone, unknown)
	})
}
