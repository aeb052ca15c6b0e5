// History writes a made-up past of the company that the demo simulates, as
// OpenMetrics text for promtool tsdb create-blocks-from. Use it to see the
// dashboards with a year of data.
//
//	go run ./tools/history -days 365 > history.om
//	promtool tsdb create-blocks-from openmetrics --max-block-duration=13122h history.om data
//	prometheus --config.file=/dev/null --storage.tsdb.path=data --storage.tsdb.retention.time=10y
//
// A year is 900 MB of text, and 9 MB in Prometheus. In this year, the company grows by 40 %
// and buys seats. These days count from the end of the history:
//
//   - 200 days before it, a new intranet page loses its cookies. Logins are refused until
//     the page is fixed 12 days later.
//   - In the month of the day 150 days before it, there is a stocktaking, as in each year.
//     Analyzer capacity runs out, people without a seat are refused, and the company orders
//     more for the month after.
//   - 130 days before it, a mobile app goes live with a virtual proxy of its own. On some
//     phones, each chart of the app has its own session. Refusals grow with the number of
//     people who use it.
//   - Fewer people work in summer, about Easter and Christmas, and on public holidays.
//
// With -tokens, the license has tokens instead of seats and analyzer capacity. Forecasts are
// not part of the history.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// users is the number of people in the company of the demo.
const users = 500

func main() {
	var options HistoryOptions
	flag.IntVar(&options.Days, "days", 365, "how far back it goes")
	flag.IntVar(&options.Users, "users", users, "users at the end of it")
	flag.StringVar(&options.Site, "site", "", "target label site of all series; empty for none")
	flag.Uint64Var(&options.Seed, "seed", 1, "of the random numbers")
	flag.BoolVar(&options.Tokens, "tokens", false, "tokens instead of seats and analyzer capacity")
	end := flag.String("end", "", "when it ends, as in 2026-09-30T18:00:00Z; now unless given")
	flag.Parse()
	if err := run(options, *end); err != nil {
		fmt.Fprintln(os.Stderr, "history:", err)
		os.Exit(1) //nolint:forbidigo // there are no deferred calls
	}
}

func run(options HistoryOptions, end string) error {
	options.End = time.Now()
	if end != "" {
		at, err := time.Parse(time.RFC3339, end)
		if err != nil {
			return fmt.Errorf("-end: %w", err)
		}
		options.End = at
	}
	return WriteHistory(os.Stdout, options)
}
