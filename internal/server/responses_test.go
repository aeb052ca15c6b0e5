package server

import (
	"context"
	"crypto/tls"
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
)

// unread is a response that its client does not read.
type unread struct {
	*httptest.ResponseRecorder

	began   chan<- struct{}
	aborted <-chan struct{}
}

func (u unread) Write([]byte) (int, error) {
	u.began <- struct{}{}
	<-u.aborted
	return 0, net.ErrClosed
}

// unreadResponses sends responses to clients that do not read them.
type unreadResponses struct {
	*Responses

	sending sync.WaitGroup
}

func newUnreadResponses(limit int) *unreadResponses {
	responses := NewResponses()
	responses.limit = limit
	return &unreadResponses{Responses: responses}
}

// send sends a response to a client, and returns how to abort it and whether it is.
func (u *unreadResponses) send(client string, size int) (abort func(), aborted <-chan struct{}) {
	began, closed := make(chan struct{}), make(chan struct{})
	socket, other := net.Pipe()
	_ = other.Close()
	conn := &connection{Conn: socket, cancel: sync.OnceFunc(func() { close(closed) })}
	request := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
	request = request.WithContext(context.WithValue(request.Context(), connectionKey{}, conn))
	request.RemoteAddr = client + ":1"
	u.sending.Go(func() {
		u.Respond(unread{httptest.NewRecorder(), began, closed}, request, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat("x", size)))
		})
	})
	<-began
	return conn.disconnect, closed
}

// TestUnreadResponsesAreBounded checks that responses that are not read are aborted
// when they take too much memory: those of the client with the most of it, the oldest
// first.
func TestUnreadResponsesAreBounded(t *testing.T) {
	const limit = 8 << 10
	responses := newUnreadResponses(limit)
	var aborts []func()
	send := func(client string) <-chan struct{} {
		abort, aborted := responses.send(client, limit/8)
		aborts = append(aborts, abort)
		return aborted
	}
	open := func(all []<-chan struct{}) (indexes []int) {
		for i, aborted := range all {
			select {
			case <-aborted:
			default:
				indexes = append(indexes, i)
			}
		}
		return indexes
	}
	others := []<-chan struct{}{send("10.0.0.1"), send("10.0.0.2")}
	var hostile []<-chan struct{}
	for range 20 {
		hostile = append(hostile, send("10.0.0.3"))
	}
	if got := fmt.Sprint(open(others), open(hostile)); got != "[0 1] [14 15 16 17 18 19]" && got != "[0 1] [15 16 17 18 19]" {
		t.Errorf("sending %s", got)
	}
	if responses.unread > limit {
		t.Errorf("%d bytes, want at most %d", responses.unread, limit)
	}
	for _, abort := range aborts {
		abort()
	}
	responses.sending.Wait()
	if responses.unread != 0 || len(responses.Responses.sending) != 0 {
		t.Errorf("%d bytes of %d responses are left", responses.unread, len(responses.Responses.sending))
	}
}

// TestResponsesAreSmall checks that responses are compressed before they are sent, and
// that they keep no more memory than they need, whatever size was expected.
func TestResponsesAreSmall(t *testing.T) {
	const size = 64 << 10
	request := httptest.NewRequest(http.MethodGet, "/sessions", http.NoBody)
	for encoding, atMost := range map[string]int{"identity": 3 * size, "gzip": size / 8} {
		request.Header.Set("Accept-Encoding", encoding)
		built := NewResponses().build(request, 10*size, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("anna\n", size/5))
		})
		if got := built.body.Cap(); got > atMost || built.body.Len() == 0 {
			t.Errorf("%s: %d bytes for %d, want at most %d", encoding, got, built.body.Len(), atMost)
		}
	}
}

// TestNewResponseCountsToo checks that a client cannot abort the response of another
// client that has less memory in use, the new response included.
func TestNewResponseCountsToo(t *testing.T) {
	const limit = 8 << 10
	responses := newUnreadResponses(limit)
	abort, prometheus := responses.send("10.0.0.1", limit*3/8)
	_, first := responses.send("10.0.0.3", limit*2/8)
	abortSecond, second := responses.send("10.0.0.3", limit*4/8)
	select {
	case <-first:
	default:
		t.Error("the older response of the client with the most is not aborted")
	}
	for _, aborted := range []<-chan struct{}{prometheus, second} {
		select {
		case <-aborted:
			t.Error("another response is aborted")
		default:
		}
	}
	abort()
	abortSecond()
	responses.sending.Wait()
}

// requestOfHTTP2 is all that a client sends for GET / over HTTP/2.
const requestOfHTTP2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
	"\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x04\x7f\xff\xff\xff" + // SETTINGS: a large window
	"\x00\x00\x05\x01\x05\x00\x00\x00\x01" + "\x82\x84\x87\x41\x00" // HEADERS: GET https:/// without host

// TestAbortedResponseEnds checks that a response that is aborted ends at once, whatever
// it waits for: a client that does not read it, or one that does not send its body.
func TestAbortedResponseEnds(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}, SessionTicketsDisabled: true} // the client does not read
	for name, test := range map[string]struct {
		request   string
		protocols []string
	}{
		"a body that does not arrive":             {"GET / HTTP/1.1\r\nHost: exporter\r\nContent-Length: 9\r\n\r\n", []string{"http/1.1"}},
		"a response that is not read":             {"GET / HTTP/1.1\r\nHost: exporter\r\n\r\n", []string{"http/1.1"}},
		"a response over HTTP/2 that is not read": {requestOfHTTP2, []string{"h2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const limit = 64 << 10 // more than the buffers of the server
				responses := NewResponses()
				responses.limit = limit
				var inProgress atomic.Int64
				server := newHTTPServer(Config{Slog: slog.New(slog.DiscardHandler)}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					inProgress.Add(1)
					defer inProgress.Add(-1)
					responses.Respond(w, r, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, limit)) })
				}))
				server.TLSConfig = config
				newConnections(100).configure(server)
				p := newPipes()
				var serving sync.WaitGroup
				serving.Go(func() { _ = server.ServeTLS(p, "", "") }) // always ends with an error: closed
				raw := p.dial("10.0.0.3")
				stuck := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: test.protocols})
				if _, err := io.WriteString(stuck, test.request); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if n := inProgress.Load(); n != 1 {
					t.Fatalf("%d responses", n)
				}
				responses.begin(&sending{size: 1, abort: func() {}})
				synctest.Wait()
				if n := inProgress.Load(); n != 0 {
					t.Error("the response is still in progress")
				}
				_ = raw.Close()
				_ = server.Close()
				serving.Wait()
			})
		})
	}
}
