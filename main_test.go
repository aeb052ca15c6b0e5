package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

var update = flag.Bool("update", false, "write the tables of the documents and the outputs of the scripts anew")

var all = flag.Bool("all", false, "run all cases of TestFaults and TestHostileMemory, which takes a minute (.ci/run)")

// asExporter is an environment variable that makes the test binary behave as
// qlik_exporter, so that tests can start it as a process like users do.
const asExporter = "TEST_QLIK_EXPORTER_AS_EXPORTER"

// flagsFileOf is an environment variable with the path of the flags file of the program
// that asExporter starts. Without it, the program has none, whatever is installed here.
const flagsFileOf = "TEST_QLIK_EXPORTER_FLAGS_FILE"

func TestMain(m *testing.M) {
	flagsFile = func() string { return os.Getenv(flagsFileOf) }
	if os.Getenv(asExporter) != "" {
		useClockFile(os.Getenv(clockFileOf))
		main()
	}
	commandWith = func([]string, string) string { return config.DefaultCommand } // also in this process
	goleak.VerifyTestMain(m)
}

func command(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	exporter := exec.CommandContext(tb.Context(), os.Args[0], args...)
	exporter.Args[0] = "qlik_exporter" // as printed commands begin
	exporter.Env = append(os.Environ(), asExporter+"=1")
	return exporter
}

// startSite starts a simulated site and returns the flags that reach it.
func startSite(tb testing.TB, config qliktest.Config) (server *qliktest.Site, flags []string) {
	tb.Helper()
	server, err := qliktest.Start(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(server.Close)
	dir := tb.TempDir()
	if err := server.WriteCertificates(dir); err != nil {
		tb.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(server.RepositoryAddress(config.Nodes[0].Name))
	flags = []string{"--qlik.cert-dir=" + dir, "--qlik.host=" + config.Nodes[0].Name + ":" + port}
	for _, node := range config.Nodes {
		flags = append(flags, "--qlik.node-address="+node.Name+"="+server.ProxyAddress(node.Name))
	}
	return server, slices.Clip(flags) // so that tests can append to them
}

// startExporter starts the exporter as a separate process and returns the address of
// its metrics. The process ends with the test.
func startExporter(tb testing.TB, flags ...string) (metrics string) {
	tb.Helper()
	address := freeAddress(tb)
	return start(tb, address, command(tb, append(flags, "--web.listen-address="+address)...))
}

func start(tb testing.TB, address string, exporter *exec.Cmd) (metrics string) {
	tb.Helper()
	var log bytes.Buffer
	exporter.Stderr = &log
	if err := exporter.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = exporter.Process.Kill()
		_ = exporter.Wait()
		if tb.Failed() {
			tb.Logf("log of the exporter:\n%s", &log)
		}
	})
	awaitListener(tb, address)
	return "http://" + address + "/metrics"
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		// Use ports below the ephemeral range. Otherwise, the simulated site of another
		// test could take the port before the exporter does.
		address := fmt.Sprint("127.0.0.1:", 10_000+nextPort.Add(1)%20_000)
		if listener, err := net.Listen("tcp", address); err == nil {
			if err := listener.Close(); err != nil { // for the exporter to take
				tb.Fatal(err)
			}
			return address
		}
	}
	tb.Fatal("no port is free")
	return ""
}

// nextPort returns the next port that freeAddress tries.
var nextPort = func() *atomic.Uint32 {
	at := new(atomic.Uint32)
	at.Store(rand.Uint32N(20_000)) // other test programs run at the same time
	return at
}()

// awaitListener waits until another process listens on the address.
func awaitListener(tb testing.TB, address string) {
	tb.Helper()
	for range 1000 {
		if connection, err := net.Dial("tcp", address); err == nil {
			_ = connection.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatal("the exporter does not listen")
}

func scrape(tb testing.TB, metrics string) map[string]*dto.MetricFamily {
	tb.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(metrics)
	if err != nil {
		tb.Fatal(err)
	}
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %v", answer.Status, err)
	}
	return families
}

// TestCannotStart checks that missing and conflicting settings produce one line that
// names the remedy, and exit code 1. TestWrongSettings checks the values of single
// settings.
func TestCannotStart(t *testing.T) {
	_, flags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}})
	short := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(short, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--log.level=info"}, "--qlik.host: is missing; set it to the registered host name of a node"},
		{[]string{"--qlik.host=qlik1"}, "--qlik.cert-dir: is missing; set it to the folder with client.pem"},
		{append(flags, "--config.file=sites.yml"), "--qlik.host: cannot be combined with --config.file"},
		{[]string{"--config.file=sites.yml", "--no-collector.licenses"}, "--collector.licenses: cannot be combined with --config.file"},
		{append(flags, "--user-labels=hashed", "--user-labels.key-file="+short), "--user-labels.key-file: the key for hashing must have at least 16 bytes"},
		{append(flags, "--web.enable-lifecycle"), "--web.enable-lifecycle: requires --config.file"},
		{append(flags, "--user-labels"), "--user-labels: needs a value, try --help"},
		{[]string{"--qlik.host", "--qlik.cert-dir=c"}, "--qlik.host: needs a value, try --help"},
		{[]string{"demo", "--demo.listen=localhost"}, "--demo.listen: must be an IP address such as 127.0.0.1"},
		{[]string{"demo", "--config.check"}, "--config.check: works only with the command serve; other commands always check their settings"},
		{append(flags, "--qlik.hots=qlik1"), "--qlik.hots: there is no such flag; did you mean --qlik.host?"},
		{append(flags, "serv"), "serv"},
		{append(flags, "--qlik.cert=c"), "--qlik.cert: there is no such flag; did you mean --qlik.cert-dir?"},
		{[]string{"sessions", "end", "--idle=5m"}, "--idle: there is no such flag; did you mean --idle-for?"},
		{[]string{"sessions", "--limit", "-1"}, "--limit: needs a value; write --limit=-1 if that is the value"},
		{[]string{"completion", "tcsh"}, "completion tcsh: there is no script for this shell; there are scripts for bash, zsh, fish, powershell"},
		{[]string{"init", "--file=" + filepath.Join("no", "folder", "flags")}, "--file: the folder " + filepath.Join("no", "folder") + " does not exist"},
	} {
		exporter := command(t, test.args...)
		var stdout, stderr bytes.Buffer
		exporter.Stdout, exporter.Stderr = &stdout, &stderr
		err := exporter.Run()
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(stderr.String()), "\n"), func(line string) bool {
			return strings.Contains(line, "level=info")
		})
		if exporter.ProcessState.ExitCode() != 1 || len(lines) != 1 || stdout.Len() > 0 ||
			!strings.HasPrefix(lines[0], "qlik_exporter: error: ") || !strings.Contains(lines[0], test.want) {
			t.Errorf("%s:\n%v, want exit code 1 and one line with %q\n%s%s", strings.Join(test.args, " "), err, test.want, &stdout, &stderr)
		}
	}
}

// TestImpossibleEnvironment checks that an error about a value from the environment
// names the flag of the program or of the command.
func TestImpossibleEnvironment(t *testing.T) {
	t.Setenv("QLIK_EXPORTER_LOG_LEVEL", "loud")
	t.Setenv("QLIK_EXPORTER_REACHED_SEVERITY", "page")
	t.Setenv("QLIK_EXPORTER_SITE", "production")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"check"}, `error: --log.level (QLIK_EXPORTER_LOG_LEVEL): must be one of debug, info, warn, error, not "loud"`},
		{[]string{"assets", t.TempDir(), "--log.level=info"}, "error: --reached-severity (QLIK_EXPORTER_REACHED_SEVERITY): must be one of critical, warning, info, not \"page\"\n"},
		{[]string{"check", "--log.level=info", "--qlik.host=qlik1", "--qlik.cert-dir=c"}, "error: --site (QLIK_EXPORTER_SITE): requires --config.file\n"},
		{[]string{"assets", t.TempDir(), "--log.level=info", "--reached-severity=info"}, ""},
		{[]string{"assets", t.TempDir(), "--log.level=low", "--reached-severity=info"}, "error: --log.level: must be one of"},
	} {
		out, err := command(t, test.args...).CombinedOutput()
		if (err != nil) != (test.want != "") || !strings.Contains(string(out), test.want) {
			t.Errorf("%q: %v, want %q, got %s", test.args, err, test.want, out)
		}
	}
}

// TestEnvironmentBesideFile checks that a site setting in the environment cannot be
// combined with a configuration file, like its flag. Ignoring it could expose user
// names that should be hidden.
func TestEnvironmentBesideFile(t *testing.T) {
	t.Setenv("QLIK_EXPORTER_USER_LABELS", "none")
	out, err := command(t, "--config.file=sites.yml").CombinedOutput()
	const want = "error: --user-labels (QLIK_EXPORTER_USER_LABELS): cannot be combined with --config.file; set it in the file instead\n"
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v, want %q, got %s", err, want, out)
	}
}

// TestUnreachable checks that the exporter runs and reports the site as down if it
// cannot reach it, because it may be reachable later.
func TestUnreachable(t *testing.T) {
	server, flags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}})
	server.SetRepositoryFault("qlik1", qliktest.Refused)
	metrics := startExporter(t, flags...)
	if up := scrape(t, metrics)["qlik_up"].GetMetric()[0].GetGauge().GetValue(); up != 0 {
		t.Errorf("qlik_up is %v while the repository is down", up)
	}
	server.SetRepositoryFault("qlik1", qliktest.NoFault)
	if up := scrape(t, metrics)["qlik_up"].GetMetric()[0].GetGauge().GetValue(); up != 1 {
		t.Errorf("qlik_up is %v after the repository came back", up)
	}
}

// TestDemo runs the first command of the README and checks that it cleans up.
func TestDemo(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Setenv("TEMP", temporary) // on Windows
	t.Setenv("TMP", temporary)
	address := freeAddress(t)
	exporter := command(t, "demo", "--web.listen-address="+address)
	var introduction bytes.Buffer
	exporter.Stdout = &introduction
	if err := exporter.Start(); err != nil {
		t.Fatal(err)
	}
	awaitListener(t, address)
	families := scrape(t, "http://"+address+"/metrics")
	limited := 0.0
	for _, users := range families["qlik_users"].GetMetric() {
		limited += users.GetGauge().GetValue()
	}
	if sessions := len(families["qlik_user_sessions"].GetMetric()); sessions < 300 {
		t.Errorf("%d series of sessions", sessions)
	}
	if headrooms := len(families["qlik_session_limit_headroom"].GetMetric()); headrooms == 0 || headrooms != int(limited) {
		t.Errorf("%d series of headroom for %v users", headrooms, limited)
	}
	if complete := families["qlik_sessions_complete"].GetMetric()[0].GetGauge().GetValue(); complete != 1 {
		t.Error("the first scrape is not complete")
	}

	// Another exporter reaches the same site with the flags from the file.
	files, err := filepath.Glob(filepath.Join(temporary, "*", "flags"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files with flags: %q, %v", files, err)
	}
	again := scrape(t, startExporter(t, "@"+files[0]))
	if got, want := len(again["qlik_virtual_proxy_up"].GetMetric()), len(families["qlik_virtual_proxy_up"].GetMetric()); got == 0 || got != want {
		t.Errorf("the flags that were written reach another site, of %d links instead of %d", got, want)
	}
	if out, err := command(t, "check", "@"+files[0]).CombinedOutput(); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}

	if runtime.GOOS == "windows" {
		_ = exporter.Process.Kill() // Windows has no signal to stop a process
		_ = exporter.Wait()
		return
	}
	if err := errors.Join(exporter.Process.Signal(syscall.SIGTERM), exporter.Wait()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if !strings.Contains(introduction.String(), "http://"+address+"/metrics") || !strings.Contains(introduction.String(), "@"+files[0]) {
		t.Errorf("the introduction does not say where:\n%s", &introduction)
	}
}

func TestAssets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	if out, err := command(t, "assets", dir, "--job=sense", "--reached-severity=warning").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rules, err := os.ReadFile(filepath.Join(dir, "qlik.rules.yml"))
	if err != nil || !strings.Contains(string(rules), `up{job="sense"}`) || strings.Contains(string(rules), `job="qlik"`) {
		t.Errorf("the rules do not ask for the job: %v", err)
	}
	overview, err := os.ReadFile(filepath.Join(dir, "dashboards", "qlik-overview.json"))
	if err != nil || !strings.Contains(string(overview), `"sense"`) {
		t.Errorf("the dashboards do not begin with the job: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "provisioning", "dashboards", "qlik.yml")); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{
		{"assets"}, {"assets", dir, "--reached-severity=page"}, {"assets", dir, "--runbook-url=wiki"}, {"assets", os.Args[0]},
	} {
		if out, err := command(t, args...).CombinedOutput(); err == nil || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%q: want one line and an error, got %s", args, out)
		}
	}
}

// TestAssetsEndInTheMiddle ends the command while it writes a file. A limit on the size
// of files causes this at the same byte each time.
func TestAssetsEndInTheMiddle(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no limit on the size of files")
	}
	dir := t.TempDir()
	assets := func(job, limit string) (string, error) {
		exporter := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -f `+limit+`; exec "$0" "$@"`, os.Args[0], "assets", dir, "--job="+job)
		exporter.Env = append(os.Environ(), asExporter+"=1")
		out, err := exporter.CombinedOutput()
		return string(out), err
	}
	contents := func() map[string]string {
		found := make(map[string]string)
		err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || path == ".qlik_exporter.manifest" {
				return err
			}
			content, err := os.ReadFile(filepath.Join(dir, path))
			found[path] = string(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if out, err := assets("sense", "unlimited"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before := contents()
	if out, err := assets("qlik", "40"); err == nil {
		t.Fatalf("the limit has no effect: %s", out)
	}
	after := contents()
	out, err := assets("qlik", "unlimited")
	if err != nil || strings.Contains(out, "Kept") {
		t.Errorf("after the end in the middle: %v: %s", err, out)
	}
	complete := contents()
	for path := range complete {
		if after[path] != before[path] && after[path] != complete[path] {
			t.Errorf("%s has %d bytes, neither the %d old ones nor the %d new ones", path, len(after[path]), len(before[path]), len(complete[path]))
		}
	}
	if len(complete) != len(before) {
		t.Errorf("%d files, there were %d", len(complete), len(before))
	}
}

// TestCheck checks the exit codes and the output formats of the report. Package check
// tests its content.
func TestCheck(t *testing.T) {
	t.Parallel()
	server, flags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}})
	check := func(code int, want string, args ...string) {
		t.Helper()
		exporter := command(t, append([]string{"check"}, args...)...)
		var stdout, stderr bytes.Buffer
		exporter.Stdout, exporter.Stderr = &stdout, &stderr
		_ = exporter.Run()
		if got := exporter.ProcessState.ExitCode(); got != code || !strings.Contains(stdout.String()+stderr.String(), want) ||
			strings.Contains(stdout.String(), "\x1b") || (stdout.Len() > 0) == (stderr.Len() > 0) {
			t.Errorf("%q: exit code %d, want %d and %q in\n%s%s", args, got, code, want, &stdout, &stderr)
		}
	}
	check(0, "0 failed", flags...)
	check(0, `"ok": true`, append(flags, "--output=json")...)
	check(1, "qlik_exporter: error: --qlik.host: is missing")
	check(1, "qlik_exporter: error: --site: requires --config.file", append(flags, "--site=production")...)
	_, others := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik9"}}})
	several := "--config.file=" + writeSites(t, map[string][]string{"apac": flags, "emea": others})
	check(0, "2 skipped\n\nSite emea\n", several)
	check(0, "open at", several, "--site=emea")
	check(0, `"site": "apac"`, several, "--output=json")
	check(1, "--site: must be one of apac, emea", several, "--site=us")
	server.SetProxyFault("qlik1", qliktest.Forbidden)
	check(1, "Site emea", several)
	check(0, "0 failed", several, "--site=emea")
	check(1, "FAIL  request", flags...)
	check(1, `"ok": false`, append(flags, "--output=json")...)
}

func TestServiceArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := filepath.Abs("certs")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"service", "install", `--service.account=ACME\exporter$`, "--qlik.host", "qlik1", "--qlik.host=qlik2",
		"--qlik.cert-dir=certs", "--no-collector.licenses", "--web.enable-pprof", `--qlik.user=ACME\an admin`,
		"--qlik.audit-log=qlik1=certs/*.txt",
	}
	_, flags, _ := newApp(args)
	got, err := flags.Given(args, "service.account")
	want := []string{
		"--qlik.host=qlik1", "--qlik.host=qlik2", "--qlik.cert-dir=" + here,
		"--no-collector.licenses", "--web.enable-pprof", `--qlik.user=ACME\an admin`,
		"--qlik.audit-log=qlik1=" + filepath.Join(here, "*.txt"),
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %q (%v)\nwant %q", got, err, want)
	}
}

// TestServiceConfigure checks that the command of the installer passes on all words of its
// command line, and reads no argument files.
func TestServiceConfigure(t *testing.T) {
	before := flagsFile
	t.Cleanup(func() { flagsFile = before })
	path := filepath.Join(t.TempDir(), "flags.txt")
	flagsFile = func() string { return path }
	args := []string{"service", "configure", "--", "--web.listen-address=:9990", `--qlik.cert-dir=C:\Program`, "Files", `@1\certs`, "--no-collector.licenses"}
	var out bytes.Buffer
	if status := run(t.Context(), args, &out, &out); status != 0 {
		t.Fatalf("exit status %d: %s", status, &out)
	}
	content, err := os.ReadFile(path)
	if want := "\n--web.listen-address=:9990\n--qlik.cert-dir=C:\\Program Files @1\\certs\n--no-collector.licenses\n"; err != nil || !strings.HasSuffix(string(content), want) {
		t.Errorf("the file has\n%s\nwant\n%s (%v)", content, want, err)
	}
}

func TestServiceElsewhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("would install it")
	}
	for _, action := range []string{"install", "start", "stop", "uninstall"} {
		out, err := command(t, "service", action).CombinedOutput()
		if err == nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), "available only on Windows") {
			t.Errorf("service %s: %v, want one line that says so: %s", action, err, out)
		}
	}
}

func TestVersion(t *testing.T) {
	var stdout bytes.Buffer
	exporter := command(t, "--version")
	exporter.Stdout = &stdout
	if err := exporter.Run(); err != nil || !strings.HasPrefix(stdout.String(), "qlik_exporter, version ") {
		t.Errorf("%v: %s", err, &stdout)
	}
}

// TestReferences checks that the headings of docs/qlik.md in comments exist.
func TestReferences(t *testing.T) {
	facts, err := os.ReadFile(filepath.Join("docs", "qlik.md"))
	if err != nil {
		t.Fatal(err)
	}
	reference := regexp.MustCompile(`docs/qlik\.md,\s+(?:// )?"([^"]+)"`)
	found := 0
	err = filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasPrefix(path, "main_test") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range reference.FindAllStringSubmatch(string(source), -1) {
			found++
			heading := strings.ReplaceAll(match[1], "\n// ", " ")
			if !regexp.MustCompile(`(?m)^#+ ` + regexp.QuoteMeta(heading) + `$`).Match(facts) {
				t.Errorf("%s refers to %q, which is no heading", path, heading)
			}
		}
		return err
	})
	if err != nil || found < 20 {
		t.Errorf("%d references, %v", found, err)
	}
}

// BenchmarkScrape measures a scrape of a large site: 10,000 sessions of 7,500 users
// on 50 links that respond after 200 ms. The exporter is a separate process.
func BenchmarkScrape(b *testing.B) {
	b.Run("sessions and certificates", func(b *testing.B) { benchmarkScrape(b, "--no-collector.licenses", "--no-collector.services") })
	b.Run("all default collectors", func(b *testing.B) { benchmarkScrape(b) })
}

func benchmarkScrape(b *testing.B, collectors ...string) {
	b.Helper()
	const sessions, users, nodes, virtualProxies = 10_000, 7_500, 5, 10
	var config qliktest.Config
	for i := range users {
		config.Users = append(config.Users, qliktest.User{Directory: "COMPANY", ID: fmt.Sprintf("user%04d", i), License: qliktest.Analyzer})
	}
	for i := range nodes {
		config.Nodes = append(config.Nodes, qliktest.Node{Name: fmt.Sprintf("qlik%d", i+1)})
	}
	for i := range virtualProxies {
		config.VirtualProxies = append(config.VirtualProxies, qliktest.VirtualProxy{Prefix: fmt.Sprintf("vp%d", i)})
	}
	server, flags := startSite(b, config)
	for i := range sessions {
		user, device := config.Users[i%users].ID, fmt.Sprint(i/users)
		node := config.Nodes[i%nodes].Name
		if _, err := server.Login("COMPANY", user, device, fmt.Sprintf("vp%d", i/nodes%virtualProxies), node); err != nil {
			b.Fatal(err)
		}
	}
	for _, node := range config.Nodes {
		server.SetProxyLatency(node.Name, 200*time.Millisecond)
	}
	// Build the program itself, because the test binary is larger.
	program, address := filepath.Join(b.TempDir(), "qlik_exporter"), freeAddress(b)
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	flags = append(append(flags, collectors...), "--web.listen-address="+address)
	metrics := start(b, address, exec.CommandContext(b.Context(), program, flags...))
	families := scrape(b, metrics)
	if got := families["qlik_sessions"].GetMetric()[0].GetGauge().GetValue(); got != sessions {
		b.Fatalf("the first scrape has %v sessions", got)
	}
	before := server.Requests()
	slowest := time.Duration(0)
	n := 0
	for b.Loop() {
		begin := time.Now()
		answer, err := http.Get(metrics)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			b.Fatal(err)
		}
		answer.Body.Close()
		slowest = max(slowest, time.Since(begin))
		n++
	}
	after := server.Requests()
	families = scrape(b, metrics)
	b.ReportMetric(slowest.Seconds()*1e3, "ms-slowest")
	b.ReportMetric(float64(after.SessionLists-before.SessionLists)/float64(n), "requests/op")
	b.ReportMetric(float64(after.ProxyConnections-before.ProxyConnections), "new-connections")
	b.ReportMetric(families["process_resident_memory_bytes"].GetMetric()[0].GetGauge().GetValue()/(1<<20), "MiB-resident")
	b.ReportMetric(families["process_cpu_seconds_total"].GetMetric()[0].GetCounter().GetValue()*1e3/float64(n+2), "cpu-ms/op")
}
