package qlik

import "sync/atomic"

// Sources of a site: what its repository is asked for.
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

// skipped counts, by source, elements and fields that could not be read and were
// left out, while the rest of the answer was used.
type skipped map[string]*atomic.Uint64

func newSkipped() skipped {
	s := make(skipped)
	for _, source := range Sources() {
		s[source] = new(atomic.Uint64)
	}
	return s
}

// Skipped returns how many elements of the repository's lists, and fields of them,
// were left out since the client was made because they could not be read. All
// sources are there.
func (c *Client) Skipped() map[string]uint64 {
	counts := make(map[string]uint64)
	for source, n := range c.skipped {
		counts[source] = n.Load()
	}
	return counts
}
