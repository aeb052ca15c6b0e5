package site

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

const (
	// maxRequests is the maximum number of concurrent requests to all proxies of the
	// site.
	maxRequests = 128
	// maxEngineRequests is the maximum number of concurrent requests to engines. It bounds the
	// memory for their answers.
	maxEngineRequests = 64
	// usageGrace is the maximum time to wait for usage rows after all links have
	// answered. It is short, because a scrape waits for it.
	usageGrace = 500 * time.Millisecond
	// sameMoment is the largest difference between two deadlines that count as equal.
	sameMoment = 100 * time.Millisecond
)

// asker asks the targets and tracks their response times.
type asker struct {
	client  *qlik.Client
	work    *work
	timeout time.Duration // timeout of a request

	mu      sync.Mutex // guards the fields below and most fields of requests
	watches map[targetKey]*watch
}

func newAsker(client *qlik.Client, work *work) *asker {
	return &asker{client: client, work: work, timeout: client.Config().Timeout, watches: make(map[targetKey]*watch)}
}

// requests are the requests of one round to the targets. They share a deadline, which
// can be extended.
type requests struct {
	begun time.Time     // creation time; like deadlines, by the real clock
	over  chan struct{} // closed when the wait for answers is over

	// Guarded by asker.mu.
	deadline time.Time
	asked    time.Time // when the first requests were sent; zero before
	timer    *time.Timer
	closed   bool // over is closed
	finished bool // the answers have been returned
	answers  []answer
	waiting  []bool // by target: the answer is waited for
	began    []bool // by target: the answer has begun to arrive
	left     int    // number of answers that are waited for
	patience []*time.Timer

	rooms map[string]*qlik.Room // of links, by host; written only by begin
}

// prepare returns requests to be sent later. Their deadline already applies.
func (a *asker) prepare(deadline time.Time) *requests {
	q := &requests{begun: time.Now(), over: make(chan struct{}), deadline: deadline}
	a.mu.Lock() // the timer may fire at once
	defer a.mu.Unlock()
	q.timer = time.AfterFunc(time.Until(deadline), func() { a.expire(q) })
	return q
}

// extend moves the deadline to a later time, within the bounds of latest. It returns false
// if it is too late for that: the wait is over without all answers, at a deadline that is
// well before this one.
func (a *asker) extend(q *requests, deadline time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !q.asked.IsZero() {
		deadline = a.latest(q, deadline)
	}
	if q.closed {
		return !q.asked.IsZero() && q.left == 0 || deadline.Sub(q.deadline) <= sameMoment
	}
	if deadline.After(q.deadline) {
		q.move(deadline)
	}
	return true
}

// latest limits a deadline to the timeout of a request after the requests were sent.
// Otherwise the first answers would be too old. It adds sameMoment for requests that end
// just at the timeout. The caller holds the mutex.
func (a *asker) latest(q *requests, deadline time.Time) time.Time {
	if latest := q.asked.Add(a.timeout + sameMoment); deadline.After(latest) {
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
func (a *asker) expire(q *requests) {
	a.mu.Lock()
	defer a.mu.Unlock()
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
// if no request was sent before the deadline.
func (a *asker) read(q *requests, all []target) bool {
	for _, node := range a.begin(q, all) {
		for range node.requests {
			a.work.start(func() { a.readInTurn(q, node.targets) })
		}
	}
	select {
	case <-q.over:
	case <-a.work.ctx.Done():
	}
	return !q.asked.IsZero()
}

// nodeQueue holds the links of a node, or all engines, by index.
type nodeQueue struct {
	targets  chan int // closed: no more targets are added
	requests int      // number of concurrent requests
}

// begin decides which targets to read and how long to wait for each. A target that hangs
// according to its requests in progress is not read; its answer is unknown.
func (a *asker) begin(q *requests, all []target) []nodeQueue {
	a.mu.Lock()
	defer a.mu.Unlock()
	q.answers, q.waiting, q.began = make([]answer, len(all)), make([]bool, len(all)), make([]bool, len(all))
	for i, t := range all {
		q.answers[i] = answer{target: t, err: t.notInTime()} // until it answers
	}
	if q.closed { // reading the topology took all the time
		return nil
	}
	q.asked = time.Now()
	q.move(a.latest(q, q.deadline))
	watches := make(map[targetKey]*watch, len(all)) // drops targets that no longer exist
	byNode := make(map[string][]int)
	busy := make(map[string]int) // number of links that are not read, by node
	var engines []int
	q.rooms = make(map[string]*qlik.Room)
	for i, t := range all {
		key := t.key()
		w := a.watches[key]
		if w == nil {
			w = newWatch(t)
		}
		watches[key] = w
		isBusy := w.busy(q.asked)
		switch {
		case t.engine != nil && !isBusy:
			engines = append(engines, i)
		case t.engine == nil:
			if host := strings.ToLower(t.link.Host()); q.rooms[host] == nil {
				q.rooms[host] = qlik.NewRoom()
			}
			byNode[t.link.Node] = append(byNode[t.link.Node], i)
			if isBusy {
				busy[t.link.Node]++
			}
		}
		if isBusy {
			q.answers[i].duration = q.asked.Sub(w.running[0])
			continue
		}
		q.waiting[i] = true
		q.left++
		if w.late {
			begins, whole := w.patience()
			q.patience = append(q.patience,
				time.AfterFunc(begins, func() { a.giveUp(q, i, false) }),
				time.AfterFunc(whole, func() { a.giveUp(q, i, true) }))
		}
	}
	a.watches = watches
	var queues []nodeQueue
	for node, requests := range shareRequests(byNode) {
		queue := nodeQueue{make(chan int, len(byNode[node])), requests - busy[node]}
		for _, i := range byNode[node] {
			switch {
			case !q.waiting[i]:
			case queue.requests > 0:
				queue.targets <- i
			default: // the requests in progress use all connections of the node
				q.stopWaiting(i)
			}
		}
		close(queue.targets)
		queues = append(queues, queue)
	}
	if len(engines) > 0 {
		queues = append(queues, engineQueue(engines))
	}
	if q.left == 0 {
		q.close()
	}
	return queues
}

// engineQueue returns the queue of all engines. Each has its own request, if they are not
// very many.
func engineQueue(engines []int) nodeQueue {
	queue := nodeQueue{make(chan int, len(engines)), min(len(engines), maxEngineRequests)}
	for _, i := range engines {
		queue.targets <- i
	}
	close(queue.targets)
	return queue
}

// readInTurn reads targets of a node one after the other. It skips those that are no
// longer waited for.
func (a *asker) readInTurn(q *requests, numbers <-chan int) {
	for i := range numbers {
		a.mu.Lock()
		if !q.waits(i) {
			a.mu.Unlock()
			continue
		}
		t := q.answers[i].target
		w, asked := a.watches[t.key()], time.Now()
		w.asked(asked)
		a.mu.Unlock()

		var began time.Time
		got := a.ask(q, t, func() { began = a.begun(q, i) })

		a.mu.Lock()
		newest := w.ended(asked)
		if took := time.Since(q.asked); q.waits(i) {
			w.answered(began.Sub(q.asked), took, got.err)
			q.answers[i] = got
			q.stopWaiting(i)
		} else if newest {
			w.answeredLate(began.Sub(q.asked), took, q.deadline.Sub(q.begun), got.err)
		}
		a.mu.Unlock()
	}
}

// ask sends the request to a target.
func (a *asker) ask(q *requests, t target, begun func()) answer {
	got := answer{target: t}
	var answered qlik.Answer
	if t.engine != nil {
		got.health, answered, got.err = a.client.EngineHealth(a.work.ctx, t.engine, begun)
	} else {
		got.sessions, answered, got.err = a.client.Sessions(a.work.ctx, t.link, q.rooms[strings.ToLower(t.link.Host())], begun)
	}
	got.duration, got.certificateExpiry = answered.Took, answered.CertificateExpiry
	return got
}

// begun records that the answer of a target begins to arrive.
func (a *asker) begun(q *requests, i int) time.Time {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if q.waits(i) {
		q.began[i] = true
	}
	return now
}

// giveUp ends the wait for a target that was late before. If the answer has begun, it
// does so only with evenIfBegun.
func (a *asker) giveUp(q *requests, i int, evenIfBegun bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q.waits(i) && (evenIfBegun || !q.began[i]) {
		a.miss(q, i)
	}
}

// miss ends the wait for a target that has not answered. The caller holds the mutex.
func (a *asker) miss(q *requests, i int) {
	waited := time.Since(q.asked)
	a.watches[q.answers[i].key()].missed(waited)
	q.answers[i].duration = waited
	q.stopWaiting(i)
}

// waits reports whether the answer of a target is still waited for. The caller holds the
// mutex.
func (q *requests) waits(i int) bool { return !q.closed && q.waiting[i] }

// stopWaiting records that the answer of a target has arrived or is no longer waited for.
// The caller holds the mutex.
func (q *requests) stopWaiting(i int) {
	q.waiting[i] = false
	if q.left--; q.left == 0 {
		q.close()
	}
}

// grace waits up to usageGrace for the usage rows, at most until the deadline.
func (a *asker) grace(q *requests, rows <-chan struct{}) {
	a.mu.Lock()
	left := time.Until(q.deadline)
	a.mu.Unlock()
	timer := time.NewTimer(min(usageGrace, max(left, 0)))
	defer timer.Stop()
	select {
	case <-rows:
	case <-timer.C:
	case <-a.work.ctx.Done():
	}
}

// finish ends the wait and returns the answers. Later answers are dropped.
func (a *asker) finish(q *requests) []answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	q.close()
	q.finished = true
	waited := time.Since(q.asked)
	for i, waiting := range q.waiting {
		if waiting {
			a.watches[q.answers[i].key()].missed(waited)
		}
	}
	answers := q.answers
	q.waitedUntilNow(answers)
	q.answers, q.waiting = nil, nil
	return answers
}

// isEarlier reports whether a deadline is well before that of the requests.
func (a *asker) isEarlier(q *requests, deadline time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return q.deadline.Sub(deadline) > sameMoment
}

// soFar returns the answers so far. It returns false after finish.
func (a *asker) soFar(q *requests) (answers []answer, available bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q.finished {
		return nil, false
	}
	answers = slices.Clone(q.answers)
	q.waitedUntilNow(answers)
	return answers, true
}

// waitedUntilNow sets the duration of answers that are still waited for, or of all
// answers if no request was sent. The caller holds the mutex.
func (q *requests) waitedUntilNow(answers []answer) {
	for i := range answers {
		switch {
		case q.asked.IsZero():
			answers[i].duration = time.Since(q.begun)
		case q.waiting[i]:
			answers[i].duration = time.Since(q.asked)
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
