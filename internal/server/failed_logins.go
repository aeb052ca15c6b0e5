package server

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxFailedLogins is the number of failed logins within failedLoginsTime after which
	// no further password of an address is checked.
	maxFailedLogins  = 10
	failedLoginsTime = 5 * time.Minute
	// failedLoginsLine is the time between two log lines about an address.
	failedLoginsLine = time.Minute
	// maxGuessers limits the addresses that are remembered.
	maxGuessers = 10_000
)

// failedLogins counts and logs the failed logins on a port, and limits those of an
// address. It never sees a password or the name of a user, because people type passwords
// into the wrong field.
type failedLogins struct {
	listener string // in the log
	total    prometheus.Counter
	logger   log.Logger

	mu       sync.Mutex               // guards the fields below
	guessers map[string]*list.Element // by address
	order    *list.List               // of *guesser; the one with the oldest attempt first
}

// guesser is an address with failed logins.
type guesser struct {
	address  string
	failed   []time.Time // the last maxFailedLogins within failedLoginsTime
	logged   time.Time   // the last line
	attempts int         // failed logins since the last line
	refused  int         // requests since the last line whose password was not checked
}

func newFailedLogins(listener string, total prometheus.Counter, logger log.Logger) *failedLogins {
	return &failedLogins{listener: listener, total: total, logger: logger, guessers: make(map[string]*list.Element), order: list.New()}
}

// add records a failed login.
func (f *failedLogins) add(address string) {
	f.total.Inc()
	f.mu.Lock()
	defer f.mu.Unlock()
	g, now := f.touch(address), time.Now()
	g.forget(now)
	if len(g.failed) == maxFailedLogins {
		g.failed = g.failed[1:]
	}
	g.failed = append(g.failed, now)
	g.attempts++
	f.line(g, now)
}

// refuse returns how long no password of the address is checked, or 0 if it may try now.
// If it returns more, it counts a refused request.
func (f *failedLogins) refuse(address string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.count(address, now) < maxFailedLogins {
		return 0
	}
	g := f.touch(address)
	g.refused++
	f.line(g, now)
	return g.failed[0].Add(failedLoginsTime).Sub(now)
}

// recent returns the number of recent failed logins of an address.
func (f *failedLogins) recent(address string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count(address, time.Now())
}

// count is recent for a caller that holds the mutex.
func (f *failedLogins) count(address string, now time.Time) int {
	element, found := f.guessers[address]
	if !found {
		return 0
	}
	g := element.Value.(*guesser) //nolint:errcheck,forcetypeassert // only these are stored
	g.forget(now)
	return len(g.failed)
}

// touch returns an address as the one with the most recent attempt. It forgets the one
// with the oldest attempt if there are too many. The caller holds the mutex.
func (f *failedLogins) touch(address string) *guesser {
	if element, found := f.guessers[address]; found {
		f.order.MoveToBack(element)
		return element.Value.(*guesser) //nolint:errcheck,forcetypeassert // only these are stored
	}
	for f.order.Len() >= maxGuessers {
		f.remove(f.order.Front())
	}
	g := &guesser{address: address}
	f.guessers[address] = f.order.PushBack(g)
	return g
}

// remove forgets an address. The caller holds the mutex.
func (f *failedLogins) remove(element *list.Element) {
	g := element.Value.(*guesser) //nolint:errcheck,forcetypeassert // only these are stored
	f.write(g)
	f.order.Remove(element)
	delete(f.guessers, g.address)
}

// forget forgets failed logins that are no longer recent.
func (g *guesser) forget(now time.Time) {
	for len(g.failed) > 0 && now.Sub(g.failed[0]) >= failedLoginsTime {
		g.failed = g.failed[1:]
	}
}

// line logs the attempts of an address if its last line is long enough ago. The caller
// holds the mutex.
func (f *failedLogins) line(g *guesser, now time.Time) {
	if now.Sub(g.logged) < failedLoginsLine {
		return
	}
	f.write(g)
	g.logged = now
}

// write logs the attempts of an address since its last line. The caller holds the mutex.
func (f *failedLogins) write(g *guesser) {
	if g.attempts+g.refused == 0 {
		return
	}
	_ = level.Warn(f.logger).Log("msg", "Failed logins", "listener", f.listener, "address", g.address, "attempts", g.attempts, "refused", g.refused)
	g.attempts, g.refused = 0, 0
}

// report logs the attempts that follow the first line of an address, until ctx ends.
func (f *failedLogins) report(ctx context.Context) {
	ticker := time.NewTicker(failedLoginsLine)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f.reportOnce(f.line)
		case <-ctx.Done():
			f.reportOnce(func(g *guesser, _ time.Time) { f.write(g) })
			return
		}
	}
}

// reportOnce logs attempts, and forgets addresses without recent ones.
func (f *failedLogins) reportOnce(log func(g *guesser, now time.Time)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for element := f.order.Front(); element != nil; {
		next := element.Next()
		g := element.Value.(*guesser) //nolint:errcheck,forcetypeassert // only these are stored
		log(g, now)
		if g.forget(now); len(g.failed) == 0 {
			f.remove(element)
		}
		element = next
	}
}
