package server

import (
	"sync"
	"time"
)

const (
	// firstReserve is the share of the scrape timeout that is kept back while
	// nothing has been measured.
	firstReserve = 4
	// reserveFactor is how much more than was needed lately is kept back: the
	// machine may be busier when it matters.
	reserveFactor = 3
	// reserveFading is by which share a need that does not come back is forgotten
	// with each answer.
	reserveFading = 10
)

// reserve knows how much of a scrape's time must be kept back for what is to be
// done when waiting for Qlik has ended: from there to the last byte of the answer.
// It grows with the number of users, and with whatever else the machine does.
type reserve struct {
	mu     sync.Mutex
	needed map[string]time.Duration // by site
}

// of returns what to keep back of the timeout of a scrape, at least the offset.
func (r *reserve) of(site string, timeout, offset time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	needed, measured := r.needed[site]
	if !measured {
		return max(timeout/firstReserve, offset)
	}
	return max(reserveFactor*needed, offset)
}

// record remembers what was needed. A large need counts at once and is forgotten slowly.
func (r *reserve) record(site string, needed time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.needed[site]
	r.needed[site] = max(needed, before-before/reserveFading)
}
