package headroom

import (
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Round is the data read from a site at one time. It must not be modified after it
// was passed to State.Observe.
type Round struct {
	Asked time.Time    // when the requests to the links were sent
	Heard time.Time    // when the last link answered or the wait for it ended
	Links []LinkResult // all links of the site, with or without an answer

	Engines []EngineResult // engines that were asked

	Usage    *Usage         // nil while unknown
	Licenses *qlik.Licenses // nil while unknown
	Services *Services      // nil while unknown

	// What other sources say of users.
	Refusals        qlik.Refusals // refused logins of the last day
	ServiceAccounts map[qlik.User]ServiceAccount
	Administrators  map[qlik.User]bool // whether users have an administrator's role; those that are unknown are absent
}

// LinkResult is the result of the request to one link.
type LinkResult struct {
	qlik.Link

	Sessions          []qlik.Session // sessions in the list of this link
	Duration          time.Duration  // until the response was read completely or the request failed
	CertificateExpiry time.Time      // end of validity of the node's certificate; zero if it sent none
	Err               error          // nil or a *qlik.Error; with an error the sessions are unknown

	// Set by Observe.
	Users   int  // distinct users of the sessions; each anonymous browser counts
	Stopped bool // its proxy has stopped, so the link has no sessions
}

// EngineResult is the result of the request to one engine.
type EngineResult struct {
	qlik.Engine

	Health            *qlik.EngineHealth // nil with an error
	Duration          time.Duration      // until the response was read completely or the request failed
	CertificateExpiry time.Time          // end of validity of the node's certificate; zero if it sent none
	Err               error              // nil or a *qlik.Error
}

// UsageValidity is how long usage rows are valid after they were read.
const UsageValidity = 15 * time.Second

// Usage holds the usage rows of a site. They reflect some time between askedAt and readAt.
// It is immutable, so that rows and times always belong together.
type Usage struct {
	rows    []qlik.UsageRow // a session can have several
	askedAt time.Time       // when the request was sent
	readAt  time.Time       // when the response was complete
	written time.Time       // last time at which rows were certainly written
}

// NewUsage returns usage rows with the times of their request and response. The rows must
// not be modified afterwards.
func NewUsage(rows []qlik.UsageRow, askedAt, readAt time.Time) *Usage {
	usage := &Usage{rows: rows, askedAt: askedAt, readAt: readAt}
	for i := range rows {
		if activity := rows[i].LastActivity; activity.After(usage.written) && !activity.After(readAt) {
			usage.written = activity
		}
	}
	return usage
}

// AskedAt returns when the request for the rows was sent.
func (u *Usage) AskedAt() time.Time { return u.askedAt }

// validAt reports whether the rows are valid for requests to links that were sent at a
// time. The rows may also have been read after that time.
func (u *Usage) validAt(asked time.Time) bool {
	return u != nil && asked.Sub(u.readAt) <= UsageValidity
}
