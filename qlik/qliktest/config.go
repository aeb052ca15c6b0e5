package qliktest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Config describes a site. The zero value is valid: a single node, the default virtual proxy, and no known users.
type Config struct {
	// Nodes are the servers of the site; nil means one central node "qlik1". If no node is marked central, the first one is.
	Nodes []Node
	// VirtualProxies are the entry points; nil means only the default virtual proxy, on every node.
	VirtualProxies []VirtualProxy
	// Users are the users that the repository knows at the start. Other users can log in too, but they hold no license.
	Users []User

	// DataConnections are the data connections in the repository.
	DataConnections []DataConnection
	// ReloadTasks are the reload tasks in the repository.
	ReloadTasks []ReloadTask

	// SessionLimit is the maximum number of concurrent sessions of a licensed user; 0 means 5 (docs/qlik.md, "The limit").
	SessionLimit int
	// CoolingTime is how long a slot stays taken after its session ended at the limit; 0 means 5 minutes (docs/qlik.md, "Five-minute tail").
	CoolingTime time.Duration
	// Tail defines which slots stay taken after their sessions ended.
	Tail Tail
	// Activity defines which activity usage rows record, and when.
	Activity Activity
	// QMC defines what happens if a browser opens both the hub and the QMC; see Site.OpenQMC.
	QMC QMC
	// KeepRowsOnRestart keeps the usage rows of sessions that ended with a restart of their proxy. They are left over.
	KeepRowsOnRestart bool
	// LeftoverTime is how long a leftover usage row takes a slot before it ends by a timeout of its own; 0 means until
	// RemoveLeftoverRows is called. The real timeout is unknown (docs/qlik.md, "Usage rows").
	LeftoverTime time.Duration
	// NoUsageRows simulates a release that writes no usage rows: their lists are empty, but the limit is enforced.
	NoUsageRows bool

	// Now is the site's clock; nil means time.Now.
	Now func() time.Time
	// Seed determines session ids and all other random values except keys and certificates.
	Seed uint64

	// AuditLogDir is an existing folder for the repositories' audit security logs; "" writes none.
	AuditLogDir string
	// TraceLogDir is an existing folder for the trace logs of the services, in subfolders as on a node: Repository/Trace, Proxy/Trace and
	// Scheduler/Trace; "" writes none.
	TraceLogDir string
	// ServiceUser is the account that the services of all nodes run as, such as LAB\svc; "" means the local system. Trace logs contain it.
	ServiceUser string
	// Denials is the form of refused logins in the audit logs.
	Denials Denials
	// InMemory opens no sockets: the site is reachable only through DialContext, with real TLS and HTTP. This allows a site and its
	// client to share a testing/synctest bubble.
	InMemory bool
	// RequireClientCertificate rejects a client without a certificate in the handshake. By default, such a client gets status 403.
	// The behavior of the real services is unknown (docs/qlik.md, "Certificates").
	RequireClientCertificate bool
	// Gzip compresses responses for clients that accept it.
	Gzip bool

	// ProfessionalSeats and AnalyzerSeats are the numbers of purchased seats; 0 means the number of allocated seats, rounded up to the
	// next ten. Users beyond these numbers hold an access in excess and are refused, like users beyond the tokens
	// (docs/qlik.md, "License models").
	ProfessionalSeats, AnalyzerSeats int
	// SerialNumber is a license with a serial number and a license file instead of a signed key. It quarantines deallocated accesses
	// (docs/qlik.md, "License models").
	SerialNumber bool
	// CapacityMinutes is the analyzer capacity of a month in minutes; 0 means none. All users without a license use it, in units of six
	// minutes. When less than a unit is left, they are refused until the next month. It requires a signed key.
	CapacityMinutes int
	// CapacityUsed is the number of minutes used in the current month before the start of the site.
	CapacityUsed int
	// NoLimitForCapacity exempts users with analyzer capacity from the session limit. Whether the real limit applies to them is unknown
	// (docs/qlik.md, "The limit").
	NoLimitForCapacity bool
	// Tokens is the number of tokens of a license with tokens; 0 means that it has none. It has a serial number, and only user access and
	// login access. User access needs a token for each user.
	Tokens int
	// LoginAccessTokens are the tokens allocated to login access, ten passes each. All users without user access use them. A pass lasts 60
	// minutes and returns after 28 days.
	LoginAccessTokens int
	// Cores is the number of cores of a license for cores; 0 means that it is for users. It has no accesses, so all lists of accesses and
	// usage rows are empty, and everybody is granted access.
	Cores int
	// NoLimitForCores turns off the session limit with a license for cores. Whether the real limit applies is unknown (docs/qlik.md,
	// "Licenses").
	NoLimitForCores bool
	// LicenseExpiry is the end of the license; zero means one year after the start.
	LicenseExpiry time.Time

	facts told // answers that the site was told to give; see Behave
}

// Node is a server of the site.
type Node struct {
	// Name is the registered host name. It is hostName in the repository and the name in the service certificate.
	Name    string
	Central bool
	// RESTListenPort is the port of the proxy in the repository; 0 means 4243.
	RESTListenPort int
	// Address is the IP address that the services of the node listen on, with the ports of real nodes: 4242, RESTListenPort and 4747. ""
	// means free ports of 127.0.0.1, so that many sites run side by side. The repository does not know these ports; see
	// Site.RepositoryAddress, Site.ProxyAddress and Site.EngineAddress.
	Address string
	// FreePorts lets the services of a node with an Address listen on free ports. The repository reports those of the proxy and the engine.
	FreePorts bool
	// CertificateNames are the DNS names in the service certificate; nil means {Name}.
	CertificateNames []string
}

// VirtualProxy is an entry point to the site (docs/qlik.md, "Virtual proxies").
type VirtualProxy struct {
	// Prefix is the path of the entry point without a leading slash; "" is the default virtual proxy. It may contain slashes.
	Prefix, Description string
	// Nodes are the names of the nodes that serve it; nil means all nodes, an empty slice means none.
	Nodes []string
	// InactivityTimeout is the time without activity after which a session ends; 0 means 30 minutes. The repository reports it in whole
	// minutes.
	InactivityTimeout time.Duration
	// AuthenticationMethod is 0 ticket (and Windows), 1 and 2 header, 3 SAML, 4 JWT, 5 OIDC.
	AuthenticationMethod int
	// AnonymousAccess is 0 none, 1 allowed, 2 always.
	AnonymousAccess int
	// SessionCookie is the name of the cookie; "" means X-Qlik-Session, followed by the prefix if there is one.
	SessionCookie string
}

// User is a user in the repository.
type User struct {
	Directory, ID, Name string
	// License is Professional or Analyzer, UserAccess on a site with tokens, or Unlicensed. Site.GiveLicense and Site.TakeLicense change it.
	License License
	// Second is another license that the user holds in addition. It is never used.
	Second License
	// Admin marks a root administrator. Without a license, an administrator has no usage rows and is never refused
	// (docs/qlik.md, "Usage rows"). With a license the limit applies, so Qlik advises against it (docs/qlik.md, "What counts").
	Admin bool
	// UnusedFor is the time between the last use of the license and the start of the site; 0 means never used.
	UnusedFor time.Duration
	// HeldFor is the time between the allocation of the license and the start of the site.
	HeldFor time.Duration
	// LastUsed is the text of lastUsed in place of the time of the last use, such as that of a clock that is wrong. Null is a null, and
	// Missing leaves the field out.
	LastUsed string
	// Inactive and RemovedExternally mark a user that left the user directory. Licenses stay allocated.
	Inactive, RemovedExternally bool
	// Away marks a user who does not log in. It matters to People only.
	Away bool
	// Deleted marks a user that was deleted from the repository while a license was allocated. Whether the license stays allocated then is
	// unknown (docs/qlik.md, "Licenses").
	Deleted bool
}

// Values of User.LastUsed that are no text.
const (
	Null    = "null"
	Missing = "missing"
)

// Tail defines which slots stay taken for Config.CoolingTime after their session ended (docs/qlik.md, "Five-minute tail"). Qlik's
// documentation describes TailAtLimit. The real behavior was never measured.
type Tail int

const (
	// TailAtLimit keeps the slot of a session that ended while the user's usage rows were at the limit. Other slots are free at once.
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

// withDefaults returns a deep copy of the configuration with defaults. It returns an error if the configuration is invalid.
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
		if _, err := netip.ParseAddr(n.Address); n.Address != "" && (err != nil || c.InMemory) {
			return c, fmt.Errorf("qliktest: node %q cannot listen on %q", n.Name, n.Address)
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
	if err := c.checkLicense(); err != nil {
		return c, err
	}
	if c.Tokens > 0 {
		c.SerialNumber = true
	}
	if c.ServiceUser == "" {
		c.ServiceUser = `NT AUTHORITY\SYSTEM`
	}
	if c.LicenseExpiry.IsZero() {
		c.LicenseExpiry = c.Now().AddDate(1, 0, 0)
	}
	return c, nil
}

// withDefaults sets the defaults that the QMC uses for a new virtual proxy.
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
