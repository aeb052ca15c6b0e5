package server

import (
	"sync"
	"time"
)

const (
	// firstReserve is the divisor of the scrape timeout for the reserve before the
	// first measurement.
	firstReserve = 4
	// reserveFactor multiplies the time that was needed recently, because the machine
	// may be busier later.
	reserveFactor = 3
	// reserveFading is the divisor for the part of the needed time that expires with
	// each response.
	reserveFading = 10
)

// reserve tracks how much of the scrape timeout must be reserved for the time from
// the end of waiting for Qlik to the last byte of the response. This time grows with
// the number of users and with other load on the machine.
type reserve struct {
	mu     sync.Mutex
	needed map[string]time.Duration // by site
}

// of returns the part of a scrape timeout to reserve, which is at least the offset.
func (r *reserve) of(site string, timeout, offset time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	needed, measured := r.needed[site]
	if !measured {
		return max(timeout/firstReserve, offset)
	}
	return max(reserveFactor*needed, offset)
}

// record records the needed time. A longer time counts at once and expires slowly.
func (r *reserve) record(site string, needed time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.needed[site]
	r.needed[site] = max(needed, before-before/reserveFading)
}
