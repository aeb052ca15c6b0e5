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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
)

// TestGuessingDoesNotDelayOthers checks that clients that guess passwords do not delay
// a client with the right one, neither before nor after its first request.
func TestGuessingDoesNotDelayOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const check, addresses = 100 * time.Millisecond, 10
		queue := make(chan struct{}, 1)
		checks := 0
		toolkit := func(next http.Handler) http.Handler { // checks one password at a time
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				queue <- struct{}{}
				checks++
				time.Sleep(check)
				<-queue
				if _, password, _ := r.BasicAuth(); password != "right" {
					http.Error(w, "wrong", http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
		p := newPasswords()
		h := p.before(toolkit(behind(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) }))))
		ask := func(address, password string) (int, time.Duration) {
			request := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
			request.RemoteAddr = address + ":1"
			request.SetBasicAuth("prometheus", password)
			answer, begin := httptest.NewRecorder(), time.Now()
			h.ServeHTTP(answer, request)
			return answer.Code, time.Since(begin)
		}
		var guessing sync.WaitGroup
		guess := func() {
			for i := range 100 {
				guessing.Go(func() {
					if status, took := ask(fmt.Sprintf("10.0.1.%d", i%addresses), fmt.Sprint("guess", i)); status != http.StatusUnauthorized || took > 110*check {
						t.Errorf("a guess got %d after %s", status, took)
					}
				})
			}
			synctest.Wait()
		}
		for _, test := range []struct {
			at     string
			atMost time.Duration // until its password is checked
		}{{"first request", (addresses + 2) * check}, {"later", 2 * check}} {
			guess()
			if status, took := ask("10.0.0.1", "right"); status != http.StatusOK || took > time.Minute+test.atMost {
				t.Errorf("%s: %d after %s", test.at, status, took)
			}
			guessing.Wait()
		}
		if checks != 202 {
			t.Errorf("%d checks", checks)
		}
		for i := range 3 * maxKnownPasswords {
			p.remember(uint64(i))
		}
		if len(p.known) > maxKnownPasswords {
			t.Errorf("%d passwords are remembered", len(p.known))
		}
	})
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
	p := newPasswords()
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
