package server

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// onePipe is a listener with a single connection without a buffer, so that every
// response waits for its reader.
type onePipe struct {
	connections chan net.Conn
	closed      chan struct{}
	close       sync.Once
}

func newOnePipe() (listener *onePipe, client net.Conn) {
	client, server := net.Pipe()
	listener = &onePipe{connections: make(chan net.Conn, 1), closed: make(chan struct{})}
	listener.connections <- server
	return listener, client
}

func (p *onePipe) Accept() (net.Conn, error) {
	select {
	case connection := <-p.connections:
		return connection, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *onePipe) Close() error {
	p.close.Do(func() { close(p.closed) })
	return nil
}

func (*onePipe) Addr() net.Addr { return &net.TCPAddr{} }

// TestClientsThatDoNotReadAreDisconnected checks that a client that does not read its
// response is disconnected. For a scrape, this is soon after the scrape timeout.
func TestClientsThatDoNotReadAreDisconnected(t *testing.T) {
	for _, test := range []struct {
		path, header string
		atMost       time.Duration
	}{
		{"/metrics", "", 5 * time.Minute},
		{"/metrics", scrapeTimeoutHeader + ": 10\r\n", 20 * time.Second},
		{"/sessions", "", 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := newHTTPServer(Config{Slog: slog.New(slog.DiscardHandler)}, handler(t, Config{TelemetryPath: "/metrics"}))
			disconnected := make(chan struct{})
			server.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					close(disconnected)
				}
			}
			listener, client := newOnePipe()
			defer func() { _ = client.Close() }()
			var serving sync.WaitGroup
			serving.Go(func() { _ = server.Serve(listener) }) // always ends with an error: closed
			if _, err := io.WriteString(client, "GET "+test.path+" HTTP/1.1\r\nHost: qlik\r\n"+test.header+"\r\n"); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			select {
			case <-disconnected:
				if took := time.Since(begin); took == 0 || took > test.atMost {
					t.Errorf("%s %q: disconnected after %s, want at most %s, and not at once", test.path, test.header, took, test.atMost)
				}
			case <-time.After(time.Hour):
				t.Errorf("%s %q: not disconnected within an hour, want at most %s", test.path, test.header, test.atMost)
			}
			_ = server.Close()
			serving.Wait()
		})
	}
}
