package desk

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"golang.org/x/crypto/bcrypt"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRoles checks which files of roles are accepted, and that the error of another one names
// the file and the mistake in one line.
func TestRoles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, content, want string }{
		{"all", "viewer: [user:vera]\nhelpdesk: [user:kim, 'cert:Service Desk']\nadmin: [user:ada]\n", "cert:Service Desk=helpdesk user:ada=admin user:kim=helpdesk user:vera=viewer"},
		{"one", "helpdesk:\n- user:kim\n", "user:kim=helpdesk"},
		{"a byte order mark and Windows lines", "\ufeffhelpdesk:\r\n- user:kim\r\n", "user:kim=helpdesk"},
		{"a colon in the name", "helpdesk: ['user:a:b']\n", "user:a:b=helpdesk"},
		{"a password and a certificate", "viewer: [user:kim]\nadmin: [cert:kim]\n", "cert:kim=admin user:kim=viewer"},
		{"empty", "", "error: names nobody"},
		{"only comments", "# helpdesk: [user:kim]\n", "error: names nobody"},
		{"empty lists", "viewer: []\nhelpdesk:\nadmin: []\n", "error: names nobody"},
		{"an unknown role", "helpdesk: [user:kim]\nroot: [user:eve]\n", "error: field root not found"},
		{"a role in capitals", "Admin: [user:kim]\n", "error: field Admin not found"},
		{"a role twice", "admin: [user:kim]\nadmin: [user:eve]\n", "error: already set"},
		{"two roles", "viewer: [user:kim]\nadmin: [user:kim]\n", "error: two roles"},
		{"a name twice", "admin: [user:kim, user:kim]\n", "error: two roles"},
		{"no kind", "admin: [kim]\n", "error: write user:NAME"},
		{"another kind", "admin: [group:desk]\n", "error: write user:NAME"},
		{"a kind in capitals", "admin: [User:kim]\n", "error: write user:NAME"},
		{"no name", "admin: ['user:']\n", "error: write user:NAME"},
		{"everybody", "admin: ['*']\n", "error: write user:NAME"},
		{"a blank before the name", "admin: ['user: kim']\n", "error: write user:NAME"},
		{"a blank that makes a map", "admin:\n- user: kim\n", "error: into string; write user:NAME or cert:COMMON NAME, without a blank after the colon"},
		{"several names", "admin: ['user:kim,user:ada']\n", "error: contains several names"},
		{"several names with a blank", "admin: ['user:kim cert:ada']\n", "error: contains several names"},
		{"a comma in a common name", "admin: ['cert:Berg, Anna']\n", "cert:Berg, Anna=admin"},
		{"a map", "admin: {user: kim}\n", "error: cannot unmarshal"},
		{"a text", "user:kim is admin", "error: cannot unmarshal"},
		{"broken", "admin: [user:kim\n", "error: yaml"},
		{"two documents", "viewer: [user:kim]\n---\nadmin: [user:kim]\n", "error: several documents"},
	} {
		path := write(t, "roles.yml", test.content)
		roles, err := loadRoles(path)
		var got []string
		for _, name := range slices.Sorted(maps.Keys(roles)) {
			got = append(got, name+"="+roles[name].String())
		}
		mistake, wrong := strings.CutPrefix(test.want, "error: ")
		switch {
		case wrong && (err == nil || !strings.Contains(err.Error(), mistake) || !strings.HasPrefix(err.Error(), path) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: got %v, %v", test.name, got, err)
		case !wrong && (err != nil || strings.Join(got, " ") != test.want):
			t.Errorf("%s: got %v, %v", test.name, got, err)
		}
	}
	if _, err := loadRoles(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file is accepted")
	}
}

// TestWebConfig checks which files of exporter-toolkit protect the desk.
func TestWebConfig(t *testing.T) {
	t.Parallel()
	const (
		secure = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"
		users  = "basic_auth_users: {kim: $2a$04$secret}\n"
		verify = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}\n"
	)
	roles := write(t, "roles.yml", "helpdesk: [user:kim]\n")
	for _, test := range []struct{ name, content, wrong string }{
		{"users", secure + "}\n" + users, ""},
		{"certificates", secure + verify, ""},
		{"both", secure + verify + users, ""},
		{"empty", "", "requires TLS"},
		{"no TLS", users, "requires TLS"},
		{"no authentication", secure + "}\n", "requires authentication"},
		{"no users", secure + "}\nbasic_auth_users: {}\n", "requires authentication"},
		{"requested", secure + ", client_auth_type: RequestClientCert}\n", "requires authentication"},
		{"any", secure + ", client_auth_type: RequireAnyClientCert}\n", "requires authentication"},
		{"if given", secure + ", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem}\n", "requires authentication"},
		{"in small letters", secure + ", client_auth_type: requireandverifyclientcert}\n", "requires authentication"},
		{"an unknown key", secure + "}\n" + users + "auth: none\n", "not a valid file"},
		{"broken", secure + "\n" + users, "not a valid file"},
	} {
		err := Check(write(t, "web.yml", test.content), roles)
		wrong, isFlag := errors.AsType[*config.Error](err)
		switch {
		case test.wrong == "" && err != nil, test.wrong != "" && (!isFlag || wrong.Flag != webConfigFlag || !strings.Contains(err.Error(), test.wrong)):
			t.Errorf("%s: %v", test.name, err)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error contains a hash: %v", test.name, err)
		}
	}
	if err := Check(write(t, "web.yml", secure+"}\n"+users), write(t, "roles.yml", "")); err == nil || !strings.HasPrefix(err.Error(), "--"+rolesFlag) {
		t.Errorf("no roles: %v", err)
	}
}

// TestPasswordIsCheckedAgain checks that a name counts only with its password, although
// exporter-toolkit may have let the request pass, and only while the file has this password.
func TestPasswordIsCheckedAgain(t *testing.T) {
	t.Parallel()
	hashOf := func(password string) []byte {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	const form = "tls_server_config: {cert_file: desk.crt, key_file: desk.key}\nbasic_auth_users: {kim: %s, ada: %s}\n"
	web := write(t, "web.yml", fmt.Sprintf(form, hashOf("of kim"), hashOf("of ada")))
	a := newAccess(web, write(t, "roles.yml", "helpdesk: [user:kim]\nadmin: [user:ada]\n"), time.Now)
	check := func(user, password string, want role) {
		t.Helper()
		files, err := a.load()
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.SetBasicAuth(user, password)
		if who := a.operator(r, files); who.role != want || (who.name != "") != (want != nobody) {
			t.Errorf("%s with the password %q is %q, %s; want %s", user, password, who.name, who.role, want)
		}
	}
	for range 2 { // the second time, right passwords are known
		check("kim", "of kim", helpdesk)
		check("ada", "of ada", admin)
		check("ada", "of kim", nobody)
		check("kim", "", nobody)
		check("lee", "of kim", nobody)
	}
	if err := os.WriteFile(web, fmt.Appendf(nil, form, hashOf("another"), hashOf("of ada")), 0o600); err != nil {
		t.Fatal(err)
	}
	check("kim", "of kim", nobody)
	check("kim", "another", helpdesk)
}

// TestTrustedOrigin checks that the origin of --web.external-url is trusted only with https.
func TestTrustedOrigin(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(journal.Config{Path: filepath.Join(t.TempDir(), "journal")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	config := Config{
		WebConfigFile: write(t, "web.yml", fmt.Sprintf("tls_server_config: {cert_file: desk.crt, key_file: desk.key}\nbasic_auth_users: {kim: %s}\n", hash)),
		RolesFile:     write(t, "roles.yml", "helpdesk: [user:kim]\n"), Journal: j, Pages: http.NotFoundHandler(), Logger: log.NewNopLogger(),
	}
	for external, trusted := range map[string]bool{
		"https://desk.example": true, "https://Desk.Example:443/qlik/": true, "http://desk.example": false, "https://desk.example:8443": false, "https://other.example": false,
	} {
		if config.ExternalURL, err = url.Parse(external); err != nil {
			t.Fatal(err)
		}
		d, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "https://qlik1:9987/sessions/free", http.NoBody)
		r.Header.Set("Origin", "https://desk.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.SetBasicAuth("kim", "right")
		answer := httptest.NewRecorder()
		d.ServeHTTP(answer, r)
		if refused := strings.Contains(answer.Body.String(), "another origin"); refused == trusted {
			t.Errorf("with %s: %d %s", external, answer.Code, answer.Body)
		}
		d.Close()
	}
}
