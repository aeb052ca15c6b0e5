package site

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	// maxRequests bounds the requests to all proxies of the site at once.
	maxRequests = 128
	// usageGrace is how long usage rows are waited for that come later than the
	// links. A scrape must not wait long for them.
	usageGrace = 500 * time.Millisecond
	// sameMoment is within what time two deadlines are the same.
	sameMoment = 100 * time.Millisecond
)

// errUnanswered marks links that have not answered yet.
var errUnanswered = errors.New("not answered yet")

type linkKey struct{ node, virtualProxy string }

func keyOf(link *qlik.Link) linkKey { return linkKey{link.Node, link.VirtualProxy} }

// links asks the links of a site, and remembers how they answered.
type links struct {
	client  *qlik.Client
	work    *work
	timeout time.Duration // of one request

	mu      sync.Mutex // guards what follows, and what is in questions
	watches map[linkKey]*watch
}

func newLinks(client *qlik.Client, work *work) *links {
	return &links{client: client, work: work, timeout: client.Config().Timeout, watches: make(map[linkKey]*watch)}
}

// questions is one round of questions to the links. Their answers are waited for
// until a deadline, which can be moved.
type questions struct {
	begun time.Time     // by the real clock, which deadlines go by
	over  chan struct{} // closed when no answer is waited for any longer

	// Guarded by links.mu.
	deadline time.Time
	asked    time.Time // when the links were asked; zero before
	timer    *time.Timer
	closed   bool // over is
	finished bool // the answers have been taken
	answers  []headroom.LinkResult
	waiting  []bool // for the answers, by link
	began    []bool // whether they began to come in, by link
	left     int    // answers that are waited for
	patience []*time.Timer
}

// prepare returns questions that are asked later, but whose deadline counts
// already.
func (l *links) prepare(deadline time.Time) *questions {
	q := &questions{begun: time.Now(), over: make(chan struct{}), deadline: deadline}
	l.mu.Lock() // the timer may run out at once
	defer l.mu.Unlock()
	q.timer = time.AfterFunc(time.Until(deadline), func() { l.expire(q) })
	return q
}

// extend moves the deadline to a later one, as far as that is possible.
func (l *links) extend(q *questions, deadline time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !q.asked.IsZero() {
		deadline = l.latest(q, deadline)
	}
	if !q.closed && deadline.After(q.deadline) {
		q.move(deadline)
	}
}

// latest returns a deadline that is not too late: links are not waited for longer
// than a single request may take, because the first answers would be too old.
// Requests that end just then still count. The caller holds the mutex.
func (l *links) latest(q *questions, deadline time.Time) time.Time {
	if latest := q.asked.Add(l.timeout + sameMoment); deadline.After(latest) {
		return latest
	}
	return deadline
}

// move moves the deadline. The caller holds the mutex.
func (q *questions) move(deadline time.Time) {
	q.deadline = deadline
	q.timer.Reset(time.Until(deadline))
}

// expire ends the waiting at the deadline.
func (l *links) expire(q *questions) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(q.deadline) { // else it was moved just now
		q.close()
	}
}

// close ends the waiting. The caller holds the mutex.
func (q *questions) close() {
	if q.closed {
		return
	}
	q.closed = true
	q.timer.Stop()
	for _, timer := range q.patience {
		timer.Stop()
	}
	close(q.over)
}

// ask asks links for their sessions and waits until that is over. It returns false
// if there was nobody to ask, or no time.
func (l *links) ask(q *questions, links []qlik.Link) bool {
	for _, node := range l.begin(q, links) {
		for range node.requests {
			l.work.start(func() { l.askInTurn(q, node.links) })
		}
	}
	select {
	case <-q.over:
	case <-l.work.ctx.Done():
	}
	return len(links) > 0 && !q.asked.IsZero()
}

// nodeQueue is the links of a node that are to be asked, by their numbers.
type nodeQueue struct {
	links    chan int // closed
	requests int      // at once
}

// begin decides which links are asked and how long each is waited for. A link whose
// last request is still under way is unknown at once.
func (l *links) begin(q *questions, links []qlik.Link) []nodeQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.answers, q.waiting, q.began = make([]headroom.LinkResult, len(links)), make([]bool, len(links)), make([]bool, len(links))
	for i := range links {
		q.answers[i] = headroom.LinkResult{Link: links[i], Err: errUnanswered}
	}
	if q.closed { // finding out the links took all the time
		return nil
	}
	q.asked = time.Now()
	q.move(l.latest(q, q.deadline))
	watches := make(map[linkKey]*watch, len(links)) // without those of links that are gone
	byNode := make(map[string][]int)
	running := make(map[string]int) // requests that are still under way, by node
	for i := range links {
		key, node := keyOf(&links[i]), links[i].Node
		w := l.watches[key]
		if w == nil {
			w = new(watch)
		}
		watches[key] = w
		if w.running {
			running[node]++
			continue
		}
		byNode[node] = append(byNode[node], i)
		q.waiting[i] = true
		q.left++
		if w.late {
			begins, whole := w.patience()
			q.patience = append(q.patience,
				time.AfterFunc(begins, func() { l.giveUp(q, i, false) }),
				time.AfterFunc(whole, func() { l.giveUp(q, i, true) }))
		}
	}
	l.watches = watches
	var queues []nodeQueue
	for node, requests := range shareRequests(byNode) {
		queue := nodeQueue{make(chan int, len(byNode[node])), requests - running[node]}
		for _, i := range byNode[node] {
			queue.links <- i
			if queue.requests <= 0 { // the node has as many as it may have, and does not answer them
				l.miss(q, i)
			}
		}
		close(queue.links)
		queues = append(queues, queue)
	}
	if q.left == 0 {
		q.close()
	}
	return queues
}

// askInTurn asks links of a node one after the other, as long as somebody waits
// for them.
func (l *links) askInTurn(q *questions, numbers <-chan int) {
	for i := range numbers {
		l.mu.Lock()
		if !q.waits(i) {
			l.mu.Unlock()
			continue
		}
		link := &q.answers[i].Link // never written to again
		w := l.watches[keyOf(link)]
		w.running = true
		l.mu.Unlock()

		var began time.Time
		sessions, answer, err := l.client.Sessions(l.work.ctx, link, func() { began = l.begun(q, i) })

		l.mu.Lock()
		w.running = false
		if took := time.Since(q.asked); q.waits(i) {
			w.answered(began.Sub(q.asked), took, err)
			q.answers[i] = headroom.LinkResult{
				Link: *link, Sessions: sessions, Err: err, Duration: answer.Took, CertificateExpiry: answer.CertificateExpiry,
			}
			q.stopWaiting(i)
		} else {
			w.answeredLate(began.Sub(q.asked), took, q.deadline.Sub(q.asked), err)
		}
		l.mu.Unlock()
	}
}

// begun notes that the answer of a link begins to come in.
func (l *links) begun(q *questions, i int) time.Time {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.waits(i) {
		q.began[i] = true
	}
	return now
}

// giveUp ends the waiting for a link that was late before; unless at any rate, only
// if its answer has not begun.
func (l *links) giveUp(q *questions, i int, atAnyRate bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.waits(i) && (atAnyRate || !q.began[i]) {
		l.miss(q, i)
	}
}

// miss ends the waiting for a link without an answer. The caller holds the mutex.
func (l *links) miss(q *questions, i int) {
	l.watches[keyOf(&q.answers[i].Link)].missed()
	q.stopWaiting(i)
}

// waits reports whether the answer of a link is still waited for. The caller holds the mutex.
func (q *questions) waits(i int) bool { return !q.closed && q.waiting[i] }

// stopWaiting notes that the answer of a link is there, or will not be waited for.
// The caller holds the mutex.
func (q *questions) stopWaiting(i int) {
	q.waiting[i] = false
	if q.left--; q.left == 0 {
		q.close()
	}
}

// grace waits a moment for something that comes beside the answers, at most until
// the deadline.
func (l *links) grace(q *questions, beside <-chan struct{}) {
	l.mu.Lock()
	left := time.Until(q.deadline)
	l.mu.Unlock()
	timer := time.NewTimer(min(usageGrace, max(left, 0)))
	defer timer.Stop()
	select {
	case <-beside:
	case <-timer.C:
	case <-l.work.ctx.Done():
	}
}

// finish ends the waiting and returns the answers. What comes later is thrown away.
func (l *links) finish(q *questions) []headroom.LinkResult {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.close()
	q.finished = true
	for i, waiting := range q.waiting {
		if waiting {
			l.watches[keyOf(&q.answers[i].Link)].missed()
		}
	}
	answers := q.answers
	q.answers, q.waiting = nil, nil
	return late(answers, q.begun)
}

// soFar returns the answers that are there for somebody whose own deadline is over,
// or who leaves; not if the questions are over, too.
func (l *links) soFar(q *questions, deadline time.Time, leaves bool) (answers []headroom.LinkResult, early bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.finished || q.deadline.Sub(deadline) <= sameMoment && !leaves {
		return nil, false
	}
	return late(slices.Clone(q.answers), q.begun), true
}

// late gives the links that have not answered an error of their own.
func late(answers []headroom.LinkResult, begun time.Time) []headroom.LinkResult {
	for i := range answers {
		if answer := &answers[i]; answer.Err == errUnanswered { //nolint:errorlint // the mark itself
			answer.Duration = time.Since(begun)
			answer.Err = qlik.NotInTime(&answer.Link)
		}
	}
	return answers
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
