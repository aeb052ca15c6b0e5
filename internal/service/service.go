// Package service registers, controls, and runs the exporter as a Windows service.
// On other systems, it only returns errors.
package service

import "regexp"

const (
	// Name is the name of the service and of its source in the event log.
	Name = "qlik_exporter"
	// DefaultAccount is a virtual account. Windows creates it with the service. It has
	// no password, and only the permissions of any user.
	DefaultAccount = `NT SERVICE\` + Name
)

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
