package qlik

import (
	"maps"
	"slices"
	"sync"
)

// Sources are the kinds of data that are read leniently. A repository provides them.
const (
	SourceTopology = "topology"
	SourceLicenses = "licenses"
	SourceServices = "services"
	SourceUsage    = "usage"
	SourceUsers    = "users"

	SourceDataConnections = "data_connections"

	// SourceEngines are the health checks of the engines. A repository does not provide them.
	SourceEngines = "engines"
)

// Sources lists every source.
func Sources() []string {
	return []string{SourceTopology, SourceLicenses, SourceServices, SourceUsage, SourceUsers, SourceDataConnections, SourceEngines}
}

// skipped counts the elements and fields of the repository's responses that could not
// be read and were left out.
type skipped struct {
	mu     sync.Mutex
	counts map[string]uint64  // by source, since NewClient
	last   map[readOf]leftOut // in the last read
}

// readOf is what is read at once: a source, or the part of it that one server provides.
type readOf struct{ source, server string }

func newSkipped() *skipped {
	return &skipped{counts: make(map[string]uint64), last: make(map[readOf]leftOut)}
}

// record records what a read of a source left out. A read that failed says nothing, but
// a part of it may have succeeded.
func (s *skipped) record(source string, left leftOut, err error) { s.recordOf(source, "", left, err) }

// recordOf records what a read of the part of a source left out that a server provides.
func (s *skipped) recordOf(source, server string, left leftOut, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range left {
		s.counts[source] += times
	}
	if err == nil || len(left) > 0 {
		s.last[readOf{source, server}] = left
	}
}

// Skipped returns the number of elements and fields of the repository's responses that
// could not be read and were left out since NewClient, by source. The result contains
// all sources.
func (c *Client) Skipped() map[string]uint64 {
	c.skipped.mu.Lock()
	defer c.skipped.mu.Unlock()
	counts := make(map[string]uint64)
	for _, source := range Sources() {
		counts[source] = c.skipped.counts[source]
	}
	return counts
}

// LeftOut is a kind of element or field that could not be read.
type LeftOut struct {
	What  string // such as "description of virtualproxyconfig"
	Times uint64
}

// LeftOut returns what the last read of a source left out.
func (c *Client) LeftOut(source string) []LeftOut {
	c.skipped.mu.Lock()
	defer c.skipped.mu.Unlock()
	last := make(leftOut)
	for of, left := range c.skipped.last {
		for what, times := range left {
			if of.source == source {
				last.addTimes(what, times)
			}
		}
	}
	var all []LeftOut
	for _, what := range slices.Sorted(maps.Keys(last)) {
		all = append(all, LeftOut{what, last[what]})
	}
	return all
}
