package site

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

const (
	// maxRequests is the maximum number of concurrent requests to all proxies of the
	// site.
	maxRequests = 128
	// usageGrace is the maximum time to wait for usage rows after all links have
	// answered. It is short, because a scrape waits for it.
	usageGrace = 500 * time.Millisecond
	// sameMoment is the largest difference between two deadlines that count as equal.
	sameMoment = 100 * time.Millisecond
)

// links reads the session lists of the links and tracks their response times.
type links struct {
	client  *qlik.Client
	work    *work
	timeout time.Duration // timeout of a request

	mu      sync.Mutex // guards the fields below and most fields of requests
	watches map[qlik.LinkKey]*watch
}

func newLinks(client *qlik.Client, work *work) *links {
	return &links{client: client, work: work, timeout: client.Config().Timeout, watches: make(map[qlik.LinkKey]*watch)}
}

// requests are the requests of one round to the links. They share a deadline, which
// can be extended.
type requests struct {
	begun time.Time     // creation time; like deadlines, by the real clock
	over  chan struct{} // closed when the wait for answers is over

	// Guarded by links.mu.
	deadline time.Time
	asked    time.Time // when the first requests were sent; zero before
	timer    *time.Timer
	closed   bool // over is closed
	finished bool // the answers have been returned
	answers  []headroom.LinkResult
	waiting  []bool // by link: the answer is waited for
	began    []bool // by link: the answer has begun to arrive
	left     int    // number of answers that are waited for
	patience []*time.Timer

	rooms map[string]*qlik.Room // by host; written only by begin
}

// prepare returns requests to be sent later. Their deadline already applies.
func (l *links) prepare(deadline time.Time) *requests {
	q := &requests{begun: time.Now(), over: make(chan struct{}), deadline: deadline}
	l.mu.Lock() // the timer may fire at once
	defer l.mu.Unlock()
	q.timer = time.AfterFunc(time.Until(deadline), func() { l.expire(q) })
	return q
}

// extend moves the deadline to a later time, within the bounds of latest.
func (l *links) extend(q *requests, deadline time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !q.asked.IsZero() {
		deadline = l.latest(q, deadline)
	}
	if !q.closed && deadline.After(q.deadline) {
		q.move(deadline)
	}
}

// latest limits a deadline to the timeout of a request after the requests were sent.
// Otherwise the first answers would be too old. It adds sameMoment for requests that end
// just at the timeout. The caller holds the mutex.
func (l *links) latest(q *requests, deadline time.Time) time.Time {
	if latest := q.asked.Add(l.timeout + sameMoment); deadline.After(latest) {
		return latest
	}
	return deadline
}

// move moves the deadline. The caller holds the mutex.
func (q *requests) move(deadline time.Time) {
	q.deadline = deadline
	q.timer.Reset(time.Until(deadline))
}

// expire ends the wait at the deadline.
func (l *links) expire(q *requests) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(q.deadline) { // otherwise it has just been extended
		q.close()
	}
}

// close ends the wait. The caller holds the mutex.
func (q *requests) close() {
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

// read sends the requests and waits until the wait for answers is over. It returns false
// if there are no links or if no request was sent before the deadline.
func (l *links) read(q *requests, links []qlik.Link) bool {
	for _, node := range l.begin(q, links) {
		for range node.requests {
			l.work.start(func() { l.readInTurn(q, node.links) })
		}
	}
	select {
	case <-q.over:
	case <-l.work.ctx.Done():
	}
	return len(links) > 0 && !q.asked.IsZero()
}

// nodeQueue holds the links of a node to read, by index.
type nodeQueue struct {
	links    chan int // closed: no more links are added
	requests int      // number of concurrent requests
}

// begin decides which links to read and how long to wait for each. A link that hangs
// according to its requests in progress is not read; its sessions are unknown.
func (l *links) begin(q *requests, links []qlik.Link) []nodeQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.answers, q.waiting, q.began = make([]headroom.LinkResult, len(links)), make([]bool, len(links)), make([]bool, len(links))
	for i := range links {
		q.answers[i] = headroom.LinkResult{Link: links[i], Err: qlik.NotInTime(&links[i])} // until it answers
	}
	if q.closed { // reading the topology took all the time
		return nil
	}
	q.asked = time.Now()
	q.move(l.latest(q, q.deadline))
	watches := make(map[qlik.LinkKey]*watch, len(links)) // drops links that no longer exist
	byNode := make(map[string][]int)
	busy := make(map[string]int) // number of links that are not read, by node
	q.rooms = make(map[string]*qlik.Room)
	for i := range links {
		key, node := links[i].Key(), links[i].Node
		if host := strings.ToLower(links[i].Host()); q.rooms[host] == nil {
			q.rooms[host] = qlik.NewRoom()
		}
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
			default: // the requests in progress use all connections of the node
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

// readInTurn reads links of a node one after the other. It skips links that are no
// longer waited for.
func (l *links) readInTurn(q *requests, numbers <-chan int) {
	for i := range numbers {
		l.mu.Lock()
		if !q.waits(i) {
			l.mu.Unlock()
			continue
		}
		link := &q.answers[i].Link // not modified from here on
		w, asked := l.watches[link.Key()], time.Now()
		w.asked(asked)
		l.mu.Unlock()

		var began time.Time
		sessions, answer, err := l.client.Sessions(l.work.ctx, link, q.rooms[strings.ToLower(link.Host())], func() { began = l.begun(q, i) })

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

// begun records that the answer of a link begins to arrive.
func (l *links) begun(q *requests, i int) time.Time {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.waits(i) {
		q.began[i] = true
	}
	return now
}

// giveUp ends the wait for a link that was late before. If the answer has begun, it
// does so only with evenIfBegun.
func (l *links) giveUp(q *requests, i int, evenIfBegun bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.waits(i) && (evenIfBegun || !q.began[i]) {
		l.miss(q, i)
	}
}

// miss ends the wait for a link that has not answered. The caller holds the mutex.
func (l *links) miss(q *requests, i int) {
	waited := time.Since(q.asked)
	l.watches[q.answers[i].Key()].missed(waited)
	q.answers[i].Duration = waited
	q.stopWaiting(i)
}

// waits reports whether the answer of a link is still waited for. The caller holds the
// mutex.
func (q *requests) waits(i int) bool { return !q.closed && q.waiting[i] }

// stopWaiting records that the answer of a link has arrived or is no longer waited for.
// The caller holds the mutex.
func (q *requests) stopWaiting(i int) {
	q.waiting[i] = false
	if q.left--; q.left == 0 {
		q.close()
	}
}

// grace waits up to usageGrace for the usage rows, at most until the deadline.
func (l *links) grace(q *requests, rows <-chan struct{}) {
	l.mu.Lock()
	left := time.Until(q.deadline)
	l.mu.Unlock()
	timer := time.NewTimer(min(usageGrace, max(left, 0)))
	defer timer.Stop()
	select {
	case <-rows:
	case <-timer.C:
	case <-l.work.ctx.Done():
	}
}

// finish ends the wait and returns the answers. Later answers are dropped.
func (l *links) finish(q *requests) []headroom.LinkResult {
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

// isEarlier reports whether a deadline is well before that of the requests.
func (l *links) isEarlier(q *requests, deadline time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return q.deadline.Sub(deadline) > sameMoment
}

// soFar returns the answers so far. It returns false after finish.
func (l *links) soFar(q *requests) (answers []headroom.LinkResult, available bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.finished {
		return nil, false
	}
	answers = slices.Clone(q.answers)
	q.waitedUntilNow(answers)
	return answers, true
}

// waitedUntilNow sets the duration of answers that are still waited for, or of all
// answers if no request was sent. The caller holds the mutex.
func (q *requests) waitedUntilNow(answers []headroom.LinkResult) {
	for i := range answers {
		switch {
		case q.asked.IsZero():
			answers[i].Duration = time.Since(q.begun)
		case q.waiting[i]:
			answers[i].Duration = time.Since(q.asked)
		}
	}
}

// shareRequests returns the number of concurrent requests for each node: one for each
// link, at most qlik.MaxConnectionsPerNode per node and maxRequests in total. Nodes get
// them in turns, at least one each. The numbers are fixed for a round, so that nodes
// that hang cannot use the requests of other nodes.
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
		limits[node] = max(limits[node], 1) // if there are more nodes than maxRequests
	}
	return limits
}
