package main

import (
	"flag"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/backtest"
)

var backtests = flag.Bool("backtests", false, "run TestForecasts, which takes minutes (.ci/slow)")

// Days of a backtest. Those before firstJudged are what the rules look back at; those
// after lastJudged tell what came true.
const (
	firstJudged = 400
	lastJudged  = firstJudged + 360
	everyDays   = 10
	ahead       = 90
	horizon     = 180 // of the day on which no seats are left
	judgedDays  = lastJudged + horizon + 1
	samplesADay = 4
)

// TestForecasts judges what the rules say about the next 90 days, every ten days for a
// year, on made-up pasts of small and large companies. The pasts end on different days of
// a year.
func TestForecasts(t *testing.T) {
	t.Parallel()
	if !*backtests {
		t.Skip("takes minutes; run with -backtests")
	}
	table := make(backtest.Table)
	for seed := range backtest.Seeds {
		judge(t, table, 60, 1+seed)
		judge(t, table, 3000, 1+seed)
	}
	table.Judge(t)
}

// judge adds the scores of a company.
func judge(t *testing.T, table backtest.Table, users, seed int) {
	t.Helper()
	h := newHistory(HistoryOptions{End: historyEnd.AddDate(0, 0, -53*seed%365), Days: judgedDays, Users: users, Seed: uint64(seed)})
	h.simulate()
	evaluation := backtest.Evaluation{
		Rules: backtest.Rules(t, `.*:(growth90d|predict.*|weekly_.*)|license:.*_used_up.*`),
		Every: everyDays * 24 * time.Hour, Step: 24 * time.Hour / samplesADay,
		Series: h.daily(), Query: `{job="qlik"}`,
	}
	for day := firstJudged - ahead; day <= lastJudged+ahead; day += everyDays {
		evaluation.At = append(evaluation.At, time.Duration(day)*24*time.Hour)
	}
	results := evaluation.Run(t)
	size := fmt.Sprintf("%d users", users)
	const apart = ahead / everyDays // results
	for i := apart; i < len(results)-apart; i++ {
		day, before, now, then := firstJudged+(i-apart)*everyDays, results[i-apart], results[i], results[i+apart]
		cases := []string{size}
		if h.summerAhead(day) {
			cases = append(cases, "over the summer")
		}
		for _, ofCase := range cases {
			for name, records := range map[string][2]string{
				"seats in 90 days":                              {"license:qlik_license_seats_allocated:max", "license:qlik_license_seats_allocated:predict90d"},
				"users in a busy week, in 90 days":              {"site:qlik_users:weekly_max_p75", "site:qlik_users:weekly_max_predict90d"},
				"sessions in a busy week, in 90 days":           {"site:qlik_sessions:weekly_max_p75", "site:qlik_sessions:weekly_max_predict90d"},
				"sessions of a node in a busy week, in 90 days": {"qlik_node:qlik_virtual_proxy_sessions:weekly_max_p75", "qlik_node:qlik_virtual_proxy_sessions:weekly_max_predict90d"},
			} {
				score := table.Of(name, ofCase, true)
				for labels, value := range now[records[0]] {
					if f, ok := now.Forecast(records[1], labels); ok {
						score.Count(value, f, then[records[0]][labels])
					}
				}
			}
			for labels, value := range now["reason:qlik_logins_refused:weekly_median"] {
				growth := value - before["reason:qlik_logins_refused:weekly_median"][labels]
				f := backtest.Forecast{Low: now["reason:qlik_logins_refused:weekly_low"][labels], Value: value + growth, High: now["reason:qlik_logins_refused:weekly_high"][labels]}
				table.Of("refusals in a week, if they grow as in the last 90 days", ofCase, false).Count(value, f, h.refusedInWeek(day+ahead))
			}
			score := table.Of("day on which seats run out", ofCase, true)
			for number, license := range seatLicenses {
				labels := fmt.Sprintf("job=\"qlik\", license=%q", labelOf(license))
				if f, ok := now.ForecastDay("license:qlik_license_seats_used_up", labels, float64(day)); ok {
					score.CountDay(f, h.seatsRunOut(number, day), horizon)
				}
			}
		}
	}
}

// refusedInWeek returns the logins refused for the limit in the week that ends with a day.
func (h *history) refusedInWeek(day int) (sum float64) {
	for i := (day - 7) * daySteps; i < day*daySteps; i++ {
		sum += float64(h.steps[i].refused[0])
	}
	return sum
}

// seatsRunOut returns the days until no seats are left if none are bought after a day.
func (h *history) seatsRunOut(license, day int) float64 {
	bought := h.steps[day*daySteps].seats[license].bought
	for i := day * daySteps; i < len(h.steps); i += daySteps {
		if h.steps[i].seats[license].allocated >= bought {
			return float64(i/daySteps - day)
		}
	}
	return math.Inf(1)
}

// summerAhead reports whether people are away in the next 90 days.
func (h *history) summerAhead(day int) bool {
	from := time.Unix(h.begin, 0).UTC().AddDate(0, 0, day)
	begin, end := time.Date(from.Year(), time.July, 15, 0, 0, 0, 0, time.UTC), time.Date(from.Year(), time.August, 31, 0, 0, 0, 0, time.UTC)
	return from.Before(end) && from.AddDate(0, 0, ahead).After(begin)
}

// daily returns the records that the forecasts look back at, by their names and labels:
// for each part of a day, the highest value of each.
func (h *history) daily() map[string][]float64 {
	series := make(map[string][]float64)
	const steps = daySteps / samplesADay
	add := func(name, labels string, value func(i int) float64) {
		var values []float64
		for from := 0; from < len(h.steps); from += steps {
			highest := 0.0
			for i := from; i < from+steps; i++ {
				highest = max(highest, value(i))
			}
			values = append(values, highest)
		}
		series[name+"{"+labels+h.record()+"}"] = values
	}
	add("site:qlik_users:sum", "", func(i int) float64 { return float64(h.usersAt(i)) })
	add("site:qlik_sessions:max", "", func(i int) float64 { return float64(h.sessionsAt(i)) })
	for node, name := range h.nodes {
		add("qlik_node:qlik_virtual_proxy_sessions:sum", fmt.Sprintf("qlik_node=%q,", name), func(i int) (sum float64) {
			for l, of := range h.steps[i].sessions {
				if l < len(h.links) && h.links[l].node == node {
					sum += float64(of)
				}
			}
			return sum
		})
	}
	refused := 0.0 // in the last day
	add("reason:qlik_logins_refused:increase1d", `reason="session_limit",`, func(i int) float64 {
		refused += float64(h.steps[i].refused[0])
		if i >= daySteps {
			refused -= float64(h.steps[i-daySteps].refused[0])
		}
		return refused
	})
	for number, license := range seatLicenses {
		label := fmt.Sprintf("license=%q,", labelOf(license))
		add("license:qlik_license_seats:max", label, func(i int) float64 { return float64(h.steps[i].seats[number].bought) })
		add("license:qlik_license_seats_allocated:max", label, func(i int) float64 { return float64(h.steps[i].seats[number].allocated) })
		add("license:qlik_license_seats_available:min", label, func(i int) float64 {
			return float64(h.steps[i].seats[number].bought) - float64(h.steps[i].seats[number].allocated)
		})
	}
	return series
}
