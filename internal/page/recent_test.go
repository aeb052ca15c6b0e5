package page

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/sessions/sessionstest"
)

func TestSnapshotIsSharedForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := &answers{snapshot: sessionstest.Snapshot(map[string]int{`A\anna`: 5}), after: time.Second}
		recent := NewRecent(site)
		look := func(people int) {
			var all sync.WaitGroup
			for range people {
				all.Go(func() { recent.recently(t.Context()) })
			}
			all.Wait()
		}
		for _, step := range []struct {
			name  string
			do    func()
			asked int64
		}{
			{"a hundred at once", func() { look(100) }, 1},
			{"within five seconds", func() { time.Sleep(keepFor - time.Millisecond); look(100) }, 1},
			{"after five seconds", func() { time.Sleep(2 * time.Millisecond); look(100) }, 2},
			{"a scrape", func() { time.Sleep(keepFor + time.Millisecond); recent.Snapshot(t.Context()) }, 3},
			{"right after a scrape", func() { look(100) }, 3},
			{"a scrape always asks", func() { recent.Snapshot(t.Context()) }, 4},
			{"an incomplete scrape", func() {
				time.Sleep(keepFor + time.Millisecond)
				site.snapshot = sessionstest.Snapshot(nil)
				site.snapshot.Links[0].Err = io.EOF
				recent.Snapshot(t.Context())
			}, 5},
			{"is not for people", func() { look(100) }, 6},
			{"but is shared if they asked", func() { look(100) }, 6},
		} {
			step.do()
			if asked := site.asked.Load(); asked != step.asked {
				t.Errorf("%s: asked %d times, want %d", step.name, asked, step.asked)
			}
		}
	})
}

// TestWaitIsBounded: a link that hangs delays the page by ten seconds, also where
// whoever asked first has left.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := NewRecent(&answers{snapshot: sessionstest.Snapshot(nil), after: time.Hour})
		ctx, leave := context.WithCancel(t.Context())
		leave()
		begin := time.Now()
		recent.recently(ctx)
		if waited := time.Since(begin); waited != maxWait {
			t.Errorf("waited %s, want %s", waited, maxWait)
		}
	})
}
