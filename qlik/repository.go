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
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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
// for every entity that can be read. It adds the rest to left. If something of an entity
// is kept, each must take the room for it, which several lists can share. The list is
// not paged (docs/qlik.md, "Repository"). A host can fail after some entities, so
// listEntities calls restart before each attempt.
func listEntities[T record](ctx context.Context, c *Client, hosts []string, entity string, left leftOut, room *Room, restart func(), each func(*T)) error {
	reset := room.mark()
	_, err := readLeniently(ctx, c, hosts, entity+"/full", nil, left, func(body io.Reader, attempt leftOut) error {
		reset()
		restart()
		return decodeElements(body, attempt, room, each)
	})
	if err != nil {
		reset()
	}
	return err
}

// getObject reads a single object and adds the fields that cannot be read to left. It
// returns nil if the response is null.
func getObject[T any](ctx context.Context, c *Client, path string, left leftOut) (object *T, answer Answer, err error) {
	answer, err = readLeniently(ctx, c, c.repositories.lastFirst(), path, nil, left, func(body io.Reader, attempt leftOut) (err error) {
		object, err = decodeObject[T](body, attempt.count())
		return err
	})
	return object, answer, err
}

// readLeniently sends a request for a path under /qrs/. It adds to left what the decoder
// of the valid response left out.
func readLeniently(ctx context.Context, c *Client, hosts []string, path string, query url.Values, left leftOut, decode func(io.Reader, leftOut) error) (Answer, error) {
	var attempt leftOut
	answer, err := c.sendToRepository(ctx, hosts, "/qrs/"+path, query, func(body io.Reader) error {
		attempt = make(leftOut)
		return decode(body, attempt)
	})
	if err == nil {
		left.merge(attempt, strings.TrimSuffix(path, "/full"))
	}
	return answer, err
}

// About returns the version of a repository, such as "14.173.4.0". It returns "" for a
// version that cannot be read.
func (c *Client) About(ctx context.Context) (version string, answer Answer, err error) {
	answer, err = c.sendToRepository(ctx, c.repositories.lastFirst(), "/qrs/about", nil, func(body io.Reader) error {
		about, err := decodeObject[struct {
			Version optional[label] `json:"buildVersion"`
		}](body, make(leftOut).count())
		switch {
		case err != nil:
			return err
		case about == nil || about.Version.value == "" && !about.Version.odd:
			return otherShapef("the response contains no version")
		}
		version = string(about.Version.value)
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

var errEnum = errors.New("neither a number nor a name")

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (e *enum) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*e = enum{}
	switch d.PeekKind() {
	case jsontext.KindNull:
		return d.SkipValue()
	case jsontext.KindString:
		var text name
		if err := json.UnmarshalDecode(d, &text); err != nil {
			return err
		}
		if first, _ := utf8.DecodeRuneInString(string(text)); !unicode.IsLetter(first) || len(text) > maxFieldName {
			return errEnum
		}
		e.name = string(text)
	default:
		if err := json.UnmarshalDecode(d, &e.number); err != nil {
			return err
		}
	}
	e.set = true
	return nil
}

// in returns the name of the value from a table of names. It returns "Unknown" if the
// value is missing, "codeN" for a number N without a name, and an unknown name as is.
func (e *enum) in(names []string) string {
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

type nodeRecord struct {
	HostName name `json:"hostName"`
}

type serviceStatusRecord struct {
	Node  nodeRecord `json:"serverNodeConfiguration"`
	Type  enum       `json:"serviceType"`
	State enum       `json:"serviceState"`
}

func (r serviceStatusRecord) usable() bool { return r.Type.set && r.State.set }

type proxyServiceRecord struct {
	Node     nodeRecord                    `json:"serverNodeConfiguration"`
	Settings optional[proxySettingsRecord] `json:"settings"`
}

// usable reports whether the proxy has an address.
func (r proxyServiceRecord) usable() bool { return isHost(string(r.Node.HostName)) }

type proxySettingsRecord struct {
	RESTListenPort optional[port]         `json:"restListenPort"`
	VirtualProxies elements[linkedRecord] `json:"virtualProxies"`
	// Names of the links in an old example by Qlik (docs/qlik.md, "Topology").
	DefaultVirtualProxies elements[linkedRecord] `json:"defaultVirtualProxyConfigurations"`
	OtherVirtualProxies   elements[linkedRecord] `json:"virtualProxyConfigurations"`
}

// lists returns all lists of linked virtual proxies.
func (p *proxySettingsRecord) lists() []elements[linkedRecord] {
	return []elements[linkedRecord]{p.VirtualProxies, p.DefaultVirtualProxies, p.OtherVirtualProxies}
}

type linkedRecord struct {
	ID name `json:"id"`
}

func (r linkedRecord) usable() bool { return r.ID != "" }

type virtualProxyRecord struct {
	ID                       name              `json:"id"`
	Prefix                   prefix            `json:"prefix"`
	Description              optional[label]   `json:"description"`
	AuthenticationMethod     optional[enum]    `json:"authenticationMethod"`
	SessionInactivityTimeout optional[minutes] `json:"sessionInactivityTimeout"`
}

func (r virtualProxyRecord) usable() bool { return r.ID != "" }

// userRef is the user of another entity. It is zero if the entity has no user.
type userRef struct {
	Directory name `json:"userDirectory"`
	ID        name `json:"userId"`
}

func (u userRef) complete() bool { return u.Directory != "" && u.ID != "" }

func (u userRef) user() User { return NewUser(string(u.Directory), string(u.ID)) }

// namedUserRef is a userRef with the display name.
type namedUserRef struct {
	userRef

	Name optional[label] `json:"name"`
}
