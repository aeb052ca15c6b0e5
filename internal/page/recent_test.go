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
		view := func(viewers int) {
			var all sync.WaitGroup
			for range viewers {
				all.Go(func() { recent.recently(t.Context()) })
			}
			all.Wait()
		}
		for _, step := range []struct {
			name  string
			do    func()
			reads int64
		}{
			{"a hundred at once", func() { view(100) }, 1},
			{"within five seconds", func() { time.Sleep(cacheTime - time.Millisecond); view(100) }, 1},
			{"after five seconds", func() { time.Sleep(2 * time.Millisecond); view(100) }, 2},
			{"a scrape", func() { time.Sleep(cacheTime + time.Millisecond); recent.Snapshot(t.Context()) }, 3},
			{"right after a scrape", func() { view(100) }, 3},
			{"a scrape always reads the site", func() { recent.Snapshot(t.Context()) }, 4},
			{"an incomplete scrape", func() {
				time.Sleep(cacheTime + time.Millisecond)
				site.snapshot = sessionstest.Snapshot(nil)
				site.snapshot.Links[0].Err = io.EOF
				recent.Snapshot(t.Context())
			}, 5},
			{"is not cached for viewers", func() { view(100) }, 6},
			{"an incomplete snapshot of a viewer is cached", func() { view(100) }, 6},
		} {
			step.do()
			if reads := site.reads.Load(); reads != step.reads {
				t.Errorf("%s: read %d times, want %d", step.name, reads, step.reads)
			}
		}
	})
}

// TestWaitIsBounded checks that a link that hangs delays the page by ten seconds, even
// if the first caller cancels.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := NewRecent(&answers{snapshot: sessionstest.Snapshot(nil), after: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		recent.recently(ctx)
		if waited := time.Since(begin); waited != maxWait {
			t.Errorf("waited %s, want %s", waited, maxWait)
		}
	})
}
