package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// TestScript runs the commands of testdata/script as an administrator would type
// them. The file transcript records everything that they print. Each script compares
// it at the end with its section "want". To update this section, run go test . -run
// TestScript -update.
//
// These commands are available in addition to those of testscript:
//
//	site USERS SESSIONS [OPTION]...
//		Starts a simulated site of three nodes. Lines of the files are
//		USER LICENSE NAME and USER DEVICE VIRTUAL-PROXY NODE IDLE. After the LICENSE
//		follows more about it, as in analyzer,held=300d,unused=120d,removed.
//		Options are audit-log, serial, professional=SEATS, analyzer=SEATS,
//		tokens=N, logins=TOKENS, capacity=MINUTES and cores=N.
//	flags FILE MORE
//		Moves the flags that reach the site from the environment to a file, and adds
//		those of another file.
//	crowd N
//		Logs in N other users.
//	fault NODE FAULT
//		Causes a fault of the proxy of a node.
//	on-delete USER DEVICE VIRTUAL-PROXY NODE
//		Logs in a user while the first session is being ended.
//	exporter FLAG...
//		Starts an exporter with these flags. It listens at $EXPORTER, and listen.txt
//		contains the flag for that. Commands ask it.
//	left
//		Prints the sessions of the site.
//	answers [host] [certificates]
//		Moves the host of the central node, and the folder of the certificates, from
//		the environment to lines of the file answers, for stdin.
//	cat FILE
//		Prints a file.
//	ls FOLDER
//		Prints the names of all files below a folder.
//	utf16 FILE
//		Converts a file as PowerShell writes it: UTF-16 with a byte order mark and
//		the line ends of Windows.
//	[!] qlik_exporter ARGUMENTS
//		Runs the program. The environment contains the flags that reach the site.
//
// These commands describe what happens on a simulated site of two nodes over time. The
// clock of the site and of the commands is that of the script. It starts at 9:00 and
// stands still, except while time passes.
//
//	situation USERS SETTING...
//		Starts the site and an exporter that reads it every 30 seconds. Lines of users
//		are USER LICENSE NAME, or USER LICENSE,administrator NAME. Settings are
//		flags of the exporter; qmc=session or qmc=row, if the QMC takes a slot of its
//		own in the browser of the hub; tokens=N, for a license with tokens;
//		restart=keeps-rows; services=ACCOUNT, as which
//		the services run; monitoring=ACCOUNT, as which the reloads of the monitoring
//		apps log in.
//	[!] hub, qmc USER DEVICE VIRTUAL-PROXY NODE
//		A browser opens the hub or the QMC. With !, Qlik refuses.
//	uses, ends USER DEVICE
//		All sessions on a device are used, or end.
//	restart NODE
//		The proxy of a node restarts.
//	license USER KIND
//		Gives a user a license and takes others. The kind none takes all.
//	license-service fails, works
//		The license service fails, or works again.
//	passes DURATION
//		Time passes.
//	advice
//		Runs the command that the last answer of why contains.
func TestScript(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts {
		script, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(strings.TrimSpace(string(script.Comment)), "\ncmp transcript want") {
			t.Errorf("%s: the last command must be cmp transcript want, so that nothing printed goes unread", path)
		}
	}
	if testing.Short() { // they start hundreds of processes
		scripts = slices.DeleteFunc(scripts, func(path string) bool {
			return strings.HasPrefix(filepath.Base(path), "why_") || strings.HasPrefix(filepath.Base(path), "licenses")
		})
	}
	testscript.Run(t, testscript.Params{
		Files:         scripts,
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv(asExporter, "1")
			env.Setenv("QLIK_EXPORTER_DIRECT", "true") // no other exporter on this machine
			env.Values[scripted] = new(scriptedSite)
			// The shell finds the program, as after an installation.
			programs := filepath.Join(env.WorkDir, "bin")
			env.Setenv("PATH", programs+string(os.PathListSeparator)+env.Getenv("PATH"))
			return errors.Join(os.Mkdir(programs, 0o700), os.Symlink(os.Args[0], filepath.Join(programs, "qlik_exporter")))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"site":          scriptSite,
			"flags":         scriptFlags,
			"crowd":         scriptCrowd,
			"fault":         scriptFault,
			"on-delete":     scriptOnDelete,
			"exporter":      scriptRunning,
			"answers":       scriptAnswers,
			"left":          scriptLeft,
			"cat":           scriptCat,
			"ls":            scriptLs,
			"utf16":         scriptUTF16,
			"qlik_exporter": scriptExporter,

			"situation":       scriptSituation,
			"hub":             scriptHub,
			"qmc":             scriptQMC,
			"uses":            scriptUses,
			"ends":            scriptEnds,
			"restart":         scriptRestart,
			"license":         scriptLicense,
			"license-service": scriptLicenseService,
			"passes":          scriptPasses,
			"advice":          scriptAdvice,
		},
	})
}

const scripted = "site"

// scriptedSite is the site of a script.
type scriptedSite struct {
	*qliktest.Site

	situation *situation // nil if the script has none
}

func siteOf(ts *testscript.TestScript) *scriptedSite {
	site, ok := ts.Value(scripted).(*scriptedSite)
	if !ok {
		ts.Fatalf("no site")
	}
	return site
}

const crowdDirectory = "CROWD"

// table reads lines of words from a file of the script. # starts a comment.
func table(ts *testscript.TestScript, file string, columns int) [][]string {
	var lines [][]string
	for line := range strings.Lines(ts.ReadFile(file)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) < columns {
			ts.Fatalf("%s: %q needs %d words", file, line, columns)
		}
		lines = append(lines, words)
	}
	return lines
}

func arguments(ts *testscript.TestScript, neg bool, args []string, n int) {
	if neg || len(args) != n {
		ts.Fatalf("want %d arguments", n)
	}
}

func splitUser(user string) (directory, id string) {
	directory, id, _ = strings.Cut(user, `\`)
	return directory, id
}

func scriptSite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("want 2 files")
	}
	now := time.Now()
	clock := qliktest.NewClock(now.Add(-time.Hour))
	config := qliktest.Config{
		Now:            clock.Now,
		Nodes:          []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}, {Name: "qlik3"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}, {Prefix: "qmc"}, {Prefix: "portal"}},
	}
	for _, words := range table(ts, args[0], 3) {
		config.Users = append(config.Users, scriptUser(ts, words))
	}
	for _, option := range args[2:] {
		scriptOption(ts, &config, option)
	}
	server, err := qliktest.Start(config)
	ts.Check(err)
	ts.Defer(server.Close)
	siteOf(ts).Site = server

	for _, words := range table(ts, args[1], 5) {
		idle, err := time.ParseDuration(words[4])
		ts.Check(err)
		if clock.Now().After(now.Add(-idle)) {
			ts.Fatalf("%s: those idle for longer come first", args[1])
		}
		clock.Set(now.Add(-idle))
		scriptLogin(ts, words)
	}
	clock.Follow()

	dir := ts.MkAbs("certificates")
	ts.Check(os.Mkdir(dir, 0o700))
	ts.Check(server.WriteCertificates(dir))
	_, port, _ := net.SplitHostPort(server.RepositoryAddress("qlik1"))
	ts.Setenv("QLIK_EXPORTER_QLIK_HOST", "qlik1:"+port)
	ts.Setenv("QLIK_EXPORTER_QLIK_CERT_DIR", dir)
	var addresses []string
	for _, node := range config.Nodes {
		addresses = append(addresses, node.Name+"="+server.ProxyAddress(node.Name))
	}
	ts.Setenv("QLIK_EXPORTER_QLIK_NODE_ADDRESS", strings.Join(addresses, "\n"))
}

// scriptLicenses are the licenses of users in scripts.
var scriptLicenses = map[string]qliktest.License{"professional": qliktest.Professional, "analyzer": qliktest.Analyzer, "user": qliktest.UserAccess}

// scriptUser returns a user: USER LICENSE[,MORE]... NAME.
func scriptUser(ts *testscript.TestScript, words []string) qliktest.User {
	user := qliktest.User{Name: strings.Join(words[2:], " ")}
	user.Directory, user.ID = splitUser(words[0])
	license, more, _ := strings.Cut(words[1], ",")
	user.License = scriptLicenses[license]
	days := func(text string) time.Duration {
		n, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
		ts.Check(err)
		return time.Duration(n) * 24 * time.Hour
	}
	for word := range strings.SplitSeq(more, ",") {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "":
		case "held":
			user.HeldFor = days(value)
		case "unused":
			user.UnusedFor = days(value)
		case "last-used":
			user.LastUsed = value
		case "second":
			user.Second = scriptLicenses[value]
		case "administrator":
			user.Admin = true
		case "removed":
			user.RemovedExternally = true
		case "inactive":
			user.Inactive = true
		case "deleted":
			user.Deleted = true
		default:
			ts.Fatalf("user %s: what is %s?", words[0], word)
		}
	}
	return user
}

// scriptOption changes a site.
func scriptOption(ts *testscript.TestScript, config *qliktest.Config, option string) {
	name, value, _ := strings.Cut(option, "=")
	switch name {
	case "audit-log":
		config.AuditLogDir = ts.MkAbs("logs")
		ts.Check(os.Mkdir(config.AuditLogDir, 0o700))
		return
	case "serial":
		config.SerialNumber = true
		return
	}
	number := map[string]*int{
		"professional": &config.ProfessionalSeats, "analyzer": &config.AnalyzerSeats, "tokens": &config.Tokens, "logins": &config.LoginAccessTokens,
		"capacity": &config.CapacityMinutes, "cores": &config.Cores,
	}[name]
	if number == nil {
		ts.Fatalf("no option %s", name)
	}
	n, err := strconv.Atoi(value)
	ts.Check(err)
	*number = n
}

func scriptFlags(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2)
	var lines strings.Builder
	for _, flag := range []string{"qlik.host", "qlik.cert-dir", "qlik.node-address"} {
		variable := "QLIK_EXPORTER_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(flag))
		for line := range strings.Lines(ts.Getenv(variable)) {
			lines.WriteString("--" + flag + "=" + strings.TrimSpace(line) + "\n")
		}
		ts.Setenv(variable, "")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(lines.String()+ts.ReadFile(args[1])), 0o600))
}

// scriptLogin logs in a user: USER DEVICE VIRTUAL-PROXY NODE.
func scriptLogin(ts *testscript.TestScript, words []string) {
	directory, id := splitUser(words[0])
	_, err := siteOf(ts).Login(directory, id, words[1], strings.TrimPrefix(words[2], "/"), words[3])
	ts.Check(err)
}

func scriptCrowd(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1)
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for i := range n {
		prefix, node := []string{"/", "/sales", "/qmc", "/portal"}[i%4], fmt.Sprint("qlik", 1+i%3)
		scriptLogin(ts, []string{fmt.Sprintf(`%s\user%d`, crowdDirectory, i), "laptop", prefix, node})
	}
}

func scriptFault(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2)
	for _, fault := range append(qliktest.Faults(), qliktest.NoFault) {
		if fault.String() == args[1] {
			siteOf(ts).SetProxyFault(args[0], fault)
			return
		}
	}
	ts.Fatalf("no fault %s", args[1])
}

func scriptOnDelete(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 4)
	server := siteOf(ts)
	for _, node := range []string{"qlik1", "qlik2", "qlik3"} {
		server.SetProxyLatency(node, 100*time.Millisecond) // so that there is time to log in
	}
	ctx, stop := context.WithCancel(context.Background())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for ctx.Err() == nil && server.Requests().OtherProxy == 0 {
			time.Sleep(time.Millisecond)
		}
		scriptLogin(ts, args)
	})
	ts.Defer(func() {
		stop()
		waiting.Wait()
	})
}

func scriptRunning(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	address := listener.Addr().String()
	ts.Check(listener.Close()) // for the exporter to take
	running := exec.Command(os.Args[0], append(args, "--web.listen-address="+address)...)
	for _, name := range []string{asExporter, "QLIK_EXPORTER_QLIK_HOST", "QLIK_EXPORTER_QLIK_CERT_DIR", "QLIK_EXPORTER_QLIK_NODE_ADDRESS"} {
		running.Env = append(running.Env, name+"="+ts.Getenv(name))
	}
	running.Dir = ts.MkAbs(".")
	ts.Check(running.Start())
	ts.Defer(func() {
		_ = running.Process.Kill()
		_ = running.Wait()
	})
	for range 1000 {
		if connection, err := net.Dial("tcp", address); err == nil {
			ts.Check(connection.Close())
			ts.Setenv("EXPORTER", address)
			ts.Setenv("QLIK_EXPORTER_DIRECT", "")
			ts.Check(os.WriteFile(ts.MkAbs("listen.txt"), []byte("--web.listen-address="+address), 0o600))
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("the exporter does not listen")
}

func scriptLeft(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 0)
	var lines []string
	crowd := 0
	for _, session := range siteOf(ts).Sessions() {
		if session.Directory == crowdDirectory {
			crowd++
			continue
		}
		lines = append(lines, fmt.Sprintf("%s\\%s %s /%s %s\n", session.Directory, session.UserID, session.Device, session.VirtualProxy, session.Node))
	}
	slices.Sort(lines)
	if crowd > 0 {
		lines = append(lines, fmt.Sprintf("and a crowd of %d\n", crowd))
	}
	record(ts, printed{command: "left", stdout: strings.Join(lines, "")})
}

func scriptCat(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1)
	record(ts, printed{command: "cat", args: args, stdout: ts.ReadFile(args[0])})
}

func scriptLs(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1)
	var names strings.Builder
	ts.Check(fs.WalkDir(os.DirFS(ts.MkAbs(args[0])), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			fmt.Fprintln(&names, path)
		}
		return err
	}))
	record(ts, printed{command: "ls", args: args, stdout: names.String()})
}

func scriptUTF16(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1)
	content := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r\n"))) {
		content = binary.LittleEndian.AppendUint16(content, unit)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
}

func scriptAnswers(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! answers")
	}
	host := cmp.Or(ts.Getenv("QLIK_EXPORTER_QLIK_HOST"), ts.Getenv("HOST"))
	ts.Setenv("HOST", host)
	values := map[string]string{"host": host, "certificates": "certificates"}
	var answers strings.Builder
	for _, arg := range args {
		if values[arg] == "" {
			ts.Fatalf("%s is no answer", arg)
		}
		answers.WriteString(values[arg] + "\n")
	}
	ts.Setenv("QLIK_EXPORTER_QLIK_HOST", "")
	ts.Setenv("QLIK_EXPORTER_QLIK_CERT_DIR", "")
	ts.Check(os.WriteFile(ts.MkAbs("answers"), []byte(answers.String()), 0o600))
}

func scriptExporter(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(os.Args[0], args...)
	status := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if neg != (status != 0) {
		ts.Fatalf("exit status %d", status)
	}
	record(ts, printed{"qlik_exporter", args, ts.ReadFile("stdout"), ts.ReadFile("stderr"), status})
}
