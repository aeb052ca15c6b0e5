// Package service registers, controls, and runs the exporter as a Windows service.
// On other systems, it only returns errors.
package service

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// Name is the name of the service and of its source in the event log.
	Name = "qlik_exporter"
	// DefaultAccount is a virtual account. Windows creates it with the service. It has
	// no password, and only the permissions of any user.
	DefaultAccount = `NT SERVICE\` + Name
	// DisplayName is the name in the Services console.
	DisplayName = "Qlik Sense exporter for Prometheus"
	// Description is its text there.
	Description = "Shows Prometheus the sessions of the users of a Qlik Sense site, and what the session limit leaves to each."
	// maxEvent is the maximum length of an event in UTF-16 units, 31,839, less what marks a
	// longer text.
	maxEvent = 31_800
)

// ofInstaller reports whether the installer runs the program with these arguments. The
// installer shows no output, so it goes to the event log.
func ofInstaller(args []string) bool {
	return len(args) > 1 && slices.Equal(args[:2], []string{"service", "configure"})
}

// eventText returns lines as the text of an event. Windows refuses longer texts and texts
// with a null character.
func eventText(line string) string {
	text := strings.ReplaceAll(strings.TrimSpace(line), "\x00", " ")
	if len(text) <= maxEvent { // no character has more UTF-16 units than bytes
		return text
	}
	end := maxEvent
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + " (cut)"
}

// levelOfLine matches the level in a line of the program's log. In logfmt, only the
// time and the caller precede it. In JSON, quotes within texts are escaped.
var levelOfLine = regexp.MustCompile(`^(?:ts=\S+ caller=\S+ level=|\{.*?"level":")([a-z]+)`)

// levelOf returns the level of a line of the log, and false for other lines.
func levelOf(line string) (level string, ofLog bool) {
	if match := levelOfLine.FindStringSubmatch(line); match != nil {
		return match[1], true
	}
	return "", false
}

// output receives what a service or the installer's command writes. Each line of the log is an
// event. All other lines say why the program ends, and are one event when it has ended.
type output struct {
	report func(level, text string) error

	mu   sync.Mutex
	rest strings.Builder
}

// Write implements io.Writer.
func (o *output) Write(line []byte) (int, error) {
	if level, ofLog := levelOf(string(line)); ofLog {
		return len(line), o.report(level, eventText(string(line)))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rest.Write(line)
}

// end reports the lines that are not from the log.
func (o *output) end(level string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if text := eventText(o.rest.String()); text != "" {
		_ = o.report(level, text)
	}
}
