package alerts_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/backtest"
)

var backtests = flag.Bool("backtests", false, "run TestBacktests, which takes minutes (.ci/slow)")

const (
	backtestStep = 12  // hours between samples and evaluations
	ahead        = 90  // days
	horizon      = 180 // days, of the time when no seats or tokens are left
)

// TestBacktests judges the alerts and the rules that predict: on made-up pools, it compares
// them with what comes true, on each day of eleven months.
func TestBacktests(t *testing.T) {
	t.Parallel()
	if !*backtests {
		t.Skip("takes minutes; run with -backtests")
	}
	for _, test := range []struct {
		alert, group string
		pool         func(seed uint64, kind poolKind) pool
		kinds        []poolKind
		forecasts    func(table backtest.Table, p *pool, day int, labels string, now backtest.Result)
	}{
		{"QlikLicenseSeatsRunningOut", "qlik-capacity", seats, []poolKind{small, large, smallAtRandom}, seatForecasts},
		{"QlikTokensRunningOut", "qlik-capacity", tokens, []poolKind{small, large, smallAtRandom}, tokenForecasts},
		{"QlikAnalyzerCapacityRunningOut", "qlik-analyzer-capacity", capacity, []poolKind{small, large}, capacityForecasts},
	} {
		t.Run(test.alert, func(t *testing.T) {
			t.Parallel()
			for _, kind := range test.kinds {
				t.Run(kind.String(), func(t *testing.T) {
					t.Parallel()
					var pools []pool
					for seed := range uint64(backtest.Seeds) {
						pools = append(pools, test.pool(seed, kind))
					}
					var warnings score
					table := make(backtest.Table)
					for n, now := range evaluate(t, test.group, pools) {
						day := firstJudged + n
						for i := range pools {
							if p := &pools[i]; p.judged[day] {
								_, warned := now["ALERTS"][fmt.Sprintf(`alertname=%q, alertstate="firing", job="qlik", %sscope="site", severity="warning", site="%d"`, test.alert, p.license, i)]
								warnings.count(warned, p.comesTrue[day])
								test.forecasts(table, p, day, fmt.Sprintf(`job="qlik", %ssite="%d"`, p.license, i), now)
							}
						}
					}
					t.Logf("precision %.2f, recall %.2f: of %d days, %d warned and right, %d wrong, %d missed",
						warnings.precision(), warnings.recall(), warnings.days, warnings.right, warnings.wrong, warnings.missed)
					if kind != smallAtRandom && (warnings.precision() < 0.8 || warnings.recall() < 0.8) {
						t.Error("less than 0.8")
					}
					table.Judge(t)
				})
			}
		})
	}
}

func seatForecasts(table backtest.Table, p *pool, day int, labels string, now backtest.Result) {
	licenseForecasts(table, p, day, labels, now, "license:qlik_license_seats_allocated", "license:qlik_license_seats_used_up")
}

func tokenForecasts(table backtest.Table, p *pool, day int, labels string, now backtest.Result) {
	licenseForecasts(table, p, day, labels, now, "site:qlik_license_tokens_used", "site:qlik_license_tokens_used_up")
}

func licenseForecasts(table backtest.Table, p *pool, day int, labels string, now backtest.Result, inUse, usedUp string) {
	f, ok := now.Forecast(inUse+":predict90d", labels)
	if !ok {
		return
	}
	table.Of("in use in 90 days", p.kind, true).Count(p.inUse[day], f, p.inUse[day+ahead])
	if f, ok := now.ForecastDay(usedUp, labels, float64(day)+judgedHour/24.0); ok {
		table.Of("none left, in days", p.kind, true).CountDay(f, p.runsOut[day], horizon)
	}
}

func capacityForecasts(table backtest.Table, p *pool, day int, labels string, now backtest.Result) {
	if p.before[day] == 0 { // the first month
		return
	}
	if f, ok := now.Forecast("site:qlik_license_capacity_used_seconds:predict_end", labels); ok {
		minutes := backtest.Forecast{Low: f.Low / 60, Value: f.Value / 60, High: f.High / 60}
		table.Of("minutes at the end of the month", p.kind, true).Count(p.before[day], minutes, p.byEnd[day])
	}
	if f, ok := now.ForecastDay("site:qlik_license_capacity_used_up", labels, float64(day)+judgedHour/24.0); ok {
		month := time.Date(date(day).Year(), date(day).Month()+1, 1, 0, 0, 0, 0, time.UTC)
		table.Of("no minutes left, in days", p.kind, true).CountDay(f, p.runsOut[day], month.Sub(date(day)).Hours()/24-judgedHour/24.0)
	}
}

// score counts days.
type score struct{ days, right, wrong, missed int }

func (s *score) count(warned, comesTrue bool) {
	s.days++
	switch {
	case warned && comesTrue:
		s.right++
	case warned:
		s.wrong++
	case comesTrue:
		s.missed++
	}
}

func (s *score) precision() float64 { return float64(s.right) / float64(s.right+s.wrong) }
func (s *score) recall() float64    { return float64(s.right) / float64(s.right+s.missed) }

// evaluate returns what the rules of a group say in the evening of each judged day. Each
// pool is a site.
func evaluate(t *testing.T, group string, pools []pool) []backtest.Result {
	t.Helper()
	evaluation := backtest.Evaluation{
		Rules: backtest.Rules(t, group, ".*"), Every: backtestStep * time.Hour,
		Series: make(map[string][]float64), Step: backtestStep * time.Hour,
		Query: `{__name__=~"ALERTS|.*:predict.*|.*_used_up.*"}`,
	}
	for i, p := range pools {
		for name, values := range p.series {
			var samples []float64
			for at := 0; at < (lastJudged+1)*24; at += backtestStep {
				samples = append(samples, values[at*len(values)/poolDays/24])
			}
			evaluation.Series[fmt.Sprintf(`%s,job="qlik",site="%d"}`, name, i)] = samples
		}
	}
	for day := firstJudged; day <= lastJudged; day++ {
		evaluation.At = append(evaluation.At, time.Duration(day*24+judgedHour)*time.Hour)
	}
	return evaluation.Run(t)
}
