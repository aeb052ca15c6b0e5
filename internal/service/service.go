// Package service makes the exporter a Windows service: it registers one, controls
// it, and runs the program as one. Elsewhere it only says that there is none.
package service

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// Name is that of the service and of its source in the event log.
	Name = "qlik_exporter"
	// DefaultAccount is a virtual account: Windows makes it with the service. It
	// has no password, and may do what any user may and nothing else.
	DefaultAccount = `NT SERVICE\` + Name
)

// Argument returns the value of a flag as the service gets it. A service does not
// run in the folder from which it was installed: what names a file becomes
// absolute.
func Argument(flag, value string) (string, error) {
	var before string
	switch flag {
	case "config.file", "qlik.cert-dir", "qlik.key-passphrase-file", "user-labels.key-file", "web.config.file":
	case "qlik.audit-log":
		node, glob, found := strings.Cut(value, "=")
		if !found {
			return value, nil // will be refused for what it is
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

// levelOfLine finds the level in a line of the program's log: only the time and the
// caller stand before it in logfmt, and a quote inside a JSON text is escaped.
var levelOfLine = regexp.MustCompile(`^(?:ts=\S+ caller=\S+ level=|\{.*?"level":")([a-z]+)`)

// levelOf returns the level of a line that the program writes when it runs as a
// service. What is not of the log says why the program ends.
func levelOf(line string) string {
	if match := levelOfLine.FindStringSubmatch(line); match != nil {
		return match[1]
	}
	return "error"
}
