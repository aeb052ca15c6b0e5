package auditlog

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"
)

// poll reads the new lines.
func (f *Follower) poll(ctx context.Context) error {
	next, h, err := f.openLive()
	if err != nil {
		// The open file may have new lines from before its rename. Read them now, because
		// the share may stay unreachable. The error of the live file is more important
		// than the result.
		_ = f.drain(ctx)
		if errors.Is(err, fs.ErrPermission) {
			// Windows returns this error for a file that was deleted while a process, perhaps
			// this one, has it open. A new file with that name cannot be created until the
			// old one is closed.
			f.release()
		}
		return err
	}
	switch {
	case !f.followed:
		err = f.begin(next, h)
	case f.current != nil && f.current.id == h.id:
		// It is the same file.
	default:
		err = f.rollOver(ctx, next, h)
	}
	if err != nil {
		closeFile(next)
		return err
	}
	f.hold(next, h)
	if err := f.drain(ctx); err != nil {
		return err
	}
	if f.current != nil && !f.current.began.IsZero() {
		f.began = f.current.began
	}
	return nil
}

// openLive opens the live file.
func (f *Follower) openLive() (*os.File, head, error) {
	live, _, err := f.list()
	if err != nil {
		f.polled = f.polled || errors.Is(err, errNotRegular) // the folder was read
		return nil, head{}, err
	}
	if len(live) == 0 {
		f.polled = true
		return nil, head{}, errNoFile
	}
	return f.openFile(live[0])
}

func (f *Follower) openFile(name string) (*os.File, head, error) {
	file, err := openRegular(filepath.Join(f.dir, name))
	if err != nil {
		return nil, head{}, err
	}
	h, err := f.readHead(file)
	if err != nil {
		closeFile(file)
		return nil, head{}, err
	}
	return file, h, nil
}

// openRegular opens a regular file. Reading anything else, such as a FIFO or a device,
// can block or never end.
func openRegular(name string) (*os.File, error) {
	info, err := os.Stat(name) // before it is opened, because opening a device can have an effect
	if err != nil {
		return nil, err
	}
	if !regular(info.Mode()) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	if info, err = file.Stat(); err == nil && !regular(info.Mode()) { // replaced just now
		err = &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	if err != nil {
		closeFile(file)
		return nil, err
	}
	return file, nil
}

var errNoFile = errors.New("there is no such file")

var errNotRegular = errors.New("is not a regular file")

// regular reports whether a mode is that of a file with content. On Windows, files of
// some storage services are irregular.
func regular(mode fs.FileMode) bool {
	return mode&(fs.ModeDir|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice|fs.ModeCharDevice) == 0
}

// readHead reads the beginning of a file. A time far in the future counts as now.
// Otherwise all files that begin later would count as old.
func (f *Follower) readHead(file io.ReaderAt) (head, error) {
	h, err := readHead(file, f.buffer)
	if now := f.config.Now(); h.began.After(now.Add(maxAhead)) {
		h.began = now
	}
	return h, err
}

// list returns the names of the live files, the most recently written first, and the
// archives.
func (f *Follower) list() (live []string, archives []fs.DirEntry, err error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, nil, err
	}
	var written map[string]time.Time
	var odd string // a live file that cannot be read
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		name := strings.ToLower(entry.Name())
		if archived, _ := filepath.Match(f.archived, name); archived {
			archives = append(archives, entry)
			continue
		}
		if matches, _ := filepath.Match(f.live, name); !matches {
			continue
		}
		info, err := entry.Info()
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			info, err = os.Stat(filepath.Join(f.dir, entry.Name()))
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed just now
		}
		if err != nil {
			return nil, nil, err
		}
		if !regular(info.Mode()) {
			odd = entry.Name()
			continue
		}
		if written == nil {
			written = make(map[string]time.Time)
		}
		live = append(live, entry.Name())
		written[entry.Name()] = info.ModTime()
	}
	if len(live) == 0 && odd != "" {
		return nil, nil, &fs.PathError{Op: "open", Path: filepath.Join(f.dir, odd), Err: errNotRegular}
	}
	slices.SortStableFunc(live, func(a, b string) int { return written[b].Compare(written[a]) })
	return live, archives, nil
}

// begin determines where to start in the first file.
func (f *Follower) begin(next *os.File, h head) error {
	live, archives, err := f.list()
	if err != nil {
		return err
	}
	if !f.polled {
		if err := f.skipToEnd(next, h); err != nil {
			return err
		}
		// Skip the existing lines of the other live files too, in case one of them is
		// written to later.
		for _, name := range live {
			if filepath.Join(f.dir, name) == next.Name() {
				continue
			}
			if file, h, err := f.openFile(name); err == nil {
				_ = f.skipToEnd(file, h)
				closeFile(file)
			}
		}
	}
	for _, entry := range archives {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // moved away
		}
		if err != nil {
			return err
		}
		f.archives[entry.Name()] = archive{size: info.Size()}
	}
	f.polled, f.followed = true, true
	return nil
}

// skipToEnd sets the position to the end of a file.
func (f *Follower) skipToEnd(file *os.File, h head) error {
	if h.size == 0 {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return f.position(h).toEnd(file, info.Size(), f.buffer)
}

// archive is an archive that was read or skipped.
type archive struct {
	size int64 // if the size has changed since, the archive was still being copied
	id   identity
}

// source is an open archive with its head.
type source struct {
	name string
	file *os.File
	head
	archive archive
}

// rollOver reads all entries that are older than the live file next, which begins with
// h.
func (f *Follower) rollOver(ctx context.Context, next *os.File, h head) error {
	_, archives, err := f.list()
	if err != nil {
		return err
	}
	// The new live file was opened before this read, so the old file gets no more lines.
	// This reads it to its end, even if it was renamed or moved.
	complete := f.finish(ctx, next)
	if err := ctx.Err(); err != nil {
		return err
	}
	held := f.current

	missed, err := f.openMissed(archives)
	defer func() {
		for _, m := range missed {
			if m.file != f.file {
				closeFile(m.file) // closing it twice does no harm
			}
		}
	}()
	if err != nil {
		return err
	}
	for _, m := range missed {
		_, seen := f.positions[m.id]
		switch {
		case seen:
		case !m.began.IsZero() && m.began.Before(f.began):
			f.archives[m.name] = m.archive // older than the followed files, so it was put there later
			continue
		case h.size > 0 && m.began.After(h.began):
			continue // newer than next, so next was renamed after it was opened; next comes first
		}
		f.hold(m.file, m.head)
		if err := f.drain(ctx); err != nil {
			return err
		}
		f.archives[m.name] = m.archive
	}
	listed := make(map[string]bool)
	for _, entry := range archives {
		listed[entry.Name()] = true
		complete = complete || held != nil && f.archives[entry.Name()].id == held.id
	}
	maps.DeleteFunc(f.archives, func(name string, _ archive) bool { return !listed[name] })
	if !complete {
		_ = level.Warn(f.logger).Log("msg", "The audit log was replaced and the rest of it cannot be found; some refused logins may be missing", "file", f.config.Glob)
	}
	return nil
}

// finish reads the open file to its end and reports whether it was read completely.
func (f *Follower) finish(ctx context.Context, next *os.File) bool {
	if f.current != nil {
		if f.file == nil {
			return false
		}
		still, err := f.current.still(f.file)
		return err == nil && still && f.drain(ctx) == nil
	}
	// No entry of the open file was read. If it has entries now, read them first, unless
	// it is the live file that was truncated and rewritten.
	if f.file == nil || sameFile(f.file, next) {
		return true
	}
	h, err := f.readHead(f.file)
	if err != nil {
		return true
	}
	f.hold(f.file, h)
	return f.drain(ctx) == nil
}

// sameFile reports whether two open files are the same file.
func sameFile(a, b *os.File) bool {
	infoA, errA := a.Stat()
	infoB, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// openMissed opens the archives that were not read completely. It returns them in the
// order of their first entries.
func (f *Follower) openMissed(archives []fs.DirEntry) ([]source, error) {
	var missed []source
	for _, entry := range archives {
		m := source{name: entry.Name()}
		info, err := entry.Info()
		if err == nil {
			m.archive.size = info.Size()
			if before, known := f.archives[m.name]; known && before.size == m.archive.size {
				continue
			}
			m.file, m.head, err = f.openFile(m.name)
			m.archive.id = m.id
		}
		switch {
		case errors.Is(err, errNotRegular):
			f.archives[m.name] = m.archive
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			// Moved away. On Windows the entry stays in the folder and cannot be opened while
			// a process has the file open.
		case errors.As(err, new(*fs.PathError)):
			return missed, err
		case err != nil:
			_ = level.Warn(f.logger).Log("msg", "Cannot parse an archive of the audit log", "file", filepath.Join(f.dir, m.name), "err", err)
			f.archives[m.name] = m.archive
		case m.size == 0: // no entry
			closeFile(m.file)
			f.archives[m.name] = m.archive
		default:
			missed = append(missed, m)
		}
	}
	slices.SortStableFunc(missed, func(a, b source) int { return a.began.Compare(b.began) })
	return missed, nil
}

// hold makes a file the followed file.
func (f *Follower) hold(file *os.File, h head) {
	if f.file != file {
		f.release()
	}
	f.file, f.current = file, nil
	if h.size > 0 {
		f.current = f.position(h)
	}
}

// release closes the followed file. Its position stays.
func (f *Follower) release() {
	if f.file != nil {
		closeFile(f.file)
		f.file = nil
	}
}

// drain reads the followed file to its end. A file that had no entry when it was opened
// waits for the next poll, because archives may contain older entries.
func (f *Follower) drain(ctx context.Context) error {
	if f.file == nil || f.current == nil {
		return nil
	}
	err := f.current.read(ctx, f.file, f.buffer, f.denied, f.skipped)
	if err != nil {
		f.release() // a file handle on a share does not recover from errors
	}
	return err
}

// closeFile closes a file that was only read.
func closeFile(file *os.File) {
	_ = file.Close() // no data can be lost
}

// position returns the position in a file. The position in a new file is its beginning.
func (f *Follower) position(h head) *position {
	if p := f.positions[h.id]; p != nil {
		return p
	}
	if len(f.positions) >= maxPositions {
		var oldest *position
		for _, p := range f.positions {
			if p != f.current && (oldest == nil || p.began.Before(oldest.began)) {
				oldest = p
			}
		}
		delete(f.positions, oldest.id)
	}
	p := &position{head: h, offset: h.first}
	f.positions[h.id] = p
	return p
}
