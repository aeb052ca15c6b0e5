// Package service registers, controls, and runs the exporter as a Windows service.
// On other systems, it only returns errors.
package service

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// Name is the name of the service and of its source in the event log.
	Name = "qlik_exporter"
	// DefaultAccount is a virtual account. Windows creates it with the service. It has
	// no password, and only the permissions of any user.
	DefaultAccount = `NT SERVICE\` + Name
)

// Argument returns the value of a flag for the command line of the service. It makes
// paths absolute, because a service does not run in the folder from which it was
// installed.
func Argument(flag, value string) (string, error) {
	var before string
	switch flag {
	case "config.file", "qlik.cert-dir", "qlik.key-passphrase-file", "user-labels.key-file", "web.config.file":
	case "qlik.audit-log":
		node, glob, found := strings.Cut(value, "=")
		if !found {
			return value, nil // invalid; the flag's parser rejects it
		}
		before, value = node+"=", glob
	default:
		return value, nil
	}
	if value == "" {
		return before, nil
	}
	absolute, err := filepath.Abs(value)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	return before + absolute, nil
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
