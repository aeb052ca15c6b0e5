package site

import (
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

// links asks the links of a site, and remembers how they answered.
type links struct {
	client  *qlik.Client
	work    *work
	timeout time.Duration // of one request

	mu      sync.Mutex // guards what follows, and what is in questions
	watches map[qlik.LinkKey]*watch
}

func newLinks(client *qlik.Client, work *work) *links {
	return &links{client: client, work: work, timeout: client.Config().Timeout, watches: make(map[qlik.LinkKey]*watch)}
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
// requests under way show that it hangs is unknown at once.
func (l *links) begin(q *questions, links []qlik.Link) []nodeQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.answers, q.waiting, q.began = make([]headroom.LinkResult, len(links)), make([]bool, len(links)), make([]bool, len(links))
	for i := range links {
		q.answers[i] = headroom.LinkResult{Link: links[i], Err: qlik.NotInTime(&links[i])} // unless it answers
	}
	if q.closed { // finding out the links took all the time
		return nil
	}
	q.asked = time.Now()
	q.move(l.latest(q, q.deadline))
	watches := make(map[qlik.LinkKey]*watch, len(links)) // without those of links that are gone
	byNode := make(map[string][]int)
	busy := make(map[string]int) // links that are not asked, by node
	for i := range links {
		key, node := links[i].Key(), links[i].Node
		w := l.watches[key]
		if w == nil {
			w = new(watch)
		}
		watches[key] = w
		byNode[node] = append(byNode[node], i)
		if w.busy(q.asked) {
			busy[node]++
			q.answers[i].Duration = q.asked.Sub(w.running[0])
			continue
		}
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
		queue := nodeQueue{make(chan int, len(byNode[node])), requests - busy[node]}
		for _, i := range byNode[node] {
			switch {
			case !q.waiting[i]:
			case queue.requests > 0:
				queue.links <- i
			default: // the node has as many as it may have, and does not answer them
				q.stopWaiting(i)
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
		w, asked := l.watches[link.Key()], time.Now()
		w.asked(asked)
		l.mu.Unlock()

		var began time.Time
		sessions, answer, err := l.client.Sessions(l.work.ctx, link, func() { began = l.begun(q, i) })

		l.mu.Lock()
		newest := w.ended(asked)
		if took := time.Since(q.asked); q.waits(i) {
			w.answered(began.Sub(q.asked), took, err)
			q.answers[i] = headroom.LinkResult{
				Link: *link, Sessions: sessions, Err: err, Duration: answer.Took, CertificateExpiry: answer.CertificateExpiry,
			}
			q.stopWaiting(i)
		} else if newest {
			w.answeredLate(began.Sub(q.asked), took, q.deadline.Sub(q.begun), err)
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
	waited := time.Since(q.asked)
	l.watches[q.answers[i].Key()].missed(waited)
	q.answers[i].Duration = waited
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
	waited := time.Since(q.asked)
	for i, waiting := range q.waiting {
		if waiting {
			l.watches[q.answers[i].Key()].missed(waited)
		}
	}
	answers := q.answers
	q.waitedUntilNow(answers)
	q.answers, q.waiting = nil, nil
	return answers
}

// isEarlier reports whether a deadline is well before that of the questions.
func (l *links) isEarlier(q *questions, deadline time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return q.deadline.Sub(deadline) > sameMoment
}

// soFar returns the answers that are there, unless the questions are over.
func (l *links) soFar(q *questions) (answers []headroom.LinkResult, there bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.finished {
		return nil, false
	}
	answers = slices.Clone(q.answers)
	q.waitedUntilNow(answers)
	return answers, true
}

// waitedUntilNow writes into answers how long those took that are waited for still,
// or that there was no time to ask for. The caller holds the mutex.
func (q *questions) waitedUntilNow(answers []headroom.LinkResult) {
	for i := range answers {
		switch {
		case q.asked.IsZero():
			answers[i].Duration = time.Since(q.begun)
		case q.waiting[i]:
			answers[i].Duration = time.Since(q.asked)
		}
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
