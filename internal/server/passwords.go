package server

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
)

const (
	// maxKnownPasswords limits the passwords that are remembered.
	maxKnownPasswords = 100
	// maxKnownClients limits the clients that are remembered because they logged in.
	maxKnownClients = 1000
)

// passwords limits how much work clients cause that guess passwords, and how often they
// can guess. exporter-toolkit checks one password at a time, which takes long on purpose,
// and all requests wait for it in one queue. Behind passwords, clients get their turns
// one after the other, and the passwords that were right before do not wait.
type passwords struct {
	turns  *turns
	failed *failedLogins
	seed   maphash.Seed

	mu      sync.Mutex          // guards the fields below, and the handlers of servers in configure
	known   map[uint64]struct{} // hashes of the headers with passwords that were right
	clients map[string]struct{} // with such a password
}

func newPasswords(failed *failedLogins) *passwords {
	p := &passwords{turns: newTurns(1), failed: failed, seed: maphash.MakeSeed(), known: make(map[uint64]struct{}), clients: make(map[string]struct{})}
	p.turns.rank = p.rank
	return p
}

// rank returns the rank of a client among those whose passwords wait to be checked:
// first those that logged in before, then those with the fewest failed logins. Many
// addresses that guess therefore delay a new client only until each has failed once.
// Among new clients, the last one is first: a person who logs in while many guesses
// wait comes after them.
func (p *passwords) rank(client string) int {
	p.mu.Lock()
	_, known := p.clients[client]
	p.mu.Unlock()
	if known {
		return -1
	}
	return p.failed.recent(client)
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

// before waits for a turn of the client if its password must be checked. It refuses
// clients with too many failed logins, but never a password that was right before, so
// that guessing behind the same reverse proxy does not lock out Prometheus.
func (p *passwords) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		_, hasTurn := r.Context().Value(checkedKey{}).(func()) // another handler before has taken it
		if hasTurn || header == "" {
			next.ServeHTTP(w, r)
			return
		}
		client, hash := clientOf(r.RemoteAddr), maphash.String(p.seed, header)
		if !p.wasRight(hash) {
			if p.refuse(w, client) {
				return
			}
			done, ok := p.turns.take(r.Context(), client)
			if !ok {
				return // the client is gone
			}
			ended := sync.OnceFunc(done)
			defer ended()
			if !p.wasRight(hash) && p.refuse(w, client) { // others of the client failed meanwhile
				return
			}
			right := func() {
				p.remember(hash, client)
				ended() // the rest of the request is not part of the check
			}
			r = r.WithContext(context.WithValue(r.Context(), checkedKey{}, right))
		}
		answer := &watched{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		if answer.status == http.StatusUnauthorized { // also if the password was right before
			p.forget(hash)
			p.failed.add(client)
		}
	})
}

// refuse answers a request of a client with too many failed logins.
func (p *passwords) refuse(w http.ResponseWriter, client string) bool {
	wait := p.failed.refuse(client)
	if wait <= 0 {
		return false
	}
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, fmt.Sprintf("Too many failed logins from this address. Try again in %d seconds.", seconds), http.StatusTooManyRequests)
	return true
}

// watched is a response whose status is known afterwards.
type watched struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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

func (p *passwords) remember(hash uint64, client string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxKnownPasswords {
		clear(p.known)
	}
	p.known[hash] = struct{}{}
	if len(p.clients) >= maxKnownClients {
		clear(p.clients)
	}
	p.clients[client] = struct{}{}
}

func (p *passwords) forget(hash uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, hash)
}
