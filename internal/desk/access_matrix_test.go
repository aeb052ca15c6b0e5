package desk_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// identity is who sends a request.
type identity struct {
	name           string
	user, password string
	certificate    string // common name
	role           string // "" for nobody, "unknown" for a failed login
}

// requestOf is the origin of a request as browsers and programs send it.
type requestOf struct {
	origin, fetchSite string
	own               bool // its origin is that of the desk
	allowed           bool
}

var requestsOf = map[string]requestOf{
	"program":                     {allowed: true},
	"own page":                    {own: true, fetchSite: "same-origin", allowed: true},
	"own page without a referrer": {origin: "null", fetchSite: "same-origin", allowed: true},
	"own page, old browser":       {own: true, allowed: true},
	"typed by the user":           {fetchSite: "none", allowed: true},
	"reverse proxy":               {origin: "https://desk.example", fetchSite: "same-site", allowed: true},
	"foreign":                     {origin: "https://evil.example", fetchSite: "cross-site"},
	"foreign, old browser":        {origin: "https://evil.example"},
	"foreign, hidden":             {origin: "null", fetchSite: "cross-site"},
	"hidden, old browser":         {origin: "null"},
	"same site":                   {origin: "https://wiki.example", fetchSite: "same-site"},
	"reverse proxy without TLS":   {origin: "http://desk.example", fetchSite: "cross-site"},
	"beside the reverse proxy":    {origin: "https://desk.example.evil.example", fetchSite: "cross-site"},
	"another port":                {origin: "https://desk.example:8443", fetchSite: "same-site"},
}

func (b *bench) headerOf(r requestOf) http.Header {
	header := make(http.Header)
	if r.own {
		r.origin = b.deskURL
	}
	if r.origin != "" {
		header.Set("Origin", r.origin)
	}
	if r.fetchSite != "" {
		header.Set("Sec-Fetch-Site", r.fetchSite)
	}
	return header
}

// endpoint is a path of the desk, and the status for somebody who may do everything. The
// other methods of the path are refused.
type endpoint struct {
	method, path string
	status       int
}

var endpoints = []endpoint{
	{http.MethodGet, "/", http.StatusSeeOther},
	{http.MethodGet, "/sessions", http.StatusOK},
	{http.MethodGet, `/sessions/user?user=LAB%5Canna0`, http.StatusOK},
	{http.MethodGet, "/sessions/page.css", http.StatusOK},
	{http.MethodGet, "/sessions/page.js", http.StatusOK},
	{http.MethodGet, "/api/users?q=anna0", http.StatusOK},
	{http.MethodGet, `/api/user?user=LAB%5Canna0`, http.StatusOK},
	{http.MethodPost, "/api/plan", http.StatusOK},
	{http.MethodPost, "/sessions/plan", http.StatusOK},
	{http.MethodPost, "/api/free", http.StatusForbidden}, // the plan is none
	{http.MethodPost, "/sessions/free", http.StatusForbidden},
	{http.MethodGet, "/nowhere", http.StatusNotFound},
	{http.MethodGet, "/api/", http.StatusNotFound},
	{http.MethodGet, "/sessions/favicon.svg?users=3", http.StatusOK},
	{http.MethodGet, "/sessions/favicon.svg", http.StatusSeeOther},
	{http.MethodGet, "/sessions/", http.StatusMovedPermanently},
	{http.MethodGet, "/metrics", http.StatusNotFound},
	{http.MethodGet, "/probe?target=", http.StatusNotFound},
	{http.MethodGet, "/config", http.StatusNotFound},
	{http.MethodPost, "/-/reload", http.StatusNotFound},
	{http.MethodGet, "/debug/pprof/cmdline", http.StatusNotFound},
	{http.MethodGet, "/sessions/plan", http.StatusNotFound},
	{http.MethodGet, "/sessions/free", http.StatusNotFound},
	{http.MethodGet, "/api/plan", http.StatusMethodNotAllowed},
	{http.MethodGet, "/api/free", http.StatusMethodNotAllowed},
	{http.MethodDelete, "/api/free", http.StatusMethodNotAllowed},
	{http.MethodPut, "/api/free", http.StatusMethodNotAllowed},
	{http.MethodDelete, "/sessions", http.StatusMethodNotAllowed},
	{http.MethodPost, "/sessions", http.StatusMethodNotAllowed},
	{http.MethodDelete, "/sessions/user?user=LAB%5Canna0", http.StatusMethodNotAllowed},
	{http.MethodPatch, "/sessions/free", http.StatusMethodNotAllowed},
}

// bodyOf returns a body that is valid at an endpoint.
func bodyOf(path, user string) string {
	switch path {
	case "/api/plan":
		return fmt.Sprintf(`{"user":%q}`, user)
	case "/api/free":
		return `{"plan":"none"}`
	case "/sessions/plan":
		return url.Values{"user": {user}}.Encode()
	case "/sessions/free":
		return "plan=none"
	}
	return ""
}

// wanted returns the status of a request.
func wanted(e endpoint, r requestOf, role string) int {
	reads := e.method == http.MethodGet
	ends := e.method == http.MethodPost && (strings.HasSuffix(e.path, "/plan") || strings.HasSuffix(e.path, "/free"))
	switch {
	case role == "unknown":
		return http.StatusUnauthorized
	case role == "", !reads && !r.allowed, ends && role == "viewer":
		return http.StatusForbidden
	default:
		return e.status
	}
}

// ask sends a request to an endpoint.
func (b *bench) ask(client *http.Client, who identity, e endpoint, r requestOf, user string) (status int, header http.Header, text string) {
	b.Helper()
	body := ""
	if e.method == http.MethodPost {
		body = bodyOf(e.path, user)
	}
	return b.send(client, &request{method: e.method, url: b.deskURL + e.path, body: body, user: who.user, password: who.password, header: b.headerOf(r)})
}

// checkAccess sends requests of each identity to each endpoint from each origin.
func (b *bench) checkAccess(identities []identity) {
	b.Helper()
	u := b.open(1)[0]
	before, deletes, n := b.listed(), b.server.Requests().Deletes, 0
	for _, who := range identities {
		client := b.client
		if who.certificate != "" {
			issued := b.authority.issue(who.certificate)
			client = b.clientWith(&issued)
		}
		for _, e := range endpoints {
			for from, r := range requestsOf {
				status, header, text := b.ask(client, who, e, r, u.String())
				about := fmt.Sprintf("%s: %s %s from %s", who.name, e.method, e.path, from)
				if want := wanted(e, r, who.role); status != want {
					b.Errorf("%s: %d, want %d: %.200s", about, status, want, text)
				}
				if status != http.StatusUnauthorized && header.Get("Cache-Control") != "no-store" && !strings.Contains(e.path, "page.") {
					b.Errorf("%s: the response may be stored", about)
				}
				if strings.Contains(text, password) || strings.Contains(text, u.idle) || strings.Contains(text, "$2a$") {
					b.Errorf("%s: the response contains a secret", about)
				}
				n++
			}
		}
	}
	if after := b.listed(); len(after) != len(before) || b.server.Requests().Deletes != deletes {
		b.Errorf("sessions ended: %d of %d are left", len(after), len(before))
	}
	b.closeUsers([]*user{u})
	b.Logf("%d requests", n)
}

// TestAccess checks who may do what with passwords.
func TestAccess(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	b.checkAccess([]identity{
		{name: "nobody", role: "unknown"},
		{name: "viewer", user: "vera", password: password, role: "viewer"},
		{name: "helpdesk", user: "kim", password: password, role: "helpdesk"},
		{name: "admin", user: "ada", password: password, role: "admin"},
		{name: "without a role", user: "noa", password: password},
	})
	b.open(1)
	for name, button := range map[string]bool{"vera": false, "kim": true, "ada": true} {
		_, _, text := b.ask(b.client, identity{user: name, password: password}, endpoints[2], requestOf{}, "")
		if strings.Contains(text, `action="plan"`) != button {
			t.Errorf("%s: the button is wrong", name)
		}
	}
	if _, header, _ := b.ask(b.client, identity{user: "vera", password: password}, endpoints[0], requestOf{}, ""); header.Get("Location") != "sessions" {
		t.Errorf("a reverse proxy with a path cannot redirect to %q", header.Get("Location"))
	}
	for _, who := range []identity{{user: "kim", password: "wrong"}, {user: "nobody", password: password}, {user: "kim:" + password, password: password}, {user: "KIM", password: password}} {
		if status, _, _ := b.ask(b.client, who, endpoints[7], requestsOf["program"], `LAB\anna0`); status != http.StatusUnauthorized {
			t.Errorf("%+v: %d", who, status)
		}
	}
}

// TestAccessByCertificate checks who may do what with client certificates. A Basic header
// beside a certificate changes nothing.
func TestAccessByCertificate(t *testing.T) {
	t.Parallel()
	b := newBench(t, "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n")
	b.checkAccess([]identity{
		{name: "viewer", certificate: "vera", role: "viewer"},
		{name: "helpdesk", certificate: "kim", role: "helpdesk"},
		{name: "admin", certificate: "ada", role: "admin"},
		{name: "without a role", certificate: "noa"},
		{name: "viewer with a header", certificate: "vera", user: "ada", password: password, role: "viewer"},
		{name: "without a role, with a header", certificate: "noa", user: "ada", password: password},
	})
	kim := b.authority.issue("kim")
	client := b.clientWith(&kim)
	as := func(user, path, body string) (int, string) {
		status, _, text := b.send(client, &request{method: http.MethodPost, url: b.deskURL + path, body: body, user: user, password: password})
		return status, text
	}
	u := b.open(1)[0]
	if status, text := as("ada", "/api/plan", fmt.Sprintf(`{"user":%q,"all":true}`, u)); status != http.StatusForbidden {
		t.Errorf("a header makes an administrator: %d %s", status, text)
	}
	status, text := as("ada", "/api/plan", fmt.Sprintf(`{"user":%q}`, u))
	if status != http.StatusOK {
		t.Fatal(status, text)
	}
	begin := b.journalSize()
	if status, text := as("lee", "/api/free", fmt.Sprintf(`{"plan":%q}`, planIn(text))); status != http.StatusOK || len(b.listed()) != 1 {
		t.Errorf("%d %s, %d sessions left", status, text, len(b.listed()))
	}
	if lines, _ := b.journalFrom(begin); len(lines) != 2 || lines[0].Operator != "cert:kim" || lines[0].Role != "helpdesk" {
		t.Errorf("%+v", lines)
	}

	other := newAuthority(t).issue("ada")
	for name, client := range map[string]*http.Client{"no certificate": b.client, "another authority": b.clientWith(&other)} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.deskURL+"/sessions", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}

	// The connection of kim stays open while the authority leaves the file.
	b.file("ca.pem", newAuthority(t).pem())
	if status, text := as("", "/api/plan", fmt.Sprintf(`{"user":%q}`, u)); status != http.StatusForbidden || !strings.Contains(text, "no role") {
		t.Errorf("without its authority: %d %s", status, text)
	}
	b.file("ca.pem", b.authority.pem())
	b.file("web.yml", b.web+"  client_allowed_sans: [127.0.0.2]\n")
	if status, text := as("", "/api/plan", fmt.Sprintf(`{"user":%q}`, u)); status != http.StatusForbidden {
		t.Errorf("with another name allowed: %d %s", status, text)
	}
	b.file("web.yml", b.web+"  client_allowed_sans: [127.0.0.1]\n")
	if status, text := as("", "/api/plan", fmt.Sprintf(`{"user":%q}`, u)); status == http.StatusForbidden {
		t.Errorf("with its name allowed: %d %s", status, text)
	}
	if text := b.log.String(); !strings.Contains(text, "operator=cert:noa") {
		t.Error("the log does not tell who has no role")
	}
	b.clock.Advance(11 * 365 * 24 * time.Hour)
	if status, text := as("", "/api/plan", fmt.Sprintf(`{"user":%q}`, u)); status != http.StatusForbidden || !strings.Contains(text, "no role") {
		t.Errorf("after the end of the certificate: %d %s", status, text)
	}
}

// TestPasswordBesideCertificate checks that only the name of the password counts if the file
// requires both.
func TestPasswordBesideCertificate(t *testing.T) {
	t.Parallel()
	b := newBench(t, "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"+passwords(t))
	ada := b.authority.issue("ada")
	client, u := b.clientWith(&ada), b.open(1)[0]
	for _, test := range []struct {
		user, more string
		status     int
	}{
		{"", "", http.StatusUnauthorized},
		{"vera", "", http.StatusForbidden},
		{"noa", "", http.StatusForbidden},
		{"kim", `,"all":true`, http.StatusForbidden},
		{"kim", "", http.StatusOK},
	} {
		q := &request{method: http.MethodPost, url: b.deskURL + "/api/plan", body: fmt.Sprintf(`{"user":%q%s}`, u, test.more), user: test.user, password: password}
		if status, _, text := b.send(client, q); status != test.status {
			t.Errorf("%q with the certificate of an administrator: %d, want %d: %s", test.user, status, test.status, text)
		}
	}
}

// TestFilesChangeWhileRunning checks that a desk whose files no longer protect it refuses
// everything, with every identity, until they do again.
func TestFilesChangeWhileRunning(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	users := b.open(1)
	plan := b.makePlan("kim", fmt.Sprintf(`"user":%q`, users[0]))
	_, settings, _ := strings.Cut(b.web, "basic_auth_users:")
	withoutUsers := strings.TrimSuffix(b.web, "basic_auth_users:"+settings)
	const dead = http.StatusServiceUnavailable
	remove := func(name string) func() {
		return func() {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(name, content string) func() { return func() { b.file(name, content) } }
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	journal, err := os.ReadFile(b.journalFile)
	if err != nil {
		t.Fatal(err)
	}
	anyCertificate := b.authority.issue("ada")
	for _, change := range []struct {
		name   string
		do     func()
		status int // with the password of an operator
		nobody int // without one
	}{
		{"certificates required, on an open connection", write("web.yml", withoutUsers+"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"), http.StatusForbidden, http.StatusForbidden},
		{"users deleted", write("web.yml", withoutUsers), dead, dead},
		{"users emptied", write("web.yml", withoutUsers+"basic_auth_users: {}\n"), dead, dead},
		{"certificates requested", write("web.yml", withoutUsers+"  client_auth_type: RequestClientCert\n"), dead, dead},
		{"any certificate required", write("web.yml", withoutUsers+"  client_auth_type: RequireAnyClientCert\n"), dead, dead},
		{"certificates verified if given", write("web.yml", withoutUsers+"  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n"), dead, dead},
		{"TLS deleted, users too", write("web.yml", ""), dead, dead},
		{"TLS deleted", write("web.yml", "basic_auth_users:"+settings), dead, http.StatusUnauthorized},
		{"web file broken", write("web.yml", "basic_auth_users: [\n"), http.StatusInternalServerError, http.StatusInternalServerError},
		{"web file removed", remove(b.webFile), http.StatusInternalServerError, http.StatusInternalServerError},
		{"web file with an unknown key", write("web.yml", b.web+"basic_auth_user: {}\n"), http.StatusInternalServerError, http.StatusInternalServerError},
		{"roles removed", remove(b.rolesFile), dead, http.StatusUnauthorized},
		{"roles empty", write("roles.yml", ""), dead, http.StatusUnauthorized},
		{"roles broken", write("roles.yml", "viewer: [\n"), dead, http.StatusUnauthorized},
		{"two roles", write("roles.yml", "viewer: [user:kim]\nadmin: [user:kim]\n"), dead, http.StatusUnauthorized},
		{"an unknown role", write("roles.yml", rolesOfBench+"root: [user:kim]\n"), dead, http.StatusUnauthorized},
		{"the operator lost the role", write("roles.yml", "helpdesk: [user:lee, cert:kim]\n"), http.StatusForbidden, http.StatusUnauthorized},
		{"journal replaced", func() {
			move(b.journalFile, b.journalFile+".kept")
			b.file("journal", string(journal))
		}, dead, http.StatusUnauthorized},
		{"journal cut", func() {
			if err := os.Truncate(b.journalFile, int64(len(journal)/2)); err != nil {
				t.Fatal(err)
			}
		}, dead, http.StatusUnauthorized},
	} {
		change.do()
		for _, e := range endpoints[:11] {
			if status, _, text := b.ask(b.client, identity{user: "kim", password: password}, e, requestOf{}, users[0].String()); status != change.status {
				t.Errorf("%s: kim: %s %s: %d, want %d: %s", change.name, e.method, e.path, status, change.status, text)
			}
			if status, _, text := b.ask(b.client, identity{}, e, requestOf{}, users[0].String()); status != change.nobody {
				t.Errorf("%s: nobody: %s %s: %d, want %d: %s", change.name, e.method, e.path, status, change.nobody, text)
			} else if strings.Contains(text, b.folder) {
				t.Errorf("%s: the response tells everybody about files: %s", change.name, text)
			}
		}
		if status, text := b.carryOut("kim", plan); status != change.status {
			t.Errorf("%s: the plan: %d %s", change.name, status, text)
		}
		if strings.HasPrefix(change.name, "certificates requested") || strings.HasPrefix(change.name, "any") {
			certified := b.clientWith(&anyCertificate)
			for _, who := range []identity{{}, {user: "ada", password: password}} {
				if status, _, text := b.ask(certified, who, endpoints[1], requestOf{}, ""); status != dead {
					t.Errorf("%s: a certificate: %d %s", change.name, status, text)
				}
			}
		}
		b.file("web.yml", b.web)
		b.file("roles.yml", rolesOfBench)
		switch change.name {
		case "journal replaced":
			move(b.journalFile+".kept", b.journalFile)
		case "journal cut":
			b.file("journal", string(journal))
		}
	}
	if deletes := b.server.Requests().Deletes; deletes != 0 {
		t.Fatalf("%d sessions ended", deletes)
	}
	if n := strings.Count(b.log.String(), "The desk refused a request"); n > 50 {
		t.Errorf("requests without a password fill the log with %d lines", n)
	}
	if text := b.log.String(); strings.Contains(text, "$2a$") || strings.Contains(text, password) || !strings.Contains(text, "The desk refuses all requests") {
		t.Error("the log contains a secret, or not the reason")
	}
	if status, text := b.carryOut("kim", plan); status != http.StatusOK || b.server.Requests().Deletes != 2 {
		t.Errorf("the files are as before: %d %s", status, text)
	}
	b.file("web.yml", withoutUsers+"basic_auth_users: {kim: $2a$04$5Q1qxyr7R67MJ.s3QXzunORpBU8qe8RxrXxpns6P7ouFGl8QQgAMG}\n")
	if status, text := b.carryOut("kim", plan); status != http.StatusUnauthorized {
		t.Errorf("another password: %d %s", status, text)
	}
	b.verify()
}

// TestJournalRemoved checks that a new journal begins if the file is removed, and that it
// continues the chain.
func TestJournalRemoved(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	entries := b.journal.Entries()
	plan := b.makePlan("kim", fmt.Sprintf(`"user":%q`, u))
	if err := os.Remove(b.journalFile); err != nil {
		t.Fatal(err)
	}
	if status, text := b.carryOut("kim", plan); status != http.StatusOK {
		t.Fatal(status, text)
	}
	if report := b.verify(); report.First != entries+1 || report.Prev == "" || report.Entries != 3 {
		t.Errorf("%+v", report)
	}
	// Without the right to create the file, everything is refused.
	if os.Geteuid() == 0 {
		return
	}
	if err := os.Remove(b.journalFile); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.folder, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(b.folder, 0o700) })
	if status, text := b.post("kim", "/api/plan", fmt.Sprintf(`{"user":%q}`, u)); status != http.StatusServiceUnavailable {
		t.Errorf("without a journal: %d %s", status, text)
	}
}

// TestOtherPort checks that no request to the port of the exporter ends anything, also not
// one with everything that the desk wants.
func TestOtherPort(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	u := b.open(1)[0]
	plan := b.makePlan("kim", fmt.Sprintf(`"user":%q`, u))
	before := b.listed()
	paths := []string{
		"/", "/metrics", "/probe?target=", "/sd", "/config", "/sessions", "/sessions/", "/sessions/user?user=" + url.QueryEscape(u.String()), "/sessions/page.css", "/sessions/plan", "/sessions/free",
		"/api/users?q=anna0", "/api/user?user=" + url.QueryEscape(u.String()), "/api/plan", "/api/free", "/api/", "/-/healthy", "/-/ready", "/-/reload", "/debug/pprof/cmdline",
		"/qlik/api/free", "/qlik/sessions/free", "//api//free", "/api/../api/free", "/desk/api/free", "/qps/session/" + u.idle, "/nowhere",
	}
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "FREE"}
	form := url.Values{"plan": {plan}, "user": {u.String()}, "keep": {"all"}}.Encode()
	n := 0
	for _, method := range methods {
		for _, path := range paths {
			for _, body := range []string{fmt.Sprintf(`{"plan":%q}`, plan), fmt.Sprintf(`{"user":%q,"all":true}`, u), form, ""} {
				status, _, text := b.send(b.client, &request{method: method, url: b.exporterURL + path, body: body, user: "ada", password: password})
				n++
				if reads := method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions || path == "/-/reload" || strings.HasPrefix(path, "/debug"); !reads && status < 300 {
					t.Errorf("%s %s: %d", method, path, status)
				}
				if strings.Contains(text, `action="plan"`) || strings.Contains(text, `action="free"`) || strings.Contains(text, u.idle) && !strings.Contains(path, u.idle) {
					t.Errorf("%s %s has a button or the id of a session", method, path)
				}
			}
		}
	}
	if deletes := b.server.Requests().Deletes; deletes != 0 || len(b.listed()) != len(before) {
		t.Errorf("%d requests to end a session", deletes)
	}
	if status, text := b.carryOut("kim", plan); status != http.StatusOK || b.server.Requests().Deletes != 2 {
		t.Errorf("the desk: %d %s", status, text)
	}
	t.Logf("%d requests", n)
}

// TestPlanRefused checks that a plan is refused while an execution would be, and for users
// whose sessions are never ended.
func TestPlanRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	users := b.open(8)
	b.login("robot", "1", "", "qlik1")
	b.login("robot", "2", "sales", "qlik2")
	for directory, id := range map[string]string{"INTERNAL": "sa_engine", "NONE": "anonymous1"} {
		if _, err := b.server.Login(directory, id, "1", "sales", "qlik1"); err != nil {
			t.Fatal(err)
		}
	}
	b.site.set(func(s *benchSite) { s.accounts = append(s.accounts, newUser("robot")) })
	deletes := b.server.Requests().Deletes
	refused := func(name string, want int, operator, fields string) {
		t.Helper()
		status, text := b.post(operator, "/api/plan", "{"+fields+"}")
		if status != want {
			t.Errorf("%s: %s %s: %d, want %d: %s", name, operator, fields, status, want, text)
		}
		if status != http.StatusOK {
			checkSentence(t, errorIn(text))
		}
	}
	of := func(user string, more ...string) string {
		return strings.Join(append([]string{fmt.Sprintf(`"user":%q`, user)}, more...), ",")
	}
	const never, conflict, bad = http.StatusUnprocessableEntity, http.StatusConflict, http.StatusBadRequest
	for _, operator := range []string{"kim", "ada"} {
		for _, user := range []string{`LAB\robot`, `lab\ROBOT`, "LAB/robot", `INTERNAL\sa_engine`, `internal\SA_ENGINE`, `INTERNAL\sa_repository`, `NONE\anonymous1`, `none\Anonymous1`, "NONE/anonymous1"} {
			refused("never ended", never, operator, of(user))
		}
		refused("without sessions", never, operator, of(`LAB\anna11`))
		refused("unknown", never, operator, of(`LAB\nobody`))
		for _, user := range []string{"", "anna0", `\anna0`, `LAB\`, "/"} {
			if user != `\anna0` && user != `LAB\` {
				refused("no user", bad, operator, of(user))
			} else {
				refused("no user", never, operator, of(user))
			}
		}
		refused("another site", http.StatusNotFound, operator, of(users[0].String(), `"site":"emea"`))
		refused("a long ticket", bad, operator, of(users[0].String(), fmt.Sprintf(`"ticket":%q`, strings.Repeat("x", 65))))
	}
	for _, more := range []string{`"all":true`, `"keep":1`, `"keep":0`} {
		refused("the helpdesk chooses", http.StatusForbidden, "kim", of(users[0].String(), more))
		refused("an account of a service", never, "ada", of(`LAB\robot`, more))
		refused("the viewer", http.StatusForbidden, "vera", of(users[0].String(), more))
	}
	refused("keep too many", never, "ada", of(users[0].String(), `"keep":1000000000`))
	for _, more := range []string{`"keep":-1`, `"keep":1.5`, `"keep":99999999999999999999`, `"keep":"1"`, `"keep":1,"all":true`, `"session":"x"`} {
		refused("keep", bad, "ada", of(users[0].String(), more))
	}
	refused("doubled keys, the last one counts", http.StatusForbidden, "kim", of(users[0].String(), `"all":false,"all":true`))
	refused("another case of a key", http.StatusForbidden, "kim", of(users[0].String(), `"ALL":true`))
	refused("doubled user", never, "ada", of(users[0].String(), `"user":"LAB\\robot"`))

	b.server.SetProxyFault("qlik3", qliktest.ServerError)
	if status, text := b.post("ada", "/api/plan", "{"+of(users[1].String(), `"all":true`)+"}"); status != http.StatusOK || strings.Count(text, `"holds_slot":true`) != 2 {
		t.Errorf("only refused sessions end while a node is missing: %d %s", status, text)
	}
	b.server.Logout(users[1].refused)
	for _, operator := range []string{"kim", "ada"} {
		refused("a node is missing", conflict, operator, of(users[1].String()))
	}
	refused("a node is missing", conflict, "ada", of(users[1].String(), `"all":true`))
	for _, node := range []string{"qlik1", "qlik2"} {
		b.server.SetProxyFault(node, qliktest.ServerError)
	}
	refused("no node answers", conflict, "ada", of(users[2].String()))
	for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
		b.server.SetProxyFault(node, qliktest.NoFault)
	}
	b.file("stop", "")
	refused("stop file", conflict, "ada", of(users[2].String()))
	if err := os.Remove(b.stopFile); err != nil {
		t.Fatal(err)
	}
	b.server.SetRepositoryFault("qlik1", qliktest.ServerError)
	refused("rows unknown", never, "kim", of(users[3].String()))
	b.server.SetRepositoryFault("qlik1", qliktest.NoFault)
	if now := b.server.Requests().Deletes; now != deletes {
		t.Errorf("%d sessions ended", now-deletes)
	}
}

// TestFailedLogins checks that an address that guesses on the desk must wait, although the
// password is right in the end.
func TestFailedLogins(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	var got []int
	for range 11 {
		status, _, _ := b.send(b.client, &request{method: http.MethodGet, url: b.deskURL + "/sessions", user: "kim", password: "wrong"})
		got = append(got, status)
	}
	if want := append(slices.Repeat([]int{http.StatusUnauthorized}, 10), http.StatusTooManyRequests); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if status, _, _ := b.send(b.client, &request{method: http.MethodGet, url: b.deskURL + "/sessions", user: "kim", password: password}); status != http.StatusTooManyRequests {
		t.Errorf("the right password: %d", status)
	}
	if n := b.counters()["failed_logins_total"]; n != 10 {
		t.Errorf("%v are counted", n)
	}
}

// TestNoTLS checks that the desk refuses everything on a connection without TLS, should the
// toolkit ever serve one.
func TestNoTLS(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Server{Handler: b.desk}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = plain.Serve(listener)
	}()
	defer func() {
		_ = plain.Shutdown(context.WithoutCancel(t.Context()))
		<-done
	}()
	status, _, text := b.send(b.client, &request{method: http.MethodGet, url: "http://" + listener.Addr().String() + "/sessions", user: "ada", password: password})
	if status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, text)
	}
	b.client.CloseIdleConnections()
}

// TestHTTP2 checks that the desk decides the same over HTTP/2.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	b := newBench(t, passwords(t))
	b.client.Transport.(*http.Transport).ForceAttemptHTTP2 = true //nolint:errcheck,forcetypeassert // of clientWith
	u := b.open(1)[0]
	conn, err := tls.Dial("tcp", strings.TrimPrefix(b.deskURL, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil || conn.ConnectionState().NegotiatedProtocol != "h2" {
		t.Fatal("no HTTP/2", err)
	}
	_ = conn.Close()
	for from, r := range requestsOf {
		want := http.StatusOK
		if !r.allowed {
			want = http.StatusForbidden
		}
		if status, _, text := b.ask(b.client, identity{user: "kim", password: password}, endpoints[7], r, u.String()); status != want {
			t.Errorf("%s: %d, want %d: %s", from, status, want, text)
		}
	}
}
