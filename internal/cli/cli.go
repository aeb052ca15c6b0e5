// Package cli implements the commands of the program. Each command has its own file
// with its flags. Other packages provide the results. This package writes them as
// text, CSV, or JSON.
package cli

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Streams holds the input and the outputs of a command.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run executes a command. The caller reports its error, unless it is ErrFailed or
// ErrIncomplete.
type Run func(ctx context.Context, streams Streams) error

// Commands maps full names, such as "sessions end", to commands.
type Commands map[string]Run

// UsesFlagsFile reports whether a command uses the flags of the installed exporter if
// its own flags describe no site.
func UsesFlagsFile(command string) bool {
	return command == "check" || command == "why" || command == "licenses" || command == "service install" || strings.HasPrefix(command, "sessions ")
}

var (
	// ErrFailed means that the command found a failure and has already reported it.
	ErrFailed = errors.New("failed")
	// ErrIncomplete means that the command did or showed only a part, and has already
	// reported this.
	ErrIncomplete = errors.New("incomplete")
)

// Output formats.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatCSV   = "csv"
)
