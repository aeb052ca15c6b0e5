package simulated_test

import (
	"flag"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/simulated"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var weeks = flag.Bool("weeks", false, "compare what a shorter timeout would have prevented in ten weeks of 400 people instead of two days of 200")

// past is some working time of people with a seed.
type past struct {
	seed   uint64
	people int
	days   int
	change func(config *qliktest.Config) // nil for the usual site
}

// config is the site of the past with a timeout.
func (p past) config(timeout time.Duration) qliktest.Config {
	config := qliktest.Company(p.people)
	for i := range config.VirtualProxies {
		v := &config.VirtualProxies[i]
		if v.InactivityTimeout == 0 || v.InactivityTimeout > timeout {
			v.InactivityTimeout = timeout
		}
	}
	if p.change != nil {
		p.change(&config)
	}
	return config
}

func (p past) end() time.Time { return simulated.Monday.AddDate(0, 0, p.days) }

// refused returns how many logins are refused with a timeout.
func (p past) refused(t *testing.T, timeout time.Duration) int {
	t.Helper()
	site := simulated.Start(t, p.config(timeout), headroom.Config{})
	office := qliktest.NewOffice(site.Site, p.seed)
	office.Advance(site.Clock, p.end())
	return office.Refused()
}

// observed is what an exporter observes.
type observed struct {
	refused uint64
	idle    []time.Duration // as in qlik_limit_reached_longest_idle_seconds
}

func (p past) observe(t *testing.T) observed {
	t.Helper()
	site := simulated.Start(t, p.config(30*time.Minute), headroom.Config{})
	var seen observed
	var count uint64
	site.Watch(qliktest.NewOffice(site.Site, p.seed), p.end(), 30*time.Second, func(snapshot *headroom.Snapshot) {
		reached := &snapshot.Tracking.ReachedIdle
		seen.idle = append(seen.idle, reached.Last[uint64(len(reached.Last))-(reached.Count-count):]...)
		count = reached.Count
		seen.refused = snapshot.Tracking.Refused[string(qlik.RefusedSessionLimit)]
	})
	return seen
}

// held is how long the recording rules take a slot to be held after the timeout of its session.
// A session that times out below the limit frees its slot at once, one that times out at the
// limit after five minutes.
const held = 3 * time.Minute

// careful is the share of the estimate that is left, because a shorter timeout also ends
// sessions to which people return.
const careful = 0.9

// prevented returns how many refused logins a timeout would have prevented, as the recording
// rules estimate it. It is not a number if no idle time is known.
func (o observed) prevented(timeout time.Duration) float64 {
	longer := 0
	for _, idle := range o.idle {
		if idle > timeout+held {
			longer++
		}
	}
	return careful * float64(o.refused) * float64(longer) / float64(len(o.idle))
}

// TestShorterTimeout runs the same weeks with a shorter timeout, and compares the refused
// logins that it prevents with the estimate from what is observed with the usual one. The
// estimate for all of them together must be careful: between two thirds of the truth and the
// truth.
func TestShorterTimeout(t *testing.T) {
	t.Parallel()
	pasts := []past{{1, 200, 1, nil}, {2, 200, 1, nil}}
	if *weeks {
		pasts = weeksOf(10, nil)
	}
	compareTimeouts(t, pasts, 2.0/3, 1)
}

// TestShorterTimeoutElsewhere tells how wrong the estimate is where every slot cools.
func TestShorterTimeoutElsewhere(t *testing.T) {
	t.Parallel()
	if !*weeks {
		t.Skip("takes minutes; run with -weeks")
	}
	compareTimeouts(t, weeksOf(3, func(c *qliktest.Config) { c.Tail = qliktest.TailAlways }), 0.5, 1.5)
}

// TestNoShorterTimeout checks that there is no estimate where activity is recorded too rarely.
func TestNoShorterTimeout(t *testing.T) {
	t.Parallel()
	seen := past{1, 200, 1, func(c *qliktest.Config) { c.Activity = qliktest.ActivityInBatches }}.observe(t)
	if seen.refused == 0 || len(seen.idle) > 0 {
		t.Errorf("%d refused logins, %d idle times", seen.refused, len(seen.idle))
	}
}

// weeksOf returns weeks of 400 people.
func weeksOf(seeds int, change func(*qliktest.Config)) []past {
	pasts := make([]past, seeds)
	for i := range pasts {
		pasts[i] = past{uint64(i), 400, 7, change}
	}
	return pasts
}

// compareTimeouts fails the test if the estimate for all pasts together is not between two
// shares of the truth.
func compareTimeouts(t *testing.T, pasts []past, least, most float64) {
	t.Helper()
	timeouts := []time.Duration{25 * time.Minute, 20 * time.Minute, 15 * time.Minute, 10 * time.Minute}
	truth, estimate := make([]int, len(timeouts)), make([]float64, len(timeouts))
	ratios := make([][]float64, len(timeouts))
	for _, p := range pasts {
		usual, seen := p.refused(t, 30*time.Minute), p.observe(t)
		t.Logf("seed %d: %d refused logins, %d seen; the limit was reached %d times", p.seed, usual, seen.refused, len(seen.idle))
		for i, timeout := range timeouts {
			prevented, estimated := usual-p.refused(t, timeout), seen.prevented(timeout)
			truth[i] += prevented
			estimate[i] += estimated
			ratios[i] = append(ratios[i], estimated/float64(prevented))
			t.Logf("  %s: %d prevented, estimate %.0f", timeout, prevented, estimated)
		}
	}
	for i, timeout := range timeouts {
		t.Logf("%s: %d prevented, estimate %.0f, %.0f %%; single pasts %.2f to %.2f", timeout,
			truth[i], estimate[i], 100*estimate[i]/float64(truth[i]), slices.Min(ratios[i]), slices.Max(ratios[i]))
		if share := estimate[i] / float64(truth[i]); math.IsNaN(share) || share > most || share < least {
			t.Errorf("%s: the estimate is %.0f of %d", timeout, estimate[i], truth[i])
		}
	}
}
