package guard

import (
	"maps"
	"sync"

	"github.com/qlik-exporter/qlik_exporter/collector"
)

// counts are the counters of the guard. Each exists at 0.
type counts struct {
	mu sync.Mutex // guards of
	of collector.GuardCounts
}

func newCounts(dryRun bool) *counts {
	of := collector.GuardCounts{Mode: "on", HeldBack: make(map[string]uint64)}
	for _, why := range reasons {
		of.HeldBack[string(why)] = 0
	}
	if dryRun {
		of.Mode = "dry-run"
		of.DryRun = &collector.DryRunCounts{Prevented: make(map[string]uint64)}
		for _, name := range readingNames {
			of.DryRun.Prevented[name] = 0
		}
	}
	return &counts{of: of}
}

func (c *counts) get() collector.GuardCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.of
	of.HeldBack = maps.Clone(of.HeldBack)
	if of.DryRun != nil {
		of.DryRun = &collector.DryRunCounts{Returned: of.DryRun.Returned, Prevented: maps.Clone(of.DryRun.Prevented)}
	}
	return of
}

func (c *counts) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of.Ended++
}

func (c *counts) heldBack(why Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of.HeldBack[string(why)]++
}

func (c *counts) add(a achieved) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of.DryRun == nil {
		return
	}
	c.of.DryRun.Returned += a.returned
	for reading, n := range a.prevented {
		c.of.DryRun.Prevented[readingNames[reading]] += n
	}
}
