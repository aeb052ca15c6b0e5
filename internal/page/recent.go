package page

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/internal/sessions"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	// keepFor is how long the page shows a snapshot before it asks again, however
	// many people look.
	keepFor = 5 * time.Second
	// watchedFor is how long after somebody looked the snapshots of scrapes are
	// kept, too; they take memory that is not wanted where nobody looks.
	watchedFor = time.Minute
	// maxWait is how long the page waits for links that do not answer.
	maxWait = 10 * time.Second
)

// Source is what scrapes and the page need of a Qlik Sense site.
type Source interface {
	// Snapshot asks all links; what has not answered when ctx ends is unknown.
	Snapshot(ctx context.Context) *headroom.Snapshot
	// Status is what the client knows of itself and of the repository.
	Status() collector.Status
}

// Recent is a site that remembers its last snapshot for a moment, so that the
// page shows what Prometheus was just told instead of asking Qlik again.
type Recent struct {
	Source

	asking singleflight.Group
	mu     sync.Mutex
	kept   *answer // nil when too old, so that it does not take memory for long
	forget *time.Timer
	looked time.Time // when somebody did last
}

// answer is a snapshot as the page needs it.
type answer struct {
	*headroom.Snapshot
	rows func() []sessions.Row // made once, when first wanted
}

// NewRecent makes a site remember.
func NewRecent(site Source) *Recent { return &Recent{Source: site} }

// Snapshot asks the site. An incomplete answer is not remembered, because the
// caller may just have been in more of a hurry than people are.
func (r *Recent) Snapshot(ctx context.Context) *headroom.Snapshot {
	snapshot := r.Source.Snapshot(ctx)
	r.mu.Lock()
	watched := time.Since(r.looked) < watchedFor
	r.mu.Unlock()
	if watched && snapshot.Complete() {
		r.keep(snapshot)
	}
	return snapshot
}

// recently returns what is remembered, else asks the site, once for all who
// want to know.
func (r *Recent) recently(ctx context.Context) *answer {
	if kept := r.recall(); kept != nil {
		return kept
	}
	asked, _, _ := r.asking.Do("", func() (any, error) {
		if kept := r.recall(); kept != nil { // by those who asked just before
			return kept, nil
		}
		// Who asks first may leave; the others still want the answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxWait)
		defer cancel()
		return r.keep(r.Source.Snapshot(ctx)), nil
	})
	return asked.(*answer) //nolint:errcheck,forcetypeassert // what the function above returns
}

func (r *Recent) recall() *answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = time.Now()
	return r.kept
}

func (r *Recent) keep(snapshot *headroom.Snapshot) *answer {
	kept := &answer{snapshot, sync.OnceValue(func() []sessions.Row { return sessions.Rows(snapshot) })}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forget != nil {
		r.forget.Stop() // it holds the last one
	}
	r.kept = kept
	r.forget = time.AfterFunc(keepFor, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.kept == kept {
			r.kept = nil
		}
	})
	return kept
}
