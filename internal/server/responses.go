package server

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
)

// maxUnread limits the memory of the responses that are being sent. If clients do not
// read their responses, there is no other limit for it than the number of connections.
const maxUnread = 32 << 20

// Responses builds responses in memory, a few at a time, and then sends them. A client
// that reads slowly or not at all therefore does not delay others.
type Responses struct {
	turns    *turns
	compress func(http.Handler) http.HandlerFunc
	limit    int // bytes of responses that are being sent

	mu      sync.Mutex // guards the fields below
	unread  int        // bytes of all elements of sending
	sending []*sending // in the order of their start
}

// sending is a response that is being sent.
type sending struct {
	client string
	size   int
	abort  func()
}

// NewResponses returns an empty set of responses.
func NewResponses() *Responses {
	// The result is slightly larger than at higher levels, but takes a third of the
	// time.
	compress, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed))
	if err != nil {
		panic(err) // cannot happen: the options are constant
	}
	return &Responses{turns: newTurns(maxAnswers), compress: compress, limit: maxUnread}
}

// Respond waits for a turn, builds and compresses a response, and sends it, unless the
// client disconnects.
func (s *Responses) Respond(w http.ResponseWriter, r *http.Request, build http.HandlerFunc) {
	if answer := s.build(r, 0, build); answer != nil {
		s.send(w, r, answer)
	}
}

// build waits for a turn, and builds and compresses a response of about the given size.
// It returns nil if the client disconnects before its turn.
func (s *Responses) build(r *http.Request, size int, build http.HandlerFunc) *answer {
	done, ok := s.turns.take(r.Context(), clientOf(r.RemoteAddr))
	if !ok {
		return nil
	}
	defer done()
	answer := &answer{header: make(http.Header), status: http.StatusOK}
	answer.body.Grow(size)
	s.compress(build)(answer, r)
	if answer.body.Cap() > 2*answer.body.Len() { // do not keep the rest until the response is sent
		answer.body = *bytes.NewBuffer(bytes.Clone(answer.body.Bytes()))
	}
	return answer
}

// send sends a response. If too much memory is in use by responses that are not read,
// it disconnects the client that has the most of it from its oldest response.
func (s *Responses) send(w http.ResponseWriter, r *http.Request, answer *answer) {
	this := &sending{client: clientOf(r.RemoteAddr), size: answer.body.Cap(), abort: func() { disconnect(r) }}
	s.begin(this)
	defer s.end(this)
	answer.writeTo(w)
}

func (s *Responses) begin(this *sending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = append(s.sending, this)
	s.unread += this.size
	for s.unread > s.limit && len(s.sending) > 1 {
		bytes := make(map[string]int)
		for _, other := range s.sending {
			bytes[other.client] += other.size
		}
		most := slices.MaxFunc(s.sending, func(a, b *sending) int { return bytes[a.client] - bytes[b.client] })
		most.abort()
		s.remove(most)
	}
}

func (s *Responses) end(this *sending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(this)
}

// remove removes a response unless it was removed before. The caller holds the mutex.
func (s *Responses) remove(this *sending) {
	if i := slices.Index(s.sending, this); i >= 0 {
		s.sending = slices.Delete(s.sending, i, i+1)
		s.unread -= this.size
	}
}

// answer is an http.ResponseWriter that buffers the response.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *answer) writeTo(w http.ResponseWriter) {
	vary := w.Header().Values("Vary") // of the caller, beside that of the compression
	maps.Copy(w.Header(), a.header)
	for _, field := range vary {
		w.Header().Add("Vary", field)
	}
	w.Header().Set("Content-Length", strconv.Itoa(a.body.Len()))
	w.WriteHeader(a.status)
	_, _ = a.body.WriteTo(w)
}
