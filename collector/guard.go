package collector

var (
	guardEndedDesc = counterDesc("qlik_guard_ended_sessions_total",
		"Idle sessions of users with one slot left that the guard has ended; in the mode dry-run, those that it would have ended.",
		"mode")
	guardHeldBackDesc = counterDesc("qlik_guard_held_back_total",
		"Users with one slot left for whom the guard did nothing, by reason. Each reason counts once until the user no longer has exactly one slot left.",
		"reason")
	guardReturnedDesc = counterDesc("qlik_guard_returned_sessions_total",
		"Sessions that the guard would have ended and that were used again: windows that somebody would have had to open again. Only in the mode dry-run.")
	guardPreventedDesc = counterDesc("qlik_guard_prevented_refusals_total",
		"Refused logins that Qlik would have granted with the guard, by reading of Qlik's rule: at_limit, a slot freed below the limit is free at once; always, each freed slot cools. Only in the mode dry-run.",
		"reading")
)

// GuardCounts is what the guard of a site did since the exporter started.
type GuardCounts struct {
	Mode     string // "on" or "dry-run"
	Ended    uint64
	HeldBack map[string]uint64 // by reason, also those that are 0
	DryRun   *DryRunCounts     // nil unless the mode is "dry-run"
}

// DryRunCounts is what the guard would have achieved.
type DryRunCounts struct {
	Returned  uint64
	Prevented map[string]uint64 // by reading, also those that are 0
}

// guardCollector writes what the guard did. It cannot be disabled while there is a guard.
type guardCollector struct{ counts func() GuardCounts }

// Update implements Collector.
func (c guardCollector) Update(_ *view, w *writer) error {
	counts := c.counts()
	w.write(guardEndedDesc, float64(counts.Ended), counts.Mode)
	for reason, n := range counts.HeldBack {
		w.write(guardHeldBackDesc, float64(n), reason)
	}
	if counts.DryRun == nil {
		return nil
	}
	w.write(guardReturnedDesc, float64(counts.DryRun.Returned))
	for reading, n := range counts.DryRun.Prevented {
		w.write(guardPreventedDesc, float64(n), reading)
	}
	return nil
}
