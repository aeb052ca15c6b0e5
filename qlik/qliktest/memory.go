package qliktest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// memoryAddress is the address of a service in memory: "name:port".
type memoryAddress string

func (memoryAddress) Network() string  { return "memory" }
func (a memoryAddress) String() string { return string(a) }

// memoryConn is one end of a connection in memory. Unlike net.Pipe it has buffers like a socket. Without buffers TLS would wait
// forever if one end rejects the certificate of the other while both are writing.
type memoryConn struct {
	in, out       *memoryStream
	local, remote memoryAddress
}

// memoryPipe returns both ends of a connection.
func memoryPipe(client, server memoryAddress) (*memoryConn, *memoryConn) {
	up, down := newMemoryStream(), newMemoryStream()
	return &memoryConn{in: down, out: up, local: client, remote: server},
		&memoryConn{in: up, out: down, local: server, remote: client}
}

func (c *memoryConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *memoryConn) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *memoryConn) LocalAddr() net.Addr         { return c.local }
func (c *memoryConn) RemoteAddr() net.Addr        { return c.remote }

// Close closes both directions. The other end can still read the data that was written before.
func (c *memoryConn) Close() error {
	c.out.close(false)
	c.in.close(true)
	return nil
}

func (c *memoryConn) SetDeadline(t time.Time) error {
	c.in.readDeadline.set(c.in, t)
	c.out.writeDeadline.set(c.out, t)
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.in.readDeadline.set(c.in, t)
	return nil
}

func (c *memoryConn) SetWriteDeadline(t time.Time) error {
	c.out.writeDeadline.set(c.out, t)
	return nil
}

// memoryBuffer is the size of the buffer of a direction. It is large enough for any handshake and small enough to block the writer of
// an endless response.
const memoryBuffer = 64 << 10

// memoryStream is one direction of a connection.
type memoryStream struct {
	mu                          sync.Mutex
	changed                     sync.Cond
	data                        []byte
	ended                       bool // closed by the writer
	dropped                     bool // closed by the reader
	readDeadline, writeDeadline memoryDeadline
}

// memoryDeadline is guarded by the stream's lock.
type memoryDeadline struct {
	timer  *time.Timer
	passed bool
}

func newMemoryStream() *memoryStream {
	s := &memoryStream{}
	s.changed.L = &s.mu
	return s
}

func (s *memoryStream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.dropped:
			return 0, net.ErrClosed
		case s.readDeadline.passed:
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0:
			n := copy(b, s.data)
			s.data = s.data[:copy(s.data, s.data[n:])]
			s.changed.Broadcast()
			return n, nil
		case s.ended:
			return 0, io.EOF
		case len(b) == 0:
			return 0, nil
		}
		s.changed.Wait()
	}
}

func (s *memoryStream) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for {
		switch {
		case s.ended:
			return written, net.ErrClosed
		case s.dropped:
			return written, syscall.ECONNRESET
		case s.writeDeadline.passed:
			return written, os.ErrDeadlineExceeded
		}
		n := min(len(b)-written, memoryBuffer-len(s.data))
		if n > 0 {
			s.data = append(s.data, b[written:written+n]...)
			written += n
			s.changed.Broadcast()
		}
		if written == len(b) {
			return written, nil
		}
		s.changed.Wait()
	}
}

func (s *memoryStream) close(byReader bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if byReader {
		s.dropped = true
		s.data = nil
	} else {
		s.ended = true
	}
	s.readDeadline.stop()
	s.writeDeadline.stop()
	s.changed.Broadcast()
}

func (d *memoryDeadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *memoryDeadline) set(s *memoryStream, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.stop()
	d.passed = false
	if s.ended || s.dropped || t.IsZero() {
		s.changed.Broadcast()
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.passed = true
		s.changed.Broadcast()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d.timer == timer {
			d.passed = true
			s.changed.Broadcast()
		}
	})
	d.timer = timer
}

// memoryListener accepts connections in memory.
type memoryListener struct {
	address memoryAddress
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newMemoryListener(address memoryAddress) *memoryListener {
	return &memoryListener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return l.address }
