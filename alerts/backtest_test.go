package alerts_test

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/backtest"
)

var backtests = flag.Bool("backtests", false, "run TestBacktests, which takes minutes (.ci/slow)")

// Days that forecasts look ahead.
const (
	ahead   = 90
	horizon = 180 // of the time when no seats or tokens are left
)

const batches = 3 // of pools; all are too many for one promtool

// TestBacktests judges the alerts and the forecasts: on made-up pools, it compares what the
// rules say within eleven months with what comes true.
func TestBacktests(t *testing.T) {
	t.Parallel()
	if !*backtests {
		t.Skip("takes minutes; run with -backtests")
	}
	const forecasts = `.*:growth90d|.*:predict90d.*|.*_used_up.*|Qlik.*RunningOut`
	for _, test := range []struct {
		alert, rules string
		pool         func(seed uint64, kind poolKind) pool
		kinds        []poolKind
		every        time.Duration // between evaluations
		forecasts    func(table backtest.Table, p *pool, at time.Duration, labels string, now backtest.Result)
	}{
		{"QlikLicenseSeatsRunningOut", forecasts, seats, []poolKind{small, large, smallAtRandom}, 5 * 24 * time.Hour, seatForecasts},
		{"QlikTokensRunningOut", forecasts, tokens, []poolKind{small, large, smallAtRandom}, 5 * 24 * time.Hour, tokenForecasts},
		{"QlikAnalyzerCapacityRunningOut", ".*capacity.*|.*Capacity.*", capacity, []poolKind{small, large}, 12 * time.Hour, capacityForecasts}, // remembers periods
	} {
		t.Run(test.alert, func(t *testing.T) {
			t.Parallel()
			for _, kind := range test.kinds {
				t.Run(kind.String(), func(t *testing.T) {
					t.Parallel()
					var warnings score
					table := make(backtest.Table)
					for batch := range uint64(batches) {
						var pools []pool
						for seed := range uint64(backtest.Seeds) {
							pools = append(pools, test.pool(batch*backtest.Seeds+seed, kind))
						}
						for at, now := range evaluate(t, test.rules, test.every, pools) {
							for i := range pools {
								p, site := &pools[i], strconv.Itoa(i)
								if p.judged[int(at.Hours()/24)] {
									warnings.count(warned(now, test.alert, site), p.comesTrue[int(at.Hours()/24)])
									test.forecasts(table, p, at, fmt.Sprintf("job=%q, %ssite=%q", "qlik", p.license, site), now)
								}
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

// warned reports whether an alert of severity warning is pending or firing. The rules are
// evaluated too rarely to tell the difference.
func warned(now backtest.Result, alert, site string) bool {
	for labels := range now["ALERTS"] {
		if strings.Contains(labels, `alertname="`+alert+`"`) && strings.Contains(labels, `severity="warning"`) && strings.Contains(labels, `site="`+site+`"`) {
			return true
		}
	}
	return false
}

func seatForecasts(table backtest.Table, p *pool, at time.Duration, labels string, now backtest.Result) {
	licenseForecasts(table, p, at, labels, now, "license:qlik_license_seats_allocated", "license:qlik_license_seats_used_up")
}

func tokenForecasts(table backtest.Table, p *pool, at time.Duration, labels string, now backtest.Result) {
	licenseForecasts(table, p, at, labels, now, "site:qlik_license_tokens_used", "site:qlik_license_tokens_used_up")
}

func licenseForecasts(table backtest.Table, p *pool, at time.Duration, labels string, now backtest.Result, inUse, usedUp string) {
	day := int(at.Hours() / 24)
	inUseThen, runsOut := table.Of("in use in 90 days", p.kind, true), table.Of("none left, in days", p.kind, true)
	f, ok := now.Forecast(inUse+":predict90d", labels)
	if !ok {
		return // there is no band either
	}
	inUseThen.Count(p.inUse[day], f, p.inUse[day+ahead])
	if f, ok := now.ForecastDay(usedUp, labels, at.Hours()/24); ok {
		runsOut.CountDay(f, p.runsOut[day], horizon)
	}
}

func capacityForecasts(table backtest.Table, p *pool, at time.Duration, labels string, now backtest.Result) {
	day := int(at.Hours() / 24)
	byEnd, runsOut := table.Of("minutes at the end of the month", p.kind, true), table.Of("no minutes left, in days", p.kind, true)
	if p.before[day] == 0 { // the first month
		return
	}
	if f, ok := now.Forecast("site:qlik_license_capacity_used_seconds:predict_end", labels); ok {
		minutes := backtest.Forecast{Low: f.Low / 60, Value: f.Value / 60, High: f.High / 60}
		byEnd.Count(p.before[day], minutes, p.byEnd[day])
	}
	if f, ok := now.ForecastDay("site:qlik_license_capacity_used_up", labels, at.Hours()/24); ok {
		month := time.Date(date(day).Year(), date(day).Month()+1, 1, 0, 0, 0, 0, time.UTC)
		runsOut.CountDay(f, p.runsOut[day], month.Sub(date(day)).Hours()/24)
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

// evaluate returns what some rules say at each judged time. Each pool is a site.
func evaluate(t *testing.T, rules string, every time.Duration, pools []pool) map[time.Duration]backtest.Result {
	t.Helper()
	const step = 12 // hours between samples
	evaluation := backtest.Evaluation{
		Rules: backtest.Rules(t, rules), Every: every,
		Series: make(map[string][]float64), Step: step * time.Hour,
		Query: `{__name__=~"ALERTS|.*:predict.*|.*_used_up.*"}`,
	}
	for i, p := range pools {
		for name, values := range p.series {
			var samples []float64
			for at := 0; at < (lastJudged+1)*24; at += step {
				samples = append(samples, values[at*len(values)/poolDays/24])
			}
			evaluation.Series[fmt.Sprintf(`%sjob="qlik",site="%d"}`, name, i)] = samples
		}
	}
	for at := time.Duration(0); at < (lastJudged+1)*24*time.Hour; at += max(every, 24*time.Hour) {
		if at >= firstJudged*24*time.Hour {
			evaluation.At = append(evaluation.At, at)
		}
	}
	results := make(map[time.Duration]backtest.Result)
	for i, result := range evaluation.Run(t) {
		results[evaluation.At[i]] = result
	}
	return results
}
