package config

import (
	"errors"
	"fmt"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Error is a setting that cannot work, under the name of its flag.
type Error struct {
	Flag string // without dashes, e.g. "qlik.session-limit"
	Err  error  // what is wrong and what to change
}

func (e *Error) Error() string { return "--" + e.Flag + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

func errorf(flag, format string, args ...any) error {
	return &Error{Flag: flag, Err: fmt.Errorf(format, args...)}
}

// flagOf are the flags that set the fields of the configurations of packages qlik
// and collector, by the names of the fields.
var flagOf = map[string]string{ //nolint:gosec // names of flags, and no credentials
	"Hosts":             "qlik.host",
	"CertDir":           "qlik.cert-dir",
	"KeyPassphraseFile": "qlik.key-passphrase-file",
	"NodeAddresses":     "qlik.node-address",
	"Proxies":           "qlik.proxy",
	"Timeout":           "qlik.timeout",
	"Labels.Mode":       "user-labels",
	"Labels.Key":        "user-labels.key-file",
	"MinSessions":       "collector.sessions.min-sessions",
	"MaxUsers":          "collector.sessions.max-users",
	"ExcludeUsers":      "collector.sessions.exclude-user",
}

// Named returns an error of a configuration under the name of the flag that a
// person has to change, where it is one.
func Named(err error) error {
	if field, ok := errors.AsType[*qlik.ConfigError](err); ok {
		return &Error{Flag: flagOf[field.Field], Err: field.Err}
	}
	return err
}
