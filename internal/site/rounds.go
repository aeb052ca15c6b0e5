package site

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"golang.org/x/sync/singleflight"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// rounds create the snapshots of a site. There is at most one round at a time. Callers
// that need a snapshot during a round share it.
type rounds struct {
	repository *repository
	asker      *asker
	changes    *changes
	ended      func(lifetime time.Duration) // may be nil

	// state is the state after the last round. Only rounds replace it, one after the
	// other. A caller with a short deadline reads it without waiting for the round.
	state  atomic.Pointer[headroom.State]
	shared atomic.Uint64 // number of snapshots that shared a round in progress

	mu      sync.Mutex // guards the fields below
	current *round     // nil if no round is in progress
}

// round is one round of requests to all targets. It does not depend on a single caller.
// It ends when all targets have answered or at the latest deadline of its callers.
type round struct {
	*requests

	early    singleflight.Group // snapshots for callers with an earlier deadline
	asked    time.Time          // start of the round by the site's clock
	done     chan struct{}
	snapshot *headroom.Snapshot // set before done is closed
}

func newRounds(repository *repository, asker *asker, changes *changes, state *headroom.State, ended func(time.Duration)) *rounds {
	r := &rounds{repository: repository, asker: asker, changes: changes, ended: ended}
	r.state.Store(state)
	return r
}

// snapshot joins a round until it is complete or ctx ends.
func (r *rounds) snapshot(ctx context.Context) *headroom.Snapshot {
	current := r.join(ctx)
	select {
	case <-current.done:
		return current.snapshot
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return &headroom.Snapshot{Time: current.asked, Heard: r.repository.now()} // the caller will not use it
	}
	// A separate snapshot is only useful if the deadline is well before that of the
	// round. Otherwise the snapshot of the round is ready just as soon.
	if deadline, _ := ctx.Deadline(); r.asker.isEarlier(current.requests, deadline) {
		if snapshot := r.soFar(current); snapshot != nil {
			return snapshot
		}
	}
	<-current.done
	return current.snapshot
}

// soFar returns a snapshot of the answers so far. Concurrent callers share it. It
// returns nil if the snapshot of the round is already being computed.
func (r *rounds) soFar(current *round) *headroom.Snapshot {
	snapshot, _, _ := current.early.Do("", func() (any, error) {
		answers, available := r.asker.soFar(current.requests)
		if !available {
			return (*headroom.Snapshot)(nil), nil
		}
		return r.state.Load().Preview(r.repository.round(current.asked, answers)), nil
	})
	return snapshot.(*headroom.Snapshot) //nolint:errcheck,forcetypeassert // the function above returns this type
}

// join joins the round in progress or starts one. A round that a caller with an earlier
// deadline has ended is of no use: join waits for its end and starts the next.
func (r *rounds) join(ctx context.Context) *round {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(r.asker.timeout)
	}
	for {
		current, useful := r.joinOrStart(deadline) //nolint:contextcheck // a round must not end with one of its callers
		if useful {
			return current
		}
		select {
		case <-current.done:
		case <-ctx.Done():
			return current
		}
	}
}

// joinOrStart joins the round in progress, if it is useful until the deadline, or starts one.
func (r *rounds) joinOrStart(deadline time.Time) (current *round, useful bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		useful = r.asker.extend(r.current.requests, deadline)
		if useful {
			r.shared.Add(1)
		}
		return r.current, useful
	}
	started := &round{requests: r.asker.prepare(deadline), asked: r.repository.now(), done: make(chan struct{})}
	r.current = started
	r.asker.work.start(func() { r.run(started) })
	return started, true
}

// run sends the requests of a round and computes its snapshot.
func (r *rounds) run(current *round) {
	r.repository.reloadCertificates()
	rows := r.repository.refreshUsage()
	links := r.repository.expectedLinks(current.over)
	asked := r.asker.read(current.requests, newTargets(links, r.repository.engines())) && len(links) > 0
	r.asker.grace(current.requests, rows)
	data := r.repository.round(current.asked, r.asker.finish(current.requests))
	if asked && !r.asker.work.ending() {
		snapshot, state := r.state.Load().Observe(data)
		r.state.Store(state)
		r.publish(snapshot)
		current.snapshot = snapshot
	} else {
		current.snapshot = r.state.Load().Preview(data)
	}
	r.mu.Lock()
	r.current = nil
	r.mu.Unlock()
	close(current.done)
}

// publish reports ended sessions, logs changes of links, and requests new licenses if
// the snapshot needs them.
func (r *rounds) publish(snapshot *headroom.Snapshot) {
	if snapshot.LicensesStale {
		r.repository.expireLicenses()
	}
	if r.ended != nil {
		for _, lifetime := range snapshot.Ended {
			r.ended(lifetime)
		}
	}
	const prefix = "link "
	present := make(map[string]bool, len(snapshot.Links))
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		name := prefix + link.Node + link.VirtualProxy
		present[name] = true
		r.changes.log(name, string(qlik.KindOf(link.Err)),
			func(logger log.Logger) {
				_ = level.Info(logger).Log("msg", "Virtual proxy answers again", "node", link.Node, "virtual_proxy", link.VirtualProxy)
			},
			func(logger log.Logger) {
				_ = level.Warn(logger).Log("msg", "Virtual proxy does not answer", "node", link.Node, "virtual_proxy", link.VirtualProxy,
					"kind", qlik.KindOf(link.Err), "duration", link.Duration, "err", link.Err)
			})
	}
	r.publishEngines(snapshot.Engines, present)
	r.repository.logLeftOut(qlik.SourceEngines)
	r.changes.forget(func(what string) bool {
		return (strings.HasPrefix(what, prefix) || strings.HasPrefix(what, engine)) && !present[what]
	})
}

// engine begins the names of engines in changes.
const engine = "engine "

// publishEngines logs changes of engines and adds them to those that are present.
func (r *rounds) publishEngines(engines []headroom.EngineResult, present map[string]bool) {
	for i := range engines {
		e := &engines[i]
		name := engine + e.Address
		present[name] = true
		r.changes.log(name, string(qlik.KindOf(e.Err)),
			func(logger log.Logger) {
				_ = level.Info(logger).Log("msg", "Engine answers again", "node", e.Node)
			},
			func(logger log.Logger) {
				_ = level.Warn(logger).Log("msg", "Engine does not answer", "node", e.Node,
					"kind", qlik.KindOf(e.Err), "duration", e.Duration, "err", e.Err)
			})
	}
}
