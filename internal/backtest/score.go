package backtest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

// What a forecast must reach.
const (
	minGain                  = 0.3 // over no change, of the median error
	minCoverage, maxCoverage = 0.65, 0.93
	minForecasts             = 100 // fewer say nothing
)

// Score is how good forecasts of one kind are.
type Score struct {
	noChange, forecast []float64 // errors
	inside             int       // truths between low and high
	expected           bool      // to be good
}

// Table has scores by what is forecast, and in which case.
type Table map[[2]string]*Score

// Of returns the score of a forecast in a case. The test fails if one is not good enough,
// unless no forecast is shown there.
func (table Table) Of(forecast, ofCase string, shown bool) *Score {
	key := [2]string{forecast, ofCase}
	if table[key] == nil {
		table[key] = &Score{expected: shown}
	}
	return table[key]
}

// Forecast is what a rule says about the future, with a band.
type Forecast struct{ Low, Value, High float64 }

// Forecast returns the value of a rule that predicts, with its band.
func (r Result) Forecast(record, labels string) (f Forecast, ok bool) {
	f.Value, ok = r[record][labels]
	f.Low, f.High = r[record+"_low"][labels], r[record+"_high"][labels]
	return f, ok
}

// ForecastDay returns the time of a rule that predicts, with its band, in days from now.
func (r Result) ForecastDay(record, labels string, now float64) (f Forecast, ok bool) {
	const seconds = 86400
	f.Value, ok = r[record+":timestamp"][labels]
	f.Low, f.High = r[record+"_earliest:timestamp"][labels], r[record+"_latest:timestamp"][labels]
	return Forecast{f.Low/seconds - now, f.Value/seconds - now, f.High/seconds - now}, ok
}

// Count counts a forecast of a number. Its error is relative to what came true; numbers
// below one count as one.
func (s *Score) Count(now float64, f Forecast, truth float64) {
	s.count(math.Abs(now-truth)/max(1, truth), math.Abs(f.Value-truth)/max(1, truth), inside(f, truth))
}

// CountDay counts a forecast of a day, in days from now. What lies behind the horizon is
// as far away as the horizon; that is also what no change means. Cases without an end
// within the horizon do not count, if none was predicted either.
func (s *Score) CountDay(f Forecast, truth, horizon float64) {
	truth, f = min(truth, horizon), Forecast{min(f.Low, horizon), min(f.Value, horizon), min(f.High, horizon)}
	if truth < horizon || f.Value < horizon {
		s.count(horizon-truth, math.Abs(f.Value-truth), inside(f, truth))
	}
}

// inside reports whether the truth is in the band, which is displayed in whole numbers.
func inside(f Forecast, truth float64) bool {
	return math.Round(f.Low) <= math.Round(truth) && math.Round(truth) <= math.Round(f.High)
}

func (s *Score) count(noChange, forecast float64, inside bool) {
	s.noChange, s.forecast = append(s.noChange, noChange), append(s.forecast, forecast)
	if inside {
		s.inside++
	}
}

func (s *Score) gain() float64     { return 1 - median(s.forecast)/median(s.noChange) }
func (s *Score) coverage() float64 { return float64(s.inside) / float64(len(s.forecast)) }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Judge prints the table, and fails the test if a forecast that is shown is not good
// enough.
func (table Table) Judge(t *testing.T) {
	t.Helper()
	var text strings.Builder
	text.WriteString("\n| forecast | case | n | median error: no change | forecast | gain | in the band |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, key := range slices.SortedFunc(maps.Keys(table), func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) }) {
		s := table[key]
		if len(s.forecast) == 0 {
			t.Errorf("%s, %s: no forecasts", key[0], key[1])
			continue
		}
		_, _ = fmt.Fprintf(&text, "| %s | %s | %d | %.3g | %.3g | %.0f %% | %.0f %% |\n",
			key[0], key[1], len(s.forecast), median(s.noChange), median(s.forecast), 100*s.gain(), 100*s.coverage())
		if !s.expected || len(s.forecast) < minForecasts {
			continue
		}
		if !(s.gain() >= minGain) {
			t.Errorf("%s, %s: not much better than no change", key[0], key[1])
		}
		if c := s.coverage(); c < minCoverage || c > maxCoverage {
			t.Errorf("%s, %s: a band that is too narrow or too wide", key[0], key[1])
		}
	}
	t.Log(text.String())
}
