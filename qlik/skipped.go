package qlik

import (
	"maps"
	"slices"
	"sync"
)

// Sources are the kinds of data that a repository provides.
const (
	SourceTopology = "topology"
	SourceLicenses = "licenses"
	SourceServices = "services"
	SourceUsage    = "usage"
	SourceUsers    = "users"

	SourceDataConnections = "data_connections"
)

// Sources lists every source.
func Sources() []string {
	return []string{SourceTopology, SourceLicenses, SourceServices, SourceUsage, SourceUsers, SourceDataConnections}
}

// skipped counts the elements and fields of the repository's responses that could not
// be read and were left out.
type skipped struct {
	mu     sync.Mutex
	counts map[string]uint64  // by source, since NewClient
	last   map[string]leftOut // by source, in the last read
}

func newSkipped() *skipped {
	return &skipped{counts: make(map[string]uint64), last: make(map[string]leftOut)}
}

// record records what a read of a source left out. A read that failed says nothing, but
// a part of it may have succeeded.
func (s *skipped) record(source string, left leftOut, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range left {
		s.counts[source] += times
	}
	if err == nil || len(left) > 0 {
		s.last[source] = left
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
	last := c.skipped.last[source]
	var all []LeftOut
	for _, what := range slices.Sorted(maps.Keys(last)) {
		all = append(all, LeftOut{what, last[what]})
	}
	return all
}
