package qlik

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

const repositoryPort = "4242"

// repository asks the first of a site's repositories that answers. All of them
// stand before the same database.
type repository struct {
	client *client
	hosts  []string // host:port, in order of preference

	mu     sync.Mutex
	status map[string]RepositoryStatus // by host:port, of those asked so far
}

// RepositoryStatus is how the last request to a repository went.
type RepositoryStatus struct {
	Node              string // as in Link, or host:port where the host has several repositories
	Up                bool   // it answered as it should
	CertificateExpiry time.Time
}

func newRepository(c *client, hosts []string) *repository {
	return &repository{client: c, hosts: hosts, status: make(map[string]RepositoryStatus)}
}

// listEntities asks for all entities of a kind, e.g. "proxyservice". They come
// unpaged (docs/qlik.md, "Repository").
func listEntities[T any](ctx context.Context, r *repository, entity string) ([]T, error) {
	var failures error
	for _, host := range r.hosts {
		var entities []T
		expiry, err := r.client.get(ctx, APIRepository, host, "/qrs/"+entity+"/full", func(body io.Reader) error {
			return decodeArray(body, func(e *T) error {
				entities = append(entities, *e)
				return nil
			})
		})
		r.note(host, err == nil, expiry)
		if err == nil {
			return entities, nil
		}
		if failures == nil {
			failures = err
		} else {
			failures = fmt.Errorf("%w; %w", failures, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failures
}

func (r *repository) note(address string, up bool, expiry time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[address] = RepositoryStatus{Up: up, CertificateExpiry: expiry}
}

// statuses returns the hosts that were tried so far, in the order of --qlik.host
// and named as the nodes of links are.
func (r *repository) statuses(links []Link) []RepositoryStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	var statuses []RepositoryStatus
	for _, address := range r.hosts {
		status, tried := r.status[address]
		if !tried {
			continue
		}
		status.Node = nodeOf(hostOf(address), links)
		if slices.ContainsFunc(statuses, func(s RepositoryStatus) bool { return s.Node == status.Node }) {
			status.Node = address
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// enum is a value that the repository writes as a number, and accepts (so may
// one day write) as a name.
type enum struct {
	number int
	name   string
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *enum) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &e.name); err == nil {
		return nil
	}
	return json.Unmarshal(data, &e.number)
}

// in returns the value's name by the table of names, where it is a number.
func (e enum) in(names []string) string {
	switch {
	case e.name != "":
		return e.name
	case e.number >= 0 && e.number < len(names):
		return names[e.number]
	default:
		return fmt.Sprintf("code%d", e.number)
	}
}

// The repository's enumerations (docs/qlik.md, "Service states" and "Virtual
// proxies").
var (
	serviceTypes          = []string{"Repository", "Proxy", "Scheduler", "Engine", "AppMigration", "Printing"}
	serviceStates         = []string{"Initializing", "CertificatesNotInstalled", "Running", "NoCommunication", "Disabled", "Unknown"}
	authenticationMethods = []string{"Ticket", "HeaderStaticUserDirectory", "HeaderDynamicUserDirectory", "SAML", "JWT", "OIDC"}
)

type nodeRecord struct {
	ID       string `json:"id"`
	HostName string `json:"hostName"`
}

type serviceStatusRecord struct {
	Node  nodeRecord `json:"serverNodeConfiguration"`
	Type  enum       `json:"serviceType"`
	State enum       `json:"serviceState"`
}

type proxyServiceRecord struct {
	Node     nodeRecord `json:"serverNodeConfiguration"`
	Settings struct {
		RESTListenPort int            `json:"restListenPort"`
		VirtualProxies []linkedRecord `json:"virtualProxies"`
		// The names of the same links in an old example of Qlik's.
		DefaultVirtualProxies []linkedRecord `json:"defaultVirtualProxyConfigurations"`
		OtherVirtualProxies   []linkedRecord `json:"virtualProxyConfigurations"`
	} `json:"settings"`
}

type linkedRecord struct {
	ID string `json:"id"`
}

type virtualProxyRecord struct {
	ID                       string  `json:"id"`
	Prefix                   string  `json:"prefix"`
	Description              string  `json:"description"`
	AuthenticationMethod     enum    `json:"authenticationMethod"`
	SessionInactivityTimeout float64 `json:"sessionInactivityTimeout"` // minutes
}

// ServiceState is the state of a service of a node, as the repository reports it.
type ServiceState struct {
	Node    string // registered host name
	Service string // e.g. "Proxy"
	State   string // e.g. "Running"
}

func (r *repository) serviceStates(ctx context.Context) ([]ServiceState, error) {
	records, err := listEntities[serviceStatusRecord](ctx, r, "servicestatus")
	if err != nil {
		return nil, err
	}
	states := make([]ServiceState, 0, len(records))
	for _, record := range records {
		states = append(states, ServiceState{
			Node:    record.Node.HostName,
			Service: record.Type.in(serviceTypes),
			State:   record.State.in(serviceStates),
		})
	}
	return states, nil
}
