package site

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func sessionOf(t *testing.T, snapshot *headroom.Snapshot, id string) qlik.SessionID {
	t.Helper()
	for _, session := range snapshot.Sessions {
		if session.User.ID == id {
			return session.ID
		}
	}
	t.Fatalf("%s has no session", id)
	return ""
}

func TestEndSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		login(t, server, "anna", "laptop", "a/b", "qlik3")
		login(t, server, "anna", "phone", "", "qlik1")
		login(t, server, "carla", "laptop", "a/b", "qlik3")
		snapshot := within(t, site, time.Second)
		carla := sessionOf(t, snapshot, "carla")

		if ended, err := site.EndSession(t.Context(), snapshot, carla); !ended || err != nil {
			t.Errorf("ended %t, %v", ended, err)
		}
		if ended, err := site.EndSession(t.Context(), snapshot, carla); ended || err != nil {
			t.Errorf("again: ended %t, %v; want neither", ended, err)
		}
		// Rows that were read before the end of the session are not used after it.
		after := within(t, site, time.Second)
		if got := fmt.Sprint(counts(after)); got != "[anna /:1 /a/b:1]" || !after.UsageKnown {
			t.Errorf("left: %s, usage known %t", got, after.UsageKnown)
		}
		if requests := site.Status().Requests; requests.Requests[qlik.APIProxy] != 2*7+2 || requests.Errors[qlik.APIProxy][qlik.KindStatus] != 1 {
			t.Errorf("requests: %+v", requests)
		}
	})
}

// TestSessionOnTwoLinks checks that a session on two proxies is ended on both.
func TestSessionOnTwoLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		session := login(t, server, "anna", "laptop", "", "qlik2")
		server.SetAnswer("qlik1", "sales", fmt.Appendf(nil, `[{"UserDirectory":"LAB","UserId":"anna","SessionId":%q}]`, session.ID))
		snapshot := within(t, site, time.Second)
		before := server.Requests().OtherProxy
		// The first proxy does not know the session.
		if ended, err := site.EndSession(t.Context(), snapshot, qlik.SessionID(session.ID)); !ended || err != nil {
			t.Errorf("ended %t, %v", ended, err)
		}
		if asked := server.Requests().OtherProxy - before; asked != 2 || len(server.Sessions()) != 0 {
			t.Errorf("%d requests, left: %v", asked, server.Sessions())
		}
	})
}

// TestEndSessionFails checks that an error contains the cause but not the session
// id.
func TestEndSessionFails(t *testing.T) {
	for fault, want := range map[qliktest.Fault]qlik.Kind{
		qliktest.Refused: qlik.KindRefused, qliktest.Hanging: qlik.KindTimeout, qliktest.Forbidden: qlik.KindForbidden,
		qliktest.ServerError: qlik.KindStatus, qliktest.Redirect: qlik.KindRedirect, qliktest.Truncated: qlik.KindReset,
	} {
		synctest.Test(t, func(t *testing.T) {
			server, site := start(t, threeNodes(), nil)
			session := login(t, server, "anna", "laptop", "a/b", "qlik3")
			snapshot := within(t, site, time.Second)
			server.SetProxyFault("qlik3", fault)
			synctest.Wait() // until the client knows which connections are closed
			ended, err := site.EndSession(t.Context(), snapshot, qlik.SessionID(session.ID))
			if kind := qlik.KindOf(err); kind != want || ended {
				t.Errorf("%s: ended %t, kind %q, want %q: %v", fault, ended, kind, want, err)
			}
			if text := fmt.Sprintf("%+v", err); strings.Contains(text, session.ID) || !strings.Contains(text, "DELETE https://qlik3:4243/qps/a/b/session/[session id]: ") {
				t.Errorf("%s: %s", fault, text)
			}
		})
	}
}

// TestEndSessionOfAnyName checks session ids with special characters. A session
// created through the API can have any id, and the request must not reach another
// path.
func TestEndSessionOfAnyName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, threeNodes(), nil)
		before := server.Requests().OtherProxy
		for id, refused := range map[string]bool{"a/b?c#d %2f": false, "../user/LAB/carla": true, "..": true, ".": true, `..\..\qrs`: true} {
			login(t, server, "carla", "laptop", "", "qlik1")
			server.SetAnswer("qlik1", "", fmt.Appendf(nil, `[{"UserDirectory":"LAB","UserId":"anna","SessionId":%q}]`, id))
			snapshot := within(t, site, time.Second)
			ended, err := site.EndSession(t.Context(), snapshot, snapshot.Sessions[0].ID)
			if ended || (err != nil) != refused || len(server.Sessions()) != 1 {
				t.Errorf("%q: ended %t, %v, left %d", id, ended, err, len(server.Sessions()))
			}
		}
		if asked := server.Requests().OtherProxy - before; asked != 1 {
			t.Errorf("%d requests, want one", asked)
		}
	})
}

func TestFindUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := threeNodes()
		for _, user := range []qliktest.User{
			{ID: "aberg", Name: "Anna Berg"}, {ID: "Bergson", Name: "Björn"}, {ID: "oneill", Name: "Pat O'Neill & Sons"}, {ID: "other", Name: "Neil"},
		} {
			user.Directory = "LAB"
			config.Users = append(config.Users, user)
		}
		server, site := start(t, config, nil)
		for _, test := range []struct{ text, want string }{
			{"BERG", `[{LAB\aberg Anna Berg} {LAB\bergson Björn}]`},
			{"björn", `[{LAB\bergson Björn}]`},
			{"o'neill & s", `[{LAB\oneill Pat O'Neill & Sons}]`},
			{"l + s", "[]"},
			{"nobody", "[]"},
			{"'", "[]"},
		} {
			users, err := site.FindUsers(t.Context(), test.text)
			if got := fmt.Sprint(users); err != nil || got != test.want {
				t.Errorf("%q: got %s, %v, want %s", test.text, got, err, test.want)
			}
		}
		server.SetRepositoryFault("qlik1", qliktest.Refused)
		if _, err := site.FindUsers(t.Context(), "secret"); qlik.KindOf(err) != qlik.KindRefused || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	})
}

// TestReadAhead checks that ReadAhead waits for the usage rows without a limit of
// its own.
func TestReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, site := start(t, licensed(), withLicenses)
		login(t, server, "anna", "laptop", "", "qlik1")
		server.SetRepositoryLatency("qlik1", 2*time.Second)
		site.ReadAhead(t.Context())
		if snapshot := site.Snapshot(context.WithoutCancel(t.Context())); !snapshot.Complete() || !snapshot.UsageKnown || len(snapshot.Usage()) != 1 {
			t.Errorf("complete %t, usage known %t: %v", snapshot.Complete(), snapshot.UsageKnown, snapshot.Usage())
		}

		// An interrupt ends the read.
		server.SetRepositoryFault("qlik1", qliktest.Hanging)
		ctx, interrupt := context.WithTimeout(t.Context(), time.Second)
		defer interrupt()
		begin := time.Now()
		if site.ReadAhead(ctx); time.Since(begin) != time.Second {
			t.Errorf("it ended after %s", time.Since(begin))
		}
	})
}
