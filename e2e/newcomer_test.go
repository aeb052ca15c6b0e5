package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A new user clones the repository, starts the demo, and runs the commands that
// it prints.
func TestDemoAsNewcomer(t *testing.T) {
	// The demo's flags come from the environment, so that the command line is the
	// one in the README.
	port := freePort(t)
	command := exec.Command("go", "run", ".", "demo")
	command.Dir = freshClone(t)
	command.Env = append(os.Environ(), "QLIK_EXPORTER_WEB_LISTEN_ADDRESS=:"+port)
	begin := time.Now()
	p := start(t, command)

	// The first successful scrape must be complete.
	const compilesWithin = 5 * time.Minute // with empty caches and a slow connection
	var first metrics
	p.waitFor(t, "the demo", compilesWithin, func() bool {
		text, _, err := get("http://localhost:"+port+"/metrics", http.Header{})
		first = metrics(text)
		return err == nil
	})
	t.Logf("ok: the first scrape was answered %s after `go run . demo`, compiling included", since(begin))
	expect(t, first.value("qlik_sessions_complete") == "1", "the first scrape is complete", first.value("qlik_sessions_complete"))
	expect(t, first.count("qlik_user_sessions") >= 200, "some hundred series of qlik_user_sessions", first.count("qlik_user_sessions"))

	introduction := p.stdout.String()
	t.Logf("the demo prints:\n%s", introduction)
	folder := demoFolder(t, p)
	expect(t, exists(filepath.Join(folder, "client.pem")), "the certificate folder is there", folder)

	curls := commandsOf(introduction, "curl ")
	expect(t, len(curls) == 2, "two curl commands", len(curls))
	for _, curl := range curls {
		asksQlik := strings.Contains(curl, "/qps/session")
		here := ":" + port
		if asksQlik {
			here = folder
		}
		expect(t, strings.Contains(curl, here), "the command is about this demo", curl)
		answer := shell(t, curl)
		if asksQlik {
			var sessions []struct{ SessionID, UserDirectory, UserID string }
			if err := json.Unmarshal([]byte(answer), &sessions); err != nil {
				t.Errorf("%v in %.200s", err, answer)
			}
			expect(t, len(sessions) > 20 && sessions[0].SessionID != "" && sessions[0].UserID != "", "it lists sessions", len(sessions))
			continue
		}
		lines := strings.Split(strings.TrimSpace(answer), "\n")
		expect(t, len(lines) >= 100 && strings.HasPrefix(lines[0], "qlik_session_limit_headroom{"), "it lists users",
			fmt.Sprintf("%d lines, the first one %s", len(lines), lines[0]))
	}

	looks := commandsOf(introduction, "go run . sessions ")
	if len(looks) != 1 {
		t.Fatalf("the demo prints %d commands that show who holds what", len(looks))
	}
	table := shell(t, strings.Replace(looks[0], "go run .", "qlik_exporter", 1))
	expect(t, strings.HasPrefix(table, "FREE ") && strings.Contains(table, `ACME\adm.kessler`), "it lists those with four sessions or more", tail(table, 3))
	others := commandsOf(introduction, "go run . --")
	if len(others) != 1 {
		t.Fatalf("the demo prints %d commands that start another exporter", len(others))
	}
	t.Run("another exporter", func(t *testing.T) {
		port := freePort(t)
		line := strings.NewReplacer("go run .", "qlik_exporter", ":9987", "127.0.0.1:"+port).Replace(others[0])
		another := start(t, exec.Command("sh", "-c", "exec "+line))
		e := instance{another, "127.0.0.1:" + port}
		e.waitReady(t, e.url("/-/ready"))
		m := e.scrape(t)
		expect(t, m.value("qlik_sessions_complete") == "1", "its first scrape is complete", m.value("qlik_sessions_complete"))
		expect(t, m.count("qlik_user_sessions") >= 200, "it sees the same users", m.count("qlik_user_sessions"))
	})

	// `go run` does not forward signals, so the test sends Ctrl-C as a terminal
	// does, which also reaches the demo. TestSignals covers SIGTERM. `go run`
	// then always ends with exit code 1; it prints the exit code of the demo if
	// that is not 0.
	begin = time.Now()
	p.interrupt(t)
	p.wait(t)
	log := p.stderr.String()
	expect(t, !strings.Contains(log, "exit status"), "Ctrl-C ends it with exit code 0", "after "+since(begin).String()+": "+tail(log, 1))
	expect(t, !exists(folder), "the certificate folder is gone", folder)
}

// freshClone clones the repository and adds uncommitted changes. If the source is
// not a clone, it copies the source.
func freshClone(t *testing.T) string {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "qlik_exporter")
	if !exists(filepath.Join(repository, ".git")) {
		if err := os.CopyFS(clone, os.DirFS(repository)); err != nil {
			t.Fatal(err)
		}
		return clone
	}
	git := func(arguments ...string) string {
		command := exec.Command("git", arguments...)
		command.Stderr = os.Stderr
		output, err := command.Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		return string(output)
	}
	git("clone", "--quiet", repository, clone)
	changed := git("-C", repository, "ls-files", "-z", "--modified", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(strings.TrimSuffix(changed, "\x00"), "\x00") {
		from, to := filepath.Join(repository, name), filepath.Join(clone, name)
		if name == "" || !exists(from) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, to, readFile(t, from))
	}
	return clone
}

// commandsOf returns the indented command lines in a text that begin with the
// given words. A backslash at the end of a line continues it.
func commandsOf(text, beginning string) []string {
	var commands []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		command := strings.TrimSpace(line)
		if strings.HasPrefix(line, " ") && strings.HasPrefix(command, beginning) {
			commands = append(commands, command)
		}
	}
	return commands
}

// shell runs a command line, which must succeed, and returns its output.
func shell(t *testing.T, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", line)
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, complaints.String())
	}
	return string(output)
}
