package auditlog

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxPast is the maximum number of bytes that Past reads. Qlik renames a log at 8 MB.
	maxPast = 128 << 20
	// maxPastDenials is the maximum number of refused logins that Past reports.
	maxPastDenials = 200_000
)

// ErrPast means that Past did not read everything, because it is too much.
var ErrPast = errors.New("there is more than can be read at once")

// Past calls denied for each refused login since a time, in no order: those of the live
// file, and then those of the archives in its folder that were written since. It skips
// invalid lines. If a network share does not respond, or if there is more than can be read
// in some seconds, it returns an error.
func Past(ctx context.Context, glob string, since time.Time, denied func(Denial)) error {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	var mu sync.Mutex // guards returned, so that denied is not called after the return
	returned := false
	done := make(chan error, 1) // a system call about a file of a share cannot be canceled
	go func() {
		done <- past(ctx, glob, since, func(d Denial) {
			mu.Lock()
			defer mu.Unlock()
			if !returned {
				denied(d)
			}
		})
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		returned = true
		return errNoAnswer
	}
}

func past(ctx context.Context, glob string, since time.Time, denied func(Denial)) error {
	f, err := New(Config{Glob: glob})
	if err != nil {
		return err
	}
	f.buffer = make([]byte, bufferSize)
	live, archives, err := f.list()
	if err != nil {
		return err
	}
	if len(live) == 0 {
		err = errNoFile
	}
	names := live
	for _, entry := range archives {
		if info, err := entry.Info(); err == nil && info.ModTime().After(since) {
			names = append(names, entry.Name())
		}
	}
	slices.SortFunc(names[len(live):], func(a, b string) int { return strings.Compare(b, a) }) // the latest archive first
	seen := make(map[identity]bool)                                                            // a file can be copied
	room, denials := int64(maxPast), 0
	for _, name := range names {
		file, h, openErr := f.openFile(name)
		if openErr != nil {
			if !errors.Is(openErr, fs.ErrNotExist) && err == nil { // it may have been moved away just now
				err = openErr
			}
			continue
		}
		if h.size == 0 || seen[h.id] {
			closeFile(file)
			continue
		}
		seen[h.id] = true
		info, readErr := file.Stat()
		if readErr == nil {
			if room -= info.Size(); room < 0 || denials >= maxPastDenials {
				readErr = ErrPast
			} else {
				p := &position{head: h, offset: h.first}
				readErr = p.read(ctx, file, f.buffer, func(d Denial) {
					if !d.Time.Before(since) && denials < maxPastDenials {
						denials++
						denied(d)
					}
				}, func(error) {})
			}
		}
		closeFile(file)
		if readErr != nil && err == nil {
			err = readErr
		}
	}
	return err
}
