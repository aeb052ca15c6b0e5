package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
)

// pipes is a listener for connections within the process. Each client has an address.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	close    sync.Once
}

func newPipes() *pipes { return &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.close.Do(func() { close(p.closed) })
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{} }

// from is a connection from an address.
type from struct {
	net.Conn

	address string
}

func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.address), Port: 1} }

// dial opens a connection from an address.
func (p *pipes) dial(address string) *peer {
	client, server := net.Pipe()
	p.accepted <- from{server, address}
	return &peer{client, bufio.NewReader(client)}
}

// peer is the client's end of a connection.
type peer struct {
	net.Conn

	read *bufio.Reader
}

// get sends a request and returns the status of its response or an error.
func (p *peer) get(path string) string {
	if _, err := fmt.Fprintf(p, "GET %s HTTP/1.1\r\nHost: exporter\r\n\r\n", path); err != nil {
		return err.Error()
	}
	answer, err := http.ReadResponse(p.read, nil)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err.Error()
	}
	return answer.Status
}

// open reports whether the server has not closed the connection.
func (p *peer) open() bool {
	_ = p.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := p.read.Peek(1)
	_ = p.SetReadDeadline(time.Time{})
	return err != nil && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "closed")
}

// limitedServer serves pipes with a limit of connections. Requests of /slow take an
// hour, and the response of /long needs a client that reads it.
type limitedServer struct {
	*pipes

	slow atomic.Int64 // requests of /slow in progress
}

func newLimitedServer(t *testing.T, limit int) *limitedServer {
	t.Helper()
	p := &limitedServer{pipes: newPipes()}
	server := newHTTPServer(Config{Slog: slog.New(slog.DiscardHandler)}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			p.slow.Add(1)
			defer p.slow.Add(-1)
			select {
			case <-time.After(time.Hour):
			case <-r.Context().Done():
			}
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("x", 1000)) // is sent after the handler has returned
		}
	}))
	newConnections(limit).configure(server)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(p) }) // always ends with an error: closed
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return p
}

// TestIdleConnectionsAreClosedFirst checks that a new client is accepted at once if
// all connections are idle, whether or not they have had a request, and that one of
// the client with the most connections is closed.
func TestIdleConnectionsAreClosedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLimitedServer(t, 5)
		prometheus, used := p.dial("10.0.0.1"), p.dial("10.0.0.2")
		for _, peer := range []*peer{prometheus, used} {
			if got := peer.get("/"); got != "200 OK" {
				t.Errorf("got %s", got)
			}
		}
		time.Sleep(time.Second)
		silent := p.dial("10.0.0.3")
		half := p.dial("10.0.0.3")
		if _, err := io.WriteString(half, "GET / HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
		busy := p.dial("10.0.0.3")
		go busy.get("/slow")
		synctest.Wait()
		time.Sleep(settleTime)
		begin := time.Now()
		for i, want := range []string{"1101", "1100", "0100", "0000"} {
			p.dial(fmt.Sprintf("10.0.1.%d", i))
			synctest.Wait()
			got := ""
			for _, peer := range []*peer{prometheus, used, silent, half} {
				got += map[bool]string{true: "1", false: "0"}[peer.open()]
			}
			if got != want {
				t.Errorf("after %d more connections open are %s, want %s", i+1, got, want)
			}
		}
		if took := time.Since(begin); took > 100*time.Millisecond {
			t.Errorf("accepted after %s", took)
		}
		_ = busy.Close()
	})
}

// TestBusyConnectionsAreClosedLast checks that a new client waits a moment if all
// connections are busy, and that this does not delay the next clients again.
func TestBusyConnectionsAreClosedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 4
		p := newLimitedServer(t, limit)
		var hostile []*peer
		var asking sync.WaitGroup
		first := p.dial("10.0.0.1")
		asking.Go(func() { first.get("/slow") })
		for range limit - 1 {
			peer := p.dial("10.0.0.3")
			hostile = append(hostile, peer)
			asking.Go(func() { peer.get("/slow") })
			synctest.Wait()
			time.Sleep(time.Second)
		}
		begin := time.Now()
		for i := range 2 {
			prometheus := p.dial("10.0.0.2")
			if got := prometheus.get("/"); got != "200 OK" {
				t.Errorf("scrape %d: %s", i, got)
			}
			if took := time.Since(begin); took != patience {
				t.Errorf("scrape %d: after %s, want %s", i, took, patience)
			}
			asking.Go(func() { prometheus.get("/slow") }) // is busy from now on
			synctest.Wait()
		}
		_ = first.Close()
		for _, peer := range hostile {
			_ = peer.Close()
		}
	})
}

// TestConnectionWaitsForAnother checks that a connection is not closed before all of
// its response is sent, if this takes only a moment.
func TestConnectionWaitsForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLimitedServer(t, 1)
		first := p.dial("10.0.0.1")
		if _, err := io.WriteString(first, "GET /long HTTP/1.1\r\nHost: exporter\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the handler has returned
		var dialing sync.WaitGroup
		dialing.Go(func() {
			begin := time.Now()
			if got := p.dial("10.0.0.2").get("/"); got != "200 OK" || time.Since(begin) != patience/2 {
				t.Errorf("the second got %s after %s", got, time.Since(begin))
			}
		})
		time.Sleep(patience / 2)
		answer, err := http.ReadResponse(first.read, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if body, err := io.ReadAll(answer.Body); err != nil || len(body) != 1000 {
			t.Errorf("the first got %d bytes, %v", len(body), err)
		}
		dialing.Wait()
		if first.open() {
			t.Error("the first connection is still open")
		}
	})
}

// TestClosedConnectionEndsItsRequests checks that a request ends when its connection
// is closed to make room, even if the client has sent a part of its next request. The
// server then does not notice by itself that the connection is closed.
func TestClosedConnectionEndsItsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLimitedServer(t, 1)
		hostile := p.dial("10.0.0.3")
		if _, err := io.WriteString(hostile, "GET /slow HTTP/1.1\r\nHost: exporter\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := io.WriteString(hostile, "G"); err != nil {
			t.Fatal(err)
		}
		if slow := p.slow.Load(); slow != 1 {
			t.Fatalf("%d requests in progress", slow)
		}
		if got := p.dial("10.0.0.1").get("/"); got != "200 OK" {
			t.Errorf("got %s", got)
		}
		synctest.Wait()
		if slow := p.slow.Load(); slow != 0 {
			t.Errorf("%d requests of closed connections are in progress", slow)
		}
	})
}

// TestUnreadRestDoesNotKeepConnection checks that a connection becomes idle although
// its client does not read the rest of a response.
func TestUnreadRestDoesNotKeepConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLimitedServer(t, 2)
		stuck := p.dial("10.0.0.3")
		if _, err := io.WriteString(stuck, "GET /long HTTP/1.1\r\nHost: exporter\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(settleTime)
		prometheus := p.dial("10.0.0.1")
		if got := prometheus.get("/"); got != "200 OK" {
			t.Errorf("got %s", got)
		}
		p.dial("10.0.0.2")
		synctest.Wait()
		if !prometheus.open() {
			t.Error("the connection of a client that reads was closed")
		}
	})
}

func TestMaxConnections(t *testing.T) {
	for _, test := range []struct {
		flag  int
		files uint64
		want  int
	}{{512, 0, 512}, {512, 1 << 20, 512}, {512, 512, 256}, {512, 1, 1}, {1, 512, 1}, {2000, 1024, 512}} {
		if got := maxConnections(Config{Connections: test.flag, Logger: log.NewNopLogger()}, test.files); got != test.want {
			t.Errorf("%d connections with %d files: got %d, want %d", test.flag, test.files, got, test.want)
		}
	}
}

// TestConnectionsOfHTTP2 checks that the requests of a connection are counted one by
// one, and that their number is limited.
func TestConnectionsOfHTTP2(t *testing.T) {
	const requests = 20
	began, end := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the protocol is %s", r.Proto)
		}
		began <- struct{}{}
		<-end
	}))
	server.Config.HTTP2 = newHTTPServer(Config{}, nil).HTTP2
	all := newConnections(100)
	all.configure(server.Config)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	var asking sync.WaitGroup
	for range requests {
		asking.Go(func() {
			request, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL, http.NoBody)
			answer, err := server.Client().Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
		})
	}
	for range requests {
		<-began
	}
	count := func() (open, inProgress int) {
		all.mu.Lock()
		defer all.mu.Unlock()
		for _, conn := range all.open {
			inProgress += conn.requests
			if conn.requests > maxStreams {
				t.Errorf("%d requests at once on a connection", conn.requests)
			}
		}
		return len(all.open), inProgress
	}
	if open, inProgress := count(); open == 0 || inProgress != requests {
		t.Errorf("%d connections with %d requests", open, inProgress)
	}
	close(end)
	asking.Wait()
}

// TestCanceledRequestOfHTTP2 checks that a connection becomes idle after its client has
// canceled a request.
func TestCanceledRequestOfHTTP2(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		time.Sleep(time.Millisecond) // it does not end before the stream
		close(ended)
	}))
	all := newConnections(100)
	all.configure(server.Config)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	asking.Go(func() {
		if answer, err := server.Client().Do(request); err == nil {
			answer.Body.Close()
			t.Error("not canceled")
		}
	})
	<-began
	cancel()
	asking.Wait()
	<-ended
	all.mu.Lock()
	for all.open[0].requests > 0 {
		all.wait(time.Millisecond)
	}
	if !all.open[0].idle(time.Now().Add(settleTime)) {
		t.Errorf("%+v is not idle", all.open[0])
	}
	all.mu.Unlock()
}
