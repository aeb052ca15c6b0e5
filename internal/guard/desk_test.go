package guard

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
)

// TestDeskEndsToo checks that the guard ends no window of a user while the desk ends another
// one, which the second read may not show yet.
func TestDeskEndsToo(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]string{`LAB\anna`: "0 1 2 3", `LAB\carla`: "1 2 3"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := start(t, nil, nil)
				var windows []string
				for i := range 4 {
					windows = append(windows, g.login("anna", fmt.Sprint(i), ""))
					g.pass(time.Second, windows[i])
				}
				g.afterRead = func(int) {
					if _, err := g.journal.Begin(journal.Intent{By: "desk", User: user, Sessions: 1}, nil); err != nil {
						t.Error(err)
					}
				}
				g.pass(12*time.Minute, windows[3])
				if left := g.exist(windows); left != want {
					t.Errorf("the windows %s are left, want %s", left, want)
				}
			})
		})
	}
}
