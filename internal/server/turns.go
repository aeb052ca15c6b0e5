package server

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

// maxAnswers limits the responses that are built at once, because each takes memory
// and processor time.
const maxAnswers = 2

// turns limits how much work is done at once. A client has one turn at a time, and
// clients that wait get their turns one after the other, so that many requests of one
// client do not delay another client.
type turns struct {
	limit int
	// rank, if it is not nil, returns the rank of a client. Clients of a lower rank have
	// their turns first, and of the same rank, the one that came last.
	rank func(client string) int

	mu      sync.Mutex // guards the fields below
	taken   int
	holders map[string]bool // clients that have a turn
	queues  []*queue        // clients that wait, in the order of their next turn
}

// queue holds the requests of a client that wait for a turn, in order.
type queue struct {
	client  string
	waiting []chan struct{} // closed when the turn begins
}

func newTurns(limit int) *turns { return &turns{limit: limit, holders: make(map[string]bool)} }

// take waits for a turn of a client. The caller must call done after the work. It
// returns false if ctx ends before that.
func (t *turns) take(ctx context.Context, client string) (done func(), ok bool) {
	begins := make(chan struct{})
	t.mu.Lock()
	i := slices.IndexFunc(t.queues, func(q *queue) bool { return q.client == client })
	if i < 0 {
		if t.rank == nil {
			i = len(t.queues)
		} else {
			i = 0
		}
		t.queues = slices.Insert(t.queues, i, &queue{client: client})
	}
	t.queues[i].waiting = append(t.queues[i].waiting, begins)
	t.next()
	t.mu.Unlock()

	select {
	case <-begins:
	case <-ctx.Done():
		if t.leave(client, begins) {
			return nil, false
		}
	}
	if ctx.Err() != nil {
		t.release(client)
		return nil, false
	}
	return func() { t.release(client) }, true
}

// leave removes a request from its queue. It returns false if its turn has begun.
func (t *turns) leave(client string, begins chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.queues, func(q *queue) bool { return q.client == client })
	if i < 0 {
		return false
	}
	q := t.queues[i]
	at := slices.Index(q.waiting, begins)
	if at < 0 {
		return false
	}
	if q.waiting = slices.Delete(q.waiting, at, at+1); len(q.waiting) == 0 {
		t.queues = slices.Delete(t.queues, i, i+1)
	}
	return true
}

// release ends a turn.
func (t *turns) release(client string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
	delete(t.holders, client)
	t.next()
}

// next begins turns while there are any. The caller holds the mutex.
func (t *turns) next() {
	for t.taken < t.limit {
		i := t.first()
		if i < 0 {
			return
		}
		q := t.queues[i]
		t.queues = slices.Delete(t.queues, i, i+1)
		close(q.waiting[0])
		if q.waiting = q.waiting[1:]; len(q.waiting) > 0 {
			t.queues = append(t.queues, q)
		}
		t.taken++
		t.holders[q.client] = true
	}
}

// first returns the index of the queue with the next turn, or -1 for none. The caller
// holds the mutex.
func (t *turns) first() int {
	first, lowest := -1, 0
	for i, q := range t.queues {
		switch {
		case t.holders[q.client]:
		case t.rank == nil:
			return i
		default:
			if rank := t.rank(q.client); first < 0 || rank < lowest {
				first, lowest = i, rank
			}
		}
	}
	return first
}

// clientOf returns the client behind a remote address: its IP address without the port,
// or the network of an IPv6 address, because a machine can use all addresses of it.
func clientOf(remote string) string {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote // not TCP
	}
	ip := address.Addr().Unmap().WithZone("")
	if ip.Is6() {
		network, _ := ip.Prefix(64) // always valid
		return network.String()
	}
	return ip.String()
}
