package qlik

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log"
)

// Defaults of the settings of a site. The limit and the cooling time are terms
// of Qlik's licence (docs/qlik.md, "The limit").
const (
	DefaultSessionLimit = 5
	DefaultCoolingTime  = 5 * time.Minute
	DefaultTimeout      = 10 * time.Second
	DefaultUser         = `INTERNAL\sa_api`
)

// Config is how a site is reached and counted. The comments name the flag of
// each setting; README.md explains them.
type Config struct {
	Hosts             []string               // --qlik.host
	CertDir           string                 // --qlik.cert-dir
	KeyPassphraseFile string                 // --qlik.key-passphrase-file
	ServerName        string                 // --qlik.server-name
	NodeAddresses     map[string]NodeAddress // --qlik.node-address
	User              User                   // --qlik.user
	SessionLimit      int                    // --qlik.session-limit
	CoolingTime       time.Duration          // --qlik.cooling-time
	Proxies           []string               // --qlik.proxy
	VirtualProxies    []string               // --qlik.virtual-proxy
	UnlimitedUsers    []User                 // --qlik.unlimited-user
	Timeout           time.Duration          // --qlik.timeout
	Licenses          bool                   // read who holds a licence, and usage rows

	Logger log.Logger // nil logs nothing
	// SessionEnded is told how long a session lived that ended, if its start was
	// seen. It must not call the site. May be nil.
	SessionEnded func(life time.Duration)
	// Now is the clock of the tracking; nil means time.Now. Deadlines of requests
	// go by the real one.
	Now func() time.Time
	// DialContext opens connections; nil means net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// withDefaults returns the configuration with addresses completed, or a
// *ConfigError.
func (c Config) withDefaults() (Config, error) {
	if c.User == (User{}) {
		c.User, _ = ParseUser(DefaultUser)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.SessionLimit == 0 {
		c.SessionLimit = DefaultSessionLimit
	}
	if c.CoolingTime == 0 {
		c.CoolingTime = DefaultCoolingTime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = log.NewNopLogger()
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{Timeout: c.Timeout, KeepAlive: 30 * time.Second}).DialContext
	}
	c.Licenses = c.Licenses && len(c.Hosts) > 0
	var err error
	if c.Hosts, err = withPort("qlik.host", c.Hosts, repositoryPort); err != nil {
		return Config{}, err
	}
	if c.Proxies, err = withPort("qlik.proxy", c.Proxies, proxyPort); err != nil {
		return Config{}, err
	}
	switch {
	case c.SessionLimit < 1:
		return Config{}, configErrorf("qlik.session-limit", "must be at least 1, not %d", c.SessionLimit)
	case c.CoolingTime < 0:
		return Config{}, configErrorf("qlik.cooling-time", "must not be negative, not %s", c.CoolingTime)
	case c.Timeout < 0:
		return Config{}, configErrorf("qlik.timeout", "must be longer than 0s, not %s", c.Timeout)
	case len(c.Hosts) == 0 && !c.static():
		return Config{}, configErrorf("qlik.host", "is missing; give the registered host name of a repository, or both --qlik.proxy and --qlik.virtual-proxy")
	case c.CertDir == "":
		return Config{}, configErrorf("qlik.cert-dir", "is missing; give the folder with %s, %s and %s as the QMC exports them",
			clientCertificateFile, clientKeyFile, rootCertificateFile)
	}
	if info, err := os.Stat(c.CertDir); err == nil && !info.IsDir() {
		return Config{}, configErrorf("qlik.cert-dir", "%s is a file; give the folder that holds %s, %s and %s",
			c.CertDir, clientCertificateFile, clientKeyFile, rootCertificateFile)
	}
	return c, nil
}

// static says whether the links are configured instead of discovered.
func (c Config) static() bool { return len(c.Proxies) > 0 && len(c.VirtualProxies) > 0 }

// withPort completes addresses given as host or host:port.
func withPort(flag string, addresses []string, port string) ([]string, error) {
	addresses = slices.Clone(addresses)
	for i, address := range addresses {
		complete, err := completeAddress(address, port)
		if err != nil {
			return nil, configErrorf(flag, "%q: %w", address, err)
		}
		addresses[i] = complete
	}
	return addresses, nil
}

var errAddress = errors.New("write HOST or HOST:PORT")

func completeAddress(address, port string) (string, error) {
	host, given, err := splitAddress(address)
	if err != nil {
		return "", err
	}
	if given != "" {
		port = given
	}
	return net.JoinHostPort(host, port), nil
}

// splitAddress splits HOST, HOST:PORT or an IP address; the port may be empty.
func splitAddress(address string) (host, port string, err error) {
	if strings.ContainsAny(address, "/@? \t") {
		return "", "", errAddress
	}
	if ip := net.ParseIP(strings.Trim(address, "[]")); ip != nil {
		return ip.String(), "", nil
	}
	if !strings.Contains(address, ":") {
		host = address
	} else if host, port, err = net.SplitHostPort(address); err != nil {
		return "", "", errAddress
	} else if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", "", errAddress
	}
	if host == "" {
		return "", "", errAddress
	}
	return host, port, nil
}

// ParseNodeAddress reads NODE=HOST[:PORT].
func ParseNodeAddress(s string) (node string, address NodeAddress, err error) {
	node, target, found := strings.Cut(s, "=")
	if !found || node == "" {
		return "", NodeAddress{}, configErrorf("qlik.node-address", "%q: write NODE=HOST or NODE=HOST:PORT", s)
	}
	if _, port, err := splitAddress(node); err != nil || port != "" {
		return "", NodeAddress{}, configErrorf("qlik.node-address", "%q: NODE is the registered host name, without port", s)
	}
	if address.Host, address.Port, err = splitAddress(target); err != nil {
		return "", NodeAddress{}, configErrorf("qlik.node-address", "%q: write NODE=HOST or NODE=HOST:PORT", s)
	}
	return node, address, nil
}
