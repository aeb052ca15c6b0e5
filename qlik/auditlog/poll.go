package auditlog

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"
)

// poll reads what is new.
func (f *Follower) poll(ctx context.Context) error {
	next, h, err := f.openLive()
	if err != nil {
		// What is held may have grown before it was renamed, and the share may be gone
		// for long: read it now. Why the live file is missing matters more than
		// whether this works.
		_ = f.drain(ctx)
		if errors.Is(err, fs.ErrPermission) {
			// So does Windows answer for a file that was deleted while somebody, perhaps we,
			// has it open. Until it is closed nobody can make a new one of that name.
			f.release()
		}
		return err
	}
	switch {
	case !f.followed:
		err = f.begin(next, h)
	case f.current != nil && f.current.id == h.id:
		// The same file still, or again.
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
		return nil, head{}, err
	}
	if len(live) == 0 {
		f.looked = true
		return nil, head{}, errors.New("there is no such file")
	}
	return f.openFile(live[0])
}

func (f *Follower) openFile(name string) (*os.File, head, error) {
	file, err := open(filepath.Join(f.dir, name))
	if err != nil {
		return nil, head{}, err
	}
	h, err := readHead(file, f.buffer)
	if err != nil {
		closeFile(file)
		return nil, head{}, err
	}
	return file, h, nil
}

// list returns the names of the live files, the one written last first, and the
// archives.
func (f *Follower) list() (live []string, archives []fs.DirEntry, err error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, nil, err
	}
	var written map[string]time.Time
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
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed just now
		}
		if err != nil {
			return nil, nil, err
		}
		if written == nil {
			written = make(map[string]time.Time)
		}
		live = append(live, entry.Name())
		written[entry.Name()] = info.ModTime()
	}
	slices.SortStableFunc(live, func(a, b string) int { return written[b].Compare(written[a]) })
	return live, archives, nil
}

// begin decides where to start in the first file that is seen.
func (f *Follower) begin(next *os.File, h head) error {
	live, archives, err := f.list()
	if err != nil {
		return err
	}
	if !f.looked {
		if err := f.skipToEnd(next, h); err != nil {
			return err
		}
		// Should another live file ever be written to, then its old lines are no news either.
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
	f.looked, f.followed = true, true
	return nil
}

// skipToEnd makes the end of a file the position in it.
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

// archive is an archive that was dealt with.
type archive struct {
	size int64 // if it has another one now, then it was still being copied
	id   identity
}

// source is an archive that was opened and recognized.
type source struct {
	name string
	file *os.File
	head
	archive archive
}

// rollOver reads everything that came before the live file, next, which begins with h.
func (f *Follower) rollOver(ctx context.Context, next *os.File, h head) error {
	_, archives, err := f.list()
	if err != nil {
		return err
	}
	// The live file was opened before, so the one held gets no more lines: this is its
	// end, wherever it is now.
	complete := f.finish(ctx, next)
	if err := ctx.Err(); err != nil {
		return err
	}
	held := f.current

	missed, err := f.openMissed(archives)
	defer func() {
		for _, m := range missed {
			if m.file != f.file {
				closeFile(m.file) // perhaps for the second time, which does nothing
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
			f.archives[m.name] = m.archive // older than what was followed: somebody put it there
			continue
		case h.size > 0 && m.began.After(h.began):
			continue // the live file was renamed since it was opened; its turn comes first
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
		_ = level.Warn(f.logger).Log("msg", "The audit log was replaced and the rest of it cannot be found; refused logins may be missing", "file", f.config.Glob)
	}
	return nil
}

// finish reads the file that is held to its end, and says whether that is certain.
func (f *Follower) finish(ctx context.Context, next *os.File) bool {
	if f.current != nil {
		if f.file == nil {
			return false
		}
		still, err := f.current.still(f.file)
		return err == nil && still && f.drain(ctx) == nil
	}
	// Nothing of it was read. If it has entries now they come first, unless it is the
	// live file, emptied and written anew.
	if f.file == nil || sameFile(f.file, next) {
		return true
	}
	h, err := readHead(f.file, f.buffer)
	if err != nil {
		return true
	}
	f.hold(f.file, h)
	return f.drain(ctx) == nil
}

// sameFile says whether two open files are one.
func sameFile(a, b *os.File) bool {
	infoA, errA := a.Stat()
	infoB, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// openMissed opens those archives that were not read to their end yet, in the order
// in which they were begun.
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
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			// Moved away; on Windows it stays in the folder, closed to everybody, while one
			// has it open.
		case errors.As(err, new(*fs.PathError)):
			return missed, err
		case err != nil:
			_ = level.Warn(f.logger).Log("msg", "An archive of the audit log cannot be understood", "file", filepath.Join(f.dir, m.name), "err", err)
			f.archives[m.name] = m.archive
		case m.size == 0: // without entry
			closeFile(m.file)
			f.archives[m.name] = m.archive
		default:
			missed = append(missed, m)
		}
	}
	slices.SortStableFunc(missed, func(a, b source) int { return a.began.Compare(b.began) })
	return missed, nil
}

// hold makes a file the one that is followed.
func (f *Follower) hold(file *os.File, h head) {
	if f.file != file {
		f.release()
	}
	f.file, f.current = file, nil
	if h.size > 0 {
		f.current = f.position(h)
	}
}

// release closes the file that is held. The position in it stays.
func (f *Follower) release() {
	if f.file != nil {
		closeFile(f.file)
		f.file = nil
	}
}

// drain reads the file that is held to its end. A file that had no entry when it was
// opened waits for the next look, since archives may come before what it has now.
func (f *Follower) drain(ctx context.Context) error {
	if f.file == nil || f.current == nil {
		return nil
	}
	err := f.current.read(ctx, f.file, f.buffer, f.denied, f.skipped)
	if err != nil {
		f.release() // a handle on a share does not recover
	}
	return err
}

// closeFile closes a file that was only read.
func closeFile(file *os.File) {
	_ = file.Close() // nothing can be lost by it
}

// position returns how far a file was read; a new one is at its beginning.
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
