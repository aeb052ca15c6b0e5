// Package terminal detects terminals and their support for colors.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Colors returns whether to write colors to an output. It requires a terminal that
// supports them, and respects NO_COLOR (https://no-color.org).
func Colors(w io.Writer) bool {
	file, isFile := w.(*os.File)
	return isFile && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Is(file) && interpretsEscapes(file)
}

// Is returns whether a stream is a terminal.
func Is(stream any) bool {
	file, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}
