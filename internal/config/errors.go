package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/qlik-exporter/qlik_exporter/qlik"
)

// Error is a setting that cannot work. Configuration.Explain tells it as the person
// knows the setting who made it.
type Error struct {
	Flag string // without dashes, e.g. "qlik.session-limit"
	Err  error  // what is wrong and what to change
}

func (e *Error) Error() string { return "--" + e.Flag + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

func errorf(flag, format string, args ...any) error {
	return &Error{Flag: flag, Err: fmt.Errorf(format, args...)}
}

// named turns an error about a field of the configurations of packages qlik and
// collector into one about the setting that fills the field.
func named(err error) error {
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
