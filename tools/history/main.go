// History writes a made-up past of the company that the demo simulates, as
// OpenMetrics text for promtool tsdb create-blocks-from. Use it to see the
// dashboards with a year of data.
//
//	go run ./tools/history -days 365 > history.om
//	promtool tsdb create-blocks-from openmetrics history.om data
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
	flag.BoolVar(&options.Tokens, "tokens", false, "a license with tokens instead of seats and analyzer capacity")
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
