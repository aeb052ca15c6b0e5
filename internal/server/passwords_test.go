package server

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/exporter-toolkit/web"
)

// checkTime is how long guarded takes to check a password.
const checkTime = 100 * time.Millisecond

// guarded is a handler whose passwords are checked one at a time, as by exporter-toolkit.
type guarded struct {
	*passwords

	handler http.Handler
	log     strings.Builder
	right   map[string]bool // passwords
	queue   chan struct{}
	checked []string // passwords in the order of their checks
}

func newGuarded(next http.HandlerFunc) *guarded {
	g := &guarded{right: map[string]bool{"right": true, "also right": true}, queue: make(chan struct{}, 1)}
	total := prometheus.NewCounter(prometheus.CounterOpts{Name: "failed_logins_total", Help: "Failed logins."})
	g.passwords = newPasswords(newFailedLogins("desk", total, log.NewLogfmtLogger(&g.log)))
	inner := behind(next)
	g.handler = g.before(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, given := r.BasicAuth()
		if given {
			g.queue <- struct{}{}
			g.checked = append(g.checked, password)
			time.Sleep(checkTime)
			<-g.queue
		}
		if !g.right[password] {
			http.Error(w, "wrong", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	return g
}

// ask sends a request from an address, with a password unless it is "".
func (g *guarded) ask(address, password string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
	request.RemoteAddr = address + ":1"
	if password != "" {
		request.SetBasicAuth("marker-user", password)
	}
	answer := httptest.NewRecorder()
	g.handler.ServeHTTP(answer, request)
	return answer
}

// TestGuessingDoesNotDelayOthers checks that clients that guess passwords do not delay
// a client with the right one: neither a new client, nor one that logged in before, nor
// one with a password that was right before. It counts the checks that come first, which
// take the time.
func TestGuessingDoesNotDelayOthers(t *testing.T) {
	for name, address := range map[string]func(i int) string{
		"one address":   func(int) string { return "10.0.1.1" },
		"ten addresses": func(i int) string { return fmt.Sprintf("10.0.1.%d", i%10) },
		"200 addresses": func(i int) string { return fmt.Sprintf("10.0.1.%d", i) },
	} {
		synctest.Test(t, func(t *testing.T) {
			const guesses = 200
			g := newGuarded(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) })
			if answer := g.ask("10.0.0.1", "right"); answer.Code != http.StatusOK {
				t.Fatalf("%s: got %d", name, answer.Code)
			}
			var asking sync.WaitGroup
			guess := func(round string) {
				for i := range guesses {
					asking.Go(func() {
						if answer := g.ask(address(i), fmt.Sprint("guess ", round, i)); answer.Code == http.StatusOK {
							t.Errorf("%s: a guess got %d", name, answer.Code)
						}
					})
				}
				synctest.Wait()
			}
			guess("at first ")
			begin := len(g.checked)
			for _, client := range []struct {
				what, address, password string
			}{
				{"known password", "10.0.0.2", "right"},
				{"known client", "10.0.0.1", "also right"},
				{"new client", "10.0.0.3", "also right"},
			} {
				before := time.Now()
				asking.Go(func() {
					if answer := g.ask(client.address, client.password); answer.Code != http.StatusOK {
						t.Errorf("%s, %s: got %d", name, client.what, answer.Code)
					}
					// A check in progress, those of the others here, and its own.
					if took := time.Since(before) - time.Minute; took > 4*checkTime {
						t.Errorf("%s, %s: %s until the password is checked", name, client.what, took)
					}
				})
				synctest.Wait()
			}
			guess("later ")
			asking.Wait()
			for _, password := range []string{"right", "also right"} {
				if at := slices.Index(g.checked[begin:], password); at < 0 || at > 2 {
					t.Errorf("%s: %d checks before that of %q", name, at, password)
				}
			}
			// A client that comes later still waits for no address that has failed before,
			// although all addresses guess again.
			guess("again ")
			begin = len(g.checked)
			asking.Go(func() { g.ask("10.0.0.4", "new guess") })
			synctest.Wait()
			guess("once more ")
			asking.Wait()
			if at := slices.Index(g.checked[begin:], "new guess"); at < 0 || at > 1 {
				t.Errorf("%s: %d checks before that of a new client", name, at)
			}
			if g.turns.taken != 0 || len(g.turns.queues) != 0 {
				t.Errorf("%s: %d turns, %d queues are left", name, g.turns.taken, len(g.turns.queues))
			}
		})
	}
}

// TestOrderOfPasswords checks whose password is checked next.
func TestOrderOfPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(func(http.ResponseWriter, *http.Request) {})
		g.ask("10.0.0.1", "right")
		g.ask("10.0.0.1", "known client that also fails")
		g.ask("10.0.0.2", "failed")
		g.checked = nil
		var asking sync.WaitGroup
		for _, request := range []struct{ address, password string }{
			{"10.0.0.9", "in progress"}, {"10.0.0.1", "known"}, {"10.0.0.2", "failed before"}, {"10.0.0.3", "new"}, {"10.0.0.3", "new again"}, {"10.0.0.4", "newest"},
		} {
			asking.Go(func() { g.ask(request.address, request.password) })
			synctest.Wait()
		}
		asking.Wait()
		if want := []string{"in progress", "known", "newest", "new", "failed before", "new again"}; !slices.Equal(g.checked, want) {
			t.Errorf("got %q, want %q", g.checked, want)
		}
	})
}

// TestKnownPasswordsAreBounded checks that the memory for passwords and clients that were
// right before is limited.
func TestKnownPasswordsAreBounded(t *testing.T) {
	g := newGuarded(func(http.ResponseWriter, *http.Request) {})
	for i := range 3 * maxKnownClients {
		g.remember(uint64(i), strconv.Itoa(i))
	}
	if len(g.known) > maxKnownPasswords || len(g.clients) > maxKnownClients {
		t.Errorf("%d passwords and %d clients are remembered", len(g.known), len(g.clients))
	}
}

// TestPasswordsAroundToolkit checks that the handlers are before and behind that of
// exporter-toolkit.
func TestPasswordsAroundToolkit(t *testing.T) {
	config := filepath.Join(t.TempDir(), "web.yml")
	const hash = "$2a$04$5Q1qxyr7R67MJ.s3QXzunORpBU8qe8RxrXxpns6P7ouFGl8QQgAMG"
	if err := os.WriteFile(config, []byte("basic_auth_users: {prometheus: "+hash+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newHTTPServer(Config{Slog: slog.New(slog.DiscardHandler)}, say("served"))
	p := newPasswords(newFailedLogins("desk", prometheus.NewCounter(prometheus.CounterOpts{Name: "failed_logins_total", Help: "Failed logins."}), log.NewNopLogger()))
	p.configure(server)
	var serving sync.WaitGroup
	serving.Go(func() {
		_ = web.Serve(listener, server, &web.FlagConfig{WebConfigFile: &config}, slog.New(slog.DiscardHandler)) // always ends with an error: closed
	})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, test := range []struct {
		password      string
		status, known int
	}{{"", 401, 0}, {"wrong", 401, 0}, {"marker-web-password", 200, 1}, {"marker-web-password", 200, 1}, {"wrong", 401, 1}} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if test.password != "" {
			request.SetBasicAuth("prometheus", test.password)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != test.status || (string(body) == "served") != (test.status == 200) || len(p.known) != test.known || p.turns.taken != 0 {
			t.Errorf("password %q: %s, %q, %d known, %d turns", test.password, answer.Status, body, len(p.known), p.turns.taken)
		}
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	serving.Wait()
}
