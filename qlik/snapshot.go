package qlik

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// maxRequestsPerSite bounds the requests to all proxies of a site at once.
const maxRequestsPerSite = 128

// Snapshot is a site's answer to the question who has sessions: all links asked
// at one moment. It is shared and must not be altered.
type Snapshot struct {
	Time     time.Time    // when the links were asked
	Links    []LinkResult // expected to answer, ordered by node and prefix
	Sessions []Session    // of all links that answered, each session id once
	Limit    int          // sessions that a user may have at once
	Users    []UserStatus // ordered by user

	Tracking       Tracking
	Licenses       *Licenses // nil while not read
	UsageKnown     bool      // usage rows were read within the last 15 s
	UsagePlausible bool      // they reflect sessions
	Services       []ServiceState

	usage []usageRow // those that effective headroom goes by
	hash  func(SessionID) sessionHash
}

// Usage is what a usage row says of a session that holds a slot.
type Usage struct {
	LastActivity time.Time // zero if not said
}

// Usage returns the usage rows of the snapshot's sessions. A session without one
// holds no slot, or nothing is known: see UsageKnown and UsagePlausible. The rows
// are kept by hashes, and joined only for those who ask.
func (s *Snapshot) Usage() map[SessionID]Usage {
	if len(s.usage) == 0 {
		return nil
	}
	rows := make(map[sessionHash]*usageRow, len(s.usage))
	for i := range s.usage {
		rows[s.usage[i].session] = &s.usage[i]
	}
	usage := make(map[SessionID]Usage, len(rows))
	for i := range s.Sessions {
		if row := rows[s.hash(s.Sessions[i].ID)]; row != nil {
			usage[s.Sessions[i].ID] = Usage{LastActivity: row.activity}
		}
	}
	return usage
}

// Tracking is what the tracking between snapshots has seen since its start.
type Tracking struct {
	Totals

	Since time.Time // zero before the first snapshot
}

// LinkResult is what one link answered.
type LinkResult struct {
	Link
	Sessions          []Session     // as listed by this link
	Duration          time.Duration // until the whole answer was read, or given up
	CertificateExpiry time.Time     // of the node's certificate; zero where none was seen
	Err               error         // nil, or an *Error: then the link's sessions are unknown
	Stopped           bool          // its proxy has stopped, so that it has no sessions
}

// Up says whether at least one link answered. If not, nothing is known.
func (s *Snapshot) Up() bool {
	return slices.ContainsFunc(s.Links, func(l LinkResult) bool { return l.Err == nil })
}

// Complete says whether every link answered that may have sessions. If not, all
// counts are lower bounds.
func (s *Snapshot) Complete() bool {
	return s.Up() && !slices.ContainsFunc(s.Links, func(l LinkResult) bool { return l.Err != nil && !l.Stopped })
}

// newSnapshot joins the answers of links. The same session id on two of them is
// one session.
func newSnapshot(at time.Time, links []LinkResult) *Snapshot {
	snapshot := &Snapshot{Time: at, Links: links}
	total := 0
	for i := range links {
		total += len(links[i].Sessions)
		// Who answers has not stopped, whatever the repository says.
		links[i].Stopped = links[i].Stopped && !slices.ContainsFunc(links, func(l LinkResult) bool {
			return l.Err == nil && l.Node == links[i].Node
		})
	}
	seen := make(map[SessionID]struct{}, total)
	snapshot.Sessions = make([]Session, 0, total)
	for i := range links {
		for _, session := range links[i].Sessions {
			if _, again := seen[session.ID]; again {
				continue
			}
			seen[session.ID] = struct{}{}
			snapshot.Sessions = append(snapshot.Sessions, session)
		}
	}
	return snapshot
}

var errNotInTime = errors.New("no whole answer in time")

// flight is one round of questions to all links, shared by all who want a
// snapshot while it is under way. It belongs to the site, not to a caller: it
// runs until all links answered, or to the latest deadline of its callers.
type flight struct {
	started time.Time // when answers begin to grow old
	at      time.Time // the same by the site's clock
	cancel  context.CancelFunc
	done    chan struct{} // closed when result is final

	mu       sync.Mutex
	deadline time.Time
	timer    *time.Timer
	results  []LinkResult // Err is errNotInTime until answered
	whole    *Snapshot    // set when done
}

// Snapshot asks all links of the site at once and returns when all have
// answered, or when ctx ends, with what is known by then. Overlapping calls
// share one round of questions, each taking from it what is there at its own
// deadline; a caller that leaves or is in a hurry takes nothing from the others.
func (s *Site) Snapshot(ctx context.Context) *Snapshot {
	f := s.join(ctx)
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	return s.snapshotOf(f)
}

// join takes part in the flight under way, or starts one.
func (s *Site) join(ctx context.Context) *flight { //nolint:contextcheck // a flight must not end with one of its callers
	now := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = now.Add(s.config.Timeout)
	}
	s.flightMu.Lock()
	defer s.flightMu.Unlock()
	// A flight kept in the air by a hanging link holds answers that grow old:
	// nobody boards it after the time that a single request may take.
	if f := s.flight; f != nil && now.Sub(f.started) < s.config.Timeout && f.extend(deadline) {
		s.shared.Add(1)
		return f
	}
	flightCtx, cancel := context.WithCancel(s.ctx)
	f := &flight{started: now, at: s.config.Now(), cancel: cancel, done: make(chan struct{}), deadline: deadline}
	f.timer = time.AfterFunc(deadline.Sub(now), cancel)
	s.flight = f
	s.flights.Go(func() {
		defer cancel()
		s.fly(flightCtx, f)
	})
	return f
}

// extend moves the deadline to a later one. It fails when the flight is over.
func (f *flight) extend(deadline time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.whole != nil {
		return false
	}
	if deadline.After(f.deadline) {
		if !f.timer.Stop() {
			return false // just ended
		}
		f.timer.Reset(time.Until(deadline))
		f.deadline = deadline
	}
	return true
}

// snapshotOf returns what is known of a flight by now.
func (s *Site) snapshotOf(f *flight) *Snapshot {
	f.mu.Lock()
	whole, results := f.whole, slices.Clone(f.results)
	f.mu.Unlock()
	if whole != nil {
		return whole
	}
	f.markLate(results)
	snapshot := newSnapshot(f.at, results)
	s.trackMu.Lock()
	defer s.trackMu.Unlock()
	s.describe(snapshot, false)
	return snapshot
}

// markLate gives the links that have not answered an error of their own.
func (f *flight) markLate(results []LinkResult) {
	for i := range results {
		if results[i].Err == errNotInTime { //nolint:errorlint // the mark itself
			results[i].Duration = time.Since(f.started)
			results[i].Err = &Error{Op: "GET", Target: "https://" + results[i].Address + results[i].path(), Kind: KindTimeout, Err: errNotInTime}
		}
	}
}

// fly asks all links and ends the flight.
func (s *Site) fly(ctx context.Context, f *flight) {
	s.reloadCertificates()
	links, hasStopped := s.expectedLinks()
	rowsRead := s.refreshUsage() //nolint:contextcheck // read to the end whoever waits

	f.mu.Lock()
	f.results = make([]LinkResult, len(links))
	byNode := make(map[string][]*LinkResult)
	for i := range links {
		f.results[i] = LinkResult{Link: links[i], Err: errNotInTime, Stopped: hasStopped(links[i].Node)}
		byNode[links[i].Node] = append(byNode[links[i].Node], &f.results[i])
	}
	f.mu.Unlock()

	if ctx.Err() != nil { // waiting for the topology took all the time
		f.mu.Lock()
		f.markLate(f.results)
		snapshot := newSnapshot(f.at, f.results)
		f.mu.Unlock()
		s.trackMu.Lock()
		s.describe(snapshot, false)
		s.trackMu.Unlock()
		s.land(f, snapshot)
		return
	}

	var nodes sync.WaitGroup
	for node, limit := range shareRequests(byNode) {
		nodes.Go(func() {
			var requests errgroup.Group
			requests.SetLimit(limit)
			for _, result := range byNode[node] {
				requests.Go(func() error {
					s.ask(ctx, f, result)
					return nil // the outcome is in the result
				})
			}
			_ = requests.Wait()
		})
	}
	nodes.Wait()
	select {
	case <-rowsRead:
	case <-ctx.Done():
	case <-time.After(usageGrace):
	}

	f.mu.Lock() // a caller may leave with what is there just now
	whole := newSnapshot(f.at, f.results)
	f.mu.Unlock()
	s.noteAnswers(whole)
	s.trackMu.Lock()
	// A flight that a hanging link kept in the air may end after a later one; its
	// answers are older.
	if len(links) > 0 && !f.started.Before(s.observed) {
		s.observed = f.started
		s.tracker.observe(f.results, s.config.Now())
	}
	s.describe(whole, true)
	s.trackMu.Unlock()
	s.noteLinks(whole)
	s.land(f, whole)
}

// land ends a flight.
func (s *Site) land(f *flight, whole *Snapshot) {
	f.mu.Lock()
	f.timer.Stop()
	f.whole = whole
	f.mu.Unlock()

	s.flightMu.Lock()
	if s.flight == f {
		s.flight = nil
	}
	s.flightMu.Unlock()
	close(f.done)
}

// ask asks one link and notes the answer in its result, which f.mu guards.
func (s *Site) ask(ctx context.Context, f *flight, result *LinkResult) {
	link := &result.Link // never written to again
	start := time.Now()
	sessions, expiry, err := s.client.listSessions(ctx, link)
	duration := time.Since(start)

	f.mu.Lock()
	defer f.mu.Unlock()
	result.Sessions, result.CertificateExpiry, result.Err, result.Duration = sessions, expiry, err, duration
}

// shareRequests says how many requests each node may be asked at once: as many
// as it has links, at most maxConnectionsPerNode, and so that all nodes together
// stay within maxRequestsPerSite. Slots are given out in turns and belong to
// their node, so that nodes that hang cannot use up those of the others.
func shareRequests[T any](byNode map[string][]T) map[string]int {
	limits := make(map[string]int, len(byNode))
	for left := maxRequestsPerSite; left > 0; {
		given := 0
		for node, links := range byNode {
			if limits[node] < min(len(links), maxConnectionsPerNode) && left > 0 {
				limits[node]++
				left--
				given++
			}
		}
		if given == 0 {
			break
		}
	}
	for node := range byNode {
		limits[node] = max(limits[node], 1) // more nodes than slots
	}
	return limits
}
