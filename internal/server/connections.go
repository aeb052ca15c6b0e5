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
	// requestTime is how long the first request of a new connection may take to arrive
	// before the connection counts as idle.
	requestTime = time.Second
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

	client    string
	requests  int
	unused    bool      // there was no request yet
	finishing bool      // the rest of a response is being sent
	since     time.Time // when it was opened, or when its last request began or ended
}

// idle reports whether no request uses the connection. A client that has not sent a
// whole request for some time does not use it.
func (c *connection) idle() bool {
	return c.requests == 0 && !c.finishing && (!c.unused || time.Since(c.since) >= requestTime)
}

// connectionKey is the key of the connection in the context of its requests.
type connectionKey struct{}

func newConnections(limit int) *connections {
	return &connections{limit: limit, changed: make(chan struct{})}
}

// configure makes a server use the limit.
func (c *connections) configure(server *http.Server) {
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, c.opened(conn))
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
func (c *connections) opened(conn net.Conn) *connection {
	added := &connection{Conn: conn, client: clientOf(conn.RemoteAddr().String()), unused: true, since: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.open) >= c.limit {
		idle := slices.ContainsFunc(c.open, (*connection).idle)
		if time.Since(c.began) >= patienceInterval {
			c.began, c.waited = time.Now(), 0
		}
		if left := patience - c.waited; !idle && left > 0 {
			c.wait(left)
			continue
		}
		c.closeOne()
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

// closeOne closes an idle connection, or if there is none, another one. It chooses the
// client with the most connections, and of these the one that has been so for the
// longest time. The caller holds the mutex.
func (c *connections) closeOne() {
	number := make(map[string]int)
	idle := slices.ContainsFunc(c.open, (*connection).idle)
	for _, conn := range c.open {
		number[conn.client]++
	}
	candidates := slices.DeleteFunc(slices.Clone(c.open), func(conn *connection) bool { return conn.idle() != idle })
	victim := slices.MinFunc(candidates, func(a, b *connection) int {
		return cmp.Or(cmp.Compare(number[b.client], number[a.client]), a.since.Compare(b.since))
	})
	c.remove(victim.Conn)
	_ = socketOf(victim.Conn).Close() // the server notices
}

// count counts the requests of a connection.
func (c *connections) count(conn *connection, change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.requests += change
	conn.unused = false
	conn.finishing = conn.requests == 0
	conn.since = time.Now()
}

// finished records that all responses of a connection have been sent.
func (c *connections) finished(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.open, func(other *connection) bool { return other.Conn == conn }); i >= 0 {
		c.open[i].finishing = false
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

// remove removes a connection. The caller holds the mutex.
func (c *connections) remove(conn net.Conn) {
	c.open = slices.DeleteFunc(c.open, func(other *connection) bool { return other.Conn == conn })
}

// notify wakes a connection that waits. The caller holds the mutex.
func (c *connections) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// socketOf returns the connection below TLS. Closing a TLS connection can wait for a
// client that does not read.
func socketOf(conn net.Conn) net.Conn {
	if over, ok := conn.(*tls.Conn); ok {
		return over.NetConn()
	}
	return conn
}
