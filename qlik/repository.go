package qlik

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

var errNoRepository = errors.New("no repository is configured")

// sendToRepository sends a request to one host after another until one returns a
// valid response. It returns the Answer of that host.
func (c *Client) sendToRepository(ctx context.Context, hosts []string, path string, query url.Values, decode func(io.Reader) error) (answer Answer, err error) {
	if len(hosts) == 0 {
		return answer, &Error{Op: http.MethodGet, Target: path, Kind: KindRefused, Err: errNoRepository}
	}
	var failures error
	for _, host := range hosts {
		answer, err = c.send(ctx, get(APIRepository, host, path, query), decode)
		// A 404 is a valid response of a release that does not have this path.
		answered := err == nil || notFound(err)
		c.repositories.record(RepositoryStatus{Host: host, Up: answered, CertificateExpiry: answer.CertificateExpiry})
		switch {
		case answered:
			return answer, err
		case failures == nil:
			failures = err
		case KindOf(err) == KindTimeout: // KindOf returns the kind of the first error, and a timeout matters most
			failures = fmt.Errorf("%w; %w", err, failures)
		default:
			failures = fmt.Errorf("%w; %w", failures, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return answer, failures
}

// listEntities reads all entities of a type, such as "proxyservice", and calls each
// for every entity. The list is not paged (docs/qlik.md, "Repository"). A host can
// fail after some entities, so listEntities calls restart before each attempt.
func listEntities[T any](ctx context.Context, c *Client, hosts []string, entity string, restart func(), each func(*T) error) error {
	_, err := c.sendToRepository(ctx, hosts, "/qrs/"+entity+"/full", nil, func(body io.Reader) error {
		restart()
		return decodeArray(body, each)
	})
	return err
}

// collectEntities returns all entities of a type.
func collectEntities[T any](ctx context.Context, c *Client, hosts []string, entity string) (entities []T, err error) {
	err = listEntities(ctx, c, hosts, entity,
		func() { entities = nil },
		func(e *T) error {
			entities = append(entities, *e)
			return nil
		})
	return entities, err
}

// getObject reads a single object. It returns nil if the response is null.
func getObject[T any](ctx context.Context, c *Client, path string) (object *T, answer Answer, err error) {
	answer, err = c.sendToRepository(ctx, c.repositories.lastFirst(), path, nil, func(body io.Reader) error {
		object, err = decodeObject[T](body)
		return err
	})
	return object, answer, err
}

// About returns the version of a repository, such as "14.173.4.0".
func (c *Client) About(ctx context.Context) (version string, answer Answer, err error) {
	answer, err = c.sendToRepository(ctx, c.repositories.lastFirst(), "/qrs/about", nil, func(body io.Reader) error {
		about, err := decodeObject[struct {
			Version string `json:"buildVersion"`
		}](body)
		switch {
		case err != nil:
			return err
		case about == nil || about.Version == "":
			return otherShapef("the response contains no version")
		}
		version = about.Version
		return nil
	})
	return version, answer, err
}

// enum is an enumeration value. The repository sends numbers, but it also accepts
// names, so a release may send names (docs/qlik.md, "Repository").
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

// in returns the name of the value from a table of names. It returns "Unknown" if the
// value is missing, "codeN" for a number N without a name, and an unknown name as is.
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

// Enumerations of the repository, indexed by number (docs/qlik.md, "Service states"
// and "Virtual proxies").
var (
	serviceTypes          = []string{"Repository", "Proxy", "Scheduler", "Engine", "AppMigration", "Printing"}
	serviceStates         = []string{"Initializing", "CertificatesNotInstalled", "Running", "NoCommunication", "Disabled", "Unknown"}
	authenticationMethods = []string{"Ticket", "HeaderStaticUserDirectory", "HeaderDynamicUserDirectory", "SAML", "JWT", "OIDC"}
)

// moment is a time in a response. An invalid time is unknown, but it does not make
// the rest of the response unusable.
type moment struct {
	time.Time

	unreadable bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(data []byte) error {
	*m = moment{}
	if m.Time.UnmarshalJSON(data) != nil {
		*m = moment{unreadable: true}
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
		// Names of the links in an old example by Qlik (docs/qlik.md, "Topology").
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
