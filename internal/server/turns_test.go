package server

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurnsAreFair checks that the requests of one client do not delay other clients,
// and that only a few requests have a turn at once.
func TestTurnsAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(maxAnswers)
		begin := time.Now()
		var mu sync.Mutex
		began := make(map[string][]time.Duration)
		atOnce, most := 0, 0
		var all sync.WaitGroup
		work := func(client string) {
			all.Go(func() {
				done, ok := turns.take(t.Context(), client)
				if !ok {
					t.Error("no turn")
					return
				}
				mu.Lock()
				began[client] = append(began[client], time.Since(begin))
				atOnce++
				most = max(most, atOnce)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				atOnce--
				mu.Unlock()
				done()
			})
		}
		for range 100 {
			work("hostile")
			work("also hostile")
		}
		synctest.Wait()
		for range 3 {
			work("prometheus")
		}
		work("another")
		all.Wait()
		for client, requests := range map[string]int{"prometheus": 3, "another": 1} {
			// Each of the four clients has half of a turn per second.
			if got := began[client]; len(got) != requests || slices.Max(got) > time.Duration(2*requests+1)*time.Second {
				t.Errorf("%s had its turns after %v", client, got)
			}
		}
		if most != maxAnswers || len(began["hostile"]) != 100 || len(turns.queues) != 0 || len(turns.holders) != 0 || turns.taken != 0 {
			t.Errorf("%d turns at once, want %d; left %v", most, maxAnswers, turns)
		}
	})
}

// TestOneClientDoesNotTakeAllTurns checks that another client has its turn at once, and
// that a canceled request takes none.
func TestOneClientDoesNotTakeAllTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(maxAnswers)
		if _, ok := turns.take(t.Context(), "hostile"); !ok {
			t.Fatal("no turn")
		}
		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan bool)
		go func() {
			_, ok := turns.take(ctx, "hostile")
			waiting <- ok
		}()
		synctest.Wait()
		done, ok := turns.take(t.Context(), "prometheus")
		if !ok {
			t.Error("another client has no turn")
		}
		cancel()
		if <-waiting {
			t.Error("a canceled request got a turn")
		}
		done()
		for range 20 { // its turn begins at once, or it ends before, at random
			if _, ok := turns.take(ctx, "canceled before"); ok {
				t.Error("a request that was canceled before got a turn")
			}
		}
		if len(turns.queues) != 0 || turns.taken != 1 {
			t.Errorf("%d queues, %d turns", len(turns.queues), turns.taken)
		}
	})
}

func TestClientOf(t *testing.T) {
	for remote, want := range map[string]string{
		"10.0.0.1:1234":               "10.0.0.1",
		"[::ffff:10.0.0.1]:1234":      "10.0.0.1",
		"[2001:db8:1:2:3:4:5:6]:1234": "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:80":        "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1234":         "fe80::/64",
		"vm(3):1024":                  "vm(3):1024",
		"@":                           "@",
	} {
		if got := clientOf(remote); got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
}
