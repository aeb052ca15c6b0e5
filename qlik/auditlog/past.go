package auditlog

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"
)

const (
	// maxPast is the maximum number of bytes that Past reads. Qlik renames a log at 8 MB.
	maxPast = 128 << 20
	// maxPastDenials is the maximum number of refused logins that Past returns.
	maxPastDenials = 200_000
)

// errPast means that Past did not read everything.
var errPast = errors.New("there is more than can be read at once")

// Past returns the refused logins since a time, in no order: those of the live file and of
// the archives in its folder that were written since. It skips invalid lines. If a network
// share does not respond, it returns an error after some seconds. Refused logins that were
// read before an error are in the result.
func Past(ctx context.Context, glob string, since time.Time) ([]Denial, error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	type result struct {
		denials []Denial
		err     error
	}
	done := make(chan result, 1) // a system call about a file of a share cannot be canceled
	go func() {
		denials, err := past(ctx, glob, since)
		done <- result{denials, err}
	}()
	select {
	case r := <-done:
		return r.denials, r.err
	case <-ctx.Done():
		return nil, errNoAnswer
	}
}

func past(ctx context.Context, glob string, since time.Time) (denials []Denial, err error) {
	f, err := New(Config{Glob: glob})
	if err != nil {
		return nil, err
	}
	f.buffer = make([]byte, bufferSize)
	live, archives, err := f.list()
	if err != nil {
		return nil, err
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
	room := int64(maxPast)
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
			if room -= info.Size(); room < 0 || len(denials) >= maxPastDenials {
				readErr = errPast
			} else {
				p := &position{head: h, offset: h.first}
				readErr = p.read(ctx, file, f.buffer, func(d Denial) {
					if !d.Time.Before(since) && len(denials) < maxPastDenials {
						denials = append(denials, d)
					}
				}, func(error) {})
			}
		}
		closeFile(file)
		if readErr != nil && err == nil {
			err = readErr
		}
	}
	return denials, err
}
