package main

import (
	"context"
	"net"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qlik-exporter/qlik_exporter/internal/cli"
	"github.com/qlik-exporter/qlik_exporter/internal/page"
	"github.com/qlik-exporter/qlik_exporter/internal/site"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// clockFileOf is the environment variable with the name of the file that contains the time.
const clockFileOf = "TEST_QLIK_EXPORTER_CLOCK"

// useClockFile makes the commands of this process use the time in a file.
func useClockFile(file string) {
	if file == "" {
		return
	}
	time.Local = time.UTC //nolint:gosmopolitan // in the transcript
	clock = func() time.Time {
		content, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		now, err := time.Parse(time.RFC3339, string(content))
		if err != nil {
			panic(err)
		}
		return now
	}
}

// situationInterval is the time between two scrapes of the exporter of a situation. While more
// than ten minutes pass, it is a minute.
const situationInterval = 30 * time.Second

// situation is a simulated site with a clock that a script sets, and an exporter that
// reads it all the time.
type situation struct {
	*qliktest.Site

	clock    *qliktest.Clock
	file     string // contains the time
	exporter *site.Site
}

// scriptSituation starts a site and an exporter: USERS SETTING...
func scriptSituation(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("want the file of users")
	}
	year, month, day := time.Now().UTC().AddDate(0, 0, -1).Date() // within the validity of the certificates
	s := &situation{clock: qliktest.NewClock(time.Date(year, month, day, 9, 0, 0, 0, time.UTC)), file: ts.MkAbs("clock.txt")}
	logs, certificates := ts.MkAbs("logs"), ts.MkAbs("certificates")
	ts.Check(os.Mkdir(logs, 0o700))
	ts.Check(os.Mkdir(certificates, 0o700))
	config := qliktest.Config{
		Now: s.clock.Now, AuditLogDir: logs, TraceLogDir: logs,
		Nodes:          []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}, {Prefix: "portal"}},
	}
	for _, words := range table(ts, args[0], 3) {
		config.Users = append(config.Users, scriptUser(ts, words))
	}
	flags := []string{"--qlik.cert-dir=" + certificates, "--qlik.audit-log=qlik1=" + auditLog(logs, "qlik1"), "--qlik.audit-log=qlik2=" + auditLog(logs, "qlik2")}
	var err error
	for _, arg := range args[1:] {
		switch name, value, _ := strings.Cut(arg, "="); name {
		case "qmc":
			config.QMC = map[string]qliktest.QMC{"session": qliktest.QMCOwnSession, "row": qliktest.QMCSecondRow}[value]
		case "activity":
			config.Activity = map[string]qliktest.Activity{"start": qliktest.ActivityAtStart}[value]
		case "services":
			config.ServiceUser = value
		case "monitoring":
			config.DataConnections = append(config.DataConnections, qliktest.DataConnection{Name: "monitor_apps_REST_app", Username: value})
		case "tokens":
			config.Tokens, err = strconv.Atoi(value)
			ts.Check(err)
		case "restart":
			config.KeepRowsOnRestart = value == "keeps-rows"
		default:
			flags = append(flags, arg)
		}
	}
	s.Site, err = qliktest.Start(config)
	ts.Check(err)
	ts.Defer(s.Close)
	ts.Check(s.WriteCertificates(certificates))
	_, port, _ := net.SplitHostPort(s.RepositoryAddress("qlik1"))
	flags = append(flags, "--qlik.host=qlik1:"+port, "--qlik.node-address=qlik1="+s.ProxyAddress("qlik1"), "--qlik.node-address=qlik2="+s.ProxyAddress("qlik2"))
	s.startExporter(ts, flags, logs)
	siteOf(ts).Site, siteOf(ts).situation = s.Site, s
	s.pass(ts, situationInterval)
}

func auditLog(dir, node string) string {
	return dir + string(os.PathSeparator) + node + "_AuditSecurity_Repository.txt"
}

// startExporter starts an exporter in this process, because only here can it use the clock
// of the script. Commands run in processes of their own.
func (s *situation) startExporter(ts *testscript.TestScript, flags []string, logs string) {
	_, parsed, _ := newApp(nil)
	_, err := parsed.Parse(flags)
	ts.Check(err)
	configuration, err := parsed.Load()
	ts.Check(err)
	settings := &configuration.Sites[0]
	settings.LocalLogs = logs // as on a node of the site
	var globs []string
	for _, log := range settings.AuditLog {
		globs = append(globs, log.Glob)
	}
	run := settings.Run()
	run.Client.Now = s.clock.Now
	run.Refused = cli.PastRefusals(context.Background(), globs, log.NewNopLogger())
	s.exporter, err = site.New(run)
	ts.Check(err)
	ts.Defer(s.exporter.Close)
	server := httptest.NewServer(page.New(page.Config{
		Names: func() []string { return []string{""} },
		Use: func(string) (page.Site, func(), bool) {
			// A new cache each time, because the clock of the script moves by leaps.
			return page.Site{
				Recent: page.NewRecent(s.exporter), Hosts: settings.Hosts(), ServiceAccounts: slices.Concat(settings.ServiceAccount, s.exporter.ServiceUsers()),
			}, func() {}, true
		},
		Now: s.clock.Now,
	}))
	ts.Defer(server.Close)
	for _, flag := range flags {
		name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		variable := "QLIK_EXPORTER_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
		ts.Setenv(variable, strings.TrimPrefix(ts.Getenv(variable)+"\n"+value, "\n"))
	}
	ts.Setenv("QLIK_EXPORTER_DIRECT", "")
	ts.Setenv("QLIK_EXPORTER_EXPORTER_URL", server.URL)
	ts.Setenv("EXPORTER", server.Listener.Addr().String())
	ts.Setenv(clockFileOf, s.file)
}

// pass lets time pass. The exporter reads the site at each scrape.
func (s *situation) pass(ts *testscript.TestScript, d time.Duration) {
	for d > 0 {
		step := min(d, situationInterval)
		if d > 10*time.Minute {
			step = time.Minute // to save time; starts of sessions are still seen closely
		}
		d -= step
		s.clock.Advance(step)
		s.exporter.Refresh()
		if !s.exporter.Snapshot(context.Background()).Up() {
			ts.Fatalf("no node answers")
		}
	}
	ts.Check(os.WriteFile(s.file, []byte(s.clock.Now().Format(time.RFC3339)), 0o600))
}

func situationOf(ts *testscript.TestScript) *situation {
	s := siteOf(ts).situation
	if s == nil {
		ts.Fatalf("no situation")
	}
	return s
}

func scriptPasses(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1)
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	situationOf(ts).pass(ts, d)
}

// scriptHub opens the hub, and scriptQMC the QMC: USER DEVICE VIRTUAL-PROXY NODE. With !,
// Qlik refuses.
func scriptHub(ts *testscript.TestScript, neg bool, args []string) {
	scriptOpens(ts, neg, args, situationOf(ts).Login)
}

func scriptQMC(ts *testscript.TestScript, neg bool, args []string) {
	scriptOpens(ts, neg, args, situationOf(ts).OpenQMC)
}

func scriptOpens(ts *testscript.TestScript, refused bool, args []string, open func(directory, id, device, prefix, node string) (qliktest.Session, error)) {
	arguments(ts, false, args, 4)
	directory, id := splitUser(args[0])
	session, err := open(directory, id, args[1], strings.TrimPrefix(args[2], "/"), args[3])
	ts.Check(err)
	if session.Granted == refused {
		ts.Fatalf("granted: %t", session.Granted)
	}
}

// sessionsOf returns the sessions of a user on a device.
func (s *situation) sessionsOf(ts *testscript.TestScript, user, device string) []qliktest.Session {
	var found []qliktest.Session
	for _, session := range s.Sessions() {
		if strings.EqualFold(session.Directory+`\`+session.UserID, user) && session.Device == device {
			found = append(found, session)
		}
	}
	if len(found) == 0 {
		ts.Fatalf("%s has no session on %s", user, device)
	}
	return found
}

func scriptUses(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2)
	for _, session := range situationOf(ts).sessionsOf(ts, args[0], args[1]) {
		situationOf(ts).Touch(session.ID)
	}
}

func scriptEnds(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2)
	for _, session := range situationOf(ts).sessionsOf(ts, args[0], args[1]) {
		situationOf(ts).Logout(session.ID)
	}
}

func scriptRestart(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1)
	situationOf(ts).RestartProxy(args[0])
}

func scriptLicense(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2)
	directory, id := splitUser(args[0])
	for _, license := range []qliktest.License{qliktest.Professional, qliktest.Analyzer, qliktest.UserAccess} {
		if strings.EqualFold(string(license), args[1]) {
			situationOf(ts).GiveLicense(directory, id, license)
		} else {
			situationOf(ts).TakeLicense(directory, id, license)
		}
	}
}

func scriptLicenseService(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1)
	situationOf(ts).SetLicenseServiceFails(args[0] == "fails")
}

// scriptAdvice runs the command that the last answer of why contains.
func scriptAdvice(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 0)
	printed := regexp.MustCompile(`(?m)^ +qlik_exporter (.+)$`).FindStringSubmatch(ts.ReadFile("stdout"))
	if printed == nil {
		ts.Fatalf("the answer contains no command")
	}
	var words []string
	for i, part := range strings.Split(printed[1], `"`) {
		if i%2 == 1 { // in quotes
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	scriptExporter(ts, false, append(words, "--yes"))
}
