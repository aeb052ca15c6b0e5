package desk

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
	"golang.org/x/crypto/bcrypt"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/qlik/textfile"
)

// Flags of the desk in errors.
const (
	webConfigFlag = "desk.web.config.file"
	rolesFlag     = "desk.roles-file"
)

// role is what an operator may do. A greater role includes the smaller ones.
type role int

const (
	nobody   role = iota
	viewer        // sees
	helpdesk      // ends what was refused, and the longest idle session
	admin         // chooses what ends
)

// String returns the name of the role as in the file.
func (r role) String() string { return [...]string{"nobody", "viewer", "helpdesk", "admin"}[r] }

// operator is who sends a request.
type operator struct {
	name string // as in the file of roles, such as user:kim or cert:servicedesk
	role role
}

// access tells operators by the files of the desk. It reads them at each request, as
// exporter-toolkit does, so that a change takes effect at once.
type access struct {
	webConfigFile, rolesFile string
	now                      func() time.Time

	mu    sync.Mutex // guards right
	right map[[sha256.Size]byte]bool
}

// maxRight limits the passwords that are remembered as right.
const maxRight = 100

func newAccess(webConfigFile, rolesFile string, now func() time.Time) *access {
	return &access{webConfigFile: webConfigFile, rolesFile: rolesFile, now: now, right: make(map[[sha256.Size]byte]bool)}
}

// files are the files of the desk at one request.
type files struct {
	web   web.Config
	roles map[string]role // by the name of the operator
}

// Check returns an error if the desk must not start with its files. It is a
// *config.Error.
func Check(webConfigFile, rolesFile string) error {
	_, err := newAccess(webConfigFile, rolesFile, time.Now).load()
	return err
}

// read returns the files for a request, or an error if they do not protect the desk.
func (a *access) read(r *http.Request) (*files, error) {
	if r.TLS == nil {
		return nil, errors.New("the connection is not protected by TLS")
	}
	return a.load()
}

func (a *access) load() (*files, error) {
	settings, err := loadWebConfig(a.webConfigFile)
	if err != nil {
		return nil, &config.Error{Flag: webConfigFlag, Err: err}
	}
	roles, err := loadRoles(a.rolesFile)
	if err != nil {
		return nil, &config.Error{Flag: rolesFlag, Err: err}
	}
	return &files{settings, roles}, nil
}

// loadWebConfig reads a file of exporter-toolkit. It must configure TLS, and passwords or
// client certificates for all requests.
func loadWebConfig(path string) (web.Config, error) {
	var settings web.Config
	content, err := os.ReadFile(path)
	if err != nil {
		return settings, err
	}
	if err := yaml.UnmarshalStrict(content, &settings); err != nil {
		return settings, fmt.Errorf("%s: is not a valid file of exporter-toolkit", path) // the error may repeat a hash
	}
	settings.TLSConfig.SetDirectory(filepath.Dir(path))
	switch {
	case !settings.TLSConfig.IsEnabled():
		return settings, fmt.Errorf("%s: the desk requires TLS; set tls_server_config", path)
	case len(settings.Users) == 0 && settings.TLSConfig.ClientAuth != requireCertificate:
		return settings, fmt.Errorf("%s: the desk requires authentication; set basic_auth_users, or client_auth_type: %s", path, requireCertificate)
	}
	return settings, nil
}

// requireCertificate is the client_auth_type that requires a verified certificate.
const requireCertificate = "RequireAndVerifyClientCert"

// roleForm is how to write an operator in the file of roles.
const roleForm = "write user:NAME or cert:COMMON NAME"

// severalNames matches a name that contains the start of another one. A common name may
// contain a comma.
var severalNames = regexp.MustCompile(`[,;\s](user|cert):`)

// loadRoles reads a file of roles: a list of operators for each role.
func loadRoles(path string) (map[string]role, error) {
	content, err := textfile.Read(path)
	if err != nil {
		return nil, err
	}
	var lists struct {
		Viewer   []string `yaml:"viewer"`
		Helpdesk []string `yaml:"helpdesk"`
		Admin    []string `yaml:"admin"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.SetStrict(true)
	if err := decoder.Decode(&lists); err != nil && !errors.Is(err, io.EOF) {
		hint := ""
		if strings.Contains(err.Error(), "into string") { // - user: NAME
			hint = "; " + roleForm + ", without a blank after the colon"
		}
		return nil, fmt.Errorf("%s: %s%s", path, strings.Join(strings.Fields(err.Error()), " "), hint)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: has several documents; write one without ---", path)
	}
	roles := make(map[string]role)
	for of, names := range map[role][]string{viewer: lists.Viewer, helpdesk: lists.Helpdesk, admin: lists.Admin} {
		for _, name := range names {
			kind, who, _ := strings.Cut(name, ":")
			switch {
			case who == "", who != strings.TrimSpace(who), kind != "user" && kind != "cert":
				return nil, fmt.Errorf("%s: %q: %s", path, name, roleForm)
			case severalNames.MatchString(who):
				return nil, fmt.Errorf("%s: %q: contains several names; write each as an element of the list", path, name)
			case roles[name] != nobody:
				return nil, fmt.Errorf("%s: %q has two roles; a greater role includes the smaller ones", path, name)
			}
			roles[name] = of
		}
	}
	if len(roles) == 0 {
		return nil, fmt.Errorf("%s: names nobody; write lists of viewer, helpdesk, and admin", path)
	}
	return roles, nil
}

// operator returns who sends a request. The name of a password counts only if the file has
// passwords now. Otherwise the common name of a certificate counts that is still trusted.
func (a *access) operator(r *http.Request, files *files) operator {
	name := ""
	if len(files.web.Users) > 0 {
		if user, password, ok := r.BasicAuth(); ok && a.isRight(user, password, files) {
			name = "user:" + user
		}
	} else if common := a.commonName(r, files); common != "" {
		name = "cert:" + common
	}
	return operator{name, files.roles[name]}
}

// isRight checks a password, although exporter-toolkit has done so: it did that with another
// read of the file, which may have had no passwords.
func (a *access) isRight(user, password string, files *files) bool {
	hash, known := files.web.Users[user]
	if !known {
		return false
	}
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %q", user, string(hash), password)))
	a.mu.Lock()
	right := a.right[sum]
	a.mu.Unlock()
	if right {
		return true
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.right) >= maxRight {
		clear(a.right)
	}
	a.right[sum] = true
	return true
}

// commonName returns the common name of the client certificate, or "". TLS verified it when
// the connection began. It must still be valid under the authorities in the file.
func (a *access) commonName(r *http.Request, files *files) string {
	if files.web.TLSConfig.ClientAuth != requireCertificate || len(r.TLS.VerifiedChains) == 0 {
		return ""
	}
	settings, err := web.ConfigToTLSConfig(&files.web.TLSConfig)
	if err != nil || settings.ClientCAs == nil {
		return ""
	}
	certificate := r.TLS.PeerCertificates[0]
	intermediates := x509.NewCertPool()
	for _, other := range r.TLS.PeerCertificates[1:] {
		intermediates.AddCert(other)
	}
	_, err = certificate.Verify(x509.VerifyOptions{
		Roots: settings.ClientCAs, Intermediates: intermediates, CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return ""
	}
	if files.web.TLSConfig.ClientAllowedSans != nil && files.web.TLSConfig.VerifyPeerCertificate([][]byte{certificate.Raw}, nil) != nil {
		return ""
	}
	return certificate.Subject.CommonName
}
