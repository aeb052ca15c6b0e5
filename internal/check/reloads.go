package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// connects reports whether the monitoring apps log in as an account that was found.
func connects(s *site) bool {
	for _, a := range s.accounts {
		if a.connections {
			return true
		}
	}
	return false
}

// countReloads counts the reloads of the monitoring apps of the last day. Each of them logs
// in as the account of the data connections.
func (s *site) countReloads(ctx context.Context) ([]Result, error) {
	reloads, err := s.client.On(s.repository.address).MonitoringReloads(ctx, s.Qlik.Now().Add(-24*time.Hour))
	if err != nil { // nothing depends on it
		return []Result{{Mark: Skipped, Text: fmt.Sprintf("the reloads of the monitoring apps cannot be counted (%s)", err)}}, nil
	}
	s.reloads = &reloads
	var accounts, licensed []string
	for _, a := range s.accounts {
		if !a.connections {
			continue
		}
		accounts = append(accounts, a.user.String())
		if s.licenses != nil && s.anyLicense(a.user) {
			licensed = append(licensed, a.user.String())
		}
	}
	what := fmt.Sprintf("%s of the monitoring apps in the last day logged in as %s", text.Count(reloads, "reload"), strings.Join(accounts, " or "))
	switch {
	case len(licensed) > 0:
		return passed("%s; those of %s compete with the session limit, because it holds a license", what, strings.Join(licensed, " and ")), nil
	case s.licenses == nil:
		return passed("%s; the session limit applies to an account with a license", what), nil
	default:
		return passed("%s; the session limit does not apply to an account without a license", what), nil
	}
}

func (s *site) anyLicense(user qlik.User) bool {
	for _, license := range qlik.AllocatedLicenses() {
		if s.licenses.Holds(user, license) {
			return true
		}
	}
	return false
}

// reloadsADay returns the number of reloads of the last day in parentheses, or "" if it is
// unknown.
func (s *site) reloadsADay() string {
	if s.reloads == nil {
		return ""
	}
	return fmt.Sprintf(" (%d in the last day)", *s.reloads)
}
