package deploy

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These flags let TestDocumentedCommands run the commands; .ci/packages sets them. Without
// them, the test only checks that documented lists all commands.
var (
	machineRoot = flag.String("machine.root", "", "root of a Debian, with a folder of release files, to boot as a machine; as root")
	release     = flag.String("machine.release", "/srv/release", "folder with the files of a release in -machine.root")
	version     = flag.String("machine.version", "", "version of the files")
	later       = flag.String("machine.later", "", "a later version, of which there are only packages")
)

// A command is a code block of a document, or a command in its text.
type command struct {
	document, text string
	line           int
}

func (c command) String() string {
	first, _, more := strings.Cut(c.text, "\n")
	if more {
		first += " ..."
	}
	return fmt.Sprintf("%s:%d: %s", c.document, c.line, first)
}

var (
	fence    = regexp.MustCompile("^ *```")
	listItem = regexp.MustCompile(`^(?:[-*]|\d+\.) +`)
	inText   = regexp.MustCompile("`([^`]+)`")
	// likeCommand matches what a person would type, and not the name of a command.
	likeCommand = regexp.MustCompile(`^(?:apt|certutil|curl|deploy/packages\.sh|dnf|docker|eval|Get-FileHash|go|groupdel|helm|journalctl|make|msiexec|netsh|qlik_exporter|rm|runuser|shasum|systemctl|systemd-analyze|tar|Unblock-File|wevtutil|xattr|zypper) \S`)
)

// commandsOf returns the code blocks of a document, and the commands in its text, in their
// order.
func commandsOf(document, text string) []command {
	var (
		all     []command
		block   *command
		fenced  bool
		indents = []int{0} // of the text in the list items around a line
		blank   = true
		add     = func(text string) { block.text += text + "\n" }
		end     = func() {
			if block != nil {
				block.text = strings.TrimRight(block.text, "\n")
				all = append(all, *block)
			}
			block = nil
		}
	)
	for i, line := range strings.Split(text, "\n") {
		content := strings.TrimLeft(line, " ")
		indent := len(line) - len(content)
		if blank || block != nil {
			for content != "" && !fenced && indent < indents[len(indents)-1] {
				indents = indents[:len(indents)-1]
			}
		}
		top := indents[len(indents)-1]
		switch {
		case fence.MatchString(line):
			end()
			if fenced = !fenced; fenced {
				block = &command{document: document, line: i + 2}
			}
			blank = true
			continue
		case fenced:
			add(line[min(top, indent):])
			continue
		case content == "":
			if block != nil {
				add("")
			}
			blank = true
			continue
		case (blank || block != nil) && indent >= top+4:
			if block == nil {
				block = &command{document: document, line: i + 1}
			}
			add(line[top+4:])
			continue
		}
		end()
		if marker := listItem.FindString(content); marker != "" {
			indents = append(indents, indent+len(marker))
		}
		blank = false
		for _, match := range inText.FindAllStringSubmatch(content, -1) {
			if likeCommand.MatchString(match[1]) {
				all = append(all, command{document: document, text: strings.ReplaceAll(match[1], `\|`, "|"), line: i + 1})
			}
		}
	}
	end()
	return all
}

// machines are the machines on which the commands run. Each one is fresh when a document
// begins.
var machines = []string{"package", "archive"}

// A treatment says what to do with a command.
type treatment struct {
	begins  string // the commands that begin with this text
	on      string // the machines that run it
	instead string // if no machine runs it: the reason, or what tests it

	file    string   // the text is not a command but the content of this file
	before  string   // commands that do first what the text around the command says
	input   string   // the answers to questions
	user    string   // runs it; "" is root
	version string   // "later" if it is not that of the release
	serves  bool     // runs until it is stopped
	status  int      // the expected exit status
	prints  []string // regular expressions that match lines of the output
	after   string   // commands that check the effect
}

func (how treatment) isOn(machine string) bool {
	return slices.Contains(strings.Fields(how.on), machine)
}

// placeholders are the names that a reader of the documents replaces.
func placeholders(version string) *strings.Replacer {
	return strings.NewReplacer(
		"https://github.com/qlik-exporter/qlik_exporter/releases/download/vVERSION", "file://"+*release,
		"VERSION", version,
		"amd64", runtime.GOARCH,
		"qlik1.company.com", "qlik-central",
		"qlik-test.company.com", "qlik-central", // another name for the same site
		"$2y$10$...", "$2y$04$E7oeX6K5EFFPlcl4v4HUWOKF./jSHU/m1/AUGQk./izPjnqw7c9ou", // a hash of "secret"
		"USER", "adm.kessler",
		"HASH", "$(cat hash)",
		"DIR", "/root/assets",
		"ACCOUNT", "anna",
	)
}

// documents are those in which every command is tested, in this order.
var documents = []string{"README.md", "docs/installation.md", "docs/linux.md"}

// TestDocumentedCommands checks that every command in the documents has a treatment. With
// -machine.root, it runs the commands of each document in their order, on fresh machines with
// a systemd of their own.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	for _, document := range documents {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			commands, treatments := commandsOf(document, string(read(t, filepath.Join(repository, document)))), documented[document]
			for i, c := range commands {
				if i == len(treatments) || !strings.HasPrefix(c.text, treatments[i].begins) {
					t.Fatalf("%s\nis not the next command in documented. Add what to do with it, or remove what is no longer there.", c)
				}
				if how := treatments[i]; (how.on == "") == (how.instead == "") {
					t.Errorf("%s\nis treated on %q, or not because of %q", c, how.on, how.instead)
				}
			}
			if len(commands) < len(treatments) {
				t.Fatalf("no command begins with %q", treatments[len(commands)].begins)
			}
			if *machineRoot == "" {
				return
			}
			for _, name := range machines {
				if !slices.ContainsFunc(treatments, func(how treatment) bool { return how.isOn(name) }) {
					continue
				}
				t.Run(name, func(t *testing.T) {
					m := boot(t)
					m.run(t, "prepare", prepare, treatment{})
					for i, c := range commands {
						// Later commands depend on earlier ones.
						if treatments[i].isOn(name) && !m.do(t, c, treatments[i]) {
							t.FailNow()
						}
					}
				})
			}
		})
	}
}

// functions are for the commands in the tests. Bash ignores "set -e" for commands that begin
// with "!".
const functions = `
fails() { if "$@"; then echo "no failure: $*"; exit 1; fi; }
soon() { for try in {1..150}; do ! "$@" || return 0; sleep 0.1; done; echo "no success: $*"; exit 1; }
contains() { [[ $("${@:2}") == *"$1"* ]]; }
`

// prepare makes a machine as a reader has it: with a site on the network, the exported
// certificates, and the downloaded files, all in the home folder of root.
const prepare = `
cat >/etc/hosts <<END
127.0.0.1 localhost machine
127.9.8.1 qlik-central
127.9.8.2 qlik-node2
127.9.8.3 qlik-node3
END
echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/90test
useradd --create-home anna
systemd-run --quiet --unit=site --setenv=TMPDIR=/var/lib/site --property=StateDirectory=site /srv/site/qlik_exporter demo --demo.listen=127.9.8.1 --web.listen-address=127.0.0.1:0
soon contains 'Listening on' journalctl --unit=site --output=cat
cp /var/lib/site/qlik_exporter-demo-*/*.pem .
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout server.key -out server.crt 2>/dev/null
`

// TestPackage installs the deb on a fresh machine, serves the desk with the flags in the
// comments, upgrades to a version that does not start, and removes everything.
func TestPackage(t *testing.T) {
	t.Parallel()
	if *machineRoot == "" {
		t.Skip("needs -machine.root")
	}
	m := boot(t)
	m.run(t, "prepare", prepare, treatment{})
	m.run(t, "package", fmt.Sprintf(`
files() {
  find / -xdev \( -path /dev -o -path /proc -o -path /root -o -path /run -o -path /sys -o -path /tmp -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/log -o -path /var/tmp \) -prune \
    -o -name '*-' -prune -o -print | sort # useradd keeps the earlier /etc/passwd as /etc/passwd-
}
files >before
dpkg -i %[1]s/qlik-exporter_%[2]s_%[4]s.deb
systemd-analyze verify --man=no qlik_exporter.service
qlik_exporter --version
man=$(zcat /usr/share/man/man1/qlik_exporter.1.gz)
[[ $man == *'.SH "NAME"'* ]]
source /usr/share/bash-completion/completions/qlik_exporter
test -s /usr/share/zsh/vendor-completions/_qlik_exporter
test -s /usr/share/fish/vendor_completions.d/qlik_exporter.fish

# The first steps of docs/desk.md: the flags in the comments, the example of the roles, a
# certificate, and a password.
cp *.pem /etc/qlik_exporter/certs/
chmod 640 /etc/qlik_exporter/certs/*
qlik_exporter init <<<qlik-central
sed -i 's/^#--desk/--desk/' /etc/qlik_exporter/flags
sed -i 's/^#\(viewer\|helpdesk\|admin\): /\1: /' /etc/qlik_exporter/roles.yml
cp server.crt /etc/qlik_exporter/desk.crt
cp server.key /etc/qlik_exporter/desk.key
cat >/etc/qlik_exporter/desk.yml <<'END'
tls_server_config: {cert_file: desk.crt, key_file: desk.key}
basic_auth_users: {vera: $2y$04$E7oeX6K5EFFPlcl4v4HUWOKF./jSHU/m1/AUGQk./izPjnqw7c9ou}
END
chgrp qlik_exporter /etc/qlik_exporter/desk.{yml,crt,key}
chmod 640 /etc/qlik_exporter/desk.{yml,crt,key}
systemctl enable --now qlik_exporter
soon contains '"users":[' curl -s --cacert server.crt -u vera:secret 'https://localhost:9987/api/users?q=a'
soon contains 'qlik_sessions_complete 1' curl -s http://localhost:9986/metrics
test "$(stat -c '%%U %%a' /var/lib/qlik_exporter)" = 'qlik_exporter 700'

# The later version does not start with these flags. The upgrade must not fail.
echo --no-such-flag >>/etc/qlik_exporter/flags
dpkg -i %[1]s/qlik-exporter_%[3]s_%[4]s.deb
dpkg --audit
sed -i '/no-such-flag/d' /etc/qlik_exporter/flags
soon contains '"users":[' curl -s --cacert server.crt -u vera:secret 'https://localhost:9987/api/users?q=a'

dpkg --remove qlik-exporter
fails systemctl is-active qlik_exporter
fails systemctl is-enabled qlik_exporter
test -e /etc/qlik_exporter/certs/client_key.pem # it belongs to the administrator
dpkg --purge qlik-exporter
dpkg --audit
test -e /var/lib/qlik_exporter/desk.jsonl # it is evidence
rm -r /var/lib/qlik_exporter
files | diff before -
echo 'Only the journal remains.'
`, *release, *version, *later, runtime.GOARCH), treatment{prints: []string{"^Only the journal remains.$"}})
}

// TestRPM installs, upgrades and removes the rpm. The machine is a Debian, which has rpm, but
// none of its packages.
func TestRPM(t *testing.T) {
	t.Parallel()
	if *machineRoot == "" {
		t.Skip("needs -machine.root")
	}
	m := boot(t)
	m.run(t, "prepare", prepare, treatment{})
	m.run(t, "rpm", fmt.Sprintf(`
rpm -i --nodeps %[1]s/qlik-exporter-%[2]s-1.$(uname -m).rpm
fails systemctl is-active qlik_exporter
test "$(stat -c '%%G %%a' /etc/qlik_exporter/certs)" = 'qlik_exporter 2750'
install -m 0640 -g qlik_exporter *.pem /etc/qlik_exporter/certs/
qlik_exporter init <<<qlik-central
runuser -u qlik_exporter -- qlik_exporter check
systemctl enable --now qlik_exporter
soon contains $'\nqlik_up 1\n' curl -s http://localhost:9986/metrics
systemctl show -P MainPID qlik_exporter >pid
md5sum /etc/qlik_exporter/flags >flags.md5
install -o qlik_exporter -m 0600 /dev/null /var/lib/qlik_exporter/desk.jsonl

rpm -U --nodeps %[1]s/qlik-exporter-%[3]s-1.$(uname -m).rpm
md5sum -c flags.md5
systemctl is-enabled qlik_exporter
soon contains $'\nqlik_up 1\n' curl -s http://localhost:9986/metrics
test "$(cat pid)" != "$(systemctl show -P MainPID qlik_exporter)"

rpm -e qlik-exporter
fails systemctl is-active qlik_exporter
fails systemctl is-enabled qlik_exporter
fails test -e /usr/bin/qlik_exporter
test -e /etc/qlik_exporter/certs/client_key.pem # it belongs to the administrator
test -e /var/lib/qlik_exporter/desk.jsonl       # it is evidence
`, *release, *version, *later), treatment{})
}

// A machine is a running one.
type machine struct {
	first string // the process id of its first process, outside the machine
}

// boot starts a machine that runs until the test ends.
func boot(t *testing.T) *machine {
	t.Helper()
	var output bytes.Buffer
	script := exec.CommandContext(t.Context(), filepath.Join(repository, ".ci", "machine"), *machineRoot)
	script.Stdout, script.Stderr = &output, &output
	script.Cancel = func() error { return script.Process.Signal(syscall.SIGTERM) }
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = script.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = script.Wait()                          // with the signal
		if t.Failed() {
			t.Logf("the machine: %s", output.String())
		}
	})
	// The script starts unshare, which starts the first process.
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		for _, child := range children(strconv.Itoa(script.Process.Pid)) {
			for _, first := range children(child) {
				m := &machine{first: first}
				name, _ := os.ReadFile("/proc/" + first + "/comm")
				if strings.TrimSpace(string(name)) == "systemd" && m.command(t.Context(), "", "systemctl is-system-running --wait").Run() == nil {
					return m
				}
			}
		}
	}
	t.Fatal("systemd does not start")
	return nil
}

// children returns the child processes of a process.
func children(pid string) []string {
	list, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	return strings.Fields(string(list))
}

// command returns a command that runs a script on the machine.
func (m *machine) command(ctx context.Context, user, script string) *exec.Cmd {
	in := []string{"--all", "--target", m.first, "env", "--ignore-environment", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if user != "" {
		in = append(in, "runuser", "-u", user, "--")
	}
	return exec.CommandContext(ctx, "nsenter", append(in, "bash", "-euo", "pipefail", "-c", script)...)
}

// run runs a script on the machine, and reports whether all is as expected.
func (m *machine) run(t *testing.T, what, script string, expect treatment) bool {
	t.Helper()
	// A step may leave the folder to the next one, such as after cd.
	if expect.user == "" {
		script = functions + "cd \"$(cat /run/folder 2>/dev/null || echo /root)\"\n" + script + "\npwd >/run/folder"
	}
	command := m.command(t.Context(), expect.user, script)
	command.Stdin = strings.NewReader(expect.input)
	began := time.Now()
	output, err := command.CombinedOutput()
	status := 0
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		status = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	ok := status == expect.status
	for _, pattern := range expect.prints {
		ok = regexp.MustCompile("(?m)"+pattern).Match(output) && ok
	}
	t.Logf("%s (exit status %d, %.1f s)", what, status, time.Since(began).Seconds())
	if !ok {
		t.Errorf("%s:\n%s\nexit status %d, want %d; want lines like %q:\n%s", what, script, status, expect.status, expect.prints, output)
	}
	return ok
}

// do runs a command of a document on the machine.
func (m *machine) do(t *testing.T, c command, how treatment) bool {
	t.Helper()
	if how.before != "" && !m.run(t, "before "+c.String(), how.before, treatment{}) {
		return false
	}
	number := *version
	if how.version == "later" {
		number = *later
	}
	text := placeholders(number).Replace(c.text)
	if how.file != "" {
		text = fmt.Sprintf("mkdir -p %s\ncat >%s <<'END_OF_FILE'\n%s\nEND_OF_FILE", filepath.Dir(how.file), how.file, text)
	}
	if how.serves {
		text = "timeout --preserve-status 4 " + text
	}
	return m.run(t, c.String(), text, how) && (how.after == "" || m.run(t, "after "+c.String(), how.after, treatment{}))
}
