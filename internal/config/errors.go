package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Error is an error about a setting. Configuration.Explain adds the name of the
// setting at its origin.
type Error struct {
	Flag string // without dashes, e.g. "qlik.session-limit"
	Err  error  // what is wrong and what to change
}

func (e *Error) Error() string { return "--" + e.Flag + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

func errorf(flag, format string, args ...any) error {
	return &Error{Flag: flag, Err: fmt.Errorf(format, args...)}
}

// Named converts an error about a configuration field of package qlik or collector
// to an error about the setting that fills this field.
func Named(err error) error {
	field, ok := errors.AsType[*qlik.ConfigError](err)
	if !ok {
		return err
	}
	rows := new(Site).settings()
	i := slices.IndexFunc(rows, func(row setting) bool { return row.field == field.Field })
	if i < 0 {
		return err
	}
	return &Error{Flag: rows[i].flag, Err: field.Err}
}
