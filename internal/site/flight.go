package site

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// flight is one round of questions to all links, shared by all who want a
// snapshot while it is under way. It belongs to the site, not to a caller: it
// runs until all links have answered that it waits for, or to the latest deadline
// of its callers. There is one at a time.
type flight struct {
	begun time.Time // by the real clock, which deadlines go by
	asked time.Time // by the site's clock

	over     chan struct{} // closed when no answer is waited for any longer
	done     chan struct{} // closed when there is a snapshot
	snapshot *headroom.Snapshot

	// Guarded by Site.flightMu.
	deadline  time.Time
	latest    time.Time // the deadline that cannot be moved; zero before the links are asked
	timer     *time.Timer
	closed    bool // over is
	reckoning bool // nothing more goes into the snapshot
	results   []headroom.LinkResult
	waiting   []bool // for the answers, by link
	left      int    // answers that are waited for
	patience  []*time.Timer
}

// Snapshot asks all links of the site at once and returns when all have
// answered, or when ctx ends, with what is known by then. Overlapping calls
// share one flight, each taking from it what is there at its own deadline; a
// caller that leaves or is in a hurry takes nothing from the others.
func (s *Site) Snapshot(ctx context.Context) *headroom.Snapshot {
	f := s.join(ctx)
	select {
	case <-f.done:
		return f.snapshot
	case <-ctx.Done():
	}
	if round, early := s.roundSoFar(ctx, f); early {
		return s.state.Load().Preview(round)
	}
	<-f.done // at once: its deadline is over, too
	return f.snapshot
}

// join takes part in the flight under way, or starts one.
func (s *Site) join(ctx context.Context) *flight { //nolint:contextcheck // a flight must not end with one of its callers
	now := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = now.Add(s.config.Client.Timeout)
	}
	s.flightMu.Lock()
	defer s.flightMu.Unlock()
	if f := s.flight; f != nil {
		f.extend(deadline)
		s.shared.Add(1)
		return f
	}
	f := &flight{begun: now, asked: s.now(), over: make(chan struct{}), done: make(chan struct{}), deadline: deadline}
	f.timer = time.AfterFunc(time.Until(deadline), func() { s.expire(f) })
	s.flight = f
	s.work.Go(func() { s.fly(f) })
	return f
}

// extend moves the deadline to a later one. The caller holds flightMu.
func (f *flight) extend(deadline time.Time) {
	if !f.latest.IsZero() && deadline.After(f.latest) {
		deadline = f.latest
	}
	if !f.closed && deadline.After(f.deadline) {
		f.deadline = deadline
		f.timer.Reset(time.Until(deadline))
	}
}

// expire ends the waiting of a flight at its deadline.
func (s *Site) expire(f *flight) {
	s.flightMu.Lock()
	defer s.flightMu.Unlock()
	if !time.Now().Before(f.deadline) { // else it was moved just now
		f.close()
	}
}

// close ends the waiting. The caller holds flightMu.
func (f *flight) close() {
	if f.closed {
		return
	}
	f.closed = true
	f.timer.Stop()
	for _, timer := range f.patience {
		timer.Stop()
	}
	close(f.over)
}

// fly asks all links and makes the snapshot.
func (s *Site) fly(f *flight) {
	s.reloadCertificates()
	rows := s.refreshUsage()
	links := s.expectedLinks(f.over)
	asked := s.ask(f, links)
	s.awaitRows(f, rows)
	round := s.finish(f)
	state := s.state.Load()
	if asked && s.ctx.Err() == nil {
		f.snapshot, state = state.Observe(round)
		s.state.Store(state)
		s.follow(f.snapshot)
	} else {
		f.snapshot = state.Preview(round)
	}
	s.flightMu.Lock()
	s.flight = nil
	s.flightMu.Unlock()
	close(f.done)
}

// usageGrace is how long a flight waits for usage rows that come later than the
// links. A scrape must not wait long for them.
const usageGrace = 500 * time.Millisecond

// awaitRows waits a moment for the usage rows.
func (s *Site) awaitRows(f *flight, rows <-chan struct{}) {
	s.flightMu.Lock()
	left := time.Until(f.deadline)
	s.flightMu.Unlock()
	grace := time.NewTimer(min(usageGrace, max(left, 0)))
	defer grace.Stop()
	select {
	case <-rows:
	case <-grace.C:
	case <-s.ctx.Done():
	}
}

// finish takes the answers from a flight. What comes later is thrown away.
func (s *Site) finish(f *flight) headroom.Round {
	s.flightMu.Lock()
	f.close()
	f.reckoning = true
	for i, waiting := range f.waiting {
		if waiting {
			s.watches[keyOf(&f.results[i].Link)].missed()
			f.waiting[i] = false
		}
	}
	results := f.results
	f.results = nil
	s.flightMu.Unlock()
	return s.round(f, results)
}

// sameMoment is within what time two deadlines are the same.
const sameMoment = 100 * time.Millisecond

// roundSoFar returns what is known of a flight by now, for a caller whose time is
// up before that of the flight. Else the flight's own snapshot comes as soon as one
// that the caller could have, and the work is not done twice.
func (s *Site) roundSoFar(ctx context.Context, f *flight) (round headroom.Round, early bool) {
	deadline, _ := ctx.Deadline()
	s.flightMu.Lock()
	early = !f.reckoning && (f.deadline.Sub(deadline) > sameMoment || errors.Is(ctx.Err(), context.Canceled))
	results := slices.Clone(f.results)
	s.flightMu.Unlock()
	if !early {
		return headroom.Round{}, false
	}
	return s.round(f, results), true
}

// round makes a round of the answers of links and of what the repository said.
func (s *Site) round(f *flight, results []headroom.LinkResult) headroom.Round {
	for i := range results {
		if result := &results[i]; result.Err == errUnanswered { //nolint:errorlint // the mark itself
			result.Duration = time.Since(f.begun)
			result.Err = qlik.NotInTime(&result.Link)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return headroom.Round{
		Asked: f.asked, Heard: s.now(), Links: results,
		Usage: s.known.usage, Licenses: s.known.licenses, Services: s.known.services.Named(s.known.links),
	}
}

// follow does what a new snapshot asks for.
func (s *Site) follow(snapshot *headroom.Snapshot) {
	if snapshot.LicensesStale {
		s.mu.Lock()
		s.wantLicenses = true
		s.mu.Unlock()
	}
	if s.config.SessionEnded != nil {
		for _, life := range snapshot.Ended {
			s.config.SessionEnded(life)
		}
	}
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		s.changes.note("link "+link.Node+link.VirtualProxy, string(qlik.KindOf(link.Err)),
			func(logger log.Logger) {
				_ = level.Info(logger).Log("msg", "Virtual proxy answers again", "node", link.Node, "virtual_proxy", link.VirtualProxy)
			},
			func(logger log.Logger) {
				_ = level.Warn(logger).Log("msg", "Virtual proxy does not answer", "node", link.Node, "virtual_proxy", link.VirtualProxy,
					"kind", qlik.KindOf(link.Err), "duration", link.Duration, "err", link.Err)
			})
	}
}

// EndSession ends a session on every link of the snapshot that lists it. It
// returns false if none of them knew the session any more. An error is one
// *qlik.Error or wraps several.
func (s *Site) EndSession(ctx context.Context, snapshot *headroom.Snapshot, id qlik.SessionID) (ended bool, err error) {
	for i := range snapshot.Links {
		link := &snapshot.Links[i]
		if !slices.ContainsFunc(link.Sessions, func(session qlik.Session) bool { return session.ID == id }) {
			continue
		}
		here, failure := s.client.EndSession(ctx, &link.Link, id)
		ended = ended || here
		err = joined(err, failure)
	}
	s.mu.Lock()
	s.usage.hurry()
	s.mu.Unlock()
	return ended, err
}
