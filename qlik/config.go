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

// Defaults of the settings of a client.
const (
	DefaultTimeout = 10 * time.Second
	DefaultUser    = `INTERNAL\sa_api`
)

// Config is how a site is reached. Addresses are HOST or HOST:PORT.
type Config struct {
	Hosts             []string               // of repositories, in order of preference
	CertDir           string                 // folder with the certificates as the QMC exports them
	KeyPassphraseFile string                 // for an encrypted key; "" for none
	ServerName        string                 // in every node's certificate, where it is not the node's own; "" where it is
	NodeAddresses     map[string]NodeAddress // where nodes are reached that are not under their own name
	User              User                   // in X-Qlik-User
	Proxies           []string               // of the site's proxies only these; none is all
	VirtualProxies    []string               // of its virtual proxies only these, by prefix; none is all
	Timeout           time.Duration          // of one request

	// Now is the clock that those of servers are compared with; nil means
	// time.Now. Deadlines of requests go by the real one.
	Now func() time.Time
	// DialContext opens connections; nil means net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// NodeAddress is where a node is reached when not under its registered name.
type NodeAddress struct {
	Host string
	Port string // of its proxy, instead of the registered one; may be empty
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
	switch {
	case len(c.Hosts) == 0 && (len(c.Proxies) == 0 || len(c.VirtualProxies) == 0):
		return Config{}, configErrorf("Hosts", "is missing; give the registered host name of a repository, or both proxies and virtual proxies")
	case c.CertDir == "":
		return Config{}, configErrorf("CertDir", "is missing; give the folder with %s, %s and %s as the QMC exports them",
			clientCertificateFile, clientKeyFile, rootCertificateFile)
	}
	if info, err := os.Stat(c.CertDir); err == nil && !info.IsDir() {
		return Config{}, configErrorf("CertDir", "%s is a file; give the folder that holds %s, %s and %s",
			c.CertDir, clientCertificateFile, clientKeyFile, rootCertificateFile)
	}
	return c, nil
}

// withPort completes addresses given as host or host:port.
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

// hostName is what can be a name in DNS or of a Windows machine.
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

// ParseAddress splits HOST, HOST:PORT or an IP address; the port may be empty.
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
	if !hostName.MatchString(host) && net.ParseIP(host) == nil {
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

// ParseNodeAddress reads NODE=HOST[:PORT].
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
