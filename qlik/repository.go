package qlik

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

const repositoryPort = "4242"

// repository asks one of a site's repositories: the one that answered last, and
// when that fails the others in order. All of them stand before the same
// database.
type repository struct {
	client   *client
	hosts    []string // host:port, in order of preference
	outcomes *outcomes
	ordered  bool // begin with the first, whichever answered last
}

// outcomes is how the hosts answered so far.
type outcomes struct {
	mu     sync.Mutex
	status map[string]RepositoryStatus // by host:port, of those asked so far
	last   int                         // which of the hosts answered last
}

// inOrder returns the same repository, but begins with the preferred host. So it
// is found out that it is back.
func (r *repository) inOrder() *repository {
	return &repository{client: r.client, hosts: r.hosts, outcomes: r.outcomes, ordered: true}
}

// RepositoryStatus is how the last request to a repository went.
type RepositoryStatus struct {
	Node              string // as in Link, or host:port where the host has several repositories
	Up                bool   // it answered as it should
	CertificateExpiry time.Time
}

func newRepository(c *client, hosts []string) *repository {
	return &repository{client: c, hosts: hosts, outcomes: &outcomes{status: make(map[string]RepositoryStatus)}}
}

// listEntities asks for all entities of a kind, e.g. "proxyservice", and hands
// them over one by one. They come unpaged (docs/qlik.md, "Repository"). A host
// that fails in the middle has handed over some of them already: restart is
// called before each try.
func listEntities[T any](ctx context.Context, r *repository, entity string, restart func(), each func(*T)) error {
	return r.ask(ctx, "/qrs/"+entity+"/full", nil, func(body io.Reader) error {
		restart()
		return decodeArray(body, func(e *T) error {
			each(e)
			return nil
		})
	})
}

// collectEntities returns all entities of a kind.
func collectEntities[T any](ctx context.Context, r *repository, entity string) (entities []T, err error) {
	err = listEntities(ctx, r, entity,
		func() { entities = nil },
		func(e *T) { entities = append(entities, *e) })
	return entities, err
}

// getObject asks for a single object; nil is Qlik's null.
func getObject[T any](ctx context.Context, r *repository, path string) (object *T, err error) {
	err = r.ask(ctx, path, nil, func(body io.Reader) error {
		object, err = decodeObject[T](body)
		return err
	})
	return object, err
}

// ask asks the hosts until one answers as it should.
func (r *repository) ask(ctx context.Context, path string, query url.Values, decode func(io.Reader) error) error {
	order := make([]int, len(r.hosts))
	for i := range order {
		order[i] = i
	}
	if !r.ordered {
		r.outcomes.mu.Lock()
		last := r.outcomes.last
		r.outcomes.mu.Unlock()
		order = slices.Insert(slices.Delete(order, last, last+1), 0, last)
	}
	var failures error
	for _, i := range order {
		expiry, err := r.client.get(ctx, APIRepository, r.hosts[i], path, query, decode)
		// That it does not know a path of other releases is an answer, too.
		answered := err == nil || notFound(err)
		r.note(i, answered, expiry)
		switch {
		case answered:
			return err
		case failures == nil:
			failures = err
		case KindOf(err) == KindTimeout: // the kind that matters most is that of the whole
			failures = fmt.Errorf("%w; %w", err, failures)
		default:
			failures = fmt.Errorf("%w; %w", failures, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failures
}

func (r *repository) note(host int, up bool, expiry time.Time) {
	r.outcomes.mu.Lock()
	defer r.outcomes.mu.Unlock()
	r.outcomes.status[r.hosts[host]] = RepositoryStatus{Up: up, CertificateExpiry: expiry}
	if up {
		r.outcomes.last = host
	}
}

// statuses returns the hosts that were tried so far, in the order of --qlik.host
// and named as the nodes of links are.
func (r *repository) statuses(links []Link) []RepositoryStatus {
	r.outcomes.mu.Lock()
	defer r.outcomes.mu.Unlock()
	var statuses []RepositoryStatus
	for _, address := range r.hosts {
		status, tried := r.outcomes.status[address]
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
	set    bool
	number int
	name   string
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *enum) UnmarshalJSON(data []byte) error {
	if e.set = string(data) != "null"; !e.set {
		return nil
	}
	if err := json.Unmarshal(data, &e.name); err == nil {
		return nil
	}
	return json.Unmarshal(data, &e.number)
}

// in returns the value's name by the table of names, spelled as there; "Unknown"
// if there is none.
func (e enum) in(names []string) string {
	known := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, e.name) })
	switch {
	case !e.set:
		return "Unknown"
	case known >= 0:
		return names[known]
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

// moment is a time in an answer. One that cannot be read is unknown, which is
// no reason to do without the rest of the answer.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(data []byte) error {
	if m.Time.UnmarshalJSON(data) != nil {
		m.Time = time.Time{}
	}
	return nil
}

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
