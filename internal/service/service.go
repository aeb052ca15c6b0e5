// Package service registers, controls, and runs the exporter as a Windows service.
// On other systems, it only returns errors.
package service

import (
	"regexp"
	"slices"
	"strings"
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

// eventText returns a line as the text of an event. Windows refuses longer texts and texts
// with a null character.
func eventText(line []byte) string {
	text := strings.ReplaceAll(strings.TrimSpace(string(line)), "\x00", " ")
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

// levelOf returns the level of a line that the program writes as a service. A line
// that is not from the log is the error that ends the program.
func levelOf(line string) string {
	if match := levelOfLine.FindStringSubmatch(line); match != nil {
		return match[1]
	}
	return "error"
}
