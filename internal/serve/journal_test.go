package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"github.com/qlik-exporter/qlik_exporter/internal/journal"
)

// TestJournalLater checks that the desk records nothing, and works again by itself, if its
// journal cannot be opened at the start.
func TestJournalLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		config := journal.Config{Path: filepath.Join(dir, "desk.jsonl"), Logger: log.NewNopLogger()}
		if err := os.WriteFile(config.Path, []byte("a file of another program\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := openJournal(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Check(); err == nil || !strings.Contains(err.Error(), config.Path) {
			t.Errorf("with a foreign file: %v", err)
		}
		if _, err := j.Begin(journal.Intent{}, nil); err == nil {
			t.Error("it records although the file is foreign")
		}
		if j.lines() != 0 || j.Recent() != nil || j.Finish("id", journal.Result{}) == nil {
			t.Error("it knows something of a foreign file")
		}
		if err := os.Remove(config.Path); err != nil {
			t.Fatal(err)
		}
		if j.Check() == nil {
			t.Error("it tries again at once")
		}
		time.Sleep(reopenAfter)
		if err := j.Check(); err != nil {
			t.Errorf("without the foreign file: %v", err)
		}
		id, err := j.Begin(journal.Intent{Sessions: 1}, nil)
		if err != nil || j.Finish(id, journal.Result{Ended: 1}) != nil || j.lines() != 3 || len(j.Recent()) != 1 {
			t.Errorf("%v, %d entries, %v", err, j.lines(), j.Recent())
		}
		if err := j.Close(); err != nil || j.Check() == nil {
			t.Errorf("closed: %v", err)
		}
	})
}

// TestScrapeDoesNotWaitForJournal checks that a scrape does not wait for a journal that is
// being opened.
func TestScrapeDoesNotWaitForJournal(t *testing.T) {
	t.Parallel()
	j := new(sharedJournal)
	j.mu.Lock() // as while the file is read
	entries := make(chan int, 1)
	go func() { entries <- j.lines() }()
	select {
	case n := <-entries:
		if n != 0 {
			t.Errorf("%d entries", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits")
	}
	j.mu.Unlock()
}
