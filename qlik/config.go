package qlik

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Default settings of a client.
const (
	DefaultTimeout = 10 * time.Second
	DefaultUser    = `INTERNAL\sa_api`
)

// Config is the configuration of a client. Addresses are HOST or HOST:PORT. If a
// repository is given, the links come from it, and Proxies and VirtualProxies filter
// them. If both Proxies and VirtualProxies are given, they define the links.
type Config struct {
	Hosts             []string               // addresses of repositories, in order of preference
	CertDir           string                 // folder with the certificates as the QMC exports them
	KeyPassphraseFile string                 // file with the passphrase of an encrypted key; "" if it is not encrypted
	ServerName        string                 // name in the certificates of all nodes; "" means the registered host name of each
	NodeAddresses     map[string]NodeAddress // addresses of nodes that are not reachable by their registered host name, by that name
	EnginePorts       map[string]string      // ports of engines by the registered host name of their node; "" is the node of all others
	User              User                   // sent in X-Qlik-User; the default is DefaultUser
	Proxies           []string               // addresses of the proxies to use; empty means all
	VirtualProxies    []string               // prefixes of the virtual proxies to use; empty means all
	Timeout           time.Duration          // timeout of a request; 0 means DefaultTimeout

	// Now is the local clock to compare with the clocks of servers; nil means
	// time.Now. Deadlines of requests always use the real clock.
	Now func() time.Time
	// DialContext opens connections; nil means net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// NodeAddress is the address of a node that is not reachable by its registered host
// name.
type NodeAddress struct {
	Host string
	Port string // port of its proxy; "" means the registered port
}

// withDefaults returns the configuration with defaults and complete addresses. The
// error is a *ConfigError.
func (c Config) withDefaults() (Config, error) {
	if c.User == (User{}) {
		c.User, _ = ParseUser(DefaultUser)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{Timeout: c.Timeout, KeepAlive: 30 * time.Second}).DialContext
	}
	var err error
	if c.Hosts, err = withPort("Hosts", c.Hosts, repositoryPort); err != nil {
		return Config{}, err
	}
	if c.Proxies, err = withPort("Proxies", c.Proxies, proxyPort); err != nil {
		return Config{}, err
	}
	for _, prefix := range c.VirtualProxies {
		if _, err := ParseVirtualProxy(prefix); err != nil {
			return Config{}, configErrorf("VirtualProxies", "%w", err)
		}
	}
	switch {
	case len(c.Hosts) == 0 && (len(c.Proxies) == 0 || len(c.VirtualProxies) == 0):
		return Config{}, &ConfigError{Field: "Hosts", Err: ErrNoHost}
	case c.CertDir == "":
		return Config{}, configErrorf("CertDir", "is missing; set it to the folder with %s, %s and %s as the QMC exports them",
			clientCertificateFile, clientKeyFile, rootCertificateFile)
	}
	if info, err := os.Stat(c.CertDir); err == nil && !info.IsDir() {
		return Config{}, configErrorf("CertDir", "%s is a file; set this setting to the folder with %s, %s and %s",
			c.CertDir, clientCertificateFile, clientKeyFile, rootCertificateFile)
	}
	return c, nil
}

// withPort adds a port to addresses without one.
func withPort(field string, addresses []string, port string) ([]string, error) {
	addresses = slices.Clone(addresses)
	for i, address := range addresses {
		complete, err := completeAddress(address, port)
		if err != nil {
			return nil, configErrorf(field, "%q: %w", address, err)
		}
		addresses[i] = complete
	}
	return addresses, nil
}

// hostName matches DNS names and names of Windows machines.
var hostName = regexp.MustCompile(`^[\p{L}\p{N}_.-]+$`)

var errAddress = errors.New("write HOST or HOST:PORT")

func completeAddress(address, port string) (string, error) {
	host, given, err := ParseAddress(address)
	if err != nil {
		return "", err
	}
	if given != "" {
		port = given
	}
	return net.JoinHostPort(host, port), nil
}

// ParseAddress splits HOST, HOST:PORT or an IP address into host and port. The port
// is "" if the address has none.
func ParseAddress(address string) (host, port string, err error) {
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
	if !isHost(host) {
		return "", "", errAddress
	}
	return host, port, nil
}

// String returns HOST or HOST:PORT.
func (a NodeAddress) String() string {
	if a.Port == "" {
		return a.Host
	}
	return net.JoinHostPort(a.Host, a.Port)
}

// ParseNodeAddress parses NODE=HOST or NODE=HOST:PORT. NODE is the registered host
// name of the node.
func ParseNodeAddress(s string) (node string, address NodeAddress, err error) {
	node, target, found := strings.Cut(s, "=")
	if !found || node == "" {
		return "", NodeAddress{}, fmt.Errorf("%q: write NODE=HOST or NODE=HOST:PORT", s)
	}
	if _, port, err := ParseAddress(node); err != nil || port != "" {
		return "", NodeAddress{}, fmt.Errorf("%q: NODE is the registered host name, without port", s)
	}
	if address.Host, address.Port, err = ParseAddress(target); err != nil {
		return "", NodeAddress{}, fmt.Errorf("%q: write NODE=HOST or NODE=HOST:PORT", s)
	}
	return node, address, nil
}
