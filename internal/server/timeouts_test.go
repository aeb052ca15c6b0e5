package server

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestClientsThatDoNotReadAreDisconnected checks that a client that does not read its
// response is disconnected. For a scrape, this is soon after the scrape timeout. Over
// HTTP/2, a connection is closed when nothing can be sent.
func TestClientsThatDoNotReadAreDisconnected(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}, SessionTicketsDisabled: true} // the client does not read
	for _, test := range []struct {
		request string
		http2   bool
		atMost  time.Duration
	}{
		{"GET /metrics HTTP/1.1\r\nHost: qlik\r\n\r\n", false, 5 * time.Minute},
		{"GET /metrics HTTP/1.1\r\nHost: qlik\r\n" + scrapeTimeoutHeader + ": 10\r\n\r\n", false, 20 * time.Second},
		{"GET /sessions HTTP/1.1\r\nHost: qlik\r\n\r\n", false, 5 * time.Minute},
		{requestOfHTTP2, true, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := newHTTPServer(Config{Slog: slog.New(slog.DiscardHandler)}, handler(t, Config{TelemetryPath: "/metrics"}))
			disconnected := make(chan struct{})
			server.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					close(disconnected)
				}
			}
			server.TLSConfig = config
			p := newPipes()
			serve := func() { _ = server.Serve(p) } // always ends with an error: closed
			if test.http2 {
				serve = func() { _ = server.ServeTLS(p, "", "") }
			}
			var serving sync.WaitGroup
			serving.Go(serve)
			raw := p.dial("10.0.0.3")
			defer func() { _ = raw.Close() }()
			client := net.Conn(raw)
			if test.http2 {
				client = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			}
			if _, err := io.WriteString(client, test.request); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			select {
			case <-disconnected:
				if took := time.Since(begin); took == 0 || took > test.atMost {
					t.Errorf("%q: disconnected after %s, want at most %s, and not at once", test.request, took, test.atMost)
				}
			case <-time.After(time.Hour):
				_ = raw.Close() // else it never ends
				t.Errorf("%q: not disconnected within an hour, want at most %s", test.request, test.atMost)
			}
			_ = server.Close()
			serving.Wait()
		})
	}
}
