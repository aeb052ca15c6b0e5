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

// askRepository asks hosts until one answers as it should. That is the one whose
// Answer it returns.
func (c *Client) askRepository(ctx context.Context, hosts []string, path string, query url.Values, decode func(io.Reader) error) (answer Answer, err error) {
	if len(hosts) == 0 {
		return answer, &Error{Op: http.MethodGet, Target: path, Kind: KindRefused, Err: errNoRepository}
	}
	var failures error
	for _, host := range hosts {
		answer, err = c.ask(ctx, get(APIRepository, host, path, query), decode)
		// That it does not know a path of other releases is an answer, too.
		answered := err == nil || notFound(err)
		c.repositories.record(RepositoryStatus{Host: host, Up: answered, CertificateExpiry: answer.CertificateExpiry})
		switch {
		case answered:
			return answer, err
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
	return answer, failures
}

// listEntities asks for all entities of a kind, e.g. "proxyservice", and hands
// them over one by one. They come unpaged (docs/qlik.md, "Repository"). A host
// that fails in the middle has handed over some of them already: restart is
// called before each try.
func listEntities[T any](ctx context.Context, c *Client, hosts []string, entity string, restart func(), each func(*T) error) error {
	_, err := c.askRepository(ctx, hosts, "/qrs/"+entity+"/full", nil, func(body io.Reader) error {
		restart()
		return decodeArray(body, each)
	})
	return err
}

// collectEntities returns all entities of a kind.
func collectEntities[T any](ctx context.Context, c *Client, hosts []string, entity string) (entities []T, err error) {
	err = listEntities(ctx, c, hosts, entity,
		func() { entities = nil },
		func(e *T) error {
			entities = append(entities, *e)
			return nil
		})
	return entities, err
}

// getObject asks for a single object; nil is Qlik's null.
func getObject[T any](ctx context.Context, c *Client, path string) (object *T, answer Answer, err error) {
	answer, err = c.askRepository(ctx, c.repositories.lastFirst(), path, nil, func(body io.Reader) error {
		object, err = decodeObject[T](body)
		return err
	})
	return object, answer, err
}

// About asks a repository for its version.
func (c *Client) About(ctx context.Context) (version string, answer Answer, err error) {
	answer, err = c.askRepository(ctx, c.repositories.lastFirst(), "/qrs/about", nil, func(body io.Reader) error {
		about, err := decodeObject[struct {
			Version string `json:"buildVersion"`
		}](body)
		switch {
		case err != nil:
			return err
		case about == nil || about.Version == "":
			return kindErrorf(KindDecode, "the answer does not name a version")
		}
		version = about.Version
		return nil
	})
	return version, answer, err
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
