package collector

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

var limitReachedIdleDesc = histogramDesc("qlik_limit_reached_longest_idle_seconds",
	"For each time that a user reached the session limit: how long the longest idle of the user's sessions had been idle. Times are left out while the usage rows do not tell how long sessions have been idle.")

// limitReached is a histogram of idle times, with classic and native buckets. It outlives
// scrapes.
type limitReached struct {
	histogram prometheus.Histogram

	mu    sync.Mutex
	added uint64 // number of idle times in the histogram, and of those that were lost
}

func newLimitReached() *limitReached {
	return &limitReached{histogram: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: limitReachedIdleDesc.name,
		Help: limitReachedIdleDesc.help,
		// Inactivity timeouts that are in use, and each of them plus the three minutes of the
		// rules about shorter timeouts.
		Buckets:                         []float64{60, 300, 600, 780, 900, 1080, 1200, 1380, 1500, 1680, 1800, 3600},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})}
}

// add adds the idle times that are new, and returns the histogram. Several scrapes can have
// the same snapshot, or an older one.
func (l *limitReached) add(reached *headroom.ReachedIdle) prometheus.Histogram {
	l.mu.Lock()
	defer l.mu.Unlock()
	if reached.Count > l.added {
		fresh := min(reached.Count-l.added, uint64(len(reached.Last)))
		for _, idle := range reached.Last[uint64(len(reached.Last))-fresh:] {
			l.histogram.Observe(idle.Seconds())
		}
		l.added = reached.Count
	}
	return l.histogram
}
