package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// idleBounds are the upper bounds of the buckets of qlik_limit_reached_longest_idle_seconds,
// in minutes.
var idleBounds = [...]int{1, 5, 10, 13, 15, 18, 20, 23, 25, 28, 30, 60}

// countIdle counts the idle slots of a person with at most one free slot at a step, and how
// long the longest of them has been idle if the person has just reached the limit.
func (to *step) countIdle(proxies []string, f *headroom.Facts, reached bool) {
	longest := 0
	for i := range f.Slots {
		slot := &f.Slots[i]
		switch slot.State {
		case headroom.SlotIdle:
			to.idle[slices.Index(proxies, slot.VirtualProxy)]++
		case headroom.SlotActive:
		default:
			continue
		}
		longest = max(longest, int(f.Now.Sub(slot.LastActive).Minutes()))
	}
	if reached {
		bucket, _ := slices.BinarySearch(idleBounds[:], longest)
		to.reachedIdle[bucket]++
		to.reachedMinutes += uint16(longest)
	}
}

// reachedUpTo returns a function of a step: how often users had reached the limit until then
// with an idle time up to a bound.
func (h *history) reachedUpTo(bound int) func(i int) int {
	total := make([]int, len(h.steps))
	for i := range h.steps {
		total[i] = total[max(0, i-1)]
		for _, n := range h.steps[i].reachedIdle[:bound+1] {
			total[i] += int(n)
		}
	}
	return func(i int) int { return total[i] }
}

// bound returns the label le of a bucket, as OpenMetrics writes it.
func bound(bucket int) string {
	if bucket == len(idleBounds) {
		return "+Inf"
	}
	return strconv.Itoa(60*idleBounds[bucket]) + ".0"
}

// reachedRecords writes how often users reached the limit in the last day, by idle time.
func (t *text) reachedRecords() {
	const name = "le:qlik_limit_reached_longest_idle_seconds_bucket:increase1d"
	t.family(name, "gauge")
	for bucket := range len(idleBounds) + 1 {
		t.series(name, fmt.Sprintf("le=%q,%s", bound(bucket), t.record()), 1, inDay(t.reachedUpTo(bucket)))
	}
}

// detailedReached writes the histogram of the idle times.
func (t *text) detailedReached(from int) {
	const name = "qlik_limit_reached_longest_idle_seconds"
	t.family(name, "histogram")
	for bucket := range len(idleBounds) + 1 {
		t.series(name+"_bucket", fmt.Sprintf("le=%q,%s", bound(bucket), t.target()), from, always(t.reachedUpTo(bucket)))
	}
	t.series(name+"_count", t.target(), from, always(t.reachedUpTo(len(idleBounds))))
	sum := make([]int, len(t.steps))
	for i := range t.steps {
		sum[i] = sum[max(0, i-1)] + 60*int(t.steps[i].reachedMinutes)
	}
	t.series(name+"_sum", t.target(), from, always(func(i int) int { return sum[i] }))
}

// inDay returns the increase of a counter within a day. The rule takes the increase over a
// day between the samples of the counter. The first of these is a step later than a day ago,
// so Prometheus extrapolates by that step.
func inDay(total func(i int) int) func(i int) (float64, bool) {
	return func(i int) (float64, bool) {
		return float64(total(i)-total(max(0, i-daySteps+1))) * daySteps / (daySteps - 1), true
	}
}
