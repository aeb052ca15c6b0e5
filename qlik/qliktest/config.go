package qliktest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Config describes a site. The zero value is a usable one: a single node, the default virtual proxy, no known users.
type Config struct {
	// Nodes are the servers of the site; nil is one central node "qlik1". Where none is marked central the first one is.
	Nodes []Node
	// VirtualProxies are the entry points; nil is the default virtual proxy alone, on every node.
	VirtualProxies []VirtualProxy
	// Users are the users the repository knows from the start. Others may log in too; they hold no license.
	Users []User

	// SessionLimit is how many sessions a licensed user may hold in parallel; 0 is 5 (docs/qlik.md, "The limit").
	SessionLimit int
	// CoolingTime is how long a slot stays taken after its session ended at the limit; 0 is 5 minutes (docs/qlik.md, "Five-minute tail").
	CoolingTime time.Duration
	// Tail says which slots stay taken.
	Tail Tail
	// KeepRowsOnRestart leaves the usage rows of sessions behind that a restart of their proxy ended. They occupy slots until
	// RemoveLeftoverRows.
	KeepRowsOnRestart bool
	// NoUsageRows is a release that writes no usage rows: the lists of them are empty, the limit is enforced all the same.
	NoUsageRows bool

	// Now is the site's clock; nil is time.Now.
	Now func() time.Time
	// Seed determines session ids and everything else that looks random, except keys and certificates.
	Seed uint64

	// AuditLogDir is an existing folder for the repositories' audit security logs; "" writes none.
	AuditLogDir string
	// InMemory opens no sockets: the site is reachable only through DialContext. TLS and HTTP stay real, so that a site and its
	// client can share a testing/synctest bubble.
	InMemory bool
	// RequireClientCertificate refuses a client without certificate in the handshake. By default it gets an answer with status
	// 403. Which of the two the real services do is not known (docs/qlik.md, "Certificates").
	RequireClientCertificate bool
	// EmptyListForUnknownPrefix answers 200 and an empty array where a virtual proxy is unknown or not linked to the node, instead of
	// 404. Which of the two the real proxy does is not known (docs/qlik.md, "Session list").
	EmptyListForUnknownPrefix bool
	// Gzip compresses answers for clients that accept it.
	Gzip bool

	// ProfessionalSeats and AnalyzerSeats are what was bought; 0 is what the users hold, rounded up to the next ten.
	ProfessionalSeats, AnalyzerSeats int
	// LicenseExpiry is the end of the license; zero is a year after the start.
	LicenseExpiry time.Time
}

// Node is a server of the site.
type Node struct {
	// Name is the registered host name: hostName in the repository, and the name in the service certificate.
	Name    string
	Central bool
	// RESTListenPort is the port of the proxy as the repository gives it; 0 is 4243. Over TCP the simulated proxy listens on a free
	// port of the loopback interface all the same: see Site.ProxyAddress.
	RESTListenPort int
	// CertificateNames are the DNS names in the service certificate; nil is {Name}.
	CertificateNames []string
}

// VirtualProxy is an entry point to the site (docs/qlik.md, "Virtual proxies").
type VirtualProxy struct {
	// Prefix is the path of the entry point without leading slash, "" for the default virtual proxy. It may contain slashes.
	Prefix, Description string
	// Nodes are the names of the nodes whose proxies serve it: nil is all of them, empty is none.
	Nodes []string
	// InactivityTimeout ends a session without activity; 0 is 30 minutes. The repository shows it in whole minutes.
	InactivityTimeout time.Duration
	// AuthenticationMethod is 0 ticket (and Windows), 1 and 2 header, 3 SAML, 4 JWT, 5 OIDC.
	AuthenticationMethod int
	// AnonymousAccess is 0 none, 1 allowed, 2 always.
	AnonymousAccess int
	// SessionCookie is the name of the cookie; "" is X-Qlik-Session, with the prefix behind it where there is one.
	SessionCookie string
}

// User is a user whom the repository knows.
type User struct {
	Directory, ID, Name string
	License             License
	// Admin marks a root administrator. Without license such a user has sessions but never a usage row, and is never refused
	// (docs/qlik.md, "Usage rows"); with one the limit applies, which is why Qlik advises against it (docs/qlik.md, "What counts").
	Admin bool
	// UnusedFor is how long before the start of the site the license was used last; 0 is never.
	UnusedFor time.Duration
}

// License is the kind of access a user was given.
type License string

// The kinds of access.
const (
	Unlicensed   License = ""
	Professional License = "Professional"
	Analyzer     License = "Analyzer"
)

// licenses are those that give a slot.
var licenses = []License{Professional, Analyzer}

// Tail says which slots stay taken for Config.CoolingTime after their session ended (docs/qlik.md, "Five-minute tail"). Qlik's documentation
// describes the first; whether the second is what happens was never measured.
type Tail int

const (
	// TailAtLimit keeps the slot of a session that ended while the user's usage rows were at the limit; others are free at once.
	TailAtLimit Tail = iota
	// TailAlways keeps every slot.
	TailAlways
)

// String returns the name of the constant.
func (t Tail) String() string {
	switch t {
	case TailAtLimit:
		return "TailAtLimit"
	case TailAlways:
		return "TailAlways"
	}
	return fmt.Sprintf("Tail(%d)", int(t))
}

const (
	repositoryPort = 4242 // docs/qlik.md, "Ports and addressing": not configurable
	defaultPort    = 4243 // of a proxy, unless registered otherwise
)

// withDefaults returns a copy of the configuration that shares nothing with the caller's, or says what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	if c.Nodes == nil {
		c.Nodes = []Node{{Name: "qlik1", Central: true}}
	}
	if len(c.Nodes) == 0 {
		return c, errors.New("qliktest: a site needs at least one node")
	}
	c.Nodes = slices.Clone(c.Nodes)
	seen := map[string]bool{}
	central := 0
	for i := range c.Nodes {
		n := &c.Nodes[i]
		name := strings.ToLower(n.Name)
		if n.Name == "" || seen[name] {
			return c, fmt.Errorf("qliktest: node name %q is empty or used twice", n.Name)
		}
		seen[name] = true
		if n.RESTListenPort == 0 {
			n.RESTListenPort = defaultPort
		}
		if n.CertificateNames == nil {
			n.CertificateNames = []string{n.Name}
		}
		if n.Central {
			central++
		}
	}
	switch central {
	case 0:
		c.Nodes[0].Central = true
	case 1:
	default:
		return c, errors.New("qliktest: more than one central node")
	}
	if c.VirtualProxies == nil {
		c.VirtualProxies = []VirtualProxy{{}}
	}
	if c.SessionLimit == 0 {
		c.SessionLimit = 5
	}
	if c.CoolingTime == 0 {
		c.CoolingTime = 5 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.LicenseExpiry.IsZero() {
		c.LicenseExpiry = c.Now().AddDate(1, 0, 0)
	}
	return c, nil
}

// withDefaults fills in what the QMC fills in for a new virtual proxy.
func (v VirtualProxy) withDefaults() VirtualProxy {
	if v.InactivityTimeout == 0 {
		v.InactivityTimeout = 30 * time.Minute
	}
	if v.Description == "" {
		v.Description = v.Prefix
		if v.Prefix == "" {
			v.Description = "Central Proxy (Default)"
		}
	}
	if v.SessionCookie == "" {
		v.SessionCookie = "X-Qlik-Session"
		if v.Prefix != "" {
			v.SessionCookie += "-" + strings.ReplaceAll(v.Prefix, "/", "-")
		}
	}
	return v
}
