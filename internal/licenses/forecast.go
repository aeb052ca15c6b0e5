package licenses

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// ForecastPeriod is the period whose allocations a forecast continues. Without an access
// that is older there is no forecast: a new site allocates many at once. The alerts look
// back as far.
const ForecastPeriod = 91 * day

// maxForecast is how far a forecast goes.
const maxForecast = 365 * day

// runningOut is the forecast of seats or tokens.
type runningOut struct {
	Lately  *int      `json:"allocated_lately,omitempty"` // accesses that were allocated within ForecastPeriod
	RunsOut time.Time `json:"runs_out,omitzero"`          // if that goes on, and none is given back
}

// runningOut returns when no seat or token is left, if as many accesses are allocated as
// before and each takes the same number. Accesses that were given back are not known, so
// the day is the earliest one.
func (q *Question) runningOut(license string, available *float64, each float64) runningOut {
	lately, first := 0, q.Now
	for i := range q.Accesses {
		access := &q.Accesses[i]
		if access.License != license || is(access.Quarantined) {
			continue
		}
		if access.Allocated.IsZero() {
			return runningOut{}
		}
		if access.Allocated.Before(first) {
			first = access.Allocated
		}
		lately += one(q.Now.Sub(access.Allocated) < ForecastPeriod)
	}
	if q.Now.Sub(first) < ForecastPeriod {
		return runningOut{}
	}
	r := runningOut{Lately: &lately}
	if taken := each * float64(lately); available != nil && *available > 0 && taken > 0 {
		if left := *available / taken * float64(ForecastPeriod); left < float64(maxForecast) {
			r.RunsOut = q.Now.Add(time.Duration(left)).UTC().Truncate(time.Second)
		}
	}
	return r
}

// tokensRunningOut returns when no token is left for user access.
func (q *Question) tokensRunningOut(tokens *qlik.Tokens) runningOut {
	held := 0
	for i := range q.Accesses {
		held += one(q.Accesses[i].License == qlik.LicenseUser && !is(q.Accesses[i].Quarantined))
	}
	if _, read := q.Licenses.Active[qlik.LicenseUser]; !read || tokens.UserAccess == nil || held == 0 {
		return runningOut{}
	}
	return q.runningOut(qlik.LicenseUser, tokens.Available, *tokens.UserAccess/float64(held))
}
