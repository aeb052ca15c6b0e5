package qlik

import (
	"slices"
	"sync"
	"time"
)

// repositories are the repositories of a site. All of them use the same database, so
// any of them can answer a request.
type repositories struct {
	hosts []string // host:port, in order of preference

	mu     sync.Mutex                  // guards the fields below
	status map[string]RepositoryStatus // by host:port; only repositories that received a request
	last   string                      // the repository that answered last
}

// RepositoryStatus is the result of the last request to a repository.
type RepositoryStatus struct {
	Host              string    // host:port as configured
	Up                bool      // the response was valid
	CertificateExpiry time.Time // end of validity of its certificate; zero if it sent none
}

// Repositories returns the status of the repositories that have received a request,
// in the order of the configuration.
func (c *Client) Repositories() []RepositoryStatus {
	r := c.repositories
	r.mu.Lock()
	defer r.mu.Unlock()
	var statuses []RepositoryStatus
	for _, host := range r.hosts {
		if status, known := r.status[host]; known {
			statuses = append(statuses, status)
		}
	}
	return statuses
}

func newRepositories(hosts []string) *repositories {
	return &repositories{hosts: hosts, status: make(map[string]RepositoryStatus)}
}

// lastFirst returns the hosts in the order of attempts: first the one that answered
// last, then the others.
func (r *repositories) lastFirst() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.hosts, r.last); i > 0 {
		return slices.Concat(r.hosts[i:i+1], r.hosts[:i], r.hosts[i+1:])
	}
	return r.hosts
}

func (r *repositories) record(status RepositoryStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[status.Host] = status
	if status.Up {
		r.last = status.Host
	}
}
