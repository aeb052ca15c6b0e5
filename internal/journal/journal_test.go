package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-kit/log"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childJournal); path != "" {
		endForever(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// bench is a journal with a clock, a log, and a disk that may fail.
type bench struct {
	*Journal
	t      *testing.T
	config Config
	now    time.Time
	log    bytes.Buffer
	disk   disk
}

// disk are faults of a disk.
type disk struct {
	room    atomic.Int64 // bytes until it is full, or -1
	syncs   error
	syncing func() // called before a sync
	opening error
}

type faulty struct {
	file
	disk *disk
}

func (f faulty) WriteAt(p []byte, at int64) (int, error) {
	room := f.disk.room.Load()
	if room < 0 || room >= int64(len(p)) {
		return f.file.WriteAt(p, at)
	}
	n, err := f.file.WriteAt(p[:room], at)
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f faulty) Sync() error {
	if f.disk.syncing != nil {
		f.disk.syncing()
	}
	return errors.Join(f.disk.syncs, f.file.Sync())
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 11, 27, 22, 15, 0, 0, time.UTC)}
	b.disk.room.Store(-1)
	b.config = Config{
		Path: filepath.Join(t.TempDir(), "journal"), Now: func() time.Time { return b.now }, Logger: log.NewLogfmtLogger(&b.log),
		openFile: func(path string) (file, error) {
			if b.disk.opening != nil {
				return nil, b.disk.opening
			}
			f, err := openFile(path)
			return faulty{f, &b.disk}, err
		},
	}
	t.Cleanup(func() { b.close() })
	b.open()
	return b
}

func (b *bench) open() {
	b.t.Helper()
	journal, err := Open(b.config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Journal = journal
}

func (b *bench) close() {
	b.t.Helper()
	if err := b.Close(); err != nil {
		b.t.Error(err)
	}
}

// reopen stops the program without a chance to write, and starts it again.
func (b *bench) reopen() {
	b.t.Helper()
	b.kill()
	b.open()
}

func (b *bench) kill() {
	b.closed = true
	if b.file != nil {
		_ = b.file.Close()
	}
	_ = b.lock.Close()
}

func anna(sessions int) Intent {
	return Intent{By: "desk", Operator: "olga", Role: "helpdesk", Address: "192.0.2.1", User: `LAB\anna`, Sessions: sessions, Places: []Place{{"/sales", "qlik2"}}}
}

func (b *bench) begin(sessions int) string {
	b.t.Helper()
	id, err := b.Begin(anna(sessions), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) finish(id string, result Result) {
	b.t.Helper()
	if err := b.Finish(id, result); err != nil {
		b.t.Fatal(err)
	}
}

// recentSessions returns the numbers of sessions that Begin passes to allow.
func (b *bench) recentSessions() string {
	b.t.Helper()
	stop := errors.New("stop")
	var sessions []int
	_, err := b.Begin(anna(1), func(recent []Recent) error {
		for _, r := range recent {
			sessions = append(sessions, r.Sessions)
		}
		return stop
	})
	if err != stop { //nolint:errorlint // the error must be unchanged
		b.t.Fatalf("Begin returned %v", err)
	}
	return fmt.Sprint(sessions)
}

func (b *bench) content(path string) []byte {
	b.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return content
}

// report verifies a file, and that the journal agrees about its end.
func (b *bench) report() Report {
	b.t.Helper()
	report := verified(b.t, b.content(b.config.Path))
	if report.Last != b.Entries() || report.Hash != b.hash || report.Torn != 0 || len(report.Problems) > 0 {
		b.t.Errorf("the file ends with line %d %s, the journal with %d %s; %d bytes torn, problems %v",
			report.Last, report.Hash, b.Entries(), b.hash, report.Torn, report.Problems)
	}
	return report
}

func verified(t *testing.T, content []byte) Report {
	t.Helper()
	report, err := Verify(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestIntentAndResult(t *testing.T) {
	b := newBench(t)
	id := b.begin(2)
	if report := b.report(); len(report.Open) != 1 || report.Open[0].ID != id || report.Open[0].User != `LAB\anna` {
		t.Errorf("open intents are %v", report.Open)
	}
	b.now = b.now.Add(time.Second)
	b.finish(id, Result{Ended: 1, Failed: 1})
	report := b.report()
	if report.Entries != 3 || len(report.Open) != 0 || report.Prev != "" || report.To.Sub(report.From) != time.Second {
		t.Errorf("the report is %+v", report)
	}
	lines := strings.Split(strings.TrimSpace(string(b.content(b.config.Path))), "\n")
	want := `{"prev":"` + hash([]byte(lines[0])) + `","n":2,"kind":"intent","at":"2026-11-27T22:15:00Z","id":"` + id +
		`","by":"desk","operator":"olga","role":"helpdesk","address":"192.0.2.1","user":"LAB\\anna","sessions":2,"places":[{"virtual_proxy":"/sales","qlik_node":"qlik2"}]}`
	if lines[1] != want {
		t.Errorf("the intent is\n%s, want\n%s", lines[1], want)
	}
	if want := `msg="Journal written" entries=3 hash=` + report.Hash; !strings.Contains(b.log.String(), want) {
		t.Errorf("the log has no %s:\n%s", want, b.log.String())
	}
	if info, err := os.Stat(b.config.Path); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	for _, wrong := range []string{id, "other"} {
		if err := b.Finish(wrong, Result{}); !errors.Is(err, errUnknown) {
			t.Errorf("Finish of %s returned %v", wrong, err)
		}
	}
	b.close()
	if _, err := b.Begin(anna(1), nil); !errors.Is(err, errClosed) || !errors.Is(b.Check(), errClosed) || !errors.Is(b.Finish(id, Result{}), errClosed) {
		t.Errorf("the closed journal returned %v", err)
	}
}

// TestRecent counts what may have ended, also after a restart.
func TestRecent(t *testing.T) {
	b := newBench(t)
	b.finish(b.begin(4), Result{Ended: 1, Failed: 1, LeftAlone: 2})
	b.now = b.now.Add(30 * time.Minute)
	b.finish(b.begin(3), Result{AlreadyGone: 3})
	b.begin(5)
	for _, want := range []string{"[2 5]", "[5]", "[]"} {
		if got := b.recentSessions(); got != want {
			t.Errorf("recent endings are %s, want %s", got, want)
		}
		b.reopen()
		if got := b.recentSessions(); got != want {
			t.Errorf("after a restart, recent endings are %s, want %s", got, want)
		}
		b.now = b.now.Add(30*time.Minute + time.Second)
	}
}

// TestLimit lets many operators begin at the same time.
func TestLimit(t *testing.T) {
	b := newBench(t)
	full := errors.New("full")
	var allowed atomic.Int64
	var operators sync.WaitGroup
	for range 20 {
		operators.Go(func() {
			id, err := b.Begin(anna(1), func(recent []Recent) error {
				if len(recent) >= 7 {
					return full
				}
				return nil
			})
			switch {
			case err == nil:
				allowed.Add(1)
				if err := b.Finish(id, Result{Ended: 1}); err != nil {
					t.Error(err)
				}
			case err != full: //nolint:errorlint // the error must be unchanged
				t.Error(err)
			}
			if err := b.Check(); err != nil {
				t.Error(err)
			}
		})
	}
	operators.Wait()
	if allowed.Load() != 7 {
		t.Errorf("%d operators were allowed, want 7", allowed.Load())
	}
	if report := b.report(); report.Entries != 15 {
		t.Errorf("the file has %d lines, want 15", report.Entries)
	}
}

func TestOneWriter(t *testing.T) {
	b := newBench(t)
	want := fmt.Sprintf("process %d writes to", os.Getpid())
	if os.PathSeparator != '/' { // Windows lets nobody read a locked file
		want = "process"
	}
	if _, err := Open(b.config); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the second Open returned %v", err)
	}
}

// TestFullDisk fills the disk at every byte of an intent and of a result.
func TestFullDisk(t *testing.T) {
	b := newBench(t)
	id := b.begin(1)
	for room := int64(0); ; room += 3 {
		b.disk.room.Store(-1)
		b.now = b.now.Add(retry)
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		b.disk.room.Store(room)
		before := b.Entries()
		begun, err := b.Begin(anna(1), nil)
		if b.disk.room.Store(-1); err == nil {
			if room < 200 {
				t.Fatalf("an intent needs only %d bytes", room)
			}
			b.finish(begun, Result{})
			break
		}
		if !errors.Is(err, syscall.ENOSPC) || b.Entries() != before {
			t.Fatalf("with %d bytes, Begin returned %v and wrote %d lines", room, err, b.Entries()-before)
		}
		b.report()
	}
	b.disk.room.Store(100)
	if err := b.Finish(id, Result{Ended: 1}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Finish on the full disk returned %v", err)
	}
	if err := b.Check(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Check on the full disk returned %v", err)
	}
	b.report()
	if got := b.recentSessions(); got != "[1]" {
		t.Errorf("recent endings are %s", got)
	}
	for _, step := range []struct {
		room    int64
		passed  time.Duration
		open    int // intents without a result
		useless bool
	}{
		{100, retry, 1, true},
		{1000, retry / 2, 1, true}, // does not try at every request
		{1000, retry, 0, true},     // a result fits, but perhaps no intent
		{-1, retry / 2, 0, true},
		{-1, retry, 0, false},
	} {
		b.disk.room.Store(step.room)
		b.now = b.now.Add(step.passed)
		if err := b.Check(); (err != nil) != step.useless {
			t.Errorf("Check with room for %d bytes returned %v", step.room, err)
		}
		if report := b.report(); len(report.Open) != step.open {
			t.Errorf("with room for %d bytes, open intents are %v", step.room, report.Open)
		}
	}
}

// TestFullDiskAtBegin checks that Check finds out whether there is room again, even if
// nothing is waiting.
func TestFullDiskAtBegin(t *testing.T) {
	b := newBench(t)
	b.disk.room.Store(300)
	big := anna(1)
	big.Ticket = strings.Repeat("x", 300)
	if _, err := b.Begin(big, nil); err == nil {
		t.Fatal("Begin succeeded on the full disk")
	}
	b.now = b.now.Add(retry)
	if err := b.Check(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Check on the full disk returned %v", err)
	}
	b.report()
	b.disk.room.Store(-1)
	b.begin(1) // tries at once
	b.report()
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}

func TestFailedSync(t *testing.T) {
	b := newBench(t)
	id := b.begin(1)
	b.disk.syncs = syscall.EIO
	if _, err := b.Begin(anna(1), nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("Begin returned %v", err)
	}
	if err := b.Finish(id, Result{Ended: 1}); !errors.Is(err, syscall.EIO) {
		t.Errorf("Finish returned %v", err)
	}
	if err := b.Finish(id, Result{Ended: 1}); !errors.Is(err, errUnknown) {
		t.Errorf("the second Finish returned %v", err)
	}
	b.report()
	b.disk.syncs = nil
	b.close() // writes what is waiting
	if report := b.report(); report.Entries != 3 || len(report.Open) != 0 {
		t.Errorf("the report is %+v", report)
	}
}

// TestEntriesDoNotWait checks that a disk that does not respond does not delay a scrape.
func TestEntriesDoNotWait(t *testing.T) {
	b := newBench(t)
	before := b.Entries()
	syncing, responds := make(chan struct{}), make(chan struct{})
	b.disk.syncing = func() {
		close(syncing)
		<-responds
	}
	began := make(chan error, 1)
	go func() {
		_, err := b.Begin(anna(1), nil)
		began <- err
	}()
	<-syncing
	b.disk.syncing = nil
	entries := make(chan int, 1)
	go func() { entries <- b.Entries() }()
	select {
	case n := <-entries:
		if n != before {
			t.Errorf("%d entries before the line is on disk, want %d", n, before)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the disk")
	}
	close(responds)
	if err := <-began; err != nil || b.Entries() != before+1 {
		t.Errorf("%v, %d entries", err, b.Entries())
	}
}

// TestTornLine cuts a line everywhere, and lets a torn line contain anything.
func TestTornLine(t *testing.T) {
	b := newBench(t)
	b.begin(1)
	b.close()
	whole := b.content(b.config.Path)
	first := bytes.IndexByte(whole, '\n') + 1
	ends := [][]byte{[]byte("{}\n"), make([]byte, 3000), append(make([]byte, 3000), '\n'), []byte("\xff\x1b[31m"), []byte("{\n{"), bytes.Repeat([]byte("x"), 200<<10)}
	for at := first + 1; at < len(whole); at++ {
		ends = append(ends, whole[first:at])
	}
	for _, end := range ends {
		if err := os.WriteFile(b.config.Path, append(bytes.Clone(whole[:first]), end...), 0o600); err != nil {
			t.Fatal(err)
		}
		b.open()
		b.begin(2)
		b.close()
		if report := b.report(); report.Closed != 1 || report.Entries != 3 {
			t.Fatalf("after %q the report is %+v", end, report)
		}
		if bytes.ContainsAny(b.content(b.config.Path), "\x1b\x00") {
			t.Errorf("after %q the file contains control characters", end)
		}
	}
	if !strings.Contains(b.log.String(), "The last line of the journal is incomplete") {
		t.Error("the log does not report the line")
	}
}

// TestTornFirstLine cuts the first line of the first file.
func TestTornFirstLine(t *testing.T) {
	b := newBench(t)
	b.close()
	whole := b.content(b.config.Path)
	for at := range len(whole) {
		if err := os.WriteFile(b.config.Path, whole[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		b.open()
		b.close()
		if report := b.report(); report.Closed != min(at, 1) {
			t.Fatalf("after %d bytes the report is %+v", at, report)
		}
	}
}

// TestForeignFile checks that Open never changes a file that is not a journal.
func TestForeignFile(t *testing.T) {
	b := newBench(t)
	b.begin(1)
	b.begin(1)
	b.close()
	whole := b.content(b.config.Path)
	for _, content := range [][]byte{
		[]byte("root:x:0:0"), []byte("root:x:0:0\n"), []byte("a\nb\n"), []byte("{}\n"), bytes.Repeat([]byte("x"), 2*maxLine),
		append(bytes.Clone(whole), bytes.Repeat([]byte("x"), 2*maxLine)...),
		bytes.Replace(whole, []byte("olga"), []byte("oleg"), 1),
		whole[bytes.IndexByte(whole, '\n')+1:],
		append(bytes.Clone(whole), whole...),
	} {
		if err := os.WriteFile(b.config.Path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(b.config)
		if err == nil || !strings.Contains(err.Error(), "line ") || !strings.Contains(err.Error(), keepEvidence) {
			t.Errorf("Open of %.40q returned %v", content, err)
		}
		if !bytes.Equal(b.content(b.config.Path), content) {
			t.Errorf("Open changed %.40q", content)
		}
	}
}

func TestUnusablePlaces(t *testing.T) {
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	plain := filepath.Join(dir, "plain")
	if err := errors.Join(os.Mkdir(closed, 0o500), os.WriteFile(plain, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "journal"): "none does not exist: create it",
		filepath.Join(closed, "journal"):      "must be allowed to create files",
		filepath.Join(plain, "journal"):       "plain is not a folder",
		closed:                                "closed",
	} {
		if path == filepath.Join(closed, "journal") && os.Geteuid() <= 0 { // root and Windows may write anywhere
			continue
		}
		if _, err := Open(Config{Path: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open of %s returned %v", path, err)
		}
	}
}

// TestSettle opens a journal after the program stopped between an intent and its result.
func TestSettle(t *testing.T) {
	b := newBench(t)
	b.begin(2)
	b.reopen()
	if report := b.report(); report.Unknown != 1 || len(report.Open) != 0 {
		t.Errorf("the report is %+v", report)
	}
	if want := `user=LAB\anna sessions=2`; !strings.Contains(b.log.String(), want) {
		t.Errorf("the log has no %s:\n%s", want, b.log.String())
	}
	entries := b.Entries()
	b.reopen()
	if b.Entries() != entries {
		t.Error("the intent is settled twice")
	}
}

// TestRotation checks that the chain, the open intents, and the endings of the last hour
// continue in the next file.
func TestRotation(t *testing.T) {
	b := newBench(t)
	b.config.maxSize = 1000
	b.reopen()
	var ids []string
	for i := range 12 {
		b.now = b.now.Add(time.Second)
		ids = append(ids, b.begin(i+1))
	}
	b.finish(ids[0], Result{Ended: 1})
	files, err := predecessors(b.config.Path)
	if err != nil || len(files) < 2 || filepath.Base(files[0]) != "journal-20261127T221504Z" {
		t.Fatalf("the predecessors are %v, %v", files, err)
	}
	last := ""
	for _, path := range append(files, b.config.Path) {
		report := verified(t, b.content(path))
		if len(report.Problems) > 0 || report.Prev != last {
			t.Errorf("%s begins with %s after %s, problems %v", path, report.Prev, last, report.Problems)
		}
		last = report.Hash
	}
	want := "[1 2 3 4 5 6 7 8 9 10 11 12]"
	if got := b.recentSessions(); got != want {
		t.Errorf("recent endings are %s", got)
	}
	b.reopen()
	if report := b.report(); report.Unknown != 11 || len(report.Open) != 0 {
		t.Errorf("the report is %+v", report)
	}
	if got := b.recentSessions(); got != want {
		t.Errorf("after a restart, recent endings are %s", got)
	}

	// The program stops after it has renamed the file.
	id := b.begin(20)
	b.kill()
	entries := b.Entries()
	if err := os.Rename(b.config.Path, b.config.Path+"-20261127T230000Z"); err != nil {
		t.Fatal(err)
	}
	b.open()
	if report := b.report(); report.First != entries+1 || report.Unknown != 1 || b.Finish(id, Result{}) == nil {
		t.Errorf("the report is %+v", report)
	}
	if got := b.recentSessions(); got != strings.Replace(want, "]", " 20]", 1) {
		t.Errorf("after a restart, recent endings are %s", got)
	}

	// The same, and a start much later.
	b.kill()
	entries = b.Entries()
	if err := os.Rename(b.config.Path, b.config.Path+"-20261127T231000Z"); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(5 * time.Hour)
	b.open()
	if report := b.report(); report.First != entries+1 || report.Entries != 1 {
		t.Errorf("the report is %+v", report)
	}
}

// TestRotationFails uses a name that is taken, and a full disk after the file was renamed.
func TestRotationFails(t *testing.T) {
	b := newBench(t)
	b.config.maxSize = 10
	b.reopen()
	taken := b.config.Path + "-" + b.now.Format(rotated)
	if err := os.WriteFile(taken, []byte("taken"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := b.begin(1)
	if report := b.report(); report.First != 1 || string(b.content(taken)) != "taken" {
		t.Errorf("the report is %+v", report)
	}
	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	b.disk.room.Store(20)
	for range 2 {
		if _, err := b.Begin(anna(1), nil); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Begin returned %v", err)
		}
	}
	b.disk.room.Store(-1)
	b.finish(id, Result{Ended: 1})
	if report := b.report(); report.First != 3 || report.Entries != 2 {
		t.Errorf("the report is %+v", report)
	}
}

// TestMovedAway moves the file away in the ways of logrotate.
func TestMovedAway(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("Windows renames no open file")
	}
	b := newBench(t)
	id := b.begin(1)
	last := b.hash
	move := func() {
		t.Helper()
		if err := os.Rename(b.config.Path, b.config.Path+".1"); err != nil {
			t.Fatal(err)
		}
	}
	move()
	b.disk.opening = syscall.EACCES
	if err := b.Check(); !errors.Is(err, syscall.EACCES) {
		t.Errorf("Check without a file returned %v", err)
	}
	b.disk.opening = nil
	b.finish(id, Result{Ended: 1})
	if report := b.report(); report.Prev != last || report.Entries != 2 || len(report.Open) != 0 {
		t.Errorf("the report is %+v", report)
	}
	move()
	if err := os.WriteFile(b.config.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
	b.report()

	// Another file, or another line, is not overwritten.
	whole := b.content(b.config.Path)
	other := append(bytes.Clone(whole), "x\n"...)
	if err := os.WriteFile(b.config.Path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), keepEvidence) {
		t.Errorf("Check of a changed file returned %v", err)
	}
	move()
	if err := os.WriteFile(b.config.Path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Begin(anna(1), nil); err == nil || !strings.Contains(err.Error(), keepEvidence) {
		t.Errorf("Begin in a replaced file returned %v", err)
	}
	move()
	b.begin(1)
	b.report()
}

func TestLongIntent(t *testing.T) {
	b := newBench(t)
	intent := anna(1)
	intent.Ticket = strings.Repeat("\x1b", maxLine/6)
	if _, err := b.Begin(intent, nil); err == nil {
		t.Error("Begin wrote a line that Verify cannot read")
	}
	intent.Ticket = strings.Repeat("x", maxLine-500)
	if _, err := b.Begin(intent, nil); err != nil {
		t.Error(err)
	}
	b.report()
	b.reopen()
	b.report()
}
