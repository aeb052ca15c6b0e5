package server

import (
	"context"
	"hash/maphash"
	"net"
	"net/http"
	"sync"
)

// maxKnownPasswords limits the passwords that are remembered.
const maxKnownPasswords = 100

// passwords limits how much work clients cause that guess passwords. exporter-toolkit
// checks one password at a time, which takes long on purpose, and all requests wait for
// it in one queue. Behind passwords, clients get their turns one after the other, and
// the passwords that were right before do not wait.
type passwords struct {
	turns *turns
	seed  maphash.Seed

	mu    sync.Mutex
	known map[uint64]struct{} // hashes of the headers with passwords that were right
}

func newPasswords() *passwords {
	return &passwords{turns: newTurns(1), seed: maphash.MakeSeed(), known: make(map[uint64]struct{})}
}

// checkedKey is the key of a function in the context of a request. The handler behind
// the check of the password calls it.
type checkedKey struct{}

// configure adds a handler before and one behind exporter-toolkit, which replaces the
// handler of the server by its own. The base context is made after that and before the
// first connection. With several sockets of systemd, this happens once for each socket.
func (p *passwords) configure(server *http.Server) {
	server.Handler = behind(server.Handler)
	base := server.BaseContext
	server.BaseContext = func(listener net.Listener) context.Context {
		p.mu.Lock()
		defer p.mu.Unlock()
		server.Handler = p.before(server.Handler)
		if base != nil {
			return base(listener)
		}
		return context.Background() //nolint:forbidigo // as http.Server does without this function
	}
}

// before waits for a turn of the client if its password must be checked.
func (p *passwords) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		_, hasTurn := r.Context().Value(checkedKey{}).(func()) // another handler before has taken it
		if hasTurn || header == "" {
			next.ServeHTTP(w, r)
			return
		}
		hash := maphash.String(p.seed, header)
		if p.wasRight(hash) {
			next.ServeHTTP(w, r)
			return
		}
		done, ok := p.turns.take(r.Context(), clientOf(r.RemoteAddr))
		if !ok {
			return // the client is gone
		}
		ended := sync.OnceFunc(done)
		defer ended()
		right := func() {
			p.remember(hash)
			ended() // the rest of the request is not part of the check
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), checkedKey{}, right)))
	})
}

// behind reports that the password of a request is right.
func behind(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if right, ok := r.Context().Value(checkedKey{}).(func()); ok {
			right()
		}
		next.ServeHTTP(w, r)
	})
}

func (p *passwords) wasRight(hash uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.known[hash]
	return known
}

func (p *passwords) remember(hash uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxKnownPasswords {
		clear(p.known)
	}
	p.known[hash] = struct{}{}
}
