package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kingpin/v2"

	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

// helpOf returns what the program prints as help. Kingpin ends the process after it.
func helpOf(t *testing.T, args ...string) string {
	t.Helper()
	output, err := command(t, args...).Output()
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return string(output)
}

// TestHelp checks that the general help shows all commands on the first screen, and that the
// help of each command shows an example that the program understands, then the flags of the
// command, and those of the connection at the end.
func TestHelp(t *testing.T) {
	general := helpOf(t, "--help")
	app, _, _ := newApp(nil)
	if _, err := app.ParseContext(nil); err != nil { // adds the command help
		t.Fatal(err)
	}
	first := strings.Join(strings.Split(general, "\n")[:40], "\n")
	for _, c := range app.Model().Commands {
		if !strings.Contains(first, "\n  "+c.Name+" ") {
			t.Errorf("the first 40 lines of the help do not list %s", c.Name)
		}
	}
	commands := slices.Clone(app.Model().Commands)
	for len(commands) > 0 {
		c := commands[0]
		commands = append(commands[1:], c.Commands...)
		if c.Hidden {
			continue
		}
		text := helpOf(t, append([]string{"help"}, strings.Fields(c.FullCommand)...)...)
		_, examples, found := strings.Cut(text, "\nExamples:\n")
		examples, _, _ = strings.Cut(examples, "\n\n")
		if !found && !slices.Contains([]string{"desk", "service start", "service stop", "service uninstall"}, c.FullCommand) {
			t.Errorf("the help of %s has no example", c.FullCommand)
		}
		for example := range strings.Lines(examples) {
			line, _, _ := strings.Cut(strings.Trim(example, " \n\""), ">")
			words := strings.Fields(strings.TrimPrefix(strings.Trim(strings.TrimSpace(line), `")`), `eval "$(`))
			if len(words) == 0 || words[0] != "qlik_exporter" {
				continue
			}
			parsed, err := app.ParseContext(words[1:])
			if err != nil {
				t.Errorf("the example of %s, %s: %v", c.FullCommand, words, err)
			} else if got := parsed.SelectedCommand; c.FullCommand != "serve" && (got == nil || !strings.HasPrefix(got.FullCommand(), c.FullCommand)) {
				t.Errorf("the example of %s, %s, is one of %v", c.FullCommand, words, got)
			}
		}
		own := slices.DeleteFunc(slices.Clone(c.Flags), func(f *kingpin.FlagModel) bool { return f.Hidden })
		if connection := strings.Index(text, "\nConnection to Qlik Sense:"); connection >= 0 {
			for _, flag := range own {
				if at := strings.Index(text, "\n  --"+flag.Name); at > connection {
					t.Errorf("the help of %s shows --%s after the flags of the connection", c.FullCommand, flag.Name)
				}
			}
		}
	}
	for _, flag := range app.Model().Flags {
		if !flag.Hidden && !strings.HasPrefix(flag.Name, "help-") && !strings.Contains(general, flag.Name) {
			t.Errorf("the help has no --%s", flag.Name)
		}
	}
}

// completed returns the candidates of the program for the last of the words.
func completed(t *testing.T, words ...string) []string {
	t.Helper()
	var out, failures bytes.Buffer
	if code := run(t.Context(), append([]string{"__complete"}, words...), &out, &failures); code != 0 || failures.Len() > 0 {
		t.Fatalf("%q: exit status %d, %s", words, code, &failures)
	}
	var values []string
	for line := range strings.Lines(out.String()) {
		value, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		values = append(values, value)
	}
	return values
}

func TestCompletion(t *testing.T) {
	site, flags := startSite(t, qliktest.Config{
		Nodes:          []qliktest.Node{{Name: "qlik1", Central: true}, {Name: "qlik2"}},
		VirtualProxies: []qliktest.VirtualProxy{{}, {Prefix: "sales"}},
		Users:          []qliktest.User{{Directory: "LAB", ID: "anna.berg", Name: "Anna Berg", License: qliktest.Analyzer}, {Directory: "LAB", ID: "bert", Name: "Bert", License: qliktest.Analyzer}},
	})
	if _, err := site.Login("LAB", "anna.berg", "laptop", "sales", "qlik2"); err != nil {
		t.Fatal(err)
	}
	at := "--exporter-url=" + strings.TrimSuffix(startExporter(t, flags...), "/metrics")
	for words, want := range map[string]string{
		"":                                       "help serve init demo check sessions why licenses report assets completion desk service",
		"se":                                     "serve sessions service",
		"nothing ":                               "",
		"sessions ":                              "list end",
		"sessions end ":                          "",
		"help s":                                 "serve sessions service",
		"help sessions ":                         "list end",
		"completion ":                            "bash zsh fish powershell",
		"--qlik.ho":                              "--qlik.host=",
		"check --qlik.ho":                        "--qlik.host=",
		"assets --qlik.ho":                       "", // it needs no site
		"sessions end --dry":                     "--dry-run",
		"sessions --dry":                         "", // only sessions end has it
		"sessions end --no-d":                    "--no-dry-run",
		"check --output ":                        "table json",
		"check --output=j":                       "--output=json",
		"check --site=x --output=":               "--output=table --output=json",
		"check --site --output ":                 "", // the value of --site
		"--log.level=w":                          "--log.level=warn",
		"--web.listen-address=":                  "",
		"check --no-such=":                       "",
		"why " + at + " nn":                      "LAB/anna.berg",
		"why " + at + " ":                        "", // everybody
		"why " + at + " anna ":                   "",
		"sessions " + at + " --user=ber":         "--user=LAB/anna.berg --user=LAB/bert",
		"sessions " + at + " --node ":            "qlik1 qlik2",
		"sessions " + at + " --node=qlik2":       "--node=qlik2",
		"sessions " + at + " --virtual-p":        "--virtual-proxy=",
		"sessions " + at + " --virtual-proxy=/s": "--virtual-proxy=/sales",
		"sessions --exporter-url=http://127.0.0.1:1 --node=": "",
	} {
		got := completed(t, strings.Split(words, " ")...)
		if want := strings.Fields(want); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
	}
	if got := completed(t); len(got) < 10 {
		t.Errorf("without words: %q", got)
	}
}

// TestCompletionScripts checks the scripts in the shells that this machine has. Every shell
// has to complete a command, a flag, a value behind an equals sign, a file, and a file
// of flags.
func TestCompletionScripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs shells of Unix")
	}
	bin, home := t.TempDir(), t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(bin, "qlik_exporter")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, "certificates"), 0o700); err != nil {
		t.Fatal(err)
	}
	lines := []string{"qlik_exporter chec", "qlik_exporter check --outp", "qlik_exporter check --output=j", "qlik_exporter --qlik.cert-dir=certif", "qlik_exporter check @certif"}
	complete := map[string]struct {
		script, line string
		want         []string
	}{
		"bash": {
			`eval "$(qlik_exporter completion bash)"`, `compopt() { :; }; COMP_LINE=%[1]q; COMP_POINT=${#COMP_LINE}; _qlik_exporter; echo "${COMPREPLY[@]}"`,
			[]string{"check", "--output=", "json", "", "@certificates/"}, // readline completes files
		},
		"fish": {
			"qlik_exporter completion fish | source", "complete -C %[1]q | string replace -r '\\t.*|$' ''",
			[]string{"check", "--output=", "--output=json", "--qlik.cert-dir=certificates/", "@certificates/"},
		},
	}
	for shell, test := range complete {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed", shell)
			continue
		}
		script := test.script + "\n"
		for _, line := range lines {
			script += fmt.Sprintf(test.line, line) + "\n"
		}
		process := exec.CommandContext(t.Context(), path, "-c", script)
		process.Dir = home
		process.Env = append(os.Environ(), asExporter+"=1", "HOME="+home, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		output, err := process.CombinedOutput()
		if got := strings.Split(strings.TrimSuffix(string(output), "\n"), "\n"); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, got %q, want %q", shell, err, got, test.want)
		}
	}
	for _, check := range [][]string{{"bash", "-n"}, {"zsh", "-n"}, {"fish", "-n"}} {
		path, err := exec.LookPath(check[0])
		if err != nil {
			continue
		}
		process := exec.CommandContext(t.Context(), path, check[1], filepath.Join("internal", "cli", "completion", check[0]))
		if output, err := process.CombinedOutput(); err != nil {
			t.Errorf("%q: %v: %s", check, err, output)
		}
	}
}
