package guard

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
)

// The variables of a child process: its journal, and the number of the process.
const (
	childJournal = "TEST_QLIK_EXPORTER_GUARD_JOURNAL"
	childNumber  = "TEST_QLIK_EXPORTER_GUARD_NUMBER"
)

// TestKilledGuard is not a test: TestKill runs it in a process that it kills. It ends sessions
// until then, and prints the user of each one after it has ended.
func TestKilledGuard(t *testing.T) {
	path := os.Getenv(childJournal)
	if path == "" {
		t.Skip("TestKill runs this")
	}
	record, err := journal.Open(journal.Config{Path: path, Logger: log.NewNopLogger()})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) { c.Journal, c.Name = record, os.Getenv(childNumber) }) // each has limits of its own
	w.printed = os.Stdout
	w.pass(40*time.Minute, nil)
	_, _ = fmt.Fprintln(os.Stdout, "ready")
	for round := 0; ; round++ {
		for window := range 4 {
			for user := range 20 {
				w.login(fmt.Sprint("user", os.Getenv(childNumber), "-", round, "-", user))
			}
			if window < 3 {
				w.pass(30*time.Second, nil)
			}
		}
		w.pass(40*time.Minute, nil)
	}
}

// TestKill kills a guard at random moments. Everything that ended has an intent in the
// journal, and the next start settles what is open.
func TestKill(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows releases the locks of a killed process later")
	}
	kills := 10
	if testing.Short() {
		kills = 3
	}
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	var ended []string
	for kill := range kills {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledGuard$")
		child.Env = append(os.Environ(), childJournal+"="+path, fmt.Sprint(childNumber, "=", kill))
		stdout, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		ready, after := false, 1+rand.IntN(15) // endings
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			user, is := strings.CutPrefix(lines.Text(), "ended ")
			switch {
			case lines.Text() == "ready":
				ready = true
			case is:
				ended = append(ended, user)
			}
			if after--; after == 0 {
				time.Sleep(rand.N(2 * time.Millisecond)) // at any moment of the next ending
				_ = child.Process.Kill()
			}
		}
		_ = child.Wait()
		if !ready {
			t.Fatal("the child did not start")
		}
		verify(t, path)
		record, err := journal.Open(journal.Config{Path: path, Logger: log.NewNopLogger()})
		if err != nil {
			t.Fatal(err)
		}
		if err := record.Close(); err != nil {
			t.Fatal(err)
		}
	}
	report := verify(t, path)
	if len(report.Open) > 0 {
		t.Errorf("%v are open", report.Open)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(ended) == 0 {
		t.Error("nothing has ended")
	}
	for _, user := range ended {
		if !strings.Contains(string(content), fmt.Sprintf(`"user":"LAB\\%s"`, user)) {
			t.Errorf("a session of %s ended without an intent", user)
		}
	}
	t.Logf("%d kills, %d ended, %d lines, %d unknown", kills, len(ended), report.Entries, report.Unknown)
}
