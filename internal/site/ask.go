package site

import (
	"errors"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// maxRequests bounds the requests to all proxies of the site at once.
const maxRequests = 128

// errUnanswered marks links that have not answered yet.
var errUnanswered = errors.New("not answered yet")

type linkKey struct{ node, virtualProxy string }

func keyOf(link *qlik.Link) linkKey { return linkKey{link.Node, link.VirtualProxy} }

// ask asks links for their sessions and waits until it is over. It returns false
// if there was nobody to ask, or no time.
func (s *Site) ask(f *flight, links []qlik.Link) bool {
	select {
	case <-f.over: // finding out the links took all the time
		s.expect(f, links)
		return false
	default:
	}
	for _, node := range s.prepare(f, links) {
		for range node.requests {
			s.work.Go(func() { s.askInTurn(f, node.links) })
		}
	}
	select {
	case <-f.over:
	case <-s.ctx.Done():
	}
	return len(links) > 0
}

// expect puts the links into the results, none of them answered.
func (s *Site) expect(f *flight, links []qlik.Link) {
	results := make([]headroom.LinkResult, len(links))
	for i := range links {
		results[i] = headroom.LinkResult{Link: links[i], Err: errUnanswered}
	}
	s.flightMu.Lock()
	defer s.flightMu.Unlock()
	f.results = results
}

// nodeQueue is the links of a node that are to be asked, by their numbers in the
// flight.
type nodeQueue struct {
	links    chan int // closed
	requests int      // at once
}

// prepare decides which links are asked and how long each is waited for. A link
// whose last request is still under way is unknown at once.
func (s *Site) prepare(f *flight, links []qlik.Link) []nodeQueue {
	s.expect(f, links)
	s.flightMu.Lock()
	defer s.flightMu.Unlock()
	// What is asked now is not waited for longer than a single request may take:
	// the first answers would be too old. Requests that end just then still count.
	f.latest = time.Now().Add(s.config.Client.Timeout + sameMoment)
	if f.deadline.After(f.latest) {
		f.deadline = f.latest
		f.timer.Reset(time.Until(f.deadline))
	}
	watches := make(map[linkKey]*watch, len(links))
	byNode := make(map[string][]int)
	running := make(map[string]int) // requests of earlier flights, by node
	f.waiting = make([]bool, len(links))
	for i := range links {
		key, node := keyOf(&links[i]), links[i].Node
		w := s.watches[key]
		if w == nil {
			w = new(watch)
		}
		watches[key] = w
		if !w.begun.IsZero() {
			running[node]++
			continue
		}
		byNode[node] = append(byNode[node], i)
		f.waiting[i] = true
		f.left++
		if w.late {
			f.patience = append(f.patience, time.AfterFunc(w.patience(), func() { s.giveUp(f, i) }))
		}
	}
	s.watches = watches
	var queues []nodeQueue
	for node, requests := range shareRequests(byNode) {
		queue := nodeQueue{make(chan int, len(byNode[node])), requests - running[node]}
		for _, i := range byNode[node] {
			queue.links <- i
		}
		close(queue.links)
		queues = append(queues, queue)
		if queue.requests <= 0 { // it has as many as it may have, and does not answer them
			for _, i := range byNode[node] {
				s.miss(f, i)
			}
		}
	}
	if f.left == 0 {
		f.close()
	}
	return queues
}

// askInTurn asks links of a node one after the other, as long as somebody waits
// for them.
func (s *Site) askInTurn(f *flight, links <-chan int) {
	for i := range links {
		link, w, begun := s.begin(f, i)
		if link == nil {
			continue
		}
		sessions, answer, err := s.client.Sessions(s.ctx, link)
		s.flightMu.Lock()
		w.begun = time.Time{}
		if took := time.Since(begun); f.waits(i) {
			w.answered(took, err)
			result := &f.results[i]
			result.Sessions, result.Err = sessions, err
			result.Duration, result.CertificateExpiry = answer.Took, answer.CertificateExpiry
			f.stopWaiting(i)
		} else {
			w.answeredLate(took, f.deadline.Sub(f.begun), err)
		}
		s.flightMu.Unlock()
	}
}

// begin notes that a link is being asked, or returns nil if nobody waits for it any
// more.
func (s *Site) begin(f *flight, i int) (link *qlik.Link, w *watch, asked time.Time) {
	s.flightMu.Lock()
	defer s.flightMu.Unlock()
	if !f.waits(i) {
		return nil, nil, time.Time{}
	}
	link = &f.results[i].Link // never written to again
	w = s.watches[keyOf(link)]
	w.begun = time.Now()
	return link, w, w.begun
}

// giveUp ends the waiting for a link that was late before.
func (s *Site) giveUp(f *flight, i int) {
	s.flightMu.Lock()
	defer s.flightMu.Unlock()
	if f.waits(i) {
		s.miss(f, i)
	}
}

// miss ends the waiting for a link without an answer. The caller holds flightMu.
func (s *Site) miss(f *flight, i int) {
	s.watches[keyOf(&f.results[i].Link)].missed()
	f.stopWaiting(i)
}

// waits says whether the answer of a link is waited for. The caller holds flightMu.
func (f *flight) waits(i int) bool { return !f.closed && f.waiting[i] }

// stopWaiting notes that the answer of a link is there, or will not be waited for.
// The caller holds flightMu.
func (f *flight) stopWaiting(i int) {
	f.waiting[i] = false
	if f.left--; f.left == 0 {
		f.close()
	}
}

// shareRequests says how many requests each node may be asked at once: as many
// as it has links, at most qlik.MaxConnectionsPerNode, and so that all nodes
// together stay within maxRequests. They are given out in turns and belong to
// their node, so that nodes that hang cannot use up those of the others.
func shareRequests[T any](byNode map[string][]T) map[string]int {
	limits := make(map[string]int, len(byNode))
	for left := maxRequests; left > 0; {
		given := 0
		for node, links := range byNode {
			if limits[node] < min(len(links), qlik.MaxConnectionsPerNode) && left > 0 {
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
		limits[node] = max(limits[node], 1) // more nodes than requests
	}
	return limits
}
