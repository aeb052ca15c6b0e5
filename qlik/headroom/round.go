package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Round is everything that was heard of a site at one moment. Whoever makes it
// does not change anything in it afterwards.
type Round struct {
	Asked time.Time    // when the links were asked
	Heard time.Time    // when the last answer was in, or waiting for it ended
	Links []LinkResult // all that were expected to answer

	Usage    *Usage         // nil while unknown
	Licenses *qlik.Licenses // nil while unknown
	Services *Services      // nil while unknown
}

// LinkResult is what one link answered.
type LinkResult struct {
	qlik.Link

	Sessions          []qlik.Session // as listed by this link
	Duration          time.Duration  // until the whole answer was read, or given up
	CertificateExpiry time.Time      // of the node's certificate; zero where none was seen
	Err               error          // nil, or a *qlik.Error: then the link's sessions are unknown

	// Found by Observe.
	Users   int  // distinct users of the sessions, each anonymous browser for itself
	Stopped bool // its proxy has stopped, so that it has no sessions
}

// UsageValidity is how long usage rows are good for after they were read.
const UsageValidity = 15 * time.Second

// Usage is the usage rows of a site as they were at some moment between two.
type Usage struct {
	Rows    []qlik.UsageRow // one for each session
	AskedAt time.Time       // when the repository was asked
	ReadAt  time.Time       // when the whole answer was in

	written time.Time // when rows are last known to have been written
}

// NewUsage returns rows with the times between which they were read.
func NewUsage(rows []qlik.UsageRow, askedAt, readAt time.Time) *Usage {
	usage := &Usage{Rows: rows, AskedAt: askedAt, ReadAt: readAt}
	for i := range rows {
		if activity := rows[i].LastActivity; activity.After(usage.written) && !activity.After(readAt) {
			usage.written = activity
		}
	}
	return usage
}

// validAt says whether the rows are fresh enough for links that were asked at a
// time. They may have been read a little later than that.
func (u *Usage) validAt(asked time.Time) bool {
	return u != nil && asked.Sub(u.ReadAt) <= UsageValidity
}
