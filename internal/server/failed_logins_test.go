package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestFailedLoginsAreLimited checks that an address with ten failed logins in five
// minutes has no more passwords checked, except one that was right before.
func TestFailedLoginsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(func(http.ResponseWriter, *http.Request) {})
		const proxy = "10.0.0.1"
		expect := func(what, address, password string, status int) {
			t.Helper()
			if answer := g.ask(address, password); answer.Code != status {
				t.Errorf("%s: got %d, want %d", what, answer.Code, status)
			}
		}
		expect("right password", proxy, "right", http.StatusOK)
		for i := range maxFailedLogins {
			for range 20 {
				expect("no password", proxy, "", http.StatusUnauthorized)
			}
			expect("a guess", proxy, fmt.Sprint("guess", i), http.StatusUnauthorized)
			expect("success between guesses", proxy, "right", http.StatusOK)
			time.Sleep(10*time.Second - 2*checkTime)
		}
		checks := len(g.checked)
		answer := g.ask(proxy, "guess")
		if answer.Code != http.StatusTooManyRequests || len(g.checked) != checks {
			t.Errorf("the eleventh guess got %d after %d checks", answer.Code, len(g.checked)-checks)
		}
		wait, err := strconv.Atoi(answer.Header().Get("Retry-After"))
		if err != nil || wait < 190 || wait > 201 {
			t.Errorf("retry after %q, %v", answer.Header().Get("Retry-After"), err)
		}
		expect("another right password of the address", proxy, "also right", http.StatusTooManyRequests)
		expect("known password of the address", proxy, "right", http.StatusOK)
		expect("no password of the address", proxy, "", http.StatusUnauthorized)
		expect("another address", "10.0.0.2", "also right", http.StatusOK)
		expect("the address with the password that is now known", proxy, "also right", http.StatusOK)
		time.Sleep(time.Duration(wait) * time.Second)
		expect("after the wait", proxy, "guess", http.StatusUnauthorized)
		expect("the second one", proxy, "guess", http.StatusTooManyRequests)
		time.Sleep(failedLoginsTime)
		expect("much later", proxy, "guess", http.StatusUnauthorized)
		if got := testutil.ToFloat64(g.failed.total); got != maxFailedLogins+2 {
			t.Errorf("%v failed logins are counted", got)
		}
	})
}

// TestGuessesAtOnceAreLimited checks that of many guesses of an address at once, only ten
// are checked.
func TestGuessesAtOnceAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(func(http.ResponseWriter, *http.Request) {})
		var asking sync.WaitGroup
		for i := range 200 {
			asking.Go(func() { g.ask("10.0.0.1", fmt.Sprint("guess", i)) })
		}
		asking.Wait()
		if len(g.checked) != maxFailedLogins {
			t.Errorf("%d guesses were checked", len(g.checked))
		}
	})
}

// TestRevokedPasswordIsForgotten checks that a password that is no longer right counts as
// a guess.
func TestRevokedPasswordIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(func(http.ResponseWriter, *http.Request) {})
		g.ask("10.0.0.1", "right")
		delete(g.right, "right")
		for range maxFailedLogins {
			if answer := g.ask("10.0.0.1", "right"); answer.Code != http.StatusUnauthorized {
				t.Errorf("got %d", answer.Code)
			}
		}
		if answer := g.ask("10.0.0.1", "right"); answer.Code != http.StatusTooManyRequests {
			t.Errorf("got %d", answer.Code)
		}
	})
}

// TestFailedLoginsAreLogged checks that the log has one line a minute for each address,
// which counts everything and contains neither user nor password.
func TestFailedLoginsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(func(http.ResponseWriter, *http.Request) {})
		ctx, end := context.WithCancel(t.Context())
		var reporting sync.WaitGroup
		reporting.Go(func() { g.failed.report(ctx) })
		expect := func(what string, lines ...string) {
			t.Helper()
			want := ""
			for _, line := range lines {
				want += `level=warn msg="Failed logins" listener=desk ` + line + "\n"
			}
			g.failed.mu.Lock() // of the log, too
			defer g.failed.mu.Unlock()
			if got := g.log.String(); got != want {
				t.Errorf("%s: got\n%swant\n%s", what, got, want)
			}
			g.log.Reset()
		}
		g.ask("10.0.0.1", "")
		g.ask("10.0.0.1", "right")
		expect("no guess")
		g.ask("10.0.0.1", "guess")
		g.ask("10.0.0.2", "guess")
		expect("at once", "address=10.0.0.1 attempts=1 refused=0", "address=10.0.0.2 attempts=1 refused=0")
		for range 14 {
			g.ask("10.0.0.1", "guess")
		}
		expect("within the minute")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		expect("after it", "address=10.0.0.1 attempts=9 refused=5")
		time.Sleep(time.Hour)
		synctest.Wait()
		expect("nothing new")
		if len(g.failed.guessers) != 0 || g.failed.order.Len() != 0 {
			t.Errorf("%d addresses are remembered", len(g.failed.guessers))
		}
		for range 3 {
			g.ask("10.0.0.1", "guess")
		}
		end()
		reporting.Wait()
		expect("at the end", "address=10.0.0.1 attempts=1 refused=0", "address=10.0.0.1 attempts=2 refused=0")
	})
}

// TestGuessersAreBounded checks that the memory for addresses is limited, and that the
// one with the oldest attempt is forgotten first.
func TestGuessersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(func(http.ResponseWriter, *http.Request) {})
		f := g.failed
		for i := range 3 * maxGuessers {
			f.add(strconv.Itoa(i))
			f.add("always")
		}
		if len(f.guessers) != maxGuessers || f.order.Len() != maxGuessers {
			t.Errorf("%d addresses are remembered", len(f.guessers))
		}
		if f.recent("0") != 0 || f.recent(strconv.Itoa(3*maxGuessers-1)) != 1 || f.refuse("always") <= 0 {
			t.Error("the wrong addresses are remembered")
		}
		if lines := strings.Count(g.log.String(), "address=always "); lines != 1 {
			t.Errorf("%d lines in a minute", lines)
		}
	})
}
