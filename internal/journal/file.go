package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/gofrs/flock"
)

// file is what a journal needs of an *os.File.
type file interface {
	io.ReaderAt
	io.WriterAt
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// rotated is the time in the name of an earlier file: FILE-20261127T221500Z.
const rotated = "20060102T150405Z"

// keepEvidence is the remedy for a file that is not as the journal wrote it.
const keepEvidence = "move the file away and keep it as evidence; a new one begins then"

// Open opens the journal and locks it. It verifies the file, replaces an incomplete last
// line by a line of kind torn, and settles intents without a result. A file that does
// not exist begins with the hash of its newest predecessor.
func Open(config Config) (_ *Journal, err error) {
	config.Logger = cmp.Or(config.Logger, log.NewNopLogger())
	config.maxSize = cmp.Or(config.maxSize, maxSize)
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.openFile == nil {
		config.openFile = openFile
	}
	j := &Journal{config: config, open: make(map[string]bool)}
	if j.lock, err = lock(config.Path); err != nil {
		return nil, err
	}
	defer func() {
		if err == nil {
			return
		}
		if j.file != nil {
			_ = j.file.Close()
		}
		_ = j.lock.Close()
	}()
	if err := j.openFile(); err != nil {
		return nil, err
	}
	if err := j.load(); err != nil {
		return nil, err
	}
	return j, nil
}

// CheckFolder returns an error if there is no folder for a journal.
func CheckFolder(path string) error {
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder %s does not exist: create it, and let only the account of the exporter write to it", folder)
	} else if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a folder", folder)
	}
	return nil
}

// lock locks a file beside the journal. A lock of the journal itself would keep others
// from reading it on Windows.
func lock(path string) (*flock.Flock, error) {
	if err := CheckFolder(path); err != nil {
		return nil, err
	}
	folder := filepath.Dir(path)
	l := flock.New(path + ".lock")
	locked, err := l.TryLock()
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the account of the exporter must be allowed to create files in the folder %s: %w", folder, err)
	case err != nil:
		return nil, fmt.Errorf("cannot lock the journal: %w", err)
	case !locked:
		// The process that holds the lock has written its id. On Windows, others
		// cannot read a locked file.
		process := "another process"
		if id, err := os.ReadFile(l.Path()); err == nil && len(id) > 0 {
			process = "process " + strings.TrimSpace(string(id))
		}
		return nil, fmt.Errorf("%s writes to %s: stop that exporter, or give each exporter a journal of its own", process, path)
	}
	_ = os.WriteFile(l.Path(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return l, nil
}

func openFile(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// openFile opens the file, or creates it. A file that the journal has not written must
// be empty, except at the start.
func (j *Journal) openFile() error {
	f, err := j.config.openFile(j.config.Path)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the account of the exporter must be allowed to read and write the journal: %w", err)
	}
	if err != nil {
		return err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", j.config.Path)
	case info.Size() == 0:
		j.size = 0
		err = syncFolder(filepath.Dir(j.config.Path))
	case j.number > 0 && (j.info == nil || !os.SameFile(info, j.info) || info.Size() != j.size):
		err = fmt.Errorf("%s contains lines that this process did not write: %s", j.config.Path, keepEvidence)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	j.file, j.info = f, info
	return nil
}

// locate checks that the path still leads to the file, as it was written. If the file
// was moved away or removed, a new one is to begin.
func (j *Journal) locate() error {
	if j.file == nil {
		return nil
	}
	info, err := os.Stat(j.config.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0 && !os.SameFile(info, j.info):
		_ = level.Warn(j.config.Logger).Log("msg", "The journal was moved away or removed; a new file begins with its last hash",
			"file", j.config.Path, "entries", j.number, "hash", j.hash)
		j.leave()
		return nil
	case err != nil:
		return err
	case !os.SameFile(info, j.info):
		return fmt.Errorf("another file has taken the place of %s: %s", j.config.Path, keepEvidence)
	case info.Size() < j.size, info.Size() > j.size && j.broken == nil: // a failed write may have left bytes
		return fmt.Errorf("%s has %d bytes instead of %d, so something else has changed it: %s", j.config.Path, info.Size(), j.size, keepEvidence)
	}
	return nil
}

// leave closes the file, so that a new one begins.
func (j *Journal) leave() {
	_ = j.file.Close() // every line is already synced
	j.file, j.info, j.size = nil, nil, 0
}

// rotate renames a large file and begins a new one. If the file cannot be renamed, for
// example while another program reads it on Windows, it grows until the next attempt.
func (j *Journal) rotate(now time.Time) error {
	if j.size <= j.config.maxSize {
		return nil
	}
	target := j.config.Path + "-" + now.Format(rotated)
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		return nil // later, with another name
	}
	info, size := j.info, j.size
	j.leave() // Windows renames no open file
	if err := os.Rename(j.config.Path, target); err != nil {
		_ = level.Warn(j.config.Logger).Log("msg", "Cannot rename the journal; it continues in the same file", "err", err)
		j.info, j.size = info, size
	} else {
		_ = level.Info(j.config.Logger).Log("msg", "Journal renamed", "file", target)
	}
	return j.ready()
}

// load reads the file and, if necessary, its predecessors, and settles what is open.
func (j *Journal) load() error {
	start := j.now().Add(-recently)
	remember := func(l *line) {
		if l.Kind == kindResult || !l.At.Before(start) {
			j.recent.add(l)
		}
	}
	begun := hasLines(j.file)
	predecessors, err := predecessors(j.config.Path)
	if err != nil {
		return err
	}
	var before contents
	for i, name := range predecessors {
		newest := i == len(predecessors)-1
		if needed := newest && !begun || !renamedAt(name).Before(start); !needed {
			continue
		}
		if before, err = readPredecessor(name, remember); err != nil {
			return err
		}
	}
	current, err := read(j.file, j.info.Size(), j.config.Path, remember)
	if err != nil {
		return err
	}
	last := current
	if !begun {
		last = before
	}
	j.number, j.hash, j.size = last.Last, last.Hash, current.size
	j.entries.Store(int64(j.number))
	for id := range last.open {
		j.open[id] = false
	}
	return j.settle(current.torn, last.open)
}

// settle begins an empty file, replaces an incomplete last line, and settles intents
// without a result.
func (j *Journal) settle(incomplete *torn, open map[string]OpenIntent) error {
	var lines []*line
	if j.size == 0 {
		lines = append(lines, &line{Kind: kindBegin, Open: slices.Sorted(maps.Keys(open))})
	}
	if incomplete != nil {
		_ = level.Warn(j.config.Logger).Log("msg", "The last line of the journal is incomplete, as after a power failure; a line of kind torn replaces it",
			"file", j.config.Path, "bytes", incomplete.Bytes, "text", incomplete.Text[:min(len(incomplete.Text), 1000)])
		lines = append(lines, &line{Kind: kindTorn, Torn: incomplete})
	}
	for _, id := range slices.Sorted(maps.Keys(open)) {
		intent := open[id]
		_ = level.Warn(j.config.Logger).Log("msg", "The program stopped while it ended sessions; how many have ended is unknown",
			"id", id, "by", intent.By, "operator", intent.Operator, "user", intent.User, "sessions", intent.Sessions)
		lines = append(lines, &line{Kind: kindUnknown, ID: id})
	}
	for _, l := range lines {
		l.At = j.now()
		if err := j.write(l); err != nil {
			return fmt.Errorf("cannot write the journal %s: %w", j.config.Path, err)
		}
	}
	clear(j.open)
	if incomplete == nil {
		return nil
	}
	// The new lines have overwritten the incomplete one, unless it was longer.
	return j.file.Truncate(j.size)
}

// contents are those of the file of a journal.
type contents struct {
	verification
	size int64 // of the complete lines
	torn *torn // what follows them
}

// read reads and verifies a file. It calls each with every line.
func read(f io.ReaderAt, size int64, name string, each func(*line)) (contents, error) {
	c := contents{verification: verification{open: make(map[string]OpenIntent)}}
	lines := newLineReader(io.NewSectionReader(f, 0, size))
	for {
		content, length, ended, err := lines.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return contents{}, fmt.Errorf("cannot read the journal %s: %w", name, err)
		}
		last := err != nil || !ended
		// A line that was written only in part may have its end, because the parts of
		// a file do not reach the disk in order.
		unreadable := c.chain.damaged > 0 && len(c.Problems) == 1
		if len(c.Problems) > 0 && (!last || !unreadable) {
			return contents{}, fmt.Errorf("the journal %s was changed: %s: %s", name, c.Problems[0], keepEvidence)
		}
		if last {
			break
		}
		l := c.add(content)
		if len(c.Problems) == 0 {
			c.size += length
			each(l)
		}
	}
	rest := size - c.size
	if rest == 0 {
		return c, nil
	}
	text := make([]byte, min(rest, maxTorn))
	if _, err := f.ReadAt(text, c.size); err != nil && !errors.Is(err, io.EOF) {
		return contents{}, fmt.Errorf("cannot read the journal %s: %w", name, err)
	}
	if rest > maxLine || c.size == 0 && !startsLine(text) {
		return contents{}, fmt.Errorf("%s is not a journal after line %d: %s", name, c.Entries, keepEvidence)
	}
	c.torn = &torn{Bytes: rest, Text: string(text)}
	return c, nil
}

// startsLine reports whether a text may be the start of a line. After a power failure it
// may consist of zero bytes.
func startsLine(text []byte) bool {
	const start = `{"prev":`
	text = bytes.TrimRight(text[:min(len(start), len(text))], "\x00")
	return strings.HasPrefix(start, string(text))
}

// hasLines reports whether a file starts with a line of a journal.
func hasLines(f io.ReaderAt) bool {
	content, _, ended, err := newLineReader(io.NewSectionReader(f, 0, maxLine)).next()
	if err != nil || !ended {
		return false
	}
	_, err = decode(content)
	return err == nil
}

// predecessors returns the paths of the renamed files of a journal, oldest first.
func predecessors(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path)) // sorted by name, which contains the time
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		stamp, ok := strings.CutPrefix(entry.Name(), filepath.Base(path)+"-")
		if !ok {
			continue
		}
		if _, err := time.Parse(rotated, stamp); err == nil {
			found = append(found, filepath.Join(filepath.Dir(path), entry.Name()))
		}
	}
	return found, nil
}

// renamedAt returns the time in the name of a predecessor.
func renamedAt(name string) time.Time {
	at, _ := time.Parse(rotated, name[len(name)-len(rotated):])
	return at
}

func readPredecessor(name string, each func(*line)) (contents, error) {
	f, err := os.Open(name)
	if err != nil {
		return contents{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return contents{}, err
	}
	return read(f, info.Size(), name, each)
}

// syncFolder makes the name of a new or renamed file durable. Windows does this itself,
// and some network file systems cannot.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
