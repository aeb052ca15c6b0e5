package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/qlik-exporter/qlik_exporter/internal/text"
)

// maxLine is the longest line, including its end. A reader needs no more memory for a
// line, whatever the file contains.
const maxLine = 1 << 20

// Kinds of lines.
const (
	kindBegin   = "begin"   // first line of a file
	kindIntent  = "intent"  // sessions are about to end
	kindResult  = "result"  // what an intent has ended
	kindUnknown = "unknown" // the program stopped between an intent and its result
	kindTorn    = "torn"    // replaces an incomplete last line
)

// line is a line of a journal, without its end.
type line struct {
	// Prev is the hash of the previous line, also across files. It is empty in the
	// first line of the first file.
	Prev string `json:"prev"`
	// Number counts lines from 1, also across files. A gap shows that lines are
	// missing.
	Number int       `json:"n"`
	Kind   string    `json:"kind"`
	At     time.Time `json:"at"`
	// ID is common to an intent and its result.
	ID string `json:"id,omitempty"`
	// Open contains, in a line of kind begin, the intents of earlier files that have
	// no result yet.
	Open []string `json:"open,omitempty"`
	*Intent
	*Result
	Torn *torn `json:"torn,omitempty"`
}

// torn describes an incomplete last line.
type torn struct {
	Bytes int64  `json:"bytes"`
	Text  string `json:"text"` // at most maxTorn bytes of it
}

// maxTorn limits the text of an incomplete line. Escaped, each byte may take six.
const maxTorn = 64 << 10

// encode returns a line with its end.
func (l *line) encode() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(l); err != nil {
		return nil, err
	}
	encoded := text.EscapeJSON(b.Bytes()) // people display the file in a terminal
	if len(encoded) > maxLine {
		return nil, fmt.Errorf("the line has %d bytes, more than %d", len(encoded), maxLine)
	}
	return encoded, nil
}

// hash returns the hash of a line without its end.
func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// errNoLine means that the text is not a line of a journal.
var errNoLine = errors.New("not a line of a journal")

// decode reads a line without its end.
func decode(content []byte) (*line, error) {
	l := new(line)
	if json.Unmarshal(content, l) != nil {
		return nil, errNoLine
	}
	complete := l.Number > 0 && !l.At.IsZero()
	switch l.Kind {
	case kindBegin:
	case kindTorn:
		complete = complete && l.Torn != nil
	case kindIntent:
		complete = complete && l.ID != "" && l.Intent != nil
	case kindResult:
		complete = complete && l.ID != "" && l.Result != nil
	case kindUnknown:
		complete = complete && l.ID != ""
	default:
		return nil, fmt.Errorf("%w: kind %q", errNoLine, l.Kind)
	}
	if !complete {
		return nil, fmt.Errorf("%w: fields are missing", errNoLine)
	}
	return l, nil
}

// lineReader reads lines of any length and keeps at most maxLine bytes of each.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader) lineReader { return lineReader{bufio.NewReaderSize(r, 64<<10)} }

// next returns a line without its end, and its size with it. The line is not ended if
// the file ends first. After the last line the error is io.EOF.
func (r lineReader) next() (content []byte, size int64, ended bool, err error) {
	for {
		part, err := r.r.ReadSlice('\n')
		size += int64(len(part))
		if room := maxLine + 1 - len(content); room > 0 {
			content = append(content, part[:min(room, len(part))]...)
		}
		switch {
		case err == nil:
			return bytes.TrimSuffix(content, []byte("\n")), size, true, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && size > 0:
			return content, size, false, nil
		default:
			return nil, 0, false, err
		}
	}
}

// chain follows the hashes and numbers of lines. After a problem it continues at the
// next line that fits, so that one change is reported once.
type chain struct {
	lines  int    // of the file
	number int    // of the last line that fits
	hash   string // of the last line that fits
	// damaged counts unreadable lines after the last line that fits. They may be
	// changed or inserted.
	damaged int
}

// add checks the next line of a file and returns the problems with it. The line is nil
// if it does not belong to the chain.
func (c *chain) add(content []byte) (*line, []Problem) {
	c.lines++
	l, err := decode(content)
	if err != nil {
		c.damaged++
		return nil, []Problem{{c.lines, err.Error()}}
	}
	var problems []Problem
	report := func(at int, format string, values ...any) {
		problems = append(problems, Problem{at, fmt.Sprintf(format, values...)})
	}
	expected, damaged := c.number+1, c.damaged
	switch {
	case c.number == 0 && damaged == 0: // first line of the file
		switch {
		case l.Kind != kindBegin:
			report(c.lines, "the lines before it are missing, because a file starts with a line of kind begin")
		case (l.Prev == "") != (l.Number == 1):
			report(c.lines, "its number %d does not fit its prev", l.Number)
		}
	case l.Kind == kindBegin && c.number > 0:
		report(c.lines, "another file begins here: it was appended or inserted")
	case c.number == 0 || l.Number > expected && l.Number <= expected+damaged: // after changed lines, which are already reported
	case l.Prev == c.hash && l.Number == expected:
	case l.Prev == c.hash:
		report(c.lines, "changed: its number is %d instead of %d", l.Number, expected)
		l.Number = expected
	case l.Number == expected:
		report(c.lines-1-damaged, "changed: its hash is not the one in line %d", c.lines)
	case l.Number > expected:
		report(c.lines, "missing before it: %s", text.Count(l.Number-expected-damaged, "line"))
	default:
		report(c.lines, "inserted or moved: it has number %d after number %d", l.Number, c.number)
		return nil, problems
	}
	c.number, c.hash, c.damaged = l.Number, hash(content), 0
	return l, problems
}
