package guard

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestUnknownEnding checks that no second window of a user ends while it is unknown whether
// the first one has ended, and that a window that has not ended ends later. Each slot cools.
func TestUnknownEnding(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ ended bool }{
		"the response is lost": {true},
		"the request is lost":  {false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := start(t, nil, func(c *qliktest.Config, _ *site.Config) { c.Tail = qliktest.TailAlways })
				g.checked = false
				var windows []string
				for i := range 4 {
					windows = append(windows, g.login("anna", fmt.Sprint(i), ""))
					g.pass(time.Second, windows[i])
				}
				g.ending = func(n int) {
					if n > 1 {
						return
					}
					if test.ended {
						g.server.Logout(windows[0])
					}
					g.server.SetProxyFault("qlik1", qliktest.ServerError)
					time.AfterFunc(time.Second, func() { g.server.SetProxyFault("qlik1", qliktest.NoFault) })
				}
				g.pass(13*time.Minute, windows[3])
				if left := g.exist(windows); left != "1 2 3" {
					t.Errorf("the windows %s are left, want 1 2 3", left)
				}
				if n := len(g.endings); test.ended && n != 1 || !test.ended && n != 2 {
					t.Errorf("%d requests to end a session", n)
				}
			})
		})
	}
}
