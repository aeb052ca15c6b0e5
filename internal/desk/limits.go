package desk

import (
	"fmt"
	"net/http"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
)

// The largest numbers of sessions that the desk ends within an hour.
const (
	maxOfUser     = 3
	maxOfOperator = 30
	maxOfSite     = 60
)

// By is the name of the desk in the journal.
const By = "desk"

// left returns how many more sessions may end now, and which limit allows no more.
func left(recent []journal.Recent, operator, site, user string) (n int, limit string) {
	ofUser, ofOperator, ofSite := maxOfUser, maxOfOperator, maxOfSite
	for i := range recent {
		r := &recent[i]
		if r.By != By {
			continue
		}
		if r.Operator == operator {
			ofOperator -= r.Sessions
		}
		if r.Site == site {
			ofSite -= r.Sessions
			if r.User == user {
				ofUser -= r.Sessions
			}
		}
	}
	switch n = max(min(ofUser, ofOperator, ofSite), 0); n {
	case max(ofUser, 0):
		return n, fmt.Sprintf("%d sessions of one user", maxOfUser)
	case max(ofOperator, 0):
		return n, fmt.Sprintf("%d sessions by one operator", maxOfOperator)
	default:
		return n, fmt.Sprintf("%d sessions of one site", maxOfSite)
	}
}

// limitReached is the refusal if more sessions would end than may end now.
func limitReached(n int, limit string) *refusal {
	return &refusal{http.StatusConflict, overLimit, fmt.Sprintf(
		"The desk ends at most %s within an hour, and %s may end now; an administrator can use the command sessions end.", limit, more(n))}
}

func more(n int) string {
	if n == 0 {
		return "no more"
	}
	return fmt.Sprintf("only %d more", n)
}

// stopped returns a refusal while the stop file exists.
func (d *Desk) stopped() *refusal {
	if !journal.Stopped(d.config.StopFile) {
		return nil
	}
	return &refusal{http.StatusConflict, stopFile, "An administrator has stopped the desk for now: the stop file exists."}
}
