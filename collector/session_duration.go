package collector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var sessionDurationDesc = histogramDesc("qlik_session_duration_seconds",
	"Observed lifetime of ended sessions that the exporter saw start. The precision is the time between scrapes.")

// SessionDuration is a histogram of the observed lifetimes of sessions, with classic
// and native buckets. It outlives scrapes.
type SessionDuration struct {
	prometheus.Histogram
}

// NewSessionDuration returns an empty histogram.
func NewSessionDuration() *SessionDuration {
	return &SessionDuration{prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: sessionDurationDesc.name,
		Help: sessionDurationDesc.help,
		// From a click to a working day; 1800 is Qlik's default inactivity timeout.
		Buckets:                         []float64{30, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})}
}

// Ended records the lifetime of an ended session. Its signature is that of
// SessionEnded in the configuration of internal/site.
func (d *SessionDuration) Ended(life time.Duration) { d.Observe(life.Seconds()) }
