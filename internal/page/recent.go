package page

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	// cacheTime is how long the page shows a cached snapshot. It bounds the load on
	// Qlik Sense, independent of the number of viewers.
	cacheTime = 5 * time.Second
	// viewedFor is how long after the last view snapshots of scrapes are cached too.
	// Without viewers, caching them would only cost memory.
	viewedFor = time.Minute
	// maxWait is how long the page waits for links that do not answer.
	maxWait = 10 * time.Second
)

// Source is a Qlik Sense site for scrapes and for the page.
type Source interface {
	// Snapshot reads the sessions of all links. Links that have not answered when ctx
	// ends are unknown.
	Snapshot(ctx context.Context) *headroom.Snapshot
	// Status returns the state of the client and of the data from the repository.
	Status() collector.Status
}

// Recent is a site with a cache of its last snapshot. The page shows the snapshot of
// a recent scrape instead of sending new requests to Qlik Sense.
type Recent struct {
	Source

	last atomic.Pointer[overview] // of the last snapshot; nil before it

	refreshes singleflight.Group
	mu        sync.Mutex
	cached    *cachedSnapshot // nil after expiry, to release the memory
	expiry    *time.Timer
	viewed    time.Time // last view of the page

	names repositorySearch

	// If many viewers wait until their page is built, all see the newest snapshot, so
	// that they do not keep one each.
	viewers int             // who have a snapshot
	newest  *cachedSnapshot // nil without viewers
}

// cachedSnapshot is a snapshot with its rows.
type cachedSnapshot struct {
	*headroom.Snapshot
	rows func() []sessions.Row // computed on the first call
}

// NewRecent returns a site with an empty cache.
func NewRecent(site Source) *Recent { return &Recent{Source: site, names: newRepositorySearch()} }

// Snapshot reads the site. It does not cache an incomplete snapshot, because the
// timeout of a scrape can be shorter than the timeout of the page.
func (r *Recent) Snapshot(ctx context.Context) *headroom.Snapshot {
	snapshot := r.Source.Snapshot(ctx)
	if errors.Is(ctx.Err(), context.Canceled) { // the snapshot is empty
		return snapshot
	}
	r.summarize(snapshot)
	r.mu.Lock()
	viewed := time.Since(r.viewed) < viewedFor
	r.mu.Unlock()
	if viewed && snapshot.Complete() {
		r.cache(snapshot)
	}
	return snapshot
}

// view returns the newest snapshot that was read for the page. The caller must call done
// when its page is built. If none is cached, view reads the site once for all concurrent
// callers. It returns an error if ctx ends before that.
func (r *Recent) view(ctx context.Context) (newest func() *cachedSnapshot, done func(), err error) {
	cached, err := r.recently(ctx)
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.viewers++
	if r.newest == nil || cached.Heard.After(r.newest.Heard) {
		r.newest = cached
	}
	newest = func() *cachedSnapshot {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.newest
	}
	return newest, sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.viewers--; r.viewers == 0 {
			r.newest = nil
		}
	}), nil
}

// recently returns the cached snapshot, or reads the site.
func (r *Recent) recently(ctx context.Context) (*cachedSnapshot, error) {
	if cached := r.cachedNow(); cached != nil {
		return cached, nil
	}
	refreshed := r.refreshes.DoChan("", func() (any, error) {
		if cached := r.cachedNow(); cached != nil { // a previous call has just stored it
			return cached, nil
		}
		// The first caller may cancel while others still wait for the result.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxWait)
		defer cancel()
		snapshot := r.Source.Snapshot(ctx)
		r.summarize(snapshot)
		return r.cache(snapshot), nil
	})
	select {
	case result := <-refreshed:
		return result.Val.(*cachedSnapshot), nil //nolint:errcheck,forcetypeassert // the function above returns this type
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cachedNow returns the cached snapshot, or nil, and records the view.
func (r *Recent) cachedNow() *cachedSnapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.viewed = time.Now()
	return r.cached
}

// Show makes the page show a complete snapshot that was read for another reason.
func (r *Recent) Show(snapshot *headroom.Snapshot) {
	if snapshot.Complete() {
		r.summarize(snapshot)
		r.cache(snapshot)
	}
}

// cache caches a snapshot until cacheTime has passed.
func (r *Recent) cache(snapshot *headroom.Snapshot) *cachedSnapshot {
	stored := &cachedSnapshot{snapshot, sync.OnceValue(func() []sessions.Row {
		return sessions.Rows(snapshot)
	})}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.expiry != nil {
		r.expiry.Stop() // it holds the previous snapshot in memory
	}
	r.cached = stored
	r.expiry = time.AfterFunc(cacheTime, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.cached == stored {
			r.cached = nil
		}
	})
	return stored
}
