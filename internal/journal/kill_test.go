package journal

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
)

// childJournal is the variable with the journal of a child process.
const childJournal = "TEST_QLIK_EXPORTER_JOURNAL"

// endForever ends sessions until the process is killed. Each ending is a line in a
// second file.
func endForever(path string) {
	j, err := Open(Config{Path: path, maxSize: 20 << 10})
	if err != nil {
		panic(err)
	}
	ended, err := os.OpenFile(path+".ended", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, "ready")
	for {
		id, err := j.Begin(anna(1), nil)
		if err != nil {
			panic(err)
		}
		if _, err := fmt.Fprintln(ended, id); err != nil {
			panic(err)
		}
		if err := ended.Sync(); err != nil {
			panic(err)
		}
		if err := j.Finish(id, Result{Ended: 1}); err != nil {
			panic(err)
		}
	}
}

// TestKill kills a program that ends sessions, at random moments. Everything that ended
// has an intent in the journal, and the next start settles what is open.
func TestKill(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows releases the locks of a killed process later")
	}
	path := filepath.Join(t.TempDir(), "journal")
	const kills = 32
	for range kills {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childJournal+"="+path)
		child.Stderr = os.Stderr
		stdout, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		_, err = bufio.NewReader(stdout).ReadString('\n')
		time.Sleep(rand.N(20 * time.Millisecond))
		_ = child.Process.Kill()
		_ = child.Wait()
		if err != nil {
			t.Fatalf("the child did not start: %v", err)
		}
		j, err := Open(Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}

	files, err := predecessors(path)
	if err != nil {
		t.Fatal(err)
	}
	var last Report
	unknown, intents := 0, make(map[string]bool)
	for _, file := range append(files, path) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		report := verified(t, content)
		if len(report.Problems) > 0 || report.Torn > 0 || report.Prev != last.Hash || report.First != last.Last+1 {
			t.Errorf("%s: the report is %+v", file, report)
		}
		last = report
		unknown += report.Unknown
		for text := range strings.Lines(string(content)) {
			if l, err := decode([]byte(text)); err != nil {
				t.Error(err)
			} else if l.Kind == kindIntent {
				intents[l.ID] = true
			}
		}
	}
	if len(last.Open) > 0 {
		t.Errorf("%v are open", last.Open)
	}
	content, err := os.ReadFile(path + ".ended")
	if err != nil {
		t.Fatal(err)
	}
	ended := strings.Fields(string(content))
	for _, id := range ended {
		if !intents[id] {
			t.Errorf("%s ended without an intent", id)
		}
	}
	if len(ended) == 0 || unknown == 0 {
		t.Error("no kill hit an ending")
	}
	t.Logf("%d kills, %d intents in %d files, %d ended, %d unknown", kills, len(intents), len(files)+1, len(ended), unknown)
}
