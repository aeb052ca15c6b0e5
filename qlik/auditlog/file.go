package auditlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"
)

const (
	// maxLine is the maximum length of a line. It limits memory; longer lines are
	// skipped.
	maxLine = 64 << 10
	// headStep is the number of bytes to read first to recognize a file. They usually
	// contain the first line and an entry. If not, bufferSize bytes are read.
	headStep   = 4 << 10
	bufferSize = 2 * maxLine
)

// identity identifies a file: a hash of its bytes up to the end of its first entry. An
// entry has a time, a number and an id, so no two files begin alike. The identity does
// not change if the file is renamed, copied, moved away and back, or read through a share
// that was mounted again. Inode numbers and Windows file ids change in the last three
// cases and are reused for other files.
type identity [sha256.Size]byte

// head describes the beginning of a file. A file without an entry has size 0 and no
// identity, and nothing has been read from it.
type head struct {
	id      identity
	size    int // number of bytes covered by the identity
	columns columns
	first   int64     // offset of the line after the column names
	began   time.Time // time of the first entry
}

// position is the read position in a file. It only advances by whole lines.
type position struct {
	head
	offset   int64
	skipping bool // the offset is inside a line that is too long
}

var (
	errFirstLine = errors.New("its first line is too long")
	errNoTimes   = errors.New("none of its lines has a valid time")
	errReplaced  = errors.New("the file was replaced while it was read")
)

// readHead reads the beginning of a file. The size of the buffer is bufferSize.
func readHead(file io.ReaderAt, buffer []byte) (head, error) {
	n, err := file.ReadAt(buffer[:headStep], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return head{}, err
	}
	h, err := parseHead(buffer[:n])
	if n < headStep || h.size > 0 {
		return h, err
	}
	n, err = file.ReadAt(buffer, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return head{}, err
	}
	h, err = parseHead(buffer[:n])
	if err == nil && h.size == 0 && n == len(buffer) {
		if h.first == 0 {
			return head{}, errFirstLine
		}
		// The first entry is longer than the buffer. The part in the buffer is unique too.
		h.id, h.size = sha256.Sum256(buffer), n
	}
	return h, err
}

// parseHead parses the beginning of a file.
func parseHead(data []byte) (head, error) {
	names, rest, found := bytes.Cut(data, []byte("\n"))
	if !found {
		return head{}, nil // the first line is not complete yet
	}
	c, err := parseHeader(bytes.TrimSuffix(names, []byte("\r")))
	if err != nil {
		return head{}, err
	}
	h := head{columns: c, first: int64(len(names) + 1)}
	lines := 0
	for {
		line, more, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			break
		}
		rest = more
		fields, ok := c.split(line)
		if !ok {
			continue
		}
		if at, ok := parseTime(fields.time); ok {
			h.size = len(data) - len(rest)
			h.id = sha256.Sum256(data[:h.size])
			h.began = at
			return h, nil
		}
		lines++
	}
	if lines > 0 {
		return head{}, errNoTimes
	}
	return h, nil
}

// still reports whether the file still begins as it did when h was read.
func (h head) still(file io.ReaderAt) (bool, error) {
	data := make([]byte, h.size)
	if _, err := file.ReadAt(data, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, err
	}
	return sha256.Sum256(data) == h.id, nil
}

// toEnd moves the position behind the last whole line of a file of the given size. An
// incomplete line at the end is read later, once it is complete.
func (p *position) toEnd(file io.ReaderAt, size int64, buffer []byte) error {
	start := max(p.first, size-maxLine)
	n, err := file.ReadAt(buffer[:max(0, size-start)], start)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	last := bytes.LastIndexByte(buffer[:n], '\n')
	if last < 0 && start > p.first {
		p.offset, p.skipping = start+int64(n), true
		return nil
	}
	p.offset = start + int64(last+1)
	return nil
}

// read reads the file from the position to its end and advances the position. It calls
// skipped for invalid lines. The position is also correct after an error.
func (p *position) read(ctx context.Context, file io.ReaderAt, buffer []byte, denied func(Denial), skipped func(error)) error {
	for {
		if err := ctx.Err(); err != nil {
			return err // must not look like the end of the file
		}
		n, err := file.ReadAt(buffer, p.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return nil
		}
		// The file may have been truncated and rewritten. This check comes after the read
		// and before any line is counted, so that it cannot miss that.
		if still, err := p.still(file); err != nil {
			return err
		} else if !still {
			return errReplaced
		}
		p.lines(buffer[:n], denied, skipped)
		if n < len(buffer) {
			return nil
		}
	}
}

// lines processes the whole lines of data. The data begins at the offset.
func (p *position) lines(data []byte, denied func(Denial), skipped func(error)) {
	for {
		line, rest, found := bytes.Cut(data, []byte("\n"))
		if !found {
			break
		}
		data = rest
		p.offset += int64(len(line) + 1)
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case p.skipping:
			p.skipping = false // the line was already reported
		case len(line) > maxLine:
			skipped(errLong)
		case len(line) > 0:
			if denial, is, err := p.columns.parse(line); err != nil {
				skipped(err)
			} else if is {
				denied(denial)
			}
		}
	}
	if len(data) > maxLine {
		p.offset += int64(len(data))
		if !p.skipping {
			p.skipping = true
			skipped(errLong)
		}
	}
}
