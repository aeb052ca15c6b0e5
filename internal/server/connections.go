package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// patience is how long new connections wait for one of the others if all of them have
	// a request in progress. It is the sum of these waits within patienceInterval, so that
	// clients that keep all connections busy do not delay others.
	patience         = 200 * time.Millisecond
	patienceInterval = 10 * time.Second
	// settleTime is how long the first request of a new connection may take to arrive,
	// or the rest of a response to be sent, before the connection counts as idle.
	settleTime = time.Second
)

// connections limits the connections of the server. If there are too many, it closes
// one that no request uses. New clients are therefore always accepted, while a limit
// that only stops accepting would let idle connections lock out Prometheus.
type connections struct {
	limit int

	mu      sync.Mutex // guards the fields below and the fields of connection
	open    []*connection
	changed chan struct{} // closed and replaced if a connection may have become idle or closed
	began   time.Time     // start of the patienceInterval
	waited  time.Duration // within this interval
}

// connection is an open connection. An HTTP/2 connection has several requests at once.
type connection struct {
	net.Conn

	client   string
	cancel   func() // ends its requests
	requests int
	waiting  bool      // all responses are sent; the server waits for the next request
	since    time.Time // when it was opened, or when its last request began or ended
}

// idle reports whether no request uses the connection. A client that has not sent a
// whole request, or not read a whole response, for some time does not use it.
func (c *connection) idle(now time.Time) bool {
	return c.requests == 0 && (c.waiting || now.Sub(c.since) >= settleTime)
}

// disconnect closes the connection and ends its requests. net/http does not always
// notice that a connection is closed, for example if a part of the next request has
// arrived. Closing a TLS connection can wait for a client that does not read, so this
// closes the connection below it.
func (c *connection) disconnect() {
	c.cancel()
	socket := c.Conn
	if over, ok := socket.(*tls.Conn); ok {
		socket = over.NetConn()
	}
	_ = socket.Close() // the server notices
}

// connectionKey is the key of the connection in the context of its requests.
type connectionKey struct{}

// disconnect closes the connection of a request and ends all requests of it.
func disconnect(r *http.Request) {
	if conn, ok := r.Context().Value(connectionKey{}).(*connection); ok {
		conn.disconnect()
	}
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, changed: make(chan struct{})}
}

// configure makes a server use the limit.
func (c *connections) configure(server *http.Server) {
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		return context.WithValue(ctx, connectionKey{}, c.opened(conn, cancel))
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateIdle:
			c.finished(conn)
		case http.StateClosed, http.StateHijacked:
			c.closed(conn)
		default: // http.StateActive begins before the header is complete
		}
	}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connectionKey{}).(*connection); ok {
			c.count(conn, 1)
			defer c.count(conn, -1)
		}
		next.ServeHTTP(w, r)
	})
}

// opened adds a connection and makes room for it.
func (c *connections) opened(conn net.Conn, cancel func()) *connection {
	added := &connection{Conn: conn, client: clientOf(conn.RemoteAddr().String()), cancel: cancel, since: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.open) >= c.limit {
		now := time.Now()
		if now.Sub(c.began) >= patienceInterval {
			c.began, c.waited = now, 0
		}
		idle := slices.DeleteFunc(slices.Clone(c.open), func(conn *connection) bool { return !conn.idle(now) })
		if left := patience - c.waited; len(idle) == 0 && left > 0 {
			c.wait(left)
			continue
		}
		if len(idle) > 0 {
			c.closeOne(idle)
		} else {
			c.closeOne(c.open)
		}
	}
	c.open = append(c.open, added)
	return added
}

// wait waits until a connection may be idle or closed, or until the time is over. The
// caller holds the mutex, which wait releases meanwhile.
func (c *connections) wait(atMost time.Duration) {
	changed, begin := c.changed, time.Now()
	c.mu.Unlock()
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
	c.mu.Lock()
	c.waited += time.Since(begin)
}

// closeOne closes one of some connections. It chooses the client that has the most
// connections open, and of these the one that has been so for the longest time. The
// caller holds the mutex.
func (c *connections) closeOne(some []*connection) {
	number := make(map[string]int)
	for _, conn := range c.open {
		number[conn.client]++
	}
	victim := slices.MinFunc(some, func(a, b *connection) int {
		return cmp.Or(cmp.Compare(number[b.client], number[a.client]), a.since.Compare(b.since))
	})
	c.remove(victim.Conn)
	victim.disconnect()
}

// count counts the requests of a connection.
func (c *connections) count(conn *connection, change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.requests += change
	conn.waiting = false
	conn.since = time.Now()
}

// finished records that all responses of a connection have been sent. Over HTTP/2, a
// request that its client has canceled may still be in progress.
func (c *connections) finished(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(conn); i >= 0 {
		c.open[i].waiting = c.open[i].requests == 0
		c.notify()
	}
}

// closed removes a connection.
func (c *connections) closed(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(conn)
	c.notify()
}

// closeAll closes all connections.
func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.disconnect()
	}
}

// remove removes a connection. The caller holds the mutex.
func (c *connections) remove(conn net.Conn) {
	if i := c.index(conn); i >= 0 {
		c.open = slices.Delete(c.open, i, i+1)
	}
}

func (c *connections) index(conn net.Conn) int {
	return slices.IndexFunc(c.open, func(other *connection) bool { return other.Conn == conn })
}

// notify wakes the connections that wait. The caller holds the mutex.
func (c *connections) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}
