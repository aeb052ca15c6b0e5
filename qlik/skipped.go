package qlik

import "sync/atomic"

// Sources are the kinds of data that a repository provides.
const (
	SourceTopology = "topology"
	SourceLicenses = "licenses"
	SourceServices = "services"
	SourceUsage    = "usage"
)

// Sources lists every source.
func Sources() []string {
	return []string{SourceTopology, SourceLicenses, SourceServices, SourceUsage}
}

// skipped counts invalid elements and fields of responses by source. The rest of such
// a response is used.
type skipped map[string]*atomic.Uint64

func newSkipped() skipped {
	s := make(skipped)
	for _, source := range Sources() {
		s[source] = new(atomic.Uint64)
	}
	return s
}

// Skipped returns the number of invalid elements and fields in the lists of the
// repository since NewClient, by source. The result contains all sources.
func (c *Client) Skipped() map[string]uint64 {
	counts := make(map[string]uint64)
	for source, n := range c.skipped {
		counts[source] = n.Load()
	}
	return counts
}
