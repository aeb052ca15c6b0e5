package simulated_test

import (
	"flag"
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

// prevented returns how many refused logins a timeout would have prevented, as the recording
// rules estimate it.
func (o observed) prevented(timeout time.Duration) float64 {
	longer := 0
	for _, idle := range o.idle {
		if idle > timeout+headroom.DefaultCoolingTime {
			longer++
		}
	}
	return float64(o.refused) * float64(longer) / float64(len(o.idle))
}

// TestShorterTimeout runs the same weeks with a shorter timeout, and compares the refused
// logins that it prevents with the estimate from what is observed with the usual one. The
// estimate must be careful: in sum not above the truth, and not less than two thirds of it.
//
// There is no estimate for a timeout that is less than the cooling time shorter than the
// usual one, because no session is idle for so long.
func TestShorterTimeout(t *testing.T) {
	t.Parallel()
	pasts := []past{{1, 200, 1}, {2, 200, 1}}
	if *weeks {
		pasts = nil
		for seed := range uint64(10) {
			pasts = append(pasts, past{seed, 400, 7})
		}
	}
	timeouts := []time.Duration{20 * time.Minute, 15 * time.Minute, 10 * time.Minute}
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
		least := 2.0 / 3
		if !*weeks {
			least = 1.0 / 3 // two days tell less
		}
		if e, all := estimate[i], float64(truth[i]); e > all || e < least*all {
			t.Errorf("%s: the estimate is %.0f of %d", timeout, e, truth[i])
		}
	}
}
