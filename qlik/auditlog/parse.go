package auditlog

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Reason says why a login was refused. Its values are fit for a label.
type Reason string

// The reasons that the log tells apart.
const (
	SessionLimit Reason = "session_limit" // the user holds as many sessions as the license allows
	NoLicense    Reason = "no_license"    // the user has no license
)

// Denial is a login that Qlik refused. It has neither session id nor address:
// they are secrets, so they are not even read.
type Denial struct {
	Time time.Time
	// User is the zero User where the line names none.
	User   qlik.User
	Reason Reason
}

// columns says where a line has what is needed from it. The spelling of most
// columns is not documented and their order may change, so that they are found by
// the names in the first line (docs/qlik.md, "Audit log").
type columns struct {
	time, directory, id, message int
	last                         int // the rightmost of them
}

// parseHeader reads the first line of a file.
func parseHeader(line []byte) (columns, error) {
	line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	c := columns{time: -1, directory: -1, id: -1, message: -1}
	wanted := []struct {
		name   string
		column *int
	}{
		{"Timestamp", &c.time},
		{"UserDirectory", &c.directory},
		{"UserId", &c.id},
		{"Message", &c.message},
	}
	index := 0
	for field := range bytes.SplitSeq(line, []byte("\t")) {
		name := lettersOnly(field)
		for _, w := range wanted {
			if *w.column < 0 && strings.EqualFold(name, w.name) {
				*w.column = index
				c.last = index
			}
		}
		index++
	}
	var missing []string
	for _, w := range wanted {
		if *w.column < 0 {
			missing = append(missing, w.name)
		}
	}
	if missing != nil {
		return columns{}, fmt.Errorf("its first line names no column %s", strings.Join(missing, ", "))
	}
	return c, nil
}

// lettersOnly takes from a column's name what may be written in several ways:
// "#Message", "User Id" and "user_id".
func lettersOnly(name []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, string(name))
}

// What a line that cannot be used lacks. The line itself is never part of an
// error: it holds session ids and addresses.
var (
	errColumns = errors.New("a line has fewer columns than the first one")
	errTime    = errors.New("a refusal has a time that cannot be read")
	errLong    = fmt.Errorf("a line is longer than %d bytes", maxLine)
)

// The words of the two refusals (docs/qlik.md, "Audit log"). Only these patterns
// look at a message. The kind of quotes is left open, because Qlik mixes them.
var (
	denied       = regexp.MustCompile(`OperationType:\s*['"]UsageDenied['"]`)
	sessionCount = regexp.MustCompile(`SessionCount:\s*['"][0-9]+['"]`)
	messageUser  = regexp.MustCompile(`\bUser:\s*['"]([^\\]+)\\(.+?)['"](?:,|$)`)
)

// parse reads a line without its line break. Lines that are no refusal give false.
func (c columns) parse(line []byte) (Denial, bool, error) {
	fields, ok := c.split(line)
	if !ok {
		return Denial{}, false, errColumns
	}
	if !bytes.Contains(fields.message, []byte("UsageDenied")) || !denied.Match(fields.message) {
		return Denial{}, false, nil
	}
	at, ok := parseTime(fields.time)
	if !ok {
		return Denial{}, false, errTime
	}
	d := Denial{Time: at, User: fields.user(), Reason: NoLicense}
	if sessionCount.Match(fields.message) {
		d.Reason = SessionLimit
	}
	return d, true, nil
}

// fields are the parts of a line that are needed. They share its memory.
type fields struct{ time, directory, id, message []byte }

// split finds the fields of a line and gives false where it is too short to have
// them all.
func (c columns) split(line []byte) (fields, bool) {
	var f fields
	for index := 0; ; index++ {
		field, rest, more := bytes.Cut(line, []byte("\t"))
		switch index {
		case c.time:
			f.time = field
		case c.directory:
			f.directory = field
		case c.id:
			f.id = field
		case c.message:
			f.message = field
		}
		if index == c.last {
			return f, true
		}
		if !more {
			return fields{}, false
		}
		line = rest
	}
}

// user takes the user from the columns or, where they are empty, from the message.
// A refusal for want of a license names the user only in the columns.
func (f fields) user() qlik.User {
	directory, id := bytes.TrimSpace(f.directory), bytes.TrimSpace(f.id)
	if !isName(directory) || !isName(id) {
		match := messageUser.FindSubmatch(f.message)
		if match == nil {
			return qlik.User{}
		}
		directory, id = match[1], match[2]
	}
	return qlik.NewUser(string(directory), string(id))
}

// isName says whether a column holds a name and not one of the words by which the
// log says that there is none.
func isName(field []byte) bool {
	return len(field) > 0 && !bytes.EqualFold(field, []byte("Not available"))
}

// parseTime reads 20240514T091502.113+0200, with a colon in the offset as older
// releases write it, or with Z. The layouts name no fraction of the second, since
// time.Parse takes one of any length.
func parseTime(field []byte) (time.Time, bool) {
	if len(field) > 64 {
		return time.Time{}, false // no time, and not worth a copy
	}
	text := string(bytes.TrimSpace(field))
	for _, layout := range []string{"20060102T150405Z0700", "20060102T150405Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
