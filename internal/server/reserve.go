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
	// maxMeasured limits the measurements that are remembered.
	maxMeasured = 1000
)

// reserve tracks how much of the scrape timeout must be reserved for the time from
// the end of waiting for Qlik to the last byte of the response. This time grows with
// the number of users and with other load on the machine. A client that reads slowly
// does not increase the reserve of other clients.
type reserve struct {
	mu     sync.Mutex
	needed map[scraper]time.Duration
}

// scraper is a client that scrapes a site.
type scraper struct{ site, client string }

func newReserve() *reserve { return &reserve{needed: make(map[scraper]time.Duration)} }

// of returns the part of a scrape timeout to reserve, which is at least the offset.
func (r *reserve) of(who scraper, timeout, offset time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	needed, measured := r.needed[who]
	if !measured {
		return max(timeout/firstReserve, offset)
	}
	return max(reserveFactor*needed, offset)
}

// record records the needed time. A longer time counts at once and expires slowly.
func (r *reserve) record(who scraper, needed time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, measured := r.needed[who]
	if !measured && len(r.needed) >= maxMeasured {
		clear(r.needed)
	}
	r.needed[who] = max(needed, before-before/reserveFading)
}
