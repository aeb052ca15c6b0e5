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

// flights make the snapshots of a site. There is one at a time, which all share who
// want a snapshot while it is under way.
type flights struct {
	repository *repository
	links      *links
	changes    *changes
	ended      func(life time.Duration) // may be nil

	// state is what the flights have seen. Only they replace it, one after the other.
	// A caller in a hurry reads it without waiting for them.
	state  atomic.Pointer[headroom.State]
	shared atomic.Uint64 // snapshots that took part in a flight under way

	mu      sync.Mutex // guards what follows
	current *flight    // nil if none is under way
}

// flight is one round of questions to all links. It belongs to the site, not to a
// caller: it runs until all links have answered that it waits for, or to the latest
// deadline of its callers.
type flight struct {
	*questions

	early    singleflight.Group // of snapshots for those who are earlier than the flight
	asked    time.Time          // by the site's clock
	done     chan struct{}
	snapshot *headroom.Snapshot // there when done is closed
}

func newFlights(repository *repository, links *links, changes *changes, state *headroom.State, ended func(time.Duration)) *flights {
	f := &flights{repository: repository, links: links, changes: changes, ended: ended}
	f.state.Store(state)
	return f
}

// snapshot takes part in a flight until all links have answered, or ctx ends.
func (f *flights) snapshot(ctx context.Context) *headroom.Snapshot {
	flight := f.join(ctx)
	select {
	case <-flight.done:
		return flight.snapshot
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return &headroom.Snapshot{Time: flight.asked, Heard: f.repository.now()} // nobody will look at it
	}
	// Only who is earlier than the flight gets a snapshot of what is there by then.
	// Else that of the flight comes as soon, and the work is not done twice.
	if deadline, _ := ctx.Deadline(); f.links.isEarlier(flight.questions, deadline) {
		if snapshot := f.soFar(flight); snapshot != nil {
			return snapshot
		}
	}
	<-flight.done
	return flight.snapshot
}

// soFar returns a snapshot of the answers that are there, which is made once for all
// who ask meanwhile, or nil if the flight's own is being made.
func (f *flights) soFar(flight *flight) *headroom.Snapshot {
	snapshot, _, _ := flight.early.Do("", func() (any, error) {
		answers, there := f.links.soFar(flight.questions)
		if !there {
			return (*headroom.Snapshot)(nil), nil
		}
		return f.state.Load().Preview(f.repository.round(flight.asked, answers)), nil
	})
	return snapshot.(*headroom.Snapshot) //nolint:errcheck,forcetypeassert // what the function above returns
}

// join takes part in the flight under way, or starts one.
func (f *flights) join(ctx context.Context) *flight {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(f.links.timeout)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		f.links.extend(f.current.questions, deadline)
		f.shared.Add(1)
		return f.current
	}
	flight := &flight{questions: f.links.prepare(deadline), asked: f.repository.now(), done: make(chan struct{})}
	f.current = flight
	f.links.work.start(func() { f.run(flight) }) //nolint:contextcheck // a flight must not end with one of its callers
	return flight
}

// run asks all links and makes the snapshot.
func (f *flights) run(flight *flight) {
	f.repository.reloadCertificates()
	rows := f.repository.refreshUsage()
	asked := f.links.ask(flight.questions, f.repository.expectedLinks(flight.over))
	f.links.grace(flight.questions, rows)
	round := f.repository.round(flight.asked, f.links.finish(flight.questions))
	if asked && !f.links.work.ending() {
		snapshot, state := f.state.Load().Observe(round)
		f.state.Store(state)
		f.follow(snapshot)
		flight.snapshot = snapshot
	} else {
		flight.snapshot = f.state.Load().Preview(round)
	}
	f.mu.Lock()
	f.current = nil
	f.mu.Unlock()
	close(flight.done)
}

// follow does what a new snapshot asks for.
func (f *flights) follow(snapshot *headroom.Snapshot) {
	if snapshot.LicensesStale {
		f.repository.hurryLicenses()
	}
	if f.ended != nil {
		for _, life := range snapshot.Ended {
			f.ended(life)
		}
	}
	const prefix = "link "
	there := make(map[string]bool, len(snapshot.Links))
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		name := prefix + link.Node + link.VirtualProxy
		there[name] = true
		f.changes.log(name, string(qlik.KindOf(link.Err)),
			func(logger log.Logger) {
				_ = level.Info(logger).Log("msg", "Virtual proxy answers again", "node", link.Node, "virtual_proxy", link.VirtualProxy)
			},
			func(logger log.Logger) {
				_ = level.Warn(logger).Log("msg", "Virtual proxy does not answer", "node", link.Node, "virtual_proxy", link.VirtualProxy,
					"kind", qlik.KindOf(link.Err), "duration", link.Duration, "err", link.Err)
			})
	}
	f.changes.forget(func(what string) bool { return strings.HasPrefix(what, prefix) && !there[what] })
}
