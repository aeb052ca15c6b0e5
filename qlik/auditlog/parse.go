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

// Reason is the reason of a refused login. It is the value of a label.
type Reason = qlik.RefusalReason

// The reasons that the log distinguishes.
const (
	SessionLimit = qlik.RefusedSessionLimit
	NoLicense    = qlik.RefusedNoLicense
)

// Denial is a refused login. It contains neither the session id nor the address,
// because both are secrets.
type Denial struct {
	Time time.Time
	// User is the zero User if the line contains none.
	User   qlik.User
	Reason Reason
}

// columns are the indexes of the columns. The first line of the file defines them,
// because the spelling of most columns is not documented and their order may change
// (docs/qlik.md, "Audit log").
type columns struct {
	time, directory, id, message int // required
	command, result              int // -1 if the file has no such column
	required                     int // the largest index of the required columns
	last                         int // the largest of all indexes
}

// parseHeader parses the first line of a file.
func parseHeader(line []byte) (columns, error) {
	line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	c := columns{time: -1, directory: -1, id: -1, message: -1, command: -1, result: -1}
	wanted := []struct {
		name     string
		column   *int
		required bool
	}{
		{"Timestamp", &c.time, true},
		{"UserDirectory", &c.directory, true},
		{"UserId", &c.id, true},
		{"Message", &c.message, true},
		{"Command", &c.command, false},
		{"Result", &c.result, false},
	}
	index := 0
	for field := range bytes.SplitSeq(line, []byte("\t")) {
		name := lettersOnly(field)
		for _, w := range wanted {
			if *w.column < 0 && strings.EqualFold(name, w.name) {
				*w.column = index
				c.last = index
				if w.required {
					c.required = index
				}
			}
		}
		index++
	}
	var missing []string
	for _, w := range wanted {
		if w.required && *w.column < 0 {
			missing = append(missing, w.name)
		}
	}
	if missing != nil {
		return columns{}, fmt.Errorf("its first line has no column %s", strings.Join(missing, ", "))
	}
	return c, nil
}

// lettersOnly removes all characters except letters from a column name, so that
// different spellings match: "User Id", "user_id" and "#UserId".
func lettersOnly(name []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, string(name))
}

// Reasons why a line is invalid. An error never contains the line, because lines
// contain session ids and addresses.
var (
	errColumns = errors.New("the line has fewer columns than the first line")
	errTime    = errors.New("the time of a refused login is invalid")
	errName    = errors.New("the name of the user is too long")
	errLong    = fmt.Errorf("the line is longer than %d bytes", maxLine)
)

// Patterns of the forms of refused logins (docs/qlik.md, "Audit log"). Only they read
// texts. They accept both kinds of quotes, because Qlik mixes them.
var (
	operation    = regexp.MustCompile(`OperationType:\s*['"]([A-Za-z]+)['"]`)
	accessDenied = regexp.MustCompile(`^\s*(?:Access was denied for User: .*\bSession(?:ID|Id): |Login access denied for Session(?:ID|Id): )`)
	licenseCheck = regexp.MustCompile(`^\s*License (?:[a-z]+ )+access\s*$`)
	sessionCount = regexp.MustCompile(`SessionCount:\s*['"][0-9]+['"]`)
	messageUser  = regexp.MustCompile(`\bUser:\s*['"]([^\\]+)\\(.+?)['"](?:,|$)`)
)

// parse parses a line without its line break. It returns false for lines other than
// refused logins.
func (c columns) parse(line []byte) (Denial, bool, error) {
	fields, ok := c.split(line)
	if !ok {
		return Denial{}, false, errColumns
	}
	if !fields.denied() {
		return Denial{}, false, nil
	}
	at, ok := parseTime(fields.time)
	if !ok {
		return Denial{}, false, errTime
	}
	d := Denial{Time: at, User: fields.user(), Reason: NoLicense}
	if d.User.TooLong() {
		return Denial{}, false, errName
	}
	if sessionCount.Match(fields.message) {
		d.Reason = SessionLimit
	}
	return d, true, nil
}

// fields are the fields of a line. They share the memory of the line.
type fields struct{ time, directory, id, message, command, result []byte }

// split returns the fields of a line. It returns false if the line has too few columns.
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
		case c.command:
			f.command = field
		case c.result:
			f.result = field
		}
		if index == c.last || !more && index >= c.required {
			return f, true
		}
		if !more {
			return fields{}, false
		}
		line = rest
	}
}

// denied reports whether the line is a refused login. The type of the operation
// decides. A line without one is a refused login if its message has the form of one, or
// if it is the result of a license check.
func (f fields) denied() bool {
	forbidden := bytes.Equal(bytes.TrimSpace(f.result), []byte("403"))
	if !forbidden && !bytes.Contains(f.message, []byte("enied")) {
		return false
	}
	if match := operation.FindSubmatch(f.message); match != nil {
		return string(match[1]) == "UsageDenied"
	}
	return accessDenied.Match(f.message) || forbidden && licenseCheck.Match(f.command)
}

// user returns the user from the columns or, if they contain none or a service, from
// the message. Some messages contain no user.
func (f fields) user() qlik.User {
	directory, id := bytes.TrimSpace(f.directory), bytes.TrimSpace(f.id)
	named := isName(directory) && isName(id)
	if !named || bytes.EqualFold(directory, []byte("INTERNAL")) {
		if match := messageUser.FindSubmatch(f.message); match != nil {
			directory, id, named = match[1], match[2], true
		}
	}
	if !named {
		return qlik.User{}
	}
	return qlik.NewUser(string(directory), string(id))
}

// isName reports whether a column contains a name. The log writes "Not available" if
// there is none.
func isName(field []byte) bool {
	return len(field) > 0 && !bytes.EqualFold(field, []byte("Not available"))
}

// parseTime parses times such as 20240514T091502.113+0200. The offset may be Z or, as
// in older releases, contain a colon. The layouts have no fraction of a second, because
// time.Parse accepts a fraction of any length.
func parseTime(field []byte) (time.Time, bool) {
	if len(field) > 64 {
		return time.Time{}, false // too long for a time
	}
	text := string(bytes.TrimSpace(field))
	for _, layout := range []string{"20060102T150405Z0700", "20060102T150405Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
