// Package terminal detects terminals and what they can do, and formats text for their
// width.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Colors returns whether to write colors to an output. It requires a terminal that
// supports them, and respects NO_COLOR (https://no-color.org).
func Colors(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && Escapes(w) }

// Escapes returns whether an output is a terminal that interprets escape sequences.
func Escapes(w io.Writer) bool {
	file, isFile := w.(*os.File)
	return isFile && os.Getenv("TERM") != "dumb" && Is(file) && interpretsEscapes(file)
}

// Is returns whether a stream is a terminal.
func Is(stream any) bool {
	file, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

// Size returns the size of a terminal in characters. It returns 0, 0 for anything else, and
// for a terminal of unknown size.
func Size(w io.Writer) (columns, rows int) {
	file, isFile := w.(*os.File)
	if !isFile {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0, 0
	}
	return columns, rows
}
