package qlik

import (
	"slices"
	"sync"
	"time"
)

// repositories are the hosts of a site's repositories. All of them stand before
// the same database, so that any of them can answer a question.
type repositories struct {
	hosts []string // host:port, in order of preference

	mu     sync.Mutex                  // guards what follows
	status map[string]RepositoryStatus // by host:port, of those asked so far
	last   string                      // the one that answered last
}

// RepositoryStatus is how the last request to a repository went.
type RepositoryStatus struct {
	Host              string // host:port, as configured
	Up                bool   // it answered as it should
	CertificateExpiry time.Time
}

// Repositories returns the repositories that were asked so far, in the order of
// the configuration.
func (c *Client) Repositories() []RepositoryStatus {
	r := c.repositories
	r.mu.Lock()
	defer r.mu.Unlock()
	var statuses []RepositoryStatus
	for _, host := range r.hosts {
		if status, asked := r.status[host]; asked {
			statuses = append(statuses, status)
		}
	}
	return statuses
}

func newRepositories(hosts []string) *repositories {
	return &repositories{hosts: hosts, status: make(map[string]RepositoryStatus)}
}

// lastFirst returns the hosts in the order in which they are tried: the one that
// answered last, then the others.
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
