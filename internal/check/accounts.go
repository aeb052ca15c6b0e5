package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// account is a service account, or a user that looks like one.
type account struct {
	user qlik.User
	// How the account was found. At least one is true.
	named, services, connections bool
}

// how returns how the account was found.
func (a *account) how(s *site) string {
	var ways []string
	if a.named {
		ways = append(ways, "named with "+s.Setting("qlik.service-account"))
	}
	if a.services {
		ways = append(ways, "runs the services of this machine, by their Trace logs")
	}
	if a.connections {
		ways = append(ways, "in the data connections of the monitoring apps")
	}
	return strings.Join(ways, "; ")
}

func hasRepositoryOrAccounts(s *site) bool { return hasRepository(s) || len(s.ServiceAccounts) > 0 }

// findAccounts finds the service accounts: those that are named, the user that the
// services of this machine run as, and the user of the data connections of the monitoring
// apps. It reports what each holds.
func (s *site) findAccounts(ctx context.Context) ([]Result, error) {
	for _, user := range s.ServiceAccounts {
		s.account(user).named = true
	}
	var results []Result
	if s.ServiceUsers != nil {
		users, err := s.ServiceUsers()
		if err != nil {
			results = append(results, Result{Mark: Skipped, Text: fmt.Sprintf("a Trace log of this machine cannot be read (%s)", err)})
		}
		for _, user := range users {
			s.account(user).services = true
		}
	}
	if unreadConnections(s) == "" {
		users, err := s.client.On(s.repository.address).MonitoringUsers(ctx)
		if err != nil {
			results = append(results, Result{Mark: Skipped, Text: fmt.Sprintf("the data connections of the monitoring apps cannot be read (%s)", err)})
		}
		for _, user := range users {
			s.account(user).connections = true
		}
	}
	slices.SortFunc(s.accounts, func(a, b *account) int { return a.user.Compare(b.user) })
	for _, a := range s.accounts {
		results = append(results, passed("%s (%s): %s", a.user, a.how(s), s.holds(a.user))...)
	}
	switch missing := unreadConnections(s); {
	case len(s.accounts) > 0:
	case missing != "":
		results = append(results, Result{Mark: Skipped, Text: missing})
	default:
		results = append(results, Result{Mark: Skipped, Text: fmt.Sprintf(`none is named and none was found: if an account runs the services or the reloads of this site, set %s to its name as DIR\id, so that a license that it holds is noticed`,
			s.Setting("qlik.service-account"))})
	}
	return results, nil
}

// unreadConnections returns why the data connections are not read, or "".
func unreadConnections(s *site) string {
	return siteNeeds{configuredRepository, wantedLicenses, answeringRepository, rights}.missing(s)
}

// account returns the account of a user.
func (s *site) account(user qlik.User) *account {
	for _, a := range s.accounts {
		if a.user == user {
			return a
		}
	}
	a := &account{user: user}
	s.accounts = append(s.accounts, a)
	return a
}

// holds returns which licenses a user holds.
func (s *site) holds(user qlik.User) string {
	if s.licenses == nil {
		return "its licenses are unknown"
	}
	var held []string
	for _, license := range qlik.AllocatedLicenses() {
		if s.licenses.Holds(user, license) {
			held = append(held, license+" access")
		}
	}
	if len(held) == 0 {
		return "holds no license"
	}
	return "holds " + strings.Join(held, " and ")
}
