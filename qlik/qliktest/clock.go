package qliktest

import (
	"sync"
	"time"
)

// Clock is a clock for Config.Now. It stands still until Follow makes it follow the wall clock. It is safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	at     time.Time
	follow bool
}

// NewClock returns a clock that stands still at t.
func NewClock(t time.Time) *Clock { return &Clock{at: t} }

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.follow {
		return time.Now()
	}
	return c.at
}

// Set stops the clock at t.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.follow = t, false
}

// Advance moves a standing clock forward by d and returns the new time.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// Follow makes the clock follow the wall clock.
func (c *Clock) Follow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow = true
}
