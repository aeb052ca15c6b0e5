package desk_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/qlik-exporter/qlik_exporter/internal/desk"
	"github.com/qlik-exporter/qlik_exporter/internal/journal"
	"github.com/qlik-exporter/qlik_exporter/internal/logging"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/internal/server"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/headroom"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// password is the password of all operators of a bench.
const password = "marker-desk-password"

// externalURL is the URL of a reverse proxy in front of a bench.
const externalURL = "https://Desk.example:443/qlik"

// rolesOfBench are the roles of a bench. User noa has a password or a certificate, but no
// role.
const rolesOfBench = "viewer: [user:vera, cert:vera]\nhelpdesk: [user:kim, user:lee, cert:kim]\nadmin: [user:ada, cert:ada]\n"

// bench is an exporter with a desk, both behind exporter-toolkit with TLS, and a simulated
// site of three nodes on which a user can have two sessions.
type bench struct {
	*testing.T

	server  *qliktest.Site
	clock   *qliktest.Clock
	site    *benchSite
	desk    *desk.Desk
	journal *benchJournal
	earlier *httptest.Server // the desk before a restart
	log     *record

	folder, webFile, rolesFile, stopFile, journalFile string
	web                                               string // the file of exporter-toolkit at the start
	authority                                         *authority
	exporterURL, deskURL                              string
	client                                            *http.Client // without a certificate
	users                                             int          // users that have logged in
}

// benchSite is a site whose service accounts a test can change. A test can make something
// happen while a session ends.
type benchSite struct {
	*site.Site

	mu       sync.Mutex
	accounts []qlik.User
	ending   func(ctx context.Context)
}

func (s *benchSite) Names() []string { return []string{""} }

func (s *benchSite) Use(name string) (_ desk.Site, done func(), found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return desk.Site{Site: s, ServiceAccounts: slices.Clone(s.accounts)}, func() {}, name == ""
}

func (s *benchSite) EndSession(ctx context.Context, snapshot *headroom.Snapshot, id qlik.SessionID) (bool, error) {
	s.mu.Lock()
	happens := s.ending
	s.mu.Unlock()
	if happens != nil {
		happens(ctx)
	}
	return s.Site.EndSession(ctx, snapshot, id)
}

// benchJournal is a journal that a test can make fail after it was checked.
type benchJournal struct {
	*journal.Journal

	full atomic.Bool
}

func (j *benchJournal) Begin(intent journal.Intent, allow func([]journal.Recent) error) (string, error) {
	if j.full.Load() {
		return "", errors.New("no space left on device")
	}
	return j.Journal.Begin(intent, allow)
}

// set changes the site.
func (s *benchSite) set(change func(*benchSite)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// record is a log that a test reads while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// noSites are the sites of the exporter's port: it serves the metrics of the process and of
// the desk only.
type noSites struct{}

func (noSites) Describe(chan<- *prometheus.Desc) {}
func (noSites) Collect(chan<- prometheus.Metric) {}
func (noSites) Names() []string                  { return []string{""} }
func (noSites) Format() ([]byte, error)          { return []byte("sites: []\n"), nil }
func (noSites) Reload() error                    { return nil }
func (noSites) NamesHidden() bool                { return false }
func (noSites) Use(string) (server.Site, func(), bool) {
	return nil, nil, false
}

// newBench starts a bench. Its file of exporter-toolkit has TLS and the given settings. It is
// ready when the site has measured how often activity is recorded.
func newBench(t *testing.T, settings string) *bench {
	t.Helper()
	b := &bench{T: t, clock: qliktest.NewClock(time.Now().Truncate(time.Second)), folder: t.TempDir(), log: new(record), authority: newAuthority(t)}
	b.openSite()
	b.web = b.authority.serverSettings(b) + settings
	b.webFile, b.rolesFile, b.stopFile, b.journalFile = b.file("web.yml", b.web), b.file("roles.yml", rolesOfBench), filepath.Join(b.folder, "stop"), filepath.Join(b.folder, "journal")
	logger := log.NewLogfmtLogger(b.log)
	opened, err := journal.Open(journal.Config{Path: b.journalFile, Now: b.clock.Now, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	b.journal = &benchJournal{Journal: opened}
	t.Cleanup(func() { _ = opened.Close() })
	external, err := url.Parse(externalURL)
	if err != nil {
		t.Fatal(err)
	}
	pages := page.Config{
		Names: b.site.Names, Now: b.clock.Now, Authenticated: func() bool { return true },
		Use: func(name string) (page.Site, func(), bool) {
			return page.Site{Recent: page.NewRecent(b.site), Find: b.site.FindUsers}, func() {}, name == ""
		},
	}
	onDesk := pages
	onDesk.Free = desk.MayFree
	config := desk.Config{
		WebConfigFile: b.webFile, RolesFile: b.rolesFile, StopFile: b.stopFile, Journal: b.journal, ExternalURL: external,
		Sites: b.site, Pages: page.New(onDesk), Logger: logger, Now: b.clock.Now,
	}
	if b.desk, err = desk.New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.desk.Close)
	earlier, err := desk.New(config)
	if err != nil {
		t.Fatal(err)
	}
	b.earlier = httptest.NewTLSServer(earlier)
	t.Cleanup(b.earlier.Close)
	b.client = b.clientWith(nil)
	b.serve(page.New(pages), external)
	b.work()
	return b
}

// openSite starts the simulated site.
func (b *bench) openSite() {
	b.Helper()
	config := qliktest.Config{
		InMemory: true, Now: b.clock.Now, SessionLimit: 2,
		Nodes:          []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}, {Name: "qlik3"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales", AnonymousAccess: 1}},
	}
	for i := range 12 {
		config.Users = append(config.Users, qliktest.User{Directory: "LAB", ID: fmt.Sprint("anna", i), License: qliktest.Analyzer},
			qliktest.User{Directory: "LAB", ID: fmt.Sprint("busy", i), License: qliktest.Analyzer})
	}
	var err error
	if b.server, err = qliktest.Start(config); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(b.server.Close)
	run := site.Config{
		Client:   qlik.Config{Hosts: []string{"qlik1"}, CertDir: b.TempDir(), Now: b.clock.Now, DialContext: b.server.DialContext},
		Headroom: headroom.Config{Limit: 2}, Licenses: true,
	}
	if err := b.server.WriteCertificates(run.Client.CertDir); err != nil {
		b.Fatal(err)
	}
	opened, err := site.New(run)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(opened.Close)
	b.site = &benchSite{Site: opened}
}

// listeningLine is the line of the log about a port.
var listeningLine = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

// serve serves both ports until the test ends.
func (b *bench) serve(pages http.Handler, external *url.URL) {
	b.Helper()
	logger, slogger := logging.New(b.log, "info", "logfmt")
	exporterWeb := b.file("exporter.yml", "") // without a password
	flags := func(file string) *web.FlagConfig {
		return &web.FlagConfig{WebListenAddresses: &[]string{"127.0.0.1:0"}, WebConfigFile: &file, WebSystemdSocket: new(false)}
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() {
		err := server.Run(ctx, server.Config{
			Sites: noSites{}, Sessions: pages, Landing: http.NotFoundHandler(), Responses: server.NewResponses(), TelemetryPath: "/metrics", ExternalURL: external, Connections: 100,
			Pprof: true, Lifecycle: true, Web: flags(exporterWeb), Desk: &server.Desk{Handler: b.desk, Web: flags(b.webFile), Metrics: b.desk},
			Logger: logger, Slog: slogger,
		})
		if err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		b.client.CloseIdleConnections()
		cancel()
		running.Wait()
	})
	var addresses [][]string
	for range 6000 {
		if addresses = listeningLine.FindAllStringSubmatch(b.log.String(), -1); len(addresses) == 2 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, match := range addresses {
		address := match[1]
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil && !strings.Contains(err.Error(), "certificate") {
			b.exporterURL = "http://" + address
			continue
		}
		if err == nil {
			_ = conn.Close()
		}
		b.deskURL = "https://" + address
	}
	if b.deskURL == "" || b.exporterURL == "" {
		b.Fatal("the ports cannot be told apart")
	}
}

// file writes a file of the bench and returns its path.
func (b *bench) file(name, content string) string {
	b.Helper()
	path := filepath.Join(b.folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// passwords are settings of exporter-toolkit with the passwords of all operators.
func passwords(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	settings := "basic_auth_users:\n"
	for _, name := range []string{"vera", "kim", "lee", "ada", "noa"} {
		settings += fmt.Sprintf("  %s: %s\n", name, hash)
	}
	return settings
}

// work makes users act for six minutes, so that it becomes known how often the site records
// activity.
func (b *bench) work() {
	b.Helper()
	var ids []string
	for i := range 10 {
		ids = append(ids, b.login(fmt.Sprint("busy", i), "desk", "", "qlik2"))
	}
	for range 6 {
		b.clock.Advance(30 * time.Second)
		for _, id := range ids {
			b.server.Touch(id)
		}
		b.site.ReadNow(b.Context())
	}
	if snapshot := b.site.ReadNow(b.Context()); !snapshot.IdleKnown(5 * time.Minute) {
		b.Fatalf("activity is recorded each %s", snapshot.ActivityInterval)
	}
	for _, id := range ids {
		b.server.Logout(id)
	}
}

func (b *bench) login(user, device, prefix, node string) string {
	b.Helper()
	session, err := b.server.Login("LAB", user, device, prefix, node)
	if err != nil {
		b.Fatal(err)
	}
	return session.ID
}

// user is a user with three sessions: one has been idle for six minutes, one is in use, and
// one was refused.
type user struct {
	name                string
	idle, used, refused string // ids
}

func (u *user) String() string { return `LAB\` + u.name }

func (u *user) sessions() []string { return []string{u.idle, u.used, u.refused} }

// open starts the sessions of several users at once.
func (b *bench) open(n int) []*user {
	b.Helper()
	var all []*user
	for i := range n {
		u := &user{name: fmt.Sprint("anna", i)}
		b.users++
		device := fmt.Sprint(b.users, "-")
		u.idle, u.used = b.login(u.name, device+"1", "", "qlik1"), b.login(u.name, device+"2", "sales", "qlik2")
		u.refused = b.login(u.name, device+"3", "", "qlik2")
		all = append(all, u)
	}
	b.clock.Advance(6 * time.Minute)
	for _, u := range all {
		b.server.Touch(u.used)
	}
	b.clock.Advance(30 * time.Second)
	return all
}

// close ends the sessions that are left, and waits until all limits are forgotten.
func (b *bench) closeUsers(all []*user) {
	for _, u := range all {
		for _, id := range u.sessions() {
			b.server.Logout(id)
		}
	}
	b.clock.Advance(61 * time.Minute)
}

// request is a request to a port.
type request struct {
	method, url, body string
	user, password    string
	header            http.Header
}

// send sends a request and returns the response.
func (b *bench) send(client *http.Client, q *request) (status int, header http.Header, text string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), q.method, q.url, strings.NewReader(q.body))
	if err != nil {
		b.Fatal(err)
	}
	if q.header != nil {
		r.Header = q.header.Clone()
	}
	if q.user != "" {
		r.SetBasicAuth(q.user, q.password)
	}
	if strings.HasPrefix(q.body, "{") {
		r.Header.Set("Content-Type", "application/json")
	} else if q.body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}

// post sends a request of an operator to the desk. The body is that of the interface for
// programs or of a page.
func (b *bench) post(operator, path, body string) (status int, text string) {
	b.Helper()
	status, _, text = b.send(b.client, &request{method: http.MethodPost, url: b.deskURL + path, body: body, user: operator, password: password})
	return status, text
}

var planField = regexp.MustCompile(`name="plan" value="([^"]+)"`)

// planIn returns the text of a plan in a response, or "".
func planIn(text string) string {
	if match := planField.FindStringSubmatch(text); match != nil {
		return html.UnescapeString(match[1])
	}
	var plan struct {
		Plan string `json:"plan"`
	}
	_ = json.Unmarshal([]byte(text), &plan)
	return plan.Plan
}

// makePlan asks for a plan by the interface for programs.
func (b *bench) makePlan(operator, fields string) string {
	b.Helper()
	status, text := b.post(operator, "/api/plan", "{"+fields+"}")
	plan := planIn(text)
	if status != http.StatusOK || plan == "" {
		b.Fatalf("no plan: %d %s", status, text)
	}
	return plan
}

// carryOut carries out a plan by the interface for programs.
func (b *bench) carryOut(operator, plan string) (int, string) {
	b.Helper()
	return b.post(operator, "/api/free", fmt.Sprintf(`{"plan":%q}`, plan))
}

// listed returns the ids of the sessions on the site.
func (b *bench) listed() map[string]bool {
	ids := make(map[string]bool)
	for _, session := range b.server.Sessions() {
		ids[session.ID] = true
	}
	return ids
}

// counters returns the metrics of the desk, by name and label.
func (b *bench) counters() map[string]float64 {
	b.Helper()
	status, _, text := b.send(b.client, &request{method: http.MethodGet, url: b.exporterURL + "/metrics"})
	if status != http.StatusOK {
		b.Fatalf("no metrics: %d", status)
	}
	values := make(map[string]float64)
	for _, match := range counterLine.FindAllStringSubmatch(text, -1) {
		value, err := strconv.ParseFloat(match[3], 64)
		if err != nil {
			b.Fatal(err)
		}
		values[strings.TrimSpace(match[1]+" "+match[2])] = value
	}
	return values
}

// gathered returns the metrics of the desk, as counters does, without a request.
func (b *bench) gathered() map[string]float64 {
	b.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(b.desk)
	families, err := registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "qlik_desk_")
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return values
}

var counterLine = regexp.MustCompile(`(?m)^qlik_desk_(\w+)(?:\{\w+="(\w+)"\})? (\S+)$`)

// entry is a line of the journal.
type entry struct {
	Kind, ID                                        string
	By, Operator, Role, Address, Ticket, Site, User string
	Sessions, Ended, Failed                         int
	AlreadyGone                                     int `json:"already_gone"`
	LeftAlone                                       int `json:"left_alone"`
	Places                                          []journal.Place
}

// journalSize returns the number of bytes of the journal.
func (b *bench) journalSize() int64 {
	b.Helper()
	info, err := os.Stat(b.journalFile)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// journalFrom returns the lines of the journal after so many bytes.
func (b *bench) journalFrom(begin int64) (entries []entry, text string) {
	b.Helper()
	content, err := os.ReadFile(b.journalFile)
	if err != nil {
		b.Fatal(err)
	}
	for line := range bytes.Lines(content[begin:]) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			b.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries, string(content[begin:])
}

// verify checks that the journal is whole.
func (b *bench) verify() journal.Report {
	b.Helper()
	file, err := os.Open(b.journalFile)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	report, err := journal.Verify(file)
	if err != nil || len(report.Problems) > 0 || report.Torn != 0 {
		b.Errorf("journal: %v, %v, %d bytes torn", err, report.Problems, report.Torn)
	}
	return report
}

// authority issues certificates.
type authority struct {
	*testing.T

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{T: t, key: key}
	der := a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "authority"}}, nil, key)
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	a.Helper()
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(10*365*24*time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.Fatal(err)
	}
	return der
}

// issue returns a certificate for a common name.
func (a *authority) issue(name string) tls.Certificate {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	der := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.certificate, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serverSettings returns the TLS settings of exporter-toolkit, which end in
// tls_server_config. The file ca.pem has the authority.
func (a *authority) serverSettings(b *bench) string {
	a.Helper()
	issued := a.issue("127.0.0.1")
	key, err := x509.MarshalECPrivateKey(issued.PrivateKey.(*ecdsa.PrivateKey)) //nolint:errcheck,forcetypeassert // of issue
	if err != nil {
		a.Fatal(err)
	}
	b.file("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificate[0]})))
	b.file("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})))
	b.file("ca.pem", a.pem())
	return "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

// clientWith returns a client with a certificate, or without one.
func (b *bench) clientWith(certificate *tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(b.authority.certificate)
	if b.earlier != nil {
		roots.AddCert(b.earlier.Certificate())
	}
	settings := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		settings.Certificates = []tls.Certificate{*certificate}
	}
	transport := &http.Transport{TLSClientConfig: settings}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
