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
	// maxLine bounds what a line may need of memory. Longer ones are skipped.
	maxLine = 64 << 10
	// headStep is how much is read at first in order to recognize a file. It holds
	// the first line and an entry; where it does not, bufferSize does.
	headStep   = 4 << 10
	bufferSize = 2 * maxLine
)

// identity is what a file is recognized by: a hash of everything up to the end of
// its first entry. An entry has a time, a number and an id, hence no two files begin
// alike, and the identity stays the same when the file is renamed, copied, moved away
// and back, or seen again through a share that was mounted anew. Inode numbers
// and Windows' file ids survive none of the last three, and are given again to
// other files.
type identity [sha256.Size]byte

// head is what the beginning of a file tells. A file without any entry yet has
// size 0 and no identity; nothing was ever read from it.
type head struct {
	id      identity
	size    int // how many bytes the identity covers
	columns columns
	first   int64     // where the first line behind the column names begins
	began   time.Time // of the first entry
}

// position is how far a file was read. Only whole lines count as read.
type position struct {
	head
	offset   int64
	skipping bool // the offset is inside a line that is too long
}

var (
	errFirstLine = errors.New("its first line is too long")
	errNoTimes   = errors.New("none of its lines has a time that can be read")
	errReplaced  = errors.New("the file was replaced while it was read")
)

// readHead reads the beginning of a file. The buffer has bufferSize bytes.
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
		// The first entry is longer than the buffer; this much of it is unique, too.
		h.id, h.size = sha256.Sum256(buffer), n
	}
	return h, err
}

// parseHead reads the beginning of a file from its first bytes.
func parseHead(data []byte) (head, error) {
	names, rest, found := bytes.Cut(data, []byte("\n"))
	if !found {
		return head{}, nil // it is still being written
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

// still says whether the file begins as it did when h was read.
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

// toEnd moves the position behind the last whole line of a file of that size. A line
// that is being written is new once it is finished.
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

// read reads the file from the position to its end and moves the position on.
// skipped is called for lines that cannot be used. The position is right whenever read
// returns, whatever the error.
func (p *position) read(ctx context.Context, file io.ReaderAt, buffer []byte, denied func(Denial), skipped func(error)) error {
	for {
		if err := ctx.Err(); err != nil {
			return err // nobody may take this for the end of the file
		}
		n, err := file.ReadAt(buffer, p.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return nil
		}
		// The file may have been emptied and written anew. Looking afterwards, and
		// before anything is counted, leaves no moment in which that goes unseen.
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

// lines takes the whole lines of data, which begins at the offset.
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
			p.skipping = false // its beginning was reported
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
