package page

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
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
				all.Go(func() {
					if _, err := recent.recently(t.Context()); err != nil {
						t.Error(err)
					}
				})
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
// if the first caller cancels. A caller that cancels does not wait.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := &answers{snapshot: sessionstest.Snapshot(nil), after: time.Hour}
		recent := NewRecent(site)
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := recent.recently(ctx); err == nil || time.Since(begin) != time.Second {
				t.Errorf("the caller that canceled waited %s, %v", time.Since(begin), err)
			}
		})
		time.Sleep(time.Second)
		cancel()
		if _, err := recent.recently(t.Context()); err != nil || time.Since(begin) != maxWait || site.reads.Load() != 1 {
			t.Errorf("waited %s, want %s, with %d reads, %v", time.Since(begin), maxWait, site.reads.Load(), err)
		}
		waiting.Wait()
	})
}

// TestViewersThatWaitShareSnapshots checks that viewers whose page waits to be built use
// the newest snapshot, and that none is kept after the last one.
func TestViewersThatWaitShareSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := new(answers)
		recent := NewRecent(site)
		var views []func() *cachedSnapshot
		var ends []func()
		for i := range 10 {
			site.snapshot = sessionstest.Snapshot(nil)
			site.snapshot.Heard = sessionstest.Noon.Add(time.Duration(i) * time.Minute)
			newest, done, err := recent.view(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			views, ends = append(views, newest), append(ends, done)
			time.Sleep(2 * cacheTime)
		}
		for i, newest := range views {
			if newest().Snapshot != site.snapshot {
				t.Errorf("view %d is not of the newest snapshot", i)
			}
			ends[i]()
			ends[i]()
		}
		if recent.newest != nil || recent.viewers != 0 {
			t.Errorf("%d viewers are left", recent.viewers)
		}
	})
}

// TestNoPageForClientsThatLeft checks that no more of the page is built once its client
// has disconnected.
func TestNoPageForClientsThatLeft(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	config := Config{
		Names: func() []string { return []string{""} },
		Use: func(string) (Site, func(), bool) {
			return Site{Recent: NewRecent(&answers{snapshot: sessionstest.Crowd(10)})}, func() {}, true
		},
		Respond: func(w http.ResponseWriter, r *http.Request, build http.HandlerFunc) {
			leave() // while it waits for its turn
			build(w, r)
		},
	}
	answer := httptest.NewRecorder()
	New(config).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/sessions", http.NoBody).WithContext(ctx))
	if answer.Body.Len() > 0 {
		t.Errorf("got %d bytes", answer.Body.Len())
	}
}
