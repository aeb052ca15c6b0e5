package cli

import (
	"context"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/qlik-exporter/qlik_exporter/collector"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/auditlog"
)

// refusalsValidity is how long refusals are valid after they were read. A command needs them
// several times in a row, and a log can be large.
const refusalsValidity = 15 * time.Second

// PastRefusals returns a function that reads the refused logins of the last day from audit
// security logs. It logs which logs cannot be read.
func PastRefusals(ctx context.Context, globs []string, logger log.Logger) func(now time.Time, licenses *qlik.Licenses) qlik.Refusals {
	var mu sync.Mutex
	var last qlik.Refusals
	var read time.Time
	return func(now time.Time, licenses *qlik.Licenses) qlik.Refusals {
		mu.Lock()
		defer mu.Unlock()
		if last == nil || now.Sub(read) > refusalsValidity {
			last, _ = pastRefusals(ctx, globs, logger, now, licenses)
			read = now
		}
		return last
	}
}

// pastRefusals implements PastRefusals. It also returns whether all logs could be read.
func pastRefusals(ctx context.Context, globs []string, logger log.Logger, now time.Time, licenses *qlik.Licenses) (refused qlik.Refusals, complete bool) {
	denials := collector.NewDenials(nil)
	complete = true
	for _, glob := range globs {
		err := auditlog.Past(ctx, glob, now.Add(-24*time.Hour), func(denial auditlog.Denial) {
			if denial.Time.After(now) { // since then, or by another clock
				denial.Time = now
			}
			denials.Denied(denial, licenses.Before(denial.Time, denial.User.Counted()))
		})
		if err != nil {
			complete = false
			_ = level.Warn(logger).Log("msg", "Cannot read the audit log; some refused logins are not shown", "file", glob, "err", err)
		}
	}
	return denials.Refused(now), complete
}
