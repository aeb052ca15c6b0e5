package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/config"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// wrong is an invalid value of a setting, with the error text after the name of the
// setting.
type wrong struct{ value, words string }

// wrongValues returns invalid values of every setting.
func wrongValues(t *testing.T) map[string][]wrong {
	t.Helper()
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	webConfig := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(webConfig, []byte("tls_server_config: {cert_fil: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	slowPassword := filepath.Join(t.TempDir(), "slow.yml")
	if err := os.WriteFile(slowPassword, []byte("basic_auth_users: {anna: "+strings.Replace(webHash, "$04$", "$14$", 1)+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	withoutDesk := []wrong{{"/nowhere", "has no effect without --desk.listen-address, which turns the desk on"}}
	withoutDeskAndGuard := []wrong{{"/nowhere", withoutDesk[0].words + ", or --guard, which turns the guard on"}}
	onOff := []wrong{{"maybe", `must be true or false, not "maybe"`}}
	return map[string][]wrong{
		"qlik.host":                       {{"https://qlik1", `"https://qlik1": write HOST or HOST:PORT`}, {"qlik1:0", `"qlik1:0": write HOST or HOST:PORT`}, {"qlik1,qlik2", "qlik1,qlik2: contains several values; repeat the flag, or give one value per line"}, {"qlik1\u200b", `"qlik1\u200b": write HOST`}},
		"qlik.cert-dir":                   {{"/nowhere", "the folder /nowhere does not exist"}, {short, short + " is a file; set this setting to the folder with client.pem"}, {`C:\certs" --qlik.host=qlik1`, "contains a quotation mark; on Windows, remove the backslash before the last quotation mark"}, {"~/certs", "contains ~, which nothing replaces here; write the path in full"}},
		"qlik.key-passphrase-file":        {{"/nowhere", "/nowhere does not exist"}, {os.TempDir(), "is a folder, not a file"}},
		"qlik.server-name":                {{"qlik1:4242", `"qlik1:4242": must be a host name without a port`}, {"https://a", `"https://a": must be a host name without a port`}},
		"qlik.node-address":               {{"qlik9", `"qlik9": write NODE=HOST or NODE=HOST:PORT`}, {"qlik9:1=a", `"qlik9:1=a": NODE is the registered host name, without port`}, {"QLIK1=10.0.0.1", "is given twice"}, {"qlik8=a,qlik9=b", "contains several values"}},
		"qlik.engine-port":                {{"0", `"0": must be PORT or NODE=PORT, such as 4747 or qlik2=4748`}, {"qlik1", `"qlik1": must be PORT`}, {"=4747", `"=4747": must be PORT`}, {"qlik1:4243=4747", `"qlik1:4243=4747": must be PORT`}, {"4747,4748", "contains several values"}, {"https://qlik1=4747", `must be PORT`}},
		"qlik.user":                       {{`ACME\a ACME\b`, `ACME\a ACME\b is not a user as DIRECTORY\id: write a single user`}, {"sa_api", `sa_api is not a user as DIRECTORY\id: it has no directory`}},
		"qlik.session-limit":              {{"0", "must be at least 1, not 0"}, {"five", `must be a whole number, not "five"`}, {"1001", "must be at most 1000, not 1001"}},
		"qlik.cooling-time":               {{"0s", "must be longer than 0s, not 0s"}, {"5", `must be a duration such as 90s or 5m, not "5"`}, {"25h", "must be at most 24h, not 25h"}},
		"qlik.proxy":                      {{"a/b", `"a/b": write HOST or HOST:PORT`}, {"a;b", "a;b: contains several values"}},
		"qlik.virtual-proxy":              {{"", "must not be empty"}, {"/,/sales", "/,/sales: contains several values"}, {"C:/Git/sales", "C:/Git/sales: is not the prefix of a virtual proxy"}, {"../../qrs/about", `"../../qrs/about" is not a prefix; write it as the QMC shows it`}},
		"qlik.service-account":            {{"ACMErobot", `ACMErobot is not a user as DIRECTORY\id: it has no directory; if a shell or systemd removed the backslash, write DIR/id or 'DIR\id'`}, {`ACME\a,ACME\b`, `ACME\a,ACME\b: contains several values; repeat the flag, or give one value per line in the environment, or a list in a file`}, {"ACME\u2028ars", `ACME‹U+2028›ars is not a user as DIRECTORY\id: it contains an invisible character`}},
		"qlik.unlimited-user":             {{"robot", `robot is not a user as DIRECTORY\id: it has no directory`}},
		"qlik.timeout":                    {{"-1s", "must be longer than 0s, not -1s"}, {"61m", "must be at most 1h, not 61m"}},
		"qlik.audit-log":                  {{"qlik1", `qlik1: must be NODE=GLOB`}, {"qlik1=[", "audit log "}, {"qlik1=a.txt,qlik2=b.txt", "contains several values"}, {"qlik1=%ProgramData%/a.txt", "contains %ProgramData%, which nothing replaces here"}},
		"user-labels":                     {{"md5", `must be one of plain, hashed, none, not "md5"`}, {"hashed", "is missing; hashed labels require a file with the key for hashing"}},
		"user-labels.key-file":            {{"/nowhere", "/nowhere does not exist"}},
		"collector.sessions":              onOff,
		"collector.licenses":              onOff,
		"collector.services":              onOff,
		"collector.denials":               onOff,
		"collector.certificates":          onOff,
		"collector.engine":                onOff,
		"collector.sessions.min-sessions": {{"0", "must be at least 1, not 0"}},
		"collector.sessions.max-users":    {{"0", "must be at least 1, not 0"}},
		"collector.sessions.exclude-user": {{"(", `is not a regular expression: missing closing ) in "("`}, {`ACME\svc`, `ACME\svc: matches no user, because it matches no backslash and no slash`}},
		"guard":                           {{"true", `must be one of off, dry-run, on, not "true"`}, {"yes", `must be one of off, dry-run, on, not "yes"`}, {"on", "is missing; the guard ends sessions only on the virtual proxies that it names"}},
		"guard.idle":                      {{"4m59s", "must be at least 5m, not 4m59s"}, {"10", `must be a duration such as 90s or 5m, not "10"`}, {"25h", "must be at most 24h, not 25h"}},
		"guard.virtual-proxy":             {{"/sales", "has no effect, because the guard is off"}, {"", "must not be empty"}, {"/,/sales", "/,/sales: contains several values"}, {"C:/Git/sales", "C:/Git/sales: is not the prefix of a virtual proxy"}, {"../../qrs/about", `"../../qrs/about" is not a prefix; write it as the QMC shows it`}},
		"config.file":                     {{"/nowhere", "/nowhere does not exist"}},
		"web.telemetry-path":              {{"metrics", `must start with a slash, not "metrics"`}, {"/m{", `"/m{" is not a plain path; use a path such as /metrics`}, {"/sd", `"/sd" is reserved; use a path such as /metrics`}, {"/probe", "is reserved"}, {"/config", "is reserved"}, {"/sessions", "is reserved"}, {"/sessions/page.js", "is reserved"}, {"/-/ready", "is reserved"}, {"/debug/pprof/x", "is reserved"}, {"/api/users", "is reserved"}},
		"web.external-url":                {{"monitoring.example", `"monitoring.example": must be a URL such as https://monitoring.example/qlik`}, {"https://a/?b", `"https://a/?b": must be a URL`}, {"https://a/../b", `"https://a/../b": "/../b" is not a plain path`}, {"https://a/metrics", `"https://a/metrics": has the same path as the metrics`}, {"https://a/sessions", `"https://a/sessions": "/sessions" is reserved`}, {"https://a/api", `"https://a/api": "/api" is reserved`}, {"https://a/-", `"https://a/-": "/-" is reserved`}, {"https://u:secret@a", "must be a URL such as https://monitoring.example/qlik"}, {"http://a:99999", `"http://a:99999": must be a URL`}},
		"web.command":                     {{"docker exec -it qlik; reboot", `"docker exec -it qlik; reboot": must be the start of a command line`}, {`"C:\qlik_exporter.exe`, "must be the start of a command line"}, {"--qlik.host=a", "must be the start of a command line"}},
		"web.max-connections":             {{"9", "must be at least 10, not 9"}},
		"web.enable-lifecycle":            onOff,
		"web.enable-pprof":                onOff,
		"web.listen-address":              {{"localhost", `"localhost": must be HOST:PORT or :PORT`}, {"127.0.0.1:70000", `"127.0.0.1:70000": must be HOST:PORT or :PORT`}, {"vsock://:x", `"vsock://:x": must be HOST:PORT or :PORT`}, {":9986,:9987", ":9986,:9987: contains several values"}},
		"web.config.file":                 {{"/nowhere", "/nowhere does not exist"}, {webConfig, "there is no key cert_fil"}, {slowPassword, slowPassword + `: the password of "anna" has bcrypt cost 14; a check would take about 1s; make it again with cost 10 to 12`}},
		"web.systemd-socket":              {{"maybe", `"maybe" is neither true nor false`}},
		"desk.listen-address":             {{"localhost", `"localhost": must be HOST:PORT or :PORT`}, {":9987", "is missing; the desk does not start without it"}},
		"desk.web.config.file":            withoutDesk,
		"desk.roles-file":                 withoutDesk,
		"desk.journal-file":               withoutDeskAndGuard,
		"desk.stop-file":                  withoutDeskAndGuard,
		"timeout-offset":                  {{"-1s", "must be at least 0s, not -1s"}},
		"log.level":                       {{"loud", `must be one of debug, info, warn, error, not "loud"`}},
		"log.format":                      {{"xml", `must be one of logfmt, json, not "xml"`}},
		"log.file":                        {{"/nowhere/qlik.log", "the folder /nowhere does not exist; create it, and allow the account of the exporter to write to it"}, {short + "/qlik.log", short + " is not a folder"}, {os.TempDir(), "is not a file"}, {"~/qlik.log", "contains ~, which nothing replaces here"}},
	}
}

// elsewhere maps invalid values to the setting that the error names instead.
var elsewhere = map[wrong]string{
	{"hashed", "is missing; hashed labels require a file with the key for hashing"}:         "user-labels.key-file",
	{":9987", "is missing; the desk does not start without it"}:                             "desk.web.config.file",
	{"on", "is missing; the guard ends sessions only on the virtual proxies that it names"}: "guard.virtual-proxy",
}

// TestGuardSettings checks which settings the guard needs, and that it shares the journal and
// the stop file of the desk.
func TestGuardSettings(t *testing.T) {
	_, siteFlags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}})
	keys := keysOfFlags(t)
	dir := t.TempDir()
	journal, stop := "--desk.journal-file="+filepath.Join(dir, "desk.jsonl"), "--desk.stop-file="+filepath.Join(dir, "stop")
	noJournal := "on requires --desk.journal-file, the file in which the guard records what it ends"
	noDesk := "has no effect without --desk.listen-address"
	for _, test := range []struct {
		flags   []string // of the site
		program []string
		place   string // of the error; "" if all is well
		words   string
	}{
		{[]string{"--guard=dry-run"}, nil, "", ""},
		{[]string{"--guard=dry-run", "--guard.virtual-proxy=sales/", "--guard.virtual-proxy=/sales"}, []string{journal, stop}, "", ""},
		{[]string{"--guard=on", "--guard.virtual-proxy=/"}, []string{journal}, "", ""},
		{[]string{"--guard=on", "--guard.virtual-proxy=/"}, []string{stop}, "guard", noJournal},
		{[]string{"--guard=on"}, []string{journal}, "guard.virtual-proxy", "is missing"},
		{[]string{"--guard=off", "--guard.virtual-proxy=/", "--guard.idle=5m"}, []string{journal, stop}, "", ""}, // turned off
		{nil, []string{journal}, "desk.journal-file", noDesk},
		{nil, []string{stop}, "desk.stop-file", noDesk},
		{[]string{"--guard=dry-run"}, []string{"--desk.roles-file=roles.yml"}, "desk.roles-file", noDesk},
	} {
		flags := slices.Concat(siteFlags, test.flags)
		for _, args := range [][]string{
			slices.Concat(flags, test.program),
			append([]string{"--config.file=" + siteFile(t, flags, keys)}, test.program...),
		} {
			inFile := strings.HasPrefix(args[0], "--config.file=")
			place, words := "--"+test.place+": ", test.words
			switch key := keys[test.place]; {
			case inFile && key != "":
				place = ": sites.emea." + key + ": "
			case inFile && len(test.flags) == 0: // a reload may turn a guard on
				place, words = "", ""
			}
			var out bytes.Buffer
			status := run(t.Context(), append([]string{"--config.check"}, args...), &out, &out)
			if test.place == "" || words == "" {
				if status != 0 {
					t.Errorf("%s: %s", args, &out)
				}
			} else if status != 1 || !strings.Contains(out.String(), place+words) {
				t.Errorf("%s: exit status %d, want %s%s\n%s", args, status, place, words, &out)
			}
		}
	}
	on := append(slices.Clone(siteFlags), "--guard=on", "--guard.virtual-proxy=/")
	t.Run("other commands", func(t *testing.T) {
		for _, args := range [][]string{on, {"--config.file=" + siteFile(t, on, keys)}} {
			for _, command := range []string{"check", "sessions"} {
				var out bytes.Buffer
				if status := run(t.Context(), append([]string{command, "--log.level=error"}, args...), &out, &out); status != 0 {
					t.Errorf("%s %s: exit status %d\n%s", command, args, status, &out)
				}
			}
		}
	})
	t.Run("check of the flags file", func(t *testing.T) {
		before := flagsFile
		t.Cleanup(func() { flagsFile = before })
		path := filepath.Join(dir, "flags")
		flagsFile = func() string { return path }
		for _, test := range []struct {
			lines []string
			words string
		}{{on, fmt.Sprintf("--guard (@%s, line %d): %s", path, slices.Index(on, "--guard=on")+1, noJournal)}, {append(slices.Clone(on), journal), ""}} {
			if err := os.WriteFile(path, []byte(strings.Join(test.lines, "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if status := run(t.Context(), []string{"check"}, &out, &out); status == 0 != (test.words == "") || !strings.Contains(out.String(), test.words) {
				t.Errorf("exit status %d, want %q\n%s", status, test.words, &out)
			}
			out.Reset()
			if status := run(t.Context(), []string{"sessions"}, &out, &out); status != 0 {
				t.Errorf("sessions: exit status %d\n%s", status, &out)
			}
		}
	})
	t.Run("reload", func(t *testing.T) {
		content, err := os.ReadFile(siteFile(t, on, keys))
		if err != nil {
			t.Fatal(err)
		}
		serveFile(t, siteFlags)(t, content, "guard", noJournal)
	})
}

// TestWrongSettings checks that serve, all other commands, --config.check, and a reload reject an
// invalid value of any setting with the same text. The value can come from a flag, the
// environment, or a file, and the error uses the name of the setting there.
func TestWrongSettings(t *testing.T) {
	_, siteFlags := startSite(t, qliktest.Config{Nodes: []qliktest.Node{{Name: "qlik1"}}})
	values := wrongValues(t)
	keys := keysOfFlags(t)
	app, parsed, _ := newApp(nil)
	if _, err := parsed.Parse(nil); err != nil { // sets the names of the environment variables
		t.Fatal(err)
	}
	reload := serveFile(t, siteFlags)
	for _, flag := range app.Model().Flags {
		name := flag.Name
		if flag.Hidden || flag.Envar == "" {
			continue // flags such as --help are commands rather than settings
		}
		if len(values[name]) == 0 {
			t.Errorf("--%s: this test has no invalid value and error text", name)
		}
		for _, wrong := range values[name] {
			t.Run(name+"="+wrong.value, func(t *testing.T) {
				told := name
				if other := elsewhere[wrong]; other != "" {
					told = other
				}
				others := slices.DeleteFunc(slices.Clone(siteFlags), func(f string) bool {
					return strings.HasPrefix(f, "--"+name+"=") && !strings.HasSuffix(wrong.words, "twice")
				})
				if name == "config.file" {
					others = nil
				}
				if !flag.IsBoolFlag() { // boolean flags have no value on the command line
					refused(t, append(others, "--"+name+"="+wrong.value), "--"+told+": ", wrong.words)
				}
				if !strings.HasSuffix(wrong.words, "twice") && wrong.value != "" { // the command line takes precedence
					environment := "--" + name + " (" + flag.Envar + "): "
					if told != name {
						environment = "--" + told + ": "
					}
					t.Run("environment", func(t *testing.T) {
						t.Setenv(flag.Envar, wrong.value)
						refused(t, others, environment, wrong.words)
					})
				}
				if key := keys[name]; key != "" {
					file := siteFile(t, append(others, "--"+name+"="+wrong.value), keys)
					at, key := regexp.QuoteMeta(file)+`:\d+`, `sites\.emea\.`+regexp.QuoteMeta(keys[told])
					place := "(" + at + ": " + key + "|" + key + ` \(` + at + `\)): ` // check uses the second form in a step
					refused(t, []string{"--config.file=" + file}, place, wrong.words)
					content, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					reload(t, content, keys[told], wrong.words)
				}
			})
		}
	}
	for name := range values {
		if flag := app.GetFlag(name); flag == nil || flag.Model().Envar == "" {
			t.Errorf("--%s is not a flag", name)
		}
	}
}

// route matches the path of an endpoint in the source of the server.
var route = regexp.MustCompile(`mux\.Handle(?:Func)?\("(?:[A-Z]+ )?(/[^"{]+)"`)

// TestReservedPaths checks that the metrics cannot have the path of another endpoint, and
// that no external URL has a path that makes one unreachable.
func TestReservedPaths(t *testing.T) {
	source, err := os.ReadFile("internal/server/server.go")
	if err != nil {
		t.Fatal(err)
	}
	routes := route.FindAllSubmatch(source, -1)
	if len(routes) < 10 {
		t.Errorf("only %d endpoints", len(routes))
	}
	for _, found := range routes {
		path := strings.TrimSuffix(string(found[1]), "/")
		for ; path != ""; path = path[:strings.LastIndex(path, "/")] {
			for _, flag := range []string{"--web.telemetry-path=" + path, "--web.external-url=https://monitoring.example" + path} {
				var out bytes.Buffer
				args := []string{"--config.check", "--qlik.host=qlik1", "--qlik.cert-dir=" + t.TempDir(), flag}
				if status := run(t.Context(), args, &out, &out); status != 1 || !strings.Contains(out.String(), `"`+path+`" is reserved`) {
					t.Errorf("%s: exit status %d: %s", flag, status, &out)
				}
			}
		}
	}
	var out bytes.Buffer
	args := []string{"--config.check", "--qlik.host=qlik1", "--qlik.cert-dir=" + t.TempDir(), "--web.telemetry-path=/qlik/metrics", "--web.external-url=https://monitoring.example/qlik"}
	if status := run(t.Context(), args, &out, &out); status != 1 || !strings.Contains(out.String(), "the path of the metrics is below it; use --web.telemetry-path=/metrics,") {
		t.Errorf("exit status %d: %s", status, &out)
	}
}

// refused runs serve, the other commands, and --config.check with arguments that they must reject.
// The name is a regular expression.
func refused(t *testing.T, args []string, name, words string) {
	t.Helper()
	want := regexp.MustCompile(regexp.QuoteMeta(name) + ".*" + regexp.QuoteMeta(words))
	if strings.Contains(name, `\d`) {
		want = regexp.MustCompile(name + ".*" + regexp.QuoteMeta(words))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel() // so that an accepted command does not keep running
	for _, command := range [][]string{{"serve"}, {"check"}, {"--config.check"}, {"sessions"}, {"sessions", "end", `--user=LAB\anna`}} {
		ctx := ended
		if command[0] == "check" {
			ctx = t.Context() // reports errors about files as a failed step
		}
		var stdout, stderr bytes.Buffer
		status := run(ctx, append(command, args...), &stdout, &stderr)
		if strings.Contains(stdout.String()+stderr.String(), "secret") {
			t.Errorf("a password is shown: %s%s", &stdout, &stderr)
		}
		if status != 1 || !want.Match(stdout.Bytes()) && !want.Match(stderr.Bytes()) || stdout.Len() > 0 && command[0] != "check" {
			t.Errorf("%s: exit status %d, want 1 and %s\n%s%s", strings.Join(append(command, args...), " "), status, want, &stdout, &stderr)
		}
	}
}

// keysOfFlags returns the keys of settings in a file by their flags.
func keysOfFlags(t *testing.T) map[string]string {
	t.Helper()
	keys := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\S+)` \\| `--(?:\\[no-\\])?(\\S+)` ").FindAllStringSubmatch(config.Reference(), -1) {
		keys[row[2]] = row[1]
	}
	if len(keys) < 20 {
		t.Fatalf("%d keys", len(keys))
	}
	return keys
}

// siteFile writes a configuration file with the settings of flags.
func siteFile(t *testing.T, flags []string, keys map[string]string) (path string) {
	t.Helper()
	settings := make(map[string][]string)
	for _, flag := range flags {
		name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		settings[keys[name]] = append(settings[keys[name]], "'"+strings.ReplaceAll(value, "'", "''")+"'")
	}
	var file strings.Builder
	file.WriteString("sites:\n  emea:\n")
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		values := settings[key]
		parent, child, nested := strings.Cut(key, ".")
		switch {
		case nested:
			fmt.Fprintf(&file, "    %s:\n      %s: %s\n", parent, child, values[0])
		case len(values) > 1 || key == "host":
			fmt.Fprintf(&file, "    %s: [%s]\n", key, strings.Join(values, ", "))
		default:
			fmt.Fprintf(&file, "    %s: %s\n", key, values[0])
		}
	}
	path = filepath.Join(t.TempDir(), "sites.yml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveFile serves a site of a configuration file. It returns a function that reloads
// the file with invalid content, which the exporter must reject.
func serveFile(t *testing.T, flags []string) (reload func(t *testing.T, content []byte, key, words string)) {
	t.Helper()
	file := siteFile(t, flags, keysOfFlags(t))
	address := freeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"--config.file=" + file, "--web.listen-address=" + address, "--web.enable-lifecycle", "--log.level=error"}, io.Discard, &stderr)
	}()
	t.Cleanup(func() {
		cancel()
		if status := <-ended; status != 0 {
			t.Errorf("exit status %d\n%s", status, &stderr)
		}
	})
	awaitListener(t, address)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	return func(t *testing.T, content []byte, key, words string) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		answer, err := client.Post("http://"+address+"/-/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		want := regexp.MustCompile("^" + regexp.QuoteMeta(file) + `:\d+: sites\.emea\.` + key + ": .*" + regexp.QuoteMeta(words))
		if err != nil || answer.StatusCode != http.StatusInternalServerError || !want.Match(body) {
			t.Errorf("reload: %s, %v, want %s\n%s", answer.Status, err, want, body)
		}
	}
}
