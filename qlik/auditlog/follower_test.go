package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"go.uber.org/goleak"

	"github.com/qlik-exporter/qlik_exporter/qlik"
	"github.com/qlik-exporter/qlik_exporter/qlik/qliktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logWriter writes a log as a repository does.
type logWriter struct {
	t       *testing.T
	dir     string
	newline string
	start   string // written before the header line of a file
	file    *os.File
	entries int // number of entries written so far
	rolls   int
}

const liveName = "QLIKNODE1_AuditSecurity_Repository.txt"

func (w *logWriter) path() string { return filepath.Join(w.dir, liveName) }

func (w *logWriter) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err) // not Fatal: it may be called from any goroutine
	}
}

// create creates the live file, or opens it if it exists.
func (w *logWriter) create() {
	w.t.Helper()
	file, err := os.OpenFile(w.path(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	w.must(err)
	w.file = file
	if info, err := file.Stat(); err == nil && info.Size() == 0 {
		w.raw(w.start + header + w.newline)
	}
}

func (w *logWriter) raw(text string) {
	w.t.Helper()
	_, err := w.file.WriteString(text)
	w.must(err)
}

// entry returns the next entry. Each refusal has its own user, so that a test notices if one is lost or read twice.
func (w *logWriter) entry(message string) string {
	w.entries++
	at := time.Date(2024, 5, 14, 9, 0, 0, 0, time.UTC).Add(time.Duration(w.entries) * time.Millisecond)
	return line(at.Format("20060102T150405.000-0700"), "LAB", userNumber(w.entries), message) + w.newline
}

func userNumber(n int) string { return fmt.Sprintf("user%06d", n) }

// refuse writes n refusals.
func (w *logWriter) refuse(n int) {
	w.t.Helper()
	for range n {
		w.raw(w.entry(limitMessage))
	}
}

// archive renames the file and returns its new name.
func (w *logWriter) archive() string {
	w.t.Helper()
	w.must(w.file.Close())
	w.rolls++
	at := time.Date(2024, 5, 14, 9, 0, w.rolls, 0, time.UTC)
	name := strings.TrimSuffix(w.path(), ".txt") + "_" + at.Format("2006-01-02T15.04.05") + "Z.log"
	w.must(os.Rename(w.path(), name))
	return name
}

func (w *logWriter) rollOver() string {
	w.t.Helper()
	name := w.archive()
	w.create()
	return name
}

// copyAndEmpty rotates the log by copying.
func (w *logWriter) copyAndEmpty() string {
	w.t.Helper()
	w.rolls++
	data, err := os.ReadFile(w.path())
	w.must(err)
	name := strings.TrimSuffix(w.path(), ".txt") + fmt.Sprintf("_copy%06d.log", w.rolls)
	w.must(os.WriteFile(name, data, 0o600))
	w.must(w.file.Truncate(0))
	w.raw(w.start + header + w.newline)
	return name
}

func newLogWriter(t *testing.T, dir string) *logWriter {
	t.Helper()
	w := &logWriter{t: t, dir: dir, newline: "\r\n"}
	t.Cleanup(func() {
		if w.file != nil {
			closeFile(w.file)
		}
	})
	return w
}

// reader runs a follower and stores the refusals that it reports.
type reader struct {
	*Follower
	t    *testing.T
	stop func() // ends the run of start

	mu      sync.Mutex
	refused []Denial
}

func newReader(t *testing.T, config Config) *reader {
	t.Helper()
	if config.Now == nil { // the lines are of 2024, and the time in a bubble begins in 2000
		config.Now = func() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }
	}
	f, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return &reader{Follower: f, t: t}
}

func (r *reader) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx, func(d Denial) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.refused = append(r.refused, d)
		})
	}()
	r.stop = func() {
		cancel()
		<-ended
	}
}

// users returns the numbers of the refused users, in the order of the reports.
func (r *reader) users() []int {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var numbers []int
	for _, d := range r.refused {
		var n int
		if _, err := fmt.Sscanf(d.User.ID, "user%d", &n); err != nil {
			r.t.Errorf("%+v", d)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

func (r *reader) want(first, last int) {
	r.t.Helper()
	var want []int
	for n := first; n <= last; n++ {
		want = append(want, n)
	}
	if got := r.users(); !slices.Equal(got, want) {
		r.t.Errorf("refused %v, want %d to %d", got, first, last)
	}
}

// wantStatus checks the status. An empty problem means up.
func (r *reader) wantStatus(problem string) {
	r.t.Helper()
	s := r.Status()
	if problem == "" && (!s.Up || s.Err != nil || time.Since(s.LastRead) > time.Second) {
		r.t.Errorf("%+v", s)
	}
	if problem != "" && (s.Up || s.Err == nil || !strings.Contains(s.Err.Error(), problem)) {
		r.t.Errorf("%+v, want %s", s, problem)
	}
}

// poll waits in a bubble until the follower has polled again. It wakes slightly later than the follower, because the order of two timers
// with the same time is undefined.
func poll() {
	time.Sleep(defaultInterval + 1)
	synctest.Wait()
}

// inBubble runs a test with fake time, a log with three old refusals, and a follower that has polled it once.
func inBubble(t *testing.T, test func(w *logWriter, r *reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newLogWriter(t, filepath.Join(t.TempDir(), "Audit"))
		w.must(os.Mkdir(w.dir, 0o700))
		w.create()
		w.refuse(3)
		r := newReader(t, Config{Node: "qlik1", Glob: filepath.Join(w.dir, "*_AuditSecurity_Repository.txt")})
		r.start()
		synctest.Wait()
		defer func() { r.stop() }()
		test(w, r)
	})
}

func TestFollow(t *testing.T) {
	for name, test := range map[string]func(w *logWriter, r *reader){
		"from the end": func(w *logWriter, r *reader) {
			r.wantStatus("")
			w.refuse(2)
			poll()
			r.want(4, 5)
		},
		"whole lines only": func(w *logWriter, r *reader) {
			entry := w.entry(limitMessage)
			for _, part := range []string{entry[:10], entry[10:200], entry[200 : len(entry)-1]} {
				w.raw(part)
				poll()
				r.want(1, 0)
			}
			w.raw(entry[len(entry)-1:])
			poll()
			r.want(4, 4)
		},
		"renamed": func(w *logWriter, r *reader) {
			w.refuse(1)
			poll()
			w.refuse(1)
			w.rollOver()
			w.refuse(1)
			poll()
			r.want(4, 6)
		},
		"renamed and moved away": func(w *logWriter, r *reader) {
			w.refuse(2)
			w.must(os.Remove(w.rollOver()))
			w.refuse(1)
			poll()
			r.want(4, 6)
		},
		"renamed, written, and only then begun anew": func(w *logWriter, r *reader) {
			name := w.archive()
			poll()
			r.wantStatus("no such file")
			old, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
			w.must(err)
			_, err = old.WriteString(w.entry(limitMessage))
			w.must(err)
			w.must(old.Close())
			w.must(os.Remove(name))
			w.create()
			w.refuse(1)
			poll()
			r.want(4, 5)
			r.wantStatus("")
		},
		"renamed several times between two looks": func(w *logWriter, r *reader) {
			for range 5 {
				w.refuse(2)
				w.rollOver()
				w.rollOver() // a file without entry
			}
			w.refuse(1)
			poll()
			r.want(4, 14)
			poll()
			r.want(4, 14)
		},
		"renamed several times without new entries": func(w *logWriter, r *reader) {
			for range 3 {
				w.must(os.Mkdir(w.rollOver()+"_folder.log", 0o700)) // a folder with the name of an archive
			}
			poll()
			w.refuse(1)
			w.rollOver()
			w.rollOver()
			poll()
			r.want(4, 4)
		},
		"renamed while stopped": func(w *logWriter, r *reader) {
			w.refuse(1)
			poll()
			r.stop()
			r.wantStatus("stopped")
			for range 3 {
				w.refuse(2)
				w.rollOver()
			}
			w.refuse(1)
			r.start()
			poll()
			r.want(4, 11)
			r.stop()
			r.start()
			poll()
			r.want(4, 11)
		},
		"an archive that others put back": func(w *logWriter, r *reader) {
			name := w.rollOver()
			w.refuse(1)
			poll()
			data, err := os.ReadFile(name)
			w.must(err)
			w.must(os.Remove(name))
			w.rollOver()
			w.refuse(1)
			poll()
			// These archives are new to the follower, but older than the followed log.
			w.must(os.WriteFile(strings.Replace(name, "2024", "2034", 1), data, 0o600))
			w.must(os.WriteFile(strings.Replace(name, "2024", "2044", 1), bytes.ReplaceAll(data, []byte("1288"), []byte("99")), 0o600))
			w.rollOver()
			w.refuse(1)
			poll()
			r.want(4, 6)
		},
		"copied and emptied": func(w *logWriter, r *reader) {
			for range 3 {
				w.refuse(1)
				poll()
				w.refuse(1)
				w.copyAndEmpty()
				w.refuse(3) // the file may become longer or shorter than before
				poll()
				poll()
			}
			r.want(4, 18)
		},
		"emptied after the copy was seen": func(w *logWriter, r *reader) {
			w.refuse(2)
			data, err := os.ReadFile(w.path())
			w.must(err)
			w.must(os.WriteFile(strings.TrimSuffix(w.path(), ".txt")+"_copy.log", data, 0o600))
			poll()
			w.refuse(2) // not in the copy, but read from the file
			poll()
			w.must(w.file.Truncate(0))
			poll()
			w.raw(header + w.newline)
			w.refuse(1)
			poll()
			r.want(4, 8)
		},
		"emptied without a copy": func(w *logWriter, r *reader) {
			w.refuse(1)
			poll()
			w.must(w.file.Truncate(0))
			w.raw(header + w.newline)
			w.refuse(8) // longer than before
			poll()
			r.want(4, 12)
		},
		"another machine name": func(w *logWriter, r *reader) {
			w.refuse(1)
			poll()
			other := newLogWriter(w.t, w.dir)
			other.entries = w.entries
			file, err := os.Create(filepath.Join(w.dir, "renamed_auditsecurity_repository.TXT"))
			w.must(err)
			other.file = file
			other.raw(header + "\n")
			other.refuse(2)
			later := time.Now().Add(100 * 365 * 24 * time.Hour)
			w.must(os.Chtimes(file.Name(), later, later))
			poll()
			r.want(4, 6)
		},
		"a first entry of the year 9999": func(w *logWriter, r *reader) {
			now := time.Date(2024, 5, 14, 9, 0, 0, 4e6, time.UTC) // of the entry with this number
			r.config.Now = func() time.Time { return now }
			w.rollOver()
			w.raw(line("99991231T235959.000+0000", "LAB", userNumber(4), limitMessage) + "\r\n")
			w.entries = 4
			poll()
			r.want(4, 4)
			w.archive() // the follower sees the next file only as an archive
			w.create()
			w.refuse(1)
			w.rollOver()
			w.refuse(1)
			poll()
			poll()
			r.want(4, 6)
			for _, denial := range r.refused {
				if denial.Time.After(r.config.Now()) {
					w.t.Errorf("%+v is in the future", denial)
				}
			}
		},
		"names that are too long": func(w *logWriter, r *reader) {
			long := strings.Repeat("ä", 513)
			w.raw(line("20240514T091502.113+0200", "LAB", long, limitMessage) + "\r\n" + line("20240514T091502.113+0200", long, "anna", limitMessage) + "\r\n")
			poll()
			r.wantStatus("")
			r.want(4, 3)
			if skipped := r.Status().Skipped; skipped != 2 {
				w.t.Errorf("skipped %d lines, want 2", skipped)
			}
		},
		"first line not understood": func(w *logWriter, r *reader) {
			w.must(w.file.Truncate(0))
			w.raw("Sequence#\tTimestamp\tMessage\r\n")
			w.refuse(1)
			poll()
			r.wantStatus("has no column UserDirectory, UserId")
			w.rollOver()
			w.refuse(1)
			poll()
			r.wantStatus("")
			r.want(5, 5)
		},
		"lines that cannot be used": func(w *logWriter, r *reader) {
			w.raw("too\tshort\r\n\r\n" + strings.Repeat("x", 2*maxLine) + "\r\n" + line("now", "LAB", "goran", limitMessage) + "\r\n")
			w.refuse(1)
			poll()
			r.want(4, 4)
			r.wantStatus("")
			if s := r.Status(); s.Skipped != 3 {
				r.t.Errorf("%d skipped", s.Skipped)
			}
		},
		"share vanishes and returns": func(w *logWriter, r *reader) {
			if runtime.GOOS == "windows" {
				r.t.Skip("a folder with open files cannot be renamed")
			}
			w.refuse(1)
			poll()
			w.refuse(1)
			away := w.dir + "-away"
			w.must(os.Rename(w.dir, away))
			poll()
			r.wantStatus("Audit")
			w.refuse(1)
			poll()
			w.must(os.Rename(away, w.dir))
			w.refuse(1)
			poll()
			r.want(4, 7)
			r.wantStatus("")
		},
		"share mounted anew": func(w *logWriter, r *reader) {
			w.refuse(1)
			poll()
			// The inodes change, the open handle is dead, the folder is empty for a while, and the follower misses rollovers.
			w.refuse(1)
			w.must(w.file.Close())
			away := w.dir + "-away"
			w.must(os.CopyFS(away, os.DirFS(w.dir)))
			r.stop()
			w.must(os.RemoveAll(w.dir))
			w.must(os.Mkdir(w.dir, 0o700))
			r.start()
			poll()
			r.wantStatus("no such file")
			w.must(os.Remove(w.dir))
			poll()
			r.wantStatus("Audit")
			share := w.dir
			w.dir = away
			w.create()
			w.refuse(1)
			w.rollOver()
			w.refuse(1)
			w.rollOver()
			w.refuse(1)
			w.must(w.file.Close())
			w.must(os.CopyFS(share, os.DirFS(away)))
			poll()
			r.want(4, 8)
			r.wantStatus("")
		},
		"handle dies": func(w *logWriter, r *reader) {
			w.refuse(1)
			poll()
			closeFile(r.file)
			w.refuse(1)
			w.rollOver()
			w.refuse(1)
			poll()
			poll()
			r.want(4, 6)
		},
	} {
		t.Run(name, func(t *testing.T) { inBubble(t, test) })
	}
}

func TestFileThatAppearsLater(t *testing.T) {
	for name, test := range map[string]struct {
		mkdir bool
		first int // the first refusal that is reported
	}{
		"in a folder that was there": {true, 1},
		"with its folder":            {false, 3}, // like a share that was unreachable: it is unknown which lines are old
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newLogWriter(t, filepath.Join(t.TempDir(), "Audit"))
				w.newline, w.start = "\n", "\uFEFF"
				if test.mkdir {
					w.must(os.Mkdir(w.dir, 0o700))
				}
				r := newReader(t, Config{Glob: filepath.Join(w.dir, "*_AuditSecurity_Repository.txt")})
				r.wantStatus("not started")
				r.start()
				defer func() { r.stop() }()
				poll()
				if test.mkdir {
					r.wantStatus("no such file")
				} else {
					r.wantStatus("Audit")
					w.must(os.Mkdir(w.dir, 0o700))
				}
				w.create()
				w.refuse(2)
				w.raw(w.entry(limitMessage)[:100])
				w.entries--
				poll()
				w.raw(w.entry(limitMessage)[100:])
				poll()
				r.want(test.first, 3)
				r.wantStatus("")
			})
		})
	}
}

func TestUnresponsive(t *testing.T) {
	inBubble(t, func(_ *logWriter, r *reader) {
		r.stop()
		r.report(nil) // as if the next poll had not returned since
		time.Sleep(30 * time.Second)
		if s := r.Status(); !s.Up {
			r.t.Errorf("%+v", s)
		}
		time.Sleep(time.Second)
		r.wantStatus("does not respond")
	})
}

// countingLog counts lines, and notices secrets.
type countingLog struct {
	t *testing.T

	mu    sync.Mutex
	lines []string
}

func (l *countingLog) Log(keyvals ...any) error {
	text := fmt.Sprint(keyvals...)
	for _, secret := range []string{"e3cd957b", "::1", "goran", "user0"} {
		if strings.Contains(text, secret) {
			l.t.Error("a secret is logged:", text)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, text)
	return nil
}

func TestLogsChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLogWriter(t, t.TempDir())
		lines := &countingLog{t: t}
		r := newReader(t, Config{Glob: filepath.Join(w.dir, "*_AuditSecurity_Repository.txt"), Logger: lines})
		r.start()
		defer func() { r.stop() }()
		// want waits for a poll. It expects n log lines, and each text in the corresponding
		// one of the last lines.
		want := func(n int, last ...string) {
			t.Helper()
			poll()
			lines.mu.Lock()
			defer lines.mu.Unlock()
			if len(lines.lines) != n {
				t.Fatalf("%d lines, want %d: %q", len(lines.lines), n, lines.lines)
			}
			for i, words := range last {
				if line := lines.lines[n-len(last)+i]; !strings.Contains(line, words) {
					t.Errorf("line %s, want one with %s", line, words)
				}
			}
		}
		want(1, "no such file")
		want(1)
		w.create()
		w.refuse(10)
		want(2, "Following")
		want(2)
		w.raw("short " + limitMessage + "\n" + "short\n")
		want(3, errColumns.Error()) // one log line for both invalid lines
		w.raw(line("now", "LAB", "goran", limitMessage) + "\n" + strings.Repeat(limitMessage, 1000) + "\n")
		want(5, errTime.Error(), errLong.Error())
		w.must(w.file.Truncate(0))
		want(6, "the rest of it cannot be found")
		w.raw(line("now", "LAB", "goran", limitMessage) + "\n")
		want(7, "has no column")
		want(7)
	})
}

// TestTablesDoNotGrow checks that the follower forgets deleted archives, and the
// positions in files that were read long ago.
func TestTablesDoNotGrow(t *testing.T) {
	inBubble(t, func(w *logWriter, r *reader) {
		const files = maxPositions + 20
		for range files {
			w.refuse(1)
			name := w.rollOver()
			w.refuse(1)
			poll()
			w.must(os.Remove(name))
		}
		r.want(4, 3+2*files)
		r.stop() // so that the test has exclusive access to the tables
		if n := len(r.archives); n > 1 {
			r.t.Errorf("%d archives are known after %d were removed, want at most the last", n, files)
		}
		if n := len(r.positions); n > maxPositions {
			r.t.Errorf("the positions in %d files are known, want at most %d", n, maxPositions)
		}
	})
}

func TestNew(t *testing.T) {
	for _, glob := range []string{"", "folder" + string(filepath.Separator), "[", filepath.Join("folder", "a[.txt")} {
		if _, err := New(Config{Glob: glob}); err == nil {
			t.Errorf("%q is taken", glob)
		}
	}
	if _, err := New(Config{Glob: "log.txt"}); err != nil {
		t.Error(err)
	}
}

// TestExactlyOnce writes many lines while a follower runs, stops and starts. Files are renamed, sometimes several at a time, and
// deleted as soon as the follower had a chance to read them.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	lines := 100_000
	if testing.Short() { // with the race detector, a busy machine needs minutes for them
		lines = 20_000
	}
	exactlyOnce(t, lines, (*logWriter).rollOver)
}

// TestExactlyOnceCopied is a shorter variant with a log that is copied and emptied. Nothing is written between these steps, because
// such lines would be in neither file.
func TestExactlyOnceCopied(t *testing.T) {
	t.Parallel()
	exactlyOnce(t, 30_000, (*logWriter).copyAndEmpty)
}

func exactlyOnce(t *testing.T, lines int, rotate func(*logWriter) string) {
	t.Helper()
	w := newLogWriter(t, t.TempDir())
	w.create()
	lost := log.LoggerFunc(func(keyvals ...any) error {
		if text := fmt.Sprint(keyvals...); strings.Contains(text, "cannot be found") {
			t.Error(text)
		}
		return nil
	})
	r := newReader(t, Config{Glob: w.path(), PollInterval: time.Millisecond, Logger: lost})
	r.start()
	// The first poll decides which lines are old, so the test writes nothing before it.
	wait := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Minute); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what, r.Status())
			}
		}
	}
	wait("no first look", func() bool { return r.Status().Up })

	var (
		want    []int
		written = make(chan struct{})
		removed int
	)
	go func() {
		defer close(written)
		random := rand.New(rand.NewPCG(1, 2))
		// A rotated file may be deleted after the end of two polls: the second one began after the rotation.
		type old struct {
			name  string
			since time.Time
			looks int
		}
		var waiting []old
		for n := 1; n <= lines; n++ {
			message := grantedMessage
			switch {
			case n%10 == 0:
				message = limitMessage
				want = append(want, n)
			case n%77 == 0:
				message = licenseMessage
				want = append(want, n)
			}
			entry := w.entry(message)
			if random.IntN(50) == 0 { // in two parts
				at := 1 + random.IntN(len(entry)-1)
				w.raw(entry[:at])
				if random.IntN(4) == 0 {
					time.Sleep(time.Millisecond)
				}
				entry = entry[at:]
			}
			w.raw(entry)
			for random.IntN(500) == 0 {
				waiting = append(waiting, old{rotate(w), time.Now(), 0})
			}
			if n%100 == 0 {
				time.Sleep(time.Duration(random.IntN(2)) * time.Millisecond)
				last := r.Status().LastRead
				waiting = slices.DeleteFunc(waiting, func(o old) bool {
					return o.looks == 2
				})
				for i := range waiting {
					o := &waiting[i]
					if last.After(o.since) {
						o.since, o.looks = last, o.looks+1
					}
					if o.looks == 2 {
						w.must(os.Remove(o.name))
						removed++
					}
				}
			}
		}
	}()
	random := rand.New(rand.NewPCG(3, 4))
	restarts := 0
	for writing := true; writing; {
		select {
		case <-written:
			writing = false
		case <-time.After(time.Duration(random.IntN(100)) * time.Millisecond):
			r.stop()
			time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
			r.start()
			restarts++
		}
	}
	wait("not everything is read", func() bool { return len(r.users()) >= len(want) })
	time.Sleep(5 * time.Millisecond) // one or two more polls, to find lines that are read twice
	r.stop()
	got := r.users()
	if !slices.Equal(got, want) {
		sorted := slices.Sorted(slices.Values(got))
		t.Errorf("%d refusals reported, %d of them different, %d written; in order: %t", len(got), len(slices.Compact(sorted)), len(want), slices.IsSorted(got))
	}
	if s := r.Status(); s.Skipped != 0 {
		t.Errorf("%d lines skipped", s.Skipped)
	}
	t.Logf("%d lines, %d refusals, %d rotations, %d archives deleted meanwhile, %d restarts", lines, len(want), w.rolls, removed, restarts)
}

// TestSimulatedSite reads what the simulated site writes.
func TestSimulatedSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, err := qliktest.Start(qliktest.Config{
			Users:       []qliktest.User{{Directory: "LAB", ID: "Goran", License: qliktest.Professional}},
			AuditLogDir: t.TempDir(), InMemory: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer site.Close()
		r := newReader(t, Config{Node: "qlik1", Glob: site.AuditLogPath("qlik1")})
		r.start()
		defer func() { r.stop() }()
		synctest.Wait()

		login := func(id, device string) {
			t.Helper()
			if _, err := site.Login("LAB", id, device, "", ""); err != nil {
				t.Fatal(err)
			}
		}
		for device := range 5 {
			login("Goran", fmt.Sprint(device))
		}
		at := time.Now()
		login("goran", "one more")
		if err := site.RollAuditLog("qlik1"); err != nil {
			t.Fatal(err)
		}
		login("stranger", "laptop")
		poll()
		want := []Denial{
			{at, qlik.User{Directory: "LAB", ID: "goran"}, SessionLimit},
			{at, qlik.User{Directory: "LAB", ID: "stranger"}, NoLicense},
		}
		if !slices.EqualFunc(r.refused, want, func(a, b Denial) bool {
			return a.Time.Equal(b.Time) && a.User == b.User && a.Reason == b.Reason
		}) {
			t.Errorf("%+v, want %+v", r.refused, want)
		}
	})
}

// TestOthersMayRename checks that others can rename and delete a file that the follower has open.
func TestOthersMayRename(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log.txt")
	if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile(file)
	if err := os.Rename(name, name+".log"); err != nil {
		t.Error(err)
	}
	if err := os.Remove(name + ".log"); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(file); string(text) != "text" || err != nil {
		t.Error(string(text), err)
	}
	if _, err := open(name); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
