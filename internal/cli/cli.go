// Package cli holds the commands that people type. Each stands in a file of its
// own, with its flags; what it finds out comes from other packages, and is written
// here as text, CSV or JSON.
package cli

import (
	"context"
	"errors"
	"io"
)

// Streams is where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run does what a command is for. Its error has not been told yet, unless it is
// ErrFailed or ErrIncomplete.
type Run func(ctx context.Context, streams Streams) error

// Commands are the commands by their full names, such as "sessions end".
type Commands map[string]Run

var (
	// ErrFailed is the error of a command whose answer, which has been written, is
	// that something does not work.
	ErrFailed = errors.New("failed")
	// ErrIncomplete is the error of a command that did or showed what it could, which
	// was not all; it has said so.
	ErrIncomplete = errors.New("incomplete")
)

// Formats of answers.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatCSV   = "csv"
)
