package collector

import (
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
)

// TestLimitReachedCountsOnce checks that each idle time counts once: several scrapes can have
// the same snapshot, an older one, or one that knows only the last idle times.
func TestLimitReachedCountsOnce(t *testing.T) {
	reached := newLimitReached()
	first := headroom.ReachedIdle{Count: 2, Last: []time.Duration{25 * time.Minute, 0}}
	second := headroom.ReachedIdle{Count: 6, Last: []time.Duration{20 * time.Minute, 10 * time.Minute, 11 * time.Minute}}
	for i, step := range []struct {
		add   headroom.ReachedIdle
		count uint64
		sum   time.Duration
	}{
		{headroom.ReachedIdle{}, 0, 0},
		{first, 2, 25 * time.Minute},
		{first, 2, 25 * time.Minute},
		{second, 5, 66 * time.Minute},
		{first, 5, 66 * time.Minute},
		{second, 5, 66 * time.Minute},
	} {
		var metric dto.Metric
		if err := reached.add(&step.add).Write(&metric); err != nil {
			t.Fatal(err)
		}
		if h := metric.GetHistogram(); h.GetSampleCount() != step.count || h.GetSampleSum() != step.sum.Seconds() {
			t.Errorf("step %d: %d idle times of %v s together, want %d of %v s", i, h.GetSampleCount(), h.GetSampleSum(), step.count, step.sum.Seconds())
		}
	}
}
